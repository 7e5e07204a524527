# SPDX-License-Identifier: MIT
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from egbas.reproduce import model_sheets
from egbas.storage import Store


def test_all_sheets_hold_white_on_black(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = model_sheets.run(Store(tmp_path))
    picture = np.array(Image.open(io.BytesIO(drawn)))
    side = model_sheets.PER_SIDE * 28
    assert picture.shape == (side, 3 * side + 16)
    for sheet in (picture[:, :side], picture[:, side + 8 : -side - 8], picture[:, -side:]):
        # Digits cover a fifth of an MNIST image at most; nearly all the rest is black.
        assert 0.03 < (sheet > 200).mean() < 0.25
        assert (sheet < 20).mean() > 0.6
    with monkeypatch.context() as patch:
        patch.setattr(model_sheets, "Network", None)
        assert model_sheets.run(Store(tmp_path)) == drawn  # of the sheets that were drawn before
