# SPDX-License-Identifier: MIT
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from egbas.errors import CheckpointError
from egbas.zoo.containers.content import open_content
from egbas.zoo.containers.networks import (
    MAX_NODES,
    bare,
    discriminator_of,
    find_networks,
    is_discriminator,
    module_state,
    ranked,
    words,
)
from egbas.zoo.containers.standins import Foreign, foreign
from egbas.zoo.containers.stored import Ledger, StoredTensor
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import Draw, agree, load
from tests.zoo.formats.test_examples_dcgan import networks
from tests.zoo.formats.test_gandissect import layout, original


def under(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in state.items()}


def other(factor: int) -> dict[str, Tensor]:
    """Another network of the same format."""
    return {name: value / (1 + factor) for name, value in layout().items()}


OTHER = {"a.weight": torch.zeros(2, 2)}
TRAININGS: dict[str, tuple[dict[str, Any], str]] = {
    "any names": ({"epoch": 3, "netG_state_dict": layout(), "opt": {"state": {}, "param_groups": []}}, "netG"),
    "a name of no kind": ({"epoch": 3, "weights_at_best_fid": layout(), "disc": OTHER}, "weights_at_best_fid"),
    "deeper": ({"models": {"gen": {"state_dict": layout()}, "dis": {"state_dict": OTHER}}, "n": 1}, "models.gen"),
    "in a list": ({"models": [layout(), OTHER]}, "models.0"),
    "a moving average of another name": ({"net": other(3), "net_ema": layout()}, "net_ema"),
    "a moving average of a usual one": ({"netG": other(3), "netG_ema": layout()}, "netG_ema"),
    "lightning": ({"state_dict": under("generator", layout()) | under("discriminator", OTHER)}, "generator"),
    "lightning, other names": (
        {"state_dict": under("netG", layout()) | under("netD", OTHER) | under("vgg", OTHER)},
        "netG",
    ),
    "parallel and compiled": ({"net": under("module._orig_mod", layout())}, "net"),
    "swa": ({"swa_model": {"n_averaged": torch.tensor(3)} | under("module", layout())}, "swa_model"),
    "under a number": ({0: layout(), 1: OTHER | {"b.bias": torch.zeros(2)}}, "0"),
    "with a buffer for samples": (
        {"g": {"fixed_noise": torch.zeros(4, 7), "global_step": torch.tensor(3)} | layout(), "d": OTHER},
        "g",
    ),
    "a part of a network": ({"model": under("decoder", layout()) | under("encoder", OTHER)}, "model.decoder"),
    "beside the moments of Adam": (
        {"g": layout(), "optim": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1}]}},
        "g",
    ),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_the_generator_of_a_training_is_found(tmp_path: Path, name: str) -> None:
    saved, expected = TRAININGS[name]
    torch.save(saved, tmp_path / "x.pth")
    parts, generator, _ = load(tmp_path / "x.pth", "gandissect")
    assert parts.facts["weights_of"] == expected
    agree(generator, Draw(1)(2, 7), lambda z: original(layout(), z))


def test_several_generators_are_named_and_a_key_chooses(tmp_path: Path) -> None:
    torch.save({"G_AB": other(1), "G_BA": other(2), "D_A": OTHER, "D_B": OTHER}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"2 networks.*'G_AB' \(gandissect\), 'G_BA' \(gandissect\).*--key G_AB"):
        read_checkpoint(tmp_path / "x.pth")
    for key, seed in (("G_AB", 1), ("G_BA", 2)):
        _, blueprints = read_checkpoint(tmp_path / "x.pth", key=key)
        assert blueprints.facts["weights_of"] == key
        assert torch.equal(blueprints.generator.weights["conv2.bias"], other(seed)["layer2.wscale.b"])


def test_a_key_reaches_what_comes_second_and_what_lies_inside(tmp_path: Path) -> None:
    torch.save({"ema": other(1), "netG": other(2), "all": under("inner", other(3)) | OTHER}, tmp_path / "x.pth")
    for key, seed in (("netG", 2), ("all.inner", 3)):
        _, blueprints = read_checkpoint(tmp_path / "x.pth", key=key)
        assert torch.equal(blueprints.generator.weights["conv2.bias"], other(seed)["layer2.wscale.b"])
    with pytest.raises(CheckpointError, match=r"no network 'G' in it.*ema \(\d+ tensors\), netG"):
        read_checkpoint(tmp_path / "x.pth", key="G")
    with pytest.raises(CheckpointError, match=r"its 1 tensors \(a\.weight"):
        torch.save({"x": OTHER, "netG": layout()}, tmp_path / "y.pth")
        read_checkpoint(tmp_path / "y.pth", key="x")


