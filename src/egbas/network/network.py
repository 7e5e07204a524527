# SPDX-License-Identifier: MIT
"""The user's generator, checked once at the door and never touched."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from egbas.errors import EgbasError, LayerNotFoundError, NetworkError, ShapeError
from egbas.machine.settings import alone, settles
from egbas.machine.threads import settle_fork
from egbas.network.boundary import Boundary, told_unturned
from egbas.network.bypass import MUCH_PAST, instead_of, sentence, share_past
from egbas.network.checks import (
    HEADS,
    large_batch,
    refuse_large_batches,
    refuse_large_heads,
    refuse_mixing,
    refuse_unrepeatable,
)
from egbas.network.conditions import Conditions, refuse_unknown
from egbas.network.forward import Forward
from egbas.network.functions import tensors_in
from egbas.network.given import Given, Inputs, Shape, network_of, refuse_meta, shape_of
from egbas.network.graph.chain import chain_of
from egbas.network.image_range import ImageRange, image_range_of
from egbas.network.images import (
    check_choice,
    find_image,
    image_of,
    images_at_once,
    other_images,
    refuse_nonfinite,
)
from egbas.network.layers import Catalogue, Layer, catalogue
from egbas.network.replica import Replica, freeze
from egbas.network.split import Split
from egbas.network.tail import keeping_copies
from egbas.network.torchscript import is_exported, is_scripted_activation, not_seen
from egbas.network.trace import N_PROBES, Trace, at_rest, trace
from egbas.network.user_hooks import all_silenced, silenced, user_hooks
from egbas.network.weights import WeightCheck, weights_of

_LARGE = 200_000  # values of an image, from which two latents tell what flows past a layer, instead of three


class Network:
    """A generator that maps latents (n, d) to images (n, c, h, w).

    Any ``nn.Module`` in eval mode whose forward takes latents (n, *latent_shape), for any n, and returns
    images, or something that holds them: a tuple, a dict, a named tuple, an object. Images that are no (n, c, h, w)
    keep their shape.

    Attributes:
        generator: the user's module; only read.
        latent_shape: of one latent as the generator takes it.
        dtype: of its parameters, and of all that it is given.
        device: of its parameters.
        output: which of its outputs is the image, as it was asked for.
        boundary: where the boundaries of units are.
        image_shape: of one image, (c, h, w).
        image_range: pixel values that are black and white; None where nothing tells.
        notices: what its user should know, as sentences.
    """

    @alone
    def __init__(
        self,
        generator: Given,
        latent_shape: Shape,
        *,
        output: int | str | None = None,
        inputs: Inputs | Conditions | None = None,
        boundary: Boundary | str | None = None,
    ) -> None:
        """Run the generator on a few latents and check what comes out.

        Args:
            generator: the user's module.
            latent_shape: of one latent as the generator takes it.
            output: index, key or attribute of the image in what the generator returns, or several with dots between
                (``"images.-1"``); None: the entry ``"image"``, or else the first tensor that may be images.
            inputs: what forward takes beside the latent, by name, as ``egbas.explore`` says.
            boundary: of the units of the layers that it is split at, as ``egbas.explore`` says.

        Raises:
            NetworkError: it raised, is in train mode, does not give one finite, repeatable image for each
                latent, or has no such output.
            ShapeError: the latent shape is not a list of positive sizes.
            ConfigError: ``output`` is no index and no name, or an input is nothing that a network takes.
        """
        check_choice(output)
        self.boundary = Boundary.of(boundary)
        conditions = Conditions.of(inputs)
        generator, latent_shape = network_of(generator), shape_of(latent_shape)
        settle_fork()
        _refuse_unfit(generator)
        refuse_unknown(generator, conditions)
        self.generator = generator
        self.latent_shape = tuple(latent_shape)
        replica = freeze(generator, conditions)
        self.dtype, self.device = _dtype_and_device(replica, self.latent_shape)
        self._forward = Forward(
            generator=generator,
            replica=replica,
            latent_shape=self.latent_shape,
            dtype=self.dtype,
            device=self.device,
        )
        self._probes = torch.randn(
            N_PROBES, self.latent_size, generator=torch.Generator().manual_seed(0), dtype=torch.float32
        )
        self.output = output
        self._settle(conditions)
        hooks = user_hooks(generator, lambda: self._forward.prepare(self._probes), output, self.conditions)
        if hooks.silent:
            silenced(self._forward.replica.module, hooks.silent)
            self._forward = replace(self._forward, silent=hooks.silent)
        self._not_seen = not_seen(generator)
        self.notices = hooks.notices if self._not_seen is None else (*hooks.notices, self._not_seen)
        self._trace, first = self._check(self._probes)
        self.image_shape = tuple(first.shape[1:])
        self.image_range: ImageRange | None = image_range_of(generator, first)
        self._in_large_batches: set[str] = set()  # layers that were looked at in large batches
        self._thresholds: dict[str, Tensor] = {}  # of the layers that it was split at, by path
        self._pasts: dict[tuple[str, bytes], float | None] = {}  # shares, by the layer's path and the latents
        self._catalogue: Catalogue = catalogue(self._trace, generator)
        self.notices += tuple(getattr(generator, "zoo_notices", ()))  # what was assumed where a file tells nothing

    @cached_property
    def weights(self) -> dict[str, WeightCheck]:
        """Whether the weights look random, by whose they are: ``""`` for the generator's."""
        return weights_of(self.generator)

    @property
    def latent_size(self) -> int:
        """d, the number of coordinates of a latent."""
        return self._forward.latent_size

    @property
    def image_size(self) -> int:
        """Number of values in an image."""
        return math.prod(self.image_shape)

    @property
    def told_image(self) -> str:
        """The shape of an image in words, with which output it is and of which inputs where these were asked for."""
        shape = " x ".join(map(str, self.image_shape))
        output = "" if self.output is None else f", output {self.output}"
        return f"{shape}{output}{f', with {self.beside.told}' if self.beside else ''}"

    @property
    def conditions(self) -> Conditions:
        """What the network is given beside the latent."""
        return self._forward.conditions

    @property
    def beside(self) -> Conditions:
        """The same, to be told and written down: of a generator joined with a classifier, what the generator has."""
        joined = getattr(self.generator, "conditions", None)
        return joined if isinstance(joined, Conditions) else self.conditions

    @property
    def inputs(self) -> Inputs:
        """The same as it was asked for: by the names of forward's arguments."""
        return self.conditions.given

    @property
    def layers(self) -> list[Layer]:
        """The non-linearities l = 1..L in forward order, the output's among them."""
        return self._catalogue.numbered

    @settles
    def generate(self, z: Tensor) -> Tensor:
        """Compute images (n, c, h, w) of latents z (n, d), without gradients.

        Raises:
            ShapeError: z is not (n, d) or holds values that are not finite.
            NetworkError: forward raised or returned NaN.
        """
        if not torch.isfinite(z).all():
            raise ShapeError("the latents hold NaN or infinite values; expected finite ones")
        with torch.no_grad():
            return self._forward.images(z)

    def images_with_gradients(self, z: Tensor) -> Tensor:
        """Compute images (n, c, h, w) of latents z (n, d), with gradients with respect to z.

        Raises:
            NetworkError: forward raised or returned NaN, or no gradient gets from the image to the latent.
        """
        latents = z.to(device=self.device, dtype=self.dtype).reshape(-1, *self.latent_shape)
        # Copies, since a network may overwrite what it is given, returns, or needs for its backward pass.
        run = keeping_copies(lambda given: image_of(self._forward.replica(given.clone()), len(z), self._forward.steps))
        with torch.enable_grad():
            images = refuse_nonfinite(run(latents).clone())
        if z.requires_grad and not images.requires_grad:
            raise NetworkError(
                "no gradient gets from the image to the latent: forward runs under torch.no_grad() or detaches; remove "
                "these from forward"
            )
        return images

    def image_batches(self, z: Tensor, *, progress: Callable[[int, int], None] | None = None) -> Iterator[Tensor]:
        """Compute images (m, c, h, w) of latents z (n, d) a batch at a time, in order, and move them to the CPU.

        So many at once that large images, or many of them, do not have to fit in memory together with what the
        network makes on the way to them; the same batches every time.

        Args:
            z: (n, d) latents.
            progress: called with (images done, n) when a batch has been worked on and the next one is asked for.

        Raises:
            ShapeError: z is not (n, d) or holds values that are not finite.
            NetworkError: forward raised or returned NaN.
        """
        done = 0
        for batch in z.split(images_at_once(self.image_size)):
            yield self.generate(batch).cpu()
            done += len(batch)
            if progress is not None:
                progress(done, len(z))

    @property
    def joins(self) -> list[Layer]:
        """Where a skip may end: sums and concatenations of what depends on the latent, in forward order."""
        return self._catalogue.joins

    @alone
    def past(self, layer: int | str | nn.Module | Layer, z: Tensor | None = None) -> float | None:
        """The share of what makes images differ that flows past a layer, by one pass; see ``bypass.share_past``.

        Args:
            layer: as for ``resolve``.
            z: latents (n, d), at least two; None: three of N(0, 1).

        Returns:
            0 where all goes through the layer, 1 where nothing does; None where it cannot be told.
        """
        resolved = self.resolve(layer)
        if resolved.path in self._chain:
            return 0.0
        probes = (self._probes if z is None else z)[: 2 if self.image_size > _LARGE else None]
        known = resolved.path, probes.cpu().numpy().tobytes()
        if known not in self._pasts:
            self._pasts[known] = share_past(self._forward, resolved, self._catalogue.calls[resolved.path], probes)
        return self._pasts[known]

    @cached_property
    def _chain(self) -> set[str]:
        """Paths of the layers past which nothing flows, as far as the graph of the network shows it."""
        if self._forward.replica.borrowed is not None:
            return set()
        known = [(layer, self._catalogue.calls[path]) for path, layer in self._catalogue.layers.items()]
        return chain_of(self._forward.fresh(), known, self._trace, self._forward.steps or (), self.conditions)

    def instead_of(self, layer: Layer, z: Tensor | None = None) -> Layer | None:
        """The first layer after a bypassed one that nothing flows past; None where there is none."""
        order = self._catalogue.calls[layer.path].order
        candidates = [(at, one) for at, one in self._catalogue.in_order if not self._is_image(one)]
        return instead_of(layer, candidates, order, lambda one: self.past(one, z))

    def _is_image(self, layer: Layer) -> bool:
        """Whether a layer is the image itself, or its last non-linearity."""
        value = self._catalogue.calls[layer.path].value
        is_last = layer.number == len(self.layers) and layer.units == self.image_size
        return is_last or (value is not None and value == self._image)

    def bypass_of(self, layer: Layer, z: Tensor | None = None, *, what: str = "images") -> str | None:
        """A sentence where a layer is bypassed, with the one to take instead; None else. ``what`` is the output."""
        share = self.past(layer, z)
        is_bypassed = share is not None and share >= MUCH_PAST
        return sentence(layer, share, self.instead_of(layer, z) if is_bypassed else None, what)

    def measured(self, z: Tensor | None = None, *, progress: Callable[[int, int], None] | None = None) -> list[Layer]:
        """The non-linearities with the share of the image that flows past each, by a pass for each.

        Args:
            z: as for ``past``.
            progress: called with (layers measured, all of them).
        """
        found: list[Layer] = []
        for layer in self.layers:
            found.append(replace(layer, past=self.past(layer, z)))
            if progress is not None:
                progress(len(found), len(self.layers))
        return found

    def resolve(self, layer: int | str | nn.Module | Layer) -> Layer:
        """Find the layer meant by a number l = 1..L, a path, a module of the generator or a ``Layer``.

        Raises:
            LayerNotFoundError: there is none, or several; the message has the names to choose from.
        """
        try:
            found = self._find(layer)
        except LayerNotFoundError as error:
            if self._not_seen is None:
                raise
            raise LayerNotFoundError(f"{error}. {self._not_seen}") from error
        modules = dict(self.generator.named_modules())
        if found.number is None and found.path in modules and is_scripted_activation(modules[found.path]):
            raise LayerNotFoundError(
                f"layer {found.path!r} is an activation in TorchScript, whose pre-activation cannot be seen; "
                "name the module before it, or put one of torch.nn in its place"
            )
        return found

    def _find(self, layer: int | str | nn.Module | Layer) -> Layer:
        if isinstance(layer, bool) or not isinstance(layer, int | str | nn.Module | Layer):
            raise LayerNotFoundError(f"layer {layer!r} is no layer; expected a number, a path or a module")
        if isinstance(layer, int):
            return self._catalogue.number(layer)
        if isinstance(layer, nn.Module):
            return self._catalogue.find(self._path_of(layer))
        return self._catalogue.find(layer.path if isinstance(layer, Layer) else layer)

    @alone
    def split(self, layer: int | str | nn.Module | Layer) -> Split:
        """Split the generator at a layer.

        Raises:
            LayerNotFoundError: there is no such layer, or the latent does not reach it, or it has no such boundary.
            NetworkError: the layer depends on the size of the batch.
        """
        resolved = self.resolve(layer)
        split = Split(self._forward, resolved, self._trace, self._catalogue.calls[resolved.path])
        if large_batch(self.image_size) < HEADS and resolved.path not in self._in_large_batches:
            refuse_large_heads(split.head, lambda: split.in_float64().head, self._probes)
            self._in_large_batches.add(resolved.path)
        known = self._thresholds.get(resolved.path)
        split = split.with_boundary(self.boundary if known is None else self.boundary.knowing(resolved.path, known))
        if split.thresholds is not None:
            self._thresholds[resolved.path] = split.thresholds
        if split.unturned:
            self.notices += (told_unturned(resolved.path, split.unturned, resolved.units),)
        return split

    def thresholds(self, layer: Layer) -> Tensor | None:
        """What is taken off a layer's pre-activations (units,), on the CPU; None where boundaries are at zero."""
        if self.boundary.kind == "zero":
            return None
        if layer.path not in self._thresholds:
            self.split(layer)
        return self._thresholds[layer.path].cpu()

    def _check(self, z: Tensor) -> tuple[Trace, Tensor]:
        """Run four passes: their images must be equal, and none may depend on the others in its batch, or on its size.

        Returns:
            What was called, and the images.
        """
        forward, n = self._forward, len(z)
        replica = forward.replica
        with torch.no_grad():
            with replica.door:
                seen, returned = trace(replica.module, lambda: replica(forward.prepare(z)))
                steps = find_image(returned, n, self.output)
                self._forward = forward = replace(forward, steps=steps)
                first = forward.images_in(returned, n)
                self._image = seen.made(image_of(returned, n, steps))  # as the trace names it
                if self.output is None and (told := other_images(returned, n, steps)) is not None:
                    self.notices += (told,)
            refuse_unrepeatable(forward, z, first)
            refuse_mixing(forward, z, first)
            refuse_large_batches(forward, z, first)
        return at_rest(seen), first

    def _settle(self, conditions: Conditions) -> None:
        """Find out what the inputs mean to the network, and give it that from now on."""

        def run(candidate: Conditions) -> None:
            with torch.no_grad():
                replace(self._forward.replica, conditions=candidate)(self._forward.prepare(self._probes))

        settled = conditions.settled(self.generator, run)
        self._forward = replace(self._forward, replica=replace(self._forward.replica, conditions=settled))

    def _path_of(self, module: nn.Module) -> str:
        for path, candidate in self.generator.named_modules():
            if candidate is module:
                return path
        raise LayerNotFoundError(
            f"the {type(module).__name__} given as the layer is not in the generator; "
            "pass one of generator.modules(), a path or a number (a network in float64 is a copy: use paths there)"
        )


