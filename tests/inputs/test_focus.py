# SPDX-License-Identifier: MIT
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from egbas.errors import ConfigError
from egbas.inputs.focus import find_focus


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "box"),
    [("10,20,40,50", (10, 20, 40, 50)), (" 0, 0 ,2, 2", (0, 0, 2, 2)), ("-1,0,3,3", (-1, 0, 3, 3))],
)
def test_a_box_in_pixels(text: str, box: tuple[int, ...]) -> None:
    assert find_focus(text) == box  # whether it lies in the image is for explore to say


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_picture_counts_where_it_is_bright(suffix: str) -> None:
    picture = Image.new("L", (3, 2))
    for place, value in {(0, 0): 255, (2, 1): 128, (1, 1): 127}.items():  # x, y
        picture.putpixel(place, value)
    picture.save(f"mask.{suffix}")
    mask = find_focus(f"mask.{suffix}")
    assert isinstance(mask, Tensor) and mask.dtype == torch.bool
    assert mask.tolist() == [[True, False, False], [False, False, True]]


@pytest.mark.parametrize(("mode", "white"), [("1", 1), ("RGB", (255, 255, 255)), ("RGBA", (255, 255, 255, 255))])
def test_pictures_of_every_kind(mode: str, white: object) -> None:
    picture = Image.new(mode, (2, 1))
    picture.putpixel((1, 0), white)  # type: ignore[arg-type]
    picture.save("mask.png")
    mask = find_focus("mask.png")
    assert isinstance(mask, Tensor) and mask.tolist() == [[False, True]]


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "1;2;3;4", "a,b,c,d", "missing.png", "", ".", "1.5,0,2,2"])
def test_what_is_neither_a_box_nor_a_picture(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is neither a box x0,y0,x1,y1 in pixels nor a picture"):
        find_focus(text)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_pictures_that_cannot_be_read(here: Path, content: bytes) -> None:
    (here / "mask.png").write_bytes(content)
    with pytest.raises(ConfigError, match=r"mask\.png: the picture cannot be read"):
        find_focus("mask.png")


def test_a_picture_that_is_cut_off(here: Path) -> None:
    Image.effect_noise((64, 64), 90).save("mask.png")
    (here / "mask.png").write_bytes((here / "mask.png").read_bytes()[:1000])
    with pytest.raises(ConfigError, match="cannot be read"):
        find_focus("mask.png")


def test_a_picture_that_claims_to_be_huge(here: Path) -> None:
    Image.new("L", (4, 4), 255).save("mask.gif")
    content = bytearray((here / "mask.gif").read_bytes())
    content[6:10] = (60_000).to_bytes(2, "little") * 2  # its width and height
    (here / "mask.gif").write_bytes(content)
    with pytest.raises(ConfigError, match=r"mask\.gif: the picture cannot be read"):
        find_focus("mask.gif")


def test_sixteen_bits_and_transparency_are_read(tmp_path: Path) -> None:
    deep = np.array([[0, 300], [40000, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = find_focus(str(tmp_path / "deep.png"))
    assert isinstance(found, Tensor) and found.tolist() == [[False, False], [True, True]]
    clear = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    clear.putpixel((1, 0), (255, 255, 255, 255))
    clear.save(tmp_path / "clear.png")
    found = find_focus(str(tmp_path / "clear.png"))
    assert isinstance(found, Tensor) and found.tolist() == [[False, True]]
