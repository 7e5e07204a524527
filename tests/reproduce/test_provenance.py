# SPDX-License-Identifier: MIT
import torch
from torch import nn

from egbas.latent import LatentSpace
from egbas.reproduce.provenance import discriminator_facts, geometry_facts
from egbas.zoo.models import load_model
from egbas.zoo.pggan.layers import MinibatchDeviation


def test_the_geometry_was_chosen() -> None:
    assert geometry_facts(LatentSpace(shape=(2,))) == {"used": "flat", "asked": "auto"}
    assert geometry_facts(LatentSpace(shape=(2,), geometry="sphere"))["used"] == "sphere"


def test_how_a_discriminator_sees_an_image() -> None:
    layer = MinibatchDeviation("strided", 3, unbiased=True)
    layer.reference.copy_(torch.tensor(0.25))
    found = discriminator_facts(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(layer)))
    assert found == {"minibatch_deviation": {"groups": "strided", "size": 3, "unbiased": True, "reference": 0.25}}
    assert discriminator_facts(nn.Sequential(nn.ReLU())) == {"minibatch_deviation": None}
    assert discriminator_facts(None) is None


def test_the_embedded_pggan_has_the_statistic_of_its_training_data() -> None:
    found = discriminator_facts(load_model("pggan-mnist").discriminator)
    assert found is not None
    assert found["minibatch_deviation"]["reference"] > 0
