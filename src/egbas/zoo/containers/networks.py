# SPDX-License-Identifier: MIT
"""The networks in what was saved: every dictionary inside is searched for named tensors.

A training writes what it likes: ``{"netG_state_dict": ..., "opt": ...}``, a whole pickled module, a state dict of two
networks. A network is known by the keys that lead to it, such as ``ema.generator``; words in them tell generators from
discriminators, and moving averages from the weights of the last step.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from egbas.errors import CheckpointError
from egbas.zoo.containers.reparametrised import plain
from egbas.zoo.containers.standins import Foreign, Unordered
from egbas.zoo.containers.stored import Ledger, StoredTensor

# The moving average comes first: it is what the published pictures were made with.
AVERAGES = ("avgG", "G_ema", "g_ema", "generator_smooth", "shadow_generator", "ema")
GENERATORS = (
    *AVERAGES,
    *("generator", "netG", "G", "g", "gen", "state_dict", "model_state_dict", "model", ""),
)
DISCRIMINATORS = ("netD", "discriminator", "D", "d", "dis")
AVERAGE_WORDS = frozenset("ema avg average averaged shadow smooth swa".split())
GENERATOR_WORDS = frozenset("g gen generator decoder dec".split())
DISCRIMINATOR_WORDS = frozenset("d dis disc discriminator critic".split())
WRAPPERS = ("module.", "_orig_mod.")
PREFIXES = (*WRAPPERS, "generator.")
SUFFIXES = ("_state_dict", "_state", "_weights", "_params")
MAX_DEPTH, MAX_NODES, MAX_TENSORS = 12, 20_000, 100_000
# Of torch.optim.swa_utils.AveragedModel, and what people keep in a buffer that is none of forward's.
KEPT_BESIDE = frozenset({"n_averaged", "fixed_noise", "fixed_z", "global_step", "epoch", "iteration", "num_updates"})
MAX_NUMBER = 10**6  # of a network in a dictionary
MAX_LETTERS = 10**7  # of all names that are put together of several keys


@dataclass(frozen=True, kw_only=True, eq=False)
class Networks:
    """The networks of a file.

    Attributes:
        states: the named tensors of each, by its name; "" for those at the top.
        raw: the same, with the weights that are kept in parts.
        modules: of those that are whole pickled modules, what the module became.
    """

    states: Mapping[str, Mapping[str, StoredTensor]]
    raw: Mapping[str, Mapping[str, StoredTensor]]
    modules: Mapping[str, Foreign]


def find_networks(tree: Any) -> Networks:
    """Search what was saved.

    Raises:
        CheckpointError: there is more than any training saves.
    """
    raw: dict[str, dict[str, StoredTensor]] = {}
    modules: dict[str, Foreign] = {}
    letters = Ledger(limit=MAX_LETTERS)
    for keys, tensors, module in _walk(tree):
        for more, part in _parts(tensors):
            letters.spend(sum(map(len, (*keys, *more))))
            name = _name((*keys, *more), raw)
            raw[name] = bare(part)
            whole = module if module is None or not more else child_of(module, more[0])
            if whole is not None:
                modules[name] = whole
    return Networks(states={name: plain(state) for name, state in raw.items()}, raw=raw, modules=modules)


def ranked(names: Iterable[str]) -> Iterator[list[str]]:
    """The names of networks to generate with, the likeliest first; those of one list are equally likely.

    Those that are called discriminators are left out.
    """
    names = [name for name in names if not is_discriminator(name)]
    for name in AVERAGES:
        yield [name] if name in names else []
    averages = [name for name in names if words(name) & AVERAGE_WORDS and name not in AVERAGES]
    yield averages
    for name in GENERATORS[len(AVERAGES) :]:
        yield [name] if name in names else []
    rest = [name for name in names if name not in GENERATORS and name not in averages]
    yield [name for name in rest if words(name) & GENERATOR_WORDS]
    yield [name for name in rest if not words(name) & GENERATOR_WORDS]


def discriminator_of(name: str, names: Iterable[str]) -> str | None:
    """The discriminator that belongs to a generator: that of a usual name, else the only one; None for none."""
    others = [other for other in names if is_discriminator(other) and other != name]
    usual = next((other for other in DISCRIMINATORS if other in others), None)
    beside = [other for other in others if other.rpartition(".")[0] == name.rpartition(".")[0]]
    alone = next((found[0] for found in (others, beside) if len(found) == 1), None)
    return usual if usual is not None else alone


def is_discriminator(name: str) -> bool:
    """Whether a network is called a discriminator."""
    return name in DISCRIMINATORS or bool(words(name) & DISCRIMINATOR_WORDS)


def words(name: str) -> frozenset[str]:
    """The words in a name, in small letters: net and g in ``netG``, but no d in ``d1``, a layer."""
    found = re.findall(r"([A-Z]+(?![a-z])|[A-Z]?[a-z]+)(\d*)", name)
    return frozenset(word.lower() for word, digits in found if len(word) > 2 or not digits)


def groups(tensors: Mapping[str, StoredTensor]) -> dict[str, dict[str, StoredTensor]]:
    """Tensors by the first part of their names, each without it; empty where a name has one part only."""
    parted: dict[str, dict[str, StoredTensor]] = {}
    for name, value in tensors.items():
        first, dot, rest = name.partition(".")
        if dot:
            parted.setdefault(first, {})[rest] = value
    return parted


def bare(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Strip what wrappers put before every name, and what they keep beside the network."""
    found = dict(tensors)
    if not found.keys() <= KEPT_BESIDE:
        found = {name: value for name, value in found.items() if name not in KEPT_BESIDE}
    for prefix in (*PREFIXES, *PREFIXES):
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _parts(tensors: dict[str, StoredTensor]) -> list[tuple[tuple[str, ...], dict[str, StoredTensor]]]:
    """One network, or the several of one state dict: ``generator.*`` beside ``discriminator.*``."""
    inner = tensors
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in inner):
            inner = {name.removeprefix(prefix): value for name, value in inner.items()}
    parted = groups(inner)
    has_both = any(words(name) & GENERATOR_WORDS for name in parted) and any(map(is_discriminator, parted))
    if not has_both:
        return [((), tensors)]
    return [((name,), part) for name, part in parted.items()]


