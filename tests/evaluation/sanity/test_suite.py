# SPDX-License-Identifier: MIT
import copy
import json

import pytest
import torch

from egbas.cli.selftest import small_network
from egbas.errors import ConfigError
from egbas.evaluation.sanity import check_sanity
from egbas.latent import Frozen, LatentSpace, Normal, Product
from tests.sanities import QUERY, QUICK, asked, small_sanity


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert json.dumps(asked().rows()) == json.dumps(small_sanity().rows())


def test_all_four_questions_have_a_verdict() -> None:
    found = small_sanity()
    assert list(found.verdicts) == ["randomised_weights", "random_sets", "necessity", "samplers"]
    assert all(found.verdicts.values())
    rows = json.loads(json.dumps(found.rows(), allow_nan=False))
    assert all(rows[name]["verdict"] == verdict for name, verdict in found.verdicts.items())
    assert (rows["model"], rows["layer"], rows["level"], rows["seed"]) == ("small", 1, 6, 0)


def test_the_network_is_left_bit_for_bit() -> None:
    network = small_network()
    before, hooks = copy.deepcopy(network.state_dict()), len(network._forward_hooks)
    few = {"samples": 10, "max_evaluations": 500, "n_sets": 1, "beropt": QUICK}
    found = check_sanity(network, QUERY, 1, rng=0, boundary="quantile:0.4", **few)
    assert str(found.run.network.boundary) == "quantile:0.4"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules()) and len(network._forward_hooks) == hooks


@pytest.mark.parametrize("n_sets", [0, -1, True])
def test_a_number_of_sets_that_is_none_is_refused(n_sets: int) -> None:
    with pytest.raises(ConfigError, match="n_sets"):
        check_sanity(small_network(), QUERY, 1, rng=0, n_sets=n_sets)


def test_a_prior_without_exact_samples_is_refused() -> None:
    frozen = LatentSpace(shape=(2,), prior=Product(((1, Normal()), (1, Frozen((-0.2,))))))
    with pytest.raises(ConfigError, match="no exact samples"):
        check_sanity(small_network(), QUERY, 1, rng=0, latent=frozen)
