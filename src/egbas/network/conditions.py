# SPDX-License-Identifier: MIT
"""What a network takes beside the latent: labels, noise, styles, switches; the same for every latent.

In: values by the names of forward's arguments. Out: what forward is given with a batch of latents.
"""

import hashlib
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from egbas.errors import ConfigError, EgbasError, NetworkError

_CLASSES = ("c_dim", "num_classes", "n_classes", "n_class", "label_dim")  # attributes that tell how many there are
_MOST_WHOLE = 4  # inputs that may be classes: each has up to three readings
_WHOLE = torch.iinfo(torch.int64)  # whole numbers that a tensor takes
_DEEPEST = 32  # lists in lists, and more than any network takes; a list may also hold itself


def rows_of(latents: Tensor, row: Tensor) -> Tensor:
    """A row (1, ...) repeated for each of some latents: a copy, which the network may overwrite."""
    return as_latents(latents, row.expand(latents.shape[0], *row.shape[1:]))


def as_latents(latents: Tensor, tensor: Tensor) -> Tensor:
    """A copy of a tensor on the device of some latents; real numbers are of their dtype, too."""
    dtype = latents.dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(device=latents.device, dtype=dtype).clone()


def is_row(value: object) -> bool:
    """Whether a value is repeated for each latent."""
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """The inputs of a network beside the latent.

    Attributes:
        given: by the names of forward's arguments, as the user gave them.
        used: the same as the network takes them: a class may have become a tensor.
        readings: of the whole numbers that became tensors, what they were taken for.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, Any] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: object) -> "Conditions":
        """Check what a user gave.

        Args:
            given: a mapping from names to numbers, texts, None, tensors, or lists of these. None: nothing.

        Raises:
            ConfigError: it is something else, holds NaN or infinite values, whole numbers beyond 64 bits, lists more
                than 32 deep, or a tensor that is not plain (sparse, nested, quantised, meta).
        """
        if given is None:
            return cls()
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise ConfigError(f"got inputs={_word(given)}; expected a dict such as {{'c': 3, 'noise_mode': 'const'}}")
        values: dict[str, Any] = {}
        for name, value in given.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise ConfigError(f"got an input called {_word(name)}; expected the name of an argument of forward")
            values[name] = _checked(name, value)
        return cls(given=values, used=values)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.given)

    def rows(self, latents: Tensor) -> dict[str, Any]:
        """What forward gets with latents (n, ...): a tensor (1, ...) has n rows, all else is as it was given."""
        return self.mapped(lambda tensor: _handed(latents, tensor))

    def mapped(self, change: Callable[[Tensor], Any]) -> dict[str, Any]:
        """What forward gets, with another thing for each tensor in it."""
        return {name: _mapped(value, change) for name, value in self.used.items()}

    def settled(self, generator: nn.Module, run: Callable[["Conditions"], Any]) -> "Conditions":
        """Find out what whole numbers mean, by asking the network: numbers, classes, or classes one-hot.

        A number that the network takes as it is stays a number. Else it is a label for each latent, (n,) int64, and
        else a one-hot row, where the network tells how many classes there are.

        Args:
            generator: the network.
            run: runs it once with such inputs.

        Raises:
            NetworkError: it takes none of them.
            ConfigError: there is no such class.
        """
        whole = [name for name, value in self.used.items() if type(value) is int and value >= 0][:_MOST_WHOLE]
        no_class = {name: value for name, value in self.used.items() if type(value) is float or _is_negative(value)}
        if not whole and not no_class:
            return self
        try:
            run(self)
        except NetworkError as error:
            as_given = error
        else:
            return self
        failed = as_given
        tried = {name: list(_readings(generator, name, self.used[name])) for name in whole}
        for chosen in itertools.product(*tried.values()):
            known = dict(zip(whole, chosen, strict=True))
            used = {**self.used, **{name: value for name, (_, value) in known.items()}}
            told = {name: words for name, (words, _) in known.items() if words}
            candidate = replace(self, used=used, readings=told)
            if told:
                try:
                    run(candidate)
                except NetworkError as error:
                    failed = error
                    _refuse_class(generator, {name: self.used[name] for name in whole}, error)
                else:
                    return candidate
        for name in no_class:
            self._refuse_no_class(generator, run, name, as_given)
        if not whole:
            return self  # the pass that comes says what is wrong
        ways = "; ".join(
            f"{name}={self.used[name]} as {', '.join(words or 'a number' for words, _ in tried[name])}"
            for name in whole
        )
        last = "" if failed is as_given else f" The last of these: {failed.__cause__ or failed}."
        raise NetworkError(
            f"{as_given}. Tried: {ways}.{last} In another form give a tensor, @FILE or [...]"
        ) from as_given

    def _refuse_no_class(
        self, generator: nn.Module, run: Callable[["Conditions"], Any], name: str, failed: NetworkError
    ) -> None:
        """Refuse a number that is no class, where the network takes one in its place.

        Raises:
            ConfigError: so it is.
        """
        value, with_class = self.used[name], replace(self, used={**self.used, name: 0})
        try:
            run(with_class)
        except NetworkError:
            try:
                with_class.settled(generator, run)
            except EgbasError:
                return
        else:
            return  # as a number: it is the value that the network does not like
        raise ConfigError(
            f"got the input {name}={value}, which the network does not take; expected a class, a whole number "
            f"{_told_classes(generator)}, such as {name}=0"
        ) from failed

    def record(self) -> dict[str, Any]:
        """For JSON: numbers and texts as they are, of a tensor its name in ``tensors()`` with shape and checksum."""
        return {name: _recorded(name, value) for name, value in self.given.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that were given, by the names that the record has for them."""
        return dict(found for name, value in self.given.items() for found in _named_tensors(name, value))

    @property
    def told(self) -> str:
        """In words, such as ``c=3 (a one-hot row of 10), noise_mode=const``."""
        return ", ".join(
            f"{name}={_shown(value)}" + (f" ({self.readings[name]})" if name in self.readings else "")
            for name, value in self.given.items()
        )


