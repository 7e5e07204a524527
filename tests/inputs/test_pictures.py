# SPDX-License-Identifier: MIT
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from egbas.errors import ConfigError, EgbasError
from egbas.inputs.pictures import find_picture
from egbas.network import Network


class Constant(nn.Module):
    """Images of a shape and range, which depend on the latent a little."""

    def __init__(self, shape: tuple[int, ...], image_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.shape, self.image_range = shape, image_range

    def forward(self, z: Tensor) -> Tensor:
        return (20 * z[:, :1]).expand(-1, int(np.prod(self.shape))).reshape(-1, *self.shape)


def network(*shape: int, image_range: tuple[float, float] | None = (0.0, 1.0)) -> Network:
    return Network(Constant(shape, image_range), (2,))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def grey(values: list[list[int]], mode: str = "L") -> Image.Image:
    return Image.fromarray(np.array(values, dtype=np.uint16 if mode == "I;16" else np.uint8))


@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_pixels_come_in_the_networks_range(limits: tuple[float, float]) -> None:
    grey([[0, 255], [51, 102]]).save("a.png")
    picture = find_picture("a.png", network(1, 2, 2, image_range=limits))
    low, high = limits
    expected = torch.tensor([[[0, 1], [0.2, 0.4]]]) * (high - low) + low
    torch.testing.assert_close(picture.image, expected)
    assert picture.notes == ()
    assert picture.name == "a.png"
    assert len(picture.sha256) == 64


def test_sixteen_bits_keep_their_steps() -> None:
    grey([[0, 65535], [257, 30000]], "I;16").save("a.png")
    found = find_picture("a.png", network(1, 2, 2)).image
    torch.testing.assert_close(found, torch.tensor([[[0, 1], [257 / 65535, 30000 / 65535]]]), atol=1e-6, rtol=0)
    assert find_picture("a.png", network(3, 2, 2)).image.shape == (3, 2, 2)


def test_colours_and_grey_become_what_the_network_has() -> None:
    Image.new("RGB", (2, 2), (255, 0, 0)).save("red.png")
    assert find_picture("red.png", network(3, 2, 2)).image[:, 0, 0].tolist() == [1, 0, 0]
    assert find_picture("red.png", network(1, 2, 2)).image[0, 0, 0] == pytest.approx(0.299, abs=0.01)
    grey([[0, 255], [0, 255]]).convert("P").save("p.png")
    assert find_picture("p.png", network(3, 2, 2)).image[:, 0, 1].tolist() == [1, 1, 1]


def test_flat_images_and_those_without_channels() -> None:
    grey([[255] * 8] * 8).save("a.png")
    assert find_picture("a.png", network(64)).image.tolist() == [1.0] * 64
    assert find_picture("a.png", network(8, 8)).image.shape == (8, 8)


def test_transparent_parts_are_black_and_told() -> None:
    picture = Image.new("RGBA", (2, 2), (255, 255, 255, 255))
    picture.save("opaque.png")
    assert find_picture("opaque.png", network(1, 2, 2)).notes == ()
    picture.putpixel((0, 0), (255, 255, 255, 0))
    picture.save("a.png")
    found = find_picture("a.png", network(1, 2, 2))
    assert found.image.tolist() == [[[0, 1], [1, 1]]]
    assert "transparent in parts, which are taken for black" in found.notes[0]


def test_another_size_is_cropped_to_its_middle_resized_and_told() -> None:
    wide = Image.new("L", (8, 4), 0)
    wide.paste(255, (2, 0, 6, 4))
    wide.save("wide.png")
    found = find_picture("wide.png", network(1, 2, 2))
    assert found.image.tolist() == [[[1, 1], [1, 1]]]
    assert found.notes == (
        "wide.png is 8 x 4; its middle, 4 x 4, is taken.",
        "It is shrunk from 4 x 4 to 2 x 2, the size of the network's images.",
    )
    assert "enlarged from 4 x 4 to 6 x 6" in find_picture("wide.png", network(1, 6, 6)).notes[1]


def test_a_turned_photograph_stands_upright_and_one_frame_is_taken() -> None:
    lying = grey([[0, 0], [255, 255]])
    exif = lying.getexif()
    exif[274] = 3  # turned by half
    lying.save("a.png", exif=exif)
    assert find_picture("a.png", network(1, 2, 2)).image.tolist() == [[[1, 1], [0, 0]]]
    frames = [Image.new("L", (2, 2), value) for value in (255, 0)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    found = find_picture("a.gif", network(1, 2, 2))
    assert float(found.image.mean()) == 1
    assert "2 frames" in found.notes[0]


def test_an_array_is_taken_as_it_is() -> None:
    values = np.linspace(-3, 3, 10, dtype=np.float32)
    np.save("a.npy", values)
    assert find_picture("a.npy", network(10, image_range=None)).image.tolist() == values.tolist()


def bad(name: str) -> Network:
    Image.new("L", (2, 2)).save("good.png")
    Path("text.png").write_text("no picture")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:40])
    np.save("wrong.npy", np.zeros(3))
    np.save("nan.npy", np.full((1, 2, 2), np.nan, dtype=np.float32))
    Image.fromarray(np.full((2, 2), 0.5, dtype=np.float32)).save("float.tiff")
    return {
        "video": network(3, 4, 2, 2),
        "two": network(2, 2, 2),
        "unknown": network(1, 2, 2, image_range=None),
    }.get(name, network(1, 2, 2))


@pytest.mark.parametrize(
    ("file", "of", "message"),
    [
        ("missing.png", "", "there is no such file"),
        (".", "", "there is no such file"),
        ("text.png", "", "the picture cannot be read"),
        ("cut.png", "", "the picture cannot be read"),
        ("wrong.npy", "", r"array of shape \(3,\); expected \(1, 2, 2\)"),
        ("nan.npy", "", "nan.npy holds NaN or infinite values; expected finite ones"),
        ("float.tiff", "", "no known black and white"),
        ("good.png", "video", "which is no image"),
        ("good.png", "two", "images of 2 channels are no pictures"),
        ("good.png", "unknown", "attribute image_range"),
    ],
)
def test_what_is_no_picture_is_told(file: str, of: str, message: str) -> None:
    with pytest.raises(EgbasError, match=message):
        find_picture(file, bad(of))


def test_a_folder_without_permission_or_a_name_too_long_is_told() -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|no such file"):
        find_picture("x" * 5000, network(1, 2, 2))
