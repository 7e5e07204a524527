# SPDX-License-Identifier: MIT
"""From the tensors of a file to plain weights: names and shapes checked, learning-rate scales folded in."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers.stored import StoredTensor

Conv = tuple[Tensor, Tensor]
MAX_RESOLUTIONS = 9  # 4 * 2**8 = 1024 pixels
MAX_DIGITS = 4  # of a layer's number; longer ones count as 10,000, more layers than any format has
RELU_GAIN = math.sqrt(2)


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """The named tensors of one network.

    Attributes:
        stored: by name.
        what: of the network, for messages, such as "generator".
        is_equalized: whether its weights are scaled when they are used, by gain / sqrt(fan in).
    """

    stored: Mapping[str, StoredTensor]
    what: str
    is_equalized: bool = True

    def count(self, pattern: str) -> int:
        """How many layers there are: one more than the largest number that the pattern's group catches."""
        digits = [match[1] for name in self.stored if (match := re.fullmatch(pattern, name))]
        numbers = [int(number) if len(number) <= MAX_DIGITS else 10**MAX_DIGITS for number in digits]
        return max(numbers, default=-1) + 1

    def resolutions(self, n_layers: int) -> int:
        """How many resolutions so many layers make, two for each; a missing one is told later, by its name.

        Raises:
            CheckpointError: there are none, or more than a network can have.
        """
        count = (n_layers + 1) // 2
        if not 1 <= count <= MAX_RESOLUTIONS:
            raise CheckpointError(f"the {self.what} has {n_layers} layers; expected 2 to {2 * MAX_RESOLUTIONS}")
        return count

    def check_names(self, needed: Iterable[str], ignored: str = "") -> None:
        """Compare the names with those that the format needs.

        Args:
            needed: all of them.
            ignored: pattern of further names that are all right.

        Raises:
            CheckpointError: some are missing or unknown.
        """
        names = set(needed)
        missing = sorted(names - self.stored.keys())
        unknown = sorted(name for name in self.stored.keys() - names if not re.fullmatch(ignored, name))
        if missing or unknown:
            told = [f"{kind}: {_some(these)}" for kind, these in (("missing", missing), ("unknown", unknown)) if these]
            raise CheckpointError(
                f"the {self.what} does not have the tensors of its format; {'; '.join(told)}. The file is damaged, "
                "or of a variant that egbas does not know"
            )

    def load(self, name: str, *shape: int | None, transposed: bool = False) -> Tensor:
        """Read one tensor.

        Args:
            name: of the tensor.
            shape: expected; None for any size.
            transposed: whether it is the weight of a transposed convolution, which a spectral norm has to know.

        Raises:
            CheckpointError: it has another shape, or holds values that are not finite.
        """
        self.sizes(name, *shape)
        return self.stored[name].load(name, transposed=transposed)

    def sizes(self, name: str, *shape: int | None) -> tuple[int, ...]:
        """Compare the shape of one tensor with the expected one, and return it.

        Args:
            name: of the tensor.
            shape: expected; None for any size.

        Raises:
            CheckpointError: it has another shape.
        """
        sizes = self.stored[name].shape
        fits = len(sizes) == len(shape) and all(want in (None, size) for size, want in zip(sizes, shape, strict=True))
        if not fits or 0 in sizes:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise CheckpointError(f"tensor {name!r} of the {self.what} has shape {sizes}; expected ({wanted})")
        return sizes

    def refuse_growing(self) -> None:
        """Refuse a network that was saved before its highest resolution was in use.

        Raises:
            CheckpointError: its level of detail is not 0, or no number.
        """
        stored = self.stored.get("lod")
        if stored is not None and math.prod(stored.shape) != 1:
            raise CheckpointError(
                f"tensor 'lod' of the {self.what} has shape {stored.shape}; expected one number, the level of detail. "
                "The file is damaged"
            )
        lod = float(stored.load("lod").sum()) if stored is not None else 0.0
        if lod:
            raise CheckpointError(
                f"the {self.what} was still growing when it was saved (level of detail {lod:g}, 0 is full resolution); "
                "use a checkpoint of the finished training"
            )

    def conv(self, weight: str, bias: str, kernel: int, n_in: int | None = None, gain: float = RELU_GAIN) -> Conv:
        """Read a convolution (out, in, k, k) with its scale gain / sqrt(fan in) folded into the weight."""
        w = self.load(weight, None, n_in, kernel, kernel)
        return self.scaled(w, gain), self.load(bias, len(w))

    def scaled(self, weight: Tensor, gain: float, fan_in: int | None = None) -> Tensor:
        """Multiply a weight in place with its scale, where the network has scales.

        Args:
            weight: (out, in, ...).
            gain: of the scale.
            fan_in: of the scale; None for that of the weight.
        """
        if not self.is_equalized:
            return weight
        return fold(weight, gain) if fan_in is None else weight.mul_(gain / math.sqrt(fan_in))


def fold(weight: Tensor, gain: float) -> Tensor:
    """Multiply a weight (out, in, ...) in place with its scale gain / sqrt(fan in)."""
    return weight.mul_(gain / math.sqrt(weight[0].numel()))


def from_transposed(weight: Tensor) -> Tensor:
    """Turn the weight (in, out, k, k) of a transposed convolution into that of a convolution, (out, in, k, k).

    On a 1x1 image a transposed convolution without padding is a convolution with padding k - 1; one with stride 2
    whose kernel is the sum of four shifts is a convolution after nearest upsampling.
    """
    return weight.permute(1, 0, 2, 3).flip(2, 3).contiguous()


def _some(names: list[str]) -> str:
    return ", ".join(name[:60] for name in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
