# SPDX-License-Identifier: MIT
"""The layers of a generator and their names: where it can be split (design: layers, units, boundaries).

In: what one forward pass did (trace.py). Out: ``Layer`` records and the one that a user means.
"""

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from torch import nn

from egbas.errors import LayerNotFoundError
from egbas.network.given import as_index
from egbas.network.trace import Call, Trace


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that a generator can be split at.

    Attributes:
        number: l = 1..L in the order of the forward pass; None for a module that is no non-linearity.
        path: dotted module path, ``"block.relu()"`` for a function called in the module ``block``,
            ``"relu()"`` for one called at the top; with ``"#1"``, ``"#2"``, ... if called several times.
        kind: class of the module or name of the function, such as ``"ReLU"`` or ``"relu"``.
        shape: of one sample at the layer, such as ``(64, 7, 7)``.
        units: number of single elements, the product of the shape.
        past: share of what makes images differ that flows past the layer, through a skip; None: not measured.
        channels_last: whether its channels are the last axis, as features behind tokens are, and not the first.
    """

    number: int | None
    path: str
    kind: str
    shape: tuple[int, ...]
    units: int
    past: float | None = field(default=None, compare=False)
    channels_last: bool = field(default=False, compare=False)

    @property
    def key(self) -> int | str:
        """What names the layer, in Python and after ``--layer``: its number, or else its path as ``spelled``."""
        return spelled(self.path) if self.number is None else self.number


def spelled(path: str) -> str:
    """Write a path so that it is not read as a number, a range of numbers or nothing: ``".3"``."""
    return f".{path}" if re.fullmatch(r"[\d-]*", path) else path


def split_index(path: str, modules: Container[str]) -> tuple[str, int | None]:
    """Divide a path into that of what is called and which call is meant; a module's own name may have a # in it."""
    base, mark, index = path.rpartition("#")
    number = as_index(index)
    if not mark or number is None or number < 0 or path in modules:
        return path, None
    return base, number


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """Every layer of a traced generator by its path.

    Attributes:
        calls: the traced call behind each path, non-linearities in forward order first.
        layers: the layer behind each path, in the same order.
        several: the indexed paths behind a path that is called more than once.
        aliases: paths that mean another path, such as a custom activation module.
        modules: every path in the generator, called or not, and the first path of the same module.
    """

    calls: dict[str, Call]
    layers: dict[str, Layer]
    several: dict[str, list[str]]
    aliases: dict[str, str]
    modules: dict[str, str]

    @property
    def joins(self) -> list[Layer]:
        """The sums and concatenations where a skip may end, by the path of the module that returns them if one does."""
        paths = [path for path, call in self.calls.items() if call.site is not None and call.site.join is not None]
        returned = {
            call.value: path
            for path, call in reversed(self.calls.items())
            if path and call.site is None and path not in self.aliases
        }
        return [self.layers[returned.get(self.calls[path].value, path)] for path in paths]

    @property
    def in_order(self) -> list[tuple[int, Layer]]:
        """What an image may be made of, with its place in the order of calls: joins, then blocks, then the others."""
        joins = {layer.path: layer for layer in self.joins}
        found = joins | {
            path: layer for path, layer in self.layers.items() if path and self.calls[path].dtype is not None
        }
        return [(self.calls[path].order, layer) for path, layer in found.items()]

    @property
    def numbered(self) -> list[Layer]:
        """The non-linearities l = 1..L."""
        return [layer for layer in self.layers.values() if layer.number is not None]

    def find(self, path: str) -> Layer:
        """The layer of a path; one dot before it says that it is a path, and is no part of it.

        Raises:
            LayerNotFoundError: no such path, or one that is never called, or called several times.
        """
        given = path
        path = path.removeprefix(".")
        base, index = split_index(path, self.modules)
        path = self.modules.get(base, base) + ("" if index is None else f"#{index}")
        path = self.aliases.get(path, path)
        if path in self.layers:
            return self.layers[path]
        if path in self.several:
            names = ", ".join(self.several[path])
            raise LayerNotFoundError(
                f"layer {path!r} is called several times in a forward pass; choose one of: {names}"
            )
        if path in self.modules:
            raise LayerNotFoundError(
                f"module {path!r} is never called in the forward pass (or only through its forward method), "
                f"so the latent does not reach it; choose one of: {self._names(self.layers)}"
            )
        names = dict.fromkeys([*self.layers, *self.several, *self.aliases, *self.modules])  # each one once
        near = difflib.get_close_matches(path, names, n=3)
        hint = f"did you mean {' or '.join(repr(spelled(name)) for name in near)}? " if near else ""
        raise LayerNotFoundError(
            f"layer {given!r} is not in the generator; {hint}its non-linearities are: "
            f"{self._names(layer.path for layer in self.numbered)}"
        )

    def number(self, number: int) -> Layer:
        """The l-th non-linearity.

        Raises:
            LayerNotFoundError: l is not in 1..L.
        """
        layers = self.numbered
        if not layers:
            raise LayerNotFoundError(
                f"layer {number} was asked for, but no non-linearity was seen in the forward pass; "
                "name a module by its path instead"
            )
        if not 1 <= number <= len(layers):
            hint = f"; the module of the path {number} is '.{number}'" if str(number) in self.modules else ""
            raise LayerNotFoundError(
                f"layer {number} does not exist; expected 1 to {len(layers)}: "
                f"{self._names(layer.path for layer in layers)}{hint}"
            )
        return layers[number - 1]

    @staticmethod
    def _names(paths: Iterable[str]) -> str:
        names = [spelled(path) for path in paths if path]
        return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "none"


