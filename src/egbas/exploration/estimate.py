# SPDX-License-Identifier: MIT
"""What an exploration will take, from one measured pass of each kind, before a long run."""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, default_masks, expected_steps, largest_search
from egbas.beropt.config import FINEST
from egbas.exploration.answers import SAMPLES
from egbas.exploration.budget import largest_budget
from egbas.exploration.queries import as_query, latent_of
from egbas.exploration.supports import config_of
from egbas.geometry import choose_geometry
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.machine.threads import threads_worth
from egbas.network import Network, Tail
from egbas.network.boundary import Boundary
from egbas.network.given import Given, Inputs, network_of
from egbas.region import MICRO_BATCH, Precisions
from egbas.samplers.exact import ExactConfig
from egbas.samplers.gbrrt import GbRrtConfig

_LEAST_SEARCH = 80  # masks of a local search that finds nothing to flip
_FEWEST_EVALUATIONS = 40_000  # of exact samples: the warm-up, and some draws
_QUICKEST = 0.2  # of a pass of the whole head: kept units alone, or a layer that is affine in the latent
_FOR_AUTOMATIC = 500  # evaluations of the head that the automatic step size takes
_BOOKKEEPING = 5e-6  # seconds an iteration of the tree itself
_ACCEPTED = (0.1, 1.0)  # share of the iterations that give a sample
_WASTED = 1.2  # evaluations for each iteration, at most


