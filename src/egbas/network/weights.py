# SPDX-License-Identifier: MIT
"""Do the weights of a network look random? From the weights alone, for next to nothing.

Initial weights are drawn one by one, with either sign as likely: two rows of a weight tensor have no more in common
than their sizes explain. Training gives them something in common. With rows w_i, under random signs,
E[(w_i w_j)^2] = sum_k w_ik^2 w_jk^2, whatever the sizes are. The z-score compares the two, summed over the pairs of
rows. It is about N(0, 1) for any independent symmetric initialisation, and far below 0 for an orthogonal one. Not in
the paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from egbas.network.classified import Classified

RANDOM_BELOW = 3.5  # z-score of a tensor, below which it looks random; docs/sanity.md has those of trained ones
_FEWEST_VALUES, _FEWEST_ROWS = 1000, 8  # of a tensor that can tell
_ROWS, _COLUMNS = 128, 2048  # that are looked at, drawn at random where there are more
_MANY = 0.5  # share of the tensors, from which it is told that they look random; never of one alone
_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class WeightCheck:
    """What the weights of a network look like.

    Attributes:
        scores: largest z-score of each weight tensor that is large enough to tell, by its name.
        fresh_norms: batch norms whose statistics are those of a fresh one: mean 0 and variance 1 throughout.
        norms: batch norms that have statistics.
    """

    scores: dict[str, float]
    fresh_norms: int
    norms: int

    @property
    def random(self) -> tuple[str, ...]:
        """Names of the tensors that look random."""
        return tuple(name for name, score in self.scores.items() if score < RANDOM_BELOW)

    def record(self) -> dict[str, Any]:
        """As ``metrics.json`` holds it."""
        return {
            "tensors": len(self.scores),
            "random": list(self.random),
            "largest_score": max(self.scores.values(), default=None),
            "batch_norms": self.norms,
            "fresh_batch_norms": self.fresh_norms,
        }

    def warnings(self, whose: str = "") -> tuple[str, ...]:
        """What the user should know, as sentences.

        Args:
            whose: network the weights are, such as ``" of the classifier"``.
        """
        told: list[str] = []
        n, of = len(self.random), len(self.scores)
        if n > 1 and n == of:
            told.append(
                f"The weights{whose} look random, all {of} tensors that are large enough to tell (largest z-score "
                f"{max(self.scores.values()):.1f}). Were trained weights loaded? What a region holds means nothing in "
                "an untrained network."
            )
        elif n > 1 and n >= _MANY * of:
            shown = ", ".join(self.random[:_NAMED]) + (f" and {n - _NAMED} more" if n > _NAMED else "")
            told.append(
                f"{n} of {of} weight tensors{whose} look random: {shown}. Were all trained weights loaded? A region "
                "says as much of them as of the trained ones."
            )
        if self.norms and self.fresh_norms == self.norms:
            told.append(
                f"The batch norms{whose} ({self.norms}) have the statistics of fresh ones, mean 0 and variance 1: were "
                "their running_mean and running_var loaded?"
            )
        return tuple(told)


def weights_of(generator: nn.Module) -> dict[str, WeightCheck]:
    """Look at the weights of a network, and of a classifier behind it by itself.

    Args:
        generator: G; nothing of it is run.

    Returns:
        A check for each, by whose it is: ``""`` for the generator's.
    """
    if isinstance(generator, Classified):
        return {"": check_weights(generator.generator), " of the classifier": check_weights(generator.classifier)}
    return {"": check_weights(generator)}


@torch.no_grad()
def check_weights(module: nn.Module) -> WeightCheck:
    """Look at the weight tensors and the batch norms of a module."""
    scores = {name: score for name, weight in module.named_parameters() if (score := score_of(weight)) is not None}
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and _has_statistics(norm)]
    return WeightCheck(scores=scores, fresh_norms=sum(map(_is_fresh, norms)), norms=len(norms))


def score_of(weight: Tensor) -> float | None:
    """The largest z-score of a weight tensor, over the ways to cut it into rows; None where it is too small to tell.

    Args:
        weight: (out, in, ...); a kernel's positions are rows, too.
    """
    if weight.ndim < 2 or weight.numel() < _FEWEST_VALUES or not weight.is_floating_point() or weight.is_meta:
        return None
    values = weight.detach()
    if not bool(values.isfinite().all()) or _is_one_hot(values):
        return None
    scores = [score for rows in _unfolded(values - values.mean()) if (score := _score(rows)) is not None]
    return max(scores, default=None)


def _is_one_hot(values: Tensor) -> bool:
    """Whether each row has one entry, as a table of labels has that nobody trained."""
    return bool((values.flatten(1).count_nonzero(dim=1) <= 1).all())


def _unfolded(values: Tensor) -> Iterator[Tensor]:
    yield values.flatten(1)
    if values.ndim > 2:
        yield values.transpose(0, 1).flatten(1)
        yield values.flatten(2).permute(2, 0, 1).flatten(1)


def _score(rows: Float[Tensor, "m n"]) -> float | None:
    rows = rows.T if rows.shape[0] > rows.shape[1] else rows
    if rows.shape[0] < _FEWEST_ROWS:
        return None
    chosen = _some(_some(rows, _ROWS).T, _COLUMNS).T.double().cpu()
    squares = chosen.square()
    first, second = torch.triu_indices(len(chosen), len(chosen), 1, device="cpu")
    common = (chosen @ chosen.T)[first, second].square()
    expected = (squares @ squares.T)[first, second]
    deviation = float(expected.square().sum().mul(2).sqrt())
    return float((common - expected).sum()) / deviation if deviation > 0 else None


def _some(rows: Tensor, most: int) -> Tensor:
    if len(rows) <= most:
        return rows
    rng = torch.Generator().manual_seed(0)
    return rows[torch.randperm(len(rows), generator=rng)[:most].to(rows.device)]


def _has_statistics(norm: _BatchNorm) -> bool:
    return norm.running_mean is not None and norm.running_var is not None


def _is_fresh(norm: _BatchNorm) -> bool:
    assert norm.running_mean is not None and norm.running_var is not None
    return bool((norm.running_mean == 0).all()) and bool((norm.running_var == 1).all())
