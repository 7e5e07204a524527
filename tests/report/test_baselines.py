# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch

from egbas.evaluation.baselines import METHODS, RADIUS_MATCHED
from egbas.evaluation.comparison import Comparison, draw_all, evaluate, pictured, ratios, summarise
from egbas.report import galleries_of, render
from egbas.report.baselines import MEANINGS, baselines_figure, beside_baselines
from egbas.samplers.gbrrt import TOO_CLOSE
from tests.runs import plane_run


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    run = plane_run()
    samples = draw_all(run, rng=torch.Generator().manual_seed(0))
    scores = evaluate(run, samples)
    return Comparison(images=pictured(run, samples), rows=summarise(scores), ratios=ratios(scores))


def test_the_section_holds_every_number(comparison: Comparison) -> None:
    run = plane_run()
    page = render(run, galleries_of(run), comparison)
    assert "Beside the baselines" in page
    for row in (*comparison.rows, *comparison.ratios):
        assert f"<td>{row['mean']:.4g}</td>" in page
    assert all(f">{method}</th>" in page for method in METHODS)
    told = {row["method"]: f"{row['mean']:.2f} of that of {row['method']}" for row in comparison.ratios}
    assert all(text in page for text in told.values())


def test_every_metric_says_what_it_means(comparison: Comparison) -> None:
    content = beside_baselines(plane_run(), comparison)
    for name, _ in content["comparison_lines"]:
        assert any(name.startswith(start) for start, _ in content["comparison_meanings"])
    assert {name for name, _ in content["comparison_meanings"]} < set(MEANINGS)  # no critic, no classifier here
    assert "of this query" in content["comparison_sentence"]


def test_no_section_without_a_comparison() -> None:
    run = plane_run()
    assert "Beside the baselines" not in render(run, galleries_of(run))


def test_without_a_border_only_the_radius_is_matched() -> None:
    run = plane_run()
    unmarked = torch.full_like(run.rejected_reason, TOO_CLOSE)
    run = dataclasses.replace(run, samples={"tree": dataclasses.replace(run.tree, rejected_reason=unmarked)})
    samples = draw_all(run, rng=torch.Generator().manual_seed(0))
    scores = evaluate(run, samples)
    content = beside_baselines(
        run, Comparison(images=pictured(run, samples), rows=summarise(scores), ratios=ratios(scores))
    )
    assert content["comparison_headings"] == ["metric", METHODS[0], RADIUS_MATCHED]


def test_a_row_of_pictures_for_each_method(comparison: Comparison) -> None:
    labels = [axes.get_ylabel() for axes in baselines_figure(plane_run(), comparison).axes]
    assert [label for label in labels if label] == list(METHODS)
