# SPDX-License-Identifier: MIT
"""Networks that are one numbered sequence of layers: ``main.0.weight``, ``main.1.running_mean``, ``main.4.weight``.

DCGANs of the PyTorch examples in all their variants (more or fewer blocks, biases, dropout between blocks, blocks
within blocks, a 1 x 1 layer at the end), and decoders of linear layers. Numbers that are skipped are modules without
weights. One of them stands for the activation; where they leave a doubt, the file is refused.
"""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from egbas.errors import CheckpointError, ConfigError
from egbas.zoo.blueprint import Blueprint, Blueprints, latent_shape, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.containers.stored import StoredTensor
from egbas.zoo.formats.examples_dcgan import read_discriminator
from egbas.zoo.formats.labels import N_CLASSES, holds_ten_labels, labelled, notices, table_of
from egbas.zoo.formats.radford_layers import NORM, read_norm
from egbas.zoo.formats.tensors import Tensors
from egbas.zoo.sequential import SequentialConfig, activation

NAME = "sequence"
NUMBERED = re.compile(
    r"(?P<prefix>(?:[A-Za-z_]\w*\.)*)(?P<number>\d{1,4}(?:\.\d{1,4})*)\."
    r"(?P<parameter>weight|bias|running_mean|running_var|num_batches_tracked)"
)
KERNEL = 4  # of a layer that doubles the resolution, with stride 2 and padding 1
MOST_CHANNELS = 4  # of an image
EPSILON = 1e-5  # of batch norms, torch's own
LEAST_SIDE = 8  # pixels, from which on a number of values is taken for an image
DCGAN_ACTIVATIONS = ("relu", "tanh")
NOTICES = {
    "activations": "The checkpoint file does not tell the activations; they are taken as",
    "last_layer": "The checkpoint file does not tell the padding of the last layer:",
}
Number = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """A module of the sequence that has weights.

    Attributes:
        name: in the file, such as ``main.3``.
        number: of the module; several where it is within a block, such as (1, 0).
        kind: ``conv_transpose``, ``linear`` or ``batch_norm``.
        has_bias: whether it has one.
        shape: of its weight.
    """

    name: str
    number: Number
    kind: str
    has_bias: bool
    shape: tuple[int, ...]


