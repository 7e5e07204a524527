# SPDX-License-Identifier: MIT
"""Layers by levels of two photographs in TAEF2's decoder, the whole latent free.

    python -m benchmarks.taef2_path portrait flower --levels 1 2 --out OUT.json --pictures FOLDER

First draws of the prior are looked at: those that lie in the region are exact and independent, and where there are
enough of them, nothing has to converge. Else chains run, as those of ``egbas path``, and what tells whether they have
arrived stands in the row. EGBAS_TAEF2 names the folder of weights. A layer and level that is in the file with the same
settings is not measured again.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import egbas
from benchmarks import taef2
from benchmarks.attribution import without
from benchmarks.taef2_patches import PHOTOS, square
from egbas.exploration.clock import Clock
from egbas.exploration.facts import Facts, facts_of
from egbas.exploration.problem import Problem
from egbas.exploration.supports import levels_of, region_of
from egbas.figures.panel import frame, new_figure, show_picture
from egbas.region import certify
from egbas.samplers.chains import Chains
from egbas.samplers.mass import share_interval
from egbas.samplers.rejection import Independent, as_chains

LAYERS = ("decoder.3.fuse", "decoder.8.fuse", "decoder.13.fuse")
SHOWN = 6
ENOUGH = 24  # draws of the prior that lie in a region, from which on no chains are needed
_MOST = 400  # of them are used
_AT_ONCE = 256
_SEED = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One layer at one level: exact samples, or those of chains that may not have arrived.

    Attributes:
        samples: of the region.
        facts: what they say.
        row: the numbers.
    """

    samples: Chains
    facts: Facts
    row: dict[str, Any]


def inside_of(region: egbas.Region, draws: int, size: int) -> tuple[Tensor, int]:
    """The draws of N(0, I) that lie in a region (n, size), and how many were looked at.

    Args:
        region: tells which latents lie inside.
        draws: to look at.
        size: of a latent.
    """
    rng, kept, asked = torch.Generator().manual_seed(1), [torch.empty(0, size, dtype=torch.float32)], 0
    while asked < draws:
        z = torch.randn(min(_AT_ONCE, draws - asked), size, generator=rng, dtype=torch.float32)
        kept.append(z[region.contains(z)])
        asked += len(z)
    return torch.cat(kept), asked


def explored(
    generator: egbas.Decoder, z0: Tensor, layer: str, levels: list[int], settings: dict[str, int]
) -> list[Point]:
    """One photograph at one layer: a point for each level."""
    problem = Problem.of(generator, [z0], [_SEED], layer, latent=None, geometry="auto", model_name="taef2")
    sets = levels_of(problem, egbas.BerOptConfig(masks=0), levels, Clock(None, 1).progress("beropt"))
    found = []
    for support in sets:
        begin = time.process_time()
        region = region_of(problem, z0, support, problem.latent.largest_half_width)
        inside, asked = inside_of(region, settings["draws"], len(z0))
        if len(inside) >= ENOUGH:
            some = Independent(inside[:_MOST].double(), asked, is_enough=True)
            exact = as_chains(some, samples=ENOUGH, n_chains=len(some.latents))
            rng = torch.Generator().manual_seed(_SEED)
            facts = facts_of(problem.network, problem.latent, z0, exact, rng=rng)
        else:
            sizes = {"samples": settings["samples"], "max_evaluations": settings["max_evaluations"]}
            run = egbas.explore(generator, z0, region=region, samplers=["prior"], rng=_SEED, **sizes)
            assert run.exact is not None
            exact, facts = run.exact, run.facts
        assert facts is not None
        sure = certify(region, exact.latents)
        row = {
            "units": support.theta.numel(),
            "kept": len(support.units),
            "error": support.fidelity,
            "inside_of_prior": [len(inside), asked, *share_interval(len(inside), asked)],
            **measured(exact, facts, z0),
            "certificate": [sure.n_inside, sure.n_samples, sure.smallest_margin],
            "cpu_s": time.process_time() - begin,
        }
        found.append(Point(samples=exact, facts=facts, row=row))
    return found


