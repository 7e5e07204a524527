# SPDX-License-Identifier: MIT
"""The inputs of a network beside the latent, by the words that people type after ``--input``."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from egbas.errors import CheckpointError, ConfigError
from egbas.inputs.queries import read_arrays

_WORDS = {"none": None, "true": True, "false": False}
_FORMS = "a number, a word, true, false, none, a row of numbers such as [0,1], or @FILE of a tensor"


def find_inputs(given: Sequence[str] | None, option: str = "--input") -> dict[str, Any]:
    """Read ``NAME=VALUE``, as often as it was given.

    ``c=3`` and ``psi=0.7`` are numbers, ``noise_mode=const`` a text, as is ``name="3"``; ``true``, ``false`` and
    ``none`` are Python's. ``c=[0,0,1]`` is a tensor (1, 3), a row for each latent. ``c=@FILE`` is the tensor of a
    safetensors, npy or npz file, ``c=@FILE:NAME`` one of several.

    Args:
        given: what was typed.
        option: that it was typed after, for messages.

    Raises:
        ConfigError: it cannot be read, or a name stands twice.
        CheckpointError: a file cannot be read.
    """
    inputs: dict[str, Any] = {}
    for text in given or ():
        name, mark, value = text.partition("=")
        name = name.strip()
        if not mark or not name.isidentifier():
            raise ConfigError(f"got {option} {text!r}; expected NAME=VALUE, where VALUE is {_FORMS}")
        if name in inputs:
            raise ConfigError(f"{option} {name} was given twice; give it once")
        inputs[name] = _value(name, value.strip(), option)
    return inputs


def _value(name: str, text: str, option: str) -> Any:
    if text.startswith("@"):
        return _of_file(text[1:], f"{option} {name}")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        if text[:1] in ("[", "{", '"') or not text:
            raise ConfigError(f"got {option} {name}={text}; expected {_FORMS}") from None
        return text
    if isinstance(value, dict):
        raise ConfigError(f"got {option} {name}={text}; expected {_FORMS}")
    if not isinstance(value, list):
        return value
    try:
        is_real = any(isinstance(each, float) for each in _flat(value))
        row = torch.tensor(value, dtype=torch.float32 if is_real else torch.int64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ConfigError(
            f"got {option} {name}={text}; expected a list of numbers, or of lists of one length"
        ) from error
    return row[None]


def _flat(values: list[Any]) -> list[Any]:
    return [one for value in values for one in (_flat(value) if isinstance(value, list) else [value])]


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _of_file(text: str, option: str) -> Tensor:
    """The tensor of ``FILE``, or of ``FILE:NAME``; a file whose name has a colon in it comes first."""
    path, key = Path(text), None
    if not path.is_file() and (found := re.fullmatch(r"(.+):([^:/\\]+)", text)) is not None:
        path, key = Path(found[1]), found[2]
    named = read_arrays(path, option)
    if key is None and len(named) != 1:
        raise CheckpointError(f"{path} holds {sorted(named) or 'nothing'}; name one of them: @{path}:NAME")
    if key is not None and key not in named:
        raise CheckpointError(f"{path} has no tensor {key!r}; it holds {sorted(named) or 'nothing'}")
    value = next(iter(named.values())) if key is None else named[key]
    return value.to(torch.float32) if value.dtype == torch.float64 else value
