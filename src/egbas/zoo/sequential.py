# SPDX-License-Identifier: MIT
"""A generator that is a plain sequence of layers, each with its settings: DCGANs of any numbering, MLP decoders."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from egbas.errors import ConfigError
from egbas.latent import LatentSpace

MAX_LAYERS, MAX_SIZE = 1000, 2**31
SLOPE = 0.2  # of a leaky ReLU in GANs, where it is not said
# By the names that a user gives them.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardtanh": nn.Hardtanh,
}
NONE, LEAKY = "none", "leaky_relu"
CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "bias")
SETTINGS: dict[str, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
    "linear": (nn.Linear, ("in_features", "out_features", "bias")),
    "conv": (nn.Conv2d, CONV),
    "conv_transpose": (nn.ConvTranspose2d, (*CONV, "output_padding")),
    "batch_norm": (nn.BatchNorm2d, ("num_features", "eps")),
    "batch_norm_1d": (nn.BatchNorm1d, ("num_features", "eps")),
    "upsample": (nn.Upsample, ("scale_factor", "mode")),
    "flatten": (nn.Flatten, ()),
}
MAY_BE_ZERO = ("padding", "output_padding")


@dataclass(frozen=True, kw_only=True)
class SequentialConfig:
    """Settings of a ``SequentialGenerator``.

    Attributes:
        latent: shape of one latent, (d,) or (d, 1, 1).
        layers: in the order of the forward pass, each with its ``name``, its ``kind`` (``linear``,
            ``conv_transpose``, ``batch_norm``, ``activation``, ``unflatten``, ...) and the settings of that kind.
    """

    latent: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_sizes("latent", self.latent)
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ConfigError(f"layers has {len(self.layers)} entries; expected 1 to {MAX_LAYERS}")
        for layer in self.layers:
            _check(layer)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "SequentialConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        try:
            return cls(**{**values, "latent": tuple(values["latent"]), "layers": tuple(values["layers"])})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"these are no settings of a SequentialConfig ({error})") from error


class SequentialGenerator(nn.Sequential):
    """Map latents (n, *config.latent) to images, or to what else the last layer gives.

    Attributes:
        config: the settings.
        latent: where the inputs come from; set where the weights were trained with it.
        zoo_name: of the model it belongs to; set with the latent.
    """

    latent: LatentSpace
    zoo_name: str

    def __init__(self, config: SequentialConfig) -> None:
        """Build the generator."""
        super().__init__(OrderedDict((layer["name"], _module(layer)) for layer in config.layers))
        self.config = config


def activation(text: str) -> nn.Module | None:
    """Make the activation that a user names, such as ``relu`` or ``leaky_relu:0.2``; None for ``none``.

    Raises:
        ConfigError: it is unknown.
    """
    name, colon, slope = text.strip().lower().partition(":")
    if name == NONE and not colon:
        return None
    if name == LEAKY:
        try:
            value = float(slope) if colon else SLOPE
        except ValueError:
            value = -1.0
        if not 0 <= value < 1:
            raise ConfigError(f"the slope {slope!r} of {LEAKY} is no number from 0 to 1; write {LEAKY}:0.2")
        return nn.LeakyReLU(value)
    if name not in ACTIVATIONS or colon:
        raise ConfigError(
            f"activation {text!r} is unknown; expected one of {', '.join(ACTIVATIONS)}, {LEAKY}:0.2 or {NONE}"
        )
    return ACTIVATIONS[name]()


def _module(layer: dict[str, Any]) -> nn.Module:
    if layer["kind"] == "activation":
        return activation(layer["function"]) or nn.Identity()
    if layer["kind"] == "unflatten":
        return nn.Unflatten(1, tuple(layer["shape"]))
    kind, names = SETTINGS[layer["kind"]]
    return kind(**{name: layer[name] for name in names})


def _check(layer: object) -> None:
    """Refuse a layer whose settings are not those of its kind: they may come from the header of a file."""
    if not isinstance(layer, dict) or not isinstance(layer.get("name"), str) or not isinstance(layer.get("kind"), str):
        raise ConfigError("a layer has no name or no kind")
    kind, given = layer["kind"], layer.keys() - {"name", "kind"}
    if not layer["name"].isidentifier() or hasattr(nn.Sequential, layer["name"]):
        raise ConfigError(f"a layer is called {layer['name'][:60]!r}; expected a name such as conv1")
    if kind == "activation" and given == {"function"} and isinstance(layer["function"], str):
        activation(layer["function"])
    elif kind == "unflatten" and given == {"shape"} and isinstance(layer["shape"], list | tuple):
        _check_sizes("shape", tuple(layer["shape"]))
    elif kind in SETTINGS and given == set(SETTINGS[kind][1]):
        for name in SETTINGS[kind][1]:
            _check_setting(kind, name, layer[name])
    else:
        raise ConfigError(f"a layer of the kind {kind[:60]!r} has the settings {', '.join(sorted(given))[:200]}")


def _check_setting(kind: str, name: str, value: object) -> None:
    if name == "bias":
        holds = type(value) is bool
    elif name == "eps":
        holds = type(value) is float and 0 < value < 1e6
    elif name == "mode":
        holds = value == "nearest"
    else:
        holds = type(value) is int and (0 if name in MAY_BE_ZERO else 1) <= value < MAX_SIZE
    if not holds:
        raise ConfigError(f"{name} of a {kind} is {str(value)[:60]!r}; expected another value")


def _check_sizes(what: str, sizes: tuple[Any, ...]) -> None:
    if not sizes or not all(type(size) is int and 1 <= size < MAX_SIZE for size in sizes):
        raise ConfigError(f"{what} has the sizes {str(sizes)[:100]}; expected whole numbers of 1 or more")
