# SPDX-License-Identifier: MIT
"""A network and what judges its images, as one network: logits beside the image, so that either can be held fixed.

In: a generator, or the space of images itself, and a classifier. Out: a module whose layers are those of both.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

from egbas.errors import EgbasError, NetworkError
from egbas.latent import LatentSpace, Uniform
from egbas.network.conditions import Conditions
from egbas.network.given import Given, Inputs, Shape, as_index, network_of, shape_of
from egbas.network.images import check_choice, parts_of

Traced = Any  # a Tensor, or what stands in for one where torch.fx writes a pass down
IMAGE, LOGITS, PROBABILITIES = "image", "logits", "probabilities"
HELD = (IMAGE, LOGITS, PROBABILITIES)


class Pixels(nn.Module):
    """The space of images as a generator: a latent is an image, G(z) = z, uniform on [-bound, bound] in each pixel.

    With a classifier on it, that classifier is explored in input space.

    Example:
        >>> import egbas, torch
        >>> pixels = egbas.Pixels((1, 28, 28))
        >>> both = egbas.Classified(pixels, egbas.load_classifier("lenet-mnist"))
        >>> both(torch.zeros(2, 1, 28, 28))["logits"].shape
        torch.Size([2, 10])
    """

    zoo_name = "pixels"

    def __init__(self, shape: Shape, *, bound: float = 1.0) -> None:
        """Make the space of images of one shape.

        Args:
            shape: of an image, (c, h, w).
            bound: largest magnitude of a pixel; 1 for images in [-1, 1].

        Raises:
            ShapeError: the shape is no list of positive sizes.
            ConfigError: the bound is not positive.
        """
        super().__init__()
        self.latent = LatentSpace(shape=shape_of(shape), prior=Uniform(bound))
        self.image_range = (-bound, bound)

    def forward(self, images: Traced) -> Traced:
        """Give the images back."""
        return images


class Classified(nn.Module):
    """A generator with a classifier of its images: latents (n, ...) to ``{"image", "logits", "probabilities"}``.

    Its layers are those of both, ``generator.relu1`` and ``classifier.relu1``; the generator's come first.

    Attributes:
        generator: G; ``Pixels`` for a classifier in input space.
        classifier: maps images (n, c, h, w) to logits (n, classes); or any network whose output is to be held. What it
            returns by name beside the logits, such as features, stands beside them.
        output: which of the generator's outputs is the image; see ``egbas.explore``.
        conditions: what the generator is given beside the latent.
    """

    def __init__(
        self,
        generator: Given,
        classifier: Given,
        *,
        output: int | str | None = None,
        inputs: Inputs | Conditions | None = None,
    ) -> None:
        """Join them; neither is copied or changed.

        Args:
            generator: G, in eval mode.
            classifier: in eval mode, on the same device and in the same dtype; it may return logits, or what holds an
                entry or attribute ``logits``.
            output: where the image is in what the generator returns; None: the tensor that it returns, or its entry
                ``image``.
            inputs: what the generator's forward takes beside the latent, by name, as ``egbas.explore`` says. Classes
                have to be tensors here, as the generator takes them; ``egbas.explore`` finds out which these are.

        Raises:
            NetworkError: one is no network, or they do not compute in the same dtype on the same device.
            ConfigError: ``output`` is no index and no name, or an input is nothing that a network takes.
        """
        super().__init__()
        check_choice(output)
        self.conditions = Conditions.of(inputs)
        self.generator, self.classifier = network_of(generator), network_of(classifier)
        self.output = output
        places = [_place(module) for module in (self.generator, self.classifier)]
        if None not in places and places[0] != places[1]:
            told = " and ".join(f"{place[0]} on {place[1]}" for place in places if place is not None)
            raise NetworkError(
                f"generator and classifier compute in {told}; expected one dtype and one device: "
                "move the classifier, classifier.to(device, dtype)"
            )
        # As any module's eval(): what is joined here is in eval mode, or refused where it is explored.
        self.training = self.generator.training or self.classifier.training
        latent = getattr(self.generator, "latent", None)
        if isinstance(latent, LatentSpace):
            self.latent = latent  # egbas.explore reads it

    @property
    def image_range(self) -> Any:
        """What the generator says of its pixel values; None where it says nothing."""
        return getattr(self.generator, "image_range", None)

    @property
    def zoo_name(self) -> str:
        """That of the generator, or of its class."""
        return str(getattr(self.generator, "zoo_name", type(self.generator).__name__))

    @property
    def classifier_name(self) -> str:
        """The zoo's name of the classifier, or that of its class."""
        return str(getattr(self.classifier, "zoo_name", type(self.classifier).__name__))

    def forward(self, latents: Traced) -> dict[str, Traced]:
        """Compute images, their logits and probabilities, and what the classifier returns by name beside its logits."""
        beside = self.conditions.rows(latents) if self.conditions.used else {}
        image = _part(self.generator(latents, **beside), IMAGE, self.output, "generator")
        judged = self._judged(image)
        logits = _part(judged, LOGITS, None, "classifier")
        return {**_named_in(judged), IMAGE: image, LOGITS: logits, PROBABILITIES: logits.softmax(dim=-1)}

    def _judged(self, image: Traced) -> Any:
        """What the classifier returns; where it fails at images, as a message."""
        if not isinstance(image, Tensor):  # traced: who traces looks for another way
            return self.classifier(image)
        try:
            return self.classifier(image)
        except EgbasError:
            raise
        except Exception as error:
            shape = ", ".join(map(str, image.shape))
            low, high = (float(end) for end in image.detach().aminmax()) if image.numel() else (0.0, 0.0)
            reason = (str(error).splitlines() or [""])[0]
            raise NetworkError(
                f"the classifier raised {type(error).__name__} on the generator's images ({shape}), with values from "
                f"{low:.3g} to {high:.3g}: {reason}; where it wants another size, range or number of channels, wrap it "
                "in a module that resizes and rescales them"
            ) from error


