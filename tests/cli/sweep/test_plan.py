# SPDX-License-Identifier: MIT
import pytest

from egbas.cli.selftest import small_network
from egbas.cli.sweep.plan import hours, n_workers, names_of
from egbas.network import Network


def test_a_layer_of_two_names_is_one() -> None:
    network = Network(small_network(), (2,))
    layers = {1: network.resolve(1), network.resolve(1).path: network.resolve(1), 2: network.resolve(2)}
    assert names_of(layers) == {network.resolve(1).path: 1, network.resolve(2).path: 2}


@pytest.mark.parametrize(
    ("seconds", "told"), [(40.0, "40 s"), (600.0, "10 min"), (7200.0, "2.0 h"), (1e7, "2,777.8 h")]
)
def test_times_are_told_in_one_unit(seconds: float, told: str) -> None:
    assert hours(seconds) == told


def test_only_a_cluster_knows_how_many_workers_it_has() -> None:
    assert n_workers("ray", None, "cpu") is None
    assert n_workers("ray", 3, "cpu") == n_workers("local", 3, "cpu") == 3
    assert (n_workers("local", None, "cpu") or 0) >= 1
