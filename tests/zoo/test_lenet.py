# SPDX-License-Identifier: MIT
import torch

from egbas.zoo.lenet import LeNet
from egbas.zoo.models import FEATURE_LAYER


def test_ten_logits_and_a_feature_vector_of_84() -> None:
    model = LeNet().eval()
    features = []
    model.get_submodule(FEATURE_LAYER).register_forward_hook(lambda *call: features.append(call[-1]))
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert features[0].shape == (2, 84)


def test_dropout_acts_in_training_only() -> None:
    model = LeNet(dropout=0.5)
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.eval()(images), model(images))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(model.train()(images), model(images))


def test_margin_around_a_digit_does_not_matter() -> None:
    model = LeNet().eval()
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for margin in (1, 2, 5):
        padded = torch.nn.functional.pad(images, (margin,) * 4, value=-1.0)
        assert torch.equal(model(padded), model(images))


def test_odd_margin_is_cut_at_the_far_side() -> None:
    images = torch.arange(31.0).expand(1, 1, 31, 31)
    assert LeNet().get_submodule("middle")(images)[0, 0, 0].tolist() == [float(i) for i in range(1, 29)]
