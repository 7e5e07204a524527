# SPDX-License-Identifier: MIT
"""Small networks with known answers, shared by the tests. Weights are written out, not drawn."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Networks to cut, one for each trap. Unless a class says otherwise they share two linear maps,
#   h = FIRST z + SHIFT (3 units),  x = SECOND relu(h) (2 pixels),
# so that z = QUERY gives h = (3, -1, 2), relu(h) = (3, 0, 2) and x = (5, -1).

FIRST = [[1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]]
SHIFT = [0.0, 0.0, -1.0]
SECOND = [[1.0, 1.0, 1.0], [1.0, 0.0, -2.0]]
QUERY = torch.tensor([1.0, 2.0])
QUERY_H = torch.tensor([3.0, -1.0, 2.0])
QUERY_A = torch.tensor([3.0, 0.0, 2.0])
QUERY_X = torch.tensor([5.0, -1.0])


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    """A linear map with these weights."""
    module = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
        if bias is not None:
            module.bias.copy_(torch.tensor(bias))
    return module


class TwoMaps(nn.Module):
    """``first`` and ``second``, for the networks below to run."""

    def __init__(self) -> None:
        super().__init__()
        self.first = linear(FIRST, SHIFT)
        self.second = linear(SECOND)


class Plain(nn.Sequential):
    """The first map, a ReLU module, the second map."""

    def __init__(self) -> None:
        super().__init__(linear(FIRST, SHIFT), nn.ReLU(), linear(SECOND))


class Nested(nn.Module):
    """The same, two levels of modules deep."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Sequential(linear(FIRST, SHIFT), nn.ReLU()), nn.Identity())
        self.out = linear(SECOND)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.body(z))


class Functional(TwoMaps):
    """The non-linearity is a function."""

    def forward(self, z: Tensor) -> Tensor:
        return self.second(F.relu(self.first(z)))


class InPlaceModule(nn.Sequential):
    """``nn.ReLU(inplace=True)`` overwrites the pre-activation."""

    def __init__(self) -> None:
        super().__init__(linear(FIRST, SHIFT), nn.ReLU(inplace=True), linear(SECOND))


class InPlaceStatement(TwoMaps):
    """``h.relu_()`` as a statement: its result is only read through h."""

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z)
        h.relu_()
        return self.second(h)


class InPlaceView(TwoMaps):
    """The same through a view of h: torch.fx cannot know that both are one tensor."""

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z)
        rows = h.view(z.size(0), -1)
        F.relu(rows, inplace=True)
        return self.second(h)


class InPlaceAbove(TwoMaps):
    """In-place operations above the layer, on its output and on a skip: x = 2 SECOND relu(h) + (1, 1) + z."""

    def forward(self, z: Tensor) -> Tensor:
        skip = z + 1
        a = F.relu(self.first(z))
        a.mul_(2)
        skip.add_(self.second(a))
        return skip


class SharedActivation(nn.Module):
    """One activation module, called three times: h1 = FIRST z + SHIFT, h2 = -relu(h1) + 2, h3 = h2 - 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = linear(FIRST, SHIFT)
        self.act = nn.ReLU()

    def forward(self, z: Tensor) -> Tensor:
        h = 2 - self.act(self.first(z))
        return self.act(self.act(h) - 1)


class SharedBlock(nn.Module):
    """One block with weights, called twice: u -> relu(-u + 1), from u = (z1 + z2)."""

    def __init__(self) -> None:
        super().__init__()
        self.merge = linear([[1.0, 1.0]])
        self.block = nn.Sequential(linear([[-1.0]], [1.0]), nn.LeakyReLU(0.5))

    def forward(self, z: Tensor) -> Tensor:
        return self.block(self.block(self.merge(z)))


class ResidualBlock(TwoMaps):
    """A skip past the layer: x = SECOND relu(h) + z."""

    def forward(self, z: Tensor) -> Tensor:
        return self.second(F.relu(self.first(z))) + z


class Concatenation(TwoMaps):
    """A skip that is concatenated, as in a U-Net: x = (SECOND relu(h), tanh(z))."""

    def forward(self, z: Tensor) -> Tensor:
        skip = torch.tanh(z)
        return torch.cat([self.second(F.relu(self.first(z))), skip], dim=1)


class Halves(NamedTuple):
    """Two outputs by name."""

    small: Tensor
    big: Tensor


@dataclass
class Decoded:
    """Two outputs of a data class."""

    small: Tensor
    big: Tensor


class ManyOutputs(TwoMaps):
    """Two images, the small one first, in what ``pack`` makes of them: its 2 values, and these twice over."""

    def __init__(self, pack: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.pack = pack

    def forward(self, z: Tensor) -> Any:
        small = self.second(F.relu(self.first(z))).reshape(-1, 1, 1, 2)
        return self.pack(small, torch.cat([small, small], dim=2))


def pair(small: Tensor, big: Tensor) -> list[Tensor]:
    """Outputs in a list, as generators of growing images return them."""
    return [small, big]


class Scaled(nn.Module):
    """Scale and bias around a map (gandissect's PGGAN): the map's own output, z1 + z2, has other zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = linear([[1.0, 1.0]])
        self.scale = nn.Parameter(torch.tensor(-2.0))
        self.bias = nn.Parameter(torch.tensor(1.0))

    def forward(self, z: Tensor) -> Tensor:
        return self.conv(z) * self.scale + self.bias


class ScaledNetwork(nn.Module):
    """``Scaled``, leaky ReLU of slope 0.5, and a map: h = -2 (z1 + z2) + 1, x = 3 leaky(h)."""

    def __init__(self) -> None:
        super().__init__()
        self.wrapped = Scaled()
        self.act = nn.LeakyReLU(0.5)
        self.out = linear([[3.0]])

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.act(self.wrapped(z)))


