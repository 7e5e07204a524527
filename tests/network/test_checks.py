# SPDX-License-Identifier: MIT
"""Rounding is never taken for noise, nor noise for rounding."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.errors import NetworkError
from egbas.network import Network
from egbas.network.checks import large_batch
from egbas.network.replica import Replica
from egbas.zoo.models import load_model
from tests import problems


class Chaotic(nn.Module):
    """The logistic map, 12 times: its rounding is enlarged some thousand times."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, z: Tensor) -> Tensor:
        x = torch.sigmoid(z * self.weight)
        for _ in range(12):
            x = 3.99 * x * (1 - x)
        return torch.relu(x)


class Noisy(problems.Plain):
    """Adds noise of a size relative to the image; with a lock it cannot be copied."""

    def __init__(self, size: float, lock: object = None) -> None:
        super().__init__()
        self.size, self.lock = size, lock

    def forward(self, z: Tensor) -> Tensor:
        x = super().forward(z).repeat(1, 50)
        return x + self.size * x.detach().abs().max() * torch.rand(x.shape)


def off(monkeypatch: pytest.MonkeyPatch, error: float, is_off: Callable[[int, Tensor], bool]) -> None:
    """Let float32 passes round otherwise: those of which the number and the latents say so."""
    numbers = iter(range(1000))

    def call(replica: Replica, latents: Tensor) -> Any:
        image = plain(replica, latents)
        return image + error if latents.dtype == torch.float32 and is_off(next(numbers), latents) else image

    plain = Replica.__call__
    monkeypatch.setattr(Replica, "__call__", call)


def test_a_first_pass_that_rounds_otherwise_is_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("dcgan-mnist-2d")
    for error in (8.8e-5, 1e-2):  # the first was seen, on two threads of a busy machine
        with monkeypatch.context() as patch:
            off(patch, error, lambda number, _: number == 0)
            assert len(Network(model.generator, model.latent.shape).layers) == 5


def test_any_pass_may_round_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    off(monkeypatch, 1e-3, lambda number, _: number % 2 == 0)
    assert Network(problems.Plain(), (2,)).layers


def test_what_cannot_be_copied_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    off(monkeypatch, 1e-2, lambda number, _: number in (0, 3))
    assert Network(problems.Stateful(lock=True), (2,)).layers


def test_a_latent_alone_may_round_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    off(monkeypatch, 0.1, lambda _, latents: len(latents) == 1)
    assert Network(problems.Plain(), (2,)).layers


def test_rounding_may_be_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Chaotic()
    z = torch.tensor([[0.3, -0.4]])
    with torch.no_grad():
        error = (generator(z).double() - generator.double()(z.double())).abs().max()
    assert error > 1e-5
    off(monkeypatch, 100 * float(error), lambda number, _: number == 0)
    assert Network(generator.float(), (2,)).layers


@pytest.mark.parametrize("lock", [False, True])
@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0])
def test_noise_is_refused(size: float, lock: bool) -> None:
    torch.manual_seed(0)
    generator = Noisy(size, threading.Lock() if lock else None)
    for _ in range(20):
        with pytest.raises(NetworkError, match="second time"):
            Network(generator, (2,))


def test_a_batch_that_is_mixed_is_refused_in_float64_too() -> None:
    class Mixing(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            x = super().forward(z)
            return x + 0.05 * x.mean(dim=0)

    with pytest.raises(NetworkError, match="other latents in its batch"):
        Network(Mixing(), (2,))


class Crowded(problems.Plain):
    """Takes statistics over the batch where it has more than so many latents; images of ``size`` values."""

    def __init__(self, most: int, size: int = 2) -> None:
        super().__init__()
        self.most, self.size = most, size

    def forward(self, z: Tensor) -> Tensor:
        h = self[0](z)
        if len(h) > self.most:
            h = h - 0.1 * h.mean(dim=0)
        return self[2](self[1](h)).repeat(1, self.size // 2)


class Grouped(Crowded):
    """Takes statistics over batches of some sizes alone, as a minibatch standard deviation over groups of four does."""

    def __init__(self, takes: Callable[[int], bool], size: int = 2) -> None:
        super().__init__(0, size)
        self.takes = takes

    def forward(self, z: Tensor) -> Tensor:
        self.most = 0 if self.takes(len(z)) else len(z)
        return super().forward(z)


SIZES: dict[str, Callable[[int], bool]] = {
    "even": lambda n: n % 2 == 0,
    "fours": lambda n: n % 4 == 0,
    "odd above 3": lambda n: n % 2 == 1 and n > 3,
    "17 to 255": lambda n: 16 < n < 256,
}


class Deviating(problems.Plain):
    """The standard deviation of a large batch is one more value of each of its images."""

    def forward(self, z: Tensor) -> Tensor:
        x = super().forward(z)
        deviation = x.std(dim=0).mean() if len(x) > 16 else x.new_zeros(())
        return torch.cat([x, deviation.expand(len(x), 1)], dim=1)


@pytest.mark.parametrize(
    "generator", [Crowded(3), Crowded(16), Crowded(63), Crowded(255), Crowded(16, 5000), Deviating()]
)
def test_a_network_that_depends_on_the_size_of_the_batch_is_refused(generator: nn.Module) -> None:
    with pytest.raises(NetworkError, match=r"another one in a batch of \d+ than in one of 3; expected each row"):
        Network(generator, (2,))


@pytest.mark.parametrize("size", [2, 784, 3072, 3 * 64**2])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_network_that_mixes_batches_of_some_sizes_alone_is_refused(sizes: str, size: int) -> None:
    with pytest.raises(NetworkError, match=r"another one in a batch of \d+ than in one of 3; expected each row"):
        Network(Grouped(SIZES[sizes], size), (2,))


@pytest.mark.parametrize("sizes", SIZES)
def test_a_layer_of_a_network_of_large_images_that_mixes_some_batches_is_refused(sizes: str) -> None:
    network = Network(Grouped(SIZES[sizes], 300_000), (2,))
    with pytest.raises(NetworkError, match="the pre-activation of a latent is another one in a batch of"):
        network.split(1)


@pytest.mark.parametrize("most", [8, 16])
def test_a_network_of_large_images_is_refused_at_a_layer(most: int) -> None:
    network = Network(Crowded(most, 100_000), (2,))
    with pytest.raises(NetworkError, match="the pre-activation of a latent is another one in a batch of 64"):
        network.split(1)


def test_a_large_head_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sizes = Network(Crowded(1000, 100_000), (2,)), []
    plain = Replica.__call__
    monkeypatch.setattr(Replica, "__call__", lambda replica, z: (sizes.append(len(z)), plain(replica, z))[1])
    network.split(1)
    network.split(1)
    assert sizes == [3, 64, 5]


def test_the_large_batch_of_large_images_is_small() -> None:
    assert [large_batch(values) for values in (4, 784, 3072, 3 * 64**2, 3 * 256**2, 3 * 1024**2)] == [
        257, 257, 128, 32, 2, 1,
    ]  # fmt: skip


def test_a_network_with_room_for_no_more_than_is_asked_for_is_left_alone() -> None:
    class Roomy(problems.Plain):
        def forward(self, z: Tensor) -> Tensor:
            if len(z) > 64:
                raise ValueError("too many")
            return super().forward(z)

    assert Network(Roomy(), (2,)).layers


def test_a_large_batch_may_round_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    off(monkeypatch, 0.1, lambda _, latents: len(latents) > 3)
    assert Network(problems.Plain(), (2,)).layers
    assert Network(Crowded(1000, 100_000), (2,)).split(1).layer.units == 3
