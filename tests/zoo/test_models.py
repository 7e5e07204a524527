# SPDX-License-Identifier: MIT
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from egbas.errors import CheckpointError, ModelNotFoundError
from egbas.latent import LatentSpace
from egbas.zoo.card import ModelCard, save_weights, sha256
from egbas.zoo.lenet import LeNet
from egbas.zoo.mnist_dcgan import DcganCritic, DcganGenerator
from egbas.zoo.models import cards, is_path, load_classifier, load_model
from egbas.zoo.pggan import PgganConfig, PgganCritic, PgganCriticConfig, PgganGenerator
from tests.zoo.formats.test_gan_zoo import critic_layout, generator_layout


def card(name: str, architecture: dict, latent: dict) -> ModelCard:
    return ModelCard(
        name=name, summary=name, architecture=architecture, latent=latent, data={}, settings={}, metrics={}
    )


@pytest.fixture
def generator() -> DcganGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DcganGenerator(3, (8, 4, 4, 4)).eval()


@pytest.fixture
def folder(tmp_path: Path, generator: DcganGenerator) -> Path:
    """A zoo with the generator ``toy-gan`` and the classifier ``toy-lenet``."""
    sizes = {"latent_size": 3, "channels": [8, 4, 4, 4], "critic_channels": [4, 4, 4, 4]}
    parts = {"generator": generator, "critic": DcganCritic((4, 4, 4, 4))}
    weights = {f"{part}.{key}": value for part in parts for key, value in parts[part].state_dict().items()}
    latent = {"shape": [3], "prior": "uniform", "bound": 2.0}
    save_weights(tmp_path, card("toy-gan", {"family": "dcgan"} | sizes, latent), weights)
    save_weights(tmp_path, card("toy-lenet", {"family": "lenet"}, {}), LeNet().state_dict())
    return tmp_path


def test_loaded_generator_is_the_saved_one(folder: Path, generator: DcganGenerator) -> None:
    model = load_model("toy-gan", folder)
    z = model.latent.sample(4, rng=torch.Generator().manual_seed(0))
    assert torch.equal(model.generator(z), generator(z))
    assert model.discriminator is not None
    assert model.discriminator(model.generator(z)).shape == (4, 1)
    assert model.name == "toy-gan"
    assert model.card is not None
    assert model.sha256 == model.card.sha256 != ""


def test_loaded_pggan_is_the_saved_one(tmp_path: Path) -> None:
    generator = PgganGenerator(PgganConfig(latent_size=3, channels=(4, 2), output="hardtanh", latent_norm=False)).eval()
    critic = PgganCritic(PgganCriticConfig(channels=(4, 2), groups="strided")).eval()
    critic.get_submodule("deviation").get_buffer("reference").fill_(0.5)
    sizes = {"generator": asdict(generator.config), "critic": asdict(critic.config)}
    parts = {"generator": generator, "critic": critic}
    weights = {f"{part}.{key}": value for part in parts for key, value in parts[part].state_dict().items()}
    save_weights(tmp_path, card("toy-pggan", {"family": "pggan"} | sizes, {"shape": [3], "prior": "normal"}), weights)
    model = load_model("toy-pggan", tmp_path)
    assert isinstance(model.generator, PgganGenerator)
    assert isinstance(model.discriminator, PgganCritic)
    assert (model.generator.config, model.discriminator.config) == (generator.config, critic.config)
    images = model.generator(model.latent.sample(5, rng=torch.Generator().manual_seed(0)))
    assert torch.equal(images, generator(model.latent.sample(5, rng=torch.Generator().manual_seed(0))))
    assert torch.equal(model.discriminator(images), critic(images))
    assert [layer.path for layer in model.layers] == ["act1", "act2", "act3", "act4", "output"]


def test_generator_carries_its_latent_space(folder: Path) -> None:
    model = load_model("toy-gan", folder)
    assert model.latent == model.generator.latent == LatentSpace(shape=(3,), prior="uniform", bound=2.0)


def test_networks_are_frozen_and_in_eval_mode(folder: Path) -> None:
    model = load_model("toy-gan", folder)
    for network in (model.generator, model.discriminator, load_classifier("toy-lenet", folder)):
        assert network is not None
        assert not any(part.training for part in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())


def test_cards_are_listed_by_name(folder: Path) -> None:
    assert [card.name for card in cards(folder)] == ["toy-gan", "toy-lenet"]


@pytest.mark.parametrize("load", [load_model, load_classifier])
def test_unknown_name_is_told_with_what_there_is(folder: Path, load) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'vae'; there are: toy-\w+$"):
        load("vae", folder)


def test_misspelt_name_is_told_the_nearest(folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean 'toy-gan'"):
        load_model("toy_gan", folder)


def test_classifier_is_no_generator(folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"there are: toy-gan$"):
        load_model("toy-lenet", folder)


def test_empty_zoo(tmp_path: Path) -> None:
    assert cards(tmp_path) == []
    with pytest.raises(ModelNotFoundError, match="there are: none"):
        load_model("toy-gan", tmp_path)


@pytest.mark.parametrize(("name", "load"), [("toy-gan", load_model), ("toy-lenet", load_classifier)])
def test_damaged_weights_are_refused(folder: Path, name: str, load) -> None:
    path = folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="install egbas again"):
        load(name, folder)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    (folder / "toy-lenet.safetensors").replace(folder / "toy-gan.safetensors")
    with pytest.raises(CheckpointError, match="sha256"):
        load_model("toy-gan", folder)


def test_a_model_knows_its_layers() -> None:
    layers = load_model("dcgan-mnist-2d").layers
    assert [(layer.number, layer.path, layer.units) for layer in layers] == [
        (1, "relu1", 2048),
        (2, "relu2", 3136),
        (3, "relu3", 6272),
        (4, "relu4", 12544),
        (5, "tanh", 784),
    ]


def test_a_file_is_a_model_with_its_checksum_and_facts(tmp_path: Path) -> None:
    torch.save({"avgG": generator_layout(""), "netD": critic_layout("")}, tmp_path / "net.pt")
    for name in (tmp_path / "net.pt", str(tmp_path / "net.pt")):
        model = load_model(name)
        assert model.name == model.generator.zoo_name == str(tmp_path / "net.pt")
        assert model.card is None
        assert model.sha256 == sha256(tmp_path / "net.pt")
        assert model.facts["format"] == "pytorch_GAN_zoo-pgan"
        assert model.generator.latent == model.latent == LatentSpace(shape=(7,))
        assert model.discriminator is not None


def test_a_name_of_the_zoo_means_the_model_and_a_path_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dcgan-mnist-2d").write_text("not a model")
    assert load_model("dcgan-mnist-2d").card is not None
    with pytest.raises(CheckpointError, match="is text"):
        load_model(Path("dcgan-mnist-2d"))


@pytest.mark.parametrize(("name", "expected"), [("a.pth", True), ("a/b", True), ("a", False), ("x\0y", False)])
def test_what_looks_like_a_path(tmp_path: Path, monkeypatch, name: str, expected: bool) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_path(name) is expected
    assert not is_path("package.module:function")