class Mutating(nn.Module):
    """A wrapper that overwrites what its inner module returned: the inner map's h, and then -h."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear(FIRST, SHIFT)

    def forward(self, z: Tensor) -> Tensor:
        h = self.inner(z)
        return h.neg_()


class MutatingNetwork(nn.Module):
    """``Mutating`` and the second map: x = -SECOND h."""

    def __init__(self) -> None:
        super().__init__()
        self.wrapper = Mutating()
        self.out = linear(SECOND)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.wrapper(z))


class BatchSizes(TwoMaps):
    """Sizes of the batch in views and in a tensor made of them."""

    def forward(self, z: Tensor) -> Tensor:
        n = z.size(0)
        a = F.relu(self.first(z)).view(n, 1, 3)
        offset = z.new_zeros(n, 1, 3) + z.mean(1).view(n, 1, 1)
        return self.second((a + offset).view(n, 3))


class Branching(TwoMaps):
    """Control flow on the data, which torch.fx cannot follow."""

    def forward(self, z: Tensor) -> Tensor:
        a = torch.relu(self.first(z))
        if float(a.detach().abs().max()) > 1e6:
            a = a / 2
        return self.second(a)


class Swallowing(TwoMaps):
    """Swallows every Exception on the way."""

    def forward(self, z: Tensor) -> Tensor:
        try:
            a = F.relu(self.first(z))
        except Exception:
            a = torch.zeros(z.shape[0], 3)
        return self.second(a)


class Swish(nn.Module):
    """A custom activation: x sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class SwishNetwork(nn.Sequential):
    """The two maps around a custom activation module."""

    def __init__(self) -> None:
        super().__init__(linear(FIRST, SHIFT), Swish(), linear(SECOND))


class Dictionary(TwoMaps):
    """Returns a dict, as genforce's generators do."""

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {"z": z, "image": self.second(F.relu(self.first(z)))}


class Stateful(Plain):
    """Keeps a tensor and a count from each forward pass; with a lock it cannot be copied."""

    def __init__(self, *, lock: bool = False) -> None:
        super().__init__()
        self.register_buffer("n_passes", torch.zeros(()))
        self.last: Tensor | None = None
        self.lock = threading.Lock() if lock else None

    def forward(self, z: Tensor) -> Tensor:
        self.n_passes += 1
        self.last = super().forward(z)
        return self.last


class Static(TwoMaps):
    """Hands out one tensor again and again, with other values: as fast as it gets with a fixed batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("out", torch.zeros(300, 2))

    def forward(self, z: Tensor) -> Tensor:
        out = self.out[: z.size(0)]
        return out.copy_(self.second(F.relu(self.first(z))))


class StaticAttribute(TwoMaps):
    """The same with a tensor that is made when the size of the batch changes, and kept as an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.out: Tensor | None = None

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.second(F.relu(self.first(z)))
        if self.out is None or len(self.out) != len(z):
            self.out = torch.empty_like(x)
        self.out.copy_(x)
        return self.out, z


