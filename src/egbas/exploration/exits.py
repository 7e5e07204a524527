# SPDX-License-Identifier: MIT
"""Counterfactuals: where the region around a query ends, which class comes next, and the way back.

In: an exploration of a decision region, of a layer's, or of both. Out: the nearest exits along the tree, the chains and
the gradients, each on a straight line from the query and checked in float64: outside there, inside a tenth before. On
a sphere the straight lines are great circles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from egbas.errors import ConfigError
from egbas.exploration.nearest import box_of, nearest_on_walls
from egbas.exploration.result import Exploration
from egbas.geometry import Geometry, geometry_around
from egbas.geometry.flat import Flat
from egbas.geometry.sphere import Sphere
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.region import DecisionRegion, SupportingRegion, supporting_of
from egbas.samplers.gbrrt import OUTSIDE

GRADIENT, TREE, CHAINS = "gradient", "tree", "chains"
BEFORE = 0.9  # of the way to an exit, where the region must not have ended
BEYOND = (1.1, 1.03, 1.01, 1.001)  # of it, where the way back begins: the first that the next class still holds at
TENTHS = 10  # steps of the way that are told
_RAYS, _BEST = 48, 4  # rays of each route that are looked along; those whose crossing is computed
_STEPS = 24  # along a ray
_LONGEST = 3.0  # ray, in lengths of what it goes through
_HALVINGS = 44  # of the last step
_NUDGES = 30  # by which a way is made longer, each twice the one before, until its end is outside by itself
_TRIES = 20  # of a line that leaves the region more often


@dataclass(frozen=True, kw_only=True, eq=False)
class Exit:
    """Where a straight line from a latent first leaves a region.

    Attributes:
        latent: (d,) in float64, the first outside, up to rounding.
        start: (d,) in float64, where the line begins.
        route: how it was found: by ``"gradient"``, or on a line through the ``"tree"`` or through the ``"chains"``.
        distance: from the start, in latent units; on a sphere along it.
        image_distance: of its image from the start's, relative to the norm of that.
        next_class: the class there; None where the region is no decision region.
        margin: there, in float64; below 0.
        margin_before: a tenth of the way before, likewise; at least 0.
        flipped: indices in the layer of the kept units that lie on the other side there; None without kept units.
        is_on_sphere: whether the line is an arc of the sphere through the start, around the origin.
    """

    latent: Float[Tensor, " d"]
    start: Float[Tensor, " d"]
    route: str
    distance: float
    image_distance: float
    next_class: int | None
    margin: float
    margin_before: float
    flipped: Int[Tensor, " k"] | None
    is_on_sphere: bool = False

    def at(self, share: float) -> Float[Tensor, " d"]:
        """The latent at a share of the way; 1 is the exit, and the way back goes to 0."""
        space = Sphere(self.start) if self.is_on_sphere else Flat(self.start)
        return space.around(share * space.offsets(self.latent[None]))[0]

    @property
    def way(self) -> Float[Tensor, "n d"]:
        """The way in tenths, both ends among them."""
        return torch.stack([self.at(step / TENTHS) for step in range(TENTHS + 1)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Exits:
    """The nearest exits from a region around a query.

    Attributes:
        target_class: of the query; None where the region is no decision region.
        routes: the nearest exit of each route that has one, by its name.
        classes: the nearest exit of all into each class that was met, the nearest first.
        back: from a little beyond the nearest exit, a tenth or less of the way, the nearest way out of the next class's
            region; None without classes, or where that region is too thin.
        kept: how many units the run's layer keeps; None without a layer.
    """

    target_class: int | None
    routes: dict[str, Exit]
    classes: tuple[Exit, ...]
    back: Exit | None
    kept: int | None

    @property
    def nearest(self) -> Exit:
        """The nearest exit of all."""
        return min(self.routes.values(), key=lambda one: one.distance)


@alone
def nearest_exits(run: Exploration, *, progress: Callable[[int, int, str], None] | None = None) -> Exits:
    """Find where the region around a run's query ends.

    Of a run in a decision region, alone or with a layer's, the exits are those of the decision region; of a run at a
    layer, those of the layer's region. A line may leave a region more often than it is looked at (24 times): what is
    told is an exit, and a nearer one cannot be excluded.

    Args:
        run: an exploration.
        progress: called with (routes done, of how many, text).

    Raises:
        ConfigError: the region tells no margins, or no way out was found.

    Example:
        >>> import egbas, torch
        >>> model, classifier = egbas.load_model("dcgan-mnist-2d"), egbas.load_classifier("lenet-mnist")
        >>> z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
        >>> run = egbas.explore(model, z0, classifier=classifier, region="class", samples=0, rng=7)
        >>> found = egbas.nearest_exits(run).nearest
        >>> found.next_class != run.decision.target_class and found.margin < 0 <= found.margin_before
        True
    """
    region = run.decision or supporting_of(run.region)
    if region is None:
        raise ConfigError(
            f"the run explored a region of its user's own ({type(run.region).__name__}), which tells no margins; exits "
            "are found of a decision region or a layer's"
        )
    look = _Look(run, region)
    z0 = run.query.detach().cpu().double()
    found: list[Exit] = []
    for number, (route, ends) in enumerate({TREE: _of_tree(run), CHAINS: _of_chains(run)}.items()):
        if progress:
            progress(number, 3, f"along the {route}")
        found += look.along(z0, ends, route)
    if progress:
        progress(2, 3, "along the gradients")
    starts = torch.stack([z0, *(one.latent for one in sorted(found, key=_distance)[:_BEST])])
    found += look.along(z0, nearest_on_walls(region, z0, starts, run.latent), GRADIENT)
    if not found:
        raise ConfigError(
            "no way out of the region was found: no wall is near the query, and no line through the samples leaves it"
        )
    found = sorted(found, key=_distance)
    routes: dict[str, Exit] = {}
    classes: dict[int, Exit] = {}
    for one in found:
        routes.setdefault(one.route, one)
        if one.next_class is not None:
            classes.setdefault(one.next_class, one)
    if progress:
        progress(3, 3, "the way back")
    kept = supporting_of(run.region)
    return Exits(
        target_class=None if run.decision is None else run.decision.target_class,
        routes=routes,
        classes=tuple(classes.values()),
        back=_back(run, found[0]),
        kept=None if kept is None else len(kept.units),
    )


def _distance(one: Exit) -> float:
    return one.distance


def _of_tree(run: Exploration) -> Float[Tensor, "n d"]:
    """Candidates of the tree that lie outside its region, the nearest first."""
    if run.tree is None:
        return run.query[None][:0]
    outside = run.tree.rejected[run.tree.rejected_reason == OUTSIDE]
    return outside[(outside - run.query.to(outside)).norm(dim=1).argsort()]


def _of_chains(run: Exploration) -> Float[Tensor, "n d"]:
    """Exact draws, evenly from all chains."""
    return run.query[None][:0] if run.exact is None else run.exact.latents


def _back(run: Exploration, nearest: Exit) -> Exit | None:
    """The way out of the next class's region, from a little beyond an exit into it."""
    decision, found = run.decision, nearest.next_class
    if decision is None or found is None:
        return None
    there = DecisionRegion(decision.module, found, latent=decision.latent)
    low, high = box_of(run.latent, nearest.latent)
    for share in BEYOND:  # the next class may be a thin one, which ends again soon
        begin = torch.minimum(torch.maximum(nearest.at(share), low), high)  # in the support
        if bool(there.margin(begin[None].to(run.query.device)) >= 0):
            break
    else:
        return None
    ends = nearest_on_walls(there, begin, begin[None], run.latent)
    ways = _Look(run, there).along(begin, ends, GRADIENT)
    return min(ways, key=_distance, default=None)


