# SPDX-License-Identifier: MIT
"""Where the boundaries of a smooth activation carry images best: at zero, at the turning point, or at a quantile.

    python -m benchmarks.thresholds ../shared/data/mnist OUT.json

Trains a variational autoencoder of MNIST with SiLU (seed 0, a few minutes of one core), and explores its decoder around
the same queries at the same level. The masks, and so the supporting sets, are the same for all boundaries: what differs
is the region. Told are the freedom of the images in it, the share of them that keep the query's class, and the prior
mass: a boundary carries images better where fewer latents are held off, and more is held fixed.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import egbas
from egbas.training.mnist import load_mnist
from egbas.zoo.models import load_classifier

LATENT, LAYERS, QUERIES, LEVEL = 8, (1,), 5, 6  # deeper layers take minutes a row
BOUNDARIES = ("zero", "turning", "quantile:0.5", "quantile:0.25")
EPOCHS, BATCH, RATE = 4, 250, 2e-3
SAMPLES, EVALUATIONS = 30, 20_000


def decoder() -> nn.Sequential:
    """From 8 numbers to an image of 28 x 28; SiLU at 256, 1,568 and 3,136 units."""
    return nn.Sequential(
        nn.Linear(LATENT, 256),
        nn.SiLU(),
        nn.Linear(256, 32 * 7 * 7),
        nn.Unflatten(1, (32, 7, 7)),
        nn.SiLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
        nn.Tanh(),
    )


def train(images: Tensor, *, epochs: int = EPOCHS, seed: int = 0) -> tuple[nn.Sequential, float]:
    """Train the autoencoder.

    Args:
        images: (n, 1, 28, 28) in [-1, 1].
        epochs: how often all of them are seen.
        seed: of the weights, the order and the noise.

    Returns:
        The decoder in eval mode, and its mean squared error on the last batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.SiLU(), nn.Linear(256, 2 * LATENT))
        made = decoder()
        steps = torch.optim.Adam([*encoder.parameters(), *made.parameters()], lr=RATE)
        errors: list[float] = []
        for _ in range(epochs):
            for rows in torch.randperm(len(images)).split(BATCH):
                batch = images[rows]
                mean, log_variance = encoder(batch).chunk(2, dim=1)
                z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
                error = (made(z) - batch).square().flatten(1).sum(dim=1).mean()
                divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean() / 2
                steps.zero_grad()
                (error + 4 * divergence).backward()
                steps.step()
                errors.append(error.item() / 784)
    return made.eval().requires_grad_(False), sum(errors[-40:]) / len(errors[-40:])


def rows(generator: nn.Module, known: Sequence[dict[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    """Explore each layer around each query with every boundary; what is known is given first."""
    yield from known
    done = {(row["query"], row["layer"], row["boundary"]) for row in known}
    space = egbas.LatentSpace(shape=(LATENT,))
    classifier = load_classifier("lenet-mnist")
    for layer in LAYERS:
        for seed in range(QUERIES):
            z0 = space.sample(1, torch.Generator().manual_seed(seed))[0]
            digit = int(classifier(generator(z0[None])).argmax())

            def same(images: Tensor, digit: int = digit) -> dict[str, Tensor]:
                return {"same": (classifier(images).argmax(dim=1) == digit).double()}

            for boundary in (each for each in BOUNDARIES if (seed, layer, each) not in done):
                begin = time.process_time()
                run = egbas.explore(
                    generator,
                    z0,
                    layer,
                    rng=seed,
                    level=LEVEL,
                    boundary=boundary,
                    samplers=("prior",),
                    samples=SAMPLES,
                    max_evaluations=EVALUATIONS,
                    judges=[same],
                    mass=True,
                    latent=space,
                )
                assert run.facts is not None
                assert run.exact is not None
                yield {
                    "query": seed,
                    "digit": digit,
                    "layer": layer,
                    "boundary": boundary,
                    "units": len(run.region.units),
                    "freedom": run.facts.mean,
                    "q95": run.facts.distance.q95,
                    "same": run.facts.scores["same"].region_mean,
                    "log10_mass": None if run.mass is None else run.mass.log10,
                    "converged": run.exact.has_converged,
                    "seconds": time.process_time() - begin,
                }


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Means over the queries, as they stand in docs/layers.md."""
    lines = ["| layer | boundary | units | freedom | images within | class kept | log10 mass | converged |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for layer in sorted({row["layer"] for row in found}):
        for boundary in BOUNDARIES:
            some = [row for row in found if (row["layer"], row["boundary"]) == (layer, boundary)]
            masses = [row["log10_mass"] for row in some if row["log10_mass"] is not None]
            mass = f"{sum(masses) / len(masses):.1f}" if masses else ""
            mean = {
                name: math.fsum(row[name] for row in some) / len(some) for name in ("units", "freedom", "q95", "same")
            }
            lines.append(
                f"| {layer} | `{boundary}` | {mean['units']:.0f} | {mean['freedom']:.2f} | {mean['q95']:.2f} | "
                f"{mean['same']:.0%} | {mass} | {sum(row['converged'] for row in some)} of {len(some)} |"
            )
    return lines


def main() -> None:
    """Train, explore and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.process_time()
    generator, error = train(load_mnist(given.data, "train").images)
    seconds = time.process_time() - begin
    print(f"trained: mean squared error {error:.4f}, {seconds:.0f} s of the processor", flush=True)
    found, known = [], json.loads(given.out.read_text())["rows"] if given.out.exists() else []
    for row in rows(generator, known):
        found.append(row)
        print(json.dumps(row), flush=True)
        content = {"level": LEVEL, "seed": 0, "error": error, "seconds": seconds, "rows": found}
        given.out.write_text(json.dumps(content, indent=2) + "\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
