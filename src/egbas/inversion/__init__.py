# SPDX-License-Identifier: MIT
"""Inversion: the latent whose image comes nearest to a given one."""

from egbas.inversion.invert import Inversion, InversionConfig, invert, target_of

__all__ = ["Inversion", "InversionConfig", "invert", "target_of"]
