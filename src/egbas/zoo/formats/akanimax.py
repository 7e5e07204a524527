# SPDX-License-Identifier: MIT
"""PGANs of pro_gan_pytorch, version 3: one file with ``generator.conf``; names ``layers.0.conv_1.weight``.

The first layer is a transposed convolution, no pixel norm follows it, and the RGB layer is scaled with
sqrt(2 / fan in) as all others are. The latent is normalised. ``shadow_generator`` is the moving average.
The networks have all their layers from the start, and are saved while they grow, as ``depth_{d}_epoch_{e}.bin``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.containers.stored import StoredTensor
from egbas.zoo.formats.pggan import CriticLayers, Deviation, pggan_critic, pggan_generator
from egbas.zoo.formats.tensors import RELU_GAIN, Conv, Tensors, from_transposed

NAME = "akanimax-v3"
DEVIATION = Deviation(groups="strided", group_size=4)


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return {"layers.0.conv_1.weight", "rgb_converters.0.weight"} <= content.generator.keys() and (
        "initial_block.conv_1.weight" not in content.generator
    )


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator where there is one, up to the resolution that was trained."""
    is_equalized = content.settings(content.generator_name, "conf").get("use_eql", True) is not False
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.resolutions(2 * tensors.count(r"layers\.(\d+)\.conv_1\.weight"))
    used, told_by = _used(content, n)
    kept = keep_layers(content.generator, range(used))
    tensors = Tensors(stored=kept, what="generator", is_equalized=is_equalized)
    generator = read_generator(tensors, [f"layers.{i}" for i in range(used)], latent_norm=True)
    discriminator, left_out = None, []
    if used < n:
        left_out.append(f"layers above {generator.config.resolution} pixels, not trained yet by {told_by}")
    if content.discriminator is not None:
        if any("label_embedder" in name for name in content.discriminator):
            left_out.append("the discriminator, which is conditional")
        else:
            discriminator = _critic(content, content.discriminator, n - used)
    return Blueprints(
        generator=generator,
        discriminator=discriminator,
        latent=normal(generator.config.latent_size),
        facts={"left_out": "; ".join(left_out)} if left_out else {},
    )


def _used(content: Content, n: int) -> tuple[int, str]:
    """How many of n resolutions were trained, and what tells it; all where nothing does."""
    told = [(trained_depth(content.path), "the file's name"), (trained_layers(content), "the state of its optimizer")]
    return min([(count, by) for count, by in told if count is not None and count < n], default=(n, ""))


def trained_depth(path: Path) -> int | None:
    """How many resolutions were trained when a file was saved; None where its name does not tell. Depth 2 is 4x4."""
    named = re.search(r"(?<![a-zA-Z])depth_(\d{1,2})_epoch_\d", path.name)
    return int(named[1]) - 1 if named and int(named[1]) >= 2 else None


def trained_layers(content: Content) -> int | None:
    """How many resolutions the generator's optimizer has moved; None where its state is not in the file.

    Adam keeps its moments by the number of the parameter, in the order of the state dict, and has none for the
    parameters that no image has come through yet. (After training on several devices it has moments of all, and
    does not tell.)
    """
    names = list(content.states.get("generator", ()))
    optimizer = content.settings("gen_optim")
    moved, groups = optimizer.get("state"), optimizer.get("param_groups")
    group = groups[0] if isinstance(groups, list) and len(groups) == 1 else None
    numbers = group.get("params") if isinstance(group, dict) else None
    if not isinstance(moved, dict) or numbers != list(range(len(names))):
        return None
    layers = [re.fullmatch(r"layers\.(\d{1,4})\.conv_1\.weight", name) for name in names]
    numbers = [int(layer[1]) for number, layer in enumerate(layers) if layer and number in moved]
    return max(numbers) + 1 if numbers else None


def keep_layers(stored: Mapping[str, StoredTensor], kept: range) -> dict[str, StoredTensor]:
    """Leave out the tensors ``layers.{i}.*`` of all i but these."""
    layers = {name: re.fullmatch(r"layers\.(\d{1,4})\..*", name) for name in stored}
    return {name: value for name, value in stored.items() if not (layer := layers[name]) or int(layer[1]) in kept}


