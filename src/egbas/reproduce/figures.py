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

from egbas.baselines import E_GBAS, L2, Samples, border_distances, epsilon_l2, has_border
from egbas.comparison import choose_pictured, draw_all, images_of
from egbas.errors import ConfigError
from egbas.exploration import Exploration
from egbas.figures.boundaries import Boundaries, boundaries_figure, trace_boundaries
from egbas.figures.gallery import Gallery
from egbas.figures.layers import layers_figure
from egbas.figures.plane import PLANE, PlaneMap, Window, map_plane, plane_window
from egbas.figures.regions import Drawn, balls_figure, methods_figure, region_and_ball_figure, tree_figure
from egbas.figures.rows import rows_figure
from egbas.figures.samples import choose_spread
from egbas.gbrrt import OUTSIDE
from egbas.metrics import bootstrap_interval, changed_share, share_in_region
from egbas.reproduce.explored import Explored
from egbas.reproduce.measurement import LAYERS, paper_layers
from egbas.storage import write_file, write_json

# A six whose region at layer 2 lies well inside the prior's support and is twice as long as wide: a ball leaves it on
# two sides and does not reach its ends.
SEED, LAYER = 7, 2
RESOLUTION = 200  # grid points along a side of the plane
PLANE_MODEL, ROWS_MODEL, LAYERS_MODEL = "dcgan-mnist-2d", "dcgan-mnist", "pggan-mnist"
_ROWS_LAYER, _N_ROWS = 3, 6
_LAYERS_QUERY, _N_LAYERS_QUERIES = 0, 10
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
    ours, ball = [_spread(run, samples, count=8) for samples in _drawn(run) if samples.method in (E_GBAS, L2)]
    epsilon = epsilon_l2(run)
    corners = torch.stack([run.query + epsilon, run.query - epsilon])
    plane = _map(run, torch.cat([run.latents, corners]), resolution, pad=0.1)
    figure = region_and_ball_figure(plane, run.query, epsilon, ours, ball)
    return _finish("figure1", figure, out, {**_facts(run), "grid": len(plane.xs)}, start)


