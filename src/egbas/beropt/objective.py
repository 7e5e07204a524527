# SPDX-License-Identifier: MIT
"""The loss of eq. 1 for one query, divided by ||G(z0)||: of masks, of sets, and its gradient.

In: the tail at the query. Units that cannot change the image are left out; the others are the *candidates*.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egbas.beropt.config import BerOptConfig
from egbas.errors import NetworkError
from egbas.network import Tail

_LARGE_IMAGE = 100_000  # values; from there on a forward pass of the tail takes a good part of a second
_VALUES_AT_ONCE = 200_000  # of images in one pass
_N_CHECK_MASKS = 8


def is_large(image_size: int) -> bool:
    """Whether a pass through the tail to images of so many values takes so long that few of them must do."""
    return image_size > _LARGE_IMAGE


class Objective:
    """Relative distance + sparsity * mean(theta), over the candidates."""

    def __init__(self, tail: Tail, config: BerOptConfig) -> None:
        """Find the candidates.

        Raises:
            NetworkError: the image of the query is zero everywhere, so that no relative distance exists.
        """
        self.tail, self.config = tail, config
        self.norm = tail.x.norm()
        if not self.norm > 0:
            raise NetworkError("the query's image is zero everywhere; BerOpt's distance is relative to its norm")
        # A unit whose output is zero at the query cannot change the image, and one that lies on its own boundary
        # has no side: for both the minimiser is theta = 0, so they are left out of the search.
        is_candidate = (tail.a != 0) & (tail.h != 0)  # (units,)
        self.candidates = is_candidate.nonzero()[:, 0]  # (candidates,)
        self.n_candidates = len(self.candidates)
        self.n_units = len(tail.a)
        # Masks become outputs of the layer by a gather, which takes a third of the time of a scatter: every unit
        # reads its candidate's column, the others any column, times zero.
        self._columns = (is_candidate.cumsum(0) - 1).clamp(min=0)
        self._a0 = torch.where(is_candidate, tail.a, torch.zeros_like(tail.a))

    def distance(self, masks: Float[Tensor, "masks candidates"]) -> Float[Tensor, " masks"]:
        """Relative distance between the masked image and the query's image."""
        if not self.n_candidates:
            outputs = self.tail.a.new_zeros(len(masks), self.n_units)
        else:
            outputs = masks.to(self._a0).index_select(1, self._columns) * self._a0  # (masks, units)
        return torch.cat([self._distance(part) for part in self._parts(outputs)])

    @torch.no_grad()
    def distance_and_gradient(
        self, masks: Float[Tensor, "masks candidates"], temperature: float
    ) -> tuple[Tensor, Float[Tensor, " candidates"]]:
        """Mean relative distance of relaxed masks, and its gradient with respect to the logits of theta.

        A mask is m = sigmoid((logits + noise) / T), so dm/dlogits = m (1 - m) / T. Part by part: no more than one
        part's graph is kept.
        """
        masks = masks.index_select(1, self._columns)  # (masks, units)
        distances, slopes = [], []
        for part in self._parts(masks * self._a0):
            with torch.enable_grad():
                distance = self._distance(part.requires_grad_())
            slopes.append(torch.autograd.grad(distance, part, distance.new_full((len(part),), 1 / len(masks)))[0])
            distances.append(distance.detach())
        slope = (slopes[0] if len(slopes) == 1 else torch.cat(slopes)) * self._a0
        slope = torch.ops.aten.sigmoid_backward(slope, masks).div_(temperature)
        return torch.cat(distances).mean(), slope.sum(dim=0).index_select(0, self.candidates)

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
        uniform = torch.rand(_N_CHECK_MASKS, self.n_candidates, generator=rng).to(theta)
        return self.distance((uniform < theta).to(theta)).mean().item()

    def _distance(self, outputs: Float[Tensor, "masks units"]) -> Float[Tensor, " masks"]:
        return (self.tail(outputs) - self.tail.x).flatten(1).norm(dim=1) / self.norm

    def _parts(self, outputs: Float[Tensor, "masks units"]) -> Iterator[Tensor]:
        """Large images one by one: a batch of four of 256 x 256 takes a third longer than they do alone."""
        yield from outputs.split(max(1, _VALUES_AT_ONCE // self.tail.x.numel()))
