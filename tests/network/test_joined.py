# SPDX-License-Identifier: MIT
"""A classifier behind a generator that takes a label."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import NetworkError
from egbas.network.joined import joined
from egbas.storage import load_run
from tests.runs import QUICK

Z = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))


class Labelled(nn.Module):
    """A generator with one of four labels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(4, 5)
        self.body = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 16))

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.body(torch.cat([z, self.table(label)], dim=1)).reshape(-1, 1, 4, 4)


def classifier() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def test_a_label_given_as_a_number_reaches_the_generator() -> None:
    generator, judge = Labelled().eval(), classifier()
    both = joined(generator, judge, (3,), inputs={"label": 2})
    images = generator(Z, torch.full((6,), 2))
    torch.testing.assert_close(both(Z)["image"], images)
    torch.testing.assert_close(both(Z)["logits"], judge(images))


def test_an_input_that_the_generator_does_not_have_is_refused() -> None:
    with pytest.raises(NetworkError, match="no argument 'c'"):
        joined(Labelled().eval(), classifier(), (3,), inputs={"c": 2})


@pytest.mark.parametrize("layer", [None, "generator.body.1"])
def test_a_conditional_generator_is_explored_with_a_classifier(layer: str | None, tmp_path: Path) -> None:
    generator, judge = Labelled().eval(), classifier()
    run = egbas.explore(
        generator,
        Z[0],
        layer,
        rng=0,
        samples=0,
        inputs={"label": 2},
        classifier=judge,
        region="class",
        beropt=None if layer is None else QUICK,
        gbrrt=egbas.GbRrtConfig(iterations=30),
    )
    place = tmp_path / "run"
    run.save(place)
    assert run.config()["inputs"] == {"label": 2}
    target = judge(generator(Z[:1], torch.tensor([2]))).argmax()
    found = judge(generator(run.latents, torch.full((len(run.latents),), 2))).argmax(dim=1)
    assert (found == target).all()
    back = load_run(place, generator=joined(generator, judge, (3,), inputs={"label": 2}))
    assert back.config() == run.config()
    assert "label=2" in back.network.told_image
