# SPDX-License-Identifier: MIT
"""Figures 1 to 7 of Jeon et al. 2020, on the embedded generators.

All have one signature: the model's name, the folder, the explorations that they share. Each writes a PNG, a PDF and a
JSON with what the picture shows, and returns the latter.
"""

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from egbas.errors import ConfigError
from egbas.evaluation.baselines import E_GBAS, L2, BaselineSamples, border_distances, epsilon_l2
from egbas.evaluation.comparison import images_of
from egbas.evaluation.metrics.bootstrap import bootstrap_interval
from egbas.evaluation.metrics.samples import share_in_region
from egbas.exploration.result import Exploration
from egbas.figures.boundaries import Boundaries, boundaries_figure, trace_boundaries
from egbas.figures.layers import layers_figure
from egbas.figures.plane import PLANE, PlaneMap, Window, map_plane, plane_window
from egbas.figures.regions import Drawn, balls_figure, methods_figure, region_and_ball_figure, tree_figure
from egbas.figures.rows import rows_figure
from egbas.figures.samples import choose_spread
from egbas.reproduce.measurement import LAYERS, paper_layers
from egbas.reproduce.shared_runs import Explored, complete_run
from egbas.reproduce.summaries import SHOWN_QUERY, chosen_of, drawn_of, facts_of, freedom_of, row_of
from egbas.storage import write_file, write_json

# A six whose region at layer 2 lies well inside the prior's support and is twice as long as wide: a ball leaves it on
# two sides and does not reach its ends.
SEED, LAYER = 7, 2
RESOLUTION = 200  # grid points along a side of the plane
PLANE_MODEL, ROWS_MODEL, LAYERS_MODEL = "dcgan-mnist-2d", "dcgan-mnist", "pggan-mnist"
_ROWS_LAYER, _N_ROWS, _N_LAYERS_QUERIES = 3, 6, 10
_DPI, _PRINT_DPI = 180, 300

Content = dict[str, Any]


class MakeFigure(Protocol):
    """Makes one of the figures."""

    def __call__(self, model_name: str, out: Path, explored: Explored) -> Content:
        """Write the figure's files to ``out`` and return what its JSON holds."""
        ...


