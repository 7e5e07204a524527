# SPDX-License-Identifier: MIT
"""``egbas train``: make the embedded weights again."""

from pathlib import Path
from typing import Annotated

import typer

from egbas.cli import options, show


def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of an embedded model; see 'egbas models'.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the four MNIST .gz files.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where weights, card and the training's state go.")] = Path(
        "trained"
    ),
    quiet: options.NoProgress = False,
) -> None:
    """Train an embedded model again; stopped with Ctrl-C or killed, the same command goes on where it was."""
    import difflib

    from egbas.errors import ModelNotFoundError
    from egbas.storage import folder_for
    from egbas.training import recipes

    if name not in recipes.SUMMARIES:
        nearest = difflib.get_close_matches(name, recipes.SUMMARIES, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ModelNotFoundError(f"no training is called {name!r}; {hint}there are: {', '.join(recipes.SUMMARIES)}")
    with folder_for(out), show.progress_bar(quiet) as progress:
        card = recipes.train(name, data, out, lambda done, total, text: progress("training", done, total, text))
    show.say(f"{out / f'{card.name}.safetensors'}")
