# SPDX-License-Identifier: MIT
"""PGGANs of GenForce and SeFa (Shen and Zhou 2021): ``layer0.weight``, ``output0.weight``, and a discriminator.

The file has ``generator``, ``discriminator`` and ``generator_smooth``, the moving average, or one network alone.
Fused upsampling layers are (in, out, 3, 3): told by their shape where in and out differ.
"""

from typing import Any

from egbas.errors import CheckpointError
from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.pggan import CriticLayers, Deviation, pggan_critic, pggan_generator
from egbas.zoo.formats.refused import own_lines
from egbas.zoo.formats.tensors import RELU_GAIN, Conv, Tensors, fold, from_transposed

NAME = "genforce"
DEVIATION = Deviation(groups="strided", group_size=16)
USUAL_LATENT = 512
UNKNOWN = "no (the shapes cannot tell)"


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return {"layer0.weight", "layer0.bias", "output0.weight"} <= content.generator.keys()


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator where there is one."""
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.resolutions(tensors.count(r"layer(\d+)\.weight"))
    layers = [(f"layer{i}.weight", f"layer{i}.bias") for i in range(2 * n)]
    rgb = (f"output{n - 1}.weight", f"output{n - 1}.bias")
    tensors.check_names([name for pair in [*layers, rgb] for name in pair], ignored=r"lod|output\d+\.(weight|bias)")
    tensors.refuse_growing()
    fused = _fused(tensors, n)
    convs: list[Conv] = [tensors.conv(*layers[0], 4)]
    if convs[0][0].shape[1] > USUAL_LATENT:
        raise CheckpointError(
            f"its first layer takes {convs[0][0].shape[1]} values, more than the {USUAL_LATENT} of a latent: the rest "
            f"may be a label, which the file does not tell.\n{own_lines(content)}"
        )
    for index, (weight, bias) in enumerate(layers[1:], 1):
        n_in = len(convs[-1][0])
        if fused and index % 2 == 0:
            w = from_transposed(tensors.load(weight, n_in, None, 3, 3, transposed=True))
            convs.append((fold(w, RELU_GAIN), tensors.load(bias, len(w))))
        else:
            convs.append(tensors.conv(weight, bias, 3, n_in))
    generator = pggan_generator(convs, tensors.conv(*rgb, 1, len(convs[-1][0]), gain=1.0))
    facts: dict[str, Any] = {"fused_scale": UNKNOWN if fused is None else fused}
    discriminator = None
    if content.discriminator is not None:
        discriminator = _critic(Tensors(stored=content.discriminator, what="discriminator"))
        facts["fused_scale_of_discriminator"] = UNKNOWN
    return Blueprints(
        generator=generator, discriminator=discriminator, latent=normal(generator.config.latent_size), facts=facts
    )


def _fused(tensors: Tensors, n: int) -> bool | None:
    """Whether the upsampling layers are fused; None where all of them have as many channels in as out."""
    for block in range(1, n):
        shape = tensors.stored[f"layer{2 * block}.weight"].shape
        after = tensors.stored[f"layer{2 * block + 1}.weight"].shape
        if len(shape) == 4 and len(after) == 4 and shape[0] != shape[1]:
            return shape[1] == after[1]
    return None


def _critic(tensors: Tensors) -> Blueprint:
    n_layers = tensors.count(r"layer(\d+)\.weight")
    n = tensors.resolutions(n_layers - 1)
    layers = [(f"layer{i}.weight", f"layer{i}.bias") for i in range(2 * n + 1)]
    names = [name for pair in [*layers, ("input0.weight", "input0.bias")] for name in pair]
    tensors.check_names(names, ignored=r"lod|input\d+\.(weight|bias)")
    from_rgb = tensors.conv("input0.weight", "input0.bias", 1)
    blocks: list[tuple[Conv, Conv]] = []
    width = len(from_rgb[0])
    for block in range(n - 1):
        one = tensors.conv(*layers[2 * block], 3, width)
        two = tensors.conv(*layers[2 * block + 1], 3, len(one[0]))
        blocks.append((one, two))
        width = len(two[0])
    final = tensors.conv(*layers[2 * n - 2], 3)
    dense = tensors.load(layers[2 * n - 1][0], None, 16 * len(final[0]))
    score = tensors.load(layers[2 * n][0], None, len(dense))
    return pggan_critic(
        CriticLayers(
            rgb=from_rgb,
            blocks=blocks,
            final=final,
            feature=(fold(dense, RELU_GAIN), tensors.load(layers[2 * n - 1][1], len(dense))),
            score=(fold(score, 1.0), tensors.load(layers[2 * n][1], len(score))),
        ),
        DEVIATION,
    )
