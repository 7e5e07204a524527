# SPDX-License-Identifier: MIT
from types import SimpleNamespace

import pytest
import torch

from egbas.errors import ConfigError
from egbas.samplers.choice import choose_samplers, rng_of
from egbas.samplers.gbrrt import GbRrtConfig, TreeSampler


def own(name: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, sample=lambda *_: None)


def test_names_and_objects() -> None:
    config, walk = GbRrtConfig(iterations=5), own("walk")
    tree, other = choose_samplers(["tree", walk], config)  # type: ignore[list-item]
    assert tree == TreeSampler(config=config)
    assert other is walk


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "expected a list of names"),
        (["three"], "sampler 'three' is unknown; expected 'tree'"),
        (["tree", "tree"], "two samplers named 'tree'"),
        ([own("../walk")], "a word of letters"),
        ([own(3)], "a word of letters"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_samplers(given)  # type: ignore[arg-type]


def test_each_sampler_draws_numbers_of_its_own() -> None:
    assert rng_of("tree", 7).initial_seed() == 8  # as targets have had them since the first version
    first, again, other = (torch.rand(3, generator=rng_of(name, 7)) for name in ("walk", "walk", "run"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.rand(3, generator=rng_of("walk", 8)))
