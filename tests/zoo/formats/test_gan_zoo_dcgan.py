# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.reference import Draw, agree, load, lrelu

WIDTHS = (8, 6, 4)  # at 4, 8 and 16 pixels; the images have 32


def norm(draw: Draw, name: str, c: int) -> dict[str, Tensor]:
    parts = {"weight": draw(c), "bias": draw(c), "running_mean": draw(c), "running_var": draw(c).abs() + 0.5}
    named = {f"{name}.{part}": value for part, value in parts.items()}
    return named | {f"{name}.num_batches_tracked": torch.tensor(12)}


def generator_layout(seed: int = 0) -> dict[str, Tensor]:
    draw = Draw(seed)
    state = {"formatLayer.weight": draw(7, 8, 4, 4) / 3} | norm(draw, "main.batchNorm0", 8)
    for i in (1, 2):
        state[f"main.convTranspose{i}.weight"] = draw(WIDTHS[i - 1], WIDTHS[i], 4, 4) / 4
        state |= norm(draw, f"main.batchNorm{i}", WIDTHS[i])
    return state | {"main.outlayer.weight": draw(4, 3, 4, 4) / 8}


def critic_layout() -> dict[str, Tensor]:
    """Despite their names these are convolutions."""
    draw = Draw(5)
    state = {"main.convTranspose2.weight": draw(4, 3, 4, 4) / 7}
    for i in (1, 0):
        state[f"main.convTranspose{i}.weight"] = draw(WIDTHS[i], WIDTHS[i + 1], 4, 4) / 9
        state |= norm(draw, f"main.batchNorm{i}", WIDTHS[i])
    return state | {"decisionLayer.weight": draw(1, 8, 4, 4) / 11}


def batch_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    w, b, mean, var = (
        state[f"{name}.{part}"].view(-1, 1, 1) for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * w + b


def original(state: dict[str, Tensor], bounded: bool, z: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres = [batch_norm(state, "main.batchNorm0", F.conv_transpose2d(z, state["formatLayer.weight"]))]
    for i in (1, 2):
        x = F.conv_transpose2d(pres[-1].clamp(min=0), state[f"main.convTranspose{i}.weight"], stride=2, padding=1)
        pres.append(batch_norm(state, f"main.batchNorm{i}", x))
    x = F.conv_transpose2d(pres[-1].clamp(min=0), state["main.outlayer.weight"], stride=2, padding=1)
    return (torch.tanh(x) if bounded else x), pres


def original_critic(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    pres = [F.conv2d(x, state["main.convTranspose2.weight"], stride=2, padding=1)]
    for i in (1, 0):
        x = F.conv2d(lrelu(pres[-1]), state[f"main.convTranspose{i}.weight"], stride=2, padding=1)
        pres.append(batch_norm(state, f"main.batchNorm{i}", x))
    return F.conv2d(lrelu(pres[-1]), state["decisionLayer.weight"]), pres


def test_both_networks_compute_what_the_original_does(tmp_path: Path) -> None:
    saved = {"config": {"lossCriterion": "DCGAN"}, "netG": generator_layout(), "netD": critic_layout()}
    saved["avgG"] = generator_layout(seed=3)
    torch.save(saved, tmp_path / "m.pt")
    parts, generator, discriminator = load(tmp_path / "m.pt", "pytorch_GAN_zoo-dcgan")
    assert parts.latent.shape == (7, 1, 1)
    assert parts.generator.config.channels == WIDTHS
    assert discriminator is not None
    agree(generator, Draw(1)(5, 7, 1, 1), lambda z: original(saved["avgG"], True, z))
    agree(discriminator, Draw(2)(5, 3, 32, 32), lambda x: original_critic(saved["netD"], x))


def test_a_wasserstein_loss_leaves_the_images_unbounded(tmp_path: Path) -> None:
    state = generator_layout()
    torch.save({"config": {"lossCriterion": "WGANGP"}, "netG": state}, tmp_path / "m.pt")
    agree(load(tmp_path / "m.pt", "pytorch_GAN_zoo-dcgan")[1], Draw(1)(5, 7, 1, 1), lambda z: original(state, False, z))


def test_labels_are_an_input(tmp_path: Path) -> None:
    state = generator_layout()
    torch.save({"config": {"categoryVectorDim": 2}, "netG": state, "netD": critic_layout()}, tmp_path / "m.pt")
    parts, generator, critic = load(tmp_path / "m.pt", "pytorch_GAN_zoo-dcgan")
    assert parts.latent.shape == (5, 1, 1) and critic is None
    z = Draw(1)(5, 5, 1, 1)
    both = torch.cat([z, torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(5, 2, 1, 1)], dim=1)
    torch.testing.assert_close(generator(z, torch.zeros(5, dtype=torch.int64)), original(state, True, both)[0])


def test_labels_that_are_not_told_are_refused(tmp_path: Path) -> None:
    torch.save({"config": {"attribKeysOrder": {"Gender": 0}}, "netG": generator_layout()}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="conditional"):
        read_checkpoint(tmp_path / "m.pt")
