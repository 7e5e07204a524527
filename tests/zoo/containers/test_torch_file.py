# SPDX-License-Identifier: MIT
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers.stored import StoredTensor
from egbas.zoo.formats import open_content, read_checkpoint
from tests.zoo.containers.bombs import bombs
from tests.zoo.containers.malicious import legacy, tensor, text, zipped
from tests.zoo.formats.reference import Draw
from tests.zoo.formats.test_gandissect import layout

ROOT = Path(__file__).parents[3]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
BOMBS = bombs()


def read(path: Path) -> dict[str, Tensor]:
    with open_content(path) as content:
        return {name: value.load(name) for name, value in content.tree.items() if isinstance(value, StoredTensor)}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_as_float32(tmp_path: Path, dtype: torch.dtype, zipped: bool) -> None:
    base = Draw()(4, 6).to(dtype)
    saved = {
        "plain": base,
        "transposed": base.T,
        "part": base[1:3, ::2],
        "repeated": base[:1, :1].expand(3, 2).clone(),
        "scalar": base[0, 0],
        "empty": base[:0],
        "parameter": torch.nn.Parameter(base + 1),
    }
    torch.save(saved, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "x.pth")
    assert found.keys() == saved.keys()
    for name, value in saved.items():
        assert torch.equal(found[name], value.detach().float()), name
        assert found[name].is_contiguous()


@pytest.mark.parametrize("zipped", [False, True])
def test_whole_state_dicts_with_counters_and_settings(tmp_path: Path, zipped: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    content = {
        "state_dict": network.state_dict(),
        "epoch": 3,
        "size": torch.Size([2]),
        "loss": 0.5,
        "names": ["a", None],
    }
    content["optimizer"] = torch.optim.Adam(network.parameters()).state_dict()
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with open_content(tmp_path / "x.pth") as opened:
        assert opened.tree["epoch"] == 3
        assert opened.tree["names"] == ["a", None]
        state = opened.states["state_dict"]
        assert state["1.num_batches_tracked"].load_counter() == 0
        assert torch.equal(state["0.weight"].load("0.weight"), network[0].weight)


def test_values_are_read_only_when_asked_for(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(100)}, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        assert content.tree["x"].ledger.spent == 0
        content.tree["x"].load("x")
        assert content.tree["x"].ledger.spent == 400


def test_the_reader_does_not_touch_what_it_read(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(4)}, tmp_path / "x.pth")
    with open_content(tmp_path / "x.pth") as content:
        content.tree["x"].load("x").mul_(5)
        assert torch.equal(content.tree["x"].load("x"), torch.ones(4))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a program with little memory says of every bomb."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, data in BOMBS.items():
        (folder / name).write_bytes(data)
        assert len(data) < 8 * 2**20
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests/zoo/containers/bombs.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["grown_mib"] < 200, found
    return found["files"]


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited as Linux does it")
@pytest.mark.parametrize("name", BOMBS)
def test_files_that_say_they_are_huge_are_refused_without_the_memory(verdicts: dict[str, str], name: str) -> None:
    assert verdicts[name].startswith("refused: "), verdicts[name]
    assert "MemoryError" not in verdicts[name]


@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_files_are_refused_wherever_they_end(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "g.pth"
    torch.save(layout(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for share in range(1, 40):
        path.write_bytes(whole[: len(whole) * share // 40])
        with pytest.raises(CheckpointError, match=r"g\.pth"):
            read_checkpoint(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_flipped_bits_in_a_zip_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "g.pth"
    torch.save(layout(), path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda entry: entry.file_size)
    content[entry.header_offset + 200] ^= 1  # after the header and its padding
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["byteorder", "data.pkl", "data/0"])
def test_a_damaged_part_of_a_zip_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / "g.pth"
    torch.save(layout(), path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (entry,) = (entry for entry in archive.infolist() if entry.filename.endswith(f"/{name}"))
        content = archive.read(entry)
    inside = whole.index(content, entry.header_offset)
    # Its checksum, its name as the local header tells it, with and without the flag for UTF-8, and where that ends.
    for place, value in ((inside, whole[inside] ^ 1), (entry.header_offset + 30, 255), (entry.header_offset + 27, 255)):
        damaged = bytearray(whole)
        damaged[place] = value
        damaged[entry.header_offset + 7] |= 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"its part '\w+/[\w./]+' is damaged"):
            read_checkpoint(path)


def test_a_header_beyond_the_end_is_told(tmp_path: Path) -> None:
    data = bytearray(zipped(b"\x80\x02}."))
    data[data.rindex(b"PK\x01\x02") + 42] = 255  # the offset in the central directory
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(b"\x80\x02}.", records={"constants.pkl": b""}), "TorchScript"),
        (zipped(b"\x80\x02}.", records={"byteorder": b"big"}), "big-endian"),
        (zipped(b"\x80\x02" + text("x") + b"Q."), "unknown way"),
        (zipped(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00))\x89NtR."), "no bytes"),
        (zipped(b"\x80\x02ctorch._utils\n_rebuild_parameter\n(K\x01\x88NtR."), "no tensor"),
        (zipped(b"\x80\x02ctorch\nFloatStorage\n)R."), "damaged or malicious"),
        (zipped(b"\x80\x02ctorch\nFloatStorage\n}b."), "changes objects"),
        (legacy(b"\x80\x02}.", after=b"x"), "damaged"),
        (legacy(tensor((4,), (1,), 4)), "bytes of some tensors are missing"),
    ],
)
def test_odd_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_blocks_and_tensors_cannot_be_changed_by_a_pickle(tmp_path: Path) -> None:
    whole = tensor((4,), (1,), 4)
    change = b"}" + text("held") + b"K\x7fsb"
    for data in (whole[:-2] + change + b"s.", whole.replace(b"tQ", b"tQ" + change)):
        (tmp_path / "x.pth").write_bytes(zipped(data, records={"data/0": bytes(16)}))
        with pytest.raises(CheckpointError, match="changes objects"):
            read_checkpoint(tmp_path / "x.pth")


def test_old_files_written_on_other_machines_are_refused(tmp_path: Path) -> None:
    system = pickle.dumps({"little_endian": False}, 2)
    data = legacy(b"\x80\x02}.")
    old = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    (tmp_path / "x.pth").write_bytes(data.replace(old, system))
    with pytest.raises(CheckpointError, match="big-endian"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"not one that torch\.save wrote"):
        read_checkpoint(tmp_path / "x.zip")


def test_networks_of_their_file_need_no_more_than_three_times_its_size(tmp_path: Path) -> None:
    width = 512
    state = OrderedDict((name, Draw()(*value.shape)) for name, value in layout((width, width, width)).items())
    torch.save(state, tmp_path / "g.pth")
    size = (tmp_path / "g.pth").stat().st_size
    code = (
        "import resource, sys, torch; from pathlib import Path; from egbas.zoo.models import load_model;"
        "torch.zeros(8).sum(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "load_model(Path(sys.argv[1])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "g.pth")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    assert int(done.stdout) * 1024 < 3 * size
