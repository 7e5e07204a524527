# SPDX-License-Identifier: MIT
"""``egbas sweep``: many queries, layers, levels and models, each task once, on this machine's cores or on a cluster."""

import functools
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from egbas.network import Layer
    from egbas.sweep.drive import Counts, Engine
    from egbas.sweep.plan import Plan

EXIT_FAILED = 1
MOST_SEEDS, MOST_WORKERS = 10_000_000, 10_000
LOCAL, RAY = "local", "ray"
SUMMARY = "summary.html"
_LISTS = "layer", "level", "seed"
_REPEATABLE = "model", "judge", "input"
_LISTED = 20  # failed tasks that are told
_NOT_IN_FILES = "file", "json", "quiet"


def _from_file(ctx: Any, path: Path | None) -> Path | None:
    """Take what a TOML file says for what is not given on the command line."""
    if path is not None:
        ctx.default_map = read_file(path, {str(each.name) for each in ctx.command.params})
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
    from egbas.storage import Store
    from egbas.storage.results import arrow
    from egbas.sweep.drive import drive

    arrow()
    _check_engine(engine, address, shared=shared)
    given = workshop.explore_options(given)
    models = model or [options.DEFAULT_MODEL]
    store = Store(out)
    check_folder(store.path)
    shops = {name: workshop.ModelWorkshop(given, name) for name in dict.fromkeys(models)}
    plan = plan_of(shops, layer, level, seed, given)
    told = tell_plan(plan, shops, store, n_workers(engine, workers, device), given, quiet=quiet)
    if plan_only and json:
        show.as_json(told)
    elif plan_only or not (quiet or json):
        show_plan(told)
    if plan_only:
        return
    opening = functools.partial(workshop.open_workshop, given)
    chosen = engine_of(engine, opening, store, shops, workers, threads, device, (address, shared))
    with live(quiet) as tell:
        counts = drive(plan, store, chosen, retry=retry, tell=tell)
    if counts.done:
        write_summary(store.path, shops)
    _tell_failures(counts)
    if json:
        show.as_json(as_record(counts, store.path))
    elif not quiet:
        show.say("\n".join(summary(counts, store.path)))
    if counts.failed:
        raise typer.Exit(EXIT_FAILED)


def _tell_failures(counts: "Counts") -> None:
    for task, message in list(counts.failures.items())[:_LISTED]:
        show.warning(f"failed: {task}: {message}")
    if counts.failed > _LISTED:
        show.warning(f"... and {counts.failed - _LISTED:,} more failed")


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


def read_file(path: Path, names: set[str]) -> dict[str, Any]:
    """Read options of a TOML file; lists become such as are typed.

    Args:
        path: of the file.
        names: of the options that there are.

    Raises:
        ConfigError: it cannot be read, or names an option that there is not.
    """
    from egbas.errors import ConfigError

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a TOML file of options: {error}") from error
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = {"plan": "plan_only"}.get(key, key.replace("-", "_"))
        if name not in names or name in _NOT_IN_FILES:
            known = ", ".join(sorted(name.replace("_", "-") for name in names - set(_NOT_IN_FILES)))
            raise ConfigError(f"{path}: there is no option {key!r}; expected some of {known}")
        if isinstance(value, dict) or (isinstance(value, list) and name not in (*_LISTS, *_REPEATABLE)):
            raise ConfigError(
                f"{path}: {key} = {value!r} is no single value; only {', '.join((*_LISTS, *_REPEATABLE))} take lists"
            )
        found[name] = _as_typed(name, value)
    return found


