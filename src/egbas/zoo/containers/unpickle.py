# SPDX-License-Identifier: MIT
"""Read pickles without running anything of them: every name in a pickle becomes an inert stand-in, or an error.

A pickle is a program that may name any function of any module and call it. Here nothing is ever imported for a
pickle: the few names that weights need (tensors, arrays, ordered dictionaries, configurations) stand for small
objects of this file that keep what they are given, every other name is refused. Before that the program is
scanned, so that it cannot ask for more memory than its length justifies.
"""

import io
import mmap
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from egbas.errors import CheckpointError, EgbasError
from egbas.zoo.containers.stored import Ledger, Sealed

MAX_STEPS = 500_000  # a checkpoint of 300 tensors has about 10,000
MAX_TUPLES = 100_000
MAX_PAIRS = 10_000  # of all ordered dictionaries made from pairs
# Extension codes, out-of-band buffers and textual persistent ids: no writer of weights uses them.
FORBIDDEN = frozenset("EXT1 EXT2 EXT4 NEXT_BUFFER READONLY_BUFFER PERSID".split())
STATE_DICT_HINT = (
    "save only its weights where its code is installed, torch.save(model.state_dict(), 'weights.pth'), "
    "and give egbas that file"
)
FOREIGN = {
    "torch_utils.persistence": "a StyleGAN2-ADA or StyleGAN3 pickle of NVlabs, which brings its code along and runs "
    "it when loaded. Load it with their repository and pass the network to egbas as --model package.module:callable",
    "dnnlib.tflib.network": "a StyleGAN pickle for TensorFlow, which brings its code along and runs it when loaded. "
    "StyleGAN is not read by egbas: convert it to a PyTorch network and pass that as --model package.module:callable",
}


class Inert:
    """What an allowed class becomes: it keeps its arguments and its state, and does nothing.

    Attributes:
        args: the first of its construction.
        state: what the pickle set; None where it set nothing.
    """

    args: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *args: Any) -> "Inert":
        """Keep the arguments."""
        made = super().__new__(cls)
        made.args = args[:4]  # a pickle may pass the same long list of arguments many times
        return made

    def __init__(self, *args: Any) -> None:
        """Do nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


class Settings(Inert):
    """A configuration object: ``state`` is its dictionary of attributes."""


class TfNetwork(Inert):
    """A network of the original PGGAN: ``state`` has its variables, and source code that is never looked at."""


class Unordered(Inert):
    """A set. Weights have none, but the complete networks that are refused by name do; what is in it is dropped."""


class Table(dict[Any, Any]):
    """An ordered dictionary; attributes that a pickle sets on it are dropped."""

    def __setstate__(self, state: Any) -> None:
        """Drop the attributes."""


class Maker(Sealed):
    """What an allowed function becomes."""

    def __init__(self, make: Callable[..., Any]) -> None:
        """Wrap the function that makes the stand-in."""
        self._make = make

    def __call__(self, *args: Any) -> Any:
        """Make the stand-in."""
        return self._make(*args)


# The one in Python: its steps can be watched, and its memo grows only as it is filled.
_InPython: Any = pickle._Unpickler


class _Unpickler(_InPython):
    def __init__(self, file: Any, names: Mapping[tuple[str, str], Any], storage: Callable[[Any], Any] | None) -> None:
        super().__init__(file, encoding="latin1")  # arrays of Python 2 are strings, one letter a byte
        self._names = names
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        kind = self._names.get((module, name))
        if kind is None and name in ("BaseConfig", "Namespace"):
            kind = Settings  # its module depends on where the training was started
        if kind is None:
            raise _refusal(module, name)
        return kind

    def persistent_load(self, pid: Any) -> Any:
        if self._storage is None:
            raise CheckpointError("a pickle outside a torch file asks for tensors; it is damaged or malicious")
        return self._storage(pid)

    # Keys are hashed, and the hash of nested tuples can take for ever; keys of weights are strings and numbers.
    def _check_keys(self, first: int) -> None:
        _refuse_odd_keys(self.stack[first::2])

    def load_setitem(self) -> None:
        self._check_keys(-2)
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(0)
        super().load_setitems()

    def load_dict(self) -> None:
        self._check_keys(0)
        super().load_dict()

    # The elements of a set are hashed too; none is made.
    def load_empty_set(self) -> None:
        self.append(Unordered())

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(Unordered())

    def load_additems(self) -> None:
        self.pop_mark()

    dispatch = {  # noqa: RUF012  as in the base class
        **_InPython.dispatch,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.ADDITEMS[0]: load_additems,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


def _refuse_odd_keys(keys: list[Any]) -> None:
    if any(not isinstance(key, str | int | float | bytes | None) for key in keys):
        raise CheckpointError("a dictionary in it has keys that are no names; it is damaged or malicious")


def table_maker() -> Maker:
    """What an ordered dictionary is made by, for one file: empty, or from the pairs that Python 2 wrote."""
    ledger = Ledger(limit=MAX_PAIRS)  # a pickle may pass the same pairs many times

    def make(entries: Any = ()) -> Table:
        if not isinstance(entries, list | tuple):
            raise CheckpointError("an ordered dictionary in it is not made of pairs; it is damaged or malicious")
        ledger.spend(len(entries))
        pairs = [tuple(pair) for pair in entries if isinstance(pair, list | tuple) and len(pair) == 2]
        if len(pairs) != len(entries):
            raise CheckpointError("an ordered dictionary in it is not made of pairs; it is damaged or malicious")
        _refuse_odd_keys([key for key, _ in pairs])
        return Table(pairs)

    return Maker(make)


def unpickle(
    file: io.BytesIO | mmap.mmap,
    names: Mapping[tuple[str, str], Any],
    storage: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle from where the file stands.

    Args:
        file: seekable, and one whose ``read`` returns what there is when asked for more.
        names: stand-in of every allowed (module, name).
        storage: makes the tensor storage of a persistent id.

    Raises:
        CheckpointError: the pickle is damaged, malicious, or names what is not allowed.
    """
    start = file.tell()
    try:
        _scan(file)
        file.seek(start)
        return _Unpickler(file, names, storage).load()
    except EgbasError:
        raise
    except Exception as error:  # the pickle machine raises anything on damaged input; nothing else runs in it
        raise CheckpointError(
            f"the pickle in it is damaged or malicious ({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _scan(file: Any) -> None:
    """Walk over the opcodes without running them."""
    steps = tuples = 0
    for opcode, _, _ in pickletools.genops(file):  # it fails where a length says more than there is
        steps += 1
        tuples += opcode.name.startswith("TUPLE")
        if opcode.name in FORBIDDEN:
            raise CheckpointError(f"the pickle in it uses {opcode.name}, which no weights need; it is malicious")
        if steps > MAX_STEPS or tuples > MAX_TUPLES:
            raise CheckpointError("the pickle in it asks for more memory than weights need; it is damaged or malicious")


def _refusal(module: str, name: str) -> CheckpointError:
    if module in FOREIGN:
        return CheckpointError(f"it is {FOREIGN[module]}; nothing in it has been run")
    return CheckpointError(
        f"it is no plain file of weights: it asks for the Python code {_printable(module)}.{_printable(name)}, "
        "and loading such a file runs whatever it names. Nothing in it has been run. "
        f"If it is a whole pickled network that you trust, {STATE_DICT_HINT}"
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])
