# SPDX-License-Identifier: MIT
"""The original PGGAN (Karras et al. 2018): pickles of TensorFlow networks, (G, D, Gs) with Gs the moving average.

The pickle has each network's variables, and the source code of its class, which its own loader runs and which is
not looked at here. Kernels are (k, k, in, out), fused upsampling ones (k, k, out, in); fused layers pool before
the activation, others after it. Labels stand behind the latent, one-hot, and all of that is normalised together.
"""

import math
from typing import Any

from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, latent_shape, normal
from egbas.zoo.containers.arrays import Array
from egbas.zoo.containers.content import Content
from egbas.zoo.containers.standins import TfNetwork
from egbas.zoo.containers.stored import Ledger
from egbas.zoo.formats.labels import labelled
from egbas.zoo.formats.pggan import CriticLayers, Deviation, pggan_critic, pggan_generator
from egbas.zoo.formats.tensors import RELU_GAIN, Conv, Tensors, fold, from_transposed

NAME = "tkarras"
EXPECTED = {"use_wscale": True, "use_pixelnorm": True, "use_leakyrelu": True}


def matches(content: Content) -> bool:
    """Whether a network of the original is in it."""
    return bool(_networks(content))


def read(content: Content) -> Blueprints:
    """Read Gs and D of (G, D, Gs).

    Raises:
        CheckpointError: the file is of the Theano version, or has no generator, or a setting is unknown.
    """
    ledger = Ledger(limit=2 * content.path.stat().st_size)
    generator = discriminator = None
    facts: dict[str, Any] = {}
    for network in _networks(content):
        state = _state(network)
        settings = state.get("static_kwargs")
        settings = settings if isinstance(settings, dict) else {}
        tensors = _variables(state, ledger)
        if "4x4/Dense/weight" in tensors.stored:  # the last one is Gs, the moving average
            generator = (tensors, settings)
        elif "4x4/Dense0/weight" in tensors.stored:
            discriminator = (tensors, settings)
    if generator is None:
        raise CheckpointError("it has no generator; expected a pickle of (G, D, Gs) or of Gs")
    blueprint = _generator(*generator)
    facts["fused_scale"] = "8x8/Conv0_up/weight" in generator[0].stored
    return Blueprints(
        generator=blueprint,
        discriminator=_critic(*discriminator) if discriminator else None,
        latent=normal(*latent_shape(blueprint)),
        facts=facts,
    )


def _networks(content: Content) -> list[TfNetwork]:
    tree = content.tree
    return [item for item in (tree if isinstance(tree, tuple | list) else [tree]) if isinstance(item, TfNetwork)]


def _state(network: TfNetwork) -> dict[Any, Any]:
    state = network.state
    if not isinstance(state, dict):
        raise CheckpointError("a network in it has no state; the file is damaged")
    if "version" not in state and "param_values" in state:
        raise CheckpointError(
            "it is of the first, Theano version of the original PGGAN, which egbas does not read; "
            "load and save it once with the TensorFlow version (its legacy.py converts it), "
            "or take one of the published PyTorch files"
        )
    return state


def _variables(state: dict[Any, Any], ledger: Ledger) -> Tensors:
    listed = state.get("variables")
    pairs = listed if isinstance(listed, list | tuple) else []
    named = {
        pair[0]: pair[1].stored(ledger)
        for pair in pairs
        if isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Array)
    }
    what = "discriminator" if "4x4/Dense0/weight" in named else "generator"
    return Tensors(stored=named, what=what)


def _generator(tensors: Tensors, settings: dict[Any, Any]) -> Blueprint:
    _check_settings(tensors, settings)
    n = _resolutions(tensors)
    fused = "8x8/Conv0_up" if n > 1 and "8x8/Conv0_up/weight" in tensors.stored else ""
    ups = ["Conv0_up" if fused else "Conv0"] * (n - 1)
    sides = [2 ** (k + 3) for k in range(n - 1)]
    layers = ["4x4/Conv", *(f"{r}x{r}/{name}" for r, up in zip(sides, ups, strict=True) for name in (up, "Conv1"))]
    needed = [f"{layer}/{name}" for layer in ("4x4/Dense", *layers, "ToRGB_lod0") for name in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"lod|ToRGB_lod\d+/(weight|bias)")
    bias = tensors.load("4x4/Dense/bias", None)
    w = tensors.load("4x4/Dense/weight", None, 16 * len(bias))  # (z, 16 c)
    w = w.mul_(RELU_GAIN / 4 / math.sqrt(len(w))).view(len(w), len(bias), 4, 4)
    convs: list[Conv] = [(from_transposed(w), bias)]
    for layer in layers:
        convs.append(_conv(tensors, layer, len(convs[-1][0])))
    rgb = _kernel(tensors.load("ToRGB_lod0/weight", 1, 1, len(convs[-1][0]), None))
    generator = pggan_generator(
        convs,
        (fold(rgb, 1.0), tensors.load("ToRGB_lod0/bias", len(rgb))),
        latent_norm=settings.get("normalize_latents", True) is not False,
    )
    n_labels = _label_size(settings)
    if n_labels >= generator.config.latent_size:
        raise CheckpointError(
            f"label_size is {n_labels}, and the first layer takes {generator.config.latent_size} values; expected "
            "fewer labels than these; the file is damaged"
        )
    return labelled(generator, n_labels) if n_labels else generator


