# SPDX-License-Identifier: MIT
import json

import pytest

from egbas.cli import show


def test_messages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.error("[bold]a long message[/bold] " + "word " * 60)
    show.warning("careful")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: [bold]a long message[/bold]")  # not read as markup
    assert len(err.splitlines()) == 2  # nor folded


def test_tables_into_a_pipe_are_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("name", "count"), [("[n]" * 40, 3)])
    assert "[n]" * 40 in capsys.readouterr().out


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json({"a": 1.5})
    assert json.loads(capsys.readouterr().out) == {"a": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        show.as_json(float("nan"))


@pytest.mark.parametrize("quiet", [False, True])
def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    with show.progress_bar(quiet) as progress:
        progress("beropt", 10, 100, "loss 1 [x]")
        progress("gbrrt", 1, 2, "")
    assert capsys.readouterr() == ("", "")
