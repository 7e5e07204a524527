# SPDX-License-Identifier: MIT
import pytest
from jinja2 import UndefinedError

from egbas.report.template import template


@pytest.mark.parametrize("name", ["report.html.j2", "path.html.j2"])
def test_is_compiled_once(name: str) -> None:
    assert template(name) is template(name)


def test_what_is_left_out_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="undefined"):
        template("report.html.j2").render()
