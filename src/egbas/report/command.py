# SPDX-License-Identifier: MIT
"""The command line that repeats a run."""

import shlex
from dataclasses import asdict

import torch

from egbas.beropt import BerOptConfig, default_masks
from egbas.exploration.result import Exploration
from egbas.samplers.choice import NAMES


def command(run: Exploration) -> tuple[str, str]:
    """Write the command line that repeats a run, and a note on what it does not cover.

    Every setting is written out, also those that were automatic: a later version may choose others. The
    query is named by its seed where the prior gives it, else by the samples file of the run directory.
    """
    if run.layer is None or run.beropt is None:
        return (
            "",
            "The region was the user's own; in Python, explore(..., region=..., rng=...) repeats the run.",
        )
    beropt = run.beropt.config
    words = [
        "egbas",
        "explore",
        "--model",
        run.model_name,
        "--layer",
        str(run.layer.number or run.layer.path),
    ]
    if ":" in run.model_name:
        words += ["--latent-size", "x".join(map(str, run.latent.shape))]
    if run.network.device.type != "cpu":
        words += ["--device", str(run.network.device)]
    words += ["--geometry", run.latent.geometry, "--seed", str(run.seed)]
    drawn = run.latent.sample(1, rng=torch.Generator().manual_seed(run.seed))[0]
    is_drawn = torch.equal(drawn.to(run.query), run.query)
    if not is_drawn:
        words += ["--latent", "samples.safetensors"]
    words += ["--threshold", str(beropt.threshold), "--sparsity", str(beropt.sparsity)]
    if beropt.max_steps != BerOptConfig.max_steps:
        words += ["--max-steps", str(beropt.max_steps)]
    if run.tree is not None:
        words += ["--half-width", str(run.tree.half_width), "--step-size", str(run.tree.step_size)]
        words += ["--iterations", str(run.tree.iterations)]
    if run.exact is None:
        words += ["--samples", "0"]
    words += ["--out", "again"]
    return shlex.join(words), " ".join(_notes(run, beropt, is_drawn))


def _notes(run: Exploration, beropt: BerOptConfig, is_drawn: bool) -> list[str]:
    """What the command line does not cover."""
    written = BerOptConfig(
        threshold=beropt.threshold,
        sparsity=beropt.sparsity,
        masks=default_masks(run.network.image_size),
        max_steps=beropt.max_steps,
        anneal_steps=min(BerOptConfig.anneal_steps, beropt.max_steps),
    )
    unlisted = [f"{name}={value!r}" for name, value in asdict(beropt).items() if value != getattr(written, name)]
    notes = []
    if not is_drawn:
        notes.append("The query lies in samples.safetensors beside this page: run the command in its folder.")
    if unlisted:
        notes.append(f"BerOpt also had {', '.join(unlisted)}, which only Python can set.")
    own = [name for name in run.samples if name not in NAMES]
    if own:
        notes.append(f"The samplers {', '.join(own)} were the user's own, which only Python can give.")
    return notes