def matches(content: Content) -> bool:
    """Whether all tensors are of one numbered sequence: transposed convolutions, or linear layers."""
    if content.generator_name in content.modules:
        return False  # what a whole pickled network tells of its layers is not guessed: ``pickled.py``
    sequence = numbered(_without_table(content.generator))
    affine = [module for module in sequence if module.kind != "batch_norm"]
    kinds = {module.kind for module in affine}
    if len(affine) < 2 or sequence[0].kind == "batch_norm" or len(kinds) != 1 or not _is_chain(affine):
        return False
    is_image = kinds == {"conv_transpose"} and affine[-1].shape[1] <= MOST_CHANNELS
    return kinds == {"linear"} or is_image


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator where it is that of the PyTorch examples.

    Raises:
        CheckpointError: the file leaves a doubt about a layer, or it is no generator.
    """
    tensors = Tensors(stored=content.generator, what="generator")
    sequence = numbered(_without_table(content.generator))
    if sequence[0].kind == "linear":
        layers, facts = _mlp(sequence, content.activation), {}
        latent = normal(sequence[0].shape[1])
    else:
        layers, facts = _dcgan(sequence, content.activation)
        latent = normal(sequence[0].shape[0], 1, 1)
    weights = _weights(tensors, sequence, layers)
    config = SequentialConfig(latent=latent.shape, layers=tuple(layers))
    generator = Blueprint(architecture="sequential-generator", config=config, weights=weights)
    table = table_of(content.generator)
    if table is not None:
        rows = tensors.load(table, None, None)
        generator = labelled(generator, len(rows), rows)
    elif sequence[0].kind != "linear" and holds_ten_labels(latent.shape[0]):
        generator = labelled(generator, N_CLASSES)
    discriminator, told = (None, {}) if sequence[0].kind == "linear" else read_discriminator(content)
    return Blueprints(
        generator=generator,
        discriminator=discriminator,
        latent=normal(*latent_shape(generator)),
        facts=facts | told,
        notices=(
            *(f"{NOTICES[name]} {text}." for name, text in facts.items()),
            *notices(generator),
        ),
    )


def _without_table(stored: Mapping[str, StoredTensor]) -> Mapping[str, StoredTensor]:
    """The tensors beside a table of labels, whose name has no number."""
    table = table_of(stored)
    return stored if table is None else {name: value for name, value in stored.items() if name != table}


def numbered(stored: Mapping[str, StoredTensor]) -> list[Numbered]:
    """The modules of a sequence in their order; none where something in it is of another kind."""
    parameters: dict[tuple[str, Number], dict[str, StoredTensor]] = {}
    for name, value in stored.items():
        found = NUMBERED.fullmatch(name)
        if found is None:
            return []
        key = (found["prefix"] + found["number"], tuple(map(int, found["number"].split("."))))
        parameters.setdefault(key, {})[found["parameter"]] = value
    if len({name.removesuffix(".".join(map(str, number))) for name, number in parameters}) != 1:
        return []  # several sequences
    modules = [_module(name, number, values) for (name, number), values in parameters.items()]
    found_all = [module for module in modules if module is not None]
    return sorted(found_all, key=lambda module: module.number) if len(found_all) == len(modules) else []


def _module(name: str, number: Number, values: Mapping[str, StoredTensor]) -> Numbered | None:
    weight, bias = values.get("weight"), values.get("bias")
    if weight is None or 0 in weight.shape:
        return None
    kinds = {1: "batch_norm", 2: "linear", 4: "conv_transpose"}
    kind = kinds.get(len(weight.shape), "")
    expected = {"weight", *([] if bias is None else ["bias"])}
    if kind == "batch_norm":
        expected = set(NORM)
    fits = values.keys() - {"num_batches_tracked"} == expected
    is_square = kind != "conv_transpose" or weight.shape[2] == weight.shape[3]
    if not kind or not fits or not is_square:
        return None
    return Numbered(name=name, number=number, kind=kind, has_bias=bias is not None, shape=weight.shape)


def _is_chain(affine: list[Numbered]) -> bool:
    """Whether each layer takes what the one before gives, which tells transposed convolutions from others."""
    ends = [(one.shape[0], one.shape[1]) if one.kind == "conv_transpose" else one.shape[1::-1] for one in affine]
    return all(before[1] == after[0] for before, after in itertools.pairwise(ends))


def _dcgan(sequence: list[Numbered], said: str | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The layers of a DCGAN, and what was assumed of it."""
    hidden, last = _said(said, DCGAN_ACTIVATIONS)
    convs = [module for module in sequence if module.kind == "conv_transpose"]
    layers: list[dict[str, Any]] = []
    for at, module in enumerate(convs):
        d_in, c, kernel, _ = module.shape
        is_last = at == len(convs) - 1
        stride, padding = _step(module, at, is_last)
        settings = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "output_padding": 0,
            "bias": module.has_bias,
        }
        layers.append(_layer(f"conv{at + 1}", "conv_transpose", in_channels=d_in, out_channels=c, **settings))
        layers += _between(sequence, module, at + 1, hidden, is_last=is_last)
    if last is not None:
        layers.append(_layer("output", "activation", function=last))
    facts: dict[str, Any] = {}
    if said is None:
        facts["activations"] = f"{hidden}, and {last} at the end, as DCGANs have; --activation says others"
    if convs[-1].shape[2] == 1:
        facts["last_layer"] = "1 x 1, taken as without padding (padding would cut off the border of the image)"
    return layers, facts


def _step(module: Numbered, at: int, is_last: bool) -> tuple[int, int]:
    """Stride and padding of a layer of a DCGAN, which its file does not tell.

    Raises:
        CheckpointError: kernels of that size are used in more than one way.
    """
    kernel = module.shape[2]
    if at == 0:
        return 1, 0  # on one pixel it makes as many as the kernel has
    if kernel == KERNEL:
        return 2, 1
    if kernel == 1 and is_last:
        return 1, 0
    raise CheckpointError(
        f"layer {module.name!r} has kernels of {kernel} x {kernel}, and the file does not tell their stride and "
        f"padding ({KERNEL} x {KERNEL} are taken as those of a DCGAN, which double the resolution). Load the network "
        "with its own code, and pass it as --model package.module:callable"
    )


