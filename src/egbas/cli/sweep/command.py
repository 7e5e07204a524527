# SPDX-License-Identifier: MIT
"""``egbas sweep``: many queries, layers, levels and models, each task once, on this machine's cores or on a cluster."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from egbas.sweep.drive import Engine

EXIT_FAILED = 1
MOST_WORKERS = 10_000
LOCAL, RAY = "local", "ray"


def _from_file(ctx: Any, path: Path | None) -> Path | None:
    """Take what a TOML file says for what is not given on the command line."""
    from egbas.cli.sweep.options_file import read_file

    if path is not None:
        ctx.default_map = read_file(path, sweep)
    return path


def sweep(  # noqa: PLR0913, PLR0917  each option is an argument
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE.toml]",
            help="Options by their names, such as layer = [1, 2]; what is given on the command line goes first.",
            is_eager=True,
            callback=_from_file,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help=f"{options.MODEL_HELP} Repeatable.", show_default=options.DEFAULT_MODEL),
    ] = None,
    layer: options.Layers = options.DEFAULT_LAYER,
    level: options.Levels = None,
    seed: options.Seeds = "0",
    latent: options.Latents = None,
    latent_size: options.LatentSize = None,
    key: options.Key = None,
    activation: options.Activation = None,
    output: options.Output = None,
    input: options.Inputs = None,
    boundary: options.Boundary = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the sweep; what is finished in it is not done again.")
    ] = Path("runs/sweep"),
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
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Who works: this machine's cores or GPUs, or a Ray cluster.")
    ] = LOCAL,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of the Ray cluster.", show_default="a running one, or one made here"),
    ] = None,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="All nodes of the cluster see --out: workers write there, not through Ray's object store."
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MOST_WORKERS, help="Worker processes.", show_default="one a core, or one a GPU"
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try the tasks again that failed before.")] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Tell what there is to do and what it will take, and stop.")
    ] = False,
    device: options.Device = options.DEFAULT_DEVICE,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=options.MOST_THREADS, help="Threads of torch, each worker.", show_default="1"
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Explore many queries, layers, levels and models: each task is one run directory, and is done once.

    Writes tasks/KEY/ for each, results.parquet with a row for each, and summary.html to look at. The same command goes
    on where it was stopped. Exit code 1: some tasks failed; the others are finished.
    """
    given = dict(locals())
    from egbas.cli import workshop
    from egbas.cli.sweep.outcome import as_record, live, summary, tell_failures, write_summary
    from egbas.cli.sweep.plan import n_workers, plan_of, show_plan, tell_plan
    from egbas.storage import Store
    from egbas.storage.results import arrow
    from egbas.storage.store import TASKS
    from egbas.sweep.drive import drive

    arrow()
    _check_engine(engine, address, shared=shared)
    given = workshop.explore_options(given)
    models = model or [options.DEFAULT_MODEL]
    store = Store(out)
    check_folder(store.path)
    shops = {
        name: workshop.ModelWorkshop(workshop.options_for(name, given, models), name) for name in dict.fromkeys(models)
    }
    plan = plan_of(shops, layer, level, seed, given)
    told = tell_plan(plan, shops, store, n_workers(engine, workers, device), quiet=quiet)
    if plan_only and json:
        show.as_json(told)
    elif plan_only or not (quiet or json):
        show_plan(told)
    if plan_only:
        return
    opening = functools.partial(workshop.open_workshop, {**given, "models": models})
    chosen = engine_of(engine, opening, store, shops, workers, threads, device, (address, shared))
    with show.telling_what_stays(store.path / TASKS), live(quiet) as tell:
        counts = drive(plan, store, chosen, retry=retry, tell=tell)
    if counts.done:
        write_summary(store.path, shops)
    tell_failures(counts)
    if json:
        show.as_json(as_record(counts, store.path))
    elif not quiet:
        show.say("\n".join(summary(counts, store.path)))
    if counts.failed:
        raise typer.Exit(EXIT_FAILED)


def _check_engine(engine: str, address: str | None, *, shared: bool) -> None:
    """Refuse an engine that there is not, and options of another one.

    Raises:
        ConfigError: so it is.
    """
    from egbas.errors import ConfigError

    if engine not in (LOCAL, RAY):
        raise ConfigError(f"--engine {engine!r} is unknown; expected {LOCAL} or {RAY}")
    if (address is not None or shared) and engine != RAY:
        given = "--shared" if address is None else f"--address {address}"
        raise ConfigError(f"{given} is for a Ray cluster; add --engine {RAY}, or leave it out")


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be that of a sweep, before any work.

    Raises:
        RunDirectoryError: it holds something else, or cannot be written.
    """
    from egbas.cli.sweep.outcome import SUMMARY
    from egbas.errors import RunDirectoryError
    from egbas.storage.destination import check_writable
    from egbas.storage.results import PARTS, TABLE
    from egbas.storage.store import PARTS_OF_STORE

    ours = {*PARTS_OF_STORE, PARTS, TABLE, SUMMARY}
    check_writable(path, "--out")
    foreign = sorted(each.name for each in path.iterdir() if each.name not in ours) if path.exists() else []
    foreign = [name for name in foreign if not name.endswith(".partial")]
    if foreign and not any((path / name).is_dir() for name in PARTS_OF_STORE):
        raise RunDirectoryError(
            f"{path} holds what is not of a sweep ({', '.join(foreign[:3])}); it is left alone: name another folder"
        )


def engine_of(  # noqa: PLR0913, PLR0917
    engine: str,
    opening: Any,
    store: Any,
    shops: Mapping[str, Any],
    workers: int | None,
    threads: int | None,
    device: str,
    cluster: tuple[str | None, bool],
) -> "Engine":
    """The engine that was asked for.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    if engine == LOCAL:
        from egbas.sweep.local import LocalEngine, default_workers

        return LocalEngine(opening, store, workers or default_workers(device), threads=threads or 1)
    from egbas.sweep.ray_engine import RayEngine

    address, shared = cluster
    models = {name: shop.model for name, shop in shops.items()}
    return RayEngine(
        opening,
        store,
        workers,
        models=models,
        threads=threads or 1,
        address=address,
        device=device,
        is_shared=shared,
    )
