# SPDX-License-Identifier: MIT
"""Labels, noise and styles as inputs beside the latent: the same as a network that has them written into it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError, NetworkError, RunDirectoryError
from egbas.evaluation.sanity.randomised import parameters_below
from egbas.network import Network, list_layers
from egbas.network.conditions import Conditions, as_latents, from_record, is_row, refuse_unknown, rows_of
from tests import problems

FEW = egbas.GbRrtConfig(iterations=40)
Z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))


class Classes(problems.TwoMaps):
    """x = SECOND relu(FIRST z + SHIFT + a row for the class) * scale."""

    n_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [-1.0, 0.0, 3.0]]))

    def added(self, c: Any) -> Tensor:
        return c @ self.rows

    def forward(self, z: Tensor, c: Any, scale: float = 1.0, mode: str = "random") -> Tensor:
        if mode != "const":
            raise ValueError("noise")
        return self.second(torch.relu(self.first(z) + self.added(c))) * scale


class Labels(Classes):
    """The same of labels (n,)."""

    def added(self, c: Any) -> Tensor:
        return nn.functional.embedding(c, self.rows)


class Numbers(Classes):
    """The same of a number."""

    def added(self, c: Any) -> Tensor:
        return self.rows[c]


class Written(problems.TwoMaps):
    """What the three are with class 1 and a scale of 2."""

    def forward(self, z: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(z) + torch.tensor([1.0, -2.0, 0.5]))) * 2.0


INPUTS = {"c": 1, "scale": 2.0, "mode": "const"}


@pytest.mark.parametrize(
    ("kind", "told"), [(Classes, " (a one-hot row of 3)"), (Labels, " (a label for each latent)"), (Numbers, "")]
)
def test_a_class_is_what_the_network_takes(kind: type[nn.Module], told: str) -> None:
    network, written = Network(kind().eval(), (2,), inputs=INPUTS), Network(Written().eval(), (2,))
    torch.testing.assert_close(network.generate(Z), written.generate(Z))
    assert network.told_image == f"2, with c=1{told}, scale=2.0, mode=const"
    for split, own in ((network.split(1), written.split(1)), (network.split(1).in_float64(), written.split(1))):
        torch.testing.assert_close(split.head(Z).float(), own.head(Z))
    tail, expected = network.split(1).at(Z[0]), written.split(1).at(Z[0])
    assert tail.route == "graph"
    a = torch.rand(4, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tail(a), expected(a))


def test_an_exploration_is_that_of_the_network_with_them_written_in() -> None:
    run = egbas.explore(Classes().eval(), problems.QUERY, 1, rng=0, inputs=INPUTS, samples=0, gbrrt=FEW)
    own = egbas.explore(Written().eval(), problems.QUERY, 1, rng=0, samples=0, gbrrt=FEW)
    assert torch.equal(run.latents, own.latents)
    assert torch.equal(run.region.contains(4 * Z), own.region.contains(4 * Z))
    assert run.certificate.dtype == "float64"


@pytest.mark.parametrize("lock", [False, True])
def test_a_tensor_of_one_row_is_repeated_and_another_is_not(lock: bool) -> None:
    class Noisy(problems.TwoMaps):
        def forward(self, z: Tensor, noise: Tensor, table: Tensor, styles: list[Tensor]) -> Tensor:
            assert noise.shape == (len(z), 3)
            assert table.shape == (2, 3)
            assert noise.dtype == z.dtype
            noise += 1  # its own copy
            return self.second(torch.relu(self.first(z) + noise + table[1] + styles[0]))

    generator = Noisy().eval()
    if lock:  # cannot be copied
        generator.lock = problems.threading.Lock()
    noise = np.array([[1.0, 0.0, 0.5]])
    inputs = {"noise": noise, "table": torch.ones(2, 3), "styles": (torch.zeros(1, 3), None)}
    network = Network(generator, (2,), inputs=inputs)
    expected = generator.second(torch.relu(generator.first(Z) + torch.tensor([3.0, 2.0, 2.5]))).detach()
    for _ in range(2):
        torch.testing.assert_close(network.generate(Z), expected)
    assert noise.tolist() == [[1.0, 0.0, 0.5]]


@pytest.mark.parametrize("kind", [Classes, Labels])
@pytest.mark.parametrize("c", [-1, 1.5, -0.5])
def test_a_number_that_is_no_class_is_told_the_range(kind: type[nn.Module], c: float) -> None:
    with pytest.raises(ConfigError, match=f"c={c}, which .* expected a class, a whole number from 0 to 2, such as c=0"):
        Network(kind().eval(), (2,), inputs={"c": c, "mode": "const", "scale": 0.5})


@pytest.mark.parametrize(
    ("c", "message"), [(-1, "a whole number from 0 to 2"), (3, "has 3 rows, for the classes from")]
)
def test_the_range_of_an_embedding_is_told(c: int, message: str) -> None:
    class Embedded(problems.TwoMaps):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(3, 3)

        def forward(self, z: Tensor, c: Tensor) -> Tensor:
            return self.second(torch.relu(self.first(z) + self.rows(c)))

    with pytest.raises(ConfigError, match=message):
        Network(Embedded().eval(), (2,), inputs={"c": c})


def test_a_negative_number_that_is_not_what_fails_is_not_blamed() -> None:
    with pytest.raises(NetworkError, match="noise"):
        Network(Labels().eval(), (2,), inputs={"c": 1, "scale": -2.0})


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"cc": 1, "mode": "const"}, NetworkError, "no argument 'cc'; expected one of: c, scale, mode"),
        ({"z": 1}, NetworkError, "'z' is the first argument of the network's forward, which is the latent"),
        ({"c": 3, "mode": "const"}, ConfigError, "the class c=3; the network has 3 classes, 0 to 2"),
        ({"c": 1}, NetworkError, "Tried: c=1 as a number, a label for each latent, a one-hot row of 3"),
        ({"mode": "const"}, NetworkError, r"missing 1 required .*'c'; .* --input NAME=VALUE"),
        ({"c": {"a": 1}}, ConfigError, "the input 'c' is a dict; expected a number"),
        ({"c": float("nan")}, ConfigError, "the input 'c' is nan; expected a finite number"),
        ({"c": torch.tensor([[float("inf")]])}, ConfigError, "'c' holds NaN or infinite"),
    ],
)
def test_what_a_network_does_not_take_is_refused(inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Network(Classes().eval(), (2,), inputs=inputs)


@pytest.mark.parametrize(
    ("given", "message"), [({1: 2}, "an input called 1; expected the name"), ([("c", 1)], "expected a dict such as")]
)
def test_what_is_no_mapping_from_names_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Conditions.of(given)


def in_itself() -> list[Any]:
    given: list[Any] = []
    given.append(given)
    return given


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**63, "'c' is out of range; expected -9,223"),
        (-(2**63) - 1, "'c' is out of range"),
        ([10**5000], "'c.0' is out of range"),
        ([0, 2**70], "'c.1' is out of range"),
        (np.uint64(2**64 - 1), "'c' is out of range"),
        (in_itself(), "lists in lists, deeper than 32"),
        (np.array(["a"]), "'c' is an array of <U1"),
        (np.array([object()]), "'c' is an array of object"),
        (torch.tensor([complex(0, float("nan"))]), "'c' holds NaN"),
        (torch.zeros(1, 3, device="meta"), "expected a plain one"),
        (torch.zeros(1, 3).to_sparse(), "expected a plain one"),
        (torch.tensor([[float("nan")]]).to(torch.float8_e4m3fn), "'c' holds NaN"),
    ],
)
def test_what_torch_has_no_numbers_for_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Conditions.of({"c": value})


def test_what_cannot_be_shown_is_refused_all_the_same() -> None:
    for given in (10**5000, {10**5000: 1}):
        with pytest.raises(ConfigError, match="a int too long to show"):
            Conditions.of(given)


def test_whole_numbers_of_64_bits_and_arrays_of_another_byte_order_are_taken() -> None:
    given = {"low": -(2**63), "high": 2**63 - 1, "row": np.array([[1, 2]], dtype=">i8")}
    found = Conditions.of(given).given
    assert (found["low"], found["high"]) == (-(2**63), 2**63 - 1)
    assert found["row"].tolist() == [[1, 2]]


def test_a_run_is_reopened_with_its_inputs(tmp_path: Path) -> None:
    generator = Classes().eval()
    inputs = {"c": torch.tensor([[0.0, 1.0, 0.0]]), "scale": 2, "mode": "const"}
    run = egbas.explore(generator, problems.QUERY, 1, rng=0, inputs=inputs, samples=0, gbrrt=FEW)
    folder = run.save(tmp_path / "run")
    again = egbas.load_run(folder, generator=nn.DataParallel(generator))
    torch.testing.assert_close(again.images(), run.images())
    assert again.network.told_image == run.network.told_image
    assert "--input c=@inputs.safetensors:c --input scale=2 --input mode=const" in (folder / "report.html").read_text()
    told = json.loads((folder / "config.json").read_text())["inputs"]
    assert told["scale"] == 2
    assert told["c"]["shape"] == [1, 3]
    from safetensors.torch import save_file

    save_file({"c": torch.tensor([[1.0, 0.0, 0.0]])}, folder / "inputs.safetensors")
    with pytest.raises(RunDirectoryError, match="'c' of the inputs is another than the one"):
        egbas.load_run(folder, generator=generator)
    (folder / "inputs.safetensors").unlink()
    with pytest.raises(RunDirectoryError, match=r"inputs\.safetensors"):
        egbas.load_run(folder, generator=generator)


def test_layers_and_parameters_below_are_found_with_inputs() -> None:
    generator = Classes().eval()
    (layer,) = list_layers(generator, (2,), inputs=INPUTS)
    assert layer.units == 3
    conditions = Network(generator, (2,), inputs=INPUTS).conditions
    below = parameters_below(generator, "relu()", egbas.LatentSpace(shape=(2,)), conditions)
    assert below == {"first.weight", "first.bias", "rows"}


def test_the_pieces() -> None:
    row = torch.ones(1, 2, dtype=torch.float64)
    assert is_row(row)
    assert not is_row(torch.tensor(1.0))
    assert rows_of(Z, row).shape == (5, 2)
    assert as_latents(Z, row).dtype == torch.float32
    assert as_latents(Z, torch.tensor([1])).dtype == torch.int64
    conditions = Conditions.of({"a": [row, None], "b": "x"})
    assert conditions
    assert not Conditions.of(None)
    read = from_record(json.loads(json.dumps(conditions.record())), conditions.tensors())
    assert torch.equal(read["a"][0], row)
    assert read["a"][1] is None
    refuse_unknown(Classes(), Conditions())
