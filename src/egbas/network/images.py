# SPDX-License-Identifier: MIT
"""What a generator returns, and the image in it."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from egbas.errors import ConfigError, NetworkError
from egbas.network.given import as_index

Steps = tuple[Any, ...]  # keys, one after the other, that lead to a tensor in what a forward pass returned

_VALUES_AT_ONCE, _MOST_AT_ONCE = 200_000, 64
_DIMENSIONS = 4  # of images (n, c, h, w)
_DEEPEST = 4  # steps to a tensor
_CHANNELS = (1, 3, 4)  # of images (n, c, h, w), where something else may be the image, too
_MOST_TOLD = 12


def images_at_once(image_size: int) -> int:
    """How many images of so many values a network is best asked for, or asked about, in one pass.

    64 of 28 x 28, one of 256 x 256: there, the tensors between the layers of a batch of 16 are so large that each is
    memory from the system anew, and an image takes a quarter longer than alone.
    """
    return min(_MOST_AT_ONCE, max(1, _VALUES_AT_ONCE // image_size))


def check_choice(choice: object) -> None:
    """Refuse what cannot say which output of a network is the image.

    Raises:
        ConfigError: it is no index, name or None.
    """
    if choice is not None and (isinstance(choice, bool) or not isinstance(choice, int | str) or choice == ""):
        raise ConfigError(
            f"got output={choice!r}; expected an index such as 1, a key or an attribute such as 'sample', "
            "or several of them with dots between, such as 'images.-1'"
        )


def parts_of(output: Any) -> dict[Any, Any]:
    """What a forward pass returned, taken apart once: its parts by key, field, attribute or index; none of a tensor."""
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, tuple) and hasattr(output, "_fields"):  # a named tuple
        return dict(zip(getattr(output, "_fields"), output, strict=True))  # noqa: B009
    if isinstance(output, tuple | list):
        return dict(enumerate(output))
    if isinstance(output, Tensor | nn.Module | type) or not hasattr(output, "__dict__"):
        return {}
    return {name: value for name, value in vars(output).items() if not name.startswith("_")}


def find_image(output: Any, n: int, choice: int | str | None = None) -> Steps:
    """Where the image is in what a forward pass returned.

    Args:
        output: a tensor, or anything that holds tensors: a tuple such as (image, latents), a dict such as
            {"image": ..., "w": ...}, a named tuple, an object with attributes.
        n: how many images there are.
        choice: index, key or attribute of the image; several with dots between where it is deeper. None: the entry
            ``"image"``, or else the first tensor that may be images. One of an image's shape comes before vectors,
            and before what has more channels than an image.

    Returns:
        The keys that lead there, one after the other; none where the output is the image.

    Raises:
        NetworkError: there is nothing that is chosen, or no tensor at all.
    """
    found = dict(_tensors_in(output))
    if choice is not None:
        steps = _chosen(output, choice)
        if not isinstance(_follow(output, steps), Tensor):
            inside = {key: tensor for key, tensor in found.items() if key[: len(steps)] == steps}
            raise NetworkError(
                f"output {choice!r} of the network is no tensor; choose one of {_listed(inside or found)}"
            )
        return steps
    if not found:
        raise NetworkError(
            f"the network returned {type(output).__name__}; "
            "expected a tensor of images (n, c, h, w), a tuple that holds one or a dict with an 'image'"
        )
    if ("image",) in found:
        return ("image",)
    may_be = _candidates(found, n)
    if not may_be:
        return _near_first(found)[0]
    is_like_an_image = [steps for steps in may_be if _is_like_an_image(found[steps])]
    return may_be[0] if may_be[0] in is_like_an_image else [*is_like_an_image, may_be[0]][0]


def other_images(output: Any, n: int, steps: Steps) -> str | None:
    """A sentence on what else may be the image in what a forward pass returned; None where nothing may.

    Beside images (n, c, h, w), tensors of fewer dimensions are none: latents, scores.
    """
    if steps == ("image",):
        return None
    image, found = _follow(output, steps), dict(_tensors_in(output))
    least = min(image.ndim, _DIMENSIONS)
    candidates = _candidates(found, n)
    is_first = candidates[:1] == [steps]  # else another was passed over, which is told, whatever its dimensions are
    may_be = [key for key in found if key in candidates and not (is_first and found[key].ndim < least)]
    another = next((key for key in may_be if key != steps), None)
    if another is None:
        return None
    shapes = ", ".join(_told(key, found[key]) for key in may_be)
    why = "" if is_first else ", which has the shape of an image"
    return (
        f"The network returns {len(may_be)} tensors that may be the image: {shapes}. Output {_name(steps)} is explored"
        f"{why}; choose another by --output {_name(another)}, or output= in Python."
    )


def image_of(output: Any, n: int, steps: Steps | None = None) -> Tensor:
    """The images (n, ...) in what a forward pass returned.

    Args:
        output: what it returned.
        n: how many there are.
        steps: that lead to them; None: they are looked for.

    Raises:
        NetworkError: there is no tensor in it, or one of another batch size or of no real numbers.
    """
    steps = find_image(output, n) if steps is None else steps
    try:
        image = _follow(output, steps)
    except (KeyError, IndexError) as error:
        raise NetworkError(
            f"the network returned {type(output).__name__} without an output {_name(steps)}, which it had before; "
            "expected the same outputs for all latents"
        ) from error
    if not isinstance(image, Tensor):
        raise NetworkError(f"output {_name(steps)} of the network is a {type(image).__name__}; expected a tensor")
    others = {key: tensor for key, tensor in _tensors_in(output) if key != steps and _may_be_images(tensor, n)}
    way_out = f"; or choose one of {_listed(others)} by --output, output= in Python" if others else ""
    if image.ndim < 2 or image.shape[0] != n:
        raise NetworkError(
            f"the network returned a tensor of shape {tuple(image.shape)} for {n} latents; "
            f"expected one image for each, ({n}, c, h, w): "
            f"its forward must keep the batch as the first dimension, for any batch size{way_out}"
        )
    if not image.is_floating_point():
        todo = "" if image.is_complex() else ": return its pixels before they are rounded, which leaves no gradient"
        raise NetworkError(
            f"the network returned {image.dtype}; expected real images such as torch.float32{todo}{way_out}"
        )
    return image


def _follow(output: Any, steps: Steps) -> Any:
    for step in steps:
        output = parts_of(output)[step]
    return output


def follow_node(output: Any, steps: Steps) -> fx.Node | None:
    """The node of the image in what the graph of a forward pass returns; None where it is not found."""
    for step in steps:
        if isinstance(output, fx.Node):  # torch.fx writes down that a data class or a named tuple was made
            made = output.target if output.op == "call_function" else None
            names = getattr(made, "_fields", None) or [
                field.name for field in (fields(made) if isinstance(made, type) and is_dataclass(made) else ())
            ]
            output = {**dict(zip(names, output.args, strict=False)), **output.kwargs}
        output = parts_of(output).get(step)
    return output if isinstance(output, fx.Node) else None


def _chosen(output: Any, choice: int | str) -> Steps:
    """The keys that a choice means.

    Raises:
        NetworkError: there is nothing of that name.
    """
    steps: list[Any] = []
    at = output
    for name in [choice] if choice in parts_of(output) else str(choice).split("."):
        parts = parts_of(at)
        keys, key = list(parts), name
        index = as_index(str(name))
        if name not in parts and index is not None:
            key = index if index in parts else keys[index] if -len(keys) <= index < len(keys) else name
        if key not in parts:
            known = _listed(dict(_tensors_in(output)))
            todo = "that is the image itself: leave --output (output=) out"
            raise NetworkError(
                f"there is no output {choice!r} in what the network returned, a {type(output).__name__}; "
                + (todo if isinstance(output, Tensor) else f"choose one of {known}")
            )
        steps.append(key)
        at = parts[key]
    return tuple(steps)


def _tensors_in(output: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Tensor]]:
    """The tensors in what a forward pass returned, with the keys that lead to them."""
    if isinstance(output, Tensor):
        yield steps, output
    elif len(steps) < _DEEPEST:
        for key, value in parts_of(output).items():
            yield from _tensors_in(value, (*steps, key))


def _may_be_images(tensor: Tensor, n: int) -> bool:
    return tensor.ndim >= 2 and tensor.shape[0] == n and tensor.is_floating_point()


def _near_first(found: Mapping[Steps, Tensor]) -> list[Steps]:
    """What lies at the top, then what lies deeper."""
    return sorted(found, key=lambda steps: len(steps) > 1)


def _candidates(found: Mapping[Steps, Tensor], n: int) -> list[Steps]:
    return [steps for steps in _near_first(found) if _may_be_images(found[steps], n)]


def _is_like_an_image(tensor: Tensor) -> bool:
    """Whether a batch may be images by its shape alone: (n, h, w), or (n, c, h, w) with an image's channels."""
    sides = tensor.shape[-2:]
    is_plane = tensor.ndim == _DIMENSIONS - 1 or (tensor.ndim == _DIMENSIONS and tensor.shape[1] in _CHANNELS)
    return is_plane and max(sides) > 1


def _name(steps: Steps) -> str:
    return ".".join(map(str, steps))


def _told(steps: Steps, tensor: Tensor) -> str:
    return f"{_name(steps)} ({' x '.join(map(str, tensor.shape[1:]))})"


def _listed(found: Mapping[Steps, Tensor]) -> str:
    listed = [_told(steps, tensor) for steps, tensor in found.items()]
    return ", ".join(listed[:_MOST_TOLD]) + (", ..." if len(listed) > _MOST_TOLD else "") if listed else "none"


def refuse_nonfinite(image: Tensor) -> Tensor:
    """Return the images.

    Raises:
        NetworkError: they hold NaN or infinite values.
    """
    if not torch.isfinite(image).all():
        raise NetworkError(
            "the network returned NaN or infinite values; check its weights, its dtype and the scale of the latents"
        )
    return image


def close(got: Tensor, expected: Tensor, *, slack: float = 1.0) -> bool:
    """Whether two results of one computation agree up to its rounding, relative to the largest entry."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    got, expected = got.detach(), expected.detach()
    scale = float(expected.nan_to_num(0, 0, 0).abs().max()) if expected.numel() else 0.0
    tolerance = slack * torch.finfo(expected.dtype).eps ** 0.5 * scale
    return torch.allclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
