# SPDX-License-Identifier: MIT
"""E-GBAS (Jeon et al. 2020, Algorithm 3): the exploration of a query, its result, and what it will take."""
