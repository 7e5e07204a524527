# SPDX-License-Identifier: MIT
"""Weights that look random, and weights that do not."""

import math

import pytest
import torch
from torch import Tensor, nn

from egbas.network.classified import Classified, Pixels
from egbas.network.weights import RANDOM_BELOW, check_weights, score_of, weights_of
from egbas.zoo.models import load_classifier, load_model

INITS = {
    "normal": lambda w: nn.init.normal_(w, 0, 0.02),
    "kaiming": nn.init.kaiming_uniform_,
    "truncated": lambda w: nn.init.trunc_normal_(w, std=0.02),
    "orthogonal": nn.init.orthogonal_,
    "positive": lambda w: nn.init.uniform_(w, 0, 1),
}


def parts(seed: int = 0) -> tuple[nn.Linear, nn.Conv2d]:
    torch.manual_seed(seed)
    return nn.Linear(8, 512), nn.Conv2d(32, 16, 3)


def joined(first: nn.Linear, second: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(first, nn.Unflatten(1, (32, 4, 4)), second, nn.ReLU())


def signed_permutation(weight: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    values = weight.detach().flatten()[torch.randperm(weight.numel(), generator=rng)]
    return (values * (2 * torch.randint(2, values.shape, generator=rng) - 1)).view_as(weight)


@pytest.mark.parametrize("init", INITS)
def test_fresh_weights_look_random(init: str) -> None:
    for seed in range(5):
        first, second = parts(seed)
        for weight in (first.weight, second.weight):
            INITS[init](weight)
        module = joined(first, second)
        found = check_weights(module)
        assert found.random == ("0.weight", "2.weight") == tuple(found.scores)
        (told,) = found.warnings(" of it")
        assert told.startswith("The weights of it look random, all 2 tensors")


def test_scores_of_random_weights_are_about_normal() -> None:
    rng = torch.Generator().manual_seed(0)
    scores = [score_of(torch.randn(32, 64, generator=rng)) for _ in range(200)]
    values = torch.tensor(scores, dtype=torch.float64)
    assert abs(float(values.mean())) < 0.25 and 0.8 < float(values.std()) < 1.2


@pytest.mark.parametrize("name", ["dcgan-mnist-2d", "dcgan-mnist", "pggan-mnist"])
def test_trained_weights_do_not_and_their_permutations_do(name: str) -> None:
    generator = load_model(name).generator
    found = check_weights(generator)
    assert found.random == () and found.warnings() == () and found.fresh_norms == 0
    assert min(found.scores.values()) > 2 * RANDOM_BELOW
    weights = dict(generator.named_parameters())
    assert all(score_of(signed_permutation(weights[each])) < RANDOM_BELOW for each in found.scores)  # type: ignore[operator]


def test_weights_of_which_half_are_random_are_named() -> None:
    first, second = parts()
    second.weight.data += torch.randn(16, 1, 3, 3, generator=torch.Generator().manual_seed(3))  # of all channels alike
    module = joined(first, second).append(nn.Flatten()).append(nn.Linear(64, 64))
    (told,) = check_weights(module).warnings()
    assert told.startswith("2 of 3 weight tensors look random: 0.weight, 5.weight.")
    first.weight.data += 1 + torch.arange(8)
    assert check_weights(module).random == ("5.weight",)
    assert check_weights(module).warnings() == ()


def test_small_constant_and_infinite_tensors_tell_nothing() -> None:
    for weight in (torch.randn(10, 10), torch.randn(4, 1000), torch.ones(64, 64), torch.full((64, 64), math.inf)):
        assert score_of(weight) is None
    assert score_of(torch.arange(4096).view(64, 64)) is None
    assert check_weights(nn.Linear(3, 3)).warnings() == ()


def test_batch_norms_without_statistics_of_their_own_are_told() -> None:
    trained = load_model("dcgan-mnist").generator
    norm = nn.BatchNorm2d(3)
    module = nn.Sequential(norm, nn.BatchNorm1d(2, track_running_stats=False), nn.ReLU())
    (told,) = check_weights(module).warnings()
    assert told.startswith("The batch norms (1) have the statistics of fresh ones")
    assert norm.running_mean is not None
    norm.running_mean[0] = 0.1
    assert check_weights(module).warnings() == ()
    assert check_weights(trained).norms == 4


def test_a_classifier_is_looked_at_by_itself() -> None:
    found = weights_of(Classified(Pixels((1, 28, 28)), load_classifier("lenet-mnist")))
    assert found.keys() == {"", " of the classifier"}
    assert found[""].scores == {} and found[" of the classifier"].random == ()


def test_what_is_written_down() -> None:
    assert check_weights(joined(*parts())).record()["random"] == ["0.weight", "2.weight"]
    assert check_weights(nn.ReLU()).record() == {
        "tensors": 0,
        "random": [],
        "largest_score": None,
        "batch_norms": 0,
        "fresh_batch_norms": 0,
    }


def test_a_table_of_labels_that_nobody_trained_is_no_weight() -> None:
    assert score_of(torch.eye(64)) is None
    assert score_of(torch.zeros(64, 64)) is None