def maker_of(network: nn.Module) -> nn.Module:
    """What makes the images: the generator of one that is joined with a classifier, or the network itself."""
    return network.generator if isinstance(network, Classified) else network


def _named_in(returned: Any) -> dict[str, Traced]:
    """What a classifier returned by name, such as features."""
    parts = {} if isinstance(returned, fx.Proxy) else parts_of(returned)
    return {
        name: value for name, value in parts.items() if isinstance(name, str) and isinstance(value, Tensor | fx.Proxy)
    }


class Logits(nn.Module):
    """The logits alone of a network that may give an image and more beside them."""

    def __init__(self, network: nn.Module) -> None:
        """Take the network as it is."""
        super().__init__()
        self.network, self.training = network, network.training

    def forward(self, latents: Traced) -> Traced:
        """Compute logits (n, classes)."""
        return _part(self.network(latents), LOGITS, None, "classifier")


class Margins(nn.Module):
    """What a class leads by: latents to logit_c - logit_j of every other class j, in order.

    Its module ``margins`` is the layer whose boundaries are the decision boundaries of the class.
    """

    def __init__(self, network: nn.Module, target_class: int, n_classes: int) -> None:
        """Put one linear map behind the logits; its weights, 1 and -1, are exact in every precision.

        Args:
            network: gives logits (n, n_classes), alone or as ``logits``.
            target_class: c.
            n_classes: at least 2, more than c.
        """
        super().__init__()
        dtype, device = _place(network) or (torch.float32, torch.device("cpu"))
        self.logits = Logits(network)
        # No weights are drawn: that would move the caller's random numbers.
        margins = nn.Linear(n_classes, n_classes - 1, bias=False, dtype=dtype, device="meta")
        self.margins = margins.to_empty(device=device)
        others = [j for j in range(n_classes) if j != target_class]
        weight = torch.zeros(n_classes - 1, n_classes, dtype=dtype, device=device)
        weight[:, target_class] = 1.0
        weight[range(n_classes - 1), others] = -1.0
        with torch.no_grad():
            self.margins.weight.copy_(weight)
        self.margins.requires_grad_(False)
        self.training = network.training

    def forward(self, latents: Traced) -> Traced:
        """Compute the leads (n, classes - 1)."""
        return self.margins(self.logits(latents))


def _part(returned: Any, name: str, choice: int | str | None, who: str) -> Any:
    """The tensor that is meant in what a network returned; a stand-in of it where the network is being traced."""
    parts = {} if isinstance(returned, fx.Proxy) else parts_of(returned)
    if choice is None and not parts:
        return returned
    if choice is None:
        if name in parts:
            return parts[name]
        if len(parts) == 1:
            return next(iter(parts.values()))
        todo = f"; say which of them it is: output=, --output, one of {', '.join(map(str, parts))}"
        raise NetworkError(
            f"the {who} returned {type(returned).__name__} of {len(parts)} parts, none of which is called {name!r}"
            + (todo if who == "generator" else "; wrap it in a module that returns the logits alone")
        )
    at = returned
    for step in [choice] if choice in parts else str(choice).split("."):
        inside = parts_of(at)
        index = as_index(str(step))
        key = step if step in inside else index if index in inside else None
        if key is None and index is not None and -len(inside) <= index < len(inside):
            key = list(inside)[index]
        if key is None:
            raise NetworkError(f"there is no output {choice!r} in what the {who} returned, a {type(returned).__name__}")
        at = inside[key]
    return at


def _place(module: nn.Module) -> tuple[torch.dtype, torch.device] | None:
    """Dtype and device of a module's numbers; None where it has none."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return None
