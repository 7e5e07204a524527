# SPDX-License-Identifier: MIT
"""A forward pass as a graph: written down, cut and computed with less work."""
