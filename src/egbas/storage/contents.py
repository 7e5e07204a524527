# SPDX-License-Identifier: MIT
"""What the files of a run directory hold, read and not yet believed; and how a damaged file is told."""

import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from egbas.errors import EgbasError, RunDirectoryError
from egbas.network.conditions import from_record
from egbas.samplers.choice import PRIOR, TREE
from egbas.storage.destination import BOUNDARY, CONFIG, INPUTS, METRICS, REGION, SAMPLES

_WHAT_TO_DO = "explore again, or bring the file back from a copy"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What the files of a run directory hold.

    Attributes:
        directory: that they lie in.
        config: of ``config.json``.
        metrics: of ``metrics.json``.
        boundary: tensors of ``boundary.safetensors``; none in a region of the user's own.
        samples: tensors of ``samples.safetensors``.
        exact: tensors of ``region.safetensors``; none without exact samples.
        inputs: of the network beside the latent, as they were given.
    """

    directory: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    boundary: dict[str, Tensor]
    samples: dict[str, Tensor]
    exact: dict[str, Tensor]
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def samplers(self) -> dict[str, Any]:
        """What is told of each sampler; runs of version 0.1.0 have a tree alone."""
        told = self.metrics.get("samplers")
        return {TREE: {"kind": "tree", "certificate": self.metrics["certificate"]}} if told is None else told

    @property
    def has_layer(self) -> bool:
        """Whether the region is that of a layer."""
        return self.config["layer"] is not None

    @property
    def has_tree(self) -> bool:
        """Whether a tree was grown."""
        return any(told["kind"] == "tree" for told in self.samplers.values())

    def drawn(self, name: str) -> tuple[Path, str, dict[str, Tensor]]:
        """The file of a sampler's tensors, how their names begin there, and all tensors of that file."""
        if name == PRIOR and self.metrics.get("region") is not None:
            return self.directory / REGION, "", self.exact
        is_tree = self.samplers[name]["kind"] == "tree"
        return self.directory / SAMPLES, "" if is_tree else f"{name}/", self.samples


def read_contents(directory: Path) -> Contents:
    """Read the files of a run directory.

    Raises:
        RunDirectoryError: a file is missing, or is no file of its kind.
    """
    config, metrics = (_read_json(directory / name) for name in (CONFIG, METRICS))
    return Contents(
        directory=directory,
        config=config,
        metrics=metrics,
        boundary={} if config.get("region") is not None else read_tensors(directory / BOUNDARY),
        samples=read_tensors(directory / SAMPLES),
        exact={} if metrics.get("region") is None else read_tensors(directory / REGION),
        inputs=_inputs(directory, config.get("inputs") or {}),
    )


def _inputs(directory: Path, record: Any) -> dict[str, Any]:
    """The inputs of the network; there is a file of them where one of them is a tensor."""
    tensors = read_tensors(directory / INPUTS) if '"tensor"' in json.dumps(record) else {}
    with reading(directory / INPUTS if tensors else directory / CONFIG):
        return from_record(record, tensors)


@contextmanager
def reading(file: Path, *, passing: type[EgbasError] = RunDirectoryError) -> Iterator[None]:
    """Tell the file of whatever goes wrong within, as one error; but let the errors of one class pass."""
    try:
        yield
    except passing:
        raise
    except (
        EgbasError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        told = str(error) if isinstance(error, EgbasError) else f"{type(error).__name__}: {error}"
        raise RunDirectoryError(f"{file} is damaged or comes from another version ({told}); {_WHAT_TO_DO}") from error


def refuse(file: Path, where: str, came: str, expected: str) -> NoReturn:
    """Raise the error of a damaged file.

    Args:
        file: which.
        where: name of the value or tensor in it.
        came: what stands there, in words.
        expected: likewise.
    """
    raise RunDirectoryError(f"{file} is damaged: {where} is {came}; expected {expected}: {_WHAT_TO_DO}")


def _read_json(file: Path) -> dict[str, Any]:
    with reading(file):
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
        json.dumps(content, ensure_ascii=False).encode()  # half a character can be written in JSON, and never shown
    if not isinstance(content, dict):
        refuse(file, "what it holds", reprlib.repr(content), "an object")
    return content


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        RunDirectoryError: it is none.
    """
    with reading(file):
        try:
            return load_tensors(file.read_bytes())
        except SafetensorError as error:
            raise ValueError(str(error)) from error
