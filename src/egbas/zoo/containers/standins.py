# SPDX-License-Identifier: MIT
"""What the objects of a pickle become: small stand-ins that keep what they are given, and do nothing.

Weights need few names: tensors, arrays, ordered dictionaries, configurations. Every other name becomes a ``Foreign``,
which is no weight and is known by its name only. Names that serve only to take over a machine are refused as soon as
they are met: nothing of them would be run either, but a file that holds them is an attack, and is told as one.
"""

from typing import Any, ClassVar

from egbas.errors import CheckpointError
from egbas.zoo.containers.stored import Ledger, Sealed

MAX_PAIRS = 10_000  # of all ordered dictionaries made from pairs
MAX_KEPT = 1000  # entries of an object of unknown class
MAX_KEY = 100  # names and numbers in one key
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
# Modules of which no weights and no object beside them have anything: they start processes, write files, run code.
HOSTILE_MODULES = frozenset(
    "os posix nt subprocess commands popen2 sys shutil socket runpy importlib imp ctypes pty code codeop webbrowser "
    "pip pdb bdb timeit cProfile profile trace multiprocessing.util asyncio.subprocess pickle _pickle "
    "numpy.f2py numpy.testing._private.utils torch.hub torch.utils.cpp_extension".split()
)
HOSTILE_BUILTINS = frozenset(
    "eval exec execfile compile open file input __import__ globals locals vars delattr".split()
)


class Inert:
    """What an allowed class becomes: it keeps its arguments and its state, and does nothing.

    Attributes:
        args: the first of its construction.
        state: what the pickle set; None where it set nothing.
    """

    args: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *args: Any, **_: Any) -> "Inert":
        """Keep the arguments."""
        made = super().__new__(cls)
        made.args = args[:4]  # a pickle may pass the same long list of arguments many times
        return made

    def __init__(self, *args: Any, **_: Any) -> None:
        """Do nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


class Settings(Inert):
    """A configuration object: ``state`` is its dictionary of attributes."""


class TfNetwork(Inert):
    """A network of the original PGGAN: ``state`` has its variables, and source code that is never looked at."""


class Foreign(Inert):
    """An object of a class that is not known here, or what a function of such a name would have returned.

    Attributes:
        origin: the name that the pickle gives, ``package.module.Class``.
        entries: what was set by key, where it is a kind of dictionary.
    """

    origin: ClassVar[str] = ""
    entries: dict[Any, Any]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep an entry."""
        if not hasattr(self, "entries"):
            self.entries = {}
        if len(self.entries) < MAX_KEPT:
            self.entries[key] = value

    def append(self, _: Any) -> None:
        """Drop an element, where it is a kind of list."""

    def extend(self, _: Any) -> None:
        """Drop elements."""


class Unordered(Inert):
    """A set. Nothing in it is hashed; only the names in it are kept.

    Attributes:
        names: the first texts in it.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, elements: Any = ()) -> "Inert":
        """A set made from a list, as old protocols write it."""
        made = cls()
        assert isinstance(made, Unordered)
        made.add(elements if isinstance(elements, list | tuple) else ())
        return made

    def add(self, elements: Any) -> None:
        """Keep the names among some elements."""
        texts = [element for element in elements[:MAX_KEPT] if isinstance(element, str)]
        self.names = (*self.names, *texts)[:MAX_KEPT]


class Table(dict[Any, Any]):
    """An ordered dictionary; attributes that a pickle sets on it are dropped."""

    def __setstate__(self, state: Any) -> None:
        """Drop the attributes."""


class Maker(Sealed):
    """What an allowed function becomes."""

    def __init__(self, make: Any) -> None:
        """Wrap the function that makes the stand-in."""
        self._make = make

    def __call__(self, *args: Any) -> Any:
        """Make the stand-in."""
        return self._make(*args)


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
        refuse_odd_keys([key for key, _ in pairs])
        return Table(pairs)

    return Maker(make)


def refuse_odd_keys(keys: list[Any]) -> None:
    """Refuse keys of a dictionary whose hash could take for ever: nested tuples, one within the other many times.

    Raises:
        CheckpointError: there is one.
    """
    for key in keys:
        left = [key]
        for _ in range(MAX_KEY):
            if not left:
                break
            part = left.pop()
            left += part if isinstance(part, tuple) and len(part) <= MAX_KEY else ()
            if isinstance(part, list | dict) or (isinstance(part, tuple) and len(part) > MAX_KEY):
                raise _odd_keys()
        if left:
            raise _odd_keys()


def _odd_keys() -> CheckpointError:
    return CheckpointError("a dictionary in it has keys that are no names; it is damaged or malicious")


def foreign(module: str, name: str) -> type[Foreign]:
    """The stand-in of a name that is not known here.

    Raises:
        CheckpointError: it is a name of an attack, or of a file that is known and not read.
    """
    if module in FOREIGN:
        raise CheckpointError(f"it is {FOREIGN[module]}; nothing in it has been run")
    first = name.partition(".")[0]
    if (
        {module, module.partition(".")[0]} & HOSTILE_MODULES
        or (module in ("builtins", "__builtin__") and first in HOSTILE_BUILTINS)
        or any(part[:2] == part[-2:] == "__" for part in name.split("."))
    ):
        raise asks_for_code([f"{printable(module)}.{printable(name)}"])
    return type("Foreign", (Foreign,), {"origin": f"{printable(module)}.{printable(name)}"})


def asks_for_code(names: list[str]) -> CheckpointError:
    """The error for a file that names code and holds no weights."""
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return CheckpointError(
        f"it is no plain file of weights: it asks for the Python code {some}, "
        "and loading such a file runs whatever it names. Nothing in it has been run. "
        f"If it is a whole pickled network that you trust, {STATE_DICT_HINT}"
    )


def printable(text: str) -> str:
    """A text of a file as it can be shown on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])
