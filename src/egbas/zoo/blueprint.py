# SPDX-License-Identifier: MIT
"""Networks before they are built: an architecture, its settings and its weights; what every checkpoint format gives."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from egbas.errors import CheckpointError, ConfigError
from egbas.latent import LatentSpace
from egbas.zoo.labelled import LabelledConfig, LabelledGenerator
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator
from egbas.zoo.radford import RadfordConfig, RadfordCritic, RadfordCriticConfig, RadfordGenerator
from egbas.zoo.sequential import SequentialConfig, SequentialGenerator

Network = TypeVar("Network", bound=nn.Module)

ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "pggan-generator": (PgganGenerator, PgganConfig),
    "pggan-critic": (PgganCritic, PgganCriticConfig),
    "dcgan-generator": (RadfordGenerator, RadfordConfig),
    "dcgan-critic": (RadfordCritic, RadfordCriticConfig),
    "sequential-generator": (SequentialGenerator, SequentialConfig),
    "labelled-generator": (LabelledGenerator, LabelledConfig),
}


def blank(kind: Callable[..., Network], *settings: Any) -> Network:
    """Make a network in float32 on the CPU whose weights are still to be filled in, all of them.

    It takes no random numbers, for these are the caller's, and not the default dtype, for that is the caller's, too.
    """
    with torch.device("meta"):
        network = kind(*settings)
    for module in network.modules():  # as to_empty, which imports sympy: a third of a second
        for name, value in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(_empty(value), requires_grad=value.requires_grad))
        for name, value in list(module.named_buffers(recurse=False)):
            setattr(module, name, _empty(value))
    return network


def _empty(like: Tensor) -> Tensor:
    dtype = torch.float32 if like.is_floating_point() else like.dtype
    return torch.empty(like.shape, dtype=dtype, device="cpu")


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprint:
    """A network before it is built.

    Attributes:
        architecture: a name of ``ARCHITECTURES``.
        config: of that architecture.
        weights: the state dict.
    """

    architecture: str
    config: Any
    weights: dict[str, Tensor]

    def build(self) -> nn.Module:
        """Make the network, in eval mode and frozen; it takes over the weights.

        Raises:
            CheckpointError: names or shapes of the weights are not those of the architecture.
        """
        kind, _ = ARCHITECTURES[self.architecture]
        try:
            with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
                network = kind(self.config)
            network.load_state_dict(self.weights, assign=True)
        except (RuntimeError, TypeError) as error:
            problem = "; ".join(line.strip() for line in str(error).splitlines()[-3:])[:300]
            raise CheckpointError(f"the weights do not fit the architecture {self.architecture}: {problem}") from error
        return network.eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Blueprints:
    """The networks of a checkpoint before they are built: what a format gives.

    Attributes:
        generator: of the file.
        discriminator: of the file; None where it has none.
        latent: where the generator's inputs come from.
        facts: what else the file tells, for ``egbas inspect``.
        notices: what was assumed where it tells nothing, as sentences; whoever explores the generator sees them.
    """

    generator: Blueprint
    discriminator: Blueprint | None = None
    latent: LatentSpace
    facts: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def latent_shape(generator: Blueprint) -> tuple[int, ...]:
    """Shape of one latent as a generator takes it: (d,) for a PGGAN, (d, 1, 1) for a DCGAN."""
    if generator.architecture in ("sequential-generator", "labelled-generator"):
        return generator.config.latent
    d = generator.config.latent_size
    return (d, 1, 1) if generator.architecture == "dcgan-generator" else (d,)


def config_from_json(architecture: str, values: dict[str, Any]) -> Any:
    """Read the settings of an architecture.

    Raises:
        CheckpointError: the architecture or a setting is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"its architecture {architecture!r} is unknown; expected one of {', '.join(ARCHITECTURES)}"
        )
    try:
        return ARCHITECTURES[architecture][1].from_json(values)
    except (ConfigError, TypeError) as error:  # TypeError: a size that is no number
        raise CheckpointError(f"the settings of its {architecture} are damaged: {str(error)[:300]}") from error


def config_to_json(blueprint: Blueprint) -> dict[str, Any]:
    """The settings of a network as JSON holds them."""
    return asdict(blueprint.config)


def normal(size: int, *more: int) -> LatentSpace:
    """The latent space N(0, 1) of a shape."""
    return LatentSpace(shape=(size, *more))