def measured(exact: Chains, facts: Facts, z0: Tensor) -> dict[str, Any]:
    """What samples say, and whether they are all that there is."""
    told = ("kernel", "r_hat", "ess", "slowest", "r_hat_between_starts")
    within = ("r_hat_of_query_chains", "r_hat_of_prior_chains")
    return {
        "status": exact.status,
        **{name: exact.facts[name] for name in (*told, *within)},
        "evaluations": exact.evaluations,
        "samples": len(exact.latents),
        "freedom": [facts.mean, facts.low, facts.high],
        "distance": [facts.distance.q05, facts.distance.q50, facts.distance.q95],
        "length_of_query": float(z0.norm()),
        "length_of_samples": float(exact.latents.norm(dim=1).mean()),
        "words": facts.words,
        "judges": {name: score.freedom for name, score in facts.scores.items()},
    }


def picture(generator: egbas.Decoder, z0: Tensor, points: dict[str, Point], place: Path) -> None:
    """A row for each point: the query, samples, the freedom, the mean of the samples."""
    figure = new_figure(1.1 * (SHOWN + 3), 1.35 * len(points))
    panels = figure.subplots(len(points), SHOWN + 3, squeeze=False)

    def images(z: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([generator(some.reshape(-1, *taef2.LATENT)) for some in z.float().split(32)])

    (query,) = images(z0[None])
    for line, (name, point) in zip(panels, points.items(), strict=True):
        drawn, r_hat = images(point.samples.latents), point.samples.facts["r_hat"]
        told = (
            "exact" if point.row["kernel"] == "Rejection" else "R-hat none" if r_hat is None else f"R-hat {r_hat:.2f}"
        )
        show_picture(line[0], query, (0.0, 1.0), name)
        for column in range(SHOWN):
            image = drawn[column * len(drawn) // SHOWN]
            show_picture(line[column + 1], image, (0.0, 1.0), told if column == 0 else "")
            frame(line[column + 1], "tab:red", 1.0)
        freedom = point.facts.freedom.nanmean(dim=0, keepdim=True).nan_to_num(0.0)
        show_picture(line[-2], freedom, (0.0, 1.0), f"freedom {point.facts.mean:.2f}")
        show_picture(line[-1], drawn.mean(dim=0), (0.0, 1.0), "mean")
    figure.savefig(place)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", choices=list(PHOTOS))
    parser.add_argument("--layers", nargs="+", default=list(LAYERS))
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--draws", type=int, default=4000, help="of the prior, that are looked at")
    parser.add_argument("--samples", type=int, default=30, help="effective draws wanted of chains")
    parser.add_argument("--max-evaluations", type=int, default=60_000, help="of chains")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="folder")
    given = parser.parse_args()
    content = json.loads(given.out.read_text()) if given.out.exists() else {"rows": []}
    settings = {"draws": given.draws, "samples": given.samples, "max_evaluations": given.max_evaluations}
    generator = taef2.whitened()
    for photo in given.photos:
        z0 = generator.encode(square(photo)[None])[0]
        for layer in given.layers:
            places = {level: {"photo": photo, "layer": layer, "level": level} for level in given.levels}
            levels = [one for one in given.levels if not without(content["rows"], places[one], settings)[1]]
            if not levels:
                continue
            points = dict(zip(levels, explored(generator, z0, layer, levels, settings), strict=True))
            for level, point in points.items():
                row = places[level] | {"settings": settings} | point.row
                print(json.dumps(row), flush=True)
                content["rows"] = [*without(content["rows"], places[level], settings)[0], row]
            given.out.write_text(json.dumps(content, indent=1) + "\n")
            short = layer.removeprefix("decoder.")
            named = {f"{short}, level {level}": point for level, point in points.items()}
            picture(generator, z0, named, given.pictures / f"taef2-path-{photo}-{short}.png")


if __name__ == "__main__":
    main()
