# SPDX-License-Identifier: MIT
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from egbas.errors import ConfigError
from egbas.evaluation.baselines import epsilon_l2
from egbas.exploration.result import Exploration
from egbas.reproduce import figures
from egbas.reproduce.shared_runs import Explored
from egbas.samplers.gbrrt import GbRrtConfig
from tests.runs import QUICK

EXPLORED = Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=150))
MODEL = figures.PLANE_MODEL


def check_files(out: Path, content: dict[str, object], names: list[str]) -> None:
    assert content["pictures"] == [f"{name}.{suffix}" for name in names for suffix in ("png", "pdf")]
    for name in names:
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 800
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    written = json.loads((out / f"{content['figure']}.json").read_text())
    assert written == json.loads(json.dumps(content))
    assert sorted(path.name for path in out.iterdir()) == sorted([*content["pictures"], f"{content['figure']}.json"])  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.parametrize("make", [figures.figure1, figures.figure3, figures.figure4, figures.figure5])
def test_figures_of_one_query(make: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    content = make(MODEL, tmp_path, EXPLORED, resolution=32)
    check_files(tmp_path, content, [make.__name__])
    run = EXPLORED(MODEL, figures.LAYER, figures.SEED)
    assert content["grid"] == 32
    assert (content["seed"], content["layer"]) == (figures.SEED, figures.LAYER)
    assert content["accepted"] == len(run.latents)
    assert content["rejected_outside"] + content["rejected_too_close"] == len(run.rejected)  # pyright: ignore
    assert content["epsilon_l2"] == epsilon_l2(run)


def test_the_balls_radii(tmp_path: Path) -> None:
    content = figures.figure4(MODEL, tmp_path, EXPLORED, resolution=32)
    run = EXPLORED(MODEL, figures.LAYER, figures.SEED)
    outside = run.rejected[run.rejected_reason == 1].double()
    distances = [(point - run.latents.double().mean(0)).square().sum().sqrt().item() for point in outside]
    smallest, average, largest = content["radii"]
    assert smallest == pytest.approx(min(distances))
    assert largest == pytest.approx(max(distances))
    assert average == pytest.approx(epsilon_l2(run)) == pytest.approx((min(distances) + max(distances)) / 2)


def test_all_samples_of_e_gbas_lie_in_the_region(tmp_path: Path) -> None:
    shares = figures.figure5(MODEL, tmp_path, EXPLORED, resolution=32)["in_region"]
    assert list(shares) == ["E-GBAS", "eps-L2", "eps-Linf", "radius-matched"]
    assert shares["E-GBAS"] == 1
    assert max(list(shares.values())[1:]) < 1


def test_the_boundaries_of_every_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LAYERS", (1, 2))
    content = figures.figure2(MODEL, tmp_path, EXPLORED, resolution=16)
    check_files(tmp_path, content, ["figure2-l1", "figure2-l2"])
    for row in content["rows"]:
        assert 0 < row["near"]["units_drawn"] <= row["wide"]["units_drawn"] <= row["units"]
        assert row["wide"]["supporting_units_crossing"] <= row["supporting_units"]
        assert row["near"]["share_in_region"] > row["wide"]["share_in_region"] > 0


def test_rows_of_queries(tmp_path: Path) -> None:
    content = figures.figure7(MODEL, tmp_path, EXPLORED, n_queries=2)
    check_files(tmp_path, content, ["figure7"])
    assert [row["seed"] for row in content["rows"]] == [0, 1]


def test_layers_of_a_pggan(tmp_path: Path) -> None:
    content = figures.figure6("pggan-mnist", tmp_path, EXPLORED, n_queries=2, layers=(2, 6))
    check_files(tmp_path, content, ["figure6"])
    assert [row["layer"] for row in content["rows"]] == [2, 6]
    assert all(0 < share < 1 for row in content["rows"] for share in row["changed_shares"])
    assert all(row["geometry"] == {"used": "sphere", "asked": "auto"} for row in content["rows"])


def test_layers_with_small_trees(tmp_path: Path) -> None:
    explored = Explored(beropt=QUICK, gbrrt=GbRrtConfig(iterations=6))
    content = figures.figure6("pggan-mnist", tmp_path, explored, n_queries=2, layers=(2, 4, 6))
    check_files(tmp_path, content, ["figure6"])
    counts = {row["accepted"] for row in content["rows"]}
    assert len(counts) > 1  # rows of different lengths
    assert max(counts) < 9


def test_a_layer_that_accepted_nothing(tmp_path: Path) -> None:
    class Bare(Explored):
        """Trees of the query alone."""

        def _summarise(self, run: Exploration, key: tuple[str, int, int]) -> None:
            tree = replace(run.tree, latents=run.latents[:1], parents=run.parents[:1])
            super()._summarise(replace(run, samples={"tree": tree}), key)

    explored = Bare(beropt=QUICK, gbrrt=GbRrtConfig(iterations=3))
    content = figures.figure6("pggan-mnist", tmp_path, explored, n_queries=1, layers=(2,))
    check_files(tmp_path, content, ["figure6"])
    assert (content["rows"][0]["changed_share"], content["rows"][0]["changed_shares"]) == (None, [None])
    with pytest.raises(ConfigError, match="no ball to compare with"):
        figures.figure7(MODEL, tmp_path, explored, n_queries=1)


@pytest.mark.parametrize(
    ("name", "model", "n_explorations"),
    [("figure1", MODEL, 1), ("figure6", "pggan-mnist", 30), ("figure7", "pggan-mnist", 6), ("figure7", MODEL, 6)],
)
def test_what_is_expected_of_a_figure_is_what_it_asks_for(
    name: str, model: str, n_explorations: int, tmp_path: Path
) -> None:
    class Asked(Exception):
        pass

    class Unexplored(Explored):
        def _explore(self, model_name: str, layer: int, seeds: Sequence[int]) -> None:
            raise Asked

    before, after = Unexplored(), Unexplored()
    figures.expect(name, model, before)
    with pytest.raises(Asked):
        figures.FIGURES[name](model, tmp_path, after)
    assert before._expected == after._expected
    assert len(before._expected) == n_explorations


@pytest.mark.parametrize("name", figures.PLANE_FIGURES)
def test_planes_only(name: str, tmp_path: Path) -> None:
    class Unused(Explored):
        def __call__(self, model_name: str, layer: int, seed: int) -> None:  # type: ignore[override]
            raise AssertionError("explored before the check")

    with pytest.raises(ConfigError, match=r"64 dimensions.*use --model dcgan-mnist-2d"):
        figures.FIGURES[name]("dcgan-mnist", tmp_path, Unused())
    assert not list(tmp_path.iterdir())


def test_defaults_fit() -> None:
    assert [figures.default_model(name) for name in ("figure1", "figure6", "figure7")] == [
        "dcgan-mnist-2d",
        "pggan-mnist",
        "dcgan-mnist",
    ]
