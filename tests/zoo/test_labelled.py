# SPDX-License-Identifier: MIT
import json
from dataclasses import asdict, replace

import pytest
import torch

from egbas.errors import ConfigError
from egbas.zoo.labelled import LabelledConfig, LabelledGenerator
from egbas.zoo.radford import RadfordConfig

CONFIG = LabelledConfig(
    latent=(3, 1, 1),
    classes=4,
    width=2,
    architecture="dcgan-generator",
    inner=RadfordConfig(latent_size=5, channels=(6,), image_channels=1),
)


def test_a_label_and_its_weight_alone_are_the_same() -> None:
    torch.manual_seed(0)
    generator = LabelledGenerator(CONFIG).eval().requires_grad_(False)
    torch.nn.init.normal_(generator.rows)
    z = torch.randn(2, 3, 1, 1)
    images = generator(z, torch.tensor([1, 3]))
    torch.testing.assert_close(images, generator(z, weights=torch.eye(4)[[1, 3]]))
    beside = generator.rows[[1, 3]].reshape(2, 2, 1, 1)
    assert torch.equal(images, generator.inner(torch.cat([z, beside], dim=1)))
    assert torch.equal(
        generator(z, torch.tensor([1, 3]), labels_first=True), generator.inner(torch.cat([beside, z], 1))
    )
    with pytest.raises(TypeError, match="takes a label from 0 to 3"):
        generator(z)


def test_a_label_is_multiplied_with_the_latent_or_added() -> None:
    torch.manual_seed(0)
    inner = RadfordConfig(latent_size=3, channels=(6,), image_channels=1)
    generator = LabelledGenerator(replace(CONFIG, width=3, inner=inner, is_product=True)).eval().requires_grad_(False)
    torch.nn.init.normal_(generator.rows)
    z, row = torch.randn(2, 3, 1, 1), generator.rows[[1, 3]].reshape(2, 3, 1, 1)
    assert torch.equal(generator(z, torch.tensor([1, 3])), generator.inner(z * row))
    assert torch.equal(generator(z, torch.tensor([1, 3]), added=True), generator.inner(z + row))


def test_settings_come_back_from_json() -> None:
    assert LabelledConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


@pytest.mark.parametrize(
    "change", [{"classes": 0}, {"latent": ()}, {"architecture": "mine"}, {"width": 1.5}, {"x": 1}, {"is_product": True}]
)
def test_settings_that_are_none_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LabelledConfig.from_json(json.loads(json.dumps(asdict(CONFIG) | change)))
