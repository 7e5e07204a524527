# SPDX-License-Identifier: MIT
import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import torch

from egbas.errors import DataError
from egbas.training import mnist

PIXELS = bytes(range(256)) * 9 + bytes(48)  # three images of 28 x 28
LABELS = bytes([7, 0, 9])


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three images per split, and the checksums of those."""
    files = {}
    for split in ("train", "test"):
        for kind, raw in (("images", idx((3, 28, 28), PIXELS)), ("labels", idx((3,), LABELS))):
            name, _ = mnist.FILES[f"{split}-{kind}"]
            files[f"{split}-{kind}"] = (name, hashlib.md5(raw, usedforsecurity=False).hexdigest())
            (tmp_path / name).write_bytes(gzip.compress(raw))
    monkeypatch.setattr(mnist, "FILES", files)
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_are_scaled_and_labels_kept(folder: Path, split) -> None:
    data = mnist.load_mnist(folder, split)
    assert data.images.shape == (3, 1, 28, 28)
    assert data.images.dtype == torch.float32
    assert data.images.flatten()[0] == -1.0
    assert data.images.flatten()[255] == 1.0
    assert data.images.flatten()[51].item() == pytest.approx(-0.6)
    assert data.labels.tolist() == [7, 0, 9]
    assert data.labels.dtype == torch.int64


def test_folder_may_be_a_string(folder: Path) -> None:
    assert len(mnist.load_mnist(str(folder), "test").labels) == 3


def test_missing_file_is_named_with_all_that_are_needed(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz does not exist; .*train-images-idx3-ubyte.gz"):
        mnist.load_mnist(folder, "test")
    assert len(mnist.load_mnist(folder, "train").labels) == 3


@pytest.mark.parametrize("kept", [0, 5, 60, -9])
def test_truncated_file_is_refused(folder: Path, kept: int) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz (cannot be read|has MD5)"):
        mnist.load_mnist(folder, "train")


def test_file_that_is_no_gzip_is_refused(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="cannot be read"):
        mnist.load_mnist(folder, "train")


def test_other_content_is_refused_by_its_checksum(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx((3,), bytes([7, 0, 8]))))
    with pytest.raises(DataError, match=r"has MD5 .* when unpacked, expected .*: not the published MNIST file"):
        mnist.load_mnist(folder, "train")


def test_checksums_are_those_of_the_files() -> None:
    assert mnist.checksums()["test-labels"] == "27ae3e4e09519cfbb04c329615203637"
    assert len(mnist.checksums()) == 4


@pytest.mark.slow
def test_the_published_files_fit_their_checksums(mnist_folder: Path) -> None:
    assert mnist.load_mnist(mnist_folder, "train").images.shape == (60_000, 1, 28, 28)
    assert mnist.load_mnist(mnist_folder, "test").labels.bincount().tolist()[:3] == [980, 1135, 1032]
