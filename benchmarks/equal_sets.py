# SPDX-License-Identifier: MIT
"""What BerOpt's choice of units is worth as a region: random sets of as many units, and of the same prior mass.

Run as ``python -m benchmarks.equal_sets OUT.json MODEL:LAYER ...``; it goes on where it was stopped. The supporting
set's regions, and their masses, are those of ``balls.json``. A random set is the first units of a random order of the
active ones: as many as BerOpt keeps, and as many as give the region the prior mass of BerOpt's.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

import torch
from torch import Tensor

import egbas
from benchmarks import markdown
from benchmarks.balls import ROWS as OWN
from benchmarks.balls import SAMPLES, row_of, told_ratio
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.cli.settings import class_judges
from egbas.evaluation.exact_methods import MASS
from egbas.evaluation.sanity.measured import region_of_set, set_errors
from egbas.geometry import choose_geometry
from egbas.network import Network
from egbas.region.precisions import Precisions
from egbas.reproduce.repeats import ratio_interval
from egbas.samplers.choice import rng_of
from egbas.samplers.mass import Mass, mass_of

ROWS = Path(__file__).parent / "equal_sets.json"
MOST = 300_000  # evaluations of a region
NEAR, TRIES = 0.3, 6  # decades of mass that are equal enough; sizes that are tried for it
NUMBER, EQUAL = "equal number", "equal mass"


def size_of_mass(log10_mass: Callable[[int], float], wanted: float, first: int, most: int) -> int:
    """How many units of an order give a mass, which falls with each: by chords, or the best of those tried.

    Args:
        log10_mass: of the region of the first n.
        wanted: log10 of it. < 0.
        first: n to try first.
        most: units there are.
    """
    tried = {0: 0.0}
    n = min(first, most)
    for _ in range(TRIES):
        tried[n] = log10_mass(n)
        if abs(tried[n] - wanted) <= NEAR:
            break
        below = max(size for size, mass in tried.items() if mass > wanted)
        above = min((size for size, mass in tried.items() if mass <= wanted), default=None)
        if above is None:  # the chord from nothing goes on
            n = min(max(round(below * wanted / tried[below]), below + 1), most) if tried[below] < 0 else most
        else:
            share = (tried[below] - wanted) / (tried[below] - tried[above])
            n = min(max(round(below + share * (above - below)), below + 1), above)
        if n in tried:
            break
    return min((size for size in tried if size), key=lambda size: abs(tried[size] - wanted))


def measure(own: dict[str, Any]) -> dict[str, Any]:
    """Random sets at the query of a row of ``balls.json``."""
    start = time.process_time()
    name, layer, seed = own["model"], own["layer"], own["seed"]
    model = egbas.load_model(name)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(seed))[0]
    judges = class_judges(model, query)
    network = Network(model.generator, model.latent.shape)
    latent = choose_geometry(model.latent, network)
    precisions = Precisions.of(network, network.resolve(layer))
    tail = precisions.split.at(query)
    active = tail.is_active.nonzero()[:, 0]
    order = active[torch.randperm(len(active), generator=rng_of("random sets", seed))]
    masses: dict[int, Mass] = {}

    def mask_of(n: int) -> Tensor:
        kept = torch.zeros(len(tail.a), dtype=torch.bool)
        kept[order[:n]] = True
        return kept

    def region_of(n: int) -> Any:
        return region_of_set(precisions, tail, mask_of(n), latent)

    def log10_mass(n: int) -> float:
        masses[n] = mass_of(region_of(n), query, latent, rng_of("mass", seed), config=MASS)
        return masses[n].log10

    n_equal = size_of_mass(log10_mass, own["log10_mass"][0], own["units_kept"], len(order))
    found: dict[str, Any] = {}
    for which, n in ((NUMBER, own["units_kept"]), (EQUAL, n_equal)):
        run = egbas.explore(
            model.generator,
            query,
            region=region_of(n),
            rng=seed,
            latent=latent,
            geometry=latent.geometry,
            samplers=["prior"],
            samples=SAMPLES,
            max_evaluations=MOST,
            judges=judges,
        )
        assert run.exact is not None and run.facts is not None
        found[which] = {
            "units": n,
            "error": set_errors(tail, mask_of(n)[None])[0],
            "log10_mass": [masses[n].log10, masses[n].low, masses[n].high],
            "is_complete": masses[n].is_complete,
            **row_of(run.facts),
            "status": run.exact.status,
            "r_hat": run.exact.facts["r_hat"],
        }
    return {
        "model": name,
        "layer": layer,
        "seed": seed,
        "level": DEFAULT_LEVEL,
        "active": len(order),
        "cpu_seconds": time.process_time() - start,
        **found,
    }


def table(rows: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> str:
    """One line for each layer: means over its queries, and ratios of BerOpt's freedom to that of the random sets."""
    regions = {_place(row): row for row in own}
    names = ("model", "layer", "queries", "units: BerOpt", "equal number", "equal mass")
    more = ("log10 mass: BerOpt", "equal number", "equal mass", "freedom: BerOpt", "equal number", "equal mass")
    last = ("class kept: BerOpt", "equal number", "equal mass", "BerOpt / equal number", "BerOpt / equal mass")
    lines = []
    key = lambda row: (row["model"], row["layer"])  # noqa: E731
    for (model, layer), each in itertools.groupby(sorted(rows, key=key), key):
        some = list(each)
        beside = [regions[_place(row)] for row in some]
        own_facts = [row["region"] for row in beside]
        line: list[Any] = [f"`{model}`", layer, len(some), markdown.span([row["units_kept"] for row in beside])]
        line += [markdown.span([row[which]["units"] for row in some]) for which in (NUMBER, EQUAL)]
        line.append(f"{fmean([row['log10_mass'][0] for row in beside]):.1f}")
        line += [f"{fmean([row[which]['log10_mass'][0] for row in some]):.1f}" for which in (NUMBER, EQUAL)]
        for name in ("freedom", "class_kept"):
            line += [f"{fmean([one[name] for one in own_facts]):.2f}"]
            line += [
                f"{fmean([row[which][name] for row in some]):.2f}{_mark(some, which)}" for which in (NUMBER, EQUAL)
            ]
        for which in (NUMBER, EQUAL):
            line.append(told_ratio([one["freedom"] for one in own_facts], [row[which]["freedom"] for row in some]))
        lines.append(line)
    return markdown.table([*names, *more, *last], lines)