def list_layers(
    generator: Given, latent_shape: Shape, *, output: int | str | None = None, inputs: Inputs | None = None
) -> list[Layer]:
    """List the non-linearities of a generator in the order of its forward pass, the output's among them.

    ``past`` of each tells how much of the image flows past it, through a skip.

    Args:
        generator: any module in eval mode; left as it is.
        latent_shape: of one latent as the generator takes it, for example ``(64,)``.
        output: which output is the image, as ``egbas.explore`` says.
        inputs: what forward takes beside the latent, as ``egbas.explore`` says.

    Raises:
        NetworkError: the generator does not run, or cannot be explored.

    Example:
        >>> from torch import nn
        >>> generator = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        >>> [layer.path for layer in list_layers(generator, (2,))]
        ['1']
    """
    return Network(generator, latent_shape, output=output, inputs=inputs).measured()


def count_units(generator: nn.Module, latent_shape: tuple[int, ...], inputs: Inputs | None = None) -> int:
    """Count the units of all non-linearities by one pass of one latent: how large a network is.

    Args:
        generator: any module in eval mode; left as it is.
        latent_shape: of one latent as the generator takes it.
        inputs: what forward takes beside the latent.

    Returns:
        So many; 0 where the pass fails, for which ``Network`` has a message.
    """
    try:
        replica = freeze(generator, Conditions.of(inputs))
        if replica.borrowed is None:
            all_silenced(replica.module)  # whether these change the images is not asked here
        dtype, device = _dtype_and_device(replica, latent_shape)
        latents = torch.ones(1, *latent_shape, dtype=dtype, device=device)
        with torch.no_grad(), replica.door:
            settled = replica.conditions.settled(
                generator, lambda candidate: replace(replica, conditions=candidate)(latents)
            )
            replica = replace(replica, conditions=settled)
            seen, _ = trace(replica.module, lambda: replica(latents))
    except EgbasError:
        return 0
    return sum(math.prod(call.shape[1:]) for call in seen.activations)


