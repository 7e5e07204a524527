# SPDX-License-Identifier: MIT
"""What a network is refused for, and that it is left as it was found."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import ConfigError, EgbasError, LayerNotFoundError, NetworkError, ShapeError
from egbas.geometry import choose_geometry
from egbas.latent import LatentSpace
from egbas.network import Network, count_units, list_layers
from egbas.zoo.mnist_dcgan import DcganGenerator
from tests import problems

HOOKS = [name for name in vars(nn.Linear(1, 1)) if "hooks" in name]


def state(module: nn.Module) -> list[Any]:
    """Everything that must not change."""
    found: list[Any] = []
    for path, child in module.named_modules():
        found += [path, id(child), child.training, sorted(vars(child))]
        found += [(name, list(getattr(child, name).items())) for name in HOOKS]
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        grad = None if tensor.grad is None else tensor.grad.tolist()
        found += [
            name,
            id(tensor),
            tensor.dtype,
            tensor.requires_grad,
            grad,
            tensor._version,
            tensor.tolist(),
        ]
    return found


def use(generator: nn.Module) -> None:
    network = Network(generator, (2,))
    for layer in (1, "0"):
        split = network.split(layer)
        split.head(torch.ones(3, 2))
        tail = split.at(problems.QUERY)
        tail(tail.a[None].requires_grad_()).sum().backward()
    network.generate(torch.ones(2, 2))
    if getattr(generator, "lock", None) is None:
        network.split(1).in_float64().at(problems.QUERY)


@pytest.mark.parametrize("lock", [False, True])
def test_left_as_found_after_success(lock: bool) -> None:
    generator = problems.Stateful(lock=lock)
    generator[0].register_forward_hook(lambda *_: None)
    generator[2].weight.requires_grad_(False)
    before = state(generator)
    use(generator)
    assert state(generator) == before
    if not lock:
        assert generator.last is None


@pytest.mark.parametrize("lock", [False, True])
@pytest.mark.parametrize("n_good", range(6))
@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_left_as_found_when_forward_raises(error: BaseException, n_good: int, lock: bool) -> None:
    generator = problems.Raising(error, n_good, lock=lock)
    n_good_before = generator.n_good
    before = state(generator)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else NetworkError
    with pytest.raises(expected) as caught:
        use(generator)
    assert state(generator) == before
    if not lock:
        assert generator.n_good == n_good_before
    if expected is NetworkError:
        assert isinstance(caught.value.__cause__, ValueError)
        assert "ValueError" in str(caught.value) and "boom" in str(caught.value)


def test_left_as_found_after_a_bad_layer() -> None:
    generator = problems.Plain()
    before = state(generator)
    with pytest.raises(LayerNotFoundError):
        Network(generator, (2,)).split("nothing")
    assert state(generator) == before


def test_generate() -> None:
    network = Network(problems.Plain(), (2,))
    assert network.generate(problems.QUERY[None]).tolist() == [problems.QUERY_X.tolist()]
    images = Network(DcganGenerator(2).eval(), (2,)).generate(torch.zeros(3, 2, dtype=torch.float64))
    assert images.shape == (3, 1, 28, 28)
    assert (images.dtype, images.requires_grad) == (torch.float32, False)


@pytest.mark.parametrize(("side", "parts"), [(8, [64, 6]), (100, [20] * 3 + [10]), (2048, [1] * 70)])
def test_image_batches_are_bounded_by_the_size_of_the_images(side: int, parts: list[int]) -> None:
    class Flat(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.relu(z)[:, :1, None, None].expand(-1, 1, side, side)

    z = torch.randn(70, 2, generator=torch.Generator().manual_seed(0))
    sizes, first, told = [], [], []
    for images in Network(Flat().eval(), (2,)).image_batches(z, progress=lambda *numbers: told.append(numbers)):
        sizes.append(len(images))
        first.append(images[:, 0, 0, 0])
    assert sizes == parts
    assert told == [(sum(parts[: i + 1]), 70) for i in range(len(parts))]
    assert torch.equal(torch.cat(first), torch.relu(z[:, 0]))


def test_latents_are_reshaped_for_the_generator() -> None:
    network = Network(nn.Sequential(nn.ConvTranspose2d(6, 1, 4), nn.Tanh()), (6, 1, 1))
    assert network.generate(torch.zeros(2, 6)).shape == (2, 1, 4, 4)
    assert network.split(1).head(torch.zeros(2, 6)).shape == (2, 16)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.zeros(2), r"expected \(n, 2\)"),
        (torch.zeros(1, 3), r"\(1, 3\)"),
        (torch.tensor([[0, torch.inf]]), "finite"),
    ],
)
def test_bad_latents_are_refused(z: Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Network(problems.Plain(), (2,)).generate(z)


@pytest.mark.parametrize("shape", [(), (0,), (2, -1)])
def test_a_bad_latent_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="positive sizes"):
        Network(problems.Plain(), shape)


class Calling(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, z: Tensor) -> Any:
        return self.function(z * self.weight)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z / 0, "NaN or infinite"),
        (lambda z: "picture", "returned str"),
        (lambda z: {"loss": 1.0}, "returned dict"),
        (lambda z: z.sum(), "for 3 latents"),
        (lambda z: z.mean(0, keepdim=True), "for 3 latents"),
        (lambda z: z.view(1, -1)[:, :2], "for 3 latents"),
        (lambda z: z.view(3, 2), "RuntimeError"),
        (lambda z: z.long(), "expected real images"),
        (lambda z: z + torch.randn(2), "second time"),
        (lambda z: nn.functional.dropout(z, 0.5), "second time"),
        (lambda z: z - z.mean(0), "other latents in its batch"),
    ],
)
def test_networks_that_cannot_be_explored(function: Callable[[Tensor], Any], message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(NetworkError, match=message):
        Network(Calling(function), (2,))


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm1d(2),
        nn.Dropout(),
        nn.AlphaDropout(),
        nn.RReLU(),
        nn.InstanceNorm1d(2, track_running_stats=True),
    ],
)
def test_train_mode_is_refused(module: nn.Module) -> None:
    generator = nn.Sequential(nn.Linear(2, 2), module)
    before = state(generator)
    with pytest.raises(NetworkError, match=r"module '1' .* train mode.*generator.eval\(\)"):
        Network(generator, (2,))
    assert state(generator) == before


def test_batch_statistics_in_eval_mode_are_refused() -> None:
    generator = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(NetworkError):
        Network(generator, (2,))


def test_exported_and_lazy_networks_are_refused() -> None:
    exported = torch.export.export(problems.Plain().eval(), (torch.ones(2, 2),)).module()
    with pytest.raises(NetworkError, match=r"comes from torch\.export: .*load_state_dict\(exported\.state_dict\(\)\)"):
        Network(exported, (2,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that lazy modules are young
        lazy = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(NetworkError, match="has no shape yet"):
        Network(lazy, (2,))


@pytest.mark.parametrize(
    "parametrize", [nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm]
)
def test_parametrized_weights(parametrize: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(parametrize(nn.Linear(2, 4)), nn.ReLU(), parametrize(nn.Linear(4, 3))).eval()
    network = Network(generator, (2,))
    tail = network.split(1).at(problems.QUERY)
    assert tail.route == "graph"
    torch.testing.assert_close(tail.x, generator(problems.QUERY[None])[0].detach())


def test_float64_is_a_copy() -> None:
    generator = problems.Stateful()
    generator.plain = torch.ones(2)  # pyright: ignore
    network = Network(generator, (2,))
    double = network.split(1).in_float64()
    assert (network.dtype, double.dtype) == (torch.float32, torch.float64)
    z = torch.tensor([[1 / 3, 1 / 7]], dtype=torch.float64)
    expected = z @ torch.tensor(problems.FIRST, dtype=torch.float64).T + torch.tensor(problems.SHIFT)
    assert torch.equal(double.head(z), expected)
    assert all(parameter.dtype == torch.float32 for parameter in generator.parameters())


def test_a_network_that_cannot_normalise_zero_has_a_float64_copy() -> None:
    class Unit(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z / z.norm(dim=1, keepdim=True))

    assert Network(Unit(), (2,)).split(1).in_float64().dtype == torch.float64


def test_float64_is_refused_where_it_cannot_be() -> None:
    class Single(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            h = nn.functional.linear(z.float(), self[0].weight.float(), self[0].bias.float())
            return self[2](torch.relu(h).to(z.dtype))

    class Mixed(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z.float())

    for generator, message in [
        (Single(), "holds torch.float32"),
        (Mixed(), "RuntimeError"),
        (problems.Stateful(lock=True), "cannot be copied"),
    ]:
        with pytest.raises(EgbasError, match=message):
            Network(generator, (2,)).split(1).in_float64()


def test_float64_is_asked_of_the_head_alone() -> None:
    class Ends(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z).float()

    generator, computed = Ends(), []
    split = Network(generator, (2,)).split(1)
    generator[2].register_forward_hook(lambda *_: computed.append(1))
    assert split.in_float64().head(torch.ones(1, 2)).dtype == torch.float64
    assert not computed


def test_a_copy_shares_the_weights() -> None:
    generator = problems.Plain()
    network = Network(generator, (2,))
    with torch.no_grad():
        generator[2].weight.mul_(2)
    assert network.generate(problems.QUERY[None])[0].tolist() == [10.0, -2.0]


@pytest.mark.parametrize("problem", [problems.SharedActivation, problems.Concatenation, problems.Nested])
def test_units_are_counted_by_one_pass(problem: type[nn.Module]) -> None:
    assert count_units(problem(), (2,)) == sum(layer.units for layer in Network(problem(), (2,)).layers)


def test_a_network_that_raises_counts_no_units() -> None:
    assert count_units(problems.Raising(ValueError()), (2,)) == 0


STATIC = [problems.Static, problems.StaticAttribute, problems.StaticInside, problems.StaticLocked]


@pytest.mark.parametrize("problem", STATIC, ids=lambda problem: problem.__name__)
def test_a_network_that_overwrites_what_it_returned(problem: type[nn.Module]) -> None:
    network, plain = Network(problem(), (2,)), Network(problems.Plain(), (2,))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    kept = [network.generate(one[None]) for one in z]
    assert torch.equal(torch.cat(kept), torch.cat([plain.generate(one[None]) for one in z]))
    assert torch.equal(torch.cat(list(network.image_batches(z))), plain.generate(z))
    assert choose_geometry(LatentSpace(shape=(2,)), network).geometry == "flat"
    split, expected = network.split(1), plain.split(1)
    heads = [split.head(one[None]) for one in z]
    assert torch.equal(torch.cat(heads), torch.cat([expected.head(one[None]) for one in z]))
    assert split.last_linear() is None or problem is not problems.StaticInside
    tails, right = [split.at(one) for one in z[:2]], [expected.at(one) for one in z[:2]]
    masks = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    images = [tail(masks[:n] * tail.a) for tail in tails for n in (1, 2, 2)]
    assert all(map(torch.equal, images, [tail(masks[:n] * tail.a) for tail in right for n in (1, 2, 2)]))
    for _ in range(3):  # gradients of one pass after another
        gradients = []
        for tail in (tails[0], right[0]):
            a = masks.clone().requires_grad_()
            first, _ = tail(a), tail(a)
            gradients.append(torch.autograd.grad(first.square().sum(), a)[0])
        assert torch.equal(*gradients)


def test_noise_in_a_tensor_that_is_overwritten_is_refused() -> None:
    class Noisy(problems.Static):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z).add_(torch.randn(2))

    with pytest.raises(NetworkError, match="second time"):
        Network(Noisy(), (2,))


PACKS = {
    "list": (problems.pair, 1),
    "named tuple": (problems.Halves, "big"),
    "data class": (problems.Decoded, "big"),
    "dict": (lambda small, big: {"small": small, "big": big}, "big"),
    "object": (lambda small, big: SimpleNamespace(small=small, big=big), "big"),
    "inside": (lambda small, big: {"images": [small, big], "loss": small.sum()}, "images.-1"),
    "logvar and image": (lambda small, big: (small.flatten(1), big), 1),
}


@pytest.mark.parametrize(("pack", "choice"), PACKS.values(), ids=PACKS.keys())
def test_an_output_is_the_image(pack: Callable[[Tensor, Tensor], Any], choice: int | str) -> None:
    network = Network(problems.ManyOutputs(pack), (2,), output=choice)
    small, big = problems.QUERY_X.reshape(1, 1, 2), problems.QUERY_X.expand(1, 2, 2)
    assert network.image_shape == (1, 2, 2)
    assert network.notices == ()
    assert torch.equal(network.generate(problems.QUERY[None])[0], big)
    tail = network.split(1).at(problems.QUERY)
    assert tail.route == ("hooks" if pack is PACKS["object"][0] else "graph")
    assert torch.equal(tail(problems.QUERY_A[None])[0], big)
    other = Network(problems.ManyOutputs(pack), (2,))
    is_vector_first = pack is PACKS["logvar and image"][0]  # then the image is found without being asked for
    assert other.image_size == (big if is_vector_first else small).numel()
    assert "2 tensors that may be the image" in other.notices[0]


def test_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(NetworkError, match="no output 'sample' in what the network returned, a list; choose one of 0"):
        Network(problems.ManyOutputs(problems.pair), (2,), output="sample")
    with pytest.raises(ConfigError, match="expected an index such as 1"):
        Network(problems.Plain(), (2,), output=True)  # type: ignore[arg-type]


def test_layers_are_listed_with_an_output() -> None:
    assert list_layers(problems.ManyOutputs(problems.pair), (2,), output=1)[0].path == "relu()"


def test_a_network_without_numbers_is_refused() -> None:
    with pytest.raises(NetworkError, match="weights on the device 'meta', which are shapes alone"):
        Network(nn.Linear(2, 3, device="meta"), (2,))
