# SPDX-License-Identifier: MIT
"""Nearest nodes of a tree, exact: Algorithm 2 asks for them at every target."""