def test_an_averaged_model_is_that_which_it_averages(tmp_path: Path) -> None:
    generator, _ = networks()
    torch.save(AveragedModel(generator).state_dict(), tmp_path / "x.pth")
    agree(load(tmp_path / "x.pth", "pytorch-examples-dcgan")[1], Draw(1)(5, 9, 1, 1), generator)


def test_names_are_stripped_of_what_wraps_them() -> None:
    ledger = Ledger(limit=9)
    one = StoredTensor(shape=(), dtype=torch.float32, read=lambda: torch.zeros(()), ledger=ledger)
    assert list(bare({"module.a.b": one, "module.a.c": one})) == ["a.b", "a.c"]
    assert list(bare({"n_averaged": one})) == ["n_averaged"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("netG", {"net", "g"}),
        ("G_ema", {"g", "ema"}),
        ("discriminator1", {"discriminator"}),
        ("d1", set()),
        ("modelD", {"model", "d"}),
    ],
)
def test_words_of_a_name(name: str, expected: set[str]) -> None:
    assert words(name) == expected


def test_roles_are_told_by_words() -> None:
    assert [
        name for name in ("netD", "D_A", "critic", "model.dis", "decoder", "d1", "G") if is_discriminator(name)
    ] == [
        "netD",
        "D_A",
        "critic",
        "model.dis",
    ]
    order = [name for names in ranked(["other", "gen_2", "netG", "ema", "D", "net_avg"]) for name in names]
    assert order == ["ema", "net_avg", "netG", "gen_2", "other"]


@pytest.mark.parametrize(
    ("generator", "names", "expected"),
    [
        ("netG", ["netG", "netD"], "netD"),
        ("G", ["G", "critic"], "critic"),
        ("a.gen", ["a.gen", "a.dis", "b.dis"], "a.dis"),
        ("G_AB", ["G_AB", "D_A", "D_B"], None),
        ("netD", ["netG", "netD"], None),
    ],
)
def test_the_discriminator_of_a_generator(generator: str, names: list[str], expected: str | None) -> None:
    assert discriminator_of(generator, names) == expected


def test_more_parts_than_any_training_has_are_refused() -> None:
    with pytest.raises(CheckpointError, match="parts"):
        find_networks([{"x": {}} for _ in range(MAX_NODES)])


def test_networks_of_one_name_are_kept_apart_and_long_names_cost_little() -> None:
    ledger = Ledger(limit=9)
    one = StoredTensor(shape=(), dtype=torch.float32, read=lambda: torch.zeros(()), ledger=ledger)
    found = find_networks({"a": {"b": {"x": one}}, "a.b": {"y": one}})
    assert {name: list(state) for name, state in found.states.items()} == {"a.b": ["y"], "a.b'": ["x"]}
    with pytest.raises(CheckpointError, match="more than the file holds"):
        find_networks({"n" * 10**6: [{"z": one} for _ in range(11)]})
    kind = foreign("mine", "Net")
    inner: Any = None
    for _ in range(20):
        outer: Any = kind()
        outer.state = {"_parameters": {"w": one}, "_modules": {} if inner is None else {"n" * 10**6: inner}}
        inner = outer
    with pytest.raises(CheckpointError, match="more than the file holds"):
        module_state(inner)


def test_a_module_that_holds_itself_is_refused() -> None:
    kind = foreign("mine", "Net")
    one = kind()
    assert isinstance(one, Foreign)
    one.state = {"_parameters": {}, "_buffers": {}, "_modules": {"a": one, "b": one}}
    with pytest.raises(CheckpointError, match="more parts than any network"):
        module_state(one)


def test_the_state_of_a_whole_module_is_its_state_dict(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Sequential(nn.Linear(3, 1)))
    net.register_buffer("passing", torch.zeros(1), persistent=False)
    for zipped in (True, False):
        torch.save({"net": net}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        with open_content(tmp_path / "x.pth") as content:
            assert list(content.generator) == list(net.state_dict())
            for name, value in net.state_dict().items():
                assert torch.equal(content.generator[name].load_stored(name), value)
