# SPDX-License-Identifier: MIT
"""Exact samplers of a region: the prior, or the uniform distribution, restricted to it."""
