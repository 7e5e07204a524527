# SPDX-License-Identifier: MIT
"""The device that a name means, and how many processor threads torch gets."""

import torch

from egbas.errors import ConfigError
from egbas.network import Network

SMALL_NETWORK_UNITS = 200_000


def find_device(name: str) -> torch.device:
    """Find a device that works here.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used ({reason}); try --device cpu, or see 'egbas doctor'"
        ) from error
    return device


def set_threads(network: Network, threads: int | None) -> None:
    """Choose how many processor threads torch uses, for this process.

    Small networks are as fast on one thread as on several where the machine is free, and many times as fast
    where it is not: threads that wait for one another lose more than they share. Results may differ in their
    last digits with the number of threads, so it follows from the network and not from a timing.
    """
    units = sum(layer.units for layer in network.layers)
    if threads is not None or units < SMALL_NETWORK_UNITS:
        torch.set_num_threads(threads or 1)