def _as_typed(name: str, value: Any) -> Any:
    """A value of a file as it would be typed."""
    if name in _LISTS:
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if name in _REPEATABLE:
        return value if isinstance(value, list) else [value]
    return value


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be that of a sweep, before any work.

    Raises:
        RunDirectoryError: it holds something else, or cannot be written.
    """
    from egbas.errors import RunDirectoryError
    from egbas.storage.claims import FILE
    from egbas.storage.results import PARTS, TABLE
    from egbas.storage.store import FAILED, TASKS

    ours = {TASKS, FAILED, FILE, PARTS, TABLE, SUMMARY}
    if path.exists() and not path.is_dir():
        raise RunDirectoryError(f"--out {path} is a file; name a folder")
    above = path
    while not above.exists():
        above = above.parent
    if not os.access(above, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"no permission to write in {above}; name a folder elsewhere")
    foreign = sorted(each.name for each in path.iterdir() if each.name not in ours) if path.exists() else []
    foreign = [name for name in foreign if not name.endswith(".partial")]
    if foreign and not (path / TASKS).is_dir():
        raise RunDirectoryError(
            f"{path} holds what is not of a sweep ({', '.join(foreign[:3])}); it is left alone: name another folder"
        )


def plan_of(shops: Mapping[str, Any], layer: str, level: str | None, seed: str, given: Mapping[str, Any]) -> "Plan":
    """The plan of the options.

    Raises:
        ConfigError, LayerNotFoundError: a list cannot be read, or names what there is not.
    """
    from egbas.cli import ranges, settings
    from egbas.sweep.plan import Part, Plan, Spans

    seeds = Spans(ranges.spans(seed, "--seed", MOST_SEEDS))
    levels = None if level is None else ranges.levels(level)
    settings.check_one(level=levels[0] if levels else None, delta=given["delta"], sparsity=given["sparsity"])
    parts = []
    for name, shop in shops.items():
        named = {key: shop.layer(key) for key in ranges.layers(layer, shop.network.layers, shop.network.image_size)}
        parts.append(
            Part(
                model=name,
                layers={key: path for path, key in names_of(named).items()},
                levels=levels or shop.levels,
                decides=shop.decides,
                rows=shop.rows,
            )
        )
    return Plan(parts=parts, seeds=seeds)


def names_of(layers: "Mapping[int | str, Layer]") -> "dict[str, int | str]":
    """The first name of each layer, by its path: ``1,relu1`` is one layer."""
    first: dict[str, int | str] = {}
    for key, one in layers.items():
        first.setdefault(one.path, key)
    return first


def n_workers(engine: str, workers: int | None, device: str) -> int | None:
    """How many workers there will be; None where only the cluster knows."""
    from egbas.sweep.local import default_workers

    return workers or (default_workers(device) if engine == LOCAL else None)


def tell_plan(
    plan: "Plan",
    shops: Mapping[str, Any],
    store: Any,
    workers: int | None,
    given: Mapping[str, Any],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """What there is to do, and what it will take: a pass of each kind is measured for each model and layer."""
    from collections import Counter

    from egbas.sweep.plan import DONE, FAILED

    status: Counter[tuple[str, str]] = Counter()
    with show.progress_bar(quiet) as progress:
        for done, task in enumerate(plan):
            status[task.model, plan.status(store, task)] += 1
            if not done % 1000:
                progress("planning", done, len(plan), "")
    rows, low, high, peak = [], 0.0, 0.0, 0
    for part in plan.parts:
        n_queries = len(plan.seeds) * (1 if part.rows is None else len(part.rows))
        total = len(part.layers) * len(part.levels) * n_queries
        done, failed = status[part.model, DONE], status[part.model, FAILED]
        left = total - done - failed
        if left:
            for layer in part.layers:
                least, most, memory = shops[part.model].estimate(layer, part.levels)
                share = left / len(part.layers)
                low, high, peak = low + share * least, high + share * most, max(peak, memory)
        rows.append(
            {
                "model": part.model,
                "layers": list(part.layers),
                "levels": list(part.levels),
                "queries": n_queries,
                "tasks": total,
                "done": done,
                "failed": failed,
            }
        )
    n = workers or 1
    return {
        "rows": rows,
        "tasks": len(plan),
        "done": sum(row["done"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
        "workers": workers,
        "seconds_low": low / n,
        "seconds_high": high / n,
        "bytes_a_worker": peak,
        "out": str(store.path),
    }


def show_plan(told: Mapping[str, Any]) -> None:
    """Print a plan for people."""
    columns = ["model", "layers", "levels", "queries", "tasks", "done", "failed"]
    lines = [
        [
            row["model"],
            ",".join(map(str, row["layers"])),
            ",".join("-" if level is None else str(level) for level in row["levels"]),
            *(row[name] for name in columns[3:]),
        ]
        for row in told["rows"]
    ]
    show.table(columns, lines)
    if told["seconds_high"]:
        n = told["workers"]
        by = "one worker" if n is None or n == 1 else f"{n} workers"
        low, high = (hours(told[name]) for name in ("seconds_low", "seconds_high"))
        show.say(f"expected: {low} to {high} with {by}, {told['bytes_a_worker'] / 1e9:.1f} GB of memory for each")


def hours(seconds: float) -> str:
    """A time such as ``40 s``, ``12 min`` or ``3.5 h``."""
    for limit, factor, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / factor:.0f} {unit}"
    return f"{seconds / 3600:,.1f} h"


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


def write_summary(path: Path, shops: Mapping[str, Any]) -> None:
    """Write summary.html, of all that is finished in the folder.

    Args:
        path: of the sweep.
        shops: the workshops of the models, by name, whose networks make the pictures.
    """
    import json as json_format

    from egbas.report.sweep_page import columns_of, render_sweep
    from egbas.storage import Store, load_sweep, write_file
    from egbas.storage.destination import CONFIG

    found = load_sweep(path)
    place = found.path / "tasks"

    def load(task: str) -> Any:
        name = json_format.loads((place / task / CONFIG).read_text(encoding="utf-8"))["model"]["name"]
        return found.run(task, generator=shops[name].model.generator if name in shops else None)

    failures = {str(told.get("task", key)): str(told.get("message", "")) for key, told in Store(path).failures()}
    rows = found.rows(columns_of(found.columns))
    page = render_sweep(rows, load, failures=failures, title=f"Sweep {path.name}")
    write_file(path / SUMMARY, page.encode())


@contextmanager
def live(quiet: bool) -> Iterator[Any]:
    """Show how far a sweep is, in a table on stderr that is kept up to date; only on a terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Live(console=console, refresh_per_second=4, transient=True) as shown:
        yield lambda counts: shown.update(status_table(counts))


