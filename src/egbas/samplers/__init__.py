# SPDX-License-Identifier: MIT
"""Exact samples of a region: a distribution restricted to it, by Markov chains that leave it as it is."""
