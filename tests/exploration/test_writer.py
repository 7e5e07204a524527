# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import pytest

from egbas.exploration import writer
from tests.runs import plane_run


def test_save_calls_the_writer_that_was_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(writer, "_writers", [*writer._writers])
    seen: list[Any] = []

    def note(run: Any, path: Any, *, overwrite: bool) -> Path:
        seen.append((run, path, overwrite))
        return Path(path)

    writer.use(note)
    run = plane_run()
    assert run.save(tmp_path / "run", overwrite=True) == tmp_path / "run"
    assert seen == [(run, tmp_path / "run", True)]
