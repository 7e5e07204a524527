# SPDX-License-Identifier: MIT
"""Read pickles without running anything of them: every name in a pickle becomes an inert stand-in, or an error.

A pickle is a program that may name any function of any module and call it. Here nothing is ever imported for a
pickle: every name stands for a small object of ``standins.py`` that keeps what it is given. Before that the program
is scanned, so that it cannot ask for more memory than its length justifies.
"""

import io
import mmap
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from egbas.errors import CheckpointError, EgbasError
from egbas.zoo.containers.standins import Foreign, Inert, Maker, Settings, Table, Unordered, foreign, refuse_odd_keys

MAX_STEPS = 500_000  # a checkpoint of 300 tensors has about 10,000
MAX_TUPLES = 100_000
MAX_FOREIGN = 1000  # names of code
# Extension codes, out-of-band buffers and textual persistent ids: no writer of weights uses them.
FORBIDDEN = frozenset("EXT1 EXT2 EXT4 NEXT_BUFFER READONLY_BUFFER PERSID".split())

# What lies beside weights and is none: made by calls that do nothing.
_BUILTINS = "bytearray bytes complex slice range xrange int long float bool str unicode list dict tuple object type"
PLAIN: dict[tuple[str, str], Any] = {
    **{(home, name): Inert for home in ("builtins", "__builtin__") for name in _BUILTINS.split()},
    **{(home, name): Maker(Unordered.of) for home in ("builtins", "__builtin__") for name in ("set", "frozenset")},
    ("collections", "Counter"): Inert,
    ("collections", "deque"): Foreign,
    ("collections", "defaultdict"): Maker(lambda *_: Table()),
    **{(home, "_reconstructor"): Maker(lambda kind=None, *_: _reconstructed(kind)) for home in ("copyreg", "copy_reg")},
}


def _reconstructed(kind: object) -> Inert:
    """An object of a class, as old protocols make it."""
    return kind() if isinstance(kind, type) and issubclass(kind, Inert) else Inert()


# The one in Python: its steps can be watched, and its memo grows only as it is filled.
_InPython: Any = pickle._Unpickler


class _Unpickler(_InPython):
    def __init__(
        self,
        file: Any,
        names: Mapping[tuple[str, str], Any],
        storage: Callable[[Any], Any] | None,
        code: dict[str, None],
    ) -> None:
        super().__init__(file, encoding="latin1")  # arrays of Python 2 are strings, one letter a byte
        self._names = names
        self._storage = storage
        self._code = code
        self._foreign: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        kind = self._names.get((module, name), PLAIN.get((module, name)))
        if kind is None and name in ("BaseConfig", "Namespace"):
            kind = Settings  # its module depends on where the training was started
        if kind is None:
            if (module, name) not in self._foreign:
                if len(self._foreign) == MAX_FOREIGN:
                    raise CheckpointError(f"it asks for more than {MAX_FOREIGN} pieces of Python code; it is malicious")
                self._foreign[module, name] = foreign(module, name)
            kind = self._foreign[module, name]
            self._code[kind.origin] = None
        return kind

    def persistent_load(self, pid: Any) -> Any:
        if self._storage is None:
            raise CheckpointError("a pickle outside a torch file asks for tensors; it is damaged or malicious")
        return self._storage(pid)

    # Keys are hashed, and the hash of nested tuples can take for ever; keys of weights are strings and numbers.
    def _check_keys(self, first: int) -> None:
        refuse_odd_keys(self.stack[first::2])

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
        elements = self.pop_mark()
        self.append(Unordered.of(elements))

    def load_additems(self) -> None:
        elements = self.pop_mark()
        if isinstance(self.stack[-1], Unordered):
            self.stack[-1].add(elements)

    dispatch = {  # noqa: RUF012  as in the base class
        **_InPython.dispatch,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.ADDITEMS[0]: load_additems,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


def unpickle(
    file: io.BytesIO | mmap.mmap,
    names: Mapping[tuple[str, str], Any],
    storage: Callable[[Any], Any] | None = None,
    code: dict[str, None] | None = None,
) -> Any:
    """Read one pickle from where the file stands.

    Args:
        file: seekable, and one whose ``read`` returns what there is when asked for more.
        names: stand-in of every allowed (module, name).
        storage: makes the tensor storage of a persistent id.
        code: gets the names that are not known here and stand for nothing, in their order.

    Raises:
        CheckpointError: the pickle is damaged, malicious, or names what is not allowed.
    """
    start = file.tell()
    try:
        _scan(file)
        file.seek(start)
        return _Unpickler(file, names, storage, {} if code is None else code).load()
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
