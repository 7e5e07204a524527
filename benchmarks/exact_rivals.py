# SPDX-License-Identifier: MIT
"""Exact samples beside other samplers of the same region: effective draws per second of the processor.

Run as ``python -m benchmarks.exact_rivals OUT.json``, under five minutes. Layer 1 is a polytope, which hopsy knows, too
(``pip install hopsy``; without it its figures stay empty), and a plain hit-and-run along chords. Of a deeper layer only
``contains`` is shown; its rival goes along lines, one chain after another, until a draw of the line is inside.
"""

import functools
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from benchmarks.problems import Problem, generator, problem, set_threads
from benchmarks.timing import machine
from egbas.latent import LatentSpace
from egbas.region import Region
from egbas.samplers.choice import choose_samplers
from egbas.samplers.exact import ExactConfig
from egbas.samplers.target import Gaussian, Target, UniformBox, prior_target

Row = dict[str, Any]
Array = NDArray[np.float64]

SEEDS = (3, 7, 11)
POLYTOPE, DEEPER, LAYERS = ("dcgan-mnist", 1), "dcgan-mnist-2d", (2, 3, 4)
WANTED = 2000  # effective draws of egbas, whose seconds count from its start: warm-up, checks and all
SECONDS = 8.0  # of each rival, once it has run for a while
N_CHAINS = 16  # of each rival
_N_KEPT = 2000  # draws of each chain, evenly from all
_FORGOTTEN = 4  # the first of so many parts is left out
_PILOT = 50  # moves of a chain that tell how many fit into the seconds
_N_PILOTS = 4  # of hopsy, whose calls from Python should not count for much
_AFRESH = 100  # moves after which the margins are computed anew
PROPOSALS = (
    "TruncatedGaussianProposal",
    "GaussianHitAndRunProposal",
    "UniformHitAndRunProposal",
    "GaussianCoordinateHitAndRunProposal",
    "UniformCoordinateHitAndRunProposal",
    "BilliardMALAProposal",
    "BilliardWalkProposal",
)


@dataclass(frozen=True)
class Contains:
    """A region of which only membership is shown.

    Attributes:
        region: to ask.
    """

    region: Region

    def contains(self, z: Tensor) -> Tensor:
        """Say which latents (n, d) lie in it: bool (n,)."""
        return self.region.contains(z)


@dataclass
class Clock:
    """Seconds of one sampler.

    Attributes:
        cpu: of the processor, of all threads.
        wall: of the clock.
    """

    cpu: float = 0.0
    wall: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done within."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu, self.wall = self.cpu + time.process_time() - cpu, self.wall + time.perf_counter() - wall


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a sampler drew.

    Attributes:
        draws: (chains, n, d).
        clock: what they took.
    """

    draws: Array
    clock: Clock = field(default_factory=Clock)

    @property
    def row(self) -> Row:
        """The worst effective sample size over the coordinates, and over their squares; whether the chains agree."""
        (of_means, r_hat), (of_squares, _) = _diagnosed(self.draws), _diagnosed(_squares(self.draws))
        return {
            "ess_per_second": of_means / self.clock.cpu,
            "ess_of_squares_per_second": of_squares / self.clock.cpu,
            "ess": of_means,
            "r_hat": r_hat,
            "draws": self.draws.shape[0] * self.draws.shape[1],
            "cpu_seconds": self.clock.cpu,
            "seconds": self.clock.wall,
        }

    def gap(self, other: "Drawn") -> float:
        """The root mean square, over the coordinates, of differences of two means in their standard errors.

        About 1 where both draw from the same distribution.
        """
        (mean, error), (other_mean, other_error) = (_means(one.draws) for one in (self, other))
        return float(np.sqrt(np.mean((mean - other_mean) ** 2 / (error**2 + other_error**2))))


def ours(case: Problem, region: Region, wanted: int = WANTED) -> Drawn:
    """The sampler ``"prior"`` of an exploration, from its warm-up to the last check."""
    (sampler,) = choose_samplers(["prior"], exact=ExactConfig(samples=wanted))
    _, latent = generator(case.model, "cpu")
    clock = Clock()
    with clock.running():
        chains: Any = sampler.sample(region, case.query, latent, torch.Generator().manual_seed(case.seed))
    n_chains = int(chains.chain.max()) + 1
    return Drawn(draws=chains.latents.numpy().reshape(n_chains, -1, case.query.numel()), clock=clock)


def by_hopsy(case: Problem, name: str, seconds: float) -> Drawn:
    """N(0, I) in the polytope by one of hopsy's proposals."""
    import hopsy

    (weight, offset), query = _walls(case), case.query.double().numpy()
    model = hopsy.Gaussian(np.zeros(len(query)), np.eye(len(query)))
    polytope = hopsy.Problem(-weight, offset, model, starting_point=query)
    proposal = getattr(hopsy, name)
    chains = [hopsy.MarkovChain(polytope, proposal=proposal, starting_point=query) for _ in range(N_CHAINS)]
    rngs = [hopsy.RandomNumberGenerator(case.seed, i) for i in range(N_CHAINS)]
    pilot, clock = Clock(), Clock()
    with pilot.running():
        hopsy.sample(chains, rngs, _N_PILOTS, thinning=_PILOT)
    moves = seconds / pilot.cpu * _N_PILOTS * _PILOT
    thinning = max(1, round(moves / _N_KEPT))
    with clock.running():
        _, draws = hopsy.sample(chains, rngs, max(round(moves / thinning), _PILOT), thinning=thinning)
    return Drawn(draws=_recent(draws), clock=clock)