def _label_size(settings: dict[Any, Any]) -> int:
    size = settings.get("label_size", 0)
    return size if type(size) is int and size > 0 else 0


def _critic(tensors: Tensors, settings: dict[Any, Any]) -> Blueprint:
    _check_settings(tensors, settings)
    n = _resolutions(tensors)
    is_fused = n > 1 and "8x8/Conv1_down/weight" in tensors.stored
    sides = [2 ** (k + 2) for k in range(n - 1, 0, -1)]
    pairs = [(f"{r}x{r}/Conv0", f"{r}x{r}/{'Conv1_down' if is_fused else 'Conv1'}") for r in sides]
    ends = ("4x4/Conv", "4x4/Dense0", "4x4/Dense1")
    layers = ("FromRGB_lod0", *(layer for pair in pairs for layer in pair), *ends)
    tensors.check_names(
        [f"{layer}/{name}" for layer in layers for name in ("weight", "bias")],
        ignored=r"lod|FromRGB_lod\d+/(weight|bias)",
    )
    rgb = _kernel(tensors.load("FromRGB_lod0/weight", 1, 1, None, None))
    rgb = (fold(rgb, RELU_GAIN), tensors.load("FromRGB_lod0/bias", len(rgb)))
    blocks: list[tuple[Conv, Conv]] = []
    width = len(rgb[0])
    for one, two in pairs:
        first = _conv(tensors, one, width)
        second = _conv(tensors, two, len(first[0]))
        blocks.append((first, second))
        width = len(second[0])
    final = _conv(tensors, "4x4/Conv", None)
    feature = tensors.load("4x4/Dense0/weight", 16 * len(final[0]), None).T.contiguous()
    score = tensors.load("4x4/Dense1/weight", len(feature), None).T.contiguous()
    bias = tensors.load("4x4/Dense1/bias", len(score))
    if 0 < _label_size(settings) == len(score) - 1:  # behind the score it guesses the label
        score, bias = score[:1], bias[:1]
    size = settings.get("mbstd_group_size", 4)
    return pggan_critic(
        CriticLayers(
            rgb=rgb,
            blocks=blocks,
            final=final,
            feature=(fold(feature, RELU_GAIN), tensors.load("4x4/Dense0/bias", len(feature))),
            score=(fold(score, 1.0), bias),
        ),
        Deviation(groups="strided", group_size=size if type(size) is int and size > 1 else 4),
        pooling="before" if is_fused else "after",
    )


def _check_settings(tensors: Tensors, settings: dict[Any, Any]) -> None:
    for name, expected in EXPECTED.items():
        setting = settings.get(name, expected)
        if isinstance(setting, bool | int) and setting != expected:
            raise CheckpointError(
                f"the {tensors.what} was built with {name}={setting}; egbas reads {name}={expected} only"
            )
    tensors.refuse_growing()


def _resolutions(tensors: Tensors) -> int:
    side = tensors.count(r"(\d{1,4})x\1/Conv\w*/weight") - 1
    if side < 4 or side & (side - 1) or side > 1024:
        raise CheckpointError(f"the {tensors.what} has layers up to {side} pixels; expected a power of two, 4 to 1024")
    return int(math.log2(side)) - 1


def _conv(tensors: Tensors, layer: str, n_in: int | None) -> Conv:
    """Read a 3x3 convolution; fused upsampling ones are stored as what a transposed convolution takes."""
    name = f"{layer}/weight"
    if layer.endswith("_up"):  # (k, k, out, in)
        w = tensors.load(name, 3, 3, None, n_in).permute(2, 3, 0, 1).flip(2, 3).contiguous()
    else:
        w = _kernel(tensors.load(name, 3, 3, n_in, None))
    return fold(w, RELU_GAIN), tensors.load(f"{layer}/bias", len(w))


def _kernel(weight: Tensor) -> Tensor:
    """From (k, k, in, out) to (out, in, k, k)."""
    return weight.permute(3, 2, 0, 1).contiguous()
