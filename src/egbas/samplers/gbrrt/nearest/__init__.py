# SPDX-License-Identifier: MIT
"""Nearest nodes of a tree, exact: Algorithm 2 asks for them at every target."""

from egbas.samplers.gbrrt.nearest.lookahead import Lookahead
from egbas.samplers.gbrrt.nearest.search import NearestNodes

__all__ = ["Lookahead", "NearestNodes"]
