# SPDX-License-Identifier: MIT
"""The first PyTorch port of the original PGGAN, also the old layout of GAN dissection: ``features.0.conv.weight``.

Its weights come from the Theano pickles, whose scales depend on the weights they were drawn with; they are in the
file (``wscale.scale``) and used here. GAN dissection replaced them by gain / sqrt(fan in), an approximation.
"""

from egbas.zoo.blueprint import Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.pggan import pggan_generator
from egbas.zoo.formats.tensors import Conv, Tensors

NAME = "ptrblck"


def matches(content: Content) -> bool:
    """Whether the names are those of the format."""
    return {"features.0.conv.weight", "features.0.wscale.scale"} <= content.generator.keys()


def read(content: Content) -> Blueprints:
    """Read the generator; these files have no discriminator."""
    tensors = Tensors(stored=content.generator, what="generator")
    n = tensors.resolutions(tensors.count(r"features\.(\d+)\.conv\.weight"))
    layers = [*(f"features.{i}" for i in range(2 * n)), "output"]
    tensors.check_names(f"{layer}.{name}" for layer in layers for name in ("conv.weight", "wscale.scale", "wscale.b"))
    convs: list[Conv] = []
    for index, layer in enumerate(layers):
        kernel = 4 if index == 0 else 1 if layer == "output" else 3
        w = tensors.load(f"{layer}.conv.weight", None, len(convs[-1][0]) if convs else None, kernel, kernel)
        scale = tensors.load(f"{layer}.wscale.scale", 1)
        convs.append((w.mul_(scale), tensors.load(f"{layer}.wscale.b", len(w))))
    generator = pggan_generator(convs[:-1], convs[-1])
    return Blueprints(
        generator=generator, latent=normal(generator.config.latent_size), facts={"scales": "those in the file"}
    )
