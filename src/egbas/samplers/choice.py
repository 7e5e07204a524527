# SPDX-License-Identifier: MIT
"""Which samplers an exploration has, by their names or as objects, and where each gets its random numbers from."""

import hashlib
import re
from collections.abc import Sequence

import torch

from egbas.errors import ConfigError
from egbas.samplers.contract import Sampler
from egbas.samplers.gbrrt import GbRrtConfig, TreeSampler

TREE = "tree"
NAMES = (TREE,)


def choose_samplers(given: Sequence[str | Sampler], gbrrt: GbRrtConfig | None = None) -> list[Sampler]:
    """Make the samplers that are meant.

    Args:
        given: names of egbas's own samplers, and samplers of the user's own.
        gbrrt: settings of ``"tree"``.

    Raises:
        ConfigError: there is none, one of an unknown name, one that is no sampler, or two of one name.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ConfigError(f"got samplers={given!r}; expected a list of names ({', '.join(NAMES)}) or sampler objects")
    samplers = [_sampler(one, gbrrt) for one in given]
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


def _sampler(given: str | Sampler, gbrrt: GbRrtConfig | None) -> Sampler:
    if isinstance(given, str):
        if given != TREE:
            raise ConfigError(
                f"sampler {given!r} is unknown; expected {', '.join(map(repr, NAMES))} or a sampler object"
            )
        return TreeSampler(config=gbrrt)
    if not isinstance(given, Sampler):
        raise ConfigError(
            f"got {type(given).__name__} as a sampler; expected a name ({', '.join(map(repr, NAMES))}), or an object "
            "with a name and a method sample(region, start, latent, rng, progress)"
        )
    if not isinstance(given.name, str) or not re.fullmatch(r"\w[\w-]*", given.name):
        raise ConfigError(f"got a sampler named {given.name!r}; expected a word of letters, digits, _ and -")
    return given
