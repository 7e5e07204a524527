# SPDX-License-Identifier: MIT
"""What a patch of a photograph may become where a layer of TAEF2's decoder holds what it holds, the rest left alone.

    python -m benchmarks.taef2_patches portrait flower --level 3 --side 2 --out OUT.json --pictures FOLDER

All positions of the latent but a few are those of the photograph. The few have the Gaussian of the bank there, and
BerOpt's distance is measured in the pixels above them. EGBAS_TAEF2 names the folder of weights. What is in the
file with the same settings is not measured again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import egbas
from benchmarks import taef2
from benchmarks.attribution import without
from egbas.figures.panel import frame, new_figure, show_picture

# Photograph, left, top and side of its square.
PHOTOS = {"portrait": ("grace_hopper", 90, 20, 330), "flower": ("flower", 190, 60, 330)}
# The positions that vary, by how many there are on a side: a mouth and the lower face, the heart of a flower and more.
BOXES = {
    2: {"portrait": (3, 5, 5, 7), "flower": (2, 3, 4, 5)},
    4: {"portrait": (2, 3, 6, 7), "flower": (1, 2, 5, 6)},
}
LAYERS = ("decoder.whole.3.fuse", "decoder.whole.8.fuse", "decoder.whole.13.fuse")
PIXELS = taef2.SIDE // taef2.LATENT[1]  # of a position
SHOWN = 6


def square(name: str) -> Tensor:
    """The square (3, 64, 64) of a photograph."""
    photo, left, top, side = PHOTOS[name]
    return taef2.crop(taef2.photographs()[photo], left, top, side)


def explored(
    name: str, layer: str, level: int, box: tuple[int, int, int, int], settings: dict[str, int], latents: Tensor
) -> egbas.Exploration:
    """One patch at one layer."""
    generator, z0 = taef2.patch_of(square(name), box, latents)
    return egbas.explore(
        generator,
        z0,
        layer,
        level=level,
        focus=[PIXELS * place for place in box],
        beropt=egbas.BerOptConfig(masks=0),
        samplers=["prior"],
        rng=7,
        **settings,
    )


def measured(run: egbas.Exploration) -> dict[str, Any]:
    """The numbers of one run."""
    assert run.exact is not None and run.facts is not None and run.layer is not None
    exact, distance = run.exact, run.facts.distance
    return {
        "coordinates": len(run.query),
        "length_of_query": float(run.query.norm()),
        "units": run.layer.units,
        "kept": len(run.support.beropt.units),
        "error": run.support.beropt.fidelity,
        "status": exact.status,
        "kernel": exact.facts["kernel"],
        "r_hat": exact.facts["r_hat"],
        "r_hat_between_starts": exact.facts["r_hat_between_starts"],
        "ess": exact.facts["ess"],
        "evaluations": exact.evaluations,
        "certificate": [run.certificate.n_inside, run.certificate.n_samples, run.certificate.smallest_margin],
        "length_of_samples": float(exact.latents.norm(dim=1).mean()),
        "freedom": [run.facts.mean, run.facts.low, run.facts.high],
        "distance": [distance.q05, distance.q50, distance.q95],
    }


def picture(run: egbas.Exploration, box: tuple[int, ...], place: Path) -> None:
    """The photograph's round trip, exact samples and freedom; draws of the prior below."""
    assert run.exact is not None and run.freedom is not None
    z = run.exact.latents.float()
    left, top, right, bottom = (PIXELS * each for each in box)
    free = run.network.generate(torch.randn(SHOWN, z.shape[1], generator=torch.Generator().manual_seed(1)))
    inside = run.network.generate(z[torch.arange(SHOWN) * len(z) // SHOWN])
    query = run.network.generate(run.query[None])[0]
    marked = query.clone()
    for rows, columns in (((top - 1, bottom), slice(left, right)), (slice(top, bottom), (left - 1, right))):
        marked[:, rows, columns] = 1.0
    figure = new_figure(1.1 * (SHOWN + 2), 2.6)
    panels = figure.subplots(2, SHOWN + 2)
    show_picture(panels[0, 0], query, (0.0, 1.0), "round trip")
    show_picture(panels[1, 0], marked, (0.0, 1.0), "what varies")
    for column, (sample, draw) in enumerate(zip(inside, free, strict=True), start=1):
        show_picture(panels[0, column], sample, (0.0, 1.0), "exact sample" if column == 1 else "")
        show_picture(panels[1, column], draw, (0.0, 1.0), "any patch" if column == 1 else "")
        frame(panels[0, column], "tab:red", 1.0)
    freedom = run.freedom.nanmean(dim=0, keepdim=True).nan_to_num(0.0)
    show_picture(panels[0, -1], freedom, (0.0, 1.0), "freedom, 0 to 1")
    show_picture(panels[1, -1], run.network.generate(z).mean(dim=0), (0.0, 1.0), "mean")
    figure.savefig(place)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", choices=list(PHOTOS))
    parser.add_argument("--layers", nargs="+", default=list(LAYERS))
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--side", type=int, choices=list(BOXES), default=2, help="positions on a side of the patch")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--max-evaluations", type=int, default=500_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="folder")
    given = parser.parse_args()
    content = json.loads(given.out.read_text()) if given.out.exists() else {"rows": []}
    latents = taef2.bank()
    for layer in given.layers:
        for photo in given.photos:
            box = BOXES[given.side][photo]
            place = {"photo": photo, "layer": layer, "level": given.level, "box": list(box)}
            settings = {"samples": given.samples, "max_evaluations": given.max_evaluations}
            others, is_known = without(content["rows"], place, settings)
            if is_known:
                continue
            begin = time.process_time()
            run = explored(photo, layer, given.level, box, settings, latents)
            row = place | {"settings": settings} | measured(run)
            row["cpu_s"] = time.process_time() - begin
            print(json.dumps(row), flush=True)
            content["rows"] = [*others, row]
            given.out.write_text(json.dumps(content, indent=1) + "\n")
            depth = LAYERS.index(layer) + 1 if layer in LAYERS else 0
            name = f"taef2-patch-{photo}-{given.side}-{depth}-{given.level}.png"
            picture(run, box, given.pictures / name)


if __name__ == "__main__":
    main()
