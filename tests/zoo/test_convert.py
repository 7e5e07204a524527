# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from egbas.errors import CheckpointError
from egbas.zoo.card import sha256
from egbas.zoo.convert import check_output, convert
from egbas.zoo.models import load_model
from tests.zoo.formats.test_gan_zoo import critic_layout, generator_layout


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    torch.save({"netG": generator_layout(""), "netD": critic_layout("")}, tmp_path / "source.pt")
    return tmp_path / "source.pt"


def test_a_converted_file_is_the_same_model(source: Path, tmp_path: Path) -> None:
    assert convert(source, tmp_path / "out.safetensors", write) == "pytorch_GAN_zoo-pgan"
    before, after = load_model(source), load_model(tmp_path / "out.safetensors")
    z = before.latent.sample(3, rng=torch.Generator().manual_seed(0))
    images = before.generator(z)
    assert torch.equal(after.generator(z), images)
    assert before.discriminator is not None
    assert after.discriminator is not None
    assert torch.equal(after.discriminator(images), before.discriminator(images))
    assert after.latent == before.latent
    assert after.facts["format"] == "egbas"
    assert after.facts["source_format"] == "pytorch_GAN_zoo-pgan"
    assert after.facts["source_sha256"] == sha256(source)


def test_converting_again_keeps_the_first_source(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "one.safetensors", write)
    convert(tmp_path / "one.safetensors", tmp_path / "two.safetensors", write)
    assert load_model(tmp_path / "two.safetensors").facts["source_sha256"] == sha256(source)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_places_that_do_not_do_are_refused_before_the_work(source: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(b"mine")
    (tmp_path / "folder.safetensors").mkdir()
    for out, message in {
        tmp_path / "out.pth": r"does not end in \.safetensors",
        taken: "--overwrite",
        tmp_path / "folder.safetensors": "is a directory",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            convert(source, out, write)
    assert taken.read_bytes() == b"mine"
    with pytest.raises(CheckpointError, match="the file to be converted"):
        check_output(taken, taken, overwrite=True)
    convert(source, taken, write, overwrite=True)
    assert load_model(taken).facts["format"] == "egbas"


@pytest.mark.parametrize("name", ["generator.conv2.bias", "critic.score.weight"])
def test_a_file_that_cannot_be_loaded_is_not_converted(source: Path, tmp_path: Path, name: str) -> None:
    convert(source, tmp_path / "one.safetensors", write)
    with safe_open(tmp_path / "one.safetensors", framework="pt") as file:
        header, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    del tensors[name]
    save_file(tensors, tmp_path / "one.safetensors", header)
    with pytest.raises(CheckpointError, match=rf"one\.safetensors: .*{name.partition('.')[2]}"):
        convert(tmp_path / "one.safetensors", tmp_path / "two.safetensors", write)
    assert not (tmp_path / "two.safetensors").exists()
    with pytest.raises(CheckpointError, match=r"one\.safetensors: "):
        load_model(tmp_path / "one.safetensors")


def test_nothing_is_written_for_a_file_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("nothing")
    with pytest.raises(CheckpointError, match="is text"):
        convert(tmp_path / "x.pth", tmp_path / "out.safetensors", write)
    assert not (tmp_path / "out.safetensors").exists()