def read_generator(tensors: Tensors, blocks: list[str], latent_norm: bool) -> Blueprint:
    """Read a generator whose blocks, from 4 pixels up, have these names."""
    layers = [f"{block}.conv_{number}" for block in blocks for number in (1, 2)]
    rgb = f"rgb_converters.{len(blocks) - 1}"
    needed = [f"{layer}.{name}" for layer in (*layers, rgb) for name in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"rgb_converters\.\d+\.(weight|bias)")
    first = from_transposed(tensors.load(f"{layers[0]}.weight", None, None, 4, 4, transposed=True))
    first = tensors.scaled(first, RELU_GAIN, first.shape[1])  # fan in: the latent alone, not the 4x4 positions
    convs: list[Conv] = [(first, tensors.load(f"{layers[0]}.bias", len(first)))]
    for layer in layers[1:]:
        convs.append(tensors.conv(f"{layer}.weight", f"{layer}.bias", 3, len(convs[-1][0])))
    return pggan_generator(
        convs,
        tensors.conv(f"{rgb}.weight", f"{rgb}.bias", 1, len(convs[-1][0])),
        latent_norm=latent_norm,
        first_norm=False,
    )


def _critic(content: Content, stored: Mapping[str, StoredTensor], n_untrained: int) -> Blueprint:
    """Read a discriminator without its first blocks, which are those of the highest resolutions."""
    tensors = Tensors(stored=stored, what="discriminator")
    n = tensors.resolutions(2 * tensors.count(r"layers\.(\d+)\.conv_1\.weight"))
    # Version 3.0 has no activation after the first layer, and so no container around it.
    is_activated = any(name.startswith("from_rgb.0.0.") for name in tensors.stored)
    rgb = f"from_rgb.{n_untrained}.0" if is_activated else f"from_rgb.{n_untrained}"
    kept = range(n_untrained, n)
    if not kept:
        raise CheckpointError(f"the discriminator has {n} resolutions, and {n_untrained} of them are not trained")
    name = content.discriminator_name or ""
    is_equalized = content.settings(name, "conf").get("use_eql", True) is not False
    tensors = Tensors(stored=keep_layers(stored, kept), what="discriminator", is_equalized=is_equalized)
    return read_critic(tensors, [f"layers.{i}" for i in kept], (rgb, is_activated), DEVIATION)


def read_critic(tensors: Tensors, blocks: list[str], entry: tuple[str, bool], deviation: Deviation) -> Blueprint:
    """Read a discriminator.

    Args:
        tensors: of the discriminator.
        blocks: their names, from the highest resolution down.
        entry: name of the layer that reads the image, and whether an activation follows it.
        deviation: how this version computes it.
    """
    rgb, is_activated = entry
    layers = [f"{block}.conv_{number}" for block in blocks for number in (1, 2)]
    needed = [f"{layer}.{name}" for layer in (rgb, *layers, f"{blocks[-1]}.conv_3") for name in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"(from_rgb|rgb_to_features)\.\d+\.(0\.)?(weight|bias)")
    from_rgb = tensors.conv(f"{rgb}.weight", f"{rgb}.bias", 1)
    pairs: list[tuple[Conv, Conv]] = []
    width = len(from_rgb[0])
    for one, two in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        first = tensors.conv(f"{one}.weight", f"{one}.bias", 3, width)
        second = tensors.conv(f"{two}.weight", f"{two}.bias", 3, len(first[0]))
        pairs.append((first, second))
        width = len(second[0])
    final = tensors.conv(f"{layers[-2]}.weight", f"{layers[-2]}.bias", 3)
    feature = tensors.conv(f"{layers[-1]}.weight", f"{layers[-1]}.bias", 4, len(final[0]))
    last = f"{blocks[-1]}.conv_3"
    score = tensors.load(f"{last}.weight", 1, len(feature[0]), 1, 1).flatten(1)
    return pggan_critic(
        CriticLayers(
            rgb=from_rgb,
            blocks=pairs,
            final=final,
            feature=(feature[0].flatten(1), feature[1]),
            score=(tensors.scaled(score, RELU_GAIN), tensors.load(f"{last}.bias", 1)),
        ),
        deviation,
        input_activation=is_activated,
    )
