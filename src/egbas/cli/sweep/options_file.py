# SPDX-License-Identifier: MIT
"""Options of ``egbas sweep`` in a TOML file: what is wrong with one is told with the file and its key."""

import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from egbas.errors import ConfigError

LISTS = "layer", "level", "seed"
REPEATABLE = "model", "judge", "input"
_OTHERWISE = {"plan": "plan_only"}  # names that an option has in the program
_NOT_IN_FILES = "file", "json", "quiet"
_WHOLE, _DECIMAL, _TEXT, _FLAG = "a whole number", "a number", "a text", "true or false"


@dataclass(frozen=True, kw_only=True)
class _Option:
    """An option of the command: its name in the program, what it takes in words, its least and largest value."""

    name: str
    takes: str
    least: int | float | None
    largest: int | float | None


def read_file(path: Path, command: Callable[..., Any]) -> dict[str, Any]:
    """Read options of a TOML file; lists become such as are typed.

    Args:
        path: of the file.
        command: whose arguments are the options.

    Raises:
        ConfigError: it cannot be read, names an option that there is not, or gives one a value that it cannot have.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # lists in lists, thousands deep
        raise ConfigError(f"{path} cannot be read as a TOML file of options: {error}") from error
    known = _options_of(command)
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = _OTHERWISE.get(key, key.replace("-", "_"))
        if name not in known:
            named = ", ".join(sorted(name.replace("_", "-") for name in known))
            raise ConfigError(f"{path}: there is no option {key!r}; expected some of {named}")
        if name in found:
            raise ConfigError(f"{path}: {key!r} is given twice, with - and with _; leave one out")
        _refuse_unshown(path, key, value)
        found[name] = _as_typed(path, key, value, known[name])
    return found


def _refuse_unshown(path: Path, key: str, value: Any) -> None:
    """Refuse a value that Python cannot write down, and no option can have: 0x and thousands of digits, deep tables.

    Raises:
        ConfigError: so it is.
    """
    try:
        repr(value)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {key} has thousands of digits or levels, which no option takes") from error


def _as_typed(path: Path, key: str, value: Any, option: _Option) -> Any:
    """A value of a file as it would be typed.

    Raises:
        ConfigError: the option cannot have it.
    """
    if option.name in LISTS:
        each = value if isinstance(value, list) else [value]
        if not each or not all(isinstance(one, int | str) and not isinstance(one, bool) for one in each):
            raise _refused(path, key, value, 'whole numbers or texts, such as 3, [1, 2] or "0-9"')
        return ",".join(map(str, each))
    if option.name in REPEATABLE:
        each = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in each):
            raise _refused(path, key, value, "a text, or a list of texts")
        return each
    if isinstance(value, list | Mapping):
        raise _refused(path, key, value, f"a single value; only {', '.join((*LISTS, *REPEATABLE))} take lists")
    return _single(path, key, value, option)


def _single(path: Path, key: str, value: Any, option: _Option) -> Any:
    number: Any = value
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        _FLAG: isinstance(value, bool),
        _WHOLE: is_whole,
        _DECIMAL: is_whole or isinstance(value, float),
        _TEXT: is_whole or isinstance(value, str | float),  # an output may be named by its number
    }
    low, high = option.least, option.largest
    if fits[option.takes] and (low is None or number >= low) and (high is None or number <= high):
        return str(value) if option.takes == _TEXT else value
    span = "" if low is None else f", at least {low:,}" if high is None else f", {low:,} to {high:,}"
    raise _refused(path, key, value, f"{option.takes}{span}")


def _options_of(command: Callable[..., Any]) -> dict[str, _Option]:
    """The options that a file may have, by their names in the program."""
    found: dict[str, _Option] = {}
    words = {bool: _FLAG, int: _WHOLE, float: _DECIMAL}
    for name, hint in get_type_hints(command, include_extras=True).items():
        if name == "return" or name in _NOT_IN_FILES:
            continue
        kind, *told = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if get_origin(kind) is types.UnionType:
            kind = next(one for one in get_args(kind) if one is not type(None))
        least, largest = (getattr(told[0], end, None) if told else None for end in ("min", "max"))
        found[name] = _Option(name=name, takes=words.get(kind, _TEXT), least=least, largest=largest)
    return found


def _refused(path: Path, key: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{path}: {key} = {value!r}; expected {expected}")
