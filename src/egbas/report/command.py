# SPDX-License-Identifier: MIT
"""The command line that repeats a run."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor

from egbas.beropt import BerOptConfig, default_masks
from egbas.beropt.config import UNIT
from egbas.exploration.problem import CLASS
from egbas.exploration.record import box_of, choices_of
from egbas.exploration.result import Exploration
from egbas.network.classified import IMAGE, Classified
from egbas.samplers.choice import NAMES, PRIOR, TREE


def command(run: Exploration) -> tuple[str, str]:
    """Write the command line that repeats a run, and a note on what it does not cover.

    Every setting is written out, also those that were automatic: a later version may choose others. The
    query is named by its seed where the prior gives it, else by the samples file of the run directory.
    """
    named = _named(run)
    if named is None:
        return (
            "",
            "The region was the user's own; in Python, explore(..., region=..., rng=...) repeats the run.",
        )
    words = ["egbas", "explore", "--model", run.model_name, *named, *_given(run)]
    words += ["--geometry", run.latent.geometry, "--seed", str(run.seed)]
    drawn = run.latent.sample(1, rng=torch.Generator().manual_seed(run.seed))[0]
    is_drawn = torch.equal(drawn.to(run.query), run.query)
    if not is_drawn:
        words += ["--latent", "samples.safetensors"]
    words += [] if run.beropt is None else _searching(run, run.beropt.config)
    words += _looking(run)
    if run.tree is not None:
        words += ["--half-width", str(run.tree.half_width), "--step-size", str(run.tree.step_size)]
        words += ["--iterations", str(run.tree.iterations)]
    exact = run.exact_config
    if run.exact is None:
        words += ["--samples", "0"]
    elif exact is not None:
        words += ["--samples", str(exact.samples), "--max-evaluations", str(exact.max_evaluations)]
        words += [] if run.mass is None else ["--mass"]
    words += [] if run.certainty is None else ["--repeats", str(run.certainty.repeats)]
    words += ["--out", "again"]
    return shlex.join(words), " ".join(_notes(run, is_drawn))


def _named(run: Exploration) -> list[str] | None:
    """What was explored, as options; None where it was a region of the user's own."""
    is_class = run.decision is not None and isinstance(run.generator, Classified)
    if run.decision is not None and not is_class:
        return None  # that of a classifier which the run's network does not have
    if run.layer is None and not is_class:
        return None
    words = [] if run.layer is None else ["--layer", str(run.layer.key)]
    if isinstance(run.generator, Classified):
        words += ["--classifier", run.generator.classifier_name]
        words += [] if run.layer is None else ["--hold", run.held or IMAGE]
    elif run.held is not None:
        words += ["--hold", run.held]
    return words + (["--region", CLASS] if is_class else [])


def _given(run: Exploration) -> list[str]:
    """What had to be said for the network to be found and run, as options."""
    words: list[str] = []
    if ":" in run.model_name:
        words += ["--latent-size", "x".join(map(str, run.latent.shape))]
    for choice, said in choices_of(run.generator).items():
        words += [f"--{choice}", said]
    output = run.generator.output if isinstance(run.generator, Classified) else run.network.output
    if output is not None:
        words += ["--output", str(output)]
    words += [] if run.network.boundary.kind == "zero" else ["--boundary", str(run.network.boundary)]
    typed = {name: value for name, value in run.network.beside.given.items() if not isinstance(value, list)}
    for name, value in typed.items():
        words += ["--input", f"{name}={_typed(name, value)}"]
    if run.network.device.type != "cpu":
        words += ["--device", str(run.network.device)]
    return words


def _typed(name: str, value: object) -> str:
    """An input as it is typed: a tensor by its name in the run directory."""
    if isinstance(value, Tensor):
        return f"@inputs.safetensors:{name}"
    if isinstance(value, str):
        is_plain = value[:1].isalpha() and value.lower() not in ("none", "true", "false", "nan", "infinity")
        return value if is_plain else json.dumps(value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _searching(run: Exploration, beropt: BerOptConfig) -> list[str]:
    """What BerOpt searched for, and how long, as options."""
    words = ["--threshold", str(beropt.threshold)]
    words += ["--sparsity", str(beropt.sparsity)] if beropt.level is None else ["--level", str(beropt.level)]
    if beropt.units != UNIT:
        words += ["--units", beropt.units]
    if beropt.masks not in (None, default_masks(run.network.image_size)):
        words += ["--masks", str(beropt.masks)]
    if beropt.max_steps != BerOptConfig.max_steps:
        words += ["--max-steps", str(beropt.max_steps)]
    return words


def _looking(run: Exploration) -> list[str]:
    """What was looked at in images, as options."""
    words = [] if run.focus is None else ["--focus", _focus(run.focus)]
    for name in _importable(run.judges):
        words += ["--judge", name]
    for name in _importable([] if run.features is None else [run.features]):
        words += ["--features", name]
    return words


def _importable(names: Sequence[str]) -> list[str]:
    """Those of the names, ``module:name``, that the command line can import again."""
    return [
        name for name in names if not name.startswith(("__main__:", "egbas.")) and name.split(":")[1].isidentifier()
    ]


def _focus(focus: Tensor) -> str:
    return ",".join(map(str, box_of(focus)))


def _is_box(focus: Tensor) -> bool:
    x0, y0, x1, y1 = box_of(focus)
    return bool(focus[y0:y1, x0:x1].all())


def _notes(run: Exploration, is_drawn: bool) -> list[str]:
    """What the command line does not cover."""
    notes = []
    if not is_drawn:
        notes.append("The query lies in samples.safetensors beside this page: give the path of that file.")
    if any(isinstance(value, Tensor) for value in run.network.beside.given.values()):
        notes.append("Inputs lie in inputs.safetensors beside this page: give the path of that file.")
    if any(isinstance(value, list) for value in run.network.beside.given.values()):
        notes.append("Inputs that are lists can only be given in Python: inputs=.")
    unlisted = [] if run.beropt is None else _unlisted(run.beropt.config)
    if unlisted:
        notes.append(f"BerOpt also had {', '.join(unlisted)}, which only Python can set.")
    if run.focus is not None and not _is_box(run.focus):
        notes.append("The focus was no box; here it is the box around it. In Python, focus= takes any mask.")
    others = [name for name in run.samples if name in NAMES and name not in (TREE, PRIOR)]
    if run.tree is None or others:
        notes.append(f"In Python, samplers={list(run.samples)!r} draws what this run drew, and nothing else.")
    named = [*run.judges, *([] if run.features is None else [run.features])]
    lost = [name for name in named if name not in _importable(named)]
    if lost:
        notes.append(f"{', '.join(lost)} cannot be imported by name; give it to judges= or features= in Python.")
    own = [name for name in run.samples if name not in NAMES]
    if own:
        notes.append(f"The samplers {', '.join(own)} were the user's own, which only Python can give.")
    return notes


def _unlisted(beropt: BerOptConfig) -> list[str]:
    """The settings of BerOpt that have no option."""
    written = BerOptConfig(
        threshold=beropt.threshold,
        sparsity=beropt.sparsity,
        level=beropt.level,
        units=beropt.units,
        masks=beropt.masks,
        max_steps=beropt.max_steps,
        anneal_steps=min(BerOptConfig.anneal_steps, beropt.max_steps),
    )
    return [f"{name}={value!r}" for name, value in asdict(beropt).items() if value != getattr(written, name)]
