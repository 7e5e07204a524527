# SPDX-License-Identifier: MIT
"""Which samplers an exploration has, by their names or as objects, and where each gets its random numbers from."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from egbas.errors import ConfigError
from egbas.samplers.contract import Sampler
from egbas.samplers.exact import ExactConfig, ExactSampler, PriorSampler, UniformSampler
from egbas.samplers.gbrrt import GbRrtConfig, TreeSampler
from egbas.samplers.normals import Reflections

TREE, PRIOR, UNIFORM = "tree", "prior", "uniform"
NAMES = (TREE, PRIOR, UNIFORM)
_TAKEN = (
    *NAMES,
    "cut",
    "beropt",
    "gbrrt",
    "certificate",
    "facts",
    "mass",
    "repeats",
    "certainty",
)  # stages, whose seconds stand under these names


def choose_samplers(
    given: Sequence[str | Sampler],
    gbrrt: GbRrtConfig | None = None,
    exact: ExactConfig | None = None,
    series: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> list[Sampler]:
    """Make the samplers that are meant.

    Args:
        given: names of egbas's own samplers, and samplers of the user's own.
        gbrrt: settings of ``"tree"``.
        exact: settings of ``"prior"`` and ``"uniform"``.
        series: what their chains have to agree in beside the coordinates, (n, d) to (n,), by name.

    Raises:
        ConfigError: there is none, one of an unknown name, one that is no sampler, one of the user's own under a
            name of egbas's, or two of one name.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ConfigError(f"got samplers={given!r}; expected a list of names ({', '.join(NAMES)}) or sampler objects")
    settings = _Settings(gbrrt=gbrrt, exact=exact or ExactConfig(), series=series or {})
    samplers = [_sampler(one, settings) for one in given]
    names = [sampler.name for sampler in samplers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"got two samplers named {twice[0]!r}; give each a name of its own")
    return samplers


def rng_of(name: str, seed: int) -> torch.Generator:
    """The random numbers of a sampler in the run of a seed: its own, whatever the other samplers draw.

    The tree's are those that targets have had since the first version.
    """
    if name == TREE:
        return torch.Generator().manual_seed(seed + 1)
    digest = hashlib.sha256(f"{name} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    gbrrt: GbRrtConfig | None
    exact: ExactConfig
    series: Mapping[str, Callable[[Tensor], Tensor]]


def _sampler(given: str | Sampler, settings: _Settings) -> Sampler:
    if isinstance(given, str):
        if given == TREE:
            return TreeSampler(config=settings.gbrrt)
        if given not in NAMES:
            known = ", ".join(map(repr, NAMES))
            raise ConfigError(f"sampler {given!r} is unknown; expected {known} or a sampler object")
        reflections = Reflections()
        hooks: dict[str, Any] = {"reflection": reflections.kernel, "starts": reflections.starts, "independent": True}
        kind = PriorSampler if given == PRIOR else UniformSampler
        return kind(config=settings.exact, series=settings.series, **hooks)
    if isinstance(given, type):
        raise ConfigError(f"got the class {given.__name__} as a sampler; expected an object: {given.__name__}()")
    if not isinstance(given, Sampler):
        raise ConfigError(
            f"got {type(given).__name__} as a sampler; expected a name ({', '.join(map(repr, NAMES))}), or an object "
            "with a name and a method sample(region, start, latent, rng, progress)"
        )
    if not isinstance(given.name, str) or not re.fullmatch(r"\w[\w-]*", given.name):
        raise ConfigError(f"got a sampler named {given.name!r}; expected a word of letters, digits, _ and -")
    if given.name in _TAKEN and not isinstance(given, TreeSampler | ExactSampler):
        raise ConfigError(f"got a sampler of one's own named {given.name!r}, a name of egbas's own; give it another")
    return given
