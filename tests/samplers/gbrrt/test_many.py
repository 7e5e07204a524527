# SPDX-License-Identifier: MIT
from dataclasses import replace

import pytest
import torch

from egbas.geometry import Flat
from egbas.network import Network
from egbas.region import Precisions, SupportingRegion
from egbas.samplers.gbrrt import GbRrtConfig, Growth, grow, grow_many, with_automatic
from egbas.zoo.models import load_model
from tests.regions import assert_same, rng


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize("is_dense", [False, True])
@pytest.mark.parametrize("layer", [1, 3])
def test_each_tree_is_the_one_grown_alone(
    layer: int, is_dense: bool, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egbas.samplers.gbrrt.many.idle_cores", lambda: cores)
    model = load_model("dcgan-mnist")
    network = Network(model.generator, model.latent.shape)
    precisions = Precisions.of(network, network.resolve(layer))
    queries = list(model.latent.sample(3, rng=rng(1)))
    regions, configs = [], []
    for number, query in enumerate(queries):
        h = precisions.split.head(query[None])[0]
        units = torch.randperm(len(h), generator=rng(number))[:60]
        region = SupportingRegion.of(precisions, query, units, h[units].sign().to(torch.int8), reach=4.0)
        regions.append(replace(region, halfspaces=None) if is_dense else region)
        config = GbRrtConfig(iterations=100 + 50 * number)
        configs.append(with_automatic(config, query, regions[-1], largest_half_width=4.0))
    alone = [grow(*each, rng=rng(7)) for each in zip(queries, regions, configs, strict=True)]
    told = []
    growths = [Growth(q, c, rng=rng(7), geometry=Flat(q)) for q, c in zip(queries, configs, strict=True)]
    together = grow_many(growths, regions, progress=lambda done, total, text: told.append((done, total)))
    for one, other in zip(alone, together, strict=True):
        assert len(one.latents) > 5
        assert_same(one, other)
    assert told[-1] == (450, 450)
    assert told == sorted(told)


def test_no_trees() -> None:
    assert grow_many([], []) == []
