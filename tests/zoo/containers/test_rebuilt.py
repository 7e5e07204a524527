# SPDX-License-Identifier: MIT
import collections
import io
import mmap
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import CheckpointError
from egbas.zoo.containers.content import open_content
from egbas.zoo.containers.rebuilt import names_of_tensors
from egbas.zoo.containers.standins import Maker
from egbas.zoo.containers.stored import Ledger
from egbas.zoo.containers.torch_file import is_legacy, read_legacy
from egbas.zoo.formats import read_checkpoint
from tests.zoo.formats.test_gandissect import layout


class Kept:
    """A class of the training's own."""


def odd_things() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch discourages quantised, sparse and nested tensors
        return {
            "Counter": collections.Counter("aab"),
            "defaultdict": collections.defaultdict(int, a=1),
            "deque": collections.deque([1, 2]),
            "dtype": torch.float32,
            "device": torch.device("cpu"),
            "size": torch.Size([1, 2]),
            "layout": torch.strided,
            "set": {1, "a"},
            "frozenset": frozenset([1]),
            "bytearray": bytearray(b"ab"),
            "bytes": b"ab",
            "complex number": 1 + 2j,
            "slice": slice(1, 2),
            "range": range(3),
            "path": Path("runs"),
            "keys that are tuples": {(1, 2): 3, ((1, "a"), 2): 4},
            "key that is a type": {torch.float32: 1},
            "buffer": nn.Buffer(torch.zeros(2)),
            "random numbers": torch.Generator(),
            "uint16": torch.zeros(2, dtype=torch.uint16),
            "uint64": torch.zeros(2, dtype=torch.uint64),
            "fp8": torch.zeros(2).to(torch.float8_e4m3fn),
            "complex tensor": torch.zeros(2, dtype=torch.complex64),
            "sparse tensor": torch.eye(3).to_sparse(),
            "sparse rows": torch.eye(3).to_sparse_csr(),
            "quantised tensor": torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8),
            "quantised channels": torch.quantize_per_channel(
                torch.zeros(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8
            ),
            "meta tensor": torch.empty(2, device="meta"),
            "nested tensor": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
            "object": Kept(),
            "optimizer": torch.optim.lr_scheduler.MultiStepLR(
                torch.optim.Adam([nn.Parameter(torch.zeros(1))]), [3, 3, 5]
            ).state_dict(),
        }


ODD = odd_things()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", sorted(ODD))
def test_what_is_no_weight_is_skipped(tmp_path: Path, name: str, zipped: bool) -> None:
    """Beside a generator, in a list in a dictionary, and all that torch.load(weights_only=True) reads."""
    state = layout()
    saved = {"netG": state, "odd": ODD[name], "more": [1, {"x": ODD[name]}]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(saved, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found, blueprints = read_checkpoint(tmp_path / "x.pth")
    assert found == "gandissect"
    assert torch.equal(blueprints.generator.weights["conv2.bias"], state["layer2.wscale.b"])


def test_code_that_a_file_names_is_told_and_not_run(tmp_path: Path) -> None:
    torch.save({"netG": layout(), "args": Kept()}, tmp_path / "x.pth")
    assert f"{__name__}.Kept" in read_checkpoint(tmp_path / "x.pth")[1].facts["not_run"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sparse tensor", "is sparse"),
        ("quantised tensor", "is quantised"),
        ("meta tensor", "no values"),
        ("complex tensor", "complex64"),
        ("uint16", "uint16"),
    ],
)
def test_weights_of_another_kind_are_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    value = ODD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(layout() | {"layer2.wscale.b": value}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"layer2\.wscale\.b"):
        read_checkpoint(tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content, pytest.raises(CheckpointError, match=message):
        content.generator["layer2.wscale.b"].load("layer2.wscale.b")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = layout()
    rough = state["layer2.wscale.b"].to(dtype)
    torch.save(state | {"layer2.wscale.b": rough}, tmp_path / "x.pth")
    weights = read_checkpoint(tmp_path / "x.pth")[1].generator.weights
    assert torch.equal(weights["conv2.bias"], rough.to(torch.float32))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_state_dict_of_plain_pickle_is_read(tmp_path: Path, protocol: int) -> None:
    state = layout()
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"netG": state, "n": 1}, protocol=protocol))
    _, blueprints = read_checkpoint(tmp_path / "x.pkl")
    assert torch.equal(blueprints.generator.weights["conv2.bias"], state["layer2.wscale.b"])


def test_buffers_and_parameters_come_back_as_they_are(tmp_path: Path) -> None:
    values: dict[str, Tensor] = {
        "buffer": nn.Buffer(torch.arange(3.0)),
        "parameter": nn.Parameter(torch.arange(6.0).view(2, 3)),
        "uint16": torch.tensor([1, 60000], dtype=torch.uint16),
        "fp8": torch.tensor([0.5, -2.0]).to(torch.float8_e5m2),
        "part": torch.arange(12).view(3, 4)[1:, ::2],
    }
    torch.save(values, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        for name, value in values.items():
            found = content.generator[name].load_stored(name)
            assert found.dtype == value.dtype
            assert torch.equal(found.to(torch.float64), value.detach().to(torch.float64)), name


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("_rebuild_tensor_v2", (1, 0, (1,), (1,))),
        ("_rebuild_tensor_v3", (1, 0, (1,), (1,))),
        ("_rebuild_tensor_v3", (1, 0, (1,), (1,), False, {}, "float32")),
        ("_rebuild_parameter", (1,)),
        ("_rebuild_device_tensor_from_cpu_tensor", (1,)),
    ],
)
def test_tensors_without_bytes_are_refused(name: str, args: tuple[Any, ...]) -> None:
    made = names_of_tensors(Ledger(limit=9))["torch._utils", name]
    assert isinstance(made, Maker)
    with pytest.raises(CheckpointError, match="damaged or malicious"):
        made(*args)


@pytest.mark.parametrize(
    "args", [(), (None, ()), (None, ((1, 2), "x")), (None, None, (2**70, -1, "a")), ("a", (1,) * 99)]
)
def test_sizes_that_are_none_cost_nothing(args: tuple[Any, ...]) -> None:
    names = names_of_tensors(Ledger(limit=9))
    for name in ("_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_meta_tensor_no_storage"):
        found = names["torch._utils", name](*args)
        assert all(type(size) is int and size >= 0 for size in found.shape)


def test_a_class_of_a_network_in_an_old_file_is_a_name() -> None:
    """Old versions of torch wrote the source of each class beside it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(nn.Linear(2, 1), buffer, _use_new_zipfile_serialization=False)
    file = mmap.mmap(-1, len(buffer.getvalue()))
    file.write(buffer.getvalue())
    file.seek(0)
    code: dict[str, None] = {}
    assert is_legacy(file)
    found = read_legacy(file, code)
    assert list(code) == [found.origin] == ["torch.nn.modules.linear.Linear"]
