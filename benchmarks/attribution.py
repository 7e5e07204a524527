# SPDX-License-Identifier: MIT
"""A classifier's middle layer at a digit in input space, beside gradient attributions by captum.

    python -m benchmarks.attribution digit.npy --out benchmarks/attribution.json --picture layer.png

What egbas says: which pixels layer ``relu2`` of ``lenet-mnist`` holds, by their freedom over exact samples of its
supporting region. What captum says: which pixels the logit of the class hangs on, by saliency and integrated gradients.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import egbas
from egbas.figures.panel import new_figure, show_picture

LAYER = "classifier.relu2"  # the middle one of three


def main() -> None:
    """Measure and draw."""
    from captum.attr import IntegratedGradients, Saliency

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("digit", type=Path, help=".npy of an image (1, 28, 28) in [-1, 1]")
    parser.add_argument("--layer", default=LAYER)
    parser.add_argument("--level", type=int, default=6)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--max-evaluations", type=int, default=30_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    given = parser.parse_args()
    classifier = egbas.load_classifier("lenet-mnist")
    digit = torch.from_numpy(np.load(given.digit)).float().reshape(1, 28, 28)
    begin = time.process_time()
    run = egbas.explore(
        egbas.Pixels((1, 28, 28)),
        digit,
        given.layer,
        classifier=classifier,
        level=given.level,
        samples=given.samples,
        max_evaluations=given.max_evaluations,
        gbrrt=egbas.GbRrtConfig(iterations=200),
        rng=7,
    )
    ours = time.process_time() - begin
    assert run.freedom is not None and run.exact is not None and run.facts is not None
    target = int(classifier(digit[None]).argmax())
    images = digit[None].clone().requires_grad_()
    gradients = {
        "saliency": Saliency(classifier).attribute(images, target=target, abs=True),
        "integrated gradients": IntegratedGradients(classifier).attribute(
            images, baselines=torch.full_like(images, -1.0), target=target
        ),
    }
    freedom, maps = run.freedom[0], {name: value[0, 0].detach() for name, value in gradients.items()}
    ink = digit[0] > -0.9
    inside = run.exact.latents.float().reshape(-1, 1, 28, 28)
    agree = float((classifier(inside).argmax(dim=1) == target).double().mean())
    units = run.support.beropt.units
    content: dict[str, Any] = {
        "class": target,
        "layer": given.layer,
        "kept": len(units),
        "units": run.layer.units if run.layer else None,
        "channels": len((units // (run.layer.shape[1] * run.layer.shape[2])).unique()) if run.layer else None,
        "error_of_logits": run.support.beropt.fidelity,
        "status": run.exact.status,
        "r_hat": run.exact.facts["r_hat"],
        "ess": run.exact.facts["ess"],
        "evaluations": run.exact.evaluations,
        "certificate": [run.certificate.n_inside, run.certificate.n_samples, run.certificate.smallest_margin],
        "freedom": [run.facts.mean, run.facts.low, run.facts.high],
        "freedom_of_ink": float(freedom[ink].nanmean()),
        "freedom_of_ground": float(freedom[~ink].nanmean()),
        "same_class_in_region": agree,
        "held_with": {
            name: float(stats.spearmanr(1 - freedom.flatten().numpy(), value.abs().flatten().numpy()).statistic)
            for name, value in maps.items()
        },
        "share_in_ink": {name: float(value.abs()[ink].sum() / value.abs().sum()) for name, value in maps.items()},
        "ink": float(ink.double().mean()),
        "cpu_s": ours,
    }
    given.out.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))
    figure = new_figure(8.2, 2.0)
    panels = figure.subplots(1, 6)
    show_picture(panels[0], digit, (-1.0, 1.0), f"digit, class {target}")
    mean = inside.mean(dim=0)
    show_picture(panels[1], mean, (-1.0, 1.0), "mean of the region")
    show_picture(panels[2], inside[len(inside) // 2], (-1.0, 1.0), "one exact sample")
    low = float(freedom.min())
    show_picture(panels[3], freedom[None], (low, max(1.0, float(freedom.max()))), f"freedom, from {low:.2f}")
    for panel, (name, value) in zip(panels[4:], maps.items(), strict=True):
        most = float(value.abs().max())
        show_picture(panel, value[None], (0.0, most) if name == "saliency" else (-most, most), name)
    figure.savefig(given.picture)


if __name__ == "__main__":
    main()
