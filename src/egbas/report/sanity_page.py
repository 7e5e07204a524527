# SPDX-License-Identifier: MIT
"""One self-contained HTML page of the four questions of ``egbas sanity``: pictures, numbers and verdicts."""

from typing import Any

from egbas.evaluation.sanity import Sanity
from egbas.evaluation.sanity.measured import Measured
from egbas.evaluation.sanity.necessity import Crossings
from egbas.figures import freedom_picture
from egbas.figures.look import Look
from egbas.report.encode import picture
from egbas.report.template import template
from egbas.samplers.chains import CONVERGED
from egbas.version import __version__

PLACES = {"head": "random below the layer", "tail": "random above the layer", "whole": "random everywhere"}
HEADINGS = (
    "region",
    "units",
    "error",
    "of random sets",
    "freedom",
    "distance",
    "lies at",
    "log10 mass",
    "against a ball",
    "judges",
    "R-hat",
    "draws",
)
_SHOWN_SCORES = 6


def render_sanity(found: Sanity, command: str = "") -> str:
    """Render the page.

    Args:
        found: what the questions gave.
        command: that asks them again.

    Returns:
        An HTML page with everything inside: no other file, no network.
    """
    run, layer = found.run, found.run.layer
    assert layer is not None
    trained = found.weights.trained
    own = ("trained", trained)
    copies = [(PLACES[copy.kind], copy.measured) for copy in found.weights.copies if copy.measured is not None]
    sets = [(f"random set {i + 1}", one) for i, one in enumerate(found.sets.equal_number)]
    sets += [(f"random set {i + 1}, equal mass", one) for i, one in enumerate(found.sets.equal_mass)]
    name = layer.path if layer.number is None else f"{layer.number} ({layer.path})"
    return template("sanity.html.j2").render(
        version=__version__,
        title=f"{run.model_name}, layer {name}, seed {run.seed}: is the answer sane?",
        query=_query(trained),
        level=run.level,
        warnings=run.warnings,
        verdicts=found.verdicts,
        weight_verdicts=found.weights.verdicts,
        headings=HEADINGS,
        weights=[_region(*one) for one in (own, *copies)],
        weight_lines=[_line(*one) for one in (own, *copies)],
        correlations=[
            (PLACES[copy.kind], _number(copy.freedom_correlation), _number(copy.deviation_correlation))
            for copy in found.weights.copies
        ],
        sets=[_region(*one) for one in (("BerOpt", trained), *sets)],
        set_lines=[_line(*one) for one in (("BerOpt", trained), *sets)],
        crossings=[
            _crossing("kept", found.necessity.kept),
            _crossing("dropped", found.necessity.dropped),
        ],
        scores=_scores(found),
        command=command,
    )


def _query(measured: Measured) -> str:
    look = Look.of(measured.query_image[None])
    return picture(look.pictures(measured.query_image[None])[0], look.limits)


def _region(name: str, measured: Measured) -> dict[str, Any]:
    """Pictures of a region; each network has its own query's image, which its pixel range is of."""
    look = Look.of(measured.query_image[None])
    facts = measured.facts
    return {
        "name": name,
        "query": picture(look.pictures(measured.query_image[None])[0], look.limits),
        "freedom": "" if facts is None else picture(freedom_picture(facts.freedom), (0.0, 1.0)),
        "images": [picture(one, look.limits) for one in look.pictures(measured.images)],
        "told": f"{measured.units:,} of {measured.active:,} units"
        + ("" if facts is None else f", freedom {facts.mean:.2f}, distance {facts.distance.q50:.2f}"),
        "converged": measured.status == CONVERGED,
        "r_hat": _number(measured.r_hat),
    }


def _line(name: str, measured: Measured) -> list[str]:
    facts, mass = measured.facts, measured.log10_mass
    distance = None if facts is None else facts.distance
    return [
        name,
        f"{measured.units:,} of {measured.active:,}",
        f"{measured.error:.3f}",
        f"{measured.random_error:.3f}",
        "" if facts is None else f"{facts.mean:.2f} {facts.interval}",
        "" if distance is None else f"{distance.q05:.2f} {distance.q50:.2f} {distance.q95:.2f}",
        f"{measured.lie_at:.2f}",
        "" if mass is None else f"{mass[0]:.1f} [{mass[1]:.1f}, {mass[2]:.1f}]",
        _number(measured.ball_ratio),
        ", ".join(f"{judge} {value:.2f}" for judge, value in measured.kept.items()),
        f"{_number(measured.r_hat)}{'' if measured.status == CONVERGED else ' !'}",
        f"{measured.ess:.0f}",
    ]


def _crossing(name: str, crossings: Crossings) -> list[str]:
    medians = crossings.distance, crossings.change, crossings.rate, crossings.removed
    return [name, f"{crossings.crossed} of {crossings.units}", *(median.text for median in medians)]


def _scores(found: Sanity) -> list[tuple[str, str]]:
    """The largest z-scores first."""
    scores = sorted(found.sampler.z_scores.items(), key=lambda pair: -abs(pair[1]))
    return [(name, f"{value:.2f}") for name, value in scores[:_SHOWN_SCORES]]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:z.2f}"
