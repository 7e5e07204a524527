# SPDX-License-Identifier: MIT
"""What an exploration is about: a network, its latent space, queries with their seeds, a layer or a region."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.errors import ConfigError, ShapeError, StartOutsideRegionError
from egbas.exploration.judges import Features, Judge, Panel
from egbas.exploration.queries import as_query, latent_of, name_of
from egbas.geometry import choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.network.given import Given, network_of
from egbas.region import Precisions, Region

_MASK = 2  # dimensions
_N_ASKED = 3  # latents that a region of the user's own is asked about first


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What an exploration is about.

    Attributes:
        network: the generator, checked.
        model_name: for reports and run directories.
        latent: the latent space, with the geometry that was chosen.
        precisions: the network split at the layer; None in a region of the user's own.
        queries: each (d,).
        seeds: one for each query.
        focus: (h, w) bool, the part of the image that BerOpt looks at; None: all of it.
        judges: of images, beside the built-in ones.
        features: of images, to measure distances in beside pixels; None: pixels alone.
    """

    network: Network
    model_name: str
    latent: LatentSpace
    precisions: Precisions | None
    queries: Sequence[Float[Tensor, " d"]]
    seeds: Sequence[int]
    focus: Tensor | None = None
    judges: Sequence[Judge] = ()
    features: Features | None = None

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
        judges: Sequence[Judge] = (),
        features: Features | None = None,
    ) -> "Problem":
        """Check all of it, before any work.

        Raises:
            ShapeError, LayerNotFoundError, NetworkError, ConfigError: as ``egbas.explore`` says.
        """
        latent = latent or latent_of(generator, queries[0])
        network = _network(generator, latent, output)
        generator = network.generator
        latent = choose_geometry(latent, network, geometry)
        starts = [as_query(z0, latent, network) for z0 in queries]
        for start in starts:
            geometry_around(latent, start)  # where a sphere has no query to go through, say so before any work
        Panel.of(judges, features, network.generate(starts[0][None])[0].cpu())  # likewise a judge that fails
        return cls(
            network=network,
            model_name=model_name or name_of(generator),
            latent=latent,
            precisions=None if layer is None else Precisions.of(network, network.resolve(layer)),
            queries=starts,
            seeds=seeds,
            focus=None if focus is None else focus_of(focus, network, starts[0]),
            judges=judges,
            features=features,
        )


def _network(given: Given, latent: LatentSpace, output: int | str | None) -> Network:
    """The network, checked: now, or before where a ``Network`` was given that is the one asked for."""
    if isinstance(given, Network) and (given.latent_shape, given.output) == (latent.shape, output):
        return given
    return Network(network_of(given), latent.shape, output=output)


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
    """Refuse neither a layer nor a region, and both.

    Raises:
        ConfigError: so it is; or there are settings of BerOpt beside a region; or the region has no ``contains``.
    """
    if layer is None and region is None:
        raise ConfigError("got neither a layer nor a region; name a layer, such as layer=1, or give region=")
    if layer is not None and region is not None:
        raise ConfigError(f"got layer={layer!r} and a region; a region of one's own needs no layer: leave one out")
    if region is not None and has_beropt:
        raise ConfigError("got settings of BerOpt and a region, in which BerOpt is skipped; leave one out")
    if region is not None and not isinstance(region, Region):
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
