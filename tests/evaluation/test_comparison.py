# SPDX-License-Identifier: MIT
import dataclasses

import pytest
import torch
from torch import nn

from egbas.evaluation.baselines import E_GBAS, L2, LINF, METHODS, RADIUS_MATCHED
from egbas.evaluation.comparison import (
    Score,
    as_table,
    draw_all,
    estimate,
    evaluate,
    images_of,
    pictured,
    ratios,
    summarise,
)
from egbas.evaluation.metrics.spread import deviation
from egbas.samplers.gbrrt import TOO_CLOSE
from tests.runs import colour_run


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scores_of(method: str, *values: float, metric: str = "deviation", layer: int = 1) -> list[Score]:
    """One score for each query."""
    return [
        Score(model="m", layer=layer, query=query, method=method, metric=metric, value=value)
        for query, value in enumerate(values)
    ]


def judges() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(144, 8), nn.ReLU())
        return critic.eval(), nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()


def test_every_method_and_metric_at_one_query() -> None:
    run = colour_run()
    samples = draw_all(run, rng=seeded())
    critic, classifier = judges()
    scores = evaluate(run, samples, discriminator=critic, classifier=classifier)
    found = {(score.method, score.metric): score.value for score in scores}
    assert [drawn.method for drawn in samples] == list(METHODS)
    for method in METHODS:
        metrics = {metric for name, metric in found if name == method}
        assert metrics >= {"deviation", "critic similarity 1", "critic similarity 2", "class consistency", "in region"}
        assert found[method, "samples"] == len(run.latents) - 1
    assert found[E_GBAS, "in region"] == 1
    assert found[E_GBAS, "deviation"] == pytest.approx(deviation(run.images()[1:]))
    assert ("epsilon" in {metric for name, metric in found if name == L2}) and (E_GBAS, "epsilon") not in found
    assert {(score.model, score.layer, score.query) for score in scores} == {("small <net>", 1, 3)}


def test_without_judges_and_border() -> None:
    run = colour_run()
    tree = dataclasses.replace(run.tree, rejected_reason=torch.full_like(run.tree.rejected_reason, TOO_CLOSE))
    run = dataclasses.replace(run, samples={"tree": tree})
    scores = evaluate(run, draw_all(run, rng=seeded()))
    assert {score.method for score in scores} == {E_GBAS, RADIUS_MATCHED}
    assert not any("critic" in score.metric or "class" in score.metric for score in scores)


def test_repeatable() -> None:
    run = colour_run()
    assert evaluate(run, draw_all(run, rng=seeded(1))) == evaluate(run, draw_all(run, rng=seeded(1)))


def test_images() -> None:
    run = colour_run()
    assert torch.allclose(images_of(run, run.latents), run.images(), atol=1e-6)


def test_summary_by_hand() -> None:
    rows = summarise(scores_of(E_GBAS, 1.0, 3.0) + scores_of(E_GBAS, 5.0, layer=2))
    assert rows[0] | {"low": 0, "high": 0} == {
        "model": "m",
        "layer": 1,
        "method": E_GBAS,
        "metric": "deviation",
        "mean": 2.0,
        "low": 0,
        "high": 0,
        "n_queries": 2,
    }
    assert (rows[0]["low"], rows[0]["high"]) == (1.0, 3.0)
    assert (rows[1]["mean"], rows[1]["low"], rows[1]["n_queries"]) == (5.0, None, 1)


def test_ratios_pair_the_queries() -> None:
    ours = scores_of(E_GBAS, 1.0, 2.0, 9.0)
    rows = ratios(ours + scores_of(L2, 2.0, 4.0) + scores_of(LINF, 1.0, 2.0, 9.0) + scores_of(L2, 7.0, metric="other"))
    assert [(row["method"], row["mean"], row["n_queries"]) for row in rows] == [(L2, 0.5, 2), (LINF, 1.0, 3)]
    assert (rows[0]["low"], rows[0]["high"]) == (0.5, 0.5)


def test_pictured_samples_are_drawn_at_random() -> None:
    run = colour_run()
    samples = draw_all(run, rng=seeded())
    chosen = pictured(run, samples, 8)
    assert list(chosen) == list(METHODS)
    order = torch.randperm(len(samples[0].latents), generator=seeded(run.seed))[:8]
    assert order.tolist() != list(range(8))  # not the nearest to the query, which trees list first
    torch.testing.assert_close(chosen[E_GBAS], images_of(run, samples[0].latents[order]))
    assert len(pictured(run, samples, 10**6)[L2]) == len(samples[1].latents)


def test_a_table_by_hand() -> None:
    row = {"method": "a", "metric": "x", "mean": 0.5, "low": 0.25, "high": 1.0}
    other = {"method": "b", "metric": "y", "mean": 0.5, "low": None, "high": None}
    assert as_table([row, other]) == (["metric", "a", "b"], [["x", "0.5 [0.25, 1]", "-"], ["y", "-", "0.5"]])
    assert estimate(other) == "0.5"


def test_a_baseline_that_is_zero_everywhere_has_no_ratio() -> None:
    ours, theirs = (
        Score(model="m", layer=1, query=1, method=method, metric="class consistency", value=value)
        for method, value in (("E-GBAS", 0.5), ("eps-L2", 0.0))
    )
    assert ratios([ours, theirs], "class consistency") == []
