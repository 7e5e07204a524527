# SPDX-License-Identifier: MIT
"""A generator G split at a layer l: its layers, the head f_{l:1} and the tail f_{L:l+1}."""

from egbas.network.classified import Classified, Pixels
from egbas.network.layers import Layer
from egbas.network.network import Network, count_units, list_layers
from egbas.network.split import Split
from egbas.network.tail import Tail

__all__ = [
    "Classified",
    "Layer",
    "Network",
    "Pixels",
    "Split",
    "Tail",
    "count_units",
    "list_layers",
]
