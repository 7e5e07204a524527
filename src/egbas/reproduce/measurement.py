# SPDX-License-Identifier: MIT
"""The explorations behind Tables 1 and 2: all methods judged at the same queries, layers and models.

Both tables come from one measurement; measure once and give it to both.
"""

import dataclasses
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import egbas
from egbas.evaluation.comparison import Score
from egbas.evaluation.exact_methods import ExactSettings
from egbas.exploration.result import Exploration
from egbas.reproduce.judged import Judges, Measured
from egbas.reproduce.provenance import discriminator_facts
from egbas.reproduce.shared_runs import Explored
from egbas.zoo.models import load_classifier, load_model
from egbas.zoo.pggan import PgganGenerator

MODELS = ("dcgan-mnist-2d", "dcgan-mnist")
LAYERS = (1, 2, 3, 4)
PGGAN_LAYERS = (2, 4, 6)
N_QUERIES = 10
CLASSIFIER = "lenet-mnist"
OTHER_MODELS = "The paper's DCGAN is another network with other weights: compare ratios, not values."


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Scores of every method, and how they came about.

    Attributes:
        scores: of every model, layer, query and method.
        config: what repeats the measurement, and the seconds it took, as JSON takes it.
    """

    scores: tuple[Score, ...]
    config: dict[str, Any]


def measure(
    model_names: Sequence[str] = MODELS,
    layers: Sequence[int] | None = None,
    n_queries: int = N_QUERIES,
    explored: Explored | None = None,
    *,
    exact: ExactSettings | None = None,
    seeds: Sequence[int] | None = None,
) -> Measurement:
    """Explore and judge every layer of every model at queries 0, 1, ..., each drawn from the prior by its number.

    The number is the seed of the exploration and of the baselines, too, so ``egbas compare --seed 3`` repeats
    query 3.

    Args:
        model_names: embedded generators, or checkpoint files.
        layers: numbers of their non-linearities; None: those that the paper explores in networks of their kind.
        n_queries: how many queries.
        explored: makes the explorations, with its settings and progress; by default with egbas's own settings. What
            a query scores is kept in its store, too.
        exact: whether the whole region and its fair rivals are judged, too; how much work that may take.
        seeds: the numbers of the queries; None: from 0 on.

    Raises:
        ConfigError: a supporting set came out empty; no query is left out silently.
        ModelNotFoundError: there is no such model.
        LayerNotFoundError: a model has no such layer.
        RunDirectoryError: a finished query cannot be written.
    """
    explored = explored or Explored()
    seeds = list(range(n_queries) if seeds is None else seeds)
    start, scores = time.perf_counter(), list[Score]()
    models = {name: explored.model(name) for name in model_names}
    # The classifier knows the digits of the embedded models only.
    classifier = load_classifier(CLASSIFIER) if any(model.card is not None for model in models.values()) else None
    settings = {
        "beropt": dataclasses.asdict(explored.beropt),
        "gbrrt": dataclasses.asdict(explored.gbrrt),
        "exact": None if exact is None else dataclasses.asdict(exact),
    }
    judges_of = {
        name: Judges(
            discriminator=model.discriminator,
            classifier=classifier if model.card is not None else None,
            exact=exact,
        )
        for name, model in models.items()
    }
    judges = {
        (name, layer): _Judge(explored=explored, name=name, layer=layer, judges=judges_of[name])
        for name in models
        for layer in layers or paper_layers(name)
    }
    before = {key: judge.known(seeds) for key, judge in judges.items()}
    missing = {key: [seed for seed in seeds if seed not in before[key]] for key in judges}
    for (name, layer), judge in judges.items():
        explored.expect(judge, name, layer, missing[name, layer])
    geometries, unconverged, masses = dict[str, Any](), list[list[Any]](), list[list[Any]]()
    for (name, layer), judge in judges.items():
        judged = explored.each(judge, name, layer, missing[name, layer])
        of_seed = before[name, layer] | dict(zip(missing[name, layer], judged, strict=True))
        for seed in seeds:
            scores += of_seed[seed].scores
            geometries[name] = of_seed[seed].facts["geometry"]
            masses += [[name, layer, seed, mass] for mass in [of_seed[seed].facts.get("log10_mass")] if mass]
            unconverged += [[name, layer, seed, method] for method in of_seed[seed].facts["unconverged"]]
    config = {
        "models": {name: model.sha256 for name, model in models.items()},
        "classifier": None if classifier is None else CLASSIFIER,
        "discriminators": {name: discriminator_facts(model.discriminator) for name, model in models.items()},
        "geometries": geometries,
        "layers": {name: list(layers or paper_layers(name)) for name in model_names},
        "seeds": seeds,
        **settings,
        "unconverged": unconverged,
        "log10_mass": masses,
        "finished_before": sum(map(len, before.values())),
        "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
        "seconds": time.perf_counter() - start,
    }
    return Measurement(scores=tuple(scores), config=config)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judge:
    """What the tables need of the explorations of a layer: how the samples of each method score.

    Attributes:
        explored: with the store where each query is kept as soon as it is judged.
        name: of the generator.
        layer: number of the layer.
        judges: of the images.
    """

    explored: Explored
    name: str
    layer: int
    judges: Judges

    def known(self, seeds: Iterable[int]) -> dict[int, Measured]:
        """Those of the queries that were judged before, by their seed."""
        store = self.explored.store
        if store is None:
            return {}
        found = {seed: self.judges.found(store, self._task(seed), self.name) for seed in seeds}
        return {seed: one for seed, one in found.items() if one is not None}

    def __call__(self, run: Exploration) -> Measured:
        """Judge the samples of every method, and keep what they score."""
        return self.judges.judged(self.explored.store, self._task(run.seed), lambda: run, self.name)

    def _task(self, seed: int) -> str:
        return self.explored.task(self.name, self.layer, seed).key


def paper_layers(model_name: str) -> tuple[int, ...]:
    """The layers at which the paper explores networks of a model's kind: DCGAN 1 to 4, PGGAN 2, 4 and 6.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    return PGGAN_LAYERS if isinstance(load_model(model_name).generator, PgganGenerator) else LAYERS
