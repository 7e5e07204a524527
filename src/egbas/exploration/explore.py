# SPDX-License-Identifier: MIT
"""E-GBAS (Jeon et al. 2020, Algorithm 3): BerOpt, the region of its set, GB-RRT, and the exploration they give."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus, optimize
from egbas.errors import ConfigError, ShapeError
from egbas.exploration.result import Exploration
from egbas.geometry import choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.machine.threads import idle_cores, side_by_side
from egbas.network import Network, Tail
from egbas.region import Certificate, Precisions, SupportingRegion, certify
from egbas.samplers.gbrrt import OUTSIDE, GbRrtConfig, GbRrtStatus, Growth, Tree, grow_many, with_automatic

Progress = Callable[[str, int, int, str], None]
StageProgress = Callable[[int, int, str], None]


# BerOpt needs gradients, also where the caller has switched them off.
@torch.inference_mode(mode=False)
@torch.enable_grad()
def explore(  # noqa: PLR0913  the public face: three things to explore, then settings
    generator: nn.Module,
    z0: Tensor,
    layer: int | str | nn.Module,
    *,
    rng: torch.Generator | int,
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Explore the region of a layer around a query (Jeon et al. 2020, Algorithm 3).

    Args:
        generator: G, in eval mode; it is left as it was found.
        z0: the query, of the latent space's shape or flat (d,).
        layer: number l of a non-linearity, dotted path of a module, or the module.
        rng: a CPU generator, from which the run's seed is drawn, or that seed itself.
        latent: the latent space; by default the generator's attribute ``latent``, or else N(0, 1) of z0's shape.
        geometry: ``"flat"``, the paper's; ``"sphere"``, the one through the query around the origin; or ``"auto"``: a
            sphere where ``latent`` says so or the generator ignores a latent's length, G(3z) = G(z), else flat. The
            latent space of the result has what was chosen.
        beropt: settings of BerOpt.
        gbrrt: settings of GB-RRT; step size and half-width follow the extent of the region where they are None.
        model_name: for reports and run directories; by default the zoo's name of the generator, or that of its class.
        progress: called with (stage, done, total, text).

    Returns:
        The samples with everything that led to them.

    Raises:
        ShapeError: the query has the wrong size or values that are not finite.
        LayerNotFoundError: the network has no such layer, or the latent does not reach it.
        NetworkError: the network raised, is in train mode, or gave values that are not finite.
        ConfigError: a setting is out of range, the supporting set came out empty, or a sphere has no query to go
            through because that is zero.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
        >>> run = egbas.explore(model.generator, z0, layer=1, rng=7, gbrrt=egbas.GbRrtConfig(iterations=50))
        >>> bool(run.region.contains(run.latents).all())
        True
    """
    seed = _seed_of(rng)
    (found,) = explore_many(
        generator,
        [z0],
        layer,
        rng=[seed],
        latent=latent,
        geometry=geometry,
        beropt=beropt,
        gbrrt=gbrrt,
        model_name=model_name,
        progress=progress,
    )
    return found


