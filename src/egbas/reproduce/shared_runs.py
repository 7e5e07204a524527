# SPDX-License-Identifier: MIT
"""Explorations that tables and figures share: each made once, and only what they need of it kept.

An exploration holds its split network, with a copy of the generator in float64: thirty of a network of 256 x 256 pixels
would not fit in memory. Who needs explorations therefore gives a *summary*, a function of an exploration.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from egbas.beropt import BerOptConfig
from egbas.exploration.explore import explore_many
from egbas.exploration.repeats import seeds_again
from egbas.exploration.result import Exploration
from egbas.geometry import choose_geometry
from egbas.machine.threads import idle_cores
from egbas.network import Network
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import Store, load_run, run_files
from egbas.sweep.identity import decides_of, options_of_tree
from egbas.sweep.plan import Part
from egbas.sweep.task import Task
from egbas.zoo.models import Model, load_model

_PAUSE = 0.2  # seconds between two looks at what another process explores
AT_ONCE = 10  # queries of a layer; they share its split, and each holds its tree and its kept units

Progress = Callable[[int, int, str], None]
Summary = Callable[[Exploration], Any]
RunKey = tuple[str, int, int]  # model, layer, seed
R = TypeVar("R")


class Explored:
    """Summaries of the explorations of layers of models, each made once for all summaries that are expected by then.

    ``egbas explore --model MODEL --layer LAYER --seed SEED`` repeats each exploration.

    Attributes:
        beropt: settings of BerOpt, for all explorations.
        gbrrt: settings of GB-RRT, for all.
        store: where explorations are kept and found again; None: nowhere.
        repeat: which of BerOpt's seeds at each query: 0 for the query's own, k for the k-th that ``--repeats`` adds.
    """

    def __init__(
        self,
        *,
        beropt: BerOptConfig | None = None,
        gbrrt: GbRrtConfig | None = None,
        progress: Progress | None = None,
        store: Store | None = None,
        repeat: int = 0,
    ) -> None:
        """Start with no exploration.

        Args:
            beropt: by default egbas's own.
            gbrrt: by default egbas's own.
            progress: called with (done, all, text); each exploration that is expected counts twice, when it is made
                and when it has been summarised.
            store: where explorations are kept and found again; None: nowhere.
            repeat: which of BerOpt's seeds at each query: 0 for the query's own, k for the k-th that is added.
        """
        self.beropt, self.gbrrt = beropt or BerOptConfig(), gbrrt or GbRrtConfig()
        self.repeat = repeat
        self._progress, self._n_done, self._n_all = progress, 0, 0
        self.store, self._parts = store, dict[tuple[str, int], Part]()
        self._models: dict[str, Model] = {}
        self._expected: dict[RunKey, list[Summary]] = {}
        self._results: dict[tuple[Summary, RunKey], Any] = {}

    def __call__(self, model_name: str, layer: int, seed: int) -> Exploration:
        """The exploration of a layer at the query that the seed draws from the prior, complete; it is kept.

        Raises:
            ModelNotFoundError, LayerNotFoundError, ConfigError: as ``each`` does.
        """
        return self.each(complete_run, model_name, layer, (seed,))[0]

    def expect(self, summary: Summary, model_name: str, layer: int, seeds: Iterable[int]) -> None:
        """Announce a summary: whoever has that layer explored first, it is made, too, and need not explore again.

        Args:
            summary: what will be asked for, the same function as ``each`` is going to get.
            model_name: an embedded generator, or a checkpoint file.
            layer: number of one of its non-linearities.
            seeds: of the queries.
        """
        for seed in seeds:
            key = (model_name, layer, seed)
            if (summary, key) in self._results:
                continue
            if key not in self._expected:
                self._expected[key] = []
                self._n_all += 2
            if summary not in self._expected[key]:
                self._expected[key].append(summary)

    def each(self, summary: Callable[[Exploration], R], model_name: str, layer: int, seeds: Sequence[int]) -> list[R]:
        """The summaries of the explorations of a layer at the queries of some seeds, in order.

        Args:
            summary: of which the results are kept, while the explorations are not.
            model_name: an embedded generator, or a checkpoint file.
            layer: number of one of its non-linearities.
            seeds: each draws its query from the prior, and is that of its exploration.

        Raises:
            ModelNotFoundError: there is no such model.
            LayerNotFoundError: the model has no such layer.
            ConfigError: a supporting set came out empty.
        """
        self.expect(summary, model_name, layer, seeds)
        keys = {seed: (model_name, layer, seed) for seed in seeds}
        missing = [seed for seed, key in keys.items() if (summary, key) not in self._results]
        at_once = self._at_once(model_name)
        for first in range(0, len(missing), at_once):
            self._explore(model_name, layer, missing[first : first + at_once])
        return [self._results[summary, keys[seed]] for seed in seeds]

    def model(self, name: str) -> Model:
        """The embedded model of a name, or that of a checkpoint file, loaded once.

        Raises:
            ModelNotFoundError: there is no such model.
        """
        if name not in self._models:
            self._models[name] = load_model(name)
        return self._models[name]

    def again(self, repeat: int) -> "Explored":
        """The same with another of BerOpt's seeds at each query.

        Args:
            repeat: 0 for the query's own, k for the k-th that is added.
        """
        tell = self._progress

        def told(done: int, total: int, text: str) -> None:
            if tell is not None:
                tell(done, total, f"other masks {repeat}: {text}")

        made = Explored(beropt=self.beropt, gbrrt=self.gbrrt, progress=told, store=self.store, repeat=repeat)
        made._models = self._models
        return made

    def seed_of(self, seed: int) -> int:
        """The seed of the exploration of the query that a seed drew."""
        return seed if self.repeat == 0 else seeds_again(seed, self.repeat)[-1]

    def _explore(self, model_name: str, layer: int, seeds: Sequence[int]) -> None:
        """Explore a layer at some queries together, and make every summary that is expected there.

        What another process is just exploring is left to it.
        """
        left = list(seeds)
        while left:
            with contextlib.ExitStack() as claims:
                ours = [seed for seed in left if self._claimed(claims, model_name, layer, seed)]
                if ours:
                    self._explore_ours(model_name, layer, ours)
            left = [seed for seed in left if seed not in ours]
            if left and not ours:
                time.sleep(_PAUSE)

    def _claimed(self, claims: contextlib.ExitStack, model_name: str, layer: int, seed: int) -> bool:
        if self.store is None:
            return True
        return claims.enter_context(self.store.claim(self.task(model_name, layer, seed).key))

    def _explore_ours(self, model_name: str, layer: int, seeds: Sequence[int]) -> None:
        model = self.model(model_name)
        queries = [model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0] for seed in seeds]
        here = f"{model_name} l={layer}"

        def tell(stage: str, done: int, total: int, text: str) -> None:
            # BerOpt is nearly all of the work, and has all queries' steps in its total.
            share = done / total if stage == "beropt" else 1.0
            self._tell(int(share * len(seeds)), f"{here}: {stage} {done}/{total} {text}")

        found = {seed: self._found(model_name, layer, seed) for seed in seeds}
        missing = [seed for seed, run in found.items() if run is None]
        made = (
            explore_many(
                model.generator,
                [z0 for z0, seed in zip(queries, seeds, strict=True) if seed in missing],
                layer,
                rng=[self.seed_of(seed) for seed in missing],
                beropt=self.beropt,
                gbrrt=self.gbrrt,
                samples=0,
                model_name=model_name,
                progress=tell,
            )
            if missing
            else []
        )
        found |= dict(zip(missing, made, strict=True))
        runs = [run for run in found.values() if run is not None]
        for seed, run in zip(missing, made, strict=True):
            self._keep(model_name, layer, seed, run)
        self._n_done += len(seeds)
        for seed, run in zip(seeds, runs, strict=True):
            self._tell(0, f"{here} q={seed}")
            self._summarise(run, (model_name, layer, seed))
            self._n_done += 1
        self._tell(0, here)

    def _at_once(self, model_name: str) -> int:
        """How many to explore together: those that are kept as soon as they are made are few, so that few are lost."""
        parameter = next(self.model(model_name).generator.parameters(), None)
        on_cpu = parameter is None or parameter.device.type == "cpu"
        return min(AT_ONCE, idle_cores()) if self.store is not None and on_cpu else AT_ONCE

    def _found(self, model_name: str, layer: int, seed: int) -> Exploration | None:
        """What was explored before, and kept."""
        if self.store is None:
            return None
        place = self.store.find(self.task(model_name, layer, seed).key)
        return None if place is None else load_run(place, self.model(model_name).generator)

    def _keep(self, model_name: str, layer: int, seed: int, run: Exploration) -> None:
        if self.store is not None:
            self.store.finish(self.task(model_name, layer, seed).key, run_files(run))

    def task(self, model_name: str, layer: int, seed: int) -> Task:
        """The task that a sweep has for the exploration of a layer at the query of a seed.

        Raises:
            ModelNotFoundError, LayerNotFoundError: as ``each`` does.
        """
        if (model_name, layer) not in self._parts:
            model = self.model(model_name)
            network = Network(model.generator, model.latent.shape)
            self._parts[model_name, layer] = Part(
                model=model_name,
                layers={layer: network.resolve(layer).path},
                levels=[self.beropt.level],
                decides=decides_of(
                    network,
                    choose_geometry(model.latent, network),
                    self.beropt,
                    self.gbrrt,
                    options=options_of_tree(),
                ),
            )
        return self._parts[model_name, layer].task(layer, self.beropt.level, self.seed_of(seed), drawn=seed)

    def _summarise(self, run: Exploration, key: RunKey) -> None:
        for summary in self._expected[key]:
            self._results[summary, key] = summary(run)
        del self._expected[key]

    def _tell(self, more: int, text: str) -> None:
        if self._progress is not None:
            self._progress(self._n_done + more, self._n_all, text)


def complete_run(run: Exploration) -> Exploration:
    """The summary of those who need all of an exploration; only for small networks, or few explorations."""
    return run


def beropt_at(level: int | None, masks: int | None = None) -> BerOptConfig:
    """The settings of BerOpt at a level, None: the paper's way, by a sparsity; and with so many masks a step.

    Raises:
        ConfigError: there is no such level, or there are less than no masks.
    """
    return BerOptConfig(level=level, masks=masks)