def _walk(tree: Any) -> Iterator[tuple[tuple[str, ...], dict[str, StoredTensor], Foreign | None]]:
    """Dictionaries with named tensors, each with the keys that lead to it; and whole modules."""
    left: deque[tuple[tuple[str, ...], Any]] = deque([((), tree)])
    seen: set[int] = set()
    while left:
        keys, node = left.popleft()
        if id(node) in seen or len(keys) > MAX_DEPTH:
            continue
        seen.add(id(node))
        if len(seen) > MAX_NODES:
            raise CheckpointError(f"it has more than {MAX_NODES} parts; it is damaged or malicious")
        if is_module(node):
            yield keys, module_state(node), node
            continue
        inside = _inside(node)
        if {"state", "param_groups"} <= inside.keys():  # of an optimizer
            continue
        tensors = {key: value for key, value in inside.items() if isinstance(value, StoredTensor)}
        if tensors and isinstance(node, dict | Foreign):
            yield keys, tensors, None
        more = [(key, value) for key, value in inside.items() if isinstance(value, dict | list | tuple | Foreign)]
        left.extend(((*keys, key), value) for key, value in more)


def _inside(node: Any) -> dict[str, Any]:
    """What is in a container, by texts."""
    if isinstance(node, Foreign):
        state = node.state[0] if isinstance(node.state, tuple) and node.state else node.state
        node = {**getattr(node, "entries", {}), **(state if isinstance(state, dict) else {})}
    if isinstance(node, list | tuple):
        return {str(at): value for at, value in enumerate(node[:MAX_NODES])}
    if not isinstance(node, dict):
        return {}
    return {str(key): value for key, value in node.items() if isinstance(key, str) or _is_state(key, value)}


def _is_state(key: object, value: Any) -> bool:
    """Whether a number leads to a state dict, and not to what an optimizer keeps of a parameter."""
    is_short = type(key) is int and 0 <= key < MAX_NUMBER
    return is_short and isinstance(value, dict) and any(isinstance(name, str) and "." in name for name in value)


def is_module(node: Any) -> bool:
    """Whether it is what a whole pickled ``nn.Module`` became."""
    state = node.state if isinstance(node, Foreign) else None
    return isinstance(state, dict) and all(isinstance(state.get(key), dict) for key in ("_parameters", "_modules"))


def children_of(module: Foreign) -> dict[str, Foreign]:
    """The modules in a whole pickled module, by name, in their order."""
    return {key: value for key, value in _inside(module.state["_modules"]).items() if is_module(value)}


def child_of(module: Foreign, name: str) -> Foreign | None:
    """The module of a name in a whole pickled module, or in what it wraps."""
    inner = children_of(module)
    while list(inner) == ["module"]:
        inner = children_of(inner["module"])
    return inner.get(name)


def descendant(module: Foreign | None, path: str) -> Foreign | None:
    """The module of a dotted path in a whole pickled module; None where there is none."""
    for name in path.split("."):
        module = None if module is None else child_of(module, name)
    return module


def tensors_of(module: Foreign) -> dict[str, StoredTensor]:
    """Parameters and buffers of a whole pickled module itself."""
    state = module.state
    passing = state.get("_non_persistent_buffers_set")
    skipped = passing.names if isinstance(passing, Unordered) else ()
    buffers = {key: value for key, value in _inside(state.get("_buffers")).items() if key not in skipped}
    own = _inside(state["_parameters"]) | buffers
    return {key: value for key, value in own.items() if isinstance(value, StoredTensor)}


def module_state(module: Foreign) -> dict[str, StoredTensor]:
    """The state dict of a whole pickled module, taken from its attributes.

    Raises:
        CheckpointError: there are more tensors in it than any network has.
    """
    found: dict[str, StoredTensor] = {}
    left = deque([("", module, 0)])
    n_modules, letters = 0, Ledger(limit=MAX_LETTERS)  # a pickle may pass the same name many times
    while left:
        prefix, node, depth = left.popleft()
        n_modules += 1
        letters.spend(len(prefix) * (1 + len(node.state["_parameters"]) + len(node.state.get("_buffers") or ())))
        found |= {f"{prefix}{key}": value for key, value in tensors_of(node).items()}
        if len(found) > MAX_TENSORS or n_modules > MAX_TENSORS or depth > MAX_DEPTH * MAX_DEPTH:
            raise CheckpointError("a network in it has more parts than any network; it is damaged or malicious")
        inner = reversed(children_of(node).items())
        left.extendleft((f"{prefix}{key}.", value, depth + 1) for key, value in inner)
    return found


def _name(keys: tuple[str, ...], taken: Mapping[str, object]) -> str:
    """What a network is called: the keys that lead to it, without what says only that it is a state dict."""
    telling = [key for key in keys if key not in ("state_dict", "model_state_dict")] or list(keys[-1:])
    short = ".".join(_stripped(key) for key in telling)
    name = short if short not in taken else ".".join(keys)
    while name in taken:  # {"a": {"b": ...}, "a.b": ...}
        name += "'"
    return name


def _stripped(key: str) -> str:
    if key in GENERATORS:
        return key
    suffix = next((suffix for suffix in SUFFIXES if key.endswith(suffix) and key != suffix), "")
    return key.removesuffix(suffix) if suffix else key