@torch.inference_mode(mode=False)
@torch.enable_grad()
def explore_many(  # noqa: PLR0913
    generator: nn.Module,
    queries: Tensor | Sequence[Tensor],
    layer: int | str | nn.Module,
    *,
    rng: torch.Generator | Sequence[int],
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> list[Exploration]:
    """Explore the regions of a layer around many queries, side by side, their trees in lock-step.

    Each core that torch leaves idle works on some of the queries, and one forward pass a round serves all of their
    trees; a network that takes all cores, or is on a GPU, has one pass for all. Each exploration is the one that
    ``explore`` gives for its query and seed.

    Args:
        generator: G, as for ``explore``.
        queries: at least one, each of the latent space's shape or flat (d,); a list of them or a tensor.
        layer: as for ``explore``.
        rng: a CPU generator, from which the seed of each run is drawn in order, or those seeds themselves.
        latent: as for ``explore``; by default of the first query's shape.
        geometry: as for ``explore``.
        beropt: settings of BerOpt, for all.
        gbrrt: settings of GB-RRT, for all.
        model_name: as for ``explore``.
        progress: called with (stage, done, total, text), over all queries; maybe from other threads, by one at a time.

    Returns:
        An exploration for each query, in order. ``seconds`` of the stages that they share are divided among them.

    Raises:
        ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``explore`` does, for any of the queries; or
            there is no query, or not one seed for each.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> queries = model.latent.sample(3, rng=torch.Generator().manual_seed(0))
        >>> runs = egbas.explore_many(
        ...     model.generator, queries, layer=1, rng=[0, 1, 2], gbrrt=egbas.GbRrtConfig(iterations=50)
        ... )
        >>> [run.seed for run in runs]
        [0, 1, 2]
    """
    seeds = _seeds_of(rng, len(queries))
    latent = latent or latent_of(generator, queries[0])
    clock = _Clock(progress, len(queries))

    with clock.stage("cut"):
        network = Network(generator, latent.shape)
        latent = choose_geometry(latent, network, geometry)
        starts = [as_query(z0, latent, network) for z0 in queries]
        spaces = [geometry_around(latent, start) for start in starts]
        precisions = Precisions.of(network, network.resolve(layer))
    with clock.stage("beropt"):
        found = _supporting_sets(precisions, starts, seeds, beropt or BerOptConfig(), clock)
    with clock.stage("gbrrt"):
        settings, largest = gbrrt or GbRrtConfig(), latent.largest_half_width
        regions, growths = [], []
        for start, space, kept, seed in zip(starts, spaces, found, seeds, strict=True):
            reach = space.reach(max(settings.half_width or 0.0, largest))
            region = SupportingRegion.of(precisions, start, kept.units, kept.signs, reach=reach)
            chosen = with_automatic(settings, start, region, largest_half_width=largest, geometry=space)
            rng_targets = torch.Generator().manual_seed(seed + 1)
            regions.append(region)
            growths.append(Growth(start, chosen, rng=rng_targets, geometry=space))
        trees = grow_many(growths, regions, progress=clock.progress("gbrrt"))
    with clock.stage("certificate"):
        certificates = [certify(region, tree.latents) for region, tree in zip(regions, trees, strict=True)]

    return [
        Exploration(
            network=network,
            model_name=model_name or _name_of(generator),
            latent=latent,
            layer=precisions.split.layer,
            query=start,
            seed=seed,
            beropt=kept,
            region=region,
            tree=tree,
            certificate=certificate,
            seconds=clock.seconds,
            warnings=_warnings(start, latent, kept, tree, certificate),
        )
        for start, seed, kept, region, tree, certificate in zip(
            starts, seeds, found, regions, trees, certificates, strict=True
        )
    ]


def _supporting_sets(
    precisions: Precisions, queries: Sequence[Tensor], seeds: Sequence[int], config: BerOptConfig, clock: "_Clock"
) -> list[BerOptResult]:
    """Run BerOpt for many queries, on as many cores as there are for them."""
    tails = [precisions.split.at(query) for query in queries]
    # A tail by hooks is one replica for all.
    n_threads = idle_cores() if all(tail.route == "graph" for tail in tails) else 1
    return side_by_side(
        lambda job, stop: _supporting_set(*job, config, clock.part("beropt", stop)),
        list(zip(tails, seeds, strict=True)),
        n_threads,
    )


def _supporting_set(tail: Tail, seed: int, config: BerOptConfig, progress: StageProgress) -> BerOptResult:
    """Run BerOpt, and refuse a set of no units."""
    found = optimize(tail, config, rng=torch.Generator().manual_seed(seed), progress=progress)
    progress(config.max_steps, config.max_steps, f"{len(found.units)} units kept")
    if found.status is BerOptStatus.EMPTY:
        raise ConfigError(
            f"the supporting set of layer {tail.layer.path!r} is empty: no unit has theta above "
            f"{found.config.threshold}; lower the sparsity (now {found.config.sparsity}) or the threshold"
        )
    return found


def as_query(z0: Tensor, latent: LatentSpace, network: Network) -> Float[Tensor, " d"]:
    """Check a query and flatten it, in the dtype that the tree will have, on the CPU where that grows.

    Raises:
        ShapeError: it has the wrong size or values that are not finite.
    """
    if not isinstance(z0, Tensor) or z0.numel() != latent.size:
        got = f"shape {tuple(z0.shape)}" if isinstance(z0, Tensor) else type(z0).__name__
        raise ShapeError(
            f"got a query of {got}, expected a tensor of {latent.size} values for latent shape {latent.shape}"
        )
    if not z0.is_floating_point() or not bool(torch.isfinite(z0).all()):
        raise ShapeError("the query must hold finite floating-point numbers; it holds NaN, infinity or another type")
    # Geometry in half precision would not even keep the step size: float32 at least.
    dtype = torch.promote_types(network.dtype, torch.float32)
    return z0.detach().clone().reshape(-1).to(device="cpu", dtype=dtype)


def _name_of(generator: nn.Module) -> str:
    carried = getattr(generator, "zoo_name", None)
    return carried if isinstance(carried, str) else type(generator).__name__


def _seed_of(rng: torch.Generator | int) -> int:
    if isinstance(rng, torch.Generator):
        return int(torch.randint(2**62, (), generator=rng))
    if isinstance(rng, bool) or not isinstance(rng, int) or not 0 <= rng < 2**63:
        raise ConfigError(f"got rng={rng!r}; expected a CPU torch.Generator, or a seed from 0 to 2**63 - 1")
    return rng


def _seeds_of(rng: torch.Generator | Sequence[int], n: int) -> list[int]:
    if not n:
        raise ConfigError("got no queries; expected at least one")
    if isinstance(rng, torch.Generator):
        return [_seed_of(rng) for _ in range(n)]
    if not isinstance(rng, Sequence) or len(rng) != n:
        raise ConfigError(f"got rng={rng!r} for {n} queries; expected a CPU torch.Generator, or one seed for each")
    return [_seed_of(seed) for seed in rng]


def latent_of(generator: nn.Module, z0: Tensor) -> LatentSpace:
    """The latent space that a generator carries as its attribute ``latent``, or else N(0, 1) of the query's shape."""
    carried = getattr(generator, "latent", None)
    return carried if isinstance(carried, LatentSpace) else LatentSpace(shape=tuple(z0.shape))


_CROWDED = 0.95  # share of the candidates within a step of another node from which the step hinders the tree
_WELL_REACHED = 0.1  # share of the tested candidates that must leave the region for it to shape the tree


def _warnings(
    query: Tensor, latent: LatentSpace, found: BerOptResult, tree: Tree, certificate: Certificate
) -> tuple[str, ...]:
    messages = []
    if not bool(latent.contains(query[None])):
        messages.append("The query lies outside the support of the latent prior; its image may mean nothing.")
    if found.status is not BerOptStatus.CONVERGED:
        messages.append(f"BerOpt: {found.status.value}.")
    if tree.status is GbRrtStatus.NOTHING_ACCEPTED:
        messages.append(f"GB-RRT: {tree.sentence} (now {tree.step_size:.3g}).")
    outside = int((tree.rejected_reason == OUTSIDE).sum())
    too_close = len(tree.rejected) - outside
    if too_close >= _CROWDED * (len(tree.latents) - 1 + len(tree.rejected)):
        messages.append(
            "Nearly all candidates lay within a step of another node, so that few samples came of them. "
            f"Lower the step size (now {tree.step_size:.3g}) or raise the half-width."
        )
    elif outside < _WELL_REACHED * (outside + len(tree.latents) - 1):
        messages.append(
            "The tree hardly met the region's boundaries: half-width or iterations shape the samples, not the region. "
            "Raise the half-width, the step size or the iterations."
        )
    if certificate.dtype != "float64":
        messages.append(f"The network does not compute in float64: the certificate is one in {certificate.dtype} only.")
    if not certificate.is_valid:
        n_outside = certificate.n_samples - certificate.n_inside
        messages.append(f"{n_outside} samples lie outside the region in float64; run the network in float64.")
    return tuple(messages)


class _Stopped(Exception):
    """Ends the work on a query when that on another has failed."""


class _Clock:
    """Seconds of each stage for each query, and the progress callback with the stage's name in front."""

    def __init__(self, progress: Progress | None, n_queries: int) -> None:
        self._seconds: dict[str, float] = {}
        self._progress, self._n_queries = progress, n_queries
        self._door, self._done = threading.Lock(), dict[str, int]()

    @property
    def seconds(self) -> dict[str, float]:
        return {name: seconds / self._n_queries for name, seconds in self._seconds.items()}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - start

    def progress(self, name: str) -> StageProgress | None:
        """Progress of a stage over all queries."""
        return None if self._progress is None else partial(self._progress, name)

    def part(self, name: str, stop: threading.Event) -> StageProgress:
        """Progress of a stage of one query among others, maybe in a thread of its own, which it ends on ``stop``."""
        before = 0

        def tell(done: int, total: int, text: str) -> None:
            nonlocal before
            if stop.is_set():
                raise _Stopped
            with self._door:
                done = max(done, before)  # a second start counts from zero
                self._done[name] = self._done.get(name, 0) + done - before
                before = done
                if self._progress is not None:
                    self._progress(name, self._done[name], self._n_queries * total, text)

        return tell
