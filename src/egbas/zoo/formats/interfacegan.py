# SPDX-License-Identifier: MIT
"""Generators of InterFaceGAN (Shen et al. 2020): ``layer0.conv.weight``, ``layer0.wscale.bias``.

An early version counts the layers from 1 and has one RGB layer, ``output_RxR``. Fused upsampling layers are
``layer{i}.weight`` (3, 3, in, out).
"""

from egbas.zoo.blueprint import Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.pggan import pggan_generator
from egbas.zoo.formats.tensors import RELU_GAIN, Conv, Tensors, fold, from_transposed

NAME = "interfacegan"


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    names = content.generator.keys()
    return any({f"layer{first}.conv.weight", f"layer{first}.wscale.bias"} <= names for first in (0, 1))


def read(content: Content) -> Blueprints:
    """Read the generator; these files have no discriminator."""
    tensors = Tensors(stored=content.generator, what="generator")
    first = 0 if "layer0.wscale.bias" in tensors.stored else 1
    n = tensors.resolutions(tensors.count(r"layer(\d+)\.wscale\.bias") - first)
    side = 2 ** (n + 1)
    output = f"output{n - 1}" if first == 0 else f"output_{side}x{side}"
    is_fused = n > 1 and f"layer{first + 2}.weight" in tensors.stored
    layers = [f"layer{first + i}" for i in range(2 * n)]
    weights = [
        f"{layer}.weight" if is_fused and i and i % 2 == 0 else f"{layer}.conv.weight" for i, layer in enumerate(layers)
    ]
    biases = [f"{layer}.wscale.bias" for layer in layers]
    rgb = (f"{output}.conv.weight", f"{output}.wscale.bias")
    tensors.check_names([*weights, *biases, *rgb], ignored=r"lod|output\d+\.(conv\.weight|wscale\.bias)")
    tensors.refuse_growing()
    convs: list[Conv] = [tensors.conv(weights[0], biases[0], 4)]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        n_in = len(convs[-1][0])
        if weight.endswith(".conv.weight"):
            convs.append(tensors.conv(weight, bias, 3, n_in))
        else:
            w = from_transposed(tensors.load(weight, 3, 3, n_in, None).permute(2, 3, 0, 1))
            convs.append((fold(w, RELU_GAIN), tensors.load(bias, len(w))))
    generator = pggan_generator(convs, tensors.conv(*rgb, 1, len(convs[-1][0]), gain=1.0))
    return Blueprints(generator=generator, latent=normal(generator.config.latent_size), facts={"fused_scale": is_fused})
