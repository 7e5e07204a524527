# SPDX-License-Identifier: MIT
"""Options of ``egbas explore`` into the configs of BerOpt and GB-RRT, and what the command says of a run."""

from collections.abc import Mapping
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
from egbas.network.boundary import told_of
from egbas.network.classified import IMAGE, Classified, Logits
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.samplers.mass import told_mass
from egbas.storage.destination import check_writable
from egbas.zoo.models import Model, load_classifier

LARGEST = 1_000_000  # number of a layer
DEFAULT_LAYER = "1"
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
    """Refuse more than one of the options that say how many units are kept, and a distance that is none.

    Raises:
        ConfigError: so it is.
    """
    given = [f"--{name} {value:g}" for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"got {' and '.join(given)}; each says how many units are kept: leave all but one out")
    delta = options.get("delta")
    if delta is not None:
        from egbas.exploration.path import check_delta

        check_delta(delta)


def layer_in(region: str | None, layer: str | None, asked: Mapping[str, object]) -> str | None:
    """The layer to explore: the one given, or the first where no region is asked for; None: a decision region alone.

    Args:
        region: as typed after ``--region``.
        layer: as typed after ``--layer``.
        asked: options that say something of a layer's units, by their name; None where they were not given.

    Raises:
        ConfigError: so it is.
    """
    if region not in (None, "class"):
        raise ConfigError(f"got --region {region!r}; expected class, the decision region of the query's class")
    if region is not None and asked.get("delta") is not None:
        raise ConfigError("got --delta and --region class; a distance chooses the level of a layer: leave one out")
    given = [f"--{name}" for name, value in asked.items() if value is not None]
    if region is not None and layer is None and given:
        raise ConfigError(
            f"got --region class and {' and '.join(given)}, which say what a layer keeps, and no layer is explored; "
            "name a --layer, or leave them out"
        )
    return DEFAULT_LAYER if layer is None and region is None else layer


def output_of(model: Model, output: str | None) -> str | None:
    """Which output is the image; None where a generator is joined with a classifier, which knows it already."""
    return None if isinstance(model.generator, Classified) else output


def inputs_of(model: Model, inputs: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the network is given beside the latent; None where a joined generator has it already."""
    return None if isinstance(model.generator, Classified) else inputs


def class_judges(model: Model, z0: Tensor) -> list[Judge]:
    """The judge that asks a classifier whether an image has the query's class, where there is a classifier."""
    generator: Any = model.generator
    if model.card is None and not isinstance(generator, Classified):
        return []
    is_own = isinstance(generator, Classified)
    classifier = Logits(generator.classifier) if is_own else load_classifier(CLASSIFIER)

    def classes(images: Tensor) -> Tensor:
        place = next(classifier.parameters(), images)
        return classifier(images.to(place.device)).argmax(dim=1)

    device = next(generator.parameters(), z0).device
    with torch.no_grad():
        returned = generator(z0.to(device).reshape(1, *model.latent.shape))
        query = int(classes((returned[IMAGE] if is_own else returned).cpu())[0])

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


def check_store(store: Path | None, others: Mapping[str, object]) -> None:
    """Refuse what a store does not keep, before any work.

    Args:
        store: folder of the store; None: there is none.
        others: options that a task of a store does not have, by name; None for those that were not given.

    Raises:
        ConfigError: there is a store, and one of them was given.
        RunDirectoryError: the store cannot be written.
    """
    given = [name for name, value in others.items() if value is not None]
    if store is not None and given:
        raise ConfigError(f"got --store with {', '.join(given)}, which a task of a store does not have; leave one out")
    if store is not None:
        check_writable(store)


def summary(run: Exploration, directory: Path) -> list[str]:
    """Say in a few lines what came out, and where it is."""
    lines, certificate = [f"image    {run.network.told_image}", *_class(run)], run.certificate
    lines += [] if run.source is None else [f"query    {run.source.sentence}"]
    if run.layer is not None and run.beropt is not None:
        kept, fidelity = len(run.beropt.units), run.beropt.fidelity
        level = "" if run.level is None else f", level {run.level}"
        of = "" if run.held is None else f" of the {run.held}"
        lines.append(
            f"layer    {run.layer.path}: {_groups(run)}{kept} of {run.layer.units} units kept, "
            f"relative error{of} {fidelity:.3f}{level}{_boundary(run)}"
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


def _groups(run: Exploration) -> str:
    """Such as ``12 of 96 channels,``; nothing where each unit is by itself."""
    told = run.groups
    return "" if told is None else f"{told[0]} of {told[1]} {told[2]}, "


def _boundary(run: Exploration) -> str:
    """Where the boundaries are, where that is not zero."""
    thresholds = None if run.layer is None else run.network.thresholds(run.layer)
    if thresholds is None:
        return ""
    return f"; boundaries at {run.network.boundary}, {told_of(float(thresholds.min()), float(thresholds.max()))}"


def _class(run: Exploration) -> list[str]:
    decision = run.decision
    if decision is None:
        return []
    return [f"class    {decision.target_class} of {decision.n_classes}: in its decision region"]
