# SPDX-License-Identifier: MIT
"""Layers by levels of two photographs in TAEF2's decoder, the whole latent free.

    python -m benchmarks.taef2_path portrait flower --levels 1 2 --out OUT.json --pictures FOLDER

Rows are those of ``egbas path``, with what tells whether the chains have arrived: R-hat of all chains, within each
group and between them, and the lengths of the samples. Beside them stands the share of the prior's draws that lie in
the region: where it is one in a thousand or more, exact independent draws could be counted on. EGBAS_TAEF2 names the
folder of weights. A layer and level that is in the file with the same settings is not measured again.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import egbas
from benchmarks import taef2
from benchmarks.attribution import without
from benchmarks.taef2_patches import PHOTOS, square
from egbas.exploration.path import LevelPath, PathPoint
from egbas.figures.panel import frame, new_figure, show_picture

LAYERS = ("decoder.3.fuse", "decoder.8.fuse", "decoder.13.fuse")
SHOWN = 6
_AT_ONCE = 256


def share_of(region: egbas.Region, draws: int, size: int) -> list[int]:
    """How many draws of N(0, I) lie in a region, and of how many.

    Args:
        region: tells which latents lie inside.
        draws: to ask about.
        size: of a latent.
    """
    rng, inside, asked = torch.Generator().manual_seed(1), 0, 0
    while asked < draws:
        n = min(_AT_ONCE, draws - asked)
        inside += int(region.contains(torch.randn(n, size, generator=rng, dtype=torch.float32)).sum())
        asked += n
    return [inside, asked]


def largest_share(inside: int, asked: int) -> float:
    """The upper end of the exact 95 % interval of a share (Clopper and Pearson 1934), one-sided where it is zero."""
    from scipy import stats

    level = 0.95 if inside == 0 else 0.975
    return 1.0 if inside == asked else float(stats.beta.ppf(level, inside + 1, asked - inside))


def measured(point: PathPoint, draws: int) -> dict[str, Any]:
    """The row of a point, and what tells whether its samples are all that there is."""
    row = point.row()
    if point.run is None or point.run.exact is None:
        return row
    exact, query = point.run.exact, point.run.query
    inside, asked = share_of(point.run.region, draws, len(query))
    told = ("kernel", "slowest", "chains", "chains_from_prior", "draws_per_chain", "r_hat_between_starts")
    within = ("r_hat_of_query_chains", "r_hat_of_prior_chains")
    apart = (exact.latents - query.cpu().double()).norm(dim=1)
    return row | {
        "of_units": point.layer.units,
        **{name: exact.facts[name] for name in (*told, *within)},
        "inside_of_prior": [inside, asked, largest_share(inside, asked)],
        "length_of_query": float(query.norm()),
        "length_of_samples": float(exact.latents.norm(dim=1).mean()),
        "samples_lie_at": float(apart.mean()),
        "certificate": [point.run.certificate.n_inside, point.run.certificate.n_samples],
    }


def picture(path: LevelPath, place: Path) -> None:
    """A row for each layer and level: the query, samples, the freedom, the mean of the samples."""
    rows = [point for point in path.points if point.facts is not None]
    figure = new_figure(1.1 * (SHOWN + 3), 1.25 * len(rows) + 0.2)
    panels = figure.subplots(len(rows), SHOWN + 3, squeeze=False)
    for line, point in zip(panels, rows, strict=True):
        assert point.facts is not None
        z = point.latents.float()
        r_hat = point.row()["r_hat"]
        told = "prior" if point.run is None else "R-hat none" if r_hat is None else f"R-hat {r_hat:.2f}"
        show_picture(line[0], path.query_image, (0.0, 1.0), f"{point.layer.path[8:]}, level {point.level}")
        images = path.exploring(z[torch.arange(SHOWN) * len(z) // SHOWN])
        for column, image in enumerate(images, start=1):
            show_picture(line[column], image, (0.0, 1.0), told if column == 1 else "")
            frame(line[column], "tab:red", 1.0)
        freedom = point.facts.freedom.nanmean(dim=0, keepdim=True).nan_to_num(0.0)
        show_picture(line[-2], freedom, (0.0, 1.0), f"freedom {point.facts.mean:.2f}")
        show_picture(line[-1], path.exploring(z).mean(dim=0), (0.0, 1.0), "mean")
    figure.savefig(place)


def explored(
    generator: egbas.Decoder, z0: Tensor, layer: str, levels: Sequence[int], settings: dict[str, int]
) -> LevelPath:
    """One photograph at one layer."""
    return egbas.explore_path(
        generator,
        z0,
        [layer],
        levels,
        samples=settings["samples"],
        max_evaluations=settings["max_evaluations"],
        beropt=egbas.BerOptConfig(masks=0),
        rng=7,
    )


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", choices=list(PHOTOS))
    parser.add_argument("--layers", nargs="+", default=list(LAYERS))
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--max-evaluations", type=int, default=60_000)
    parser.add_argument("--draws", type=int, default=4000, help="of the prior, asked whether they lie inside")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="folder")
    given = parser.parse_args()
    content = json.loads(given.out.read_text()) if given.out.exists() else {"rows": []}
    settings = {"samples": given.samples, "max_evaluations": given.max_evaluations}
    generator = taef2.whitened()
    for layer in given.layers:
        for photo in given.photos:
            places = {level: {"photo": photo, "path": layer, "level": level} for level in given.levels}
            levels = [one for one in given.levels if not without(content["rows"], places[one], settings)[1]]
            if not levels:
                continue
            begin = time.process_time()
            path = explored(generator, generator.encode(square(photo)[None])[0], layer, levels, settings)
            spent = time.process_time() - begin
            for point in path.points:
                row = places[point.level] | {"settings": settings} | measured(point, given.draws)
                row |= {"cpu_s_of_all_levels": spent}
                print(json.dumps(row), flush=True)
                content["rows"] = [*without(content["rows"], places[point.level], settings)[0], row]
            given.out.write_text(json.dumps(content, indent=1) + "\n")
            picture(path, given.pictures / f"taef2-path-{photo}-{layer.removeprefix('decoder.')}.png")


if __name__ == "__main__":
    main()
