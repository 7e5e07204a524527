# SPDX-License-Identifier: MIT
"""Decision regions of ``lenet-mnist`` behind both DCGANs and in input space: mass, exact samples, exits, DeepFool.

    python -m benchmarks.decisions dcgan-mnist-2d --out benchmarks/decisions.json

DeepFool (Moosavi-Dezfooli et al., CVPR 2016) is written out here, for the scale of the distances.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import egbas
from egbas.samplers.mass import MassConfig, mass_of

CLASSES, ROUNDS, OVERSHOOT = 10, 50, 0.02


def deepfool(both: torch.nn.Module, z0: Tensor) -> Tensor:
    """The latent at which DeepFool's steps from z0 first change the class, in float64."""
    z, shape = z0.double().clone(), both.latent.shape
    first = int(both(z.reshape(1, *shape))["logits"].argmax())
    moved = torch.zeros_like(z)
    for _ in range(ROUNDS):
        inputs = (z0 + (1 + OVERSHOOT) * moved).detach().requires_grad_()
        logits = both(inputs.reshape(1, *shape))["logits"][0]
        if int(logits.argmax()) != first:
            break
        steps = []
        for other in set(range(len(logits))) - {first}:
            (gradient,) = torch.autograd.grad(logits[other] - logits[first], inputs, retain_graph=True)
            lead = float((logits[first] - logits[other]).detach())
            steps.append((lead / float(gradient.norm()), lead * gradient / gradient.square().sum()))
        moved = moved + min(steps, key=lambda step: step[0])[1]
    return z0 + (1 + OVERSHOOT) * moved


def space_of(name: str) -> Any:
    """The network of a name: a generator, or the space of images."""
    generator = egbas.Pixels((1, 28, 28)) if name == "pixels" else egbas.load_model(name).generator
    return egbas.Classified(generator, egbas.load_classifier("lenet-mnist"))


def masses(both: Any, draws: int, config: MassConfig) -> list[dict[str, Any]]:
    """The mass of each class by itself, and the share that it has of draws of the prior, counted at once."""
    z = both.latent.sample(draws, torch.Generator().manual_seed(1))
    counted = egbas.DecisionRegion(both, 0).classes(z).bincount(minlength=CLASSES) / draws
    rows = []
    for target in range(CLASSES):
        begin = time.process_time()
        region, rng = egbas.DecisionRegion(both, target), torch.Generator().manual_seed(2 + target)
        mass = mass_of(region, z[0], both.latent, rng, config=config)
        interval = [10**mass.low if mass.is_complete else None, 10**mass.high]
        rows.append({"class": target, "mass": 10**mass.log10, "interval": interval, "log10": mass.log10})
        rows[-1] |= {"complete": mass.is_complete, "counted": float(counted[target])}
        rows[-1] |= {"evaluations": mass.evaluations, "cpu_s": time.process_time() - begin}
        print(rows[-1], flush=True)
    return rows


def explored(name: str, both: Any, z0: Tensor, settings: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """One query: exact samples of its decision region, its exits, and DeepFool's distance."""
    begin = time.process_time()
    run = egbas.explore(both, z0, region="class", rng=7, gbrrt=egbas.GbRrtConfig(iterations=300), **settings)
    sampled = time.process_time() - begin
    found = egbas.nearest_exits(run)
    if out is not None:
        run.save(out, overwrite=True)
    exact, decision = run.exact, run.decision
    assert exact is not None and decision is not None
    both.double()
    fooled = deepfool(both, run.query.double())
    both.float()
    bound = 1.0 if name == "pixels" else torch.inf
    clipped = fooled.clamp(-bound, bound)
    row = {
        "space": name,
        "class": decision.target_class,
        "status": exact.status,
        "r_hat": exact.facts["r_hat"],
        "ess": exact.facts["ess"],
        "evaluations": exact.evaluations,
        "certificate": [run.certificate.n_inside, run.certificate.n_samples, run.certificate.smallest_margin],
        "freedom": None if run.facts is None else run.facts.mean,
        "routes": {
            route: [one.distance, one.image_distance, one.next_class, one.margin, one.margin_before]
            for route, one in found.routes.items()
        },
        "back": None if found.back is None else [found.back.distance, found.back.next_class],
        "deepfool": [float((fooled - run.query).norm()), int(decision.classes(fooled[None])[0])],
        "deepfool_outside_the_support": int((~run.latent.contains(fooled[None]))[0]),
        "deepfool_clipped": [float((clipped - run.query).norm()), int(decision.classes(clipped[None])[0])],
        "cpu_s": [sampled, time.process_time() - begin - sampled],
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Measure one space, and add it to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", choices=["dcgan-mnist-2d", "dcgan-mnist", "pixels"])
    parser.add_argument("--queries", nargs="*", default=["7"], help="seeds, or .npy files of images")
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--max-evaluations", type=int, default=60_000)
    parser.add_argument("--mass-evaluations", type=int, default=4_000_000)
    parser.add_argument("--no-mass", action="store_true")
    parser.add_argument("--runs", type=Path, help="folder for run directories")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    both = space_of(given.space)
    settings = {"samples": given.samples, "max_evaluations": given.max_evaluations}
    content = json.loads(given.out.read_text()) if given.out.exists() else {}
    mine = content.setdefault(given.space, {"masses": [], "queries": []})
    if not given.no_mass:
        mine["masses"] = masses(both, given.draws, MassConfig(max_evaluations=given.mass_evaluations))
        total = math.fsum(row["mass"] for row in mine["masses"])
        mine["sum"] = total
        print("sum", total)
    for place, query in enumerate(given.queries):
        if query.isdecimal():
            z0 = both.latent.sample(1, torch.Generator().manual_seed(int(query)))[0]
        else:
            z0 = torch.from_numpy(np.load(query)).float().reshape(-1)
        folder = None if given.runs is None else given.runs / f"{given.space}-{place}"
        mine["queries"].append({"query": Path(query).name, **explored(given.space, both, z0, settings, folder)})
        given.out.write_text(json.dumps(content, indent=1) + "\n")
    given.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
