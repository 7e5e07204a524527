# SPDX-License-Identifier: MIT
"""Explorations that tables and figures share: each made once, and only what they need of it kept.

An exploration holds its layer's cut, with a copy of the generator in float64: thirty of a network of 256 x 256 pixels
would not fit in memory. Who needs explorations therefore gives a *look*, a function of an exploration.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from egbas.beropt import BerOptConfig
from egbas.exploration.explore import explore_many
from egbas.exploration.result import Exploration
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.zoo.models import Model, load_model

AT_ONCE = 10  # queries of a layer; they share its cut, and each holds its tree and its kept units

Progress = Callable[[int, int, str], None]
Look = Callable[[Exploration], Any]
Place = tuple[str, int, int]  # model, layer, seed
R = TypeVar("R")


class Explored:
    """Look at the explorations of layers of models, each made once for all looks that are expected by then.

    ``egbas explore --model MODEL --layer LAYER --seed SEED`` repeats each exploration.

    Attributes:
        beropt: settings of BerOpt, for all explorations.
        gbrrt: settings of GB-RRT, for all.
    """

    def __init__(
        self,
        *,
        beropt: BerOptConfig | None = None,
        gbrrt: GbRrtConfig | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Start with no exploration.

        Args:
            beropt: by default egbas's own.
            gbrrt: by default egbas's own.
            progress: called with (done, all, text); each exploration that is expected counts twice, when it is made
                and when it has been looked at.
        """
        self.beropt, self.gbrrt = beropt or BerOptConfig(), gbrrt or GbRrtConfig()
        self._progress, self._n_done, self._n_all = progress, 0, 0
        self._models: dict[str, Model] = {}
        self._expected: dict[Place, list[Look]] = {}
        self._found: dict[tuple[Look, Place], Any] = {}

    def __call__(self, model_name: str, layer: int, seed: int) -> Exploration:
        """The exploration of a layer at the query that the seed draws from the prior, whole; it is kept.

        Raises:
            ModelNotFoundError, LayerNotFoundError, ConfigError: as ``each`` does.
        """
        return self.each(whole, model_name, layer, (seed,))[0]

    def expect(self, look: Look, model_name: str, layer: int, seeds: Iterable[int]) -> None:
        """Announce a look: whoever has that layer explored first, this look is taken, too, and need not explore again.

        Args:
            look: what will be asked for, the same function as ``each`` is going to get.
            model_name: an embedded generator, or a checkpoint file.
            layer: number of one of its non-linearities.
            seeds: of the queries.
        """
        for seed in seeds:
            place = (model_name, layer, seed)
            if (look, place) in self._found:
                continue
            if place not in self._expected:
                self._expected[place] = []
                self._n_all += 2
            if look not in self._expected[place]:
                self._expected[place].append(look)

    def each(self, look: Callable[[Exploration], R], model_name: str, layer: int, seeds: Sequence[int]) -> list[R]:
        """What a look finds in the explorations of a layer at the queries of some seeds, in order.

        Args:
            look: of which the results are kept, while the explorations are not.
            model_name: an embedded generator, or a checkpoint file.
            layer: number of one of its non-linearities.
            seeds: each draws its query from the prior, and is that of its exploration.

        Raises:
            ModelNotFoundError: there is no such model.
            LayerNotFoundError: the model has no such layer.
            ConfigError: a supporting set came out empty.
        """
        self.expect(look, model_name, layer, seeds)
        places = {seed: (model_name, layer, seed) for seed in seeds}
        missing = [seed for seed, place in places.items() if (look, place) not in self._found]
        for first in range(0, len(missing), AT_ONCE):
            self._explore(model_name, layer, missing[first : first + AT_ONCE])
        return [self._found[look, places[seed]] for seed in seeds]

    def model(self, name: str) -> Model:
        """The embedded model of a name, or that of a checkpoint file, loaded once.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        if name not in self._models:
            self._models[name] = load_model(name)
        return self._models[name]

    def _explore(self, model_name: str, layer: int, seeds: Sequence[int]) -> None:
        """Explore a layer at some queries together, and take every look that is expected there."""
        model = self.model(model_name)
        queries = [model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0] for seed in seeds]
        here = f"{model_name} l={layer}"

        def tell(stage: str, done: int, total: int, text: str) -> None:
            # BerOpt is nearly all of the work, and has all queries' steps in its total.
            share = done / total if stage == "beropt" else 1.0
            self._tell(int(share * len(seeds)), f"{here}: {stage} {done}/{total} {text}")

        runs = explore_many(
            model.generator,
            queries,
            layer,
            rng=seeds,
            beropt=self.beropt,
            gbrrt=self.gbrrt,
            model_name=model_name,
            progress=tell,
        )
        self._n_done += len(seeds)
        for seed, run in zip(seeds, runs, strict=True):
            self._tell(0, f"{here} q={seed}")
            self._look(run, (model_name, layer, seed))
            self._n_done += 1
        self._tell(0, here)

    def _look(self, run: Exploration, place: Place) -> None:
        for look in self._expected[place]:
            self._found[look, place] = look(run)
        del self._expected[place]

    def _tell(self, more: int, text: str) -> None:
        if self._progress is not None:
            self._progress(self._n_done + more, self._n_all, text)


def whole(run: Exploration) -> Exploration:
    """The look of those who need all of an exploration; only for small networks, or few explorations."""
    return run
