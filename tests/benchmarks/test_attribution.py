# SPDX-License-Identifier: MIT
from benchmarks.attribution import without

PLACE, SETTINGS = {"digit": "seven", "layer": "classifier.relu2", "level": 3}, {"samples": 50}


def test_a_row_with_other_settings_is_replaced_and_one_with_the_same_is_kept() -> None:
    old, other = {**PLACE, "status": "NOT_CONVERGED"}, {**PLACE, "level": 6, "settings": SETTINGS}
    assert without([old, other], PLACE, SETTINGS) == ([other], False)
    assert without([other, {**PLACE, "settings": SETTINGS}], PLACE, SETTINGS) == ([other], True)
    assert without([], PLACE, SETTINGS) == ([], False)