@dataclass(frozen=True, kw_only=True)
class StageEstimate:
    """One stage of a run.

    Attributes:
        name: as in ``Exploration.seconds``; ``"images"`` for those of the report.
        low: seconds, at least.
        high: seconds, at most.
        basis: what they were reckoned from.
    """

    name: str
    low: float
    high: float
    basis: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an exploration will take.

    Attributes:
        stages: in the order of the run.
        peak_bytes: of memory: the process's on a CPU, what torch allocates on a GPU.
    """

    stages: tuple[StageEstimate, ...]
    peak_bytes: int

    @property
    def low(self) -> float:
        """Seconds, at least."""
        return sum(stage.low for stage in self.stages)

    @property
    def high(self) -> float:
        """Seconds, at most."""
        return sum(stage.high for stage in self.stages)


@alone
def estimate(  # noqa: PLR0913  the arguments of explore
    generator: Given,
    z0: Tensor,
    layer: int | str | nn.Module,
    *,
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    samples: int = SAMPLES,
    level: int | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    boundary: str | None = None,
) -> Estimate:
    """Measure one pass of each kind that ``explore`` will make, and reckon from that what all of it takes.

    The passes are of the sizes that ``explore`` takes, so that its peak of memory is reached here, too. How many passes
    BerOpt and GB-RRT need depends on the region; the ends of the range are those that they can need.

    Args:
        generator: as for ``explore``, like all that follows.
        z0: the query.
        layer: to be explored.
        latent: the latent space.
        geometry: of the latents.
        beropt: settings of BerOpt.
        gbrrt: settings of GB-RRT.
        samples: effective draws wanted of the exact sampler; 0: the tree alone.
        level: of the supporting set.
        output: that is the image.
        inputs: of the generator beside the latent.
        boundary: of the layer's units, as ``explore`` says.

    Raises:
        ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``explore`` does.
    """
    beropt, gbrrt = config_of(level, beropt), gbrrt or GbRrtConfig()
    latent, generator = latent or latent_of(generator, z0), network_of(generator)
    chains = 0 if samples == 0 else ExactConfig(samples=samples).memory(latent.size)
    start = time.perf_counter()
    told = Boundary.of(boundary, latent)
    network = Network(generator, latent.shape, output=output, inputs=inputs, boundary=told)
    latent = choose_geometry(latent, network, geometry)
    query = as_query(z0, latent, network)
    precisions = Precisions.of(network, network.resolve(layer))
    tail = precisions.split.at(query)
    cutting = time.perf_counter() - start

    low, high = (round(share * gbrrt.iterations) for share in _ACCEPTED)
    image = _seconds(lambda: list(network.image_batches(_around(query, 16)))) / 16
    exact = _seconds(lambda: precisions.exact.head(_around(query, 16))) / 16
    stages = (
        StageEstimate(name="cut", low=cutting, high=cutting, basis="measured as a whole"),
        _beropt(tail, beropt),
        _gbrrt(precisions, query, gbrrt),
        *([] if samples == 0 else [_prior(precisions, query)]),
        StageEstimate(
            name="certificate",
            low=exact * low,
            high=exact * high,
            basis=f"{_plain(exact)} for a latent in float64, {low:,} to {high:,} samples",
        ),
        StageEstimate(
            name="images",
            low=image * low,
            high=image * high,
            basis=f"{_plain(image)} for an image, {low:,} to {high:,} samples",
        ),
    )
    tree = 4 * query.element_size() * gbrrt.iterations * len(query)
    chains = chains if network.device.type == "cpu" else 0  # states of chains are never on a GPU
    return Estimate(stages=stages, peak_bytes=_peak_bytes(network.device) + tree + chains)


def _beropt(tail: Tail, config: BerOptConfig) -> StageEstimate:
    n = default_masks(tail.x.numel()) if config.masks is None else max(1, config.masks)
    masks = (torch.rand(n, len(tail.a), generator=torch.Generator().manual_seed(0), dtype=torch.float32) < 0.5).to(
        tail.a
    )

    def step() -> None:
        a = (masks * tail.a).requires_grad_()
        (tail(a) - tail.x).square().sum().backward()

    @torch.no_grad()
    def forward() -> None:
        tail(masks * tail.a)

    each, search = _seconds(step), _seconds(forward) / n
    searches, told = (1 + FINEST - config.level, "levels") if config.level is not None else (1, "a local search")
    fewest, most = expected_steps(tail.x.numel(), config)
    return StageEstimate(
        name="beropt",
        low=fewest * each + _LEAST_SEARCH * search,
        high=2 * most * each + searches * largest_search(tail.x.numel()) * search,
        basis=f"{_plain(each)} a step of {n} masks, {fewest:,} to twice {most:,} steps; {told}",
    )


def _gbrrt(precisions: Precisions, query: Float[Tensor, " d"], config: GbRrtConfig) -> StageEstimate:
    sizes = [size for size in (16, MICRO_BATCH) if size <= max(16, config.iterations)]

    def fastest(head: Callable[[Tensor], object]) -> float:
        return min(_seconds(lambda n=n: head(_around(query, n))) / n for n in sizes)

    # Of the layer itself the kept units are computed: at least none of them, at most all. Cores may share the latents.
    whole = fastest(precisions.split.head)
    least = whole if precisions.linear is None else min(whole, fastest(precisions.linear.stem))
    least /= threads_worth(MICRO_BATCH * least)
    extra = _FOR_AUTOMATIC if config.step_size is None or config.half_width is None else 0
    bookkeeping = _BOOKKEEPING * config.iterations
    most = math.ceil(_WASTED * config.iterations) + extra
    return StageEstimate(
        name="gbrrt",
        low=(0.5 * config.iterations + extra) * least + bookkeeping,
        high=most * whole + 2 * bookkeeping,
        basis=f"{_plain(least)} to {_plain(whole)} for a latent in the head, {config.iterations:,} iterations",
    )


def _prior(precisions: Precisions, query: Float[Tensor, " d"]) -> StageEstimate:
    """Exact samples: half of the latents that are asked about lie outside, and have a gradient, too."""
    each = _seconds(lambda: precisions.split.head(_around(query, 16))) / 16
    most = largest_budget(precisions)
    fewest = min(_FEWEST_EVALUATIONS, most)
    return StageEstimate(
        name="prior",
        low=_QUICKEST * fewest * each,
        high=2 * most * each,
        basis=f"{_plain(each)} for a latent in the head, {fewest:,} to {most:,} evaluations, half with gradients",
    )


def _around(query: Float[Tensor, " d"], n: int) -> Float[Tensor, "n d"]:
    return query + 0.01 * torch.randn(
        n, len(query), generator=torch.Generator().manual_seed(0), dtype=torch.float32
    ).to(query)


def _seconds(run: Callable[[], object]) -> float:
    """The faster of two calls: the first one may have to allocate and to compile."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _plain(seconds: float) -> str:
    """Such as ``3.1 ms``."""
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"
