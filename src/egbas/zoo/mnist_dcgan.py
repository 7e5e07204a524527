# SPDX-License-Identifier: MIT
"""DCGAN for 28x28 images: a generator of four hidden non-linearities and its critic of four layers.

Radford et al. 2016 for the family (transposed convolutions, batch norm and ReLU in the generator,
leaky ReLU in the critic); the critic has no normalisation, as the gradient penalty of Gulrajani et
al. 2017 asks.
"""

from collections import OrderedDict

from torch import nn

from egbas.latent import LatentSpace


class DcganGenerator(nn.Sequential):
    """Map latents (n, d) to images (n, 1, 28, 28) in [-1, 1].

    Layers l = 1..4 are ``relu1`` (c1, 4, 4), ``relu2`` (c2, 7, 7), ``relu3`` (c3, 14, 14) and
    ``relu4`` (c4, 28, 28); the boundaries of layer l are the zero sets of the output of ``norm{l}``.

    Attributes:
        latent: where the inputs come from; set where the weights were trained with it.
        zoo_name: of the model it belongs to; set with the latent.
    """

    latent: LatentSpace
    zoo_name: str

    def __init__(self, latent_size: int, channels: tuple[int, int, int, int] = (128, 64, 32, 16)) -> None:
        """Build the generator.

        Args:
            latent_size: d, the length of a latent vector.
            channels: feature maps of the four hidden layers.
        """
        c1, c2, c3, c4 = channels
        super().__init__(
            OrderedDict(
                [
                    ("project", nn.Linear(latent_size, c1 * 16, bias=False)),
                    ("reshape", nn.Unflatten(1, (c1, 4, 4))),
                    ("norm1", nn.BatchNorm2d(c1)),
                    ("relu1", nn.ReLU()),
                    ("conv2", nn.ConvTranspose2d(c1, c2, 3, stride=2, padding=1, bias=False)),
                    ("norm2", nn.BatchNorm2d(c2)),
                    ("relu2", nn.ReLU()),
                    ("conv3", nn.ConvTranspose2d(c2, c3, 4, stride=2, padding=1, bias=False)),
                    ("norm3", nn.BatchNorm2d(c3)),
                    ("relu3", nn.ReLU()),
                    ("conv4", nn.ConvTranspose2d(c3, c4, 4, stride=2, padding=1, bias=False)),
                    ("norm4", nn.BatchNorm2d(c4)),
                    ("relu4", nn.ReLU()),
                    ("conv5", nn.Conv2d(c4, 1, 3, padding=1)),
                    ("tanh", nn.Tanh()),
                ]
            )
        )


class DcganCritic(nn.Sequential):
    """Map images (n, 1, 28, 28) to Wasserstein scores (n, 1); ``act1``..``act4`` are its feature layers."""

    def __init__(self, channels: tuple[int, int, int, int] = (32, 64, 64, 128)) -> None:
        """Build the critic.

        Args:
            channels: feature maps of the four hidden layers, at 14, 7, 4 and 4 pixels.
        """
        c1, c2, c3, c4 = channels
        super().__init__(
            OrderedDict(
                [
                    ("conv1", nn.Conv2d(1, c1, 4, stride=2, padding=1)),
                    ("act1", nn.LeakyReLU(0.2)),
                    ("conv2", nn.Conv2d(c1, c2, 4, stride=2, padding=1)),
                    ("act2", nn.LeakyReLU(0.2)),
                    ("conv3", nn.Conv2d(c2, c3, 3, stride=2, padding=1)),
                    ("act3", nn.LeakyReLU(0.2)),
                    ("conv4", nn.Conv2d(c3, c4, 3, padding=1)),
                    ("act4", nn.LeakyReLU(0.2)),
                    ("flatten", nn.Flatten()),
                    ("score", nn.Linear(c4 * 16, 1)),
                ]
            )
        )