def from_record(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Inputs as they were given, of a record and its tensors.

    Raises:
        ValueError: a tensor is missing, or another.
    """

    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(each) for each in value]
        if not isinstance(value, dict):
            return value
        name = value["tensor"]
        if name not in tensors:
            raise ValueError(f"the tensor {name!r} of the inputs is missing")
        if _recorded(name, tensors[name]) != value:
            raise ValueError(f"the tensor {name!r} of the inputs is another than the one that config.json tells of")
        return tensors[name]

    return {name: read(value) for name, value in record.items()}


def refuse_unknown(generator: nn.Module, conditions: Conditions) -> None:
    """Refuse inputs that forward has no argument for.

    Raises:
        NetworkError: so it is; the message has the names to choose from.
    """
    try:
        parameters = inspect.signature(generator.forward).parameters
    except (TypeError, ValueError):  # no signature: what forward says will do
        return
    if not conditions or any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    known = [name for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    first = next(iter(parameters), None)
    for name in conditions.given:
        if name == first:
            raise NetworkError(
                f"the input {name!r} is the first argument of the network's forward, which is the latent; "
                f"expected one of: {', '.join(known[1:]) or 'none'}"
            )
        if name not in known:
            raise NetworkError(
                f"the network's forward has no argument {name!r}; expected one of: {', '.join(known[1:]) or 'none'}"
            )


def _checked(name: str, value: object, depth: int = 0) -> Any:
    if isinstance(value, np.ndarray):
        value = _of_array(name, value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Tensor):
        return _checked_tensor(name, value)
    if isinstance(value, list | tuple):
        if depth == _DEEPEST:
            raise ConfigError(f"an input holds lists in lists, deeper than {_DEEPEST}; give a tensor")
        return [_checked(f"{name}.{place}", each, depth + 1) for place, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"the input {name!r} is {value}; expected a finite number")
    if isinstance(value, int) and not _WHOLE.min <= value <= _WHOLE.max:  # not shown: Python refuses 4,301 digits
        raise ConfigError(f"the input {name!r} is out of range; expected {_WHOLE.min:,} to {_WHOLE.max:,}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"the input {name!r} is a {type(value).__name__}; expected a number, a text, None, a tensor, or a list of "
        "these (put other things into the forward of a module around the network)"
    )


def _of_array(name: str, array: np.ndarray) -> Tensor:
    """A tensor of an array, in the byte order of this machine.

    Raises:
        ConfigError: it holds texts, objects, or numbers that torch does not have.
    """
    try:
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))
    except TypeError as error:
        raise ConfigError(
            f"the input {name!r} is an array of {array.dtype}; expected whole or real numbers, or true and false"
        ) from error


def _checked_tensor(name: str, tensor: Tensor) -> Tensor:
    """A copy of a plain tensor of finite values.

    Raises:
        ConfigError: it is none.
    """
    if tensor.is_meta or tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided:
        raise ConfigError(f"the input {name!r} is a sparse, nested, quantised or meta tensor; expected a plain one")
    value = tensor.detach().clone()
    shown = value.float() if value.is_floating_point() and value.element_size() == 1 else value  # none asks float8
    if not bool(torch.isfinite(shown).all()):
        raise ConfigError(f"the input {name!r} holds NaN or infinite values; expected finite ones")
    return value


def _readings(generator: nn.Module, name: str, value: int) -> Iterator[tuple[str, Any]]:
    """What a whole number may mean, with words for it."""
    yield "", value
    yield "a label for each latent", torch.tensor([value], dtype=torch.int64)
    n = _number_of_classes(generator)
    if n is not None:
        if value >= n:
            raise ConfigError(f"got the class {name}={value}; the network has {n} classes, 0 to {n - 1}")
        row = torch.zeros(1, n, dtype=torch.float32)
        row[0, value] = 1
        yield f"a one-hot row of {n}", row


def _is_negative(value: object) -> bool:
    return type(value) is int and value < 0


def _refuse_class(generator: nn.Module, given: Mapping[str, int], failed: NetworkError) -> None:
    """Refuse a class that there is not, where an embedding of the network tells how many there are.

    Raises:
        ConfigError: so it is.
    """
    n = _rows_of_embedding(generator)
    name = next((name for name, value in given.items() if n is not None and value >= n), None)
    if name is not None and isinstance(failed.__cause__, IndexError):
        raise ConfigError(
            f"got the class {name}={given[name]}; the network's embedding has {n} rows, for the classes "
            f"{_told_classes(generator)}"
        ) from failed


def _told_classes(generator: nn.Module) -> str:
    n = _number_of_classes(generator) or _rows_of_embedding(generator)
    return "from 0 on" if n is None else f"from 0 to {n - 1}"


def _rows_of_embedding(generator: nn.Module) -> int | None:
    """How many rows the only embedding of a network has; None where there is none, or there are several."""
    rows = {module.num_embeddings for module in generator.modules() if isinstance(module, nn.Embedding)}
    return rows.pop() if len(rows) == 1 else None


def _number_of_classes(generator: nn.Module) -> int | None:
    for holder in (generator, getattr(generator, "config", None)):
        for name in _CLASSES:
            n = getattr(holder, name, None)
            if isinstance(n, int) and n > 0:
                return n
    return None


def _word(value: object) -> str:
    """A value for a message, also where Python has no text of it: a number of thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return f"a {type(value).__name__} too long to show"


def _handed(latents: Tensor, tensor: Tensor) -> Tensor:
    return rows_of(latents, tensor) if is_row(tensor) else as_latents(latents, tensor)


def _mapped(value: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    return [_mapped(each, change) for each in value] if isinstance(value, list) else value


def _recorded(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        values = value.detach().cpu().contiguous()
        digest = hashlib.sha256(values.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
        dtype = str(value.dtype).removeprefix("torch.")
        return {"tensor": name, "shape": list(value.shape), "dtype": dtype, "sha256": digest}
    if isinstance(value, list):
        return [_recorded(f"{name}.{place}", each) for place, each in enumerate(value)]
    return value


def _named_tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _named_tensors(f"{name}.{place}", each)


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {' x '.join(map(str, value.shape)) or 'one number'}"
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list) else str(value)
