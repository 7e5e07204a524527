# SPDX-License-Identifier: MIT
"""The explorations behind Tables 1 and 2: all methods judged at the same queries, layers and models.

Both tables come from one measurement; measure once and give it to both.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

import egbas
from egbas.evaluation.comparison import Score, draw_all, evaluate
from egbas.exploration.result import Exploration
from egbas.latent import LatentSpace
from egbas.reproduce.provenance import discriminator_facts, geometry_facts
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
) -> Measurement:
    """Explore and judge every layer of every model at queries 0, 1, ..., each drawn from the prior by its number.

    The number is the seed of the exploration and of the baselines, too, so ``egbas compare --seed 3`` repeats
    query 3.

    Args:
        model_names: embedded generators, or checkpoint files.
        layers: numbers of their non-linearities; None: those that the paper explores in networks of their kind.
        n_queries: how many queries.
        explored: makes the explorations, with its settings and progress; by default with egbas's own settings.

    Raises:
        ConfigError: a supporting set came out empty; no query is left out silently.
        ModelNotFoundError: there is no such model.
        LayerNotFoundError: a model has no such layer.
    """
    explored = explored or Explored()
    start, scores, geometries = time.perf_counter(), list[Score](), dict[str, dict[str, str]]()
    models = {name: explored.model(name) for name in model_names}
    # The classifier knows the digits of the embedded models only.
    classifier = load_classifier(CLASSIFIER) if any(model.card is not None for model in models.values()) else None
    judges = {
        name: partial(_judge, model.discriminator, classifier if model.card is not None else None)
        for name, model in models.items()
    }
    layers_of = {name: tuple(layers or paper_layers(name)) for name in model_names}
    layers_to_judge = [(name, layer) for name, chosen in layers_of.items() for layer in chosen]
    for name, layer in layers_to_judge:
        explored.expect(judges[name], name, layer, range(n_queries))
    for name, layer in layers_to_judge:
        for latent, judged in explored.each(judges[name], name, layer, range(n_queries)):
            geometries[name] = geometry_facts(latent)
            scores += judged
    config = {
        "models": {name: model.sha256 for name, model in models.items()},
        "classifier": None if classifier is None else CLASSIFIER,
        "discriminators": {name: discriminator_facts(model.discriminator) for name, model in models.items()},
        "geometries": geometries,
        "layers": {name: list(chosen) for name, chosen in layers_of.items()},
        "seeds": list(range(n_queries)),
        "beropt": dataclasses.asdict(explored.beropt),
        "gbrrt": dataclasses.asdict(explored.gbrrt),
        "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
        "seconds": time.perf_counter() - start,
    }
    return Measurement(scores=tuple(scores), config=config)


def _judge(
    discriminator: nn.Module | None, classifier: nn.Module | None, run: Exploration
) -> tuple[LatentSpace, list[Score]]:
    """What the tables need of an exploration: its latent space, and what the methods' samples score."""
    samples = draw_all(run, rng=torch.Generator().manual_seed(run.seed))
    return run.latent, evaluate(run, samples, discriminator=discriminator, classifier=classifier)


def paper_layers(model_name: str) -> tuple[int, ...]:
    """The layers at which the paper explores networks of a model's kind: DCGAN 1 to 4, PGGAN 2, 4 and 6.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    return PGGAN_LAYERS if isinstance(load_model(model_name).generator, PgganGenerator) else LAYERS
