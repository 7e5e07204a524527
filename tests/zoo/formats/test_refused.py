# SPDX-License-Identifier: MIT
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint

ONE = torch.zeros(1)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"avgG": {"baseScale0": ONE, "mapping.FC.0.module.weight": ONE}}, "a StyleGAN of pytorch_GAN_zoo"),
        ({"progression.0.conv.0.conv.weight_orig": ONE}, "of rosinality, whose latent takes labels"),
        ({"synthesis.b4.const": ONE, "mapping.fc0.weight": ONE}, "a StyleGAN2 of NVlabs"),
        ({"synthesis.input.weight": ONE, "synthesis.L0_36_512.weight": ONE}, "a StyleGAN3 of NVlabs"),
        ({"g_ema": {"style.1.weight": ONE, "convs.0.conv.weight": ONE}}, "a StyleGAN2 of rosinality"),
        ({"decoder.layers.0.weight": ONE}, "AutoencoderTiny"),
        ({"decoder.conv_in.weight": ONE}, "AutoencoderKL"),
        ({"netD": {"main.0.weight": ONE}}, "a discriminator and no generator"),
        ({"a.weight": ONE, "b.weight": ONE}, r"its 2 tensors \(a\.weight, b\.weight, \.\.\.\) are of no format"),
        ({}, "no named tensors"),
        ({10**5000: 1, 7: 2, "epoch": 3}, r"\(a dict with a huge number, 7, epoch\)"),
    ],
)
def test_what_is_not_read_is_told_with_what_to_do(tmp_path: Path, saved: dict, message: str) -> None:
    torch.save(saved, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=rf"x\.pth: .*{message}") as refused:
        read_checkpoint(tmp_path / "x.pth")
    if "which egbas does not read" in message or "of rosinality" in message:  # its tensors, and what explores it
        assert "egbas.load_weights(" in str(refused.value) and "one number" not in str(refused.value)
    assert any(word in str(refused.value) for word in ("--model", "expected", "give it"))


def test_whole_pickled_networks_are_refused(tmp_path: Path) -> None:
    for zipped in (False, True):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*whole pickled network"):
            read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whole_pickled_networks_of_plain_pickle_are_refused(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(torch.nn.Linear(2, 2), protocol=protocol))
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*whole pickled network"):
        read_checkpoint(tmp_path / "x.pkl")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_pickles_of_nvlabs_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    def run(_: Any) -> None:
        raise SystemExit("run")

    home = types.ModuleType("torch_utils.persistence")
    run.__module__, run.__qualname__ = home.__name__, "_reconstruct_persistent_obj"
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, home.__name__, home)
    monkeypatch.setattr(home, "_reconstruct_persistent_obj", run, raising=False)

    class Network:
        """Written as ``torch_utils.persistence`` does it: one call, with the source code and the state."""

        def __reduce__(self) -> tuple[Any, ...]:
            state = {"training": False, "_non_persistent_buffers_set": {"a"} if protocol > 3 else None}
            meta = {"type": "class", "version": 6, "module_src": "raise SystemExit('run')", "state": state}
            return run, (meta,)

    content: dict[str, Any] = {"training_set_kwargs": {"path": "x.zip"}, "augment_pipe": None}
    content |= {"tags": {"a", "b"}} if protocol > 3 else {}
    content |= {name: Network() for name in ("G", "D", "G_ema")}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(CheckpointError, match=r"StyleGAN2-ADA or StyleGAN3 pickle of NVlabs.*--model package"):
        read_checkpoint(tmp_path / "x.pkl")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch discourages what is tested to be refused
def test_torchscript_is_refused(tmp_path: Path) -> None:
    with torch.no_grad():
        traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    traced.save(str(tmp_path / "x.pt"))
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "x.pt")
