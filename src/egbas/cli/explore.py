# SPDX-License-Identifier: MIT
"""``egbas explore``: the main job, from a query to a run directory."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

LAYER_HELP = "Number of a non-linearity or a dotted module path; .3 is the module 3. See 'egbas layers'."

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egbas.zoo.models import Model


def explore(  # noqa: PLR0913, PLR0915, PLR0917  each option is an argument
    model: options.Model = options.DEFAULT_MODEL,
    layer: Annotated[
        str | None, typer.Option(metavar="L", help=LAYER_HELP, show_default="1; none with --region class")
    ] = None,
    classifier: options.Classifier = None,
    region: options.RegionOption = None,
    hold: options.Hold = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the query and of the exploration.")] = 0,
    latent: options.Latent = None,
    image: options.ImageFile = None,
    encoder: options.Encoder = None,
    force: options.Force = False,
    bank: options.Bank = None,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    boundary: options.Boundary = None,
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
    units: options.Units = None,
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

    from egbas.cli import settings, starting
    from egbas.errors import ConfigError
    from egbas.exploration.explore import explore as run_exploration
    from egbas.exploration.judges import Panel
    from egbas.exploration.path import level_within
    from egbas.geometry import choose_geometry
    from egbas.inputs.classifiers import find_classified
    from egbas.inputs.conditions import find_inputs
    from egbas.inputs.devices import find_device, set_threads
    from egbas.inputs.focus import find_focus
    from egbas.inputs.models import find_callable
    from egbas.inputs.queries import find_query, seeded, warnings_of
    from egbas.network import Network
    from egbas.network.boundary import Boundary
    from egbas.storage import check_destination, save_run

    settings.check_one(level=level, delta=delta, sparsity=sparsity)
    starting.check_start(latent=latent, image=image, encoder=encoder, force=force, bank=bank)
    layer = settings.layer_in(
        region, layer, {"level": level, "delta": delta, "sparsity": sparsity, "hold": hold, "boundary": boundary}
    )
    settings.check_store(store, {"--image": image, "--classifier": classifier, "--region": region, "--hold": hold})
    directory = check_destination(out or default_out(model, layer, latent or image or str(seed)), overwrite)
    inputs = find_inputs(input)
    chosen = find_classified(
        model, classifier, output, latent_size, latent, key=key, activation=activation, inputs=inputs
    )
    inputs = settings.inputs_of(chosen, inputs)
    seeded(seed)
    z0 = find_query(latent if latent is not None else str(seed), chosen.latent)
    source, said = None, ()
    if store is not None:
        _explore_once({**given, "layer": layer}, chosen, store, directory)
        return
    judges = [find_callable(name, "--judge") for name in judge or ()]
    known = None if features is None else find_callable(features, "--features")
    part = None if focus is None else find_focus(focus)
    beropt, gbrrt = settings.configs(
        level=level,
        threshold=threshold,
        sparsity=sparsity,
        units=units,
        masks=masks,
        max_steps=max_steps,
        half_width=half_width,
        step_size=step_size,
        iterations=iterations,
    )
    where = find_device(device)
    generator, output = chosen.generator.to(where), settings.output_of(chosen, output)
    set_threads(generator, chosen.latent.shape, threads, inputs)
    told = Boundary.of(boundary, chosen.latent)
    network = Network(generator, chosen.latent.shape, output=output, inputs=inputs, boundary=told)
    target = None if layer is None else network.resolve(settings.layer_key(layer))
    space = choose_geometry(chosen.latent, network, geometry)
    within = None
    with show.progress_bar(quiet) as progress:
        if image is not None:
            z0, source, said = starting.query_of_image(
                image, network, space, encoder=encoder, force=force, seed=seed, bank=bank, progress=progress
            )
        if delta is not None and target is not None:
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
                inputs=inputs,
                boundary=boundary,
                latent=space,
                geometry=space.geometry,
                beropt=beropt,
                progress=progress,
            )
            beropt = replace(beropt, level=within.level)
        run = run_exploration(
            generator,
            z0.to(where),
            layer=None if target is None else target.key,
            region=None if region is None else "class",
            hold=hold,
            rng=seed,
            latent=space,
            geometry=space.geometry,
            model_name=chosen.name,
            beropt=beropt if target is not None else None,
            gbrrt=gbrrt,
            samples=samples,
            max_evaluations=max_evaluations,
            focus=part,
            output=output,
            inputs=inputs,
            boundary=boundary,
            judges=[*judges, *(settings.class_judges(chosen, z0) if samples else ())],
            features=known,
            mass=mass or None,
            repeats=repeats,
            progress=progress,
        )
        settings.refuse_empty(run)
        heard = (*said, *warnings_of(z0, space), *(() if within is None else within.warnings))
        run = replace(run, within=within, source=source, warnings=(*heard, *run.warnings))
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


def default_out(model: str, layer: str | None, query: str) -> Path:
    """Name the run directory of a run that was given none; without a layer a decision region is explored."""
    given = (Path(model).name, "class" if layer is None else layer, Path(query).stem)
    words = [re.sub(r"[^\w.-]+", "-", word).strip("-.") for word in given]
    if layer is not None and layer.startswith("."):  # .3 is another layer than 3
        words[1] = f".{words[1]}"
    return Path("runs") / ("{}-{}-s{}" if layer is None else "{}-l{}-s{}").format(*words)
