# SPDX-License-Identifier: MIT
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import (
    Draw,
    agree,
    double,
    four_shifts,
    halve,
    load,
    lrelu,
    pixel_norm,
    strided_deviation,
)

WIDTHS = (6, 5, 4)  # at 4, 8 and 16 pixels
Variables = dict[str, Tensor]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes what the original pickles, a ``tfutil.Network`` with its variables and its source code."""
    monkeypatch.setitem(sys.modules, "tfutil", types.ModuleType("tfutil"))

    class Network:
        def __init__(self, state: dict[str, Any]) -> None:
            self.state = state

        def __getstate__(self) -> dict[str, Any]:
            return self.state

    Network.__module__, Network.__qualname__ = "tfutil", "Network"
    monkeypatch.setattr(sys.modules["tfutil"], "Network", Network, raising=False)

    def make(variables: Variables, **settings: Any) -> Any:
        state = {"version": 2, "name": "G", "build_module_src": "raise SystemExit('run')", "build_func_name": "G_paper"}
        state["static_kwargs"] = {"resolution": 16, "label_size": 0} | settings
        state["variables"] = [(name, value.numpy()) for name, value in variables.items()]
        return Network(state)

    return make


def generator_layout(fused: bool, seed: int = 0) -> Variables:
    draw = Draw(seed)
    state = {"lod": torch.tensor(0.0), "4x4/Dense/weight": draw(7, 16 * 6), "4x4/Dense/bias": draw(6)}
    state |= {"4x4/Conv/weight": draw(3, 3, 6, 6), "4x4/Conv/bias": draw(6)}
    for r, before, c in ((8, 6, 5), (16, 5, 4)):
        up = f"{r}x{r}/Conv0_up" if fused else f"{r}x{r}/Conv0"
        state |= {f"{up}/weight": draw(3, 3, *((c, before) if fused else (before, c))), f"{up}/bias": draw(c)}
        state |= {f"{r}x{r}/Conv1/weight": draw(3, 3, c, c), f"{r}x{r}/Conv1/bias": draw(c)}
    for lod, c in enumerate(reversed(WIDTHS)):
        state |= {f"ToRGB_lod{lod}/weight": draw(1, 1, c, 3), f"ToRGB_lod{lod}/bias": draw(3)}
    return state


def critic_layout(fused: bool, label: int = 0) -> Variables:
    """9 features."""
    draw, state = Draw(5), {"lod": torch.tensor(0.0)}
    for lod, c in enumerate(reversed(WIDTHS)):
        state |= {f"FromRGB_lod{lod}/weight": draw(1, 1, 3, c), f"FromRGB_lod{lod}/bias": draw(c)}
    for r, c, after in ((16, 4, 5), (8, 5, 6)):
        down = f"{r}x{r}/Conv1_down" if fused else f"{r}x{r}/Conv1"
        state |= {f"{r}x{r}/Conv0/weight": draw(3, 3, c, c), f"{r}x{r}/Conv0/bias": draw(c)}
        state |= {f"{down}/weight": draw(3, 3, c, after), f"{down}/bias": draw(after)}
    state |= {"4x4/Conv/weight": draw(3, 3, 7, 6), "4x4/Conv/bias": draw(6)}
    state |= {"4x4/Dense0/weight": draw(16 * 6, 9), "4x4/Dense0/bias": draw(9)}
    return state | {"4x4/Dense1/weight": draw(9, 1 + label), "4x4/Dense1/bias": draw(1 + label)}


def conv(state: Variables, name: str, x: Tensor, gain: float = 2**0.5, bias: bool = True) -> Tensor:
    """TensorFlow's SAME convolution with a kernel (k, k, in, out)."""
    w = state[f"{name}/weight"]
    w = w * gain / np.prod(w.shape[:3]) ** 0.5
    x = F.conv2d(x, w.permute(3, 2, 0, 1), padding=w.shape[0] // 2)
    return x + state[f"{name}/bias"].view(-1, 1, 1) if bias else x


def conv_up(state: Variables, name: str, x: Tensor) -> Tensor:
    """TensorFlow's conv2d_transpose with a kernel (k, k, out, in) of four shifts, stride 2, SAME."""
    w = state[f"{name}/weight"]
    kernel = four_shifts((w * 2**0.5 / (9 * w.shape[3]) ** 0.5).permute(3, 2, 0, 1))  # (in, out, 4, 4)
    return F.conv_transpose2d(x, kernel, state[f"{name}/bias"], stride=2, padding=1)


def conv_down(state: Variables, name: str, x: Tensor) -> Tensor:
    """Convolution with a kernel of four shifts over 4, stride 2; the bias comes last."""
    w = state[f"{name}/weight"]
    kernel = four_shifts((w * 2**0.5 / (9 * w.shape[2]) ** 0.5).permute(3, 2, 0, 1)) / 4
    return F.conv2d(x, kernel, state[f"{name}/bias"], stride=2, padding=1)


def original(state: Variables, normalize: bool, z: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = pixel_norm(z) if normalize else z
    x = (x @ (state["4x4/Dense/weight"] * 2**0.5 / 4 / 7**0.5)).reshape(-1, 6, 4, 4)
    pres = [x + state["4x4/Dense/bias"].view(-1, 1, 1)]
    pres.append(conv(state, "4x4/Conv", pixel_norm(lrelu(pres[-1]))))
    for r in (8, 16):
        x = pixel_norm(lrelu(pres[-1]))
        is_fused = f"{r}x{r}/Conv0_up/weight" in state
        pres.append(conv_up(state, f"{r}x{r}/Conv0_up", x) if is_fused else conv(state, f"{r}x{r}/Conv0", double(x)))
        pres.append(conv(state, f"{r}x{r}/Conv1", pixel_norm(lrelu(pres[-1]))))
    return conv(state, "ToRGB_lod0", pixel_norm(lrelu(pres[-1])), gain=1), pres


def original_critic(state: Variables, size: int, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres = [conv(state, "FromRGB_lod0", x)]
    x = lrelu(pres[-1])
    for r in (16, 8):
        pres.append(conv(state, f"{r}x{r}/Conv0", x))
        if f"{r}x{r}/Conv1_down/weight" in state:
            pres.append(conv_down(state, f"{r}x{r}/Conv1_down", lrelu(pres[-1])))
            x = lrelu(pres[-1])
        else:
            pres.append(conv(state, f"{r}x{r}/Conv1", lrelu(pres[-1])))
            x = halve(lrelu(pres[-1]))
    pres.append(conv(state, "4x4/Conv", strided_deviation(x, size)))
    w, b = state["4x4/Dense0/weight"], state["4x4/Dense0/bias"]
    pres.append(lrelu(pres[-1]).flatten(1) @ (w * 2**0.5 / len(w) ** 0.5) + b)
    w, b = state["4x4/Dense1/weight"], state["4x4/Dense1/bias"]
    return lrelu(pres[-1]) @ (w / len(w) ** 0.5) + b, pres


def save(path: Path, content: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("fused", [False, True])
def test_both_networks_compute_what_the_original_does(
    tmp_path: Path, network: Callable[..., Any], fused: bool, protocol: int
) -> None:
    smooth, critic = generator_layout(fused, seed=3), critic_layout(fused)
    three = (network(generator_layout(fused)), network(critic), network(smooth))
    parts, generator, discriminator = load(save(tmp_path / "n.pkl", three, protocol), "tkarras")
    assert parts.facts["fused_scale"] is fused
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7), lambda z: original(smooth, True, z))
    agree(discriminator, Draw(2)(5, 3, 16, 16), lambda x: original_critic(critic, 4, x), one_by_one=True)


@pytest.mark.parametrize("size", [4, 16])
def test_the_discriminator_in_training_takes_strided_groups(
    tmp_path: Path, network: Callable[..., Any], size: int
) -> None:
    critic = critic_layout(True)
    three = (network(generator_layout(True)), network(critic, mbstd_group_size=size), network(generator_layout(True)))
    discriminator = load(save(tmp_path / "n.pkl", three), "tkarras")[2]
    assert discriminator is not None
    agree(discriminator.train(), Draw(2)(32, 3, 16, 16), lambda x: original_critic(critic, size, x))


def test_gs_alone_without_normalised_latents_and_in_fortran_order(tmp_path: Path, network: Callable[..., Any]) -> None:
    smooth = generator_layout(False)
    alone = network(smooth, normalize_latents=False)
    alone.state["variables"] = [(name, np.asfortranarray(value)) for name, value in alone.state["variables"]]
    parts, generator, discriminator = load(save(tmp_path / "n.pkl", alone), "tkarras")
    assert discriminator is None
    assert not parts.generator.config.latent_norm
    agree(generator, Draw(1)(5, 7), lambda z: original(smooth, False, z))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_wscale": False}, "use_wscale=False"),
        ({"label_size": 7}, "label_size is 7, and the first layer takes 7 values"),
        ({"use_pixelnorm": False}, "use_pi"),
    ],
)
def test_settings_that_are_not_read_are_refused(
    tmp_path: Path, network: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(save(tmp_path / "n.pkl", network(generator_layout(True), **settings)))


def test_other_networks_are_refused(tmp_path: Path, network: Callable[..., Any]) -> None:
    growing = network(generator_layout(True) | {"lod": torch.tensor(3.0)})
    theano = network({})
    theano.state = {"build_func_spec": {"func": "G_paper"}, "param_values": []}
    empty = network(generator_layout(True) | {"lod": torch.zeros(0)})
    odd = {name.replace("16x16", "12x12"): value for name, value in generator_layout(True).items()}
    for content, message in {
        growing: "still growing",
        empty: r"'lod' of the generator has shape \(0,\)",
        theano: "Theano version",
        network(critic_layout(True)): "no generator",
        network(odd): "up to 12 pixels",
        network({k: v for k, v in generator_layout(True).items() if "8x8/Conv1" not in k}): "missing: 8x8/Conv1/bias",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            read_checkpoint(save(tmp_path / "n.pkl", content))


def test_labels_stand_behind_the_latent(tmp_path: Path, network: Callable[..., Any]) -> None:
    smooth, critic = generator_layout(True), critic_layout(True, label=3)
    two = (network(critic, label_size=3), network(smooth, label_size=3))
    parts, generator, discriminator = load(save(tmp_path / "n.pkl", two), "tkarras")
    assert parts.latent.shape == (4,) and discriminator is not None
    z, label = Draw(1)(5, 4), torch.tensor([0, 1, 2, 1, 0])
    both = torch.cat([z, torch.eye(3)[label]], dim=1)
    torch.testing.assert_close(generator(z, label), original(smooth, True, both)[0], rtol=1e-4, atol=1e-4)
    x = Draw(2)(1, 3, 16, 16)
    expected = original_critic(critic, 4, x)[0][:, :1]
    torch.testing.assert_close(discriminator(x).reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_a_conditional_discriminator_is_refused(tmp_path: Path, network: Callable[..., Any]) -> None:
    two = (network(critic_layout(True, label=2)), network(generator_layout(True)))
    with pytest.raises(CheckpointError, match="conditional"):
        read_checkpoint(save(tmp_path / "n.pkl", two))
