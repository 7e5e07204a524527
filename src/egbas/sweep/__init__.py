# SPDX-License-Identifier: MIT
"""Sweeps: a plan of many tasks, each a finished run directory of a content-addressed store, and the engines for it."""
