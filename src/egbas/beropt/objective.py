# SPDX-License-Identifier: MIT
"""The loss of eq. 1 for one query, divided by ||G(z0)||: of masks, of sets, and its gradient.

In: the tail at the query. Units that cannot change the image are left out; the others are the *candidates*, one by one
or in groups that share an entry of the mask.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egbas.beropt.config import BerOptConfig
from egbas.beropt.groups import groups_of
from egbas.errors import NetworkError
from egbas.network import Tail

_LARGE_IMAGE = 100_000  # values; from there on a forward pass of the tail takes a good part of a second
_VALUES_AT_ONCE = 200_000  # of images in one pass
_COSTLY_IMAGE = 5_000  # values: in colour from 64 x 64 on
_N_CHECK_MASKS = 8


def is_large(image_size: int) -> bool:
    """Whether a pass through the tail to images of so many values takes so long that few of them must do."""
    return image_size > _LARGE_IMAGE


def is_costly(image_size: int) -> bool:
    """Whether passes to images of so many values are what a user waits for."""
    return image_size > _COSTLY_IMAGE


class Objective:
    """Relative distance + sparsity * mean(theta), over the candidates."""

    def __init__(self, tail: Tail, config: BerOptConfig, focus: Bool[Tensor, "h w"] | None = None) -> None:
        """Find the candidates.

        Args:
            tail: the network above the layer, at the query.
            config: the settings.
            focus: pixels that the distance counts; None: all.

        Raises:
            NetworkError: the image of the query is zero everywhere, so that no relative distance exists.
        """
        self.tail, self.config = tail, config
        self._focus = None if focus is None else focus.to(tail.x)
        self.norm = (tail.x if self._focus is None else tail.x * self._focus).norm()
        if not self.norm.isfinite():
            raise NetworkError(
                f"the norm of the query's image is no number in {tail.x.dtype}: its values reach "
                f"{float(tail.x.abs().max()):.2g}; scale the network's output, or run the network in float64"
            )
        if not self.norm > 0:
            where = "everywhere" if focus is None else "in the focus"
            raise NetworkError(f"the query's image is zero {where}; BerOpt's distance is relative to its norm")
        # A unit whose output is zero at the query cannot change the image, and one that lies on its own boundary
        # has no side: for both the minimiser is theta = 0, so they are left out of the search.
        self._active = tail.is_active.nonzero()[:, 0]  # (active,)
        self._a = tail.a[self._active]
        self._member, self.sizes, self.candidates = self._grouped(groups_of(tail.layer, config.units))
        self.n_candidates = len(self.candidates)
        self.n_units = len(tail.a)
        self._scale = self._a if self._member is None else tail.a.new_ones(self.n_candidates)
        self._room = tail.a.new_zeros(0, self.n_units)  # for the outputs of a step; all but the candidates stay zero

    def _grouped(self, groups: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """The candidate of each active unit, the active units in each candidate, and the first of these."""
        if groups is None:
            return None, None, self._active
        active = self._active
        member, sizes = groups.to(active.device)[active].unique(return_inverse=True, return_counts=True)[1:]
        places = torch.arange(len(active), device=active.device, dtype=torch.int64)
        first = torch.full_like(sizes, len(active)).scatter_reduce(0, member, places, "amin")
        return member, sizes, active[first]

    def size(self, values: Tensor) -> Tensor:
        """How many units a set (candidates,) has; of theta, how many are expected."""
        return values.sum() if self.sizes is None else (values * self.sizes).sum()

    def units_of(self, kept: Bool[Tensor, " candidates"]) -> Int[Tensor, " k"]:
        """The units of a set, in the flattened layer, in order."""
        return self._active[kept if self._member is None else kept[self._member]]

    def of_every_unit(self, theta: Float[Tensor, " candidates"]) -> Float[Tensor, " units"]:
        """Theta of each unit of the layer: 0 for those that cannot change the image."""
        own = theta if self._member is None else theta[self._member]
        return theta.new_zeros(self.n_units).index_copy(0, self._active, own)

    def distance(self, masks: Float[Tensor, "masks candidates"]) -> Float[Tensor, " masks"]:
        """Relative distance between the masked image and the query's image."""
        nothing = self._a.new_zeros(len(masks), self.n_units)
        outputs = nothing.scatter(1, self._columns(len(masks)), self._of_active(masks.to(self._a)) * self._a)
        return torch.cat([self._distance(batch) for batch in self._batches(outputs)])

    @torch.no_grad()
    def distance_and_gradient(
        self, masks: Float[Tensor, "masks candidates"], temperature: float
    ) -> tuple[Tensor, Float[Tensor, " candidates"]]:
        """Mean relative distance of relaxed masks, and its gradient with respect to the logits of theta.

        A mask is m = sigmoid((logits + noise) / T), so dm/dlogits = m (1 - m) / T. Batch by batch: no more than one
        batch's graph is kept.
        """
        total, slopes = self._slopes(masks)
        slope = torch.ops.aten.sigmoid_backward(slopes, masks)
        return total / len(masks), slope.sum(dim=0).mul_(self._scale).div_(temperature * len(masks))

    @torch.no_grad()
    def distance_and_slope(
        self, masks: Float[Tensor, "masks candidates"]
    ) -> tuple[Tensor, Float[Tensor, " candidates"]]:
        """Mean relative distance of masks, and its gradient with respect to their entries, summed over the masks."""
        total, slopes = self._slopes(masks)
        return total / len(masks), slopes.sum(dim=0).mul_(self._scale).div_(len(masks))

    def _slopes(self, masks: Float[Tensor, "masks candidates"]) -> tuple[Tensor, Float[Tensor, "masks candidates"]]:
        """The sum of the relative distances, and its gradient with respect to the masked outputs."""
        if len(self._room) != len(masks):
            self._room = self._a.new_zeros(len(masks), self.n_units)
        outputs = self._room.scatter_(1, self._columns(len(masks)), self._of_active(masks) * self._a)  # (masks, units)
        total, slopes = self.norm.new_zeros(()), []
        for batch in self._batches(outputs):
            with torch.enable_grad():
                leaf = batch.detach().requires_grad_()
                distance = self._distance(leaf).sum()
            slopes.append(torch.autograd.grad(distance, leaf)[0].index_select(1, self._active))
            total = total + distance.detach()
        each = slopes[0] if len(slopes) == 1 else torch.cat(slopes)
        if self._member is None:
            return total, each
        together = each.new_zeros(len(masks), self.n_candidates)
        return total, together.index_add_(1, self._member, each * self._a)

    def sketch(
        self, kept: Bool[Tensor, " candidates"], rows: int, *, rng: torch.Generator
    ) -> tuple[float, Float[Tensor, " candidates"], Float[Tensor, "rows candidates"]]:
        """What the image gap r of a set does where its mask changes, by first order: r + J d.

        Args:
            kept: the set, of single units.
            rows: of the sketch; each is a pass back.
            rng: a CPU generator of signs.

        Returns:
            Its relative distance ||r||; r . J; and S J, where S has random signs / sqrt(rows), so that inner products
            of columns of S J are those of J up to noise.
        """
        mask = kept.to(self._a)
        at_once = max(1, min(_VALUES_AT_ONCE // self.tail.x.numel(), rows))
        outputs = self._a.new_zeros(at_once, self.n_units)
        leaf = outputs.scatter(1, self._columns(at_once), (mask * self._a).expand(at_once, -1)).requires_grad_()
        with torch.enable_grad():
            gaps = self._gap(leaf) / self.norm
        gap = gaps[:1].detach()
        signs = torch.randint(0, 2, (rows, *gap.shape[1:]), generator=rng, dtype=torch.int8) * 2 - 1
        vectors = torch.cat([gap, signs.to(gap) / max(rows, 1) ** 0.5])
        slopes = []
        for some in vectors.split(at_once):
            (slope,) = torch.autograd.grad(gaps[: len(some)], leaf, some, retain_graph=True)
            slopes.append(slope[: len(some)].index_select(1, self.candidates) * self._a)
        products = torch.cat(slopes)
        return gap.norm().item(), products[0], products[1:]

    @torch.no_grad()
    def fidelity(self, kept: Bool[Tensor, " candidates"]) -> float:
        """Relative distance of a set."""
        return self.distance(kept[None].to(self.tail.a.dtype)).item()

    def empty_fidelity(self) -> float:
        """That of the set of no units."""
        return self.fidelity(torch.zeros(self.n_candidates, dtype=torch.bool, device=self.tail.a.device))

    @torch.no_grad()
    def sampled_fidelity(self, theta: Float[Tensor, " candidates"], *, rng: torch.Generator) -> float:
        """Mean relative distance of masks drawn from Ber(theta)."""
        uniform = torch.rand(_N_CHECK_MASKS, self.n_candidates, generator=rng, dtype=torch.float32).to(theta)
        return self.distance((uniform < theta).to(theta)).mean().item()

    def _of_active(self, masks: Float[Tensor, "masks candidates"]) -> Float[Tensor, "masks active"]:
        return masks if self._member is None else masks.index_select(1, self._member)

    def _columns(self, n_masks: int) -> Int[Tensor, "masks active"]:
        return self._active.expand(n_masks, -1)

    def _distance(self, outputs: Float[Tensor, "masks units"]) -> Float[Tensor, " masks"]:
        return self._gap(outputs).flatten(1).norm(dim=1) / self.norm

    def _gap(self, outputs: Float[Tensor, "masks units"]) -> Tensor:
        gap = self.tail(outputs) - self.tail.x
        return gap if self._focus is None else gap * self._focus

    def _batches(self, outputs: Float[Tensor, "masks units"]) -> Iterator[Tensor]:
        """Large images one by one: a batch of four of 256 x 256 takes a third longer than they do alone."""
        yield from outputs.split(max(1, _VALUES_AT_ONCE // self.tail.x.numel()))
