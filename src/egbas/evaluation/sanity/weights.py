# SPDX-License-Identifier: MIT
"""What randomised weights do to an answer (Adebayo et al. 2018): the same query, layer and level in random copies.

In: a trained region in numbers. Out: those of the copies, and by what the trained one is told apart from each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from egbas.errors import ConfigError, LayerNotFoundError, NetworkError
from egbas.evaluation.sanity.measured import Measured, rank_correlation
from egbas.evaluation.sanity.randomised import KINDS, parameters_below, parameters_of, randomised
from egbas.exploration.clock import Progress
from egbas.latent import LatentSpace
from egbas.network.conditions import Conditions
from egbas.samplers.chains import CONVERGED
from egbas.samplers.choice import rng_of

UNITS, FREEDOM, MAP = "units", "freedom", "map"
TIMES_THE_UNITS = 1.5  # share of the active units that are kept, from which two networks are told apart by it
HOLDS = 0.9  # freedom, from which a region holds hardly anything: its map is noise, and says nothing
EXPECTED = (ConfigError, NetworkError, LayerNotFoundError)  # of a copy with random weights
ALIKE = 0.5  # rank correlation of two maps, from which they are alike


@dataclass(frozen=True, kw_only=True, eq=False)
class Copy:
    """A copy with random weights.

    Attributes:
        kind: ``head``: below the layer; ``tail``: above it; ``whole``: all.
        measured: its region in numbers; None where it has none.
        reason: why it has none; empty else.
        freedom_correlation: Spearman's rank correlation of its freedom map with the trained network's; None where one
            is flat.
        deviation_correlation: of the maps of deviation over the region.
        separated_by: by what the two are told apart, of ``units``, ``freedom`` and ``map``.
    """

    kind: str
    measured: Measured | None
    reason: str
    freedom_correlation: float | None
    deviation_correlation: float | None
    separated_by: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, trained: Measured, measured: Measured) -> "Copy":
        """Compare a copy with the trained network."""
        maps = None
        if trained.facts is not None and measured.facts is not None:
            maps = rank_correlation(trained.facts.freedom, measured.facts.freedom)
        separated = {
            UNITS: _differ(measured.share, trained.share),
            FREEDOM: _apart(trained, measured),
            MAP: maps is not None and maps < ALIKE and _hold_something(trained, measured),
        }
        return cls(
            kind=kind,
            measured=measured,
            reason="",
            freedom_correlation=maps,
            deviation_correlation=rank_correlation(trained.deviation, measured.deviation),
            separated_by=tuple(name for name, holds in separated.items() if holds),
        )

    @classmethod
    def without_region(cls, kind: str, reason: str) -> "Copy":
        """A copy that cannot be explored."""
        return cls(
            kind=kind,
            measured=None,
            reason=reason,
            freedom_correlation=None,
            deviation_correlation=None,
            separated_by=(),
        )

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {
            "weights": self.kind,
            "reason": self.reason,
            "freedom_correlation": self.freedom_correlation,
            "deviation_correlation": self.deviation_correlation,
            "separated_by": list(self.separated_by),
            **({} if self.measured is None else self.measured.row()),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomisedWeights:
    """The trained region beside those of copies with random weights."""

    trained: Measured
    copies: tuple[Copy, ...]

    def row(self) -> dict[str, Any]:
        """As ``sanity.json`` holds it."""
        return {
            "trained": self.trained.row(),
            "copies": [copy.row() for copy in self.copies],
            "verdict": self.verdict,
        }

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Of each copy, whether the answer hangs on training, in sentences."""
        return tuple(_told(copy, self.trained) for copy in self.copies)

    @property
    def verdict(self) -> str:
        """All of them."""
        return " ".join(self.verdicts)


def randomised_weights(  # noqa: PLR0913
    generator: nn.Module,
    layer: str,
    latent: LatentSpace,
    trained: Measured,
    explore: Callable[[nn.Module], Measured],
    *,
    conditions: Conditions | None = None,
    seed: int,
    kinds: Sequence[str] = KINDS,
    progress: Progress | None = None,
) -> RandomisedWeights:
    """Explore copies of a generator with random weights.

    Args:
        generator: G; it is left as it was found.
        layer: dotted path.
        latent: the latent space.
        trained: the region of the generator itself.
        explore: puts the region of a copy, at the same query and level, into numbers.
        conditions: what the generator is given beside the latents.
        seed: of the random weights.
        kinds: which copies.
        progress: called with (stage, done, total, text).

    Raises:
        NetworkError: the generator cannot be copied.
    """
    below = parameters_below(generator, layer, latent, conditions)
    copies: list[Copy] = []
    for done, kind in enumerate(kinds):
        if progress:
            progress("weights", done, len(kinds), f"random weights: {kind}")
        names = parameters_of(kind, generator, below)
        if not names:
            copies.append(Copy.without_region(kind, "there are no parameters there"))
            continue
        made = randomised(generator, names, latent, rng=rng_of("randomised weights", seed), conditions=conditions)
        try:
            copies.append(Copy.of(kind, trained, explore(made)))
        except EXPECTED as error:  # no active unit, an empty set, images that are all alike, a layer that is constant
            copies.append(Copy.without_region(kind, str(error)))
    if progress:
        progress("weights", len(kinds), len(kinds), "")
    return RandomisedWeights(trained=trained, copies=tuple(copies))


def _differ(a: float, b: float) -> bool:
    return max(a, b) >= TIMES_THE_UNITS * min(a, b)


def _apart(a: Measured, b: Measured) -> bool:
    """Whether the intervals of two freedoms have nothing in common; unknown where chains do not agree."""
    if a.facts is None or b.facts is None or {a.status, b.status} != {CONVERGED}:
        return False
    if a.facts.low is None or b.facts.low is None or a.facts.high is None or b.facts.high is None:
        return False
    return a.facts.low > b.facts.high or b.facts.low > a.facts.high


def _hold_something(*regions: Measured) -> bool:
    return all(one.facts is not None and one.facts.mean < HOLDS for one in regions)


def _told(copy: Copy, trained: Measured) -> str:
    place = {"head": "below the layer", "tail": "above the layer", "whole": "everywhere"}[copy.kind]
    if copy.measured is None:
        return f"Random weights {place}: no region to compare ({copy.reason})."
    found = copy.measured
    told = [f"Random weights {place}: {_kept(found)} active units are kept, against {_kept(trained)}."]
    if found.facts is not None and trained.facts is not None:
        doubt = "" if found.status == CONVERGED else " (not converged)"
        maps = (
            "" if copy.freedom_correlation is None else f", and the maps correlate by {copy.freedom_correlation:z.2f}"
        )
        told += [f"Freedom is {found.facts.mean:.2f}{doubt} against {trained.facts.mean:.2f}{maps}."]
    *most, last = copy.separated_by or ("",)
    listed = f"{', '.join(most)} and {last}" if most else last
    told += [f"Told apart by {listed}." if last else "NOT told apart from the trained network."]
    return " ".join(told)


def _kept(measured: Measured) -> str:
    return f"{measured.units:,} of {measured.active:,}"
