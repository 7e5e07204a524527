# SPDX-License-Identifier: MIT
"""A generator whose first layer takes a latent and a label, side by side or multiplied, the label as an input."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from egbas.errors import ConfigError
from egbas.latent import LatentSpace
from egbas.zoo.pggan import PgganConfig, PgganGenerator
from egbas.zoo.radford import RadfordConfig, RadfordGenerator
from egbas.zoo.sequential import SequentialConfig, SequentialGenerator

INNER: dict[str, tuple[Any, Any]] = {
    "pggan-generator": (PgganGenerator, PgganConfig),
    "dcgan-generator": (RadfordGenerator, RadfordConfig),
    "sequential-generator": (SequentialGenerator, SequentialConfig),
}
MAX_CLASSES = 2**20
Traced = Any  # a Tensor, or what stands in for one where torch.fx writes a pass down


@dataclass(frozen=True, kw_only=True)
class LabelledConfig:
    """Settings of a ``LabelledGenerator``.

    Attributes:
        latent: shape of one latent without the label, (d,) or (d, 1, 1).
        classes: how many labels there are.
        width: values that a label becomes: ``classes`` where it is one-hot.
        architecture: of the generator that takes both; a name of ``INNER``.
        inner: its settings.
        is_product: whether the first layer takes the latent times the label's values, of which there are as many.
    """

    latent: tuple[int, ...]
    classes: int
    width: int
    architecture: str
    inner: Any
    is_product: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        sizes = (*self.latent, self.classes, self.width)
        if not self.latent or not all(type(size) is int and 1 <= size <= MAX_CLASSES for size in sizes):
            raise ConfigError(
                f"a labelled generator has the sizes {str(sizes)[:100]}; expected whole numbers from 1 on"
            )
        if type(self.is_product) is not bool or (self.is_product and self.width != self.latent[0]):
            raise ConfigError(
                f"its labels have {self.width} values; expected {self.latent[0]}, as many as the latent has"
            )
        if self.architecture not in INNER:
            raise ConfigError(f"its architecture {self.architecture[:60]!r} is unknown; expected {', '.join(INNER)}")

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "LabelledConfig":
        """Read what ``dataclasses.asdict`` and JSON made of a config.

        Raises:
            ConfigError: a setting is unknown, missing or out of its range.
        """
        try:
            _, config = INNER[values["architecture"]]
            inner = config.from_json(values["inner"])
            return cls(**{**values, "latent": tuple(values["latent"]), "inner": inner})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"these are no settings of a LabelledConfig ({error})") from error


class LabelledGenerator(nn.Module):
    """Map latents (n, *config.latent) and a label to images.

    Attributes:
        config: the settings.
        inner: the generator that takes both.
        rows: (classes, width), what each label becomes.
        latent: where the inputs come from; set where the weights were trained with it.
        zoo_name: of the model it belongs to; set with the latent.
    """

    latent: LatentSpace
    zoo_name: str

    def __init__(self, config: LabelledConfig) -> None:
        """Build the generator."""
        super().__init__()
        kind, _ = INNER[config.architecture]
        self.config, self.inner, self.num_classes = config, kind(config.inner), config.classes
        self.rows = nn.Parameter(torch.zeros(config.classes, config.width, dtype=torch.float32))

    def forward(
        self, z: Traced, label: Traced = None, weights: Traced = None, labels_first: bool = False, added: bool = False
    ) -> Traced:
        """Compute images.

        Args:
            z: latents (n, *config.latent).
            label: (n,) int64, from 0 to classes - 1.
            weights: instead of a label, how much of each: (n, classes), such as several attributes at once.
            labels_first: whether the label comes before the latent, where they are side by side.
            added: whether the label's values are added to the latent, where they are as many.

        Raises:
            TypeError: there is neither a label nor weights.
        """
        if weights is not None:
            beside = weights @ self.rows
        elif label is not None:
            beside = nn.functional.embedding(label, self.rows)
        else:
            raise TypeError(
                f"this generator takes a label from 0 to {self.config.classes - 1}: --input label=0, in Python "
                "inputs={'label': 0}"
            )
        beside = beside.reshape(-1, self.config.width, *[1] * (len(self.config.latent) - 1))
        if self.config.is_product:
            return self.inner(z + beside if added else z * beside)
        return self.inner(torch.cat([beside, z] if labels_first else [z, beside], dim=1))
