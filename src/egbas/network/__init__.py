# SPDX-License-Identifier: MIT
"""A generator G cut at a layer l: its layers, the head f_{l:1} and the tail f_{L:l+1}."""

from egbas.network.affine import AffineUnits, affine_units
from egbas.network.cut import Split
from egbas.network.kept_units import KeptUnits, LinearLayer, affine_kept_units
from egbas.network.layers import Layer
from egbas.network.network import Network, count_units, list_layers
from egbas.network.tail import Tail

__all__ = [
    "AffineUnits",
    "KeptUnits",
    "Layer",
    "LinearLayer",
    "Network",
    "Split",
    "Tail",
    "affine_kept_units",
    "affine_units",
    "count_units",
    "list_layers",
]