def status_table(counts: "Counts") -> Any:
    """How far a sweep is, as a table for the terminal."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    left = counts.seconds_left
    cells = {
        "done": f"{counts.done:,} of {counts.total:,}",
        "running": str(counts.running),
        "failed": str(counts.failed),
        "rate": f"{60 * counts.rate:,.1f} a minute",
        "time left": "-" if left is None else hours(left),
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table


def as_record(counts: "Counts", path: Path) -> dict[str, Any]:
    """What came of a sweep, for programs."""
    names = ("total", "done", "before", "finished", "elsewhere", "failed", "work", "work_cpu")
    names += ("overhead", "overhead_cpu", "failures")
    return {**{name: getattr(counts, name) for name in names}, "out": str(path)}


def summary(counts: "Counts", path: Path) -> Sequence[str]:
    """Say in a few lines what came out, and where it is."""
    before = f", {counts.before:,} of them before" if counts.before else ""
    elsewhere = f", {counts.elsewhere:,} by another driver" if counts.elsewhere else ""
    lines = [f"tasks    {counts.done:,} of {counts.total:,} finished{before}{elsewhere}; {counts.failed:,} failed"]
    if counts.failed:
        lines.append(f"failed   what each said lies in {path / 'failed'}; --retry tries them again")
    if counts.done:
        lines += [f"table    {path / 'results.parquet'}", f"summary  {path / SUMMARY}"]
    return lines
