# SPDX-License-Identifier: MIT
"""What an exploration is about: a network, its latent space, queries with their seeds, a layer or a region."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.errors import ConfigError, NetworkError, ShapeError, StartOutsideRegionError
from egbas.exploration.judges import Features, Judge, Panel
from egbas.exploration.queries import as_query, latent_of, name_of
from egbas.geometry import choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.network.boundary import Boundary
from egbas.network.classified import IMAGE, LOGITS, Classified
from egbas.network.given import Given, Inputs, network_of
from egbas.network.joined import joined
from egbas.network.kinds import kind_of
from egbas.region import DecisionRegion, Precisions, Region

CLASS = "class"  # as a region: the decision region that a query lies in
_MASK = 2  # dimensions
_N_ASKED = 3  # latents that a region of the user's own is asked about first, and that tell of a skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What an exploration is about.

    Attributes:
        network: the generator, checked.
        model_name: for reports and run directories.
        latent: the latent space, with the geometry that was chosen.
        ends: the network whose output is what is held; ``network`` itself where that is the image.
        precisions: it, split at the layer; None in a region of the user's own.
        queries: each (d,).
        seeds: one for each query.
        focus: (h, w) bool, the part of the image that BerOpt looks at; None: all of it.
        judges: of images, beside the built-in ones.
        features: of images, to measure distances in beside pixels; None: pixels alone.
        held: the output that BerOpt's distance is measured in, where that is not the image; None: the image.
    """

    network: Network
    model_name: str
    latent: LatentSpace
    ends: Network
    precisions: Precisions | None
    queries: Sequence[Float[Tensor, " d"]]
    seeds: Sequence[int]
    focus: Tensor | None = None
    judges: Sequence[Judge] = ()
    features: Features | None = None
    held: str | None = None

    @cached_property
    def bypass(self) -> str | None:
        """A sentence where what is held flows past the layer through a skip, with the layer to take instead."""
        if self.precisions is None:
            return None
        draws = self.latent.sample(_N_ASKED, torch.Generator().manual_seed(0)).to(self.queries[0])
        what = "images" if self.held is None else f"the {self.held}"
        return self.ends.bypass_of(self.precisions.split.layer, draws, what=what)

    @classmethod
    def of(  # noqa: PLR0913
        cls,
        generator: Given,
        queries: Tensor | Sequence[Tensor],
        seeds: Sequence[int],
        layer: int | str | nn.Module | None,
        *,
        latent: LatentSpace | None,
        geometry: str,
        model_name: str | None,
        focus: object = None,
        output: int | str | None = None,
        inputs: Inputs | None = None,
        judges: Sequence[Judge] = (),
        features: Features | None = None,
        classifier: Given | None = None,
        hold: str | None = None,
        boundary: Boundary | str | None = None,
    ) -> "Problem":
        """Check all of it, before any work.

        Raises:
            ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``egbas.explore`` says.
        """
        is_guessed = latent is None
        latent = latent or latent_of(generator, queries[0])
        if classifier is not None:
            generator = joined(generator, classifier, latent.shape, output=output, inputs=inputs)
            output = inputs = None
        try:
            network = _network(generator, latent, output, inputs, boundary)
        except NetworkError as error:
            if not is_guessed or len(latent.shape) < 2 or latent.shape[0] != 1:
                raise
            raise NetworkError(
                f"{error}. The query has the shape {latent.shape}; if the first dimension is a batch of one, give z0[0]"
            ) from error
        generator = network.generator
        held = held_of(generator, hold, has_layer=layer is not None, has_focus=focus is not None)
        latent = choose_geometry(latent, network, geometry)
        starts = [as_query(z0, latent, network) for z0 in queries]
        for start in starts:
            geometry_around(latent, start)  # where a sphere has no query to go through, say so before any work
        Panel.of(judges, features, network.generate(starts[0][None])[0].cpu())  # likewise a judge that fails
        ends = ending_in(network, held)
        return cls(
            network=network,
            model_name=model_name or name_of(generator),
            latent=latent,
            ends=ends,
            precisions=None if layer is None else Precisions.of(ends, ends.resolve(layer)),
            queries=starts,
            seeds=seeds,
            focus=None if focus is None else focus_of(focus, network, starts[0]),
            judges=judges,
            features=features,
            held=held,
        )

    def decision_regions(self, region: object) -> Sequence[Region]:
        """The region that was given, for each query: where it is ``"class"``, each query's own decision region.

        Raises:
            ConfigError: ``"class"`` was asked for without a classifier.
            StartOutsideRegionError, ShapeError: as ``holding`` says.
        """
        if not isinstance(region, str):
            assert isinstance(region, Region)
            return [holding(region, start) for start in self.queries]
        if not isinstance(self.network.generator, Classified):
            raise ConfigError(
                "got region='class' without a classifier, and a decision region is one of its classes; give "
                "classifier= (--classifier), such as egbas.load_classifier('lenet-mnist')"
            )
        known: dict[int, DecisionRegion] = {}
        for start in self.queries:  # a region for each class, whatever the number of queries
            if not any(one.contains(start[None]).item() for one in known.values()):
                found = DecisionRegion.holding(self.network.generator, start, latent=self.latent)
                known[found.target_class] = found
        return [next(one for one in known.values() if one.contains(start[None]).item()) for start in self.queries]


