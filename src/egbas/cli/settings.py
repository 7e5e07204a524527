# SPDX-License-Identifier: MIT
"""Options of ``egbas explore`` into the configs of BerOpt and GB-RRT, and what the command says of a run."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egbas.beropt import BerOptConfig
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.errors import ConfigError
from egbas.exploration.judges import Judge
from egbas.exploration.result import Exploration
from egbas.inputs.numbers import whole_number
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.samplers.mass import told_mass
from egbas.zoo.models import Model, load_classifier

LARGEST = 1_000_000  # number of a layer
CONFIGS = BerOptConfig, GbRrtConfig
CLASSIFIER = "lenet-mnist"  # of the embedded generators


def configs(**options: Any) -> tuple[BerOptConfig, GbRrtConfig]:
    """Make the configs of the options given; None leaves the config's own default.

    Fewer steps than BerOpt anneals for shorten the annealing.

    Raises:
        ConfigError: a setting is out of its range, or there are a level and a sparsity.
    """
    given = {name: value for name, value in options.items() if value is not None}
    check_one(level=given.get("level"), sparsity=given.get("sparsity"))
    if "sparsity" not in given:
        given.setdefault("level", DEFAULT_LEVEL)
    if 0 < given.get("max_steps", BerOptConfig.max_steps) < BerOptConfig.anneal_steps:
        given["anneal_steps"] = given["max_steps"]
    beropt, gbrrt = (
        {field.name: given[field.name] for field in fields(kind) if field.name in given}
        for kind in (BerOptConfig, GbRrtConfig)
    )
    return BerOptConfig(**beropt), GbRrtConfig(**gbrrt)


def check_one(**options: float | int | None) -> None:
    """Refuse more than one of the options that say how many units are kept.

    Raises:
        ConfigError: there are two or more.
    """
    given = [f"--{name} {value:g}" for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"got {' and '.join(given)}; each says how many units are kept: leave all but one out")


def class_judges(model: Model, z0: Tensor) -> list[Judge]:
    """The judge that asks a classifier whether an image has the query's class, where there is a classifier."""
    if model.card is None:
        return []
    classifier = load_classifier(CLASSIFIER)

    def classes(images: Tensor) -> Tensor:
        return classifier(images.to(next(classifier.parameters()).device)).argmax(dim=1)

    device = next(model.generator.parameters()).device
    with torch.no_grad():
        query = int(classes(model.generator(z0.to(device).reshape(1, *model.latent.shape)).cpu())[0])

    def same_class(images: Tensor) -> dict[str, Tensor]:
        return {f"class {query}": (classes(images) == query).double()}

    return [same_class]


def layer_key(text: str) -> int | str:
    """Read ``--layer``: a number, or the path of a module, with a dot before it where it is a number, too.

    Raises:
        ConfigError: it is empty.
    """
    if not text.strip():
        raise ConfigError(
            f"got --layer {text!r}; expected the number of a non-linearity, such as 2, or the path of a module, "
            "such as relu2 or .3; 'egbas layers' lists them"
        )
    return whole_number(text, "--layer", 0, LARGEST) if text.isdecimal() else text


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
    lines, certificate = [f"image    {run.network.told_image}"], run.certificate
    if run.layer is not None and run.beropt is not None:
        kept, fidelity = len(run.beropt.units), run.beropt.fidelity
        level = "" if run.level is None else f", level {run.level}"
        lines.append(
            f"layer    {run.layer.path}: {kept} of {run.layer.units} units kept, relative error {fidelity:.3f}{level}"
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
            f"freedom  {facts.mean:.2f} {facts.interval} of the prior's; images differ from "
            f"the query by {facts.distance.q50:.2f} (median), {facts.distance.q95:.2f} (95 %)"
        )
        if facts.of_focus is not None:
            inside, outside = facts.of_focus
            lines.append(f"focus    freedom {inside} in it, {outside} around it")
        if facts.feature_distance is not None:
            far = facts.feature_distance
            lines.append(f"features differ from the query's by {far.q50:.2f} (median), {far.q95:.2f} (95 %)")
        if facts.words:
            lines.append(f"words    {facts.words}")
    if run.certainty is not None:
        lines.append(f"certain  {run.certainty.sentence}")
    checked = f"{certificate.n_inside} of {certificate.n_samples} lie in the region in {certificate.dtype}"
    return [*lines, f"checked  {checked}", f"report   {directory / 'report.html'}"]
