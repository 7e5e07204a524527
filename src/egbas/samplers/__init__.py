# SPDX-License-Identifier: MIT
"""Samplers of a region: GB-RRT's tree (Jeon et al. 2020, Algorithm 2) and whatever keeps the contract."""

from egbas.samplers.contract import Sampler, Samples

__all__ = ["Sampler", "Samples"]
