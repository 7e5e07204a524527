# SPDX-License-Identifier: MIT
import pytest

from egbas.errors import ConfigError
from egbas.inputs.numbers import whole_number


def test_numbers_in_range() -> None:
    assert [whole_number(text, "--x", 1, 10) for text in ("1", "10", "007")] == [1, 10, 7]


@pytest.mark.parametrize("text", ["0", "11", "9" * 20, "9" * 4300, "9" * 5000])
def test_numbers_out_of_range(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--x .* is out of range; expected 1 to 10") as told:
        whole_number(text, "--x", 1, 10)
    assert len(str(told.value)) < 150