def _mlp(sequence: list[Numbered], said: str | None) -> list[dict[str, Any]]:
    """The layers of a decoder of linear layers."""
    linears = [module for module in sequence if module.kind == "linear"]
    sizes = " -> ".join(str(size) for size in (linears[0].shape[1], *(module.shape[0] for module in linears)))
    if len(linears) != len(sequence):
        raise CheckpointError(
            f"it has linear layers ({sizes}) with batch norm between, whose epsilon no file tells and which is often "
            "not torch's own. Load the network with its own code, and pass it as --model package.module:callable"
        )
    if linears[-1].shape[0] < linears[0].shape[1]:
        raise CheckpointError(f"its linear layers ({sizes}) give fewer values than they take; expected a generator")
    if said is None:
        raise CheckpointError(
            f"it has linear layers ({sizes}), and the file does not tell the activation between them: say it, "
            "--activation relu, or with the one at the end, --activation relu,tanh (in Python, activation='relu')"
        )
    hidden, last = _said(said, (said, "none"))
    layers: list[dict[str, Any]] = []
    for at, module in enumerate(linears, 1):
        d_out, d_in = module.shape
        layers.append(_layer(f"linear{at}", "linear", in_features=d_in, out_features=d_out, bias=module.has_bias))
        layers += _between(sequence, module, at, hidden, is_last=at == len(linears))
    if last is not None:
        layers.append(_layer("output", "activation", function=last))
    image = image_shape(linears[-1].shape[0])
    return layers if image is None else [*layers, _layer("image", "unflatten", shape=list(image))]


def image_shape(n: int) -> tuple[int, int, int] | None:
    """Shape of a square image, grey or RGB, of so many values; no number is both. None where it is none."""
    for channels in (1, 3):
        side = math.isqrt(n // channels)
        if side >= LEAST_SIDE and channels * side * side == n:
            return channels, side, side
    return None


def _between(
    sequence: list[Numbered], module: Numbered, at: int, hidden: str | None, *, is_last: bool
) -> list[dict[str, Any]]:
    """Norm and activation after a layer, in the order that the numbers tell.

    Raises:
        CheckpointError: they leave a doubt.
    """
    position = sequence.index(module)
    after = sequence[position + 1 :]
    has_norm = bool(after) and after[0].kind == "batch_norm"
    norms = [_layer(f"norm{at}", "batch_norm", num_features=after[0].shape[0], eps=EPSILON)] if has_norm else []
    act = [] if hidden is None else [_layer(f"act{at}", "activation", function=hidden)]
    if has_norm and (len(after) > 1 and after[1].kind == "batch_norm"):
        raise CheckpointError(f"two batch norms follow on {module.name!r}; egbas does not read that")
    gaps = [_gap(one, two) for one, two in zip((module, *after[: len(norms)]), after, strict=False)]
    if has_norm:
        before, behind = gaps[0], gaps[1] if len(gaps) > 1 else 0
        if before and behind:
            raise CheckpointError(
                f"modules without weights stand both before and after the batch norm {after[0].name!r}; the file does "
                "not tell which is the activation. Load the network with its own code"
            )
        return [*act, *norms] if before else [*norms, *act] if behind else norms
    if is_last:
        return []
    if gaps[0] > 1 and module.kind == "conv_transpose":
        raise CheckpointError(
            f"{gaps[0]} modules without weights follow on {module.name!r}, and one may be an instance norm; the file "
            "does not tell. Load the network with its own code, and pass it as --model package.module:callable"
        )
    return act if gaps[0] else []


def _gap(one: Numbered, two: Numbered) -> int:
    """How many modules without weights stand between two; at the end of a block they cannot be counted: one."""
    if one.number[:-1] == two.number[:-1]:
        return two.number[-1] - one.number[-1] - 1
    return 1


def _said(said: str | None, default: tuple[str, str]) -> tuple[str | None, str | None]:
    """The activation between layers and that at the end, as the user says them; None for none.

    Raises:
        CheckpointError: they are no names of activations.
    """
    first, comma, second = (said or "").partition(",")
    hidden, last = default if not said else (first, second if comma else default[1])
    try:
        found = [None if activation(text) is None else text.strip().lower() for text in (hidden, last)]
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return found[0], found[1]


def _layer(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, **settings}


def _weights(tensors: Tensors, sequence: list[Numbered], layers: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The state dict, by the names of the layers."""
    named = [layer for layer in layers if layer["kind"] in ("linear", "conv_transpose", "batch_norm")]
    if [layer["kind"] for layer in named] != [module.kind for module in sequence]:
        raise CheckpointError("its layers stand in an order that egbas does not know")
    weights: dict[str, Tensor] = {}
    for module, layer in zip(sequence, named, strict=True):
        if module.kind == "batch_norm":
            weights |= read_norm(tensors, module.name, layer["name"], layer["num_features"])
            continue
        is_transposed = module.kind == "conv_transpose"
        weight = tensors.load(f"{module.name}.weight", *module.shape, transposed=is_transposed)
        weights[f"{layer['name']}.weight"] = weight
        if module.has_bias:
            width = weight.shape[1 if is_transposed else 0]
            weights[f"{layer['name']}.bias"] = tensors.load(f"{module.name}.bias", width)
    return weights
