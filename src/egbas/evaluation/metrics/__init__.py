# SPDX-License-Identifier: MIT
"""How alike the images of samples are: the metrics of the paper's Tables 1 and 2, and some of our own.

One metric, one function; its docstring is its protocol. All take what any method drew, E-GBAS or baseline, without the
query among the samples. Intervals are over queries.
"""

from egbas.evaluation.metrics.bootstrap import bootstrap_interval, bootstrap_ratio
from egbas.evaluation.metrics.critic import CriticSimilarity, class_consistency, critic_similarity
from egbas.evaluation.metrics.samples import search_evaluations, share_in_region
from egbas.evaluation.metrics.spread import PixelSpread, changed_share, deviation

__all__ = [
    "CriticSimilarity",
    "PixelSpread",
    "bootstrap_interval",
    "bootstrap_ratio",
    "changed_share",
    "class_consistency",
    "critic_similarity",
    "deviation",
    "search_evaluations",
    "share_in_region",
]
