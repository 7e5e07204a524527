# SPDX-License-Identifier: MIT
import base64
import io

import numpy as np
import torch
from PIL import Image

from egbas.figures import Drawing
from egbas.report.encode import LARGEST_PICTURE, chart, picture


def decoded(url: str) -> Image.Image:
    assert url.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_a_small_image_keeps_every_pixel() -> None:
    image = torch.tensor([[[-1.0, 1.0], [0.0, 1.0]]])
    assert np.asarray(decoded(picture(image, (-1.0, 1.0)))).tolist() == [[0, 255], [128, 255]]


def test_a_large_image_is_shown_smaller() -> None:
    assert decoded(picture(torch.zeros(3, 512, 1024), (0.0, 1.0))).size == (LARGEST_PICTURE, LARGEST_PICTURE // 2)


def test_a_drawing_is_svg() -> None:
    drawing = Drawing(width=20, height=10)
    kind, content = chart(drawing).split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content).decode() == drawing.svg()