def along_chords(case: Problem, seconds: float) -> Drawn:
    """N(0, I) in the polytope by a plain hit-and-run: from a line's part within the walls, all chains side by side."""
    (weight, offset), rng = _walls(case), np.random.default_rng(case.seed)
    z = np.tile(case.query.double().numpy(), (N_CHAINS, 1))
    margins = z @ weight.T + offset
    n = 0

    def move() -> Array:
        nonlocal z, margins, n
        n += 1
        if n % _AFRESH == 0:
            margins = z @ weight.T + offset
        directions = _directions(z.shape, rng)
        slopes = directions @ weight.T
        with np.errstate(divide="ignore"):
            meetings = -margins / slopes
        low = np.where(slopes > 0, meetings, -np.inf).max(axis=1)
        high = np.where(slopes < 0, meetings, np.inf).min(axis=1)
        steps = normal_between(low, high, -(z * directions).sum(axis=1), rng)
        z = z + steps[:, None] * directions
        margins = margins + steps[:, None] * slopes
        return z

    return _timed(move, seconds)


def by_rejection(case: Problem, region: Region, latent: LatentSpace, seconds: float) -> Drawn:
    """The prior in a region that only says what it contains: draws of a line until one is inside, chain by chain."""
    rng, target = np.random.default_rng(case.seed), prior_target(latent, case.query)
    states = [case.query.double().numpy() for _ in range(N_CHAINS)]

    def move() -> Array:
        for chain, z in enumerate(states):
            direction = _directions(z[None].shape, rng)[0]
            draw = _along(target, z, direction, rng)
            while True:
                there = z + draw() * direction
                if bool(region.contains(torch.from_numpy(there)[None])):
                    break
            states[chain] = there
        return np.stack(states)

    return _timed(move, seconds)


def normal_between(low: Array, high: Array, mean: Array, rng: np.random.Generator) -> Array:
    """Draws (n,) of N(mean, 1) between two bounds; where both are above it by their mirror images, which are exact."""
    first, last = low - mean, high - mean
    is_above = first > 0
    first, last = np.where(is_above, -last, first), np.where(is_above, -first, last)
    bottom, top = ndtr(first), ndtr(last)
    drawn = np.clip(ndtri(bottom + rng.random(len(mean)) * (top - bottom)), first, last)
    return mean + np.where(is_above, -drawn, drawn)


def polytope_row(seed: int, seconds: float = SECONDS, wanted: int = WANTED) -> Row:
    """Layer 1: egbas, hopsy's best proposal, and a hit-and-run along chords."""
    case = problem(*POLYTOPE, 1, seed=seed)
    first = ours(case, case.region, wanted)
    plain = along_chords(case, seconds)
    row = {**case.key, "seed": seed, "region": "polytope", "d": case.query.numel(), "walls": len(case.region.units)}
    row |= {"egbas": first.row, "hit_and_run": _beside(first, plain), "hopsy": None, "hopsy_others": None}
    if importlib.util.find_spec("hopsy") is not None:
        found = {name: _beside(first, by_hopsy(case, name, seconds)) for name in PROPOSALS}
        best = max(found, key=lambda name: found[name]["ess_per_second"])
        row["hopsy"] = {"proposal": best, **found.pop(best)}
        row["hopsy_others"] = {name: one["ess_per_second"] for name, one in found.items()}
    return row


