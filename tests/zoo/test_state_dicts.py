# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import egbas
from egbas.errors import CheckpointError
from egbas.zoo.card import sha256
from egbas.zoo.state_dicts import checksum, load_weights
from tests.zoo.containers.test_shards import written
from tests.zoo.formats.test_gandissect import layout


def mine() -> nn.Module:
    net = nn.Sequential(nn.Embedding(3, 4), parametrizations.spectral_norm(nn.Linear(4, 2)), nn.BatchNorm1d(2))
    return net.eval()


def test_the_weights_of_a_network_of_ones_own_come_back(tmp_path: Path) -> None:
    net, again = mine(), mine()
    torch.save({"epoch": 1, "my_net": net.state_dict(), "opt": {"state": {}, "param_groups": []}}, tmp_path / "x.pth")
    again.load_state_dict(load_weights(tmp_path / "x.pth"))
    numbers = torch.tensor([0, 2])
    assert torch.equal(again(numbers), net(numbers))


def test_a_whole_pickled_network_gives_its_weights_and_runs_nothing(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 2), nn.PReLU())
    torch.save(net, tmp_path / "x.pth")
    again = nn.Sequential(nn.Linear(4, 2), nn.PReLU())
    again.load_state_dict(egbas.load_weights(str(tmp_path / "x.pth")))
    assert torch.equal(again(torch.ones(1, 4)), net(torch.ones(1, 4)))


def test_a_key_chooses(tmp_path: Path) -> None:
    torch.save({"a": {"x": torch.ones(1)}, "b": {"x": torch.zeros(1, dtype=torch.float16)}}, tmp_path / "x.pth")
    assert load_weights(tmp_path / "x.pth", key="b")["x"].dtype == torch.float16
    with pytest.raises(CheckpointError, match="no network 'c'"):
        load_weights(tmp_path / "x.pth", key="c")


def test_values_outlive_the_file(tmp_path: Path) -> None:
    torch.save(layout(), tmp_path / "x.pth")
    state = load_weights(tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(b"")
    assert all(torch.equal(state[name], value) for name, value in layout().items())


def test_checksums_of_one_file_and_of_several(tmp_path: Path) -> None:
    torch.save(layout(), tmp_path / "x.pth")
    assert checksum(tmp_path / "x.pth") == sha256(tmp_path / "x.pth")
    index = written(tmp_path)
    assert checksum(index) not in (sha256(index), sha256(tmp_path / "x.pth"))
