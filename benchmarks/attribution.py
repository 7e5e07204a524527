# SPDX-License-Identifier: MIT
"""A classifier's layers at digits in input space, beside gradient attributions by captum.

    python -m benchmarks.attribution seven.npy three.npy --out benchmarks/attribution.json --pictures FOLDER

What egbas says: which pixels a layer of ``lenet-mnist`` holds, by their freedom over exact samples of its supporting
region. What captum says: which pixels the logit of the class hangs on, by saliency and integrated gradients. What is
in the file with the same settings is not measured again; with other settings, a row of the same digit, layer and level
is replaced.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

import egbas
from egbas.figures.panel import new_figure, show_picture

LAYER = "classifier.relu2"  # the middle one of three
RESAMPLES = 200


def attributions(classifier: torch.nn.Module, digit: Tensor, target: int) -> dict[str, Tensor]:
    """Maps (28, 28) of what the logit of a class hangs on, by captum."""
    from captum.attr import IntegratedGradients, Saliency

    images = digit[None].clone().requires_grad_()
    black = torch.full_like(images, -1.0)
    found = {
        "saliency": Saliency(classifier).attribute(images, target=target, abs=True),
        "integrated gradients": IntegratedGradients(classifier).attribute(images, baselines=black, target=target),
    }
    return {name: value[0, 0].detach() for name, value in found.items()}


def rank_correlations(run: egbas.Exploration, maps: dict[str, Tensor]) -> dict[str, list[float]]:
    """Spearman's between what is held (1 - freedom) and each map, with 95 % intervals: chains are resampled whole.

    The noise of a freedom lowers its correlation, and resampling adds as much noise again. So what resampling takes
    away is added to both: the bias-corrected estimate with its basic interval (Davison and Hinkley 1997, 2.1 and 5.2).

    Args:
        run: with exact samples.
        maps: (28, 28) of each attribution.
    """
    assert run.exact is not None
    z, chain = run.exact.latents.double(), run.exact.chain
    prior = 1 / 3**0.5  # the deviation of a uniform pixel
    rng = np.random.default_rng(0)
    chains = [z[chain == number] for number in chain.unique()]
    drawn = []
    for _ in range(RESAMPLES):
        some = torch.cat([chains[i] for i in rng.integers(0, len(chains), len(chains))])
        drawn.append(1 - some.std(dim=0) / prior)
    found = {}
    for name, value in maps.items():
        flat = value.abs().flatten().numpy()
        middle = float(stats.spearmanr((1 - z.std(dim=0) / prior).numpy(), flat).statistic)
        spread = [float(stats.spearmanr(one.numpy(), flat).statistic) for one in drawn]
        found[name] = corrected(middle, spread)
    return found


def corrected(estimate: float, resampled: Sequence[float]) -> list[float]:
    """An estimate less its bias, with its 95 % basic bootstrap interval: the resampled ones, mirrored at it."""
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return [2 * estimate - float(np.mean(resampled)), 2 * estimate - high, 2 * estimate - low]


def measured(
    run: egbas.Exploration, classifier: torch.nn.Module, digit: Tensor, maps: dict[str, Tensor]
) -> dict[str, Any]:
    """The numbers of one digit at one layer."""
    assert run.freedom is not None and run.exact is not None and run.facts is not None and run.layer is not None
    target = int(classifier(digit[None]).argmax())
    freedom, ink = run.freedom[0], digit[0] > -0.9
    inside = run.exact.latents.float().reshape(-1, 1, 28, 28)
    beside = torch.rand(4000, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1
    units = run.support.beropt.units
    per_channel = int(np.prod(run.layer.shape[1:]))
    saliency, integrated = (value.abs().flatten().numpy() for value in maps.values())
    return {
        "class": target,
        "kept": len(units),
        "units": run.layer.units,
        "channels": len((units // per_channel).unique()),
        "error_of_logits": run.support.beropt.fidelity,
        "status": run.exact.status,
        "r_hat": run.exact.facts["r_hat"],
        "ess": run.exact.facts["ess"],
        "evaluations": run.exact.evaluations,
        "certificate": [run.certificate.n_inside, run.certificate.n_samples, run.certificate.smallest_margin],
        "freedom": [run.facts.mean, run.facts.low, run.facts.high],
        "freedom_of_ink": float(freedom[ink].nanmean()),
        "freedom_of_ground": float(freedom[~ink].nanmean()),
        "same_class": float((classifier(inside).argmax(dim=1) == target).double().mean()),
        "same_class_of_noise": float((classifier(beside).argmax(dim=1) == target).double().mean()),
        "classes": classifier(inside).argmax(dim=1).bincount(minlength=10).tolist(),
        "probability": {
            name: float(classifier(images).softmax(dim=1)[:, target].mean())
            for name, images in (("noise", beside), ("draws", inside), ("mean", inside.mean(dim=0, keepdim=True)))
        },
        "held_with": rank_correlations(run, maps),
        "of_the_two": float(stats.spearmanr(saliency, integrated).statistic),
        "share_in_ink": {name: float(value.abs()[ink].sum() / value.abs().sum()) for name, value in maps.items()},
        "ink": float(ink.double().mean()),
    }


def without(
    rows: Sequence[dict[str, Any]], place: dict[str, Any], settings: dict[str, Any]
) -> tuple[list[dict[str, Any]], bool]:
    """The rows of other places, and whether the row of this one was measured with the same settings."""
    here = [row for row in rows if all(row.get(name) == value for name, value in place.items())]
    others = [row for row in rows if row not in here]
    return others, any(row.get("settings") == settings for row in here)


def picture(run: egbas.Exploration, target: int, digit: Tensor, maps: dict[str, Tensor], place: Path) -> None:
    """The digit, the mean of the region, a draw, freedom, and captum's maps."""
    assert run.freedom is not None and run.exact is not None
    freedom, inside = run.freedom[0], run.exact.latents.float().reshape(-1, 1, 28, 28)
    figure = new_figure(8.2, 1.8)
    panels = figure.subplots(1, 6)
    show_picture(panels[0], digit, (-1.0, 1.0), f"digit, class {target}")
    mean = inside.mean(dim=0)
    most = float(mean.abs().max())
    show_picture(panels[1], mean, (-most, most), f"mean of the region, +-{most:.2f}")
    show_picture(panels[2], inside[len(inside) // 2], (-1.0, 1.0), "one exact sample")
    low = float(freedom.min())
    show_picture(panels[3], freedom[None], (low, 1.0), f"freedom, {low:.2f} to 1")
    for panel, (name, value) in zip(panels[4:], maps.items(), strict=True):
        most = float(value.abs().max())
        show_picture(panel, value[None], (0.0, most) if name == "saliency" else (-most, most), name)
    figure.savefig(place)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("digits", type=Path, nargs="+", help=".npy files of images (1, 28, 28) in [-1, 1]")
    parser.add_argument("--layer", default=LAYER)
    parser.add_argument("--level", type=int, default=6)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--max-evaluations", type=int, default=500_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="folder")
    parser.add_argument("--runs", type=Path, help="folder for run directories")
    given = parser.parse_args()
    classifier = egbas.load_classifier("lenet-mnist")
    content = json.loads(given.out.read_text()) if given.out.exists() else {"rows": []}
    for file in given.digits:
        place = {"digit": file.stem, "layer": given.layer, "level": given.level}
        settings = {"samples": given.samples, "max_evaluations": given.max_evaluations}
        others, is_known = without(content["rows"], place, settings)
        if is_known:
            continue
        digit = torch.from_numpy(np.load(file)).float().reshape(1, 28, 28)
        target = int(classifier(digit[None]).argmax())
        maps = attributions(classifier, digit, target)
        begin = time.process_time()
        run = egbas.explore(
            egbas.Pixels((1, 28, 28)),
            digit,
            given.layer,
            classifier=classifier,
            level=given.level,
            samples=given.samples,
            max_evaluations=given.max_evaluations,
            gbrrt=egbas.GbRrtConfig(iterations=100),
            rng=7,
        )
        name = f"lenet-{given.layer.removeprefix('classifier.')}-{file.stem}"
        if given.runs is not None:
            run.save(given.runs / f"{name}-{given.level}", overwrite=True)
        row = place | {"settings": settings} | measured(run, classifier, digit, maps)
        row["cpu_s"] = time.process_time() - begin
        print(json.dumps(row, indent=1), flush=True)
        content["rows"] = [*others, row]
        given.out.write_text(json.dumps(content, indent=1) + "\n")
        picture(run, target, digit, maps, given.pictures / f"attribution-{name}.png")


if __name__ == "__main__":
    main()
