# SPDX-License-Identifier: MIT
"""G split at a layer l: the head f_{l:1} with its early stop, and the tail f_{L:l+1} of a query.

In: a network and a layer. Out: pre-activations (n, units) of latents (n, d), and tails.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from egbas.errors import LayerNotFoundError, NetworkError, ShapeError
from egbas.latent import LatentSpace
from egbas.network.boundary import Boundary, quantiles, turning_points, without_turn
from egbas.network.forward import Forward
from egbas.network.graph.fold import fold
from egbas.network.graph.last_linear import LastLinear, write_last_linear
from egbas.network.graph.program import Program, TailProgram, write_program
from egbas.network.hooks import At, Capture, Record, Replace, Stop, hooked
from egbas.network.images import close, image_of
from egbas.network.layers import Layer
from egbas.network.replica import channels_last
from egbas.network.tail import BackwardError, Tail, agrees, first_line, keeping_copies, masked
from egbas.network.trace import N_PROBES, Call, Trace

_VALUES_AT_ONCE = 2**22  # pre-activations that an activation is asked about
REACH_SCALES = (1.0, 3.0, 10.0, 100.0)  # of the latents by which a layer that the latent reaches is told


class Split:
    """A network split at a layer; made by ``Network.split``.

    Attributes:
        layer: where the network is split.
        thresholds: (units,) that are taken off the pre-activations, so that a boundary is where one is zero; None: 0.
        unturned: number of units without a turning point, where boundaries are at turning points; theirs are at 0.
    """

    def __init__(
        self,
        forward: Forward,
        layer: Layer,
        trace: Trace,
        call: Call,
        thresholds: Tensor | None = None,
        unturned: int = 0,
    ) -> None:
        """Check that the network can be split at the layer.

        Raises:
            LayerNotFoundError: the layer holds no real numbers, has lost the batch, or does not depend on the
                latent.
        """
        self._forward = forward
        self._trace, self._call = trace, call
        self._is_program_right: bool | None = None  # not known yet
        self._overwrites = False  # what a backward pass needs
        self._head_overwrites: bool | None = None  # likewise; not known yet
        self._fastest: Program | None = None  # nor this
        self.layer, self.unturned = layer, unturned
        self.thresholds = None if thresholds is None else thresholds.to(device=forward.device, dtype=forward.dtype)
        _refuse_unusable(layer, call)
        if not call.varies and not self._is_reached():
            raise LayerNotFoundError(
                f"layer {layer.path!r} has the same values for every latent, "
                "so it has no boundaries in the latent space; choose a layer that the latent reaches"
            )

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self._forward.dtype

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._forward.device

    @property
    def latent_size(self) -> int:
        """d, the number of coordinates of a latent."""
        return self._forward.latent_size

    def prepare(self, z: Tensor) -> Tensor:
        """Turn flat latents z (n, d) into what the network takes; see ``Forward.prepare``."""
        return self._forward.prepare(z)

    def in_float64(self) -> "Split":
        """The same split of a copy of the network whose weights are in float64.

        Only its head is tried: float64 is for membership, and a pass through all of it takes long in large networks.

        Raises:
            NetworkError: the network cannot be copied, or does not compute in float64 up to the layer.
        """
        try:
            forward = self._forward.in_float64()
        except Exception as error:
            raise NetworkError(
                f"the network cannot be copied to float64 ({type(error).__name__}: {error}); "
                "keep what copy.deepcopy cannot copy, such as locks and open files, out of the module"
            ) from error
        split = Split(forward, self.layer, self._trace, self._call, self.thresholds)
        h = split.head(torch.ones(1, self.latent_size, dtype=torch.float32))  # not zero, which cannot be normalised
        if h.dtype != torch.float64:
            raise NetworkError(
                f"layer {self.layer.path!r} holds {h.dtype} where the weights are float64; expected torch.float64: "
                "take conversions such as .float() out of the network's forward"
            )
        return split

    def last_linear(self) -> LastLinear | None:
        """The head taken apart at its last linear map; None where that cannot be done."""
        if self._forward.replica.borrowed is not None:
            return None
        found = write_last_linear(
            self._forward.fresh(), self.layer, self._call.site, self._trace, self._forward.conditions
        )
        if found is None or self.thresholds is None:
            return found
        post = found.post
        return replace(found, post=lambda x: self._above(post(x)))

    def with_boundary(self, boundary: Boundary) -> "Split":
        """The same with the thresholds of a boundary.

        Raises:
            LayerNotFoundError: the layer's activation has no turning point, or it is none.
        """
        if boundary.kind == "zero":
            return self
        unturned = 0
        if boundary.known is not None and boundary.known[0] == self.layer.path:
            thresholds = boundary.known[1]
        elif boundary.quantile is not None:
            latent = boundary.latent or LatentSpace(shape=self._forward.latent_shape)
            thresholds = quantiles(self.head, self.layer.units, boundary.quantile, latent)
        else:
            thresholds, n_turning = self._turning_points()
            unturned = self.layer.units - n_turning
        return Split(self._forward, self.layer, self._trace, self._call, thresholds, unturned)

    def _turning_points(self) -> tuple[Tensor, int]:
        site = self._call.site
        is_activation = site is not None and site.join is None
        refused = without_turn(self.layer.path, self.layer.kind, is_activation=is_activation)
        if not is_activation:
            raise refused
        try:
            exact = self.in_float64()  # to find the place where a curve is flat
        except NetworkError:
            exact = self
        like = torch.zeros(self.layer.units, dtype=exact.dtype, device=exact.device)
        points, n_units = turning_points(exact.activation, like)
        if not n_units:
            raise refused
        return points, n_units

    def activation(self, h: Tensor) -> Tensor:
        """What the non-linearity makes of pre-activations h (n, units): the same latent's, where they are gated."""
        z = torch.randn(1, self.latent_size, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        rows: list[Tensor] = []
        with torch.no_grad():
            for batch in h.split(max(1, _VALUES_AT_ONCE // self.layer.units)):
                latents = self._forward.prepare(z.expand(len(batch), -1))
                rows.append(self._rows(self._activated(batch, latents), len(batch)))
        return torch.cat(rows)

    def _activated(self, value: float | Tensor, latents: Tensor) -> Tensor | None:
        hook, replica = At(value), self._forward.replica
        with replica.door, hooked(replica.module, self.layer, hook, self._call.site):
            try:
                replica(latents)
            except Stop:
                pass
        return hook.a

    def _above(self, h: Tensor) -> Tensor:
        """Pre-activations less their thresholds."""
        return h if self.thresholds is None else h - self.thresholds.reshape(h.shape[1:])

    def head(self, z: Tensor) -> Tensor:
        """Compute pre-activations h (n, units) of latents z (n, d); nothing above the layer is computed.

        Raises:
            ShapeError: z is not (n, d).
            NetworkError: forward raised, or took a way around the layer.
        """
        with torch.no_grad():
            return self._head(self._forward.prepare(z))

    def differentiable(self, z: Tensor) -> Tensor:
        """Compute the same of flat latents z (n, d) on the network's device, with gradients where z asks for them.

        Raises:
            NetworkError: as ``head`` does.
        """
        if self._head_overwrites is None and z.requires_grad and torch.is_grad_enabled():
            self._head_overwrites = self._needs_copies(z.detach()[:1])
        run = keeping_copies(self._rows_of) if self._head_overwrites else self._rows_of
        return run(z)

    def _rows_of(self, z: Tensor) -> Tensor:
        latents = z.to(self._forward.dtype).reshape(-1, *self._forward.latent_shape)
        return self._head(latents.clone())  # the network may overwrite it

    def _needs_copies(self, z: Tensor) -> bool:
        """Whether a backward pass through the head fails for what the network overwrites, told by one latent (1, d).

        Raises:
            BackwardError: it fails anyhow.
        """
        z = z.clone().requires_grad_()
        for run in (self._rows_of, keeping_copies(self._rows_of)):
            try:
                torch.autograd.grad(run(z).sum(), z)
            except RuntimeError as error:
                failed = error
            else:
                return run != self._rows_of
        raise BackwardError(
            f"a backward pass from layer {self.layer.path!r} to the latent fails ({first_line(failed)}); exact samples "
            "need its gradient: turn gradient checkpointing off, give every autograd function a backward, or draw none "
            "(--samples 0, samples=0)"
        ) from failed

    def _head(self, latents: Tensor) -> Tensor:
        n = latents.shape[0]
        if n == 0:
            return torch.zeros(0, self.layer.units, dtype=self._forward.dtype, device=self._forward.device)
        capture, replica = Capture(), self._forward.replica
        # The hooks are on the one replica: one pass at a time.
        with replica.door, hooked(replica.module, self.layer, capture, self._call.site):
            try:
                replica(latents)
            except Stop:
                pass
        return self._above(self._rows(capture.h, n))

    def at(self, z0: Tensor) -> Tail:
        """The tail of a query z0 (d,).

        Raises:
            ShapeError: z0 is not (d,) or not finite.
            NetworkError: forward raised, returned NaN, or lets no gradient through above the layer.
        """
        size = self._forward.latent_size
        if z0.shape != (size,) or not torch.isfinite(z0).all():
            raise ShapeError(f"the query has shape {tuple(z0.shape)}; expected ({size},), all values finite")
        z0 = z0.detach().clone().to(device=self._forward.device, dtype=self._forward.dtype)
        record, replica = Record(), self._forward.replica
        with torch.no_grad():
            with replica.door, hooked(replica.module, self.layer, record, self._call.site):
                x = self._forward.images(z0[None])[0].clone()
            h, a = self._above(self._rows(record.h, 1))[0], self._rows(record.a, 1)[0]
            at_zero = self._at_zero(z0)
        a = a if at_zero is None else a - at_zero

        def latents(n: int) -> Tensor:
            return self._forward.prepare(z0.expand(n, size))

        def rerun(a: Tensor) -> Tensor:
            return self._with(a if at_zero is None else a + at_zero, latents(len(a)))

        def program(written: Program) -> TailProgram:
            return TailProgram(written, latents, self.layer.shape, at_zero)

        by_program = None if self._program is None else program(self._program)
        if self._is_program_right is None:
            # Once, for a program is right for every query or for none; each query's own image is compared below.
            # Where there is no program, for the error of a network that lets no gradient through.
            self._is_program_right = self._agree(by_program or rerun, rerun, a) and by_program is not None
        tail = Tail(layer=self.layer, z0=z0, h=h, a=a, x=x, route="hooks", run=self._careful(rerun))
        if by_program is not None and self._is_program_right:
            self._fastest = self._fastest or self._folded(by_program, a) or by_program.program
            for run in (program(self._fastest), by_program):
                candidate = replace(tail, route="graph", run=self._careful(run))
                if _is_right(candidate):
                    return candidate
        if (error := _error(tail)) is not None:
            raise NetworkError(
                f"putting the query's own values back in at layer {self.layer.path!r} gives another image "
                f"(largest difference {error:.3g}); "
                "the network reads the layer's tensor in a way that cannot be replaced: choose another layer"
            )
        return tail

    def _agree(self, fast: Callable[[Tensor], Tensor], slow: Callable[[Tensor], Tensor], a: Tensor) -> bool:
        """Whether two tails agree; where no backward pass can be made, once more with copies of what that needs."""
        try:
            return agrees(fast, slow, a)
        except BackwardError:
            self._overwrites = True
            return agrees(self._careful(fast), self._careful(slow), a)

    def _careful(self, run: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A tail that has a backward pass also where the network overwrites what that needs."""
        return keeping_copies(run) if self._overwrites else run

    @cached_property
    def _program(self) -> Program | None:
        if self._forward.replica.borrowed is not None:
            return None  # tracing runs forward, and may leave things on the user's own module
        module = self._forward.fresh()
        return self._written(module)

    def _written(self, module: nn.Module) -> Program | None:
        forward = self._forward
        return write_program(module, self.layer, self._call.site, self._trace, forward.steps or (), forward.conditions)

    @torch.no_grad()
    def _folded(self, tail: TailProgram, a0: Tensor) -> Program | None:
        """The program with less work, for BerOpt's many passes; None where there is none.

        Its weights lie in memory in another order, and so it rounds otherwise: gradients of the two differ where an
        activation is at its kink, and only images are compared.
        """
        if self.device.type != "cpu":
            return None
        module = channels_last(self._forward.fresh())
        again = self._written(module)
        if again is None:
            return None
        a, skips, latents = masked(a0, 2), tail.program.skips, tail.latents(2)
        whole = a if tail.at_zero is None else a + tail.at_zero
        values = () if skips is None else skips(latents)
        graph = fold(again.graph, whole.reshape(2, *self.layer.shape), *values, expected=tail(a))
        return None if graph is None else replace(tail.program, graph=graph)

    def _rows(self, values: Tensor | None, n: int) -> Tensor:
        if values is None:
            raise self._not_come()
        site = self._call.site
        if site is not None and site.end is not None and values.numel() == n * self.layer.units:
            return values.reshape(n, self.layer.units)  # a composite activation may end in another shape
        if tuple(values.shape) != (n, *self.layer.shape):
            raise NetworkError(
                f"layer {self.layer.path!r} has shape {tuple(values.shape)} for {n} latents; "
                f"expected {(n, *self.layer.shape)} as for others: its size must not depend on the latents"
            )
        return values.reshape(n, self.layer.units)

    def _with(self, a: Tensor, latents: Tensor) -> Tensor:
        """Run all of the network on latents, with outputs a (n, units) of the layer instead of its own."""
        hook, replica = Replace(a), self._forward.replica
        with replica.door, hooked(replica.module, self.layer, hook, self._call.site):
            # A copy: the network may overwrite it in the next pass.
            images = image_of(replica(latents), len(a), self._forward.steps).clone()
        if not hook.is_done:
            raise self._not_come()
        return images

    def _not_come(self) -> NetworkError:
        return NetworkError(
            f"the forward pass did not come to layer {self.layer.path!r} for these latents, as it did for others; "
            "choose a layer that every latent goes through"
        )

    def _at_zero(self, z0: Tensor) -> Tensor | None:
        """What the non-linearity makes of a pre-activation of zero, (units,), as a masked unit gives it; None: 0.

        Deviation from paper: a mask there gives 0, which is the same but for sigmoids, softplus and their like.

        Raises:
            NetworkError: the layer is a composite activation out of which no mask can take a unit.
        """
        site = self._call.site
        if site is None or site.join is not None:  # no non-linearity
            return None
        if not site.is_closed:
            raise NetworkError(
                f"layer {self.layer.path!r} is a {self.layer.kind}, an activation that is written out by hand, and "
                "what it makes on the way to its output is also used elsewhere, or comes out in another order; "
                "expected that only its output is used, in the order of its input: masks of the output would not take "
                "a unit out; choose another layer, or the module before it by its path"
            )
        at_zero = self._rows(self._activated(0.0, self._forward.prepare(z0[None])), 1)[0]
        return at_zero if bool(at_zero.any()) else None

    def _is_reached(self) -> bool:
        rng = torch.Generator().manual_seed(0)
        for scale in REACH_SCALES:
            h = self.head(scale * torch.randn(16, self._forward.latent_size, generator=rng, dtype=torch.float32))
            if (h != h[:1]).any():
                return True
        return False


def _is_right(tail: Tail) -> bool:
    """Whether a tail makes the query's image of its own values."""
    try:
        return _error(tail) is None
    except Exception:  # a graph that does not fit its batch raises anything
        return False


def _error(tail: Tail) -> float | None:
    """Largest difference of the image that a tail makes of the query's own values; None where it is rounding."""
    with torch.no_grad():
        x = tail(tail.a[None])[0]
    return None if close(x, tail.x, slack=10.0) else float((x - tail.x).abs().max())


def _refuse_unusable(layer: Layer, call: Call) -> None:
    if call.dtype is None:
        raise LayerNotFoundError(
            f"module {layer.path!r} ({layer.kind}) does not return a tensor; "
            "name a layer inside it or after it that does"
        )
    if not call.dtype.is_floating_point:
        raise LayerNotFoundError(f"layer {layer.path!r} holds {call.dtype}; boundaries need real numbers")
    if len(call.shape) < 2 or call.shape[0] != N_PROBES:
        raise LayerNotFoundError(
            f"layer {layer.path!r} has shape {call.shape} for {N_PROBES} latents; expected ({N_PROBES}, ...): "
            "it does not hold one row for each latent, so the network cannot be split there; choose another"
        )
