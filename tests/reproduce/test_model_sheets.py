# SPDX-License-Identifier: MIT
import io

import numpy as np
from PIL import Image

from egbas.reproduce import model_sheets


def test_all_sheets_hold_white_on_black() -> None:
    picture = np.array(Image.open(io.BytesIO(model_sheets.run())))
    side = model_sheets.PER_SIDE * 28
    assert picture.shape == (side, 3 * side + 16)
    for sheet in (picture[:, :side], picture[:, side + 8 : -side - 8], picture[:, -side:]):
        # Digits cover a fifth of an MNIST image at most; nearly all the rest is black.
        assert 0.03 < (sheet > 200).mean() < 0.25
        assert (sheet < 20).mean() > 0.6
