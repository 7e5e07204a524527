# SPDX-License-Identifier: MIT
"""``egbas reproduce``: make a table or figure of the docs again."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from egbas.cli import options, show

if TYPE_CHECKING:
    from egbas.storage import Store

WHAT = {
    "supporting-sets": "BerOpt's sets and the certified trees at every hidden layer",
    "rankings": "BerOpt's sets beside sets of the largest, the steepest and random units",
    "brute-force": "BerOpt beside all subsets of the units, on small random networks",
    "model-sheets": "what the embedded generators make",
    "table1": "standard deviation of E-GBAS and the epsilon balls (the paper's Table 1)",
    "table2": "similarity of critic features (the paper's Table 2)",
    "figure1": "a region beside the eps-L2 ball",
    "figure2": "the boundaries of layers 1 to 4 in the latent plane",
    "figure3": "the tree and images of its nodes",
    "figure4": "accepted, rejected and mean points, and the three balls",
    "figure5": "the samples of all methods over the region",
    "figure6": "what layers 2, 4 and 6 of a PGGAN leave free, and how local it is",
    "figure7": "rows of queries with samples of two methods",
    "sensitivity": "how Table 1's ratios move with the settings",
    "all": "Tables 1 and 2 and all figures",
}
EXACT = "table1", "table2", "all"  # have rows of exact samples
Told = Callable[[int, int, str], None]
Table = tuple[list[str], list[list[str]]]


def reproduce(  # noqa: PLR0913, PLR0917  each option is an argument
    name: Annotated[str, typer.Argument(metavar="NAME", help="; ".join(f"{k}: {v}" for k, v in WHAT.items()))],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="An embedded model, or a checkpoint file.",
            show_default="both DCGANs; a figure has its own",
        ),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=options.MOST_QUERIES,
            help="Queries; networks of brute-force.",
            show_default="10; sensitivity 5; 50",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Of the queries of tables 1 and 2: a list or a range, such as 0-19.",
            show_default="0-9",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Layers of tables 1 and 2, such as 1-3.", show_default="those of the paper"),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Levels of tables 1 and 2; several have a folder each in --out.",
            show_default="none: the paper's way, by a sparsity",
        ),
    ] = None,
    masks: options.Masks = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            max=1000,
            help="Tables 1 and 2: also their ratios at each query over K seeds of BerOpt.",
            show_default="1",
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Tables 1 and 2: also exact samples of the regions, balls of equal prior mass, random sets, and "
            "regions of random weights.",
        ),
    ] = False,
    classifier: options.OwnClassifier = None,
    critic: options.Critic = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("runs/reproduce"),
    key: options.Key = None,
    activation: options.Activation = None,
    store: options.Store = None,
    json: options.Json = False,
    quiet: options.NoProgress = False,
) -> None:
    """Run one experiment of the docs: its rows go to OUT/NAME.json, a table to the terminal.

    What is finished when it is stopped is found again by the same command.
    """
    import torch

    from egbas.cli import ranges
    from egbas.inputs.devices import set_threads
    from egbas.reproduce.kept import FOLDER
    from egbas.reproduce.repeats import as_table as repeats_table
    from egbas.reproduce.tables import exact_table
    from egbas.storage.store import kept_in
    from egbas.zoo.models import load_model

    _check(name, out, exact=exact)
    asked = _asked(name, queries, seed=seed, layer=layer, level=level, masks=masks, repeats=repeats)
    asked |= _judges(name, model, (classifier, critic), key=key, activation=activation)
    model = _chosen(model, out, key, activation)  # it writes a file: after all that is refused
    if model is None:
        torch.set_num_threads(1)  # as ``egbas explore`` does for networks of the embedded models' size
    else:
        loaded = load_model(model)  # an unknown name is told before the work, not after it
        set_threads(loaded.generator, loaded.latent.shape, None)
    if name == "model-sheets":
        with kept_in(store, out / FOLDER, keeps_scores=True) as kept:
            show.say(_model_sheets(out, kept))
        return
    if name.startswith("figure"):
        with kept_in(store, out / FOLDER, keeps_scores=True) as kept, show.progress_bar(quiet) as progress:
            content = _figure(name, model, out, partial(progress, name), kept)
        if json:
            show.as_json(content)
        else:
            show.say("\n".join(str(out / picture) for picture in content["pictures"]))
        return
    contents = {}
    for one in [None] if level is None else ranges.levels(level):
        place = out if level is None or len(ranges.levels(level)) == 1 else out / f"level-{one}"
        at_level = {} if one is None else {"level": one}
        with kept_in(store, place / FOLDER, keeps_scores=True) as kept, show.progress_bar(quiet) as progress:
            told = partial(progress, name)
            content, table = _run(
                name, (model,) if model else None, queries, place, told, {**asked, **at_level, "store": kept}, exact
            )
        contents[place.name] = content
        _warn(content)
        if not json:
            show.table(*table)
            for more in (exact_table(content), repeats_table(content)) if name.startswith("table") else ():
                if more is not None:
                    show.table(*more)
            show.say("\n".join([*_found_before(content, store or place / FOLDER), str(place / f"{name}.json")]))
    if json:
        show.as_json(next(iter(contents.values())) if len(contents) == 1 else contents)


def _chosen(model: str | None, out: Path, key: str | None, activation: str | None) -> str | None:
    """The model; of a checkpoint file the network that is meant, as a file of its own in the folder of the results.

    Raises:
        ConfigError: there is no checkpoint file.
    """
    if key is None and activation is None:
        return model
    from egbas.errors import ConfigError
    from egbas.storage import write_file
    from egbas.zoo.convert import convert
    from egbas.zoo.models import is_path

    if model is None or not is_path(model):
        raise ConfigError(
            f"got {'--key' if key is not None else '--activation'} and no checkpoint file; it says which network of a "
            "file is meant, or what the file does not tell: add --model FILE, or leave it out"
        )
    chosen = out.expanduser() / f"{Path(model).stem}{'' if key is None else '-' + key}.safetensors"
    chosen.parent.mkdir(parents=True, exist_ok=True)
    convert(Path(model).expanduser(), chosen, write_file, overwrite=True, key=key, activation=activation)
    return str(chosen)


def _asked(
    name: str, queries: int | None, *, seed: str | None, layer: str | None, level: str | None, **numbers: int | None
) -> dict[str, Any]:
    """What the tables of the paper take beside others, read; numbers are those of BerOpt's masks and repeats.

    Raises:
        ConfigError: it is for no such experiment, or cannot be read.
    """
    from egbas.cli import ranges
    from egbas.errors import ConfigError
    from egbas.exploration.repeats import check_repeats

    given = {"--seed": seed, "--layer": layer, "--level": level} | {f"--{key}": n for key, n in numbers.items()}
    for option, value in given.items():
        if value is not None and name not in EXACT:
            raise ConfigError(f"got {option} {value} for {name}; it is for {', '.join(EXACT)}: leave it out")
    if name.startswith("figure") and queries is not None:
        raise ConfigError(f"--queries {queries}: {name} has its own queries; leave the option out")
    if seed is not None and queries is not None:
        raise ConfigError(f"got --seed {seed} and --queries {queries}; each says which queries: leave one out")
    if level is not None:
        ranges.levels(level)
    asked: dict[str, Any] = {} if seed is None else {"seeds": ranges.numbers(seed, "--seed")}
    check_repeats(numbers["repeats"] or 1, has_layer=True, masks=numbers["masks"])
    asked |= {key: value for key, value in numbers.items() if value is not None}
    return asked if layer is None else {**asked, "layers": ranges.numbers(layer, "--layer")}


def _judges(
    name: str,
    model: str | None,
    named: tuple[str | None, str | None],
    *,
    key: str | None,
    activation: str | None,
) -> dict[str, Any]:
    """The classifier and the critic that are named, asked about images; nothing where none is.

    Args:
        name: of the experiment.
        model: as typed.
        named: the classifier and the critic, as typed.
        key: which network of a file is meant.
        activation: what a file does not tell.

    Raises:
        ConfigError: it is for no such experiment.
        ModelNotFoundError, NetworkError: there is none of a name, or it cannot judge the images.
    """
    if named == (None, None):
        return {}
    from egbas.errors import ConfigError
    from egbas.reproduce.measurement import MODELS, probes_of_model
    from egbas.reproduce.own_judges import OwnJudges
    from egbas.zoo.models import load_model

    for option, value in zip(("--classifier", "--critic"), named, strict=True):
        if value is not None and name not in EXACT:
            raise ConfigError(f"got {option} {value} for {name}; it is for {', '.join(EXACT)}: leave it out")
    own = OwnJudges.named(*named)
    for one in MODELS if model is None else (model,):
        own.check(partial(probes_of_model, load_model(one, key=key, activation=activation)))
    return {"own": own}


def _check(name: str, out: Path, *, exact: bool) -> None:
    """Refuse what cannot be meant, before any work."""
    from egbas.errors import ConfigError
    from egbas.storage.destination import check_writable

    if name not in WHAT:
        raise ConfigError(f"no experiment is called {name!r}; there are: {', '.join(WHAT)}")
    if exact and name not in EXACT:
        raise ConfigError(f"got --exact for {name}; it adds rows to {', '.join(EXACT)}: leave it out")
    check_writable(out, "--out")


def _run(  # noqa: PLR0913, PLR0917
    name: str,
    models: tuple[str, ...] | None,
    queries: int | None,
    out: Path,
    told: Told,
    asked: dict[str, Any],
    exact: bool,
) -> tuple[dict[str, Any], Table]:
    from egbas.evaluation.exact_methods import ExactSettings
    from egbas.reproduce import (
        brute_force,
        measurement,
        paper,
        rankings,
        sensitivity,
        supporting_sets,
        table1,
        table2,
    )

    if name == "brute-force":
        content = brute_force.run(queries or brute_force.N_NETWORKS, out, told, asked["store"])
        return content, brute_force.as_table(content)
    modules = {
        "supporting-sets": supporting_sets,
        "rankings": rankings,
        "table1": table1,
        "table2": table2,
        "sensitivity": sensitivity,
        "all": paper,
    }
    module = modules[name]
    n_queries = queries or (sensitivity.N_QUERIES if name == "sensitivity" else measurement.N_QUERIES)
    options = {**asked, **({"exact": ExactSettings()} if exact else {})}
    content = module.run(models or measurement.MODELS, n_queries=n_queries, out=out, progress=told, **options)
    return content, module.as_table(content)


def _warn(content: dict[str, Any]) -> None:
    """Of what is to be known of the rows."""
    for text in content.get("doubts", ()):
        show.warning(text)


def _found_before(content: dict[str, Any], folder: Path) -> list[str]:
    """That some queries were not measured now."""
    n_before = content.get("config", {}).get("finished_before", 0)
    return [f"{n_before} of the queries were finished before: {folder} holds them"] if n_before else []


def _model_sheets(out: Path, store: "Store") -> Path:
    from egbas.reproduce import model_sheets
    from egbas.storage import write_file

    picture = out / "model-sheets.png"
    write_file(picture, model_sheets.run(store))
    return picture


def _figure(name: str, model: str | None, out: Path, told: Told, store: "Store") -> dict[str, Any]:
    from egbas.reproduce import figures
    from egbas.reproduce.shared_runs import Explored

    return figures.FIGURES[name](model or figures.default_model(name), out, Explored(progress=told, store=store))
