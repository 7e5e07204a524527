# SPDX-License-Identifier: MIT
"""The generator of PGGAN as plain convolutions, whatever implementation its weights come from."""

from collections import OrderedDict
from typing import Literal

from torch import nn

from egbas.latent import LatentSpace
from egbas.zoo.pggan.config import GeneratorConfig
from egbas.zoo.pggan.layers import FadeIn, PixelNorm, PositionalBias

_LETTERS = "abcdefghijklmnopqrstuvwxyz_"


class PgganGenerator(nn.Sequential):
    """Map latents (n, d) to images (n, image_channels, resolution, resolution) (Karras et al. 2018).

    Layer l = 1, 2, ... is ``conv{l}`` and its leaky ReLU ``act{l}``, with a pixel norm ``norm{l}`` after or
    before it; block b = 0, 1, ... of 4 * 2**b pixels holds the layers 2 b + 1 and 2 b + 2. ``conv1`` is 4 x 4
    with padding 3 on the 1 x 1 latent, the others are 3 x 3 with padding 1; layers 3, 5, 7, ... double the
    resolution before (nearest, ``up{l}``). ``rgb`` is 1 x 1, then ``output`` where there is one. The boundaries
    of layer l are the zero sets of ``conv{l}`` with its bias, wherever the norm stands.

    The state dict holds ``conv{l}.weight`` and ``conv{l}.bias``, ``rgb.weight`` and ``rgb.bias``; with
    ``positional_bias`` the first bias is ``offset1.bias`` (c, 4, 4). Every scale of an equalised learning rate is
    folded into them. Images are not clamped unless ``output`` does it.

    While its last resolution is ``fading`` in, the last block stands in ``fade`` with both 1 x 1 convolutions: see
    ``FadeIn``.

    Attributes:
        config: the settings.
        latent: where the inputs come from; set where the weights were trained with it.
        zoo_name: of the model it belongs to; set with the latent.
    """

    latent: LatentSpace
    zoo_name: str

    def __init__(self, config: GeneratorConfig) -> None:
        """Build the generator."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if config.latent_norm:
            layers["latent_norm"] = PixelNorm()
        layers["reshape"] = nn.Unflatten(1, (config.latent_size, 1, 1))
        c_in = config.latent_size
        for block, c in enumerate(config.channels):
            for number in (2 * block + 1, 2 * block + 2):
                layers |= _layer(number, c_in, c, config)
                c_in = c
        if config.fading:
            layers = _with_fading(layers, config)
        else:
            layers["rgb"] = nn.Conv2d(c_in, config.image_channels, 1)
        if config.output != "none":
            layers["output"] = nn.Tanh() if config.output == "tanh" else nn.Hardtanh()
        super().__init__(layers)
        self.config = config

    def block(self, index: int) -> nn.Sequential:
        """The modules from the latent, or from the block before, to the features of 4 * 2**index pixels."""
        numbers = (str(2 * index + 1), str(2 * index + 2))
        first = ("latent_norm", "reshape") if index == 0 else ()
        return nn.Sequential(
            OrderedDict(
                (name, layer)
                for name, layer in self.named_children()
                if name in first or name.lstrip(_LETTERS) in numbers
            )
        )


def _with_fading(layers: "OrderedDict[str, nn.Module]", config: GeneratorConfig) -> "OrderedDict[str, nn.Module]":
    """The same layers with those of the last block in a ``FadeIn``."""
    numbers = (str(2 * len(config.channels) - 1), str(2 * len(config.channels)))
    last = OrderedDict((name, layer) for name, layer in layers.items() if name.lstrip(_LETTERS) in numbers)
    kept = OrderedDict((name, layer) for name, layer in layers.items() if name not in last)
    before, after = config.channels[-2:]
    kept["fade"] = FadeIn(
        block=nn.Sequential(last),
        rgb=nn.Conv2d(after, config.image_channels, 1),
        rgb_before=nn.Conv2d(before, config.image_channels, 1),
        share=config.fading,
    )
    return kept


def _layer(number: int, c_in: int, c_out: int, config: GeneratorConfig) -> "OrderedDict[str, nn.Module]":
    """The modules of one layer, by their names in the generator."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if number == 1:
        layers["conv1"] = nn.Conv2d(c_in, c_out, 4, padding=3, bias=not config.positional_bias)
        if config.positional_bias:
            layers["offset1"] = PositionalBias(c_out, 4, 4)
    else:
        if number % 2 == 1:
            layers[f"up{number}"] = nn.Upsample(scale_factor=2, mode="nearest")
        layers[f"conv{number}"] = nn.Conv2d(c_in, c_out, 3, padding=1)
    order: tuple[Literal["norm", "act"], ...] = ("act", "norm") if config.norm_place == "after" else ("norm", "act")
    for kind in order:
        if kind == "act":
            layers[f"act{number}"] = nn.LeakyReLU(config.slope)
        elif config.pixel_norm and (number > 1 or config.first_norm):
            layers[f"norm{number}"] = PixelNorm()
    return layers
