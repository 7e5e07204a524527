# SPDX-License-Identifier: MIT
"""Sanity of an answer: randomised weights, random sets, necessity, sampler against sampler."""

from egbas.evaluation.sanity.suite import MAX_EVALUATIONS, RANDOM_SETS, Sanity, check_sanity

__all__ = ["MAX_EVALUATIONS", "RANDOM_SETS", "Sanity", "check_sanity"]
