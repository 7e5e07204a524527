# SPDX-License-Identifier: MIT
"""The explorations behind Tables 1 and 2: all methods judged at the same queries, layers and models.

Both tables come from one measurement; measure once and give it to both.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import egbas
from egbas.beropt import BerOptConfig
from egbas.comparison import Score, draw_all, evaluate
from egbas.explore import explore
from egbas.gbrrt import GbRrtConfig
from egbas.zoo.models import load_classifier, load_model
from egbas.zoo.pggan import PgganGenerator

Progress = Callable[[int, int, str], None]

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
    progress: Progress | None = None,
    *,
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
) -> Measurement:
    """Explore and judge every layer of every model at queries 0, 1, ..., each drawn from the prior by its number.

    The number is the seed of the exploration and of the baselines, too, so ``egbas compare --seed 3`` repeats
    query 3.

    Args:
        model_names: embedded generators, or checkpoint files.
        layers: numbers of their non-linearities; None: those that the paper explores in networks of their kind.
        n_queries: how many queries.
        progress: called with (explorations done, all explorations, text).
        beropt: settings of BerOpt; by default its own.
        gbrrt: settings of GB-RRT; by default its own.

    Raises:
        ConfigError: a supporting set came out empty; no query is left out silently.
        ModelNotFoundError: there is no such model.
        LayerNotFoundError: a model has no such layer.
    """
    beropt, gbrrt = beropt or BerOptConfig(), gbrrt or GbRrtConfig()
    classifier = load_classifier(CLASSIFIER)
    start, scores, weights = time.perf_counter(), [], {}
    layers_of = {name: tuple(layers or paper_layers(name)) for name in model_names}
    total = sum(map(len, layers_of.values())) * n_queries
    for name in model_names:
        model = load_model(name)
        weights[name] = model.sha256
        for layer in layers_of[name]:
            for seed in range(n_queries):
                if progress:
                    progress(len({(s.model, s.layer, s.query) for s in scores}), total, f"{name} l={layer} q={seed}")
                z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
                run = explore(model.generator, z0, layer, rng=seed, beropt=beropt, gbrrt=gbrrt, model_name=name)
                samples = draw_all(run, rng=torch.Generator().manual_seed(seed))
                judge = (
                    classifier if model.card is not None else None
                )  # it knows the digits of the embedded models only
                scores += evaluate(run, samples, discriminator=model.discriminator, classifier=judge)
    if progress:
        progress(total, total, "done")
    config = {
        "models": weights,
        "classifier": CLASSIFIER,
        "layers": {name: list(chosen) for name, chosen in layers_of.items()},
        "seeds": list(range(n_queries)),
        "beropt": dataclasses.asdict(beropt),
        "gbrrt": dataclasses.asdict(gbrrt),
        "versions": {"egbas": egbas.__version__, "torch": torch.__version__},
        "seconds": time.perf_counter() - start,
    }
    return Measurement(scores=tuple(scores), config=config)


def paper_layers(model_name: str) -> tuple[int, ...]:
    """The layers at which the paper explores networks of a model's kind: DCGAN 1 to 4, PGGAN 2, 4 and 6.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    return PGGAN_LAYERS if isinstance(load_model(model_name).generator, PgganGenerator) else LAYERS
