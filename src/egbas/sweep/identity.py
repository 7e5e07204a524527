# SPDX-License-Identifier: MIT
"""What determines the result of an exploration, as JSON takes it: whoever asks for it by any command gets one key."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.beropt.config import UNIT
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.sweep.fingerprint import answers_of, behaviour_of, function_sha256, network_sha256, probes_of
from egbas.version import __version__

SCHEMA = 9  # to be raised with every change of what a task computes, or how, within a version of egbas


def decides_of(  # noqa: PLR0913
    network: Network,
    space: LatentSpace,
    beropt: BerOptConfig,
    gbrrt: GbRrtConfig,
    *,
    options: Mapping[str, Any],
    focus: Sequence[int] | Tensor | None = None,
    judges: Sequence[tuple[str, Callable[..., Any]]] = (),
    features: Callable[..., Any] | None = None,
    classifier: nn.Module | None = None,
) -> dict[str, Any]:
    """All that determines the results of explorations beside their layer, level, query and seed.

    Not in it: threads, device and folder, which change the last digits at most; and what the network is called.

    Args:
        network: G, with the output that is the image.
        space: the latent space, with its geometry.
        beropt: settings of BerOpt; the level is not looked at.
        gbrrt: settings of GB-RRT.
        options: all others that were given, by name; those that are new are told apart before anybody thinks of them.
        focus: a box or a mask.
        judges: by the names that they were given by.
        features: of images.
        classifier: that judges classes.
    """
    asked = [judge for _, judge in judges] + [one for one in (features, classifier) if one is not None]
    images = probes_of(network)
    answers = [answers_of(one, images) for one in asked]  # code in other files shows in what it says of them
    return {
        "schema": SCHEMA,
        "versions": {"egbas": __version__, "torch": torch.__version__.split("+")[0]},
        "network": network_sha256(network.generator),
        "behaviour": behaviour_of(network, images),
        "latent": space.record(),
        "dtype": str(network.dtype),
        "beropt": _settings_of(beropt),
        "gbrrt": dataclasses.asdict(gbrrt),
        "focus": focus.tolist() if isinstance(focus, Tensor) else focus,
        "judges": [[name, function_sha256(judge)] for name, judge in judges],
        "features": None if features is None else function_sha256(features),
        "classifier": None if classifier is None else network_sha256(classifier),
        **({"answers": answers} if answers else {}),
        "options": {name: value for name, value in options.items() if value is not None and value is not False},
    }


def _settings_of(beropt: BerOptConfig) -> dict[str, Any]:
    """Settings that came later are told where they are not the default: keys of older stores stay."""
    settings = dataclasses.asdict(dataclasses.replace(beropt, level=None))
    return {name: value for name, value in settings.items() if (name, value) != ("units", UNIT)}


def options_of_tree() -> dict[str, Any]:
    """The options of an exploration whose tree alone is asked for."""
    return {"samples": 0, "repeats": 1}
