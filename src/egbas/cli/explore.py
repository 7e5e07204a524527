# SPDX-License-Identifier: MIT
"""``egbas explore``: the main job, from a query to a run directory."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egbas.zoo.models import Model


def explore(  # noqa: PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: options.Layer = options.DEFAULT_LAYER,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query and of the exploration.")] = 0,
    latent: options.Latent = None,
    latent_size: options.LatentSize = None,
    output: options.Output = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory to write.", show_default="runs/MODEL-lL-sS"),
    ] = None,
    level: options.Level = None,
    delta: options.Delta = None,
    focus: options.Focus = None,
    judge: options.Judges = None,
    features: options.Features = None,
    threshold: options.Threshold = None,
    sparsity: options.Sparsity = None,
    masks: options.Masks = None,
    max_steps: options.MaxSteps = None,
    geometry: options.Geometry = options.DEFAULT_GEOMETRY,
    half_width: options.HalfWidth = None,
    step_size: options.StepSize = None,
    iterations: options.Iterations = None,
    samples: options.Samples = options.DEFAULT_SAMPLES,
    max_evaluations: options.MaxEvaluations = None,
    mass: options.MassOption = False,
    repeats: options.Repeats = 1,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: options.Threads = None,
    store: options.Store = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find what a layer holds fixed around a query, sample what it leaves free, and write files and pictures.

    Look at report.html in --out; the numbers and tensors lie beside it. All files appear, or none.
    """
    given = dict(locals())
    from dataclasses import replace

    from egbas.cli import settings
    from egbas.errors import ConfigError
    from egbas.exploration.explore import explore as run_exploration
    from egbas.exploration.judges import Panel
    from egbas.exploration.path import level_within
    from egbas.geometry import choose_geometry
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_callable, find_model
    from egbas.inputs.queries import find_query, seeded, warnings_of
    from egbas.network import Network
    from egbas.storage import check_destination, save_run

    settings.check_one(level=level, delta=delta, sparsity=sparsity)
    directory = check_destination(out or default_out(model, layer, latent or str(seed)), overwrite)
    chosen = find_model(model, latent_size, latent)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
    if store is not None:
        _explore_once(given, chosen, store, directory)
        return
    judges = [find_callable(name, "--judge") for name in judge or ()]
    known = None if features is None else find_callable(features, "--features")
    part = None if focus is None else find_focus(focus)
    beropt, gbrrt = settings.configs(
        level=level,
        threshold=threshold,
        sparsity=sparsity,
        masks=masks,
        max_steps=max_steps,
        half_width=half_width,
        step_size=step_size,
        iterations=iterations,
    )
    where = find_device(device)
    generator = chosen.generator.to(where)
    set_threads(generator, chosen.latent.shape, threads)
    network = Network(generator, chosen.latent.shape, output=output)
    target = network.resolve(settings.layer_key(layer))
    space = choose_geometry(chosen.latent, network, geometry)
    within = None
    with show.progress_bar(quiet) as progress:
        if delta is not None:
            if not samples:
                raise ConfigError("got --delta and --samples 0; a distance is told by exact samples: ask for some")
            # What fails is told before the work.
            Panel.of(
                [*judges, *settings.class_judges(chosen, z0)], known, network.generate(z0.to(where)[None])[0].cpu()
            )
            within = level_within(
                generator,
                z0.to(where),
                target.key,
                delta,
                rng=seed,
                samples=samples,
                max_evaluations=max_evaluations,
                focus=part,
                output=output,
                latent=space,
                geometry=space.geometry,
                beropt=beropt,
                progress=progress,
            )
            beropt = replace(beropt, level=within.level)
        run = run_exploration(
            generator,
            z0.to(where),
            layer=target.key,
            rng=seed,
            latent=space,
            geometry=space.geometry,
            model_name=chosen.name,
            beropt=beropt,
            gbrrt=gbrrt,
            samples=samples,
            max_evaluations=max_evaluations,
            focus=part,
            output=output,
            judges=[*judges, *(settings.class_judges(chosen, z0) if samples else ())],
            features=known,
            mass=mass,
            repeats=repeats,
            progress=progress,
        )
        settings.refuse_empty(run)
        told = (*warnings_of(z0, space), *(() if within is None else within.warnings))
        run = replace(run, within=within, warnings=(*told, *run.warnings))
        progress("writing", 0, 1, str(directory))
        save_run(
            run,
            directory,
            overwrite=overwrite,
            progress=lambda done, total: progress("writing", done, total, str(directory)),
        )
    for text in run.warnings:
        show.warning(text)
    if json:
        show.as_json(run.metrics())
    elif not quiet:
        for line in settings.summary(run, directory):
            show.say(line)


def _explore_once(given: "Mapping[str, Any]", chosen: "Model", store: Path, directory: Path) -> None:
    """Explore through a store: what is finished there is not computed again, and what is new goes there, too.

    Args:
        given: the options of ``explore``, by name.
        chosen: the model.
        store: folder of the store.
        directory: to write.
    """
    from egbas.cli import settings
    from egbas.cli.workshop import ModelWorkshop, explore_options
    from egbas.inputs.devices import find_device, set_threads
    from egbas.storage import Store, save_run

    set_threads(chosen.generator.to(find_device(given["device"])), chosen.latent.shape, given["threads"])
    shop = ModelWorkshop(explore_options(given), given["model"], loaded=chosen)
    level = shop.levels[0] if given["level"] is None else given["level"]
    row = None if given["latent"] is None else 0
    task, kept = shop.task(settings.layer_key(given["layer"]), level, given["seed"], row), Store(store)
    is_there = kept.find(task.key) is not None
    with show.progress_bar(given["quiet"]) as progress:
        run = shop.explored(task, kept, progress)
        save_run(
            run,
            directory,
            overwrite=given["overwrite"],
            progress=lambda done, total: progress("writing", done, total, str(directory)),
        )
    for text in run.warnings:
        show.warning(text)
    if given["json"]:
        show.as_json(run.metrics())
    elif not given["quiet"]:
        show.say(
            "\n".join([*settings.summary(run, directory), *([f"found    {kept.place(task.key)}"] if is_there else [])])
        )


def default_out(model: str, layer: str, query: str) -> Path:
    """Name the run directory of a run that was given none."""
    words = [re.sub(r"[^\w.-]+", "-", word).strip("-.") for word in (Path(model).name, layer, Path(query).stem)]
    if layer.startswith("."):  # .3 is another layer than 3
        words[1] = f".{words[1]}"
    return Path("runs") / "{}-l{}-s{}".format(*words)
