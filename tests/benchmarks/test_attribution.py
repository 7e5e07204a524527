# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from benchmarks.attribution import corrected, without

PLACE, SETTINGS = {"digit": "seven", "layer": "classifier.relu2", "level": 3}, {"samples": 50}


def test_a_row_with_other_settings_is_replaced_and_one_with_the_same_is_kept() -> None:
    old, other = {**PLACE, "status": "NOT_CONVERGED"}, {**PLACE, "level": 6, "settings": SETTINGS}
    assert without([old, other], PLACE, SETTINGS) == ([other], False)
    assert without([other, {**PLACE, "settings": SETTINGS}], PLACE, SETTINGS) == ([other], True)
    assert without([], PLACE, SETTINGS) == ([], False)


def test_an_estimate_makes_good_what_resampling_takes_away() -> None:
    # All resampled values are 0.1 lower than the estimate: so is the estimate than the truth.
    drawn = 0.4 + 0.02 * np.linspace(-1, 1, 201)
    assert corrected(0.5, drawn.tolist()) == pytest.approx([0.6, 0.581, 0.619])
