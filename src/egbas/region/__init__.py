# SPDX-License-Identifier: MIT
"""Generative regions (Jeon et al. 2020, Definitions 1-6): halfspaces, membership, margins, certificate."""

from egbas.region.certificate import Certificate, certify
from egbas.region.contract import Region
from egbas.region.intersection import Intersection
from egbas.region.precisions import Precisions
from egbas.region.supporting import MICRO_BATCH, SupportingRegion, contains_many

__all__ = [
    "MICRO_BATCH",
    "Certificate",
    "Intersection",
    "Precisions",
    "Region",
    "SupportingRegion",
    "certify",
    "contains_many",
]
