# SPDX-License-Identifier: MIT
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError
from egbas.exploration.answers import Sampling, check_samples
from egbas.exploration.budget import largest_budget
from egbas.exploration.problem import Problem
from egbas.exploration.result import Exploration
from egbas.latent import LatentSpace
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import HALVES_QUERY, HalvesNet
from tests.regions import Box

SHORT = GbRrtConfig(iterations=60)


class Whim:
    """A prior that says nothing of its density."""

    def sample(self, n: int, size: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, size, generator=rng)

    def contains(self, z: Tensor) -> Tensor:
        return torch.ones(len(z), dtype=torch.bool)

    def scale(self, size: int) -> float:
        return 1.0

    def largest_half_width(self, size: int) -> float:
        return 4.0

    def record(self) -> dict[str, Any]:
        return {"prior": "whim"}


def problem(latent: LatentSpace | None = None, query: Tensor = HALVES_QUERY) -> Problem:
    return Problem.of(HalvesNet(), [query], [0], 1, latent=latent, geometry="auto", model_name=None)


def sampling(samples: int = 100, max_evaluations: int | None = None, **changes: object) -> Sampling:
    settings = {"samplers": None, "problem": problem()} | changes
    about, named = settings["problem"], settings["samplers"]
    return Sampling.of(about, named, samples=samples, max_evaluations=max_evaluations, gbrrt=SHORT)  # type: ignore[arg-type]


def test_the_tree_and_exact_samples_are_the_default() -> None:
    found = sampling(samples=30)
    assert (found.named, found.notices) == (("tree", "prior"), ())
    assert found.exact is not None and found.exact.samples == 30
    assert found.exact.max_evaluations == largest_budget(problem().precisions)
    assert found.gbrrt is SHORT


def test_no_samples_leave_the_tree() -> None:
    found = sampling(samples=0)
    assert (found.named, found.exact, found.notices) == (("tree",), None, ())


@pytest.mark.parametrize(("named", "is_exact"), [(["tree"], False), (["prior"], True), (["tree", "uniform"], True)])
def test_samplers_that_are_asked_for_are_taken(named: list[str], is_exact: bool) -> None:
    found = sampling(samplers=named, max_evaluations=777)
    assert found.named == named
    assert (found.exact is not None) == is_exact
    assert found.exact is None or found.exact.max_evaluations == 777


def test_a_prior_without_a_density_leaves_the_tree_and_says_so() -> None:
    found = sampling(problem=problem(LatentSpace(shape=(2,), prior=Whim())))
    assert (found.named, found.exact) == (("tree",), None)
    assert found.notices[0].startswith("There are no exact samples: ")


def test_a_query_outside_the_prior_has_no_exact_samples() -> None:
    found = sampling(problem=problem(LatentSpace(shape=(2,), prior="uniform", bound=0.1)))
    assert found.named == ("tree",)
    assert found.notices == ("There are no exact samples: the query lies outside the support of the prior.",)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("samples", "max_evaluations", "samplers", "message"),
    [
        (-1, None, None, "got samples=-1; expected a whole number, at least 0"),
        (1.5, None, None, "got samples=1.5"),
        (True, None, None, "got samples=True"),
        (10, 0, None, "got max_evaluations=0; expected a whole number, at least 1"),
        (10, 1.0, None, "got max_evaluations=1.0"),
        (0, None, ["prior"], "got samples=0; expected at least 1 for an exact sampler"),
        (10, None, ["cloud"], "sampler 'cloud' is unknown"),
    ],
)
def test_numbers_that_cannot_be_meant(samples: int, max_evaluations: int, samplers: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_samples(samples, max_evaluations, samplers, None, {})


def explore(d: int, **changes: object) -> Exploration:
    net = nn.Sequential(nn.Linear(d, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    settings = {"rng": 0, "gbrrt": SHORT, "samples": 10, "max_evaluations": 2000} | changes
    return egbas.explore(net, torch.zeros(d), region=Box(1.0), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("half_width", [None, 1.0])
def test_a_step_that_no_tree_can_have_is_refused_before_any_work(half_width: float | None) -> None:
    config = GbRrtConfig(step_size=1e-320, half_width=half_width)
    stages: list[str] = []
    with pytest.raises(ConfigError, match="lost in the rounding"):
        egbas.explore(
            HalvesNet(), HALVES_QUERY, layer=1, rng=0, gbrrt=config, progress=lambda stage, *_: stages.append(stage)
        )
    assert not stages
    run = egbas.explore(HalvesNet(), HALVES_QUERY, layer=1, rng=0, samplers=["prior"], samples=5, gbrrt=config)
    assert run.tree is None  # who asks for no tree may leave its settings as they are


def test_answers_are_there_where_exact_samples_are() -> None:
    both, alone = explore(2), explore(2, samples=0)
    assert both.exact is not None and both.facts is not None and both.mass is not None
    assert set(both.certificates) == set(both.samples) == {"tree", "prior"}
    assert both.exact_config is not None and both.exact_config.max_evaluations == 2000
    assert (alone.exact, alone.facts, alone.mass, alone.exact_config) == (None, None, None, None)
    assert {"facts", "mass"} == set(both.seconds) - set(alone.seconds) - {"prior"}


def test_the_mass_of_a_box_in_the_plane() -> None:
    found = explore(2).mass
    assert found is not None
    assert found.low < 2 * torch.erf(torch.tensor(0.5**0.5)).log10().item() < found.high  # two sides of one deviation


def test_no_mass_is_measured_where_nobody_wants_it() -> None:
    assert explore(2, mass=False).mass is None
    assert explore(9, mass=False).mass is None


def test_the_mass_of_a_region_of_many_dimensions_and_no_walls_is_not_known() -> None:
    assert explore(9).mass is None


def test_judges_and_features_are_asked_in_a_region_of_ones_own() -> None:
    net = HalvesNet()
    run = egbas.explore(
        net,
        HALVES_QUERY,
        region=Box(1.0),
        rng=0,
        gbrrt=SHORT,
        samples=10,
        judges=[lambda images: {"corner": images[:, 0, 0, 0]}],
        features=lambda images: images[..., 0].flatten(1),
    )
    assert run.facts is not None
    assert run.facts.scores["corner"].query == pytest.approx(0.8)
    assert run.facts.feature_distance is not None


def test_more_samples_than_there_is_memory_for_are_refused_before_any_work() -> None:
    net, told = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4)).eval(), list[str]()
    with pytest.raises(ConfigError, match="fewer samples"):
        egbas.explore(net, torch.ones(64), 1, rng=0, samples=10**6, progress=lambda *what: told.append(what[0]))
    assert not told
