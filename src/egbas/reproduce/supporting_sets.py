# SPDX-License-Identifier: MIT
"""BerOpt's sets, the trees and their certificates, for ten queries at every hidden layer of an embedded model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from egbas.beropt import BerOptConfig
from egbas.evaluation.rankings import LARGEST, fidelity_of, ranked, shuffled
from egbas.exploration.explore import explore
from egbas.exploration.result import Exploration
from egbas.reproduce.kept import identity_of, kept_each
from egbas.reproduce.measurement import MODELS, N_QUERIES, paper_layers
from egbas.reproduce.shared_runs import Progress
from egbas.samplers.choice import TREE
from egbas.storage import Store, write_json
from egbas.zoo.models import load_model

_N_RANDOM_SETS = 20
_SCHEMA = 1  # to be raised with every change of what is measured, or how


@dataclass(frozen=True, kw_only=True)
class Case:
    """One query at one layer.

    Attributes:
        model: name in the zoo.
        layer: l.
        query: its number, the seed of its draw from the prior and of the exploration.
        units: of the layer.
        active: those that are not zero at the query.
        size: of BerOpt's set.
        fidelity: relative distance that it leaves; 0 is perfect.
        random_fidelity: the same, mean over random sets of active units of that size.
        largest_fidelity: the same, for the units with the largest |h0 output|.
        status: how BerOpt ended.
        steps: that it took.
        samples: nodes of the tree.
        inside: how many of them lie in the region in float64.
        smallest_margin: of the samples, in units of the layer's pre-activation.
        edge_error: largest relative deviation of an edge from the step size.
        spacing: smallest distance between two nodes that are not parent and child, over the step size.
        seconds: BerOpt and GB-RRT.
    """

    model: str
    layer: int
    query: int
    units: int
    active: int
    size: int
    fidelity: float
    random_fidelity: float
    largest_fidelity: float
    status: str
    steps: int
    samples: int
    inside: int
    smallest_margin: float
    edge_error: float
    spacing: float
    seconds: float


def run(
    model_names: Sequence[str] = MODELS,
    n_queries: int = N_QUERIES,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Explore every hidden layer around queries 0, 1, ... and write ``out/supporting-sets.json``.

    ``egbas explore --model MODEL --layer L --seed QUERY`` repeats one case.

    Args:
        model_names: of embedded models.
        n_queries: how many queries of each.
        out: folder of the file.
        progress: called after each case with (done, all, text).
        store: where cases are kept and found again; None: nowhere.

    Returns:
        {"rows": one for each case, "config"}.
    """
    models = {name: load_model(name) for name in model_names}
    asked = [(name, layer, query) for name in model_names for layer in paper_layers(name) for query in range(n_queries)]

    def measure(name: str, layer: int, query: int) -> dict[str, Any]:
        model = models[name]
        z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(query))[0]
        run = explore(model.generator, z0, layer, rng=query, beropt=BerOptConfig(), samples=0)
        return asdict(_case(model.name, layer, query, run))

    def tell(done: int, place: int) -> None:
        if progress:
            name, layer, query = asked[place]
            progress(done, len(asked), f"{name} layer {layer} query {query}")

    identities = {name: {"supporting set": _SCHEMA, **identity_of(model)} for name, model in models.items()}
    pieces = [
        ({**identities[name], "layer": layer, "query": query}, partial(measure, name, layer, query))
        for name, layer, query in asked
    ]
    found = zip(asked, kept_each(store, pieces, tell), strict=True)
    cases = [Case(**{**case, "model": name}) for (name, _, _), case in found]
    content = {
        "rows": [asdict(case) for case in cases],
        "config": {"models": list(model_names), "queries": n_queries, "torch": torch.__version__},
    }
    write_json(out / "supporting-sets.json", content)
    return content


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal, one line for each layer of each model."""
    headings = ["model", "l", "units", "set size", "error", "worst", "largest", "random", "converged", "samples"]
    headings += ["inside", "edge error", "spacing", "seconds"]
    cases = [Case(**row) for row in content["rows"]]
    lines = []
    for name, layer in dict.fromkeys((case.model, case.layer) for case in cases):
        group = [case for case in cases if (case.model, case.layer) == (name, layer)]
        sizes = [case.size for case in group]
        lines.append(
            [
                name,
                str(layer),
                str(group[0].units),
                f"{fmean(sizes):.0f} ({min(sizes)}-{max(sizes)})",
                f"{fmean(case.fidelity for case in group):.3f}",
                f"{max(case.fidelity for case in group):.3f}",
                f"{fmean(case.largest_fidelity for case in group):.3f}",
                f"{fmean(case.random_fidelity for case in group):.3f}",
                f"{sum(case.status == 'CONVERGED' for case in group)}/{len(group)}",
                f"{fmean(case.samples for case in group):.0f}",
                f"{sum(case.inside for case in group)}/{sum(case.samples for case in group)}",
                f"{max(case.edge_error for case in group):.0e}",
                f"{min(case.spacing for case in group):.6f}",
                f"{fmean(case.seconds for case in group):.1f}",
            ]
        )
    return headings, lines


def _case(name: str, layer: int, query: int, exploration: Exploration) -> Case:
    support, tree, certificate = exploration.support, exploration.grown, exploration.certificates[TREE]
    assert certificate.smallest_margin is not None  # the region of a layer tells it
    tail = support.region.split.at(exploration.query)
    rng = torch.Generator().manual_seed(query)
    step = exploration.geometry.chord(tree.step_size)  # on a sphere a straight line is shorter than a step
    size = len(support.beropt.units)
    edges = (tree.latents[1:] - tree.latents[tree.parents[1:]]).double().norm(dim=1)
    return Case(
        model=name,
        layer=layer,
        query=query,
        units=len(tail.a),
        active=int((tail.a != 0).sum()),
        size=size,
        fidelity=support.beropt.fidelity,
        random_fidelity=fmean(fidelity_of(tail, shuffled(tail, rng=rng), size) for _ in range(_N_RANDOM_SETS)),
        largest_fidelity=fidelity_of(tail, ranked(tail, LARGEST), size),
        status=support.beropt.status.name,
        steps=support.beropt.steps,
        samples=certificate.n_samples,
        inside=certificate.n_inside,
        smallest_margin=certificate.smallest_margin,
        edge_error=((edges / step - 1).abs().max().item() if len(edges) else 0.0),
        spacing=_spacing(exploration) / step,
        seconds=exploration.seconds["beropt"] + exploration.seconds["gbrrt"],
    )


def _spacing(exploration: Exploration) -> float:
    """Smallest distance between two nodes that are not parent and child."""
    z, parents = exploration.grown.latents.double(), exploration.grown.parents
    gaps = torch.cdist(z, z)
    gaps.fill_diagonal_(torch.inf)
    child = torch.arange(1, len(z))
    gaps[child, parents[1:]] = gaps[parents[1:], child] = torch.inf
    return gaps.min().item()
