# SPDX-License-Identifier: MIT
import re

from egbas.version import __version__


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\w*)", __version__)