def figure1(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """The region of the query beside the eps-L2 ball, with images of both.

    Raises:
        ConfigError: the model's latent space is no plane, or nothing marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    ours, ball = [_spread(run, samples, count=8) for samples in drawn_of(run) if samples.method in (E_GBAS, L2)]
    epsilon = epsilon_l2(run)
    corners = torch.stack([run.query + epsilon, run.query - epsilon])
    plane = _map(run, torch.cat([run.grown.latents, corners]), resolution, pad=0.1)
    figure = region_and_ball_figure(plane, run.query, epsilon, ours, ball)
    return _finish("figure1", figure, out, {**facts_of(run), "grid": len(plane.xs)}, start)


def figure2(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """All boundaries, those of the supporting set and the region at layers 1 to 4; a picture for each layer.

    Raises:
        ConfigError: the model's latent space is no plane.
        RunDirectoryError: a file cannot be written.
    """
    rows, pictures = [], []
    for layer in LAYERS:
        start, run = time.perf_counter(), _plane_run(model_name, explored, layer)
        near_window = plane_window(run.grown.latents, pad=0.3)
        wide, near = [
            trace_boundaries(run.support.region, window, resolution=resolution)
            for window in (_grown(near_window, 3.0), near_window)
        ]
        figure = boundaries_figure(wide, near, run.query, run.query_image, run.masked_image)
        pictures += _save(figure, out, f"figure2-l{layer}")
        windows = {"wide": _counted(wide), "near": _counted(near)}
        rows.append({**facts_of(run), "grid": resolution, **windows, "seconds": time.perf_counter() - start})
    seconds = sum(row["seconds"] for row in rows)
    content = {"figure": "figure2", "pictures": pictures, "rows": rows, "seconds": seconds}
    write_json(out / "figure2.json", content)
    return content


def figure3(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """The tree with its trajectories, and images of uniformly chosen nodes.

    Raises:
        ConfigError: the model's latent space is no plane, or the tree has no node but the query.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    chosen = [1 + node for node in chosen_of(len(run.grown.latents) - 1, count=12)]
    plane = _map(run, run.grown.latents, resolution, pad=0.1)
    figure = tree_figure(plane, run.grown.latents, run.grown.parents, chosen, images_of(run, run.grown.latents[chosen]))
    return _finish("figure3", figure, out, {**facts_of(run), "grid": len(plane.xs), "nodes": chosen}, start)


def figure4(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """Accepted, rejected and mean points, and the three balls that the eps of the baselines comes from.

    Raises:
        ConfigError: the model's latent space is no plane, or nothing marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    distances = border_distances(run)
    radii = (distances.min().item(), epsilon_l2(run), distances.max().item())
    mean = run.grown.latents.double().mean(0)
    plane = _map(run, torch.stack([mean - radii[2], mean + radii[2]]), resolution, pad=0.05)
    figure = balls_figure(plane, run.grown.latents, run.grown.rejected, run.grown.rejected_reason, radii)
    facts = {**facts_of(run), "grid": len(plane.xs), "mean": mean.tolist(), "radii": radii}
    return _finish("figure4", figure, out, facts, start)


def figure5(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """The samples of every method over the region, with some of their images.

    Raises:
        ConfigError: the model's latent space is no plane, or nothing marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    epsilon_l2(run)  # raises where there is no ball to compare with
    methods = {samples.method: _at_random(run, samples, count=8) for samples in drawn_of(run)}
    plane = _map(run, torch.cat([drawn.latents for drawn in methods.values()]), resolution, pad=0.08)
    figure = methods_figure(plane, run.query, methods)
    shares = {name: drawn.share for name, drawn in methods.items()}
    return _finish("figure5", figure, out, {**facts_of(run), "grid": len(plane.xs), "in_region": shares}, start)


def figure6(
    model_name: str, out: Path, explored: Explored, *, n_queries: int = _N_LAYERS_QUERIES, layers: Sequence[int] = ()
) -> Content:
    """A row for each layer: the deviation of every pixel, and samples; and over queries, how local the changes are.

    Raises:
        RunDirectoryError: a file cannot be written.
    """
    start, rows, firsts = time.perf_counter(), [], []
    layers, seeds = layers or paper_layers(model_name), range(n_queries)
    for layer in layers:
        explored.expect(freedom_of, model_name, layer, seeds)
    for layer in layers:
        freedoms = explored.each(freedom_of, model_name, layer, seeds)
        shares = [freedom.changed_share for freedom in freedoms]
        known = [share for share in shares if share is not None]
        mean, interval = (sum(known) / len(known), bootstrap_interval(known)) if known else (None, None)
        firsts.append(freedoms[SHOWN_QUERY])
        rows.append({**firsts[-1].facts, "changed_share": mean, "interval": interval, "changed_shares": shares})
    drawn = {f"layer {first.facts['layer']}": first.shown for first in firsts if first.shown is not None}
    figure = layers_figure(firsts[0].query_image, drawn)
    return _finish("figure6", figure, out, {"rows": rows, "queries": n_queries}, start)


def figure7(model_name: str, out: Path, explored: Explored, *, n_queries: int = _N_ROWS) -> Content:
    """Rows of queries: the query, samples of the eps-L2 ball, samples of E-GBAS. For a latent space of any size.

    Raises:
        ConfigError: at none of the queries anything marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, layer = time.perf_counter(), _rows_layer(model_name)
    rows = explored.each(row_of, model_name, layer, range(n_queries))
    if not any(L2 in row.images for row in rows):
        raise ConfigError(f"none of the {n_queries} trees met its region's border, so there is no ball to compare with")
    images = {method: [row.images.get(method) for row in rows] for method in (L2, E_GBAS)}
    queries = torch.stack([row.query_image for row in rows])
    labels = [f"seed {row.facts['seed']}" for row in rows]
    figure = rows_figure(queries, {f"{L2} ball": images[L2], f"{E_GBAS}, layer {layer}": images[E_GBAS]}, labels)
    return _finish("figure7", figure, out, {"rows": [row.facts for row in rows]}, start)


FIGURES: dict[str, MakeFigure] = {
    make.__name__: make for make in (figure1, figure2, figure3, figure4, figure5, figure6, figure7)
}


PLANE_FIGURES = ("figure1", "figure2", "figure3", "figure4", "figure5")  # drawn in a 2-D latent space only
PGGAN_FIGURES = ("figure6",)


def default_model(name: str) -> str:
    """The embedded model that a figure is made of where none is named."""
    if name in PGGAN_FIGURES:
        return LAYERS_MODEL
    return PLANE_MODEL if name in PLANE_FIGURES else ROWS_MODEL


def expect(name: str, model_name: str, explored: Explored) -> None:
    """Announce the explorations that a figure is made of, so that a table that needs them, too, shares them.

    Args:
        name: of the figure.
        model_name: that it will be made of.
        explored: that it will be given.
    """
    if name in PLANE_FIGURES:
        for layer in LAYERS if name == "figure2" else (LAYER,):
            explored.expect(complete_run, model_name, layer, (SEED,))
    elif name in PGGAN_FIGURES:
        for layer in paper_layers(model_name):
            explored.expect(freedom_of, model_name, layer, range(_N_LAYERS_QUERIES))
    else:
        explored.expect(row_of, model_name, _rows_layer(model_name), range(_N_ROWS))


def _rows_layer(model_name: str) -> int:
    layers = paper_layers(model_name)
    return _ROWS_LAYER if _ROWS_LAYER in layers else layers[len(layers) // 2]


def _plane_run(model_name: str, explored: Explored, layer: int = LAYER) -> Exploration:
    size = explored.model(model_name).latent.size
    if size != PLANE:
        raise ConfigError(
            f"{model_name} has a latent space of {size} dimensions; this figure is drawn in the latent plane, "
            f"which needs 2: use --model {PLANE_MODEL}"
        )
    return explored(model_name, layer, SEED)


def _at_random(run: Exploration, samples: BaselineSamples, *, count: int) -> Drawn:
    return _pictured(run, samples, chosen_of(len(samples.latents), count=count))


def _spread(run: Exploration, samples: BaselineSamples, *, count: int) -> Drawn:
    """The samples farthest from the query and from each other, by the same rule for every method."""
    order = choose_spread(torch.cat([run.query[None], samples.latents]), count + 1)
    return _pictured(run, samples, [index - 1 for index in order[1:]])


def _pictured(run: Exploration, samples: BaselineSamples, chosen: Sequence[int]) -> Drawn:
    images = images_of(run, samples.latents[list(chosen)])
    share = share_in_region(run.region, samples.latents)
    return Drawn(latents=samples.latents, pictured=chosen, images=images, share=share)


def _map(run: Exploration, points: Tensor, resolution: int, pad: float) -> PlaneMap:
    window = plane_window(points.double(), pad=pad)
    return map_plane(run.support.region, run.query, window, resolution=resolution, max_units=0)


def _grown(window: Window, factor: float) -> Window:
    left, right, bottom, top = window
    x, y, half = (left + right) / 2, (bottom + top) / 2, factor * (right - left) / 2
    return x - half, x + half, y - half, y + half


def _counted(boundaries: Boundaries) -> Content:
    return {
        "window": boundaries.window,
        "units_drawn": len(boundaries.lines),
        "supporting_units_crossing": len(boundaries.crossing_kept),
        "share_in_region": float((boundaries.margin >= 0).mean()),
    }


def _finish(name: str, figure: Figure, out: Path, facts: Content, start: float) -> Content:
    pictures = _save(figure, out, name)
    content = {"figure": name, "pictures": pictures, **facts, "seconds": time.perf_counter() - start}
    write_json(out / f"{name}.json", content)
    return content


def _save(figure: Figure, out: Path, stem: str) -> list[str]:
    """Write both files, each complete or not at all, and return their names."""
    pictures = {f"{stem}.png": _png(figure), f"{stem}.pdf": _pdf(figure)}
    for name, content in pictures.items():
        write_file(out / name, content)
    return list(pictures)


def _png(figure: Figure) -> bytes:
    """A PNG of 256 colours: a third of the size where there are thousands of faint lines."""
    drawn, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    with Image.open(drawn) as picture:
        # The other methods turn rare colours, such as the legend's, into those of the many greys.
        few = picture.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    few.save(buffer, format="png", optimize=True, dpi=(_DPI, _DPI))
    return buffer.getvalue()


def _pdf(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", dpi=_PRINT_DPI, metadata={"CreationDate": None})  # the same file every time
    return buffer.getvalue()
