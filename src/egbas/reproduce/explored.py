# SPDX-License-Identifier: MIT
"""Explorations that several figures share, each made once."""

import torch

from egbas.beropt import BerOptConfig
from egbas.exploration import Exploration
from egbas.explore import explore
from egbas.gbrrt import GbRrtConfig
from egbas.zoo.models import Model, load_model


class Explored:
    """Explore a layer of an embedded model at a query, once for all who ask.

    ``egbas explore --model MODEL --layer LAYER --seed SEED`` repeats each exploration.
    """

    def __init__(self, *, beropt: BerOptConfig | None = None, gbrrt: GbRrtConfig | None = None) -> None:
        """Start with no exploration; the settings, by default egbas's own, are those of all of them."""
        self._beropt, self._gbrrt = beropt, gbrrt
        self._models: dict[str, Model] = {}
        self._runs: dict[tuple[str, int, int], Exploration] = {}

    def __call__(self, model_name: str, layer: int, seed: int) -> Exploration:
        """The exploration of a layer at the query that the seed draws from the prior.

        Raises:
            ModelNotFoundError: there is no such model.
            LayerNotFoundError: the model has no such layer.
            ConfigError: the supporting set came out empty.
        """
        key = (model_name, layer, seed)
        if key not in self._runs:
            model = self.model(model_name)
            z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
            self._runs[key] = explore(
                model.generator, z0, layer, rng=seed, beropt=self._beropt, gbrrt=self._gbrrt, model_name=model_name
            )
        return self._runs[key]

    def model(self, name: str) -> Model:
        """The embedded model of a name, loaded once.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        if name not in self._models:
            self._models[name] = load_model(name)
        return self._models[name]
