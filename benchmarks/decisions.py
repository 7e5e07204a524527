# SPDX-License-Identifier: MIT
"""Decision regions of ``lenet-mnist`` behind both DCGANs and in input space: mass, exact samples, exits, DeepFool.

    python -m benchmarks.decisions dcgan-mnist-2d --out benchmarks/decisions.json

DeepFool (Moosavi-Dezfooli et al., CVPR 2016) is written out here, for the scale of the distances.
"""

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
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


def masses(both: Any, draws: int, config: MassConfig, known: list[dict[str, Any]], save: Callable[[], None]) -> None:
    """The mass of each class by itself, and the share that it has of draws of the prior, counted at once.

    Args:
        both: the network.
        draws: of the prior, that are counted.
        config: of the measurements.
        known: rows that are there; those of other classes are added.
        save: called after each.
    """
    missing = sorted(set(range(CLASSES)) - {row["class"] for row in known})
    if not missing:
        return
    z = both.latent.sample(draws, torch.Generator().manual_seed(1))
    counted = egbas.DecisionRegion(both, 0).classes(z).bincount(minlength=CLASSES) / draws
    for target in missing:
        begin = time.process_time()
        region, rng = egbas.DecisionRegion(both, target), torch.Generator().manual_seed(2 + target)
        mass = mass_of(region, z[0], both.latent, rng, config=config)
        interval = [10**mass.low if mass.is_complete else None, 10**mass.high]
        row = {"class": target, "mass": 10**mass.log10, "interval": interval, "log10": mass.log10}
        row |= {"log10_interval": [mass.low if mass.is_complete else None, mass.high]}
        row |= {"complete": mass.is_complete, "counted": float(counted[target])}
        row |= {"evaluations": mass.evaluations, "cpu_s": time.process_time() - begin}
        print(row, flush=True)
        known.append(row)
        save()


def seed_of(z0: Tensor) -> int:
    """A seed for each query: with one for all, queries of one class would share their draws of it."""
    return int.from_bytes(hashlib.sha256(z0.cpu().contiguous().numpy().tobytes()).digest()[:4], "big")


def explored(name: str, both: Any, z0: Tensor, settings: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """One query: exact samples of its decision region, its exits, and DeepFool's distance."""
    begin = time.process_time()
    run = egbas.explore(both, z0, region="class", rng=seed_of(z0), gbrrt=egbas.GbRrtConfig(iterations=300), **settings)
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
        "kernel": exact.facts["kernel"],
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


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all queries of a space: distances, and how much farther than the nearest exit DeepFool goes."""
    nearest = np.array([min(one[0] for one in row["routes"].values()) for row in rows])
    by = [min(row["routes"], key=lambda name, row=row: row["routes"][name][0]) for row in rows]
    ratio = np.log([row["deepfool"][0] / least for row, least in zip(rows, nearest, strict=True)])
    return {
        "queries": len(rows),
        "converged": sum(row["status"] == "CONVERGED" for row in rows),
        "inside": [sum(row["certificate"][0] for row in rows), sum(row["certificate"][1] for row in rows)],
        "nearest exit": _mean_and_interval(nearest),
        "nearest by": {route: by.count(route) for route in ("gradient", "tree", "chains")},
        "change sign": sum(all(one[3] < 0 <= one[4] for one in row["routes"].values()) for row in rows),
        "back to its class": sum(row["back"] is not None and row["back"][1] == row["class"] for row in rows),
        "deepfool": _mean_and_interval(np.array([row["deepfool"][0] for row in rows])),
        "deepfool / nearest, geometric mean": np.exp(_mean_and_interval(ratio)).tolist(),
        "deepfool is nearer": int((ratio < 0).sum()),
        "deepfool outside the support": sum(row["deepfool_outside_the_support"] for row in rows),
    }


def _mean_and_interval(values: np.ndarray) -> list[float]:
    """The mean over queries with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    return [float(values.mean()), *np.quantile(values[drawn].mean(axis=1), [0.025, 0.975]).tolist()]


def main() -> None:
    """Measure one space, and add it to the file; what is there is not measured again."""
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

    def save() -> None:
        given.out.write_text(json.dumps(content, indent=1) + "\n")

    for query in given.queries:
        name = Path(query).name
        if any(row["query"] == name for row in mine["queries"]):
            continue
        if query.isdecimal():
            z0 = both.latent.sample(1, torch.Generator().manual_seed(int(query)))[0]
        else:
            z0 = torch.from_numpy(np.load(query)).float().reshape(-1)
        folder = None if given.runs is None else given.runs / f"{given.space}-{Path(query).stem}"
        mine["queries"].append({"query": name, **explored(given.space, both, z0, settings, folder)})
        save()
    if mine["queries"]:
        mine["summary"] = summary(mine["queries"])
        print(json.dumps(mine["summary"], indent=1))
    if not given.no_mass:
        masses(both, given.draws, MassConfig(max_evaluations=given.mass_evaluations), mine["masses"], save)
        mine["sum"] = math.fsum(row["mass"] for row in mine["masses"])
        print("sum", mine["sum"])
    save()


if __name__ == "__main__":
    main()
