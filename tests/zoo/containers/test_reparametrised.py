# SPDX-License-Identifier: MIT
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from egbas.errors import CheckpointError
from egbas.zoo.containers.content import open_content


def layers() -> list[nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [
            nn.Linear(5, 3),
            nn.Conv2d(3, 4, 3),
            nn.Conv2d(4, 4, 3),
            nn.ConvTranspose2d(3, 5, 4),
            nn.ConvTranspose2d(4, 4, 4),
        ]


def old_spectral(layer: nn.Module) -> nn.Module:
    return nn.utils.spectral_norm(layer)


def old_weight(layer: nn.Module) -> nn.Module:
    return nn.utils.weight_norm(layer)


def whole_weight(layer: nn.Module) -> nn.Module:
    return parametrizations.weight_norm(layer, dim=None)


def second_weight(layer: nn.Module) -> nn.Module:
    return parametrizations.weight_norm(layer, dim=1)


def pruned(layer: nn.Module) -> nn.Module:
    return prune.random_unstructured(layer, "weight", 0.4)


WRAPPERS = [
    old_spectral,
    parametrizations.spectral_norm,
    old_weight,
    parametrizations.weight_norm,
    whole_weight,
    second_weight,
    pruned,
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("wrap", WRAPPERS, ids=lambda wrap: wrap.__name__)
@pytest.mark.parametrize("number", range(5))
def test_the_weight_is_that_of_torch_in_eval_mode(
    tmp_path: Path, number: int, wrap: Callable[[nn.Module], nn.Module], trained: bool
) -> None:
    layer = wrap(layers()[number])
    x = torch.ones(1, 5) if number == 0 else torch.ones(1, getattr(layer, "in_channels"), 6, 6)  # noqa: B009
    if trained:
        layer.train()(x)  # moves the vectors of a spectral norm
    layer.eval()(x)
    torch.save({f"a.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        assert sorted(content.generator) == ["a.bias", "a.weight"]
        found = content.generator["a.weight"].load("a.weight", transposed=isinstance(layer, nn.ConvTranspose2d))
    weight = layer.weight
    assert isinstance(weight, Tensor)
    assert torch.equal(found, weight.detach())


def test_the_weight_that_old_versions_kept_is_taken(tmp_path: Path) -> None:
    """torch before 1.0 had no ``weight_v``."""
    parts = {"a.weight": torch.ones(2, 3), "a.weight_orig": torch.zeros(2, 3), "a.weight_u": torch.zeros(2)}
    torch.save(parts, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        assert list(content.generator) == ["a.weight"]
        assert torch.equal(content.generator["a.weight"].load("a.weight"), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"weight_orig": (2, 3), "weight_u": (4,), "weight_v": (3,)}, "spectral norm has vectors"),
        ({"weight_orig": (2, 3), "weight_u": (2,), "weight_v": (4,)}, "spectral norm has vectors"),
        ({"weight_orig": (2,), "weight_u": (2,), "weight_v": (1,)}, "spectral norm has vectors"),
        ({"weight_g": (3, 1), "weight_v": (2, 3)}, "weight norm has lengths"),
        ({"weight_g": (2,), "weight_v": (2, 3)}, "weight norm has lengths"),
        ({"weight_g": (2, 3), "weight_v": (2, 3)}, "weight norm has lengths"),
        ({"weight_orig": (2, 3), "weight_mask": (3, 2)}, "mask has shape"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, parts: dict[str, tuple[int, ...]], message: str) -> None:
    torch.save({name: torch.ones(shape) for name, shape in parts.items()}, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content, pytest.raises(CheckpointError, match=message):
        content.generator["weight"].load("weight")


@pytest.mark.parametrize(
    "names",
    [
        ["a.weight_orig"],
        ["a.weight_u", "a.weight_v"],
        ["a.parametrizations.weight.original", "a.parametrizations.weight.0.other"],
        ["a.parametrizations.weight.original", "a.parametrizations.weight.0._u", "a.parametrizations.weight.1._u"],
    ],
)
def test_other_parts_stay_as_they_are(tmp_path: Path, names: list[str]) -> None:
    torch.save(dict.fromkeys(names, torch.ones(2)), tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        assert sorted(content.generator) == sorted(names)


def test_nan_in_a_part_is_told(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = nn.utils.weight_norm(nn.Linear(2, 2))
    state = layer.state_dict() | {"weight_g": torch.full((2, 1), float("nan"))}
    torch.save(state, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content, pytest.raises(CheckpointError, match=r"weight_g.*NaN"):
        content.generator["weight"].load("weight")