class StaticInside(TwoMaps):
    """The same below the layer: the pre-activation is in one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("h", torch.zeros(300, 3))

    def forward(self, z: Tensor) -> Tensor:
        h = self.h[: z.size(0)]
        h.copy_(self.first(z))
        return self.second(F.relu(h))


class StaticLocked(Static):
    """One that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Raising(Plain):
    """Raises in its forward after the first ``n_good`` passes; with a lock it cannot be copied."""

    def __init__(self, error: BaseException, n_good: int = 0, *, lock: bool = False) -> None:
        super().__init__()
        self.error = error
        self.lock = threading.Lock() if lock else None
        self.n_good = n_good

    def forward(self, z: Tensor) -> Tensor:
        h = self[1](self[0](z))
        self.n_good -= 1
        if self.n_good < 0:
            raise self.error
        return self[2](h)


# Regions and supporting sets known by hand


class BoxNet(nn.Sequential):
    """Four units 1 - z1, 1 + z1, 1 - z2, 1 + z2: the region of all of them around the origin is the square |z| <= 1."""

    def __init__(self) -> None:
        super().__init__(
            linear([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], [1.0, 1.0, 1.0, 1.0]),
            nn.ReLU(),
            linear([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]),
        )
        self.eval()


class HalvesNet(nn.Sequential):
    """The four units of ``BoxNet`` below images (1, 2, 4): the left half shows the first two, the right half the rest.

    Around ``HALVES_QUERY`` the units are (0.8, 1.2, 1.3, 0.7), twice each in the image. What a set loses is the norm of
    the others: 0.34 of the image without the last unit, which is the least, and 0.51 without the first and the last.
    With a backdrop, a number added to every pixel, the image changes little, also without any unit.
    """

    def __init__(self, backdrop: float = 0.0) -> None:
        shown = [[float(unit == pixel) for unit in range(4)] for pixel in (0, 1, 2, 3, 1, 0, 3, 2)]
        super().__init__(
            linear([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], [1.0, 1.0, 1.0, 1.0]),
            nn.ReLU(),
            linear(shown, [backdrop] * 8),
            nn.Unflatten(1, (1, 2, 4)),
        )
        self.eval()


HALVES_QUERY = torch.tensor([0.2, -0.3])
LEFT, RIGHT = (0, 0, 2, 2), (2, 0, 4, 2)  # boxes of its image


class RedundantUnit(nn.Sequential):
    """Six units (3, 2, 0, 5, 1, 4) at z = (1, 1) of which the image needs three.

    The image is (8 a0, 6 a1, 7 a5, 0.01 a4): units 2 (off) and 3 (not wired) cannot matter, unit 4 hardly does.
    """

    def __init__(self) -> None:
        super().__init__(
            linear(
                [[2.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [2.0, 3.0], [1.0, 0.0], [2.0, 2.0]],
                [0.0] * 6,
            ),
            nn.ReLU(),
            linear(
                [
                    [8.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, 6.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, 0.0, 0.0, 0.0, 0.0, 7.0],
                    [0.0, 0.0, 0.0, 0.0, 0.01, 0.0],
                ]
            ),
        )
        self.eval()


# Generators that ignore the length of their latent, G(3z) = G(z)


class PixelNorm(nn.Module):
    """z / sqrt(mean of z^2 + 1e-8), as PGGAN begins."""

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)


class OctantNet(nn.Sequential):
    """Three units, the coordinates of the normalised latent; all three are in the image with equal weights.

    Around a query of positive coordinates the region of all of them is the octant: an eighth of the sphere.
    """

    def __init__(self) -> None:
        axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        super().__init__(PixelNorm(), linear(axes), nn.ReLU(), linear(axes))
        self.eval()


class ScaleInvariantNet(nn.Sequential):
    """Normalises its latent of d coordinates; 40 units with biases, images (1, 4, 4). No random numbers."""

    def __init__(self, d: int) -> None:
        def formula(rows: int, columns: int) -> Tensor:
            return torch.sin(torch.arange(rows * columns) * 1.7 + rows).reshape(rows, columns)

        first, second = nn.Linear(d, 40), nn.Linear(40, 16)
        with torch.no_grad():
            first.weight.copy_(formula(40, d) / d**0.5)
            first.bias.copy_(formula(1, 40)[0] / 2)
            second.weight.copy_(formula(16, 40) / 4)
            second.bias.zero_()
        super().__init__(PixelNorm(), first, nn.ReLU(), second, nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
        self.eval()
