# SPDX-License-Identifier: MIT
"""The decision region of a class: the latents that a classifier gives that class, by one further linear layer.

In: a network that gives logits, and a class c. Out: the region logit_c - logit_j >= 0 for every other class j. These
leads are the units of a linear map behind the logits, so that the decision region is the supporting region of that
layer with every sign +1: membership in two precisions, margins, gradients, walls and the certificate are those.
"""

import math
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from egbas.errors import ConfigError, LayerNotFoundError, NetworkError, ShapeError
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.network import Network
from egbas.network.classified import Logits, Margins
from egbas.network.given import Given, network_of
from egbas.region.contract import Region
from egbas.region.intersection import parts_of
from egbas.region.precisions import Precisions
from egbas.region.supporting import SupportingRegion

_LAYER = "margins"  # of egbas.network.classified.Margins
_REACH = 2.0  # half-widths of the latent space, over which the rounding error is measured


class DecisionRegion(SupportingRegion):
    """The latents that a classifier gives one class; those where two classes tie belong to both.

    Attributes:
        target_class: c, its index among the logits.
        n_classes: how many there are.
        module: the network that gives the logits.
        latent: the latent space.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> both = egbas.Classified(model.generator, egbas.load_classifier("lenet-mnist"))
        >>> z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
        >>> region = egbas.DecisionRegion.holding(both, z0)
        >>> bool(region.contains(z0[None])), int(both(z0[None])["logits"].argmax()) == region.target_class
        (True, True)
    """

    target_class: int
    n_classes: int
    module: nn.Module
    latent: LatentSpace

    @alone
    def __init__(self, network: Given, target_class: int | Integral, *, latent: LatentSpace | None = None) -> None:
        """Build the region of a class.

        Args:
            network: maps latents to logits (n, classes), or to what has an entry ``logits``, as ``egbas.Classified``
                does; in eval mode.
            target_class: c, from 0.
            latent: the latent space; None: the network's attribute ``latent``.

        Raises:
            NetworkError: the network does not run, or gives no logits of two classes or more.
            ConfigError: there is no such class, or the latent space is not known.
        """
        module = network_of(network)
        latent = _latent_of(module, latent)
        n_classes = _count_classes(module, latent)
        is_class = isinstance(target_class, Integral) and not isinstance(target_class, bool)
        if not is_class or not 0 <= int(target_class) < n_classes:
            raise ConfigError(f"got class {target_class!r}; expected one from 0 to {n_classes - 1}, as the logits have")
        target_class = int(target_class)  # numpy's integers, as of an argmax, are classes, too
        margins = Network(Margins(module, target_class, n_classes), latent.shape)
        try:
            precisions = Precisions.of(margins, margins.resolve(_LAYER))
        except LayerNotFoundError as error:
            raise NetworkError(
                "the classifier gives every latent the same logits, so its classes have no boundaries in the latent "
                "space; it may want images of another range or size"
            ) from error
        split, exact = precisions.split, precisions.exact
        units = torch.arange(n_classes - 1, device=split.device)
        signs = torch.ones(n_classes - 1, dtype=torch.int8, device=split.device)
        known = SupportingRegion(split=split, exact=exact, units=units, signs=signs, rounding=0.0)
        if exact is not split:
            centre = latent.sample(1, torch.Generator().manual_seed(0))[0].to(split.device)
            known = known._measured(precisions, centre, _reach_of(latent))
        told = {"split": split, "exact": exact, "units": units, "signs": signs}
        told |= {"rounding": known.rounding, "halfspaces": known.halfspaces}
        told |= {"target_class": target_class, "n_classes": n_classes, "module": module, "latent": latent}
        for name, value in told.items():
            object.__setattr__(self, name, value)  # the class that this one is made of is frozen

    @classmethod
    def holding(
        cls, network: Given, z0: Float[Tensor, "..."], *, latent: LatentSpace | None = None
    ) -> "DecisionRegion":
        """Build the decision region that a latent lies in.

        Args:
            network: as for the region itself.
            z0: the latent, of the latent space's shape or flat (d,).
            latent: as for the region itself.

        Raises:
            ShapeError: the latent is none of the network's.
            NetworkError, ConfigError: as for the region itself.
        """
        first = cls(network, 0, latent=latent)
        if z0.numel() != first.split.latent_size:
            raise ShapeError(f"got a latent of {z0.numel()} values; expected {first.split.latent_size}")
        (found,) = first.classes(z0.reshape(1, -1)).tolist()
        return first if found == 0 else cls(network, found, latent=latent)

    @property
    def others(self) -> Int[Tensor, " k"]:
        """(classes - 1,) the class that each unit is the lead over."""
        every = torch.arange(self.n_classes, device=self.units.device)
        return every[every != self.target_class]

    def leads(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """logit_c - logit_j of every other class, in float64 where the network can compute so."""
        return (
            torch.cat([self.exact.head(batch) for batch in z.split(64)]) if len(z) else z.new_zeros(0, len(self.units))
        )

    def classes(self, z: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The class of latents, as ``leads`` tells; where c ties with another, it is c."""
        least, place = self.leads(z).min(dim=1)
        return torch.where(least >= 0, self.target_class, self.others[place])

    def __repr__(self) -> str:
        """The class among how many."""
        return f"DecisionRegion(class {self.target_class} of {self.n_classes})"


def decision_of(region: Region) -> DecisionRegion | None:
    """The decision region that a region is, or has in an intersection; None where there is none."""
    return next((part for part in parts_of(region) if isinstance(part, DecisionRegion)), None)


def supporting_of(region: Region) -> SupportingRegion | None:
    """The supporting region of a layer that a region is, or has in an intersection; None where there is none."""
    parts = (part for part in parts_of(region) if isinstance(part, SupportingRegion))
    return next((part for part in parts if not isinstance(part, DecisionRegion)), None)


def _latent_of(module: nn.Module, given: LatentSpace | None) -> LatentSpace:
    latent = getattr(module, "latent", None) if given is None else given
    if not isinstance(latent, LatentSpace):
        raise ConfigError(
            "the latent space of the network is not known; pass latent=egbas.LatentSpace(shape=...), or give the "
            "network an attribute of that name"
        )
    return latent


def _count_classes(module: nn.Module, latent: LatentSpace) -> int:
    shape = Network(Logits(module), latent.shape).image_shape
    if len(shape) != 1 or shape[0] < 2:
        raise NetworkError(
            f"the classifier gives {' x '.join(map(str, shape))} values for one latent; expected one logit for each of "
            "two classes or more, (n, classes)"
        )
    return shape[0]


def _reach_of(latent: LatentSpace) -> float:
    widest = latent.largest_half_width
    return _REACH * (widest if math.isfinite(widest) else 4.0 * latent.scale)
