# SPDX-License-Identifier: MIT
"""The ways out of a region as rows of images: the query, half way, a tenth before, the exit, and what changed."""

from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from egbas.exploration.exits import BEFORE, Exit
from egbas.figures.look import Look
from egbas.figures.panel import new_figure, show_picture

_SHARES = (0.0, 0.5, BEFORE, 1.0)
_WIDTH = 1.25  # inches of a panel


def exits_figure(
    rows: Mapping[str, Exit], generate: Callable[[Tensor], Tensor], classes: Sequence[int | None]
) -> Figure:
    """Draw a row for each way out, its first image where it begins.

    Args:
        rows: the exits, by what they are called.
        generate: maps latents (n, d) to images (n, ...).
        classes: of the beginning of each, in order; None where there are no classes.
    """
    figure = new_figure(_WIDTH * (len(_SHARES) + 1), (_WIDTH + 0.35) * len(rows))
    panels = figure.subplots(len(rows), len(_SHARES) + 1, squeeze=False)
    for axes, (name, found), first in zip(panels, rows.items(), classes, strict=True):
        outputs = generate(torch.stack([found.at(share) for share in _SHARES]))
        look = Look.of(outputs)
        images = look.pictures(outputs)
        titles = (_titled(first, "inside"), "half way", "a tenth before", _titled(found.next_class, "outside"))
        for panel, image, title in zip(axes, images, titles, strict=False):
            show_picture(panel, image, look.limits, title)
        change = images[-1] - images[0]
        most = max(float(change.abs().max()), 1e-12)
        show_picture(axes[-1], change, (-most, most), f"change, +-{most:.2g}")
        axes[0].set_ylabel(f"{name}\n{found.distance:.3g} away", fontsize=8)
    return figure


def _titled(target: int | None, without: str) -> str:
    return without if target is None else f"class {target}"