def catalogue(trace: Trace, generator: nn.Module) -> Catalogue:
    """Name everything that a forward pass went through."""
    calls: dict[str, Call] = {}
    layers: dict[str, Layer] = {}
    several: dict[str, list[str]] = {}
    for group, numbered in ((trace.activations, True), (trace.joins, False), (trace.modules, False)):
        named = [call for call in group if numbered or (call.name not in layers and call.name not in several)]
        totals = Counter(call.name for call in named)
        seen: Counter[str] = Counter()
        for number, call in enumerate(named, 1):
            path = call.name
            if totals[path] > 1:
                seen[path] += 1
                path = f"{path}#{seen[call.name]}"
                several.setdefault(call.name, []).append(path)
            calls[path] = call
            layers[path] = _layer(number if numbered else None, path, call)
    return Catalogue(
        calls=calls,
        layers=layers,
        several=several,
        aliases=_custom_activations(trace, generator, layers, several) | _within_composites(calls, layers, several),
        modules=_canonical_paths(generator),
    )


def _within_composites(
    calls: dict[str, Call], layers: dict[str, Layer], several: dict[str, list[str]]
) -> dict[str, str]:
    """Names of calls within composite activations: they mean the composite."""
    targets: dict[str, list[str]] = defaultdict(list)
    for path, call in calls.items():
        for name in call.within:
            if name not in layers and name not in several:
                targets[name].append(path)
    aliases: dict[str, str] = {}
    for name, paths in targets.items():
        is_several = len(set(paths)) > 1
        for index, path in enumerate(dict.fromkeys(paths), 1):
            aliases[f"{name}#{index}" if is_several else name] = path
    return aliases


def _layer(number: int | None, path: str, call: Call) -> Layer:
    shape = call.shape[1:]
    units, channels_last = math.prod(shape), call.channels_last
    return Layer(number=number, path=path, kind=call.kind, shape=shape, units=units, channels_last=channels_last)


def _canonical_paths(generator: nn.Module) -> dict[str, str]:
    first = {module: path for path, module in generator.named_modules()}
    return {path: first[module] for path, module in generator.named_modules(remove_duplicate=False)}


def _custom_activations(
    trace: Trace, generator: nn.Module, layers: dict[str, Layer], several: dict[str, list[str]]
) -> dict[str, str]:
    """Modules without children that make one non-linearity call each time: their path means that call.

    What they return has already passed the non-linearity, so its zeros would be no boundaries.
    """
    modules = dict(generator.named_modules())
    inside: dict[str, list[Call]] = defaultdict(list)
    for call in trace.activations:
        inside[call.path].append(call)
    times = Counter(call.path for call in trace.modules)
    aliases: dict[str, str] = {}
    for path, made in inside.items():
        names = {call.name for call in made}
        if not path or any(modules[path].children()) or len(made) != times[path] or len(names) != 1:
            continue
        name = names.pop()
        if name == path:  # an activation module of torch.nn: it is the layer already
            continue
        if name in layers:
            aliases[path] = name
        for index, target in enumerate(several.get(name, []), 1):
            aliases[f"{path}#{index}"] = target
    return aliases
