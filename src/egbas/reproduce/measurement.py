# SPDX-License-Identifier: MIT
"""The explorations behind Tables 1 and 2: all methods judged at the same queries, layers and models.

Both tables come from one measurement; measure once and give it to both.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import egbas
from egbas.evaluation.comparison import Score
from egbas.evaluation.exact_methods import ExactSettings
from egbas.exploration.repeats import check_repeats
from egbas.exploration.result import Exploration
from egbas.network import Network
from egbas.reproduce.judged import Judges, Measured
from egbas.reproduce.own_judges import OwnJudges, name_of
from egbas.reproduce.provenance import discriminator_facts
from egbas.reproduce.shared_runs import Explored
from egbas.sweep.fingerprint import probes_of
from egbas.zoo.models import Model, load_model
from egbas.zoo.pggan import PgganGenerator

MODELS = ("dcgan-mnist-2d", "dcgan-mnist")
LAYERS = (1, 2, 3, 4)
PGGAN_LAYERS = (2, 4, 6)
N_QUERIES = 10
OTHER_MODELS = "The paper's DCGAN is another network with other weights: compare ratios, not values."


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Scores of every method, and how they came about.

    Attributes:
        scores: of every model, layer, query and method.
        config: what repeats the measurement, and the seconds it took, as JSON takes it.
        again: the same scores with each of BerOpt's other seeds; empty without any.
    """

    scores: tuple[Score, ...]
    config: dict[str, Any]
    again: tuple[tuple[Score, ...], ...] = ()


def measure(  # noqa: PLR0913
    model_names: Sequence[str] = MODELS,
    layers: Sequence[int] | None = None,
    n_queries: int = N_QUERIES,
    explored: Explored | None = None,
    *,
    exact: ExactSettings | None = None,
    seeds: Sequence[int] | None = None,
    repeats: int = 1,
    own: OwnJudges | None = None,
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
        repeats: seeds of BerOpt at each query, those of ``egbas explore --repeats``; the first is the query's own.
        own: networks that are named to judge the images; None: none is.

    Raises:
        NetworkError: one of these cannot judge the images; it is asked before any work.
        ConfigError: a supporting set came out empty; no query is left out silently. Or there are no masks to repeat.
        ModelNotFoundError: there is no such model.
        LayerNotFoundError: a model has no such layer.
        RunDirectoryError: a finished query cannot be written.
    """
    explored = explored or Explored()
    check_repeats(repeats, has_layer=True, masks=explored.beropt.masks)
    seeds = list(range(n_queries) if seeds is None else seeds)
    start = time.perf_counter()
    models = {name: explored.model(name) for name in model_names}
    own = own or OwnJudges()
    settings = {
        "beropt": dataclasses.asdict(explored.beropt),
        "gbrrt": dataclasses.asdict(explored.gbrrt),
        "exact": None if exact is None else dataclasses.asdict(exact),
    }
    for model in models.values():
        own.check(partial(probes_of_model, model))
    judges_of = {
        name: Judges.of(model, partial(probes_of_model, model), own, exact=exact) for name, model in models.items()
    }
    layers_of = {name: list(layers or paper_layers(name)) for name in model_names}
    sets = [_judged(explored, judges_of, layers_of, seeds)]
    sets += [_judged(explored.again(repeat), judges_of, layers_of, seeds) for repeat in range(1, repeats)]
    scores, *again = [tuple(score for one in found.values() for score in one.scores) for found, _ in sets]
    first = sets[0][0]
    config = {
        "models": {name: model.sha256 for name, model in models.items()},
        "classifier": next((name for judges in judges_of.values() if (name := name_of(judges.classifier))), None),
        "critic": name_of(own.critic),
        "discriminators": {name: discriminator_facts(judges.discriminator) for name, judges in judges_of.items()},
        "geometries": {name: measured.facts["geometry"] for (name, _, _), measured in first.items()},
        "layers": layers_of,
        "seeds": seeds,
        "repeats": repeats,
        **settings,
        "unconverged": [[*key, method] for key, one in first.items() for method in one.facts["unconverged"]],
        "log10_mass": [[*key, mass] for key, one in first.items() if (mass := one.facts.get("log10_mass"))],
        "unconverged_again": [
            [repeat, *key, method]
            for repeat, (found, _) in enumerate(sets[1:], 1)
            for key, one in found.items()
            for method in one.facts["unconverged"]
        ],
        "finished_before": sum(n_before for _, n_before in sets),
        "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
        "seconds": time.perf_counter() - start,
    }
    return Measurement(scores=scores, config=config, again=tuple(again))


def probes_of_model(model: Model) -> Tensor:
    """The images of fixed latents of a model, on the CPU."""
    return probes_of(Network(model.generator, model.latent.shape))


def _judged(
    explored: Explored, judges_of: Mapping[str, Judges], layers_of: Mapping[str, Sequence[int]], seeds: Sequence[int]
) -> tuple[dict[tuple[str, int, int], Measured], int]:
    """What every method scores with one seed of BerOpt at each query; and how many queries were judged before."""
    judges = {
        (name, layer): _Judge(explored=explored, name=name, layer=layer, judges=judges_of[name], seeds=seeds)
        for name, some in layers_of.items()
        for layer in some
    }
    before = {key: judge.known() for key, judge in judges.items()}
    missing = {key: [seed for seed in seeds if seed not in before[key]] for key in judges}
    for (name, layer), judge in judges.items():
        explored.expect(judge, name, layer, missing[name, layer])
    found: dict[tuple[str, int, int], Measured] = {}
    for (name, layer), judge in judges.items():
        now = explored.each(judge, name, layer, missing[name, layer])
        of_seed = before[name, layer] | dict(zip(missing[name, layer], now, strict=True))
        for seed in seeds:
            one = of_seed[seed]
            scores = [dataclasses.replace(score, query=seed) for score in one.scores]
            found[name, layer, seed] = dataclasses.replace(one, scores=scores)
    return found, sum(map(len, before.values()))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judge:
    """What the tables need of the explorations of a layer: how the samples of each method score.

    Attributes:
        explored: with the store where each query is kept as soon as it is judged.
        name: of the generator.
        layer: number of the layer.
        judges: of the images.
        seeds: of the queries.
    """

    explored: Explored
    name: str
    layer: int
    judges: Judges
    seeds: Sequence[int]

    def known(self) -> dict[int, Measured]:
        """Those of the queries that were judged before, by their seed."""
        store = self.explored.store
        if store is None:
            return {}
        found = {seed: self.judges.found(store, self._task(seed), self.name) for seed in self.seeds}
        return {seed: one for seed, one in found.items() if one is not None}

    def __call__(self, run: Exploration) -> Measured:
        """Judge the samples of every method, and keep what they score."""
        drawn_by = {self.explored.seed_of(seed): seed for seed in self.seeds}
        return self.judges.judged(self.explored.store, self._task(drawn_by[run.seed]), lambda: run, self.name)

    def _task(self, seed: int) -> str:
        return self.explored.task(self.name, self.layer, seed).key


def paper_layers(model_name: str) -> tuple[int, ...]:
    """The layers at which the paper explores networks of a model's kind: DCGAN 1 to 4, PGGAN 2, 4 and 6.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    return PGGAN_LAYERS if isinstance(load_model(model_name).generator, PgganGenerator) else LAYERS