def figure2(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """All boundaries, those of the supporting set and the region at layers 1 to 4; a picture for each layer.

    Raises:
        ConfigError: the model's latent space is no plane.
        RunDirectoryError: a file cannot be written.
    """
    rows, pictures = [], []
    for layer in LAYERS:
        start, run = time.perf_counter(), _plane_run(model_name, explored, layer)
        near_window = plane_window(run.latents, pad=0.3)
        wide, near = [
            trace_boundaries(run.region, window, resolution=resolution)
            for window in (_grown(near_window, 3.0), near_window)
        ]
        figure = boundaries_figure(wide, near, run.query, run.query_image, run.masked_image)
        pictures += _save(figure, out, f"figure2-l{layer}")
        windows = {"wide": _counted(wide), "near": _counted(near)}
        rows.append({**_facts(run), "grid": resolution, **windows, "seconds": time.perf_counter() - start})
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
    chosen = [1 + node for node in _chosen(len(run.latents) - 1, count=12)]
    plane = _map(run, run.latents, resolution, pad=0.1)
    figure = tree_figure(plane, run.latents, run.parents, chosen, images_of(run, run.latents[chosen]))
    return _finish("figure3", figure, out, {**_facts(run), "grid": len(plane.xs), "nodes": chosen}, start)


def figure4(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """Accepted, rejected and mean points, and the three balls that the eps of the baselines comes from.

    Raises:
        ConfigError: the model's latent space is no plane, or nothing marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    distances = border_distances(run)
    radii = (distances.min().item(), epsilon_l2(run), distances.max().item())
    mean = run.latents.double().mean(0)
    plane = _map(run, torch.stack([mean - radii[2], mean + radii[2]]), resolution, pad=0.05)
    figure = balls_figure(plane, run.latents, run.rejected, run.rejected_reason, radii)
    facts = {**_facts(run), "grid": len(plane.xs), "mean": mean.tolist(), "radii": radii}
    return _finish("figure4", figure, out, facts, start)


def figure5(model_name: str, out: Path, explored: Explored, *, resolution: int = RESOLUTION) -> Content:
    """The samples of every method over the region, with some of their images.

    Raises:
        ConfigError: the model's latent space is no plane, or nothing marks the region's border.
        RunDirectoryError: a file cannot be written.
    """
    start, run = time.perf_counter(), _plane_run(model_name, explored)
    epsilon_l2(run)  # raises where there is no ball to compare with
    methods = {samples.method: _at_random(run, samples, count=8) for samples in _drawn(run)}
    plane = _map(run, torch.cat([drawn.latents for drawn in methods.values()]), resolution, pad=0.08)
    figure = methods_figure(plane, run.query, methods)
    shares = {name: drawn.share for name, drawn in methods.items()}
    return _finish("figure5", figure, out, {**_facts(run), "grid": len(plane.xs), "in_region": shares}, start)


def figure6(
    model_name: str, out: Path, explored: Explored, *, n_queries: int = _N_LAYERS_QUERIES, layers: Sequence[int] = ()
) -> Content:
    """A row for each layer: the deviation of every pixel, and samples; and over queries, how local the changes are.

    Raises:
        ConfigError: a tree has no node but the query.
        RunDirectoryError: a file cannot be written.
    """
    start, rows, drawn = time.perf_counter(), [], {}
    for layer in layers or paper_layers(model_name):
        shares = []
        for seed in range(n_queries):
            run = explored(model_name, layer, seed)
            samples = run.latents[1:]
            shares.append(changed_share(run.network.image_batches(samples), run.query_image))
            if seed == _LAYERS_QUERY:
                chosen = [index - 1 for index in choose_spread(run.latents, 9)[1:]]
                gallery = Gallery.of(run.network.image_batches(samples), chosen)
                drawn[layer] = gallery.deviation, gallery.shown
        mean, interval = sum(shares) / n_queries, bootstrap_interval(shares)
        facts = _facts(explored(model_name, layer, _LAYERS_QUERY))
        rows.append({**facts, "changed_share": mean, "interval": interval, "changed_shares": shares})
    query = explored(model_name, rows[0]["layer"], _LAYERS_QUERY).query_image
    labels = {layer: f"layer {layer}" for layer in drawn}
    figure = layers_figure(query, {labels[layer]: pair for layer, pair in drawn.items()})
    return _finish("figure6", figure, out, {"rows": rows, "queries": n_queries}, start)


def figure7(model_name: str, out: Path, explored: Explored, *, n_queries: int = _N_ROWS) -> Content:
    """Rows of queries: the query, samples of the eps-L2 ball, samples of E-GBAS. For a latent space of any size.

    Raises:
        ConfigError: at none of the queries anything marks the region's border, or a tree has no node but the query.
        RunDirectoryError: a file cannot be written.
    """
    start = time.perf_counter()
    layer = _ROWS_LAYER if _ROWS_LAYER in (layers := paper_layers(model_name)) else layers[len(layers) // 2]
    runs = [explored(model_name, layer, seed) for seed in range(n_queries)]
    if not any(has_border(run) for run in runs):
        raise ConfigError(f"none of the {n_queries} trees met its region's border, so there is no ball to compare with")
    images: dict[str, list[Tensor | None]] = {L2: [], E_GBAS: []}
    for run in runs:
        drawn = {samples.method: samples for samples in _drawn(run)}
        for method, rows in images.items():
            rows.append(_at_random(run, drawn[method], count=8).images if method in drawn else None)
    queries = torch.stack([run.query_image for run in runs])
    labels = [f"seed {run.seed}" for run in runs]
    figure = rows_figure(queries, {f"{L2} ball": images[L2], f"{E_GBAS}, layer {layer}": images[E_GBAS]}, labels)
    return _finish("figure7", figure, out, {"rows": [_facts(run) for run in runs]}, start)


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


def _plane_run(model_name: str, explored: Explored, layer: int = LAYER) -> Exploration:
    size = explored.model(model_name).latent.size
    if size != PLANE:
        raise ConfigError(
            f"{model_name} has a latent space of {size} dimensions; this figure is drawn in the latent plane, "
            f"which needs 2: use --model {PLANE_MODEL}"
        )
    return explored(model_name, layer, SEED)


def _drawn(run: Exploration) -> list[Samples]:
    return draw_all(run, rng=torch.Generator().manual_seed(run.seed))


def _chosen(n_samples: int, *, count: int) -> list[int]:
    return choose_pictured(n_samples, count, rng=torch.Generator().manual_seed(0))


def _at_random(run: Exploration, samples: Samples, *, count: int) -> Drawn:
    return _pictured(run, samples, _chosen(len(samples.latents), count=count))


def _spread(run: Exploration, samples: Samples, *, count: int) -> Drawn:
    """The samples farthest from the query and from each other, by the same rule for every method."""
    order = choose_spread(torch.cat([run.query[None], samples.latents]), count + 1)
    return _pictured(run, samples, [index - 1 for index in order[1:]])


def _pictured(run: Exploration, samples: Samples, chosen: Sequence[int]) -> Drawn:
    images = images_of(run, samples.latents[list(chosen)])
    share = share_in_region(run.region, samples.latents)
    return Drawn(latents=samples.latents, pictured=chosen, images=images, share=share)


def _map(run: Exploration, points: Tensor, resolution: int, pad: float) -> PlaneMap:
    window = plane_window(points.double(), pad=pad)
    return map_plane(run.region, run.query, window, resolution=resolution, max_units=0)


def _grown(window: Window, factor: float) -> Window:
    left, right, bottom, top = window
    x, y, half = (left + right) / 2, (bottom + top) / 2, factor * (right - left) / 2
    return x - half, x + half, y - half, y + half


def _facts(run: Exploration) -> Content:
    outside = int((run.rejected_reason == OUTSIDE).sum())
    return {
        "model": run.model_name,
        "seed": run.seed,
        "layer": run.layer.number,
        "units": run.layer.units,
        "supporting_units": len(run.beropt.units),
        "accepted": len(run.latents),
        "rejected_outside": outside,
        "rejected_too_close": len(run.rejected) - outside,
        "epsilon_l2": epsilon_l2(run) if has_border(run) else None,
    }


def _counted(part: Boundaries) -> Content:
    return {
        "window": part.window,
        "units_drawn": len(part.lines),
        "supporting_units_crossing": len(part.crossing_kept),
        "share_in_region": float((part.margin >= 0).mean()),
    }


def _finish(name: str, figure: Figure, out: Path, facts: Content, start: float) -> Content:
    pictures = _save(figure, out, name)
    content = {"figure": name, "pictures": pictures, **facts, "seconds": time.perf_counter() - start}
    write_json(out / f"{name}.json", content)
    return content


def _save(figure: Figure, out: Path, stem: str) -> list[str]:
    """Write both files, each whole or not at all, and return their names."""
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