def overall(rows: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> str:
    """BerOpt's freedom through that at equal mass, over all queries of all networks: a query's layers are averaged."""
    regions = {_place(row): row["region"]["freedom"] for row in own}
    of_query: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        ratio = regions[_place(row)] / row[EQUAL]["freedom"]
        of_query.setdefault((row["model"], row["seed"]), []).append(ratio)
    below = sum(ratio < 1 for ratios in of_query.values() for ratio in ratios)
    told = markdown.interval(*ratio_interval([geometric_mean(ratios) for ratios in of_query.values()]))
    return f"{told} over {len(of_query)} queries; {below} of {len(rows)} ratios are below 1"


def _mark(rows: Sequence[dict[str, Any]], which: str) -> str:
    return "" if all(row[which]["status"] == "CONVERGED" for row in rows) else " !"


def main(path: Path, layers: Sequence[str]) -> None:
    """Measure what is not in the file yet, and print the table."""
    torch.set_num_threads(1)
    own = json.loads(OWN.read_text())["rows"]
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    regions = {_place(row): row for row in own}
    wanted = [(name, int(layer)) for name, _, layer in (one.partition(":") for one in layers)]
    for seed, (name, layer) in itertools.product(sorted({row["seed"] for row in own}), wanted):
        place = (name, layer, seed)
        if place in regions and place not in map(_place, rows):
            rows.append(measure(regions[place]))
            path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            print(rows[-1], flush=True)
    print(table(rows, own), overall(rows, own), sep="\n\n")


def _place(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["model"], row["layer"], row["seed"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
