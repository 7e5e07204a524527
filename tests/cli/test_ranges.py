# SPDX-License-Identifier: MIT
import pytest
from torch import nn

from egbas.cli.ranges import layers, levels, numbers, spans
from egbas.errors import ConfigError
from egbas.network import Network
from tests.problems import HalvesNet


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3", [3]),
        ("1,3", [1, 3]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("1-3,6", [1, 2, 3, 6]),
        (" 2 , 1 ", [2, 1]),  # in the order given
        ("5-5", [5]),
        ("1-3,2,3-4", [1, 2, 3, 4]),  # each once
    ],
)
def test_lists_and_ranges(text: str, found: list[int]) -> None:
    assert numbers(text, "--level") == found


@pytest.mark.parametrize("text", ["", "a", "1,", "1-", "-1", "1--3", "1-2-3", "1.5", "1 2", "1;2"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--level .* is no number; expected such as 3, or 1,3 or 0-19"):
        numbers(text, "--level")


@pytest.mark.parametrize("text", ["3-1", "1,5-4", "0-10000", "0-99999999999"])
def test_ranges_that_run_backwards_or_are_typing_errors(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--seeds .* runs backwards or is longer than 10,000"):
        numbers(text, "--seeds")
    assert len(numbers("0-9999", "--seeds")) == 10_000


def network(n_layers: int, out: int = 3) -> Network:
    hidden = [layer for _ in range(n_layers) for layer in (nn.Linear(2, 2), nn.ReLU())]
    return Network(nn.Sequential(*hidden, nn.Linear(2, out)).eval(), (2,))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", [1]),
        ("1-3,5", [1, 2, 3, 5]),
        ("relu1,relu3", ["relu1", "relu3"]),
        ("2,block.relu()#2, 3-4", [2, "block.relu()#2", 3, 4]),
        ("2,1-3,2", [2, 1, 3]),
        ("1-2,.2,.1-2", [1, 2, ".2", ".1-2"]),  # the modules 2 and 1-2
    ],
)
def test_layers_are_numbers_ranges_and_paths(text: str, found: list[int | str]) -> None:
    one = network(1)
    assert layers(text, one.layers, one.image_size) == found


def test_layers_that_run_backwards() -> None:
    one = network(1)
    with pytest.raises(ConfigError, match="--layer '4-2'"):
        layers("4-2", one.layers, one.image_size)


@pytest.mark.parametrize(
    ("n_layers", "found"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (7, [1, 3, 5, 7]), (10, [1, 4, 7, 10])],
)
def test_without_a_word_four_layers_are_taken_from_the_first_to_the_last(n_layers: int, found: list[int]) -> None:
    one = network(n_layers)
    assert layers(None, one.layers, one.image_size) == found


def test_a_layer_that_is_the_output_is_not_taken() -> None:
    first, relu, second, shape = HalvesNet()
    one = Network(nn.Sequential(first, relu, second, nn.Tanh(), shape).eval(), (2,))
    assert [layer.number for layer in one.layers] == [1, 2]
    assert layers(None, one.layers, one.image_size) == [1]
    alone = Network(nn.Sequential(nn.Linear(2, 3), nn.Tanh()).eval(), (2,))
    assert layers(None, alone.layers, alone.image_size) == [1]  # there is no other


def test_a_network_without_a_non_linearity_has_none() -> None:
    one = Network(nn.Linear(2, 3).eval(), (2,))
    with pytest.raises(ConfigError, match="the network has no non-linearity"):
        layers(None, one.layers, one.image_size)


@pytest.mark.parametrize("text", ["1,", ",1", "", "1,,2"])
def test_an_empty_word_is_no_layer(text: str) -> None:
    one = network(2)
    with pytest.raises(ConfigError, match="--layer"):
        layers(text, one.layers, one.image_size)


def test_levels_that_there_are() -> None:
    assert levels("1-3,8") == [1, 2, 3, 8]
    with pytest.raises(ConfigError, match=r"--level '0-2': there is no level 0; expected 1 \(coarse\) to 8"):
        levels("0-2")


def test_spans_do_not_overlap_and_may_be_long() -> None:
    assert spans("5-9,7-12,0,3-20", "--seed") == [
        range(5, 10),
        range(10, 13),
        range(1),
        range(3, 5),
        range(13, 21),
    ]
    assert len(spans("0-9999999", "--seed", 10**7)[0]) == 10**7
