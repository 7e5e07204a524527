# SPDX-License-Identifier: MIT
"""A generator G cut at a layer l: its layers, the head f_{l:1} and the tail f_{L:l+1}."""

from egbas.network.affine import AffineUnits, affine_units
from egbas.network.cut import Split
from egbas.network.layers import Layer
from egbas.network.network import Network, list_layers
from egbas.network.tail import Tail

__all__ = ["AffineUnits", "Layer", "Network", "Split", "Tail", "affine_units", "list_layers"]