def _refuse_unfit(generator: nn.Module) -> None:
    if is_exported(generator):
        raise NetworkError(
            "the network comes from torch.export: its layers have no names, and nobody sees its non-linearities; give "
            "the nn.Module that was exported, with these weights: module.load_state_dict(exported.state_dict())"
        )
    refuse_meta(generator, "the network has")
    for path, module in generator.named_modules():
        tracks = isinstance(module, _NormBase) and (isinstance(module, _BatchNorm) or module.track_running_stats)
        if getattr(module, "training", False) and (tracks or isinstance(module, _DropoutNd | nn.RReLU)):
            raise NetworkError(
                f"module {path!r} ({type(module).__name__}) is in train mode; expected eval mode: "
                "call generator.eval() first"
            )


def _dtype_and_device(replica: Replica, latent_shape: tuple[int, ...]) -> tuple[torch.dtype, torch.device]:
    """Those of the weights, also of such as stand in plain lists; of a network that shows none, float32 on the CPU.

    The default dtype, which is the caller's, is asked only where such a network does not run in float32.
    """
    module = replica.module
    held = (tensor for part in module.modules() for tensor in tensors_in(vars(part)))
    for tensor in itertools.chain(module.parameters(), module.buffers(), held):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    default, cpu = torch.get_default_dtype(), torch.device("cpu")
    if default != torch.float32:
        try:
            with torch.no_grad(), replica.door:
                replica(torch.ones(1, *latent_shape, dtype=torch.float32, device=cpu))
        except EgbasError:
            return default, cpu
    return torch.float32, cpu
