# SPDX-License-Identifier: MIT
"""E-GBAS beside the baselines: how samples are drawn, judged and compared (Jeon et al. 2020, Experiments)."""
