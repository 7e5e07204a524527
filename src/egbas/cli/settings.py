# SPDX-License-Identifier: MIT
"""Options of ``egbas explore`` into the configs of BerOpt and GB-RRT, and what the command says of a run."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError
from egbas.exploration.result import Exploration
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.samplers.mass import told_mass


def configs(**options: Any) -> tuple[BerOptConfig, GbRrtConfig]:
    """Make the configs of the options given; None leaves the config's own default.

    Fewer steps than BerOpt anneals for shorten the annealing.

    Raises:
        ConfigError: a setting is out of its range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if 0 < given.get("max_steps", BerOptConfig.max_steps) < BerOptConfig.anneal_steps:
        given["anneal_steps"] = given["max_steps"]
    beropt, gbrrt = (
        {field.name: given[field.name] for field in fields(kind) if field.name in given}
        for kind in (BerOptConfig, GbRrtConfig)
    )
    return BerOptConfig(**beropt), GbRrtConfig(**gbrrt)


def layer_key(text: str) -> int | str:
    """Read ``--layer``: a number, or the path of a module."""
    return int(text) if text.isdecimal() else text


def refuse_empty(run: Exploration) -> None:
    """Refuse to save a run that shows nothing, and say what to change.

    Raises:
        ConfigError: no sampler gave a sample.
    """
    tree = run.tree
    if tree is None or any(len(samples.drawn) for samples in run.samples.values()):
        return
    raise ConfigError(
        f"none of {len(tree.rejected)} candidates was accepted, so there is nothing to show: "
        f"at the query the region is thinner than a step of {tree.step_size:.3g}; "
        "lower --step-size, or raise --iterations"
    )


def summary(run: Exploration, directory: Path) -> list[str]:
    """Say in a few lines what came out, and where it is."""
    lines, certificate = [], run.certificate
    if run.layer is not None and run.beropt is not None:
        kept, fidelity = len(run.beropt.units), run.beropt.fidelity
        lines.append(
            f"layer    {run.layer.path}: {kept} of {run.layer.units} units kept, relative error {fidelity:.3f}"
        )
    if run.tree is not None:
        on_sphere = f" on a {run.geometry.description}" if run.latent.geometry == "sphere" else ""
        lines.append(
            f"tree     {len(run.tree.latents)} nodes{on_sphere}, {run.tree.acceptance:.0%} of the candidates accepted"
        )
    if run.exact is not None:
        wanted = run.exact.sentence if run.exact.has_converged else f"NOT CONVERGED: {run.exact.diagnostics.text}"
        lines.append(f"exact    {len(run.exact.latents)} samples of the whole region. {wanted}")
    if run.mass is not None:
        lines.append(f"mass     {told_mass(run.mass)} of the prior")
    if run.facts is not None:
        facts = run.facts
        lines.append(
            f"freedom  {facts.mean:.2f} [{facts.low:.2f}, {facts.high:.2f}] of the prior's; images differ from "
            f"the query by {facts.distance.q50:.2f} (median), {facts.distance.q95:.2f} (95 %)"
        )
    checked = f"{certificate.n_inside} of {certificate.n_samples} lie in the region in {certificate.dtype}"
    return [*lines, f"checked  {checked}", f"report   {directory / 'report.html'}"]