def contains_row(seed: int, seconds: float = SECONDS, wanted: int = WANTED, layer: int = LAYERS[0]) -> Row:
    """A deeper layer that only says what it contains: egbas, and a hit-and-run with rejection."""
    case = problem(DEEPER, layer, 1, seed=seed)
    region = Contains(case.region)
    first = ours(case, region, wanted)
    plain = by_rejection(case, region, generator(case.model, "cpu")[1], seconds)
    row = {**case.key, "seed": seed, "region": "contains", "d": case.query.numel()}
    return row | {"egbas": first.row, "hit_and_run": _beside(first, plain)}


def main(path: Path) -> None:
    """Measure, print, write."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # of what hopsy imports
    for model in (POLYTOPE[0], DEEPER):
        set_threads(model)
    if importlib.util.find_spec("hopsy") is None:
        print("hopsy is not installed (pip install hopsy); its figures stay empty")
    for of_seed in (polytope_row, contains_row):  # to warm up
        of_seed(SEEDS[0], 0.1, 50)
    rows = []
    of_layers = [functools.partial(contains_row, layer=layer) for layer in LAYERS]
    for of_seed in (polytope_row, *of_layers):
        for seed in SEEDS:
            rows.append(of_seed(seed))
            print(_in_short(rows[-1]), flush=True)
    result = {"machine": machine("cpu"), "wanted": WANTED, "seconds": SECONDS, "chains": N_CHAINS, "rows": rows}
    path.write_text(json.dumps(result, indent=1) + "\n")


def _beside(first: Drawn, rival: Drawn) -> Row:
    """A rival's row, with how many times as many effective draws egbas has in a second."""
    mine, its = first.row, rival.row
    return {
        "ratio": mine["ess_per_second"] / its["ess_per_second"],
        "ratio_of_squares": mine["ess_of_squares_per_second"] / its["ess_of_squares_per_second"],
        **its,
        "gap": first.gap(rival),
    }


def _in_short(row: Row) -> str:
    told = [f"{row['model']} layer {row['layer']} seed {row['seed']}: {row['egbas']['ess_per_second']:.0f} a second"]
    told += [f"{row[name]['ratio']:.1f} times {name}" for name in ("hit_and_run", "hopsy") if row.get(name)]
    return ", ".join(told)


def _walls(case: Problem) -> tuple[Array, Array]:
    walls = case.region.linear()
    assert walls is not None
    return walls[0].numpy(), walls[1].numpy()


def _along(target: Target, z: Array, direction: Array, rng: np.random.Generator) -> Callable[[], float]:
    """Draws of how far to go from a state along a line: those of the target on the whole line."""
    if isinstance(target, Gaussian):
        middle = -float(z @ direction)
        return lambda: middle + rng.standard_normal()
    assert isinstance(target, UniformBox)
    ends = (np.stack([target.low.numpy(), target.high.numpy()]) - z) / direction
    return lambda: rng.uniform(ends.min(axis=0).max(), ends.max(axis=0).min())


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    vectors = rng.standard_normal(shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _timed(move: Callable[[], Array], seconds: float) -> Drawn:
    """Move all chains for so many seconds, after a pilot that is not counted."""
    pilot, clock = Clock(), Clock()
    with pilot.running():
        for _ in range(_PILOT):
            move()
    n = max(_PILOT, round(seconds / pilot.cpu * _PILOT))
    every = max(1, n // _N_KEPT)
    kept = []
    with clock.running():
        for i in range(n):
            z = move()
            if i % every == 0:
                kept.append(z)
    return Drawn(draws=_recent(np.stack(kept, axis=1)), clock=clock)


def _recent(draws: Array) -> Array:
    return draws[:, draws.shape[1] // _FORGOTTEN :]


def _diagnosed(draws: Array) -> tuple[float, float]:
    """The smallest bulk effective sample size and the largest R-hat of the coordinates."""
    from arviz_stats.base.array import array_stats

    series = np.moveaxis(draws, 2, 0)
    sizes = array_stats.ess(series, chain_axis=1, draw_axis=2, method="bulk")
    return float(np.min(sizes)), float(np.max(array_stats.rhat(series, chain_axis=1, draw_axis=2)))


def _squares(draws: Array) -> Array:
    return (draws - draws.mean(axis=(0, 1))) ** 2


def _means(draws: Array) -> tuple[Array, Array]:
    """The mean of each coordinate, and its standard error by the spread of the chains."""
    means = draws.mean(axis=1)
    return means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(means))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
