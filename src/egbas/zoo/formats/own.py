# SPDX-License-Identifier: MIT
"""The neutral file of egbas: safetensors with ``generator.*`` and ``critic.*``, and what they are in its header.

It holds the weights as they are used, with nothing left to convert, so that it gives the same networks bit for bit.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor

from egbas.errors import CheckpointError, ConfigError
from egbas.latent import LatentSpace
from egbas.zoo.blueprint import Blueprint, Blueprints, config_from_json, config_to_json, latent_shape
from egbas.zoo.containers.content import Content
from egbas.zoo.formats.tensors import Tensors

NAME = "egbas"
VERSION = "1"
KEY = "egbas.format"
PREFIXES = {"generator": "generator.", "discriminator": "critic."}


def matches(content: Content) -> bool:
    """Whether the header names this format."""
    return KEY in content.metadata


def read(content: Content) -> Blueprints:
    """Read what ``dump`` wrote.

    Raises:
        CheckpointError: the header is of another version, or does not fit the tensors or itself; a tensor that is
            missing inside a network is told when that is built.
    """
    header = content.metadata
    if header[KEY] != VERSION:
        raise CheckpointError(
            f"it is of version {header[KEY]!r} of the format, expected {VERSION!r}; use a newer egbas"
        )
    try:
        described = {role: json.loads(header[role]) for role in PREFIXES if role in header}
        latent = json.loads(header["latent"])
        facts = json.loads(header.get("source", "{}"))
        space = LatentSpace.from_record({**latent, "shape": _shape(latent["shape"])})
        networks = {role: (str(told["arch"]), dict(told["config"])) for role, told in described.items()}
    except (ValueError, KeyError, TypeError, ConfigError, RecursionError) as error:
        raise CheckpointError(f"its header is damaged ({type(error).__name__}: {error})") from error
    if "generator" not in networks:
        raise CheckpointError("its header describes no generator; it is damaged")
    known = "|".join(re.escape(PREFIXES[role]) for role in networks)
    Tensors(stored=content.tree, what="file").check_names((), ignored=rf"({known}).*")
    blueprints = {role: _blueprint(content, role, *told) for role, told in networks.items()}
    return Blueprints(
        generator=blueprints["generator"],
        discriminator=blueprints.get("discriminator"),
        latent=_fitting(space, blueprints["generator"]),
        facts=facts if isinstance(facts, dict) else {},
    )


def dump(blueprints: Blueprints, source: Mapping[str, Any]) -> bytes:
    """Write networks as the bytes of a file.

    Args:
        blueprints: the networks.
        source: what to tell of where they come from; kept in the header, and told by ``egbas inspect``.
    """
    header = {"format": "pt", KEY: VERSION, "latent": json.dumps(blueprints.latent.record())}
    header["source"] = json.dumps({**blueprints.facts, **source})
    tensors: dict[str, Tensor] = {}
    for role, prefix in PREFIXES.items():
        blueprint: Blueprint | None = getattr(blueprints, role)
        if blueprint is not None:
            header[role] = json.dumps({"arch": blueprint.architecture, "config": config_to_json(blueprint)})
            tensors |= {prefix + name: value.contiguous() for name, value in blueprint.weights.items()}
    return _in_order(save(tensors, header))


def _in_order(written: bytes) -> bytes:
    """Sort the header, whose entries safetensors writes in any order: the same networks give the same bytes."""
    end = 8 + int.from_bytes(written[:8], "little")
    content = json.loads(written[8:end])
    ordered = {"__metadata__": dict(sorted(content.pop("__metadata__").items())), **content}
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + memoryview(written)[end:]


def _blueprint(content: Content, role: str, architecture: str, config: dict[str, Any]) -> Blueprint:
    prefix = PREFIXES[role]
    kind = "generator" if role == "generator" else "critic"
    if not architecture.endswith(kind):
        raise CheckpointError(f"its header calls a {architecture} the {role}; it is damaged")
    stored = {name: value for name, value in content.tree.items() if name.startswith(prefix)}
    return Blueprint(
        architecture=architecture,
        config=config_from_json(architecture, config),
        weights={name.removeprefix(prefix): _load(name, value) for name, value in stored.items()},
    )


def _fitting(space: LatentSpace, generator: Blueprint) -> LatentSpace:
    """The latent space, once its shape is seen to be the one that the generator takes."""
    expected = latent_shape(generator)
    if space.shape != expected:
        raise CheckpointError(
            f"its header gives latents of shape {str(space.shape)[:60]}, its generator takes {expected}; it is damaged"
        )
    return space


def _shape(sizes: list[Any]) -> tuple[int, ...]:
    if not all(type(size) is int for size in sizes):  # 7.0 equals 7, and is no size
        raise ValueError("the latent's shape is not made of whole numbers")
    return tuple(sizes)


def _load(name: str, stored: Any) -> Tensor:
    # The counters of batch norm are no floating-point numbers.
    return stored.load_counter() if name.endswith("num_batches_tracked") else stored.load(name)
