# SPDX-License-Identifier: MIT
"""What ``egbas path`` writes: a table, a page, a picture, tensors; and the command that makes them again."""

import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from egbas.cli import options, show
from egbas.exploration.path import LevelPath
from egbas.network import Layer
from egbas.report import path_page
from egbas.storage import save_result
from egbas.storage.save import json_bytes, tensor_bytes, text_bytes

TABLE, PAGE, PICTURE, TENSORS = "path.json", "path.html", "path.png", "path.safetensors"


def folder_of(row: int | None, seed: int, *, has_seeds: bool) -> str:
    """The folder of one of several queries."""
    if row is None:
        return f"seed-{seed}"
    return f"row-{row}-seed-{seed}" if has_seeds else f"row-{row}"


def read_missing(told: Mapping[str, Any], places: Iterable[Path]) -> dict[str, Any]:
    """What all queries gave, by their folder; of those that were finished before, as it was written then."""
    return {
        place.name: json.loads((place / TABLE).read_text(encoding="utf-8"))
        if told[place.name] is None
        else told[place.name]
        for place in (one.expanduser().resolve() for one in places)
    }


def write(
    found: LevelPath, facts: Mapping[str, Any], words: str, directory: Path, *, overwrite: bool
) -> dict[str, Any]:
    """Write the directory of a path, warn of what did not converge, and give the content of its table."""
    content = {
        **facts,
        "seed": found.seed,
        "query": found.query.tolist(),
        "rows": found.rows(),
    }
    picture = io.BytesIO()
    path_page.figure_of(found).savefig(picture, format="png")
    save_result(
        {
            TABLE: json_bytes(content),
            PAGE: text_bytes(path_page.render_path(found, words)),
            PICTURE: picture.getvalue(),
            TENSORS: tensor_bytes(**path_page.tensors_of(found)),
        },
        directory,
        file=TABLE,
        key=facts["key"],
        overwrite=overwrite,
    )
    for row in content["rows"]:
        if row["status"] == "NOT_CONVERGED":
            show.warning(
                f"layer {row['layer']}, level {row['level']}: not converged after {row['evaluations']:,} evaluations; "
                "raise --max-evaluations"
            )
    return content


def command(  # noqa: PLR0913, PLR0917
    model: str,
    layers: Sequence[Layer],
    level: str,
    seed: int,
    samples: int,
    others: Mapping[str, object],
    judges: Sequence[str],
) -> str:
    """The command line that makes the path again."""
    taken = ",".join(str(one.key) for one in layers)
    words = ["egbas", "path", "--model", model, "--layer", taken, "--level", level]
    words += ["--seed", str(seed), "--samples", str(samples)]
    return shlex.join([*words, *options.words_of({**others, "--judge": list(judges)})])
