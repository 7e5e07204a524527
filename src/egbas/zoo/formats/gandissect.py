# SPDX-License-Identifier: MIT
"""Generators of GAN dissection (Bau et al. 2019) and of "rewriting": ``layer1.conv.weight``, ``layer1.wscale.b``.

Pixel norm, upsampling, convolution times sqrt(2 / fan in), bias, leaky ReLU; only the RGB layer of the highest
resolution is in the file. The scale of the output is 1 / sqrt(fan in).
"""

from egbas.zoo.blueprint import Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.pggan import read_generator
from egbas.zoo.formats.tensors import Tensors

NAME = "gandissect"


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return {"layer1.conv.weight", "layer1.wscale.b"} <= content.generator.keys()


def read(content: Content) -> Blueprints:
    """Read the generator; these files have no discriminator."""
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.resolutions(tensors.count(r"layer(\d+)\.conv\.weight") - 1)
    layers = [(f"layer{i}.conv.weight", f"layer{i}.wscale.b") for i in range(1, 2 * n + 1)]
    side = 2 ** (n + 1)
    rgb = (f"output_{side}x{side}.conv.weight", f"output_{side}x{side}.wscale.b")
    generator = read_generator(tensors, layers, rgb)
    return Blueprints(generator=generator, latent=normal(generator.config.latent_size))
