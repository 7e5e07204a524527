# SPDX-License-Identifier: MIT
"""Four questions to an answer at every layer: ``egbas sanity`` with one set of options, and a control.

Run as ``python -m benchmarks.sanity OUT.json [FACES]``; it goes on where it was stopped. A layer takes one to five
minutes. The control is the trained network against itself, with another seed of BerOpt and of the chains.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import egbas
from benchmarks import markdown
from egbas import BerOptConfig
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.cli.settings import class_judges
from egbas.evaluation.sanity import check_sanity
from egbas.evaluation.sanity.measured import rank_correlation
from egbas.evaluation.sanity.weights import ALIKE, MAP, TIMES_THE_UNITS, UNITS

ROWS = Path(__file__).parent / "sanity.json"
FACES = "faces"
CASES = (
    *(("dcgan-mnist", layer) for layer in (1, 3, 4)),
    *(("dcgan-mnist-2d", layer) for layer in (1, 3, 4)),
    *(("pggan-mnist", layer) for layer in (2, 6)),
    *((name, layer) for name, layer in (("dcgan-mnist", 2), ("dcgan-mnist-2d", 2), ("pggan-mnist", 4))),
    *((FACES, layer) for layer in (1, 2)),
)
SEED, OTHER_SEED, SETS, SAMPLES, MOST = 7, 8, 2, 50, 20_000
WEIGHTS = {"head": "random below", "tail": "random above", "whole": "random everywhere"}
CONVERGED = "CONVERGED"


def measure(name: str, path: str, layer: int) -> dict[str, Any]:
    """What ``egbas sanity`` tells of a layer, and the control."""
    start = time.process_time()
    model = egbas.load_model(path)
    query = model.latent.sample(1, rng=torch.Generator().manual_seed(SEED))[0]
    found = check_sanity(
        model.generator,
        query,
        layer,
        rng=SEED,
        samples=SAMPLES,
        max_evaluations=MOST,
        n_sets=SETS,
        judges=class_judges(model, query),
        latent=model.latent,
        beropt=BerOptConfig(level=DEFAULT_LEVEL),
        model_name=name,
    )
    other = egbas.explore(
        model.generator,
        query,
        layer,
        rng=OTHER_SEED,
        latent=model.latent,
        beropt=BerOptConfig(level=DEFAULT_LEVEL),
        samplers=["prior"],
        samples=SAMPLES,
        max_evaluations=MOST,
    )
    assert found.run.facts is not None and other.facts is not None and other.exact is not None
    told = {key: value for key, value in found.rows().items() if key not in ("query", "model", "layer")}
    return {
        "model": name,
        "layer": layer,
        "cpu_seconds": time.process_time() - start,
        "control": {
            "map": rank_correlation(found.run.facts.freedom, other.facts.freedom),
            "freedom": other.facts.mean,
            "units": len(other.support.beropt.units),
            "status": other.exact.status,
        },
        **told,
    }


def weights_table(rows: Sequence[dict[str, Any]]) -> str:
    """The trained network beside itself with another seed, and beside random copies."""
    lines = []
    for row in _sorted(rows):
        asked, control = row["randomised_weights"], row["control"]
        trained = asked["trained"]
        place = [f"`{row['model']}`", row["layer"]]
        lines.append([*place, "trained", _kept(trained), _freedom(trained), "", ""])
        mark = "" if control["status"] == CONVERGED else " !"
        again = [f"{control['units']:,} of {trained['active']:,}", f"{control['freedom']:.2f}{mark}"]
        lines.append(["", "", "trained, another seed", *again, _two(control["map"]), _told_apart(row)])
        for copy in asked["copies"]:
            line = ["", "", WEIGHTS[copy["weights"]]]
            if "units" not in copy:
                lines.append([*line, "", "", "", "no region"])
                continue
            by = ", ".join(copy["separated_by"]) or "**nothing**"
            lines.append([*line, _kept(copy), _freedom(copy), _two(copy["freedom_correlation"]), by])
    names = ("model", "layer", "weights", "units kept", "freedom", "correlation of the maps", "told apart by")
    return markdown.table(names, lines)


def sets_table(rows: Sequence[dict[str, Any]]) -> str:
    """BerOpt's region beside those of random sets, and beside the ball of its mass."""
    lines = []
    for row in _sorted(rows):
        trained, sets = row["randomised_weights"]["trained"], row["random_sets"]
        errors = [one["error"] for one in sets["equal_number"]]
        spans = [_span(sets[name]) for name in ("equal_number", "equal_mass")]
        ball = "" if trained["ball_ratio"] is None else f"{trained['ball_ratio']:.2f}"
        error = f"{trained['error']:.2f} ({min(errors):.2f} to {max(errors):.2f})"
        lines.append([f"`{row['model']}`", row["layer"], error, _freedom(trained), *spans, ball])
    names = ("model", "layer", "error (random sets)", "BerOpt's freedom", "random, equal number", "random, equal mass")
    return markdown.table((*names, "BerOpt / ball"), lines)


