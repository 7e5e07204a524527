# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.errors import ConfigError, NetworkError, ShapeError
from egbas.network import Classified, Network, Pixels
from egbas.network.classified import Logits, Margins, maker_of
from tests.problems import linear

Z = torch.tensor([[1.0, 2.0], [0.0, -3.0]])


class Halves(nn.Module):
    """An image of the latent, and the latent doubled, under names of its own."""

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {"w": 2 * z, "pixels": z.reshape(-1, 1, 1, 2)}


def judge() -> nn.Module:
    return nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))


def test_image_logits_and_probabilities_of_latents() -> None:
    both = Classified(Pixels((1, 1, 2)), judge())
    told = both(Z.reshape(2, 1, 1, 2))
    assert torch.equal(told["image"], Z.reshape(2, 1, 1, 2))
    assert torch.equal(told["logits"], torch.tensor([[1.0, 2.0, -3.0], [0.0, -3.0, 3.0]]))
    assert torch.allclose(told["probabilities"], told["logits"].softmax(dim=1))
    assert both.latent.shape == (1, 1, 2) and both.zoo_name == "pixels" and both.classifier_name == "Sequential"


def test_layers_of_both_in_order() -> None:
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), nn.Unflatten(1, (1, 1, 2)))
    network = Network(Classified(generator, nn.Sequential(judge(), nn.Tanh())), (2,))
    assert [layer.path for layer in network.layers] == ["generator.1", "classifier.1"]
    assert network.image_shape == (1, 1, 2) and not network.notices


def test_what_the_generator_says_of_its_pixels_is_said_of_both() -> None:
    pixels = Pixels((1, 1, 2), bound=2.0)
    both = Classified(pixels, judge())
    assert maker_of(both) is pixels and maker_of(pixels) is pixels
    for network in (pixels, both):
        known = Network(network, (1, 1, 2)).image_range
        assert known is not None and (known.limits, known.source) == ((-2.0, 2.0), "generator")
    silent = nn.Sequential(linear([[9.0, 0.0], [0.0, 9.0]]), nn.Unflatten(1, (1, 1, 2)))
    assert Classified(silent, judge()).image_range is None


@pytest.mark.parametrize("output", ["pixels", "1", 1, -1])
def test_the_image_among_several_outputs(output: int | str) -> None:
    assert torch.equal(Classified(Halves(), judge(), output=output)(Z)["image"], Z.reshape(2, 1, 1, 2))


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"2 parts, none of which is called 'image'.*output="):
        Classified(Halves(), judge())(Z)
    with pytest.raises(NetworkError, match="no output 'x' in what the generator returned"):
        Classified(Halves(), judge(), output="x")(Z)
    with pytest.raises(ConfigError, match="output="):
        Classified(Halves(), judge(), output="")
    with pytest.raises(NetworkError, match=r"float64.*float32|float32.*float64"):
        Classified(linear([[1.0, 0.0]]).double(), judge())
    with pytest.raises(NetworkError, match=r"expected a torch\.nn\.Module"):
        Classified(Halves(), "lenet-mnist")
    with pytest.raises(ShapeError):
        Pixels((1, 0, 2))


def test_logits_of_a_dictionary_or_of_themselves() -> None:
    class Named(nn.Module):
        def forward(self, z: Tensor) -> dict[str, Tensor]:
            return {"features": z, "logits": 3 * z}

    assert torch.equal(Logits(Named())(Z), 3 * Z)
    assert torch.equal(Logits(nn.Identity())(Z), Z)


def test_leads_of_a_class_over_the_others() -> None:
    logits = torch.tensor([[1.0, 5.0, 2.0]])
    assert Margins(nn.Identity(), 1, 3)(logits).tolist() == [[4.0, 3.0]]
    assert Margins(nn.Identity(), 2, 3)(logits).tolist() == [[1.0, -3.0]]


def test_the_embedded_classifier_is_written_down_as_a_graph() -> None:
    both = Classified(egbas.load_model("dcgan-mnist-2d"), egbas.load_classifier("lenet-mnist"))
    split = Network(both, (2,), output="logits").split("classifier.relu2")
    tail = split.at(torch.tensor([0.5, -0.5]))
    assert tail.route == "graph" and tail.x.shape == (10,)


def test_features_stand_beside_the_logits() -> None:
    class Judge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = linear([[1.0, 0.0], [0.0, 1.0]])

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            features = images.flatten(1).relu()
            return {"features": features, "logits": self.last(features)}

    both = Classified(Pixels((1, 1, 2)), Judge())
    told = both(Z.reshape(2, 1, 1, 2))
    assert set(told) == {"features", "image", "logits", "probabilities"}
    assert torch.equal(told["features"], Z.relu())
    run = egbas.explore(both, Z[0].reshape(1, 1, 2), 1, hold="features", samples=0, rng=0)
    assert run.held == "features" and run.support.beropt.fidelity < 0.2
    traced = torch.fx.symbolic_trace(both)
    assert torch.equal(traced(Z.reshape(2, 1, 1, 2))["features"], Z.relu())


def test_a_classifier_that_wants_other_images_says_which_came() -> None:
    class Judge(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            if images.min() < 0:
                raise ValueError("expected pixels in 0..1")
            return images.flatten(1)

    both = Classified(Pixels((1, 1, 2)), Judge())
    with pytest.raises(NetworkError, match=r"images \(2, 1, 1, 2\), with values from -3 to 2: expected pixels in 0..1"):
        both(Z.reshape(2, 1, 1, 2))
    coloured = Classified(Pixels((1, 1, 2)), nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()).eval())
    with pytest.raises(NetworkError, match="another size, range or number of channels"):
        Network(coloured, (1, 1, 2))
