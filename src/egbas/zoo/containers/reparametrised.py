# SPDX-License-Identifier: MIT
"""Weights that a file holds in parts: spectral norm, weight norm and pruning of torch, computed as in eval mode.

Both spellings are known, that of hooks (``weight_orig``, ``weight_u``; ``weight_g``, ``weight_v``; ``weight_mask``) and
that of parametrisations (``parametrizations.weight.original``, ``.0._u``; ``.original0``, ``.original1``). A network is
told by the names of its plain weights; the parts are read, and the weight computed of them, when it is loaded.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from egbas.errors import CheckpointError
from egbas.zoo.containers.stored import Ledger, StoredTensor

PART = re.compile(
    r"(?:(?P<module>.*)\.)?(?:parametrizations\.(?P<new>\w+)\.(?P<part>.+)|(?P<old>\w+?)_(?P<suffix>orig|g))"
)


def plain(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Name the weights that the parts make up; the other tensors stay as they are.

    Args:
        tensors: of a network, by name.
    """
    folded = dict(tensors)
    for name in tensors:
        found = PART.fullmatch(name)
        if found is None:
            continue
        stem = f"{found['module']}." if found["module"] is not None else ""
        if found["new"] is not None:
            _fold_new(folded, stem, found["new"], found["part"])
        else:
            _fold_old(folded, stem, found["old"], found["suffix"])
    return folded


def _fold_new(folded: dict[str, StoredTensor], stem: str, weight: str, part: str) -> None:
    inside = f"{stem}parametrizations.{weight}."
    rest = {name.removeprefix(inside) for name in folded if name.startswith(inside)}
    if part == "original" and rest == {"original", "0._u", "0._v"}:
        made = _spectral(*(folded[f"{inside}{name}"] for name in ("original", "0._u", "0._v")))
    elif part == "original0" and rest == {"original0", "original1"}:
        made = _weight_norm(folded[f"{inside}original0"], folded[f"{inside}original1"])
    else:
        return
    _put(folded, f"{stem}{weight}", made, [f"{inside}{name}" for name in rest])


def _fold_old(folded: dict[str, StoredTensor], stem: str, weight: str, suffix: str) -> None:
    name = f"{stem}{weight}"
    given = {part: folded[f"{name}_{part}"] for part in ("orig", "u", "v", "g", "mask") if f"{name}_{part}" in folded}
    parts = [f"{name}_{part}" for part in given]
    if suffix == "orig" and name in folded and given.keys() >= {"orig", "u"}:
        _put(folded, name, folded[name], parts)  # torch before 1.0 kept the weight itself
    elif suffix == "orig" and given.keys() == {"orig", "u", "v"}:
        _put(folded, name, _spectral(given["orig"], given["u"], given["v"]), parts)
    elif suffix == "orig" and given.keys() == {"orig", "mask"}:
        _put(folded, name, _masked(given["orig"], given["mask"]), parts)
    elif suffix == "g" and given.keys() == {"g", "v"}:
        _put(folded, name, _weight_norm(given["g"], given["v"]), parts)


def _put(folded: dict[str, StoredTensor], name: str, made: StoredTensor, parts: list[str]) -> None:
    for part in parts:
        folded.pop(part, None)
    folded[name] = made


def _of(weight: StoredTensor, read: Callable[[], Tensor], transposed: Callable[[], Tensor] | None) -> StoredTensor:
    return StoredTensor(
        shape=weight.shape,
        dtype=weight.dtype,
        read=read,
        ledger=Ledger(limit=sys.maxsize),  # its parts are counted as they are read
        kind=weight.kind,
        read_transposed=transposed,
    )


def _spectral(original: StoredTensor, u: StoredTensor, v: StoredTensor) -> StoredTensor:
    """W / sigma, sigma = u . W v with W as a matrix whose rows are the outputs (Miyato et al. 2018)."""

    def normed(dim: int) -> Tensor:
        weight = original.load("weight_orig")
        rows, columns = u.load("weight_u"), v.load("weight_v")
        sizes = [size for at, size in enumerate(weight.shape) if at != dim]
        if weight.ndim < 2 or rows.shape != weight.shape[dim : dim + 1] or columns.shape != (math.prod(sizes),):
            raise CheckpointError(
                f"a spectral norm has vectors of {tuple(rows.shape)} and {tuple(columns.shape)} "
                f"for a weight of {tuple(weight.shape)}; the file is damaged"
            )
        matrix = weight.movedim(dim, 0).reshape(len(rows), -1)
        return weight / torch.dot(rows, torch.mv(matrix, columns))

    # The rows are the first dimension, in a transposed convolution the second; where both have one length, only what
    # reads the network knows which it is.
    def fits(dim: int) -> bool:
        return len(original.shape) > dim and u.shape == original.shape[dim : dim + 1]

    other = 1 if fits(1) and not fits(0) else 0
    return _of(original, lambda: normed(other), (lambda: normed(1)) if fits(1) else None)


def _weight_norm(g: StoredTensor, v: StoredTensor) -> StoredTensor:
    """G v / |v|, the norm over the dimensions in which g has one entry (Salimans and Kingma 2016)."""

    def read() -> Tensor:
        length, direction = g.load("weight_g"), v.load("weight_v")
        kept = [at for at, size in enumerate(length.shape) if size != 1]
        fits = length.ndim == 0 or (
            length.ndim == direction.ndim and all(length.shape[at] == direction.shape[at] for at in kept)
        )
        if not fits or len(kept) > 1:
            raise CheckpointError(
                f"a weight norm has lengths of {tuple(length.shape)} for a weight of {tuple(direction.shape)}; "
                "the file is damaged"
            )
        # torch's own function, which takes the dimension that is kept; -1 is none
        same = [at for at, size in enumerate(length.shape) if size == direction.shape[at]]
        norm: Any = torch._weight_norm  # pyright: ignore[reportPrivateImportUsage]
        return norm(direction, length, (kept or same or [-1])[0])

    return _of(v, read, None)


def _masked(original: StoredTensor, mask: StoredTensor) -> StoredTensor:
    """W * mask, as torch.nn.utils.prune keeps it."""

    def read() -> Tensor:
        if mask.shape != original.shape:
            raise CheckpointError(
                f"a mask has shape {mask.shape} for a weight of {original.shape}; the file is damaged"
            )
        return original.load("weight_orig") * mask.load("weight_mask")

    return _of(original, read, None)
