# SPDX-License-Identifier: MIT
"""``egbas report``: the pictures and the page of a run directory that lacks them."""

from pathlib import Path
from typing import Annotated

import typer

from egbas.cli import options, show


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, such as SWEEP/tasks/KEY.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help=options.MODEL_HELP, show_default="the one that the run names"),
    ] = None,
    latent_size: options.LatentSize = None,
    allow_code: options.AllowCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make them again where they are there.")] = False,
    quiet: options.NoProgress = False,
) -> None:
    """Make samples.png and report.html of a finished run, such as a task of a sweep; nothing is explored again."""
    from egbas.inputs.models import find_model
    from egbas.storage import add_pictures, load_run
    from egbas.storage.destination import PICTURE, REPORT, check_finished

    check_finished(run)
    there = all((run / name).is_file() for name in (PICTURE, REPORT))
    if there and not overwrite:
        show.say(f"there already: {run / REPORT}; --overwrite makes it again")
        return
    generator = None if model is None else find_model(model, latent_size).generator
    loaded = load_run(run, generator, allow_code=allow_code)
    with show.progress_bar(quiet) as progress:
        places = add_pictures(loaded, run, progress=lambda done, total: progress("writing", done, total, str(run)))
    for place in places:
        show.say(place)
