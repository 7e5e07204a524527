# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ConfigError, ShapeError
from egbas.samplers.contract import Sampler, Samples, checked
from egbas.samplers.gbrrt import Tree


def samples(latents: torch.Tensor) -> Samples:
    return Samples(latents=latents, status="COMPLETED", evaluations=3)


def test_samples_say_how_the_sampling_ended() -> None:
    drawn = samples(torch.zeros(4, 2))
    assert (drawn.status, drawn.evaluations, dict(drawn.facts), drawn.sentence) == ("COMPLETED", 3, {}, "")
    assert drawn.drawn is drawn.latents
    assert issubclass(Tree, Samples)


def test_what_has_a_name_and_samples_is_a_sampler() -> None:
    class Walk:
        name = "walk"

        def sample(self, region, start, latent, rng, progress=None):
            return samples(start[None])

    assert isinstance(Walk(), Sampler)
    assert not isinstance(samples(torch.zeros(4, 2)), Sampler)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (torch.zeros(4, 2), ConfigError, "'walk' returned Tensor; expected egbas.Samples"),
        (samples(torch.zeros(4, 3)), ShapeError, r"'walk' returned latents of shape \(4, 3\); expected \(n, 2\)"),
        (samples(torch.tensor([[0.0, torch.nan]])), ShapeError, "all values finite"),
    ],
)
def test_what_no_exploration_can_use_is_refused(given: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checked(given, "walk", 2)


@pytest.mark.parametrize("facts", [{"t": torch.ones(2)}, {"x": float("nan")}])
def test_facts_are_fit_for_json(facts: dict[str, object]) -> None:
    drawn = Samples(latents=torch.zeros(1, 2), status="COMPLETED", evaluations=0, facts=facts)
    with pytest.raises(ConfigError, match="not fit for JSON"):
        checked(drawn, "walk", 2)


def test_no_sample_at_all_is_an_answer() -> None:
    assert checked(samples(torch.zeros(0, 2)), "walk", 2).latents.shape == (0, 2)