def necessity_table(rows: Sequence[dict[str, Any]]) -> str:
    """Kept units beside dropped ones: medians with their intervals; "*" where these have nothing in common."""
    lines = []
    for row in _sorted(rows):
        kept, dropped = row["necessity"]["kept"], row["necessity"]["dropped"]
        line = [f"`{row['model']}`", row["layer"]]
        for key in ("change", "rate", "removed"):
            line += [_median(kept[key]), _median(dropped[key]) + ("*" if _apart(kept[key], dropped[key]) else "")]
        lines.append(line)
    names = ("model", "layer", "crossed: kept", "dropped", "by distance: kept", "dropped", "masked: kept", "dropped")
    return markdown.table(names, lines)


def separated(rows: Sequence[dict[str, Any]]) -> str:
    """How many random copies are told apart, and by what."""
    copies = [copy for row in rows for copy in row["randomised_weights"]["copies"] if "units" in copy]
    told = [f"{sum(name in copy['separated_by'] for copy in copies)} by {name}" for name in ("units", "freedom", "map")]
    some = sum(bool(copy["separated_by"]) for copy in copies)
    without = sum(len(row["randomised_weights"]["copies"]) for row in rows) - len(copies)
    return (
        f"{some} of {len(copies)} copies with a region, at {len(rows)} layers, are told apart: {', '.join(told)}. "
        f"{without} copies have no region."
    )


def _told_apart(row: dict[str, Any]) -> str:
    """By what the suite's rule would tell the control apart, though both are trained; its interval is not asked."""
    own, control = row["randomised_weights"]["trained"]["units"], row["control"]
    is_few = max(own, control["units"]) >= TIMES_THE_UNITS * min(own, control["units"])
    is_other = control["map"] is not None and control["map"] < ALIKE
    return ", ".join(name for name, holds in ((UNITS, is_few), (MAP, is_other)) if holds)


def _sorted(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["model"], row["layer"]))


def _kept(one: dict[str, Any]) -> str:
    return f"{one['units']:,} of {one['active']:,}"


def _freedom(one: dict[str, Any]) -> str:
    if one["freedom"] is None:
        return ""
    if one["status"] != CONVERGED:
        return f"{one['freedom']:.2f} !"
    ends = "" if one["freedom_low"] is None else f" [{one['freedom_low']:.2f}, {one['freedom_high']:.2f}]"
    return f"{one['freedom']:.2f}{ends}"


def _span(some: Sequence[dict[str, Any]]) -> str:
    known = [one["freedom"] for one in some if one["freedom"] is not None]
    if not known:
        return ""
    mark = "" if all(one["status"] == CONVERGED for one in some) else " !"
    return f"{min(known):.2f} to {max(known):.2f}{mark}"


def _median(values: Sequence[float | None]) -> str:
    value, low, high = values
    return "" if value is None else f"{value:.3g}" + ("" if low is None else f" [{low:.3g}, {high:.3g}]")


def _apart(a: Sequence[float | None], b: Sequence[float | None]) -> bool:
    (_, low, high), (_, other_low, other_high) = a, b
    if low is None or high is None or other_low is None or other_high is None:
        return False
    return low > other_high or other_low > high


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def tables(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """All tables, as the docs have them."""
    yield from (weights_table(rows), sets_table(rows), necessity_table(rows))


def main(path: Path, faces: str | None) -> None:
    """Measure what is not in the file yet, and print the tables."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(row["model"], row["layer"]) for row in rows}
    for name, layer in CASES:
        file = faces if name == FACES else name
        if file is not None and (name, layer) not in done:
            rows.append(measure(name, file, layer))
            path.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
            print(name, layer, rows[-1]["randomised_weights"]["verdict"], flush=True)
    print(*tables(rows), separated(rows), sep="\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
