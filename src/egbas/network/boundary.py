# SPDX-License-Identifier: MIT
"""Where a unit's boundary lies among its pre-activations: at zero, at the activation's turning point, at a quantile.

A ReLU has its kink at zero. A smooth activation has none, and zero is but one threshold among others. In: what is asked
for, and a split network. Out: a threshold for each unit, which the head takes off its pre-activations.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError, LayerNotFoundError
from egbas.latent import LatentSpace

_LARGEST, _OCTAVES, _STEPS = 16.0, 13, 6  # the pre-activations that are looked at, and how many in an octave
_FINE, _ROUNDS = 33, 6  # pre-activations around a turning point, and how often they are drawn closer
_CHANGE = 1e-5  # of an activation between neighbours, relative to its largest value: less is rounding
_DRAWS, _FEWEST, _VALUES = 1024, 64, 2**26  # of the prior, and pre-activations of all of them together


@dataclass(frozen=True, kw_only=True, eq=False)
class Boundary:
    """Where the boundaries of units are.

    Attributes:
        kind: ``"zero"``, ``"turning"`` or ``"quantile"``.
        quantile: share of the prior below a unit's boundary, of the last kind. In (0, 1).
        latent: the latent space whose prior is meant; None: N(0, 1) in every coordinate.
        known: thresholds (units,) of a layer, by its path, that are there already, such as those of a run directory.
    """

    kind: Literal["zero", "turning", "quantile"] = "zero"
    quantile: float | None = None
    latent: LatentSpace | None = None
    known: tuple[str, Tensor] | None = None

    @classmethod
    def of(cls, told: "str | Boundary | None", latent: LatentSpace | None = None) -> "Boundary":
        """Read ``"zero"``, ``"turning"`` or ``"quantile:Q"``; None is zero.

        Args:
            told: such a text, or a boundary.
            latent: the latent space whose prior is meant.

        Raises:
            ConfigError: it is none of them.
        """
        if isinstance(told, Boundary):
            return replace(told, latent=told.latent or latent)
        if told is None or told in ("zero", "turning"):
            return cls(kind="turning" if told == "turning" else "zero", latent=latent)
        kind, _, share = told.partition(":") if isinstance(told, str) else ("", "", "")
        try:
            quantile = float(share)
        except ValueError:
            quantile = -1.0
        if kind != "quantile" or not 0 < quantile < 1:
            raise ConfigError(
                f"got the boundary {told!r}; expected zero, turning, or quantile:Q with Q between 0 and 1, such as "
                "quantile:0.5"
            )
        return cls(kind="quantile", quantile=quantile, latent=latent)

    def record(self) -> dict[str, str]:
        """What tells runs of this boundary from others, for their keys: nothing where it is at zero."""
        return {} if self.kind == "zero" else {"boundary": str(self)}

    def knowing(self, path: str, thresholds: Tensor) -> "Boundary":
        """The same, with thresholds (units,) of the layer of a path."""
        return replace(self, known=(path, thresholds))

    def __str__(self) -> str:
        """As ``of`` reads it."""
        return self.kind if self.quantile is None else f"{self.kind}:{self.quantile!r}"


def quantiles(head: Callable[[Tensor], Tensor], units: int, quantile: float, latent: LatentSpace) -> Tensor:
    """The value below which a share of the prior has each unit's pre-activation, (units,).

    1,024 draws with a fixed seed tell it, fewer of layers with more than 65,536 units. It lies midway between two.

    Args:
        head: maps latents (n, d) to pre-activations (n, units).
        units: of the layer.
        quantile: that share.
        latent: the latent space.
    """
    n = max(_FEWEST, min(_DRAWS, _VALUES // units))
    z = latent.sample(n, torch.Generator().manual_seed(0))
    h = torch.cat([head(batch) for batch in z.split(64)]).sort(dim=0).values
    above = min(max(round(quantile * n), 1), n - 1)
    return (h[above - 1] + h[above]) / 2


def turning_points(
    activation: Callable[[Float[Tensor, "n units"]], Float[Tensor, "n units"]], like: Float[Tensor, " units"]
) -> tuple[Float[Tensor, " units"], int]:
    """The pre-activation nearest to zero at which each unit's activation begins to fall or to rise, as SiLU at -1.278.

    Of two that are equally near, as those of a sine are, it is the positive one.

    Args:
        activation: what the non-linearity makes of pre-activations.
        like: of the units, for their number, dtype and device.

    Returns:
        Those of the units, 0 where there is none; and of how many units there is one.
    """
    probes = torch.tensor([-3.0, -0.7, 0.0, 0.2, 2.0], dtype=torch.float64)
    values = activation(_rows(probes, like))
    if torch.equal(values, values[:, :1].expand_as(values)):  # one function for all units: one is looked at
        point, n = _turning_points(lambda h: _in_units(activation, h, len(like)), like[:1])
        return point.expand(len(like)).clone(), n * len(like)
    return _turning_points(activation, like)


def _in_units(activation: Callable[[Tensor], Tensor], h: Float[Tensor, "n 1"], units: int) -> Float[Tensor, "n 1"]:
    """A function that all units share, at n pre-activations: as many at once as there are units."""
    rows = -(-len(h) // units)
    filled = h.new_zeros(rows * units)
    filled[: len(h)] = h[:, 0]
    return activation(filled.reshape(rows, units)).flatten()[: len(h), None]


def _turning_points(activation: Callable[[Tensor], Tensor], like: Tensor) -> tuple[Tensor, int]:
    steps = torch.arange(_OCTAVES * _STEPS, -1, -1, dtype=torch.float64)
    positive = _LARGEST * 2 ** (-steps / _STEPS)
    found = [_first_turn(activation, torch.cat([positive.new_zeros(1), side * positive]), like) for side in (1, -1)]
    (right, has_right), (left, has_left) = found
    is_left = has_left & (~has_right | (left.abs() < 0.999 * right.abs()))
    is_kink = _turns_at_zero(activation, positive[0], like)
    point = torch.where(is_left, left, torch.where(has_right, right, torch.zeros_like(right)))
    has_one = has_left | has_right | is_kink
    return torch.where(is_kink, torch.zeros_like(point), point), int(has_one.sum())


def _turns_at_zero(activation: Callable[[Tensor], Tensor], step: Tensor, like: Tensor) -> Tensor:
    """Which units turn at zero itself, as an absolute value does."""
    below, at, above = activation(_rows(torch.stack([-step, 0 * step, step]), like))
    change = _CHANGE * torch.stack([below, at, above]).abs().amax(dim=0)
    rising, falling = above - at, at - below
    return (rising * falling < 0) & (rising.abs() > change) & (falling.abs() > change)


def _first_turn(activation: Callable[[Tensor], Tensor], grid: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """The first turning point on a grid that begins at zero, for each unit, and whether there is one."""
    values = activation(_rows(grid, like))  # (points, units)
    size = values.abs().cummax(dim=0).values[1:]  # so far: beyond the turning point it may become large
    slope = values.diff(dim=0)
    sign = torch.where(slope.abs() > _CHANGE * size, slope.sign(), torch.zeros_like(slope))
    for k in range(1, len(sign)):  # what does not change keeps its direction
        sign[k] = torch.where(sign[k] == 0, sign[k - 1], sign[k])
    turns = (sign[1:] * sign[:-1]) < 0
    has_one, first = turns.any(dim=0), turns.int().argmax(dim=0)  # between grid[first] and grid[first + 2]
    # A slope that was rounding on the way may have hidden the place: begin where the sign was last told.
    grid = grid.to(values)
    low, high = grid[(first - 2).clamp(min=0)], grid[(first + 3).clamp(max=len(grid) - 1)]
    direction = sign[:-1].gather(0, first[None])[0]
    share = torch.linspace(0, 1, _FINE, dtype=torch.float64).to(values)[:, None]
    for _ in range(_ROUNDS):
        points = low + (high - low) * share
        best = (activation(points) * direction).argmax(dim=0)
        place = points.gather(0, torch.stack([(best - 1).clamp(min=0), (best + 1).clamp(max=_FINE - 1)]))
        low, high = place[0], place[1]
    return (low + high) / 2, has_one


def _rows(grid: Tensor, like: Tensor) -> Tensor:
    return grid.to(like)[:, None].expand(-1, len(like))


def told_of(low: float, high: float) -> str:
    """The least and the largest threshold, in words; one where they are the same."""
    return f"{low:.3g}" if high - low <= 1e-3 * max(abs(low), abs(high)) else f"{low:.3g} to {high:.3g}"


def without_turn(path: str, kind: str, *, is_activation: bool) -> LayerNotFoundError:
    """The error of a layer that has no turning point."""
    why = (
        "it rises or falls all the way; expected one such as SiLU, GELU or Mish"
        if is_activation
        else "it is no non-linearity that egbas numbers, so that its boundaries are at its own output (a sine is none: "
        "it turns at every odd multiple of pi / 2, each as good as another); expected one such as SiLU or GELU"
    )
    return LayerNotFoundError(
        f"layer {path!r} ({kind}) has no turning point: {why}; choose --boundary zero or quantile:0.5 (boundary=), or "
        "another layer"
    )


def told_unturned(path: str, unturned: int, units: int) -> str:
    """A sentence on the units of a layer that have no turning point."""
    return (
        f"{unturned:,} of {units:,} units of layer {path!r} have no turning point: what they give rises or falls all "
        "the way. Their boundaries are at 0."
    )
