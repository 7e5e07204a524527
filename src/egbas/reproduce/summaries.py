# SPDX-License-Identifier: MIT
"""What figures 6 and 7 need of an exploration: numbers and a few images instead of trees, regions and networks.

They never fail: a summary is made while a table is measured, which a figure that cannot be drawn must not stop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.evaluation.baselines import E_GBAS, L2, BaselineSamples, epsilon_l2, has_border
from egbas.evaluation.comparison import choose_pictured, draw_all, images_of
from egbas.evaluation.metrics.spread import changed_share
from egbas.exploration.result import Exploration
from egbas.figures.gallery import Gallery
from egbas.figures.samples import choose_spread
from egbas.reproduce.provenance import geometry_facts
from egbas.samplers.gbrrt import OUTSIDE

SHOWN_QUERY = 0  # seed of the query whose samples figure 6 shows
_N_SHOWN, _N_IN_ROW = 8, 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Freedom:
    """What a layer leaves free around one query, for figure 6.

    Attributes:
        facts: of the exploration.
        changed_share: how local the changes are; None where no sample differs from the query.
        query_image: (c, h, w).
        shown: deviation of each pixel (h, w) and some samples (k, c, h, w), k <= 8; None but at the query to show.
    """

    facts: dict[str, Any]
    changed_share: float | None
    query_image: Float[Tensor, "c h w"]
    shown: tuple[Float[Tensor, "h w"], Float[Tensor, "k c h w"]] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One query's row of figure 7.

    Attributes:
        facts: of the exploration.
        query_image: (c, h, w).
        images: for each method some (k, c, h, w); without the methods that have no samples here.
    """

    facts: dict[str, Any]
    query_image: Float[Tensor, "c h w"]
    images: dict[str, Tensor]


def freedom_of(run: Exploration) -> Freedom:
    """What figure 6 needs."""
    samples, query_image = run.grown.latents[1:], run.query_image
    share = changed_share(run.network.image_batches(samples), query_image) if len(samples) else math.nan
    return Freedom(
        facts=facts_of(run),
        changed_share=None if math.isnan(share) else share,
        query_image=query_image,
        shown=_shown(run, query_image) if run.seed == SHOWN_QUERY else None,
    )


def row_of(run: Exploration) -> Row:
    """What figure 7 needs."""
    images = {}
    for samples in drawn_of(run) if len(run.grown.latents) > 1 else ():
        if samples.method in (L2, E_GBAS):
            images[samples.method] = images_of(run, samples.latents[chosen_of(len(samples.latents), count=_N_IN_ROW)])
    return Row(facts=facts_of(run), query_image=run.query_image, images=images)


def facts_of(run: Exploration) -> dict[str, Any]:
    """What the JSON of a figure says of an exploration."""
    outside = int((run.grown.rejected_reason == OUTSIDE).sum())
    return {
        "model": run.model_name,
        "seed": run.seed,
        "layer": run.support.layer.number,
        "geometry": geometry_facts(run.latent),
        "units": run.support.layer.units,
        "supporting_units": len(run.support.beropt.units),
        "accepted": len(run.grown.latents),
        "rejected_outside": outside,
        "rejected_too_close": len(run.grown.rejected) - outside,
        "epsilon_l2": epsilon_l2(run) if has_border(run) else None,
    }


def drawn_of(run: Exploration) -> list[BaselineSamples]:
    """The samples of every method, those of the tables and of ``egbas compare``.

    Raises:
        ConfigError: the exploration accepted nothing.
    """
    return draw_all(run, rng=torch.Generator().manual_seed(run.seed))


def chosen_of(n_samples: int, *, count: int) -> Sequence[int]:
    """Some of the samples at random, by the same rule for every method."""
    return choose_pictured(n_samples, count, rng=torch.Generator().manual_seed(0))


def _shown(run: Exploration, query_image: Tensor) -> tuple[Tensor, Tensor]:
    samples = run.grown.latents[1:]
    if not len(samples):
        return torch.zeros(query_image.shape[1:], dtype=torch.float32), query_image.new_zeros(0, *query_image.shape)
    chosen = [index - 1 for index in choose_spread(run.grown.latents, 1 + _N_SHOWN)[1:]]
    gallery = Gallery.of(run.network.image_batches(samples), chosen)
    return gallery.deviation, gallery.shown
