# SPDX-License-Identifier: MIT
"""The device that a name means, and how many processor threads torch gets."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from egbas.errors import ConfigError
from egbas.network import count_units

SMALL_NETWORK_UNITS = 100_000  # a generator of 64 x 64 pixels in colour has more


def find_device(name: str) -> torch.device:
    """Find a device that works here.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device, dtype=torch.float32)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used ({reason}); try --device cpu, or see 'egbas doctor'"
        ) from error
    return device


def set_threads(
    generator: nn.Module, latent_shape: tuple[int, ...], threads: int | None, inputs: Mapping[str, Any] | None = None
) -> None:
    """Choose how many processor threads torch uses, for this process; before the network's first pass.

    Small networks are as fast on one thread as on several where the machine is free, and many times as fast
    where it is not: threads that wait for one another lose more than they share. Results may differ in their
    last digits with the number of threads, so it follows from the network and not from a timing.

    Args:
        generator: whose units are counted, by one pass of one thread.
        latent_shape: of one latent.
        threads: that the user wants.
        inputs: what the network takes beside the latent.
    """
    several = torch.get_num_threads()
    torch.set_num_threads(threads or 1)
    if threads is None and count_units(generator, latent_shape, inputs) >= SMALL_NETWORK_UNITS:
        torch.set_num_threads(several)