class _Look:
    """Looks along lines for where a region ends."""

    def __init__(self, run: Exploration, region: SupportingRegion) -> None:
        self.run, self.region = run, region

    def along(self, z0: Float[Tensor, " d"], ends: Float[Tensor, "n d"], route: str) -> list[Exit]:
        """The exits on the nearest of the lines through some latents, evenly from all of them."""
        space, ends = geometry_around(self.run.latent, z0), ends.detach().cpu().double()
        offsets = space.offsets(ends)
        offsets = offsets[offsets.norm(dim=1) > 0]
        if not len(offsets):
            return []
        if len(offsets) > _RAYS and route != TREE:
            offsets = offsets[torch.arange(_RAYS) * len(offsets) // _RAYS]
        aims = _aims(self.region, space, offsets[:_RAYS], self.run.latent)
        chosen = aims[aims.norm(dim=1).argsort()][: _BEST if route != GRADIENT else len(aims)]
        found, before = self._crossings(space, chosen)
        return [self._exit(z0, space, *each, route) for each in zip(found, before.tolist(), strict=True)]

    def _crossings(
        self, space: Geometry, outside: Float[Tensor, "n d"]
    ) -> tuple[Float[Tensor, "m d"], Float[Tensor, " m"]]:
        """How far lines from a latent in the region to others outside stay inside, and the margins a tenth before."""
        found, before = outside, torch.full((len(outside),), -torch.inf, dtype=torch.float64)
        for _ in range(_TRIES):
            found = _shares(self.region, space, outside)[:, None] * outside
            before = self._margins(space.around(BEFORE * found))
            if bool((before >= 0).all()):
                break
            outside = torch.where((before < 0)[:, None], BEFORE * found, found)  # there it had ended before
        return found[before >= 0], before[before >= 0]

    def _exit(self, z0: Tensor, space: Geometry, offset: Tensor, before: float, route: str) -> Exit:
        offset, margin = self._beyond(space, offset)
        latent = space.around(offset)
        pair = torch.stack([z0, latent]).to(self.run.query)
        first, there = (image.double() for image in self.run.network.generate(pair).cpu())
        decision, kept = self.region, supporting_of(self.run.region)
        at = latent[None].to(self.run.query.device)
        return Exit(
            latent=latent,
            start=z0,
            route=route,
            distance=float(offset.norm()),
            image_distance=float((there - first).norm() / first.norm().clamp(min=torch.finfo(torch.float64).tiny)),
            next_class=int(decision.classes(at)[0]) if isinstance(decision, DecisionRegion) else None,
            margin=margin,
            margin_before=before,
            flipped=None if kept is None else _flipped(kept, at),
            is_on_sphere=isinstance(space, Sphere),
        )

    def _beyond(self, space: Geometry, offset: Float[Tensor, " d"]) -> tuple[Float[Tensor, " d"], float]:
        """The end of a way, so far beyond the wall that it is outside also when it is asked about alone; its margin.

        What was found in a batch may lie on the wall, where rounding decides, and not alike in every batch.
        """
        margin = float(self._margins(space.around(offset)[None])[0])
        for power in range(_NUDGES):
            if margin < 0:
                break
            offset = offset * (1 + 2.0**power * torch.finfo(torch.float64).eps)
            margin = float(self._margins(space.around(offset)[None])[0])
        return offset, margin

    def _margins(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.region.margin(z.to(self.run.query.device)).cpu().double()


def _aims(
    region: SupportingRegion, space: Geometry, offsets: Float[Tensor, "n d"], latent: LatentSpace
) -> Float[Tensor, "m d"]:
    """Of lines along some offsets, as far as they lie in the support, the way to the first latent seen outside."""
    shares = torch.linspace(_LONGEST / _STEPS, _LONGEST, _STEPS, dtype=torch.float64)
    # The end itself is among them: beyond it a line may leave the support.
    shares = torch.cat([shares[shares < 1.0], torch.ones(1, dtype=torch.float64), shares[shares > 1.0]])
    ways = shares[None, :, None] * offsets[:, None]  # (n, steps, d)
    flat = space.around(ways).flatten(0, 1)
    outside = ~torch.cat([region.contains(batch.to(region.split.device)).cpu() for batch in flat.split(256)])
    is_exit = outside & latent.contains(flat)
    is_exit = is_exit.view(len(offsets), -1)
    rows = is_exit.any(dim=1).nonzero()[:, 0]
    return ways[rows, is_exit[rows].int().argmax(dim=1)]


def _shares(region: SupportingRegion, space: Geometry, outside: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The share of the way from a latent in a region to each of some outside at which it ends: the first outside."""
    low = torch.zeros(len(outside), dtype=torch.float64)
    high = torch.ones_like(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        z = space.around(middle[:, None] * outside)
        is_inside = region.margin(z.to(region.split.device)).cpu() >= 0
        low, high = torch.where(is_inside, middle, low), torch.where(is_inside, high, middle)
    return high


def _flipped(kept: SupportingRegion, z: Float[Tensor, "1 d"]) -> Int[Tensor, " k"]:
    h = kept.exact.head(z)[0, kept.units]
    return kept.units[h * kept.signs < 0].cpu()
