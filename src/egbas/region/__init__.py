# SPDX-License-Identifier: MIT
"""Generative regions (Jeon et al. 2020, Definitions 1-6): halfspaces, membership, margins, certificate."""

from egbas.region.certificate import Certificate, certify
from egbas.region.precisions import Cut
from egbas.region.supporting import MICRO_BATCH, Region, contains_many

__all__ = ["MICRO_BATCH", "Certificate", "Cut", "Region", "certify", "contains_many"]
