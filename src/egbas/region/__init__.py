# SPDX-License-Identifier: MIT
"""Generative regions (Jeon et al. 2020, Definitions 1-6): halfspaces, membership, margins, certificate."""

from egbas.region.certificate import Certificate, certify
from egbas.region.contract import Region
from egbas.region.decision import DecisionRegion, decision_of, supporting_of
from egbas.region.intersection import Intersection
from egbas.region.precisions import Precisions
from egbas.region.supporting import MICRO_BATCH, SupportingRegion, contains_many

__all__ = [
    "MICRO_BATCH",
    "Certificate",
    "DecisionRegion",
    "Intersection",
    "Precisions",
    "Region",
    "SupportingRegion",
    "certify",
    "contains_many",
    "decision_of",
    "supporting_of",
]
