# SPDX-License-Identifier: MIT
"""How close BerOpt comes to the smallest supporting set: every subset tried on small random ReLU networks."""

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, optimize
from egbas.network import Network, Tail
from egbas.reproduce.kept import identity_of_code, kept_each
from egbas.storage import Store, write_json

Progress = Callable[[int, int, str], None]

SPARSITIES = (0.25, 0.5, 1.0)
N_NETWORKS = 50
_SCHEMA = 1  # to be raised with every change of what is measured, or how


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """BerOpt beside the best of all subsets, for one network and query.

    Attributes:
        seed: of the network, the query and the masks.
        candidates: active units, among which the subsets are chosen.
        size: how many units BerOpt kept.
        fidelity: relative distance that BerOpt's set leaves.
        objective: fidelity + sparsity * size / units of BerOpt's set.
        best_size: size of the subset with the smallest objective.
        best_fidelity: its relative distance.
        best_objective: the smallest objective of all subsets.
        smallest_size: size of the smallest subset that is at least as faithful as BerOpt's (Definition 6).
    """

    seed: int
    candidates: int
    size: int
    fidelity: float
    objective: float
    best_size: int
    best_fidelity: float
    best_objective: float
    smallest_size: int


def random_network(seed: int, units: int = 14) -> nn.Sequential:
    """A ReLU network 4 -> units -> 12 -> 16 with drawn weights, in eval mode."""
    rng = torch.Generator().manual_seed(seed)
    sizes = (4, units, 12, 16)
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        linear = nn.Linear(n_in, n_out, dtype=torch.float32)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(n_out, n_in, generator=rng, dtype=torch.float32) * (2 / n_in) ** 0.5)
            linear.bias.copy_(0.5 * torch.randn(n_out, generator=rng, dtype=torch.float32))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def compare(seed: int, config: BerOptConfig) -> Comparison:
    """Run BerOpt on layer 1 of a random network, and try every subset of its active units."""
    network = Network(random_network(seed), (4,))
    z0 = torch.randn(4, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    tail = network.split(1).at(z0)
    result = optimize(tail, config, rng=torch.Generator().manual_seed(seed))
    sizes, distances = _all_subsets(tail)
    objectives = distances + config.sparsity * sizes / len(tail.a)
    best = int(objectives.argmin())
    tiny = 1e-5  # the same subset may round differently in another batch
    return Comparison(
        seed=seed,
        candidates=int((tail.a != 0).sum()),
        size=len(result.units),
        fidelity=result.fidelity,
        objective=result.fidelity + config.sparsity * len(result.units) / len(tail.a),
        best_size=int(sizes[best]),
        best_fidelity=distances[best].item(),
        best_objective=objectives[best].item(),
        smallest_size=int(sizes[distances <= result.fidelity + tiny].min()),
    )


def run(
    n_networks: int = N_NETWORKS,
    out: Path = Path("runs/reproduce"),
    progress: Progress | None = None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Compare on networks 0, 1, ... at three sparsities, and write ``out/brute-force.json``.

    Args:
        n_networks: how many networks, each with its own query and masks.
        out: folder of the file.
        progress: called after each comparison with (done, all, text).
        store: where comparisons are kept and found again; None: nowhere.

    Returns:
        {"rows": one for each comparison, "config"}.
    """
    asked = [(sparsity, seed) for sparsity in SPARSITIES for seed in range(n_networks)]

    def measure(sparsity: float, seed: int) -> dict[str, Any]:
        return {"sparsity": sparsity, **asdict(compare(seed, BerOptConfig(sparsity=sparsity)))}

    def tell(done: int, place: int) -> None:
        if progress:
            progress(done, len(asked), f"sparsity {asked[place][0]} network {asked[place][1]}")

    settings = {"brute force": _SCHEMA, **identity_of_code()}
    pieces = [
        ({**settings, "sparsity": sparsity, "network": seed}, partial(measure, sparsity, seed))
        for sparsity, seed in asked
    ]
    rows = kept_each(store, pieces, tell)
    content = {"rows": rows, "config": {"networks": n_networks, "torch": torch.__version__}}
    write_json(out / "brute-force.json", content)
    return content


def as_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines for the terminal, one line for each sparsity."""
    headings = ["sparsity", "networks", "size", "best size", "error", "best error", "smallest for its error"]
    headings += ["largest excess", "best objective", "mean gap"]
    lines = []
    for sparsity in SPARSITIES:
        rows = [row for row in content["rows"] if row["sparsity"] == sparsity]
        lines.append(
            [
                str(sparsity),
                str(len(rows)),
                f"{fmean(row['size'] for row in rows):.1f}",
                f"{fmean(row['best_size'] for row in rows):.1f}",
                f"{fmean(row['fidelity'] for row in rows):.3f}",
                f"{fmean(row['best_fidelity'] for row in rows):.3f}",
                str(sum(row["size"] == row["smallest_size"] for row in rows)),
                str(max(row["size"] - row["smallest_size"] for row in rows)),
                str(sum(row["objective"] <= row["best_objective"] + 1e-5 for row in rows)),
                f"{fmean(row['objective'] - row['best_objective'] for row in rows):.4f}",
            ]
        )
    return headings, lines


@torch.no_grad()
def _all_subsets(tail: Tail) -> tuple[Float[Tensor, " subsets"], Float[Tensor, " subsets"]]:
    """Size and relative distance of every subset of the active units."""
    active = (tail.a != 0).nonzero()[:, 0]
    bits = (torch.arange(2 ** len(active))[:, None] >> torch.arange(len(active))) & 1  # (subsets, active)
    a = torch.zeros(len(bits), len(tail.a), dtype=torch.float32)
    a[:, active] = bits * tail.a[active]
    distances = (tail(a) - tail.x).flatten(1).norm(dim=1) / tail.x.norm()
    return bits.sum(1).float(), distances
