# SPDX-License-Identifier: MIT
"""LeNet for 28x28 digits (LeCun et al. 1998, with ReLU and max pooling): judges the generators' samples."""

from collections import OrderedDict
from typing import Any

from torch import nn

SIDE = 28  # pixels


class Middle(nn.Module):
    """Precisions images (n, c, h, w) to their middle 28x28; those of that size stay as they are."""

    def forward(self, images: Any) -> Any:  # tensors, or what stands in for one where torch.fx writes a pass down
        """Take off the margin, (h - 28) / 2 pixels on each side."""
        margin = (images.shape[-1] - SIDE) // 2  # no condition on it, so that torch.fx can write the pass down
        return images[..., margin : margin + SIDE, margin : margin + SIDE]


class LeNet(nn.Sequential):
    """Map images (n, 1, 28, 28) in [-1, 1] to logits (n, 10); ``relu3`` (n, 84) is its feature vector.

    Larger images are digits with a margin, as some generators make them at 32x32: their middle is looked at.
    """

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 84), dropout: float = 0.3) -> None:
        """Build the classifier.

        Args:
            channels: feature maps of the two convolutions and width of the feature vector.
            dropout: share of features dropped in training.
        """
        c1, c2, c3 = channels
        super().__init__(
            OrderedDict(
                [
                    ("middle", Middle()),
                    ("conv1", nn.Conv2d(1, c1, 5, padding=2)),
                    ("relu1", nn.ReLU()),
                    ("pool1", nn.MaxPool2d(2)),
                    ("conv2", nn.Conv2d(c1, c2, 5, padding=2)),
                    ("relu2", nn.ReLU()),
                    ("pool2", nn.MaxPool2d(2)),
                    ("flatten", nn.Flatten()),
                    ("dropout", nn.Dropout(dropout)),
                    ("fc3", nn.Linear(c2 * 49, c3)),
                    ("relu3", nn.ReLU()),
                    ("logits", nn.Linear(c3, 10)),
                ]
            )
        )