def held_of(generator: nn.Module, hold: str | None, *, has_layer: bool, has_focus: bool) -> str | None:
    """The output that BerOpt holds: the one asked for, the logits where there is a classifier, or else the image, None.

    Raises:
        ConfigError: one is asked for without a layer, in which BerOpt would hold it; or there is a focus beside it.
    """
    if hold is not None and not has_layer:
        raise ConfigError(
            f"got hold={hold!r} without a layer; BerOpt holds an output at a layer: name one, or leave it"
        )
    if hold is None and has_layer and isinstance(generator, Classified):
        hold = LOGITS
    held = None if hold == IMAGE else hold
    if held is not None and has_focus:
        raise ConfigError(f"got a focus, which is a part of the image, and BerOpt holds {held!r}; hold='image' has one")
    return held


def precisions_of(network: Network, layer: int | str | nn.Module, held: str | None) -> Precisions:
    """A network split at a layer, with a tail that ends in what is held."""
    ends = ending_in(network, held)
    return Precisions.of(ends, ends.resolve(layer))


def ending_in(network: Network, held: str | None) -> Network:
    """The network whose output is what is held; itself where that is the image."""
    if held is None:
        return network
    return Network(
        network.generator, network.latent_shape, output=held, inputs=network.conditions, boundary=network.boundary
    )


def _network(
    given: Given,
    latent: LatentSpace,
    output: int | str | None,
    inputs: Inputs | None,
    boundary: Boundary | str | None,
) -> Network:
    """The network, checked: now, or before where a ``Network`` was given that is the one asked for."""
    same = isinstance(given, Network) and (given.latent_shape, given.output) == (latent.shape, output)
    if isinstance(given, Network) and same and inputs is None and boundary is None:
        return given
    told = Boundary.of(boundary, latent)
    return Network(network_of(given), latent.shape, output=output, inputs=inputs, boundary=told)


def focus_of(focus: object, network: Network, query: Float[Tensor, " d"]) -> Tensor:
    """The part of the image that is looked at, (h, w) bool.

    Args:
        focus: a box (x0, y0, x1, y1) in pixels, the right and the lower end not in it; or a mask (h, w), where what is
            not zero counts.
        network: whose image it is.
        query: of the image.

    Raises:
        ConfigError: it is neither, has another size than the image, or holds no pixel.
    """
    shape = tuple(network.image_shape)
    if kind_of(shape) not in ("image", "frames") or len(shape) == 1:
        raise ConfigError(f"a focus is a part of images (c, h, w), and this network gives {shape}; leave it out")
    height, width = network.generate(query[None]).shape[-2:]
    if getattr(focus, "ndim", 1) == _MASK:
        focus = torch.as_tensor(focus)
    if isinstance(focus, Tensor):
        if focus.shape != (height, width):
            raise ConfigError(f"got a focus of shape {tuple(focus.shape)}; expected ({height}, {width}), as the image")
        mask = focus.to(query.device) != 0
    else:
        try:
            x0, y0, x1, y1 = (operator.index(value) for value in focus)  # pyright: ignore[reportGeneralTypeIssues]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"got focus={focus!r}; expected (x0, y0, x1, y1) in pixels, or a mask (h, w)") from error
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ConfigError(
                f"the focus {x0},{y0},{x1},{y1} does not lie in the image of {width} x {height}; "
                f"expected 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
            )
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[y0:y1, x0:x1] = True
    if not bool(mask.any()):
        raise ConfigError("the focus holds no pixel; expected at least one that is not zero")
    return mask


def check_choice(layer: object, region: object, *, has_beropt: bool) -> None:
    """Refuse neither a layer nor a region, and both, but for a decision region, which a layer's may be cut with.

    Raises:
        ConfigError: so it is; or there are settings of BerOpt beside a region; or the region has no ``contains``.
    """
    if isinstance(region, str) and region != CLASS:
        raise ConfigError(f"got region={region!r}; expected 'class', or an object with contains(z)")
    if layer is None and region is None:
        raise ConfigError("got neither a layer nor a region; name a layer, such as layer=1, or give region=")
    is_decision = region == CLASS if isinstance(region, str) else isinstance(region, DecisionRegion)
    if layer is not None and region is not None and not is_decision:
        raise ConfigError(f"got layer={layer!r} and a region; a region of one's own needs no layer: leave one out")
    if layer is None and region is not None and has_beropt:
        raise ConfigError("got settings of BerOpt and a region, in which BerOpt is skipped; leave one out")
    if region is not None and not isinstance(region, Region | str):
        raise ConfigError(f"got {type(region).__name__} as the region; expected an object with contains(z)")


def holding(region: Region, start: Float[Tensor, " d"]) -> Region:
    """The region, which must answer as the contract says, and hold the query.

    Raises:
        ShapeError: it answers in another form.
        StartOutsideRegionError: the query lies outside.
    """
    answer = region.contains(start.repeat(_N_ASKED, 1))
    if not isinstance(answer, Tensor) or answer.dtype != torch.bool or answer.shape != (_N_ASKED,):
        got = f"{answer.dtype} {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise ShapeError(
            f"the region's contains returned {got} for {_N_ASKED} latents; expected a torch.bool tensor of shape "
            f"({_N_ASKED},): one answer for each latent"
        )
    if not bool(answer.all()):
        raise StartOutsideRegionError("the query lies outside the region that was given; give one that contains it")
    return region
