# SPDX-License-Identifier: MIT
"""PGGAN (Karras et al. 2018) in one canonical form, the architecture that the paper explores."""

from egbas.zoo.pggan.config import CriticConfig as PgganCriticConfig
from egbas.zoo.pggan.config import GeneratorConfig as PgganConfig
from egbas.zoo.pggan.critic import PgganCritic, record_statistic
from egbas.zoo.pggan.generator import PgganGenerator

__all__ = ["PgganConfig", "PgganCritic", "PgganCriticConfig", "PgganGenerator", "record_statistic"]
