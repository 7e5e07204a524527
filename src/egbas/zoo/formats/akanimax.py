# SPDX-License-Identifier: MIT
"""PGANs of pro_gan_pytorch, version 3: one file with ``generator.conf``; names ``layers.0.conv_1.weight``.

The first layer is a transposed convolution, no pixel norm follows it, and the RGB layer is scaled with
sqrt(2 / fan in) as all others are. The latent is normalised. ``shadow_generator`` is the moving average.
"""

from egbas.errors import CheckpointError
from egbas.zoo.formats.content import Content
from egbas.zoo.formats.parts import Blueprint, CriticLayers, Deviation, Parts, normal, pggan_critic, pggan_generator
from egbas.zoo.formats.weights import RELU_GAIN, Conv, Tensors, fold, from_transposed

NAME = "akanimax-v3"
DEVIATION = Deviation(groups="strided", group_size=4)


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return {"layers.0.conv_1.weight", "rgb_converters.0.weight"} <= content.generator.keys() and (
        "initial_block.conv_1.weight" not in content.generator
    )


def read(content: Content) -> Parts:
    """Read the generator, and the discriminator where there is one.

    Raises:
        CheckpointError: the network was trained without equalised learning rates.
    """
    conf = content.settings(content.generator_name, "conf")
    if conf.get("use_eql", True) is not True:
        raise CheckpointError("the network was trained without equalised learning rates, which egbas does not read")
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.resolutions(2 * tensors.count(r"layers\.(\d+)\.conv_1\.weight"))
    generator = read_generator(tensors, [f"layers.{i}" for i in range(n)], latent_norm=True)
    discriminator, facts = None, {}
    if content.discriminator is not None:
        critic = Tensors(stored=content.discriminator, what="discriminator")
        if any("label_embedder" in name for name in critic.stored):
            facts["left_out"] = "the discriminator, which is conditional"
        else:
            discriminator = _critic(critic)
    return Parts(
        generator=generator,
        discriminator=discriminator,
        latent=normal(generator.config.latent_size),
        facts=facts,
    )


def read_generator(tensors: Tensors, blocks: list[str], latent_norm: bool) -> Blueprint:
    """Read a generator whose blocks, from 4 pixels up, have these names."""
    layers = [f"{block}.conv_{part}" for block in blocks for part in (1, 2)]
    rgb = f"rgb_converters.{len(blocks) - 1}"
    needed = [f"{layer}.{part}" for layer in (*layers, rgb) for part in ("weight", "bias")]
    tensors.check_names(needed, ignored=r"rgb_converters\.\d+\.(weight|bias)")
    first = from_transposed(tensors.load(f"{layers[0]}.weight", None, None, 4, 4))
    first = first.mul_(RELU_GAIN / first.shape[1] ** 0.5)  # fan in: the latent alone, not the 4x4 positions
    convs: list[Conv] = [(first, tensors.load(f"{layers[0]}.bias", len(first)))]
    for layer in layers[1:]:
        convs.append(tensors.conv(f"{layer}.weight", f"{layer}.bias", 3, len(convs[-1][0])))
    return pggan_generator(
        convs,
        tensors.conv(f"{rgb}.weight", f"{rgb}.bias", 1, len(convs[-1][0])),
        latent_norm=latent_norm,
        first_norm=False,
    )


def _critic(tensors: Tensors) -> Blueprint:
    n = tensors.resolutions(2 * tensors.count(r"layers\.(\d+)\.conv_1\.weight"))
    # Version 3.0 has no activation after the first layer, and so no container around it.
    is_activated = any(name.startswith("from_rgb.0.0.") for name in tensors.stored)
    rgb = "from_rgb.0.0" if is_activated else "from_rgb.0"
    return read_critic(tensors, [f"layers.{i}" for i in range(n)], (rgb, is_activated), DEVIATION)


def read_critic(tensors: Tensors, blocks: list[str], entry: tuple[str, bool], deviation: Deviation) -> Blueprint:
    """Read a discriminator.

    Args:
        tensors: of the discriminator.
        blocks: their names, from the highest resolution down.
        entry: name of the layer that reads the image, and whether an activation follows it.
        deviation: how this version computes it.
    """
    rgb, is_activated = entry
    layers = [f"{block}.conv_{part}" for block in blocks for part in (1, 2)]
    needed = [f"{layer}.{part}" for layer in (rgb, *layers, f"{blocks[-1]}.conv_3") for part in ("weight", "bias")]
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
            score=(fold(score, RELU_GAIN), tensors.load(f"{last}.bias", 1)),
        ),
        deviation,
        input_activation=is_activated,
    )
