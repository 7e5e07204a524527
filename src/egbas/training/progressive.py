# SPDX-License-Identifier: MIT
"""Train a PGGAN from 4 x 4 pixels up, each resolution faded in (Karras et al. 2018, sections 2 to 4).

As in wgan.py the distance is Wasserstein's with gradient penalty, and what is kept is a moving average of the
generator, here from the steps at full resolution. A stopped training goes on from its last state.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from egbas.errors import ConfigError
from egbas.latent import LatentSpace
from egbas.training.growing import GrowingCritic, GrowingGenerator, enlarge, fold, shrink
from egbas.training.wgan import Wgan, WganConfig, WganResult
from egbas.zoo.pggan import PgganCritic, PgganGenerator, record_statistic


@dataclass(frozen=True, kw_only=True)
class ProgressiveConfig(WganConfig):
    """Settings of a training run; those of ``WganConfig``, and the growth.

    Attributes:
        growth: steps at which 8, 16, 32, ... pixels begin.
        fade_steps: over how many steps each of them is faded in.
        second_moment: Adam's decay of squared gradients.
        save_every: steps between two saved states.
    """

    growth: tuple[int, ...]
    fade_steps: int
    second_moment: float = 0.99
    save_every: int = 250

    def __post_init__(self) -> None:
        """Check the growth."""
        edges = (*self.growth, self.steps)
        if any(second - first < self.fade_steps for first, second in itertools.pairwise(edges)):
            raise ConfigError(
                f"growth {self.growth} leaves a resolution less than its {self.fade_steps} fade_steps of the "
                f"{self.steps} steps; begin them earlier or fade them faster"
            )
        if edges[0] < 1 or self.fade_steps < 1:
            raise ConfigError(
                f"growth begins at step {edges[0]} and fade_steps is {self.fade_steps}; expected 1 or more of each"
            )

    def schedule(self, step: int) -> tuple[int, float]:
        """The stage (0 is 4 x 4 pixels) of a step, and alpha, the share of its newest block in 0..1."""
        stage = sum(step >= begin for begin in self.growth)
        if stage == 0:
            return 0, 1.0
        return stage, min(1.0, (step - self.growth[stage - 1]) / self.fade_steps)


class Progressive(Wgan):
    """A training in progress; ``run`` takes it to its end, ``finish`` takes the networks out."""

    config: ProgressiveConfig
    generator: GrowingGenerator
    critic: GrowingCritic
    average: GrowingGenerator

    def __init__(
        self,
        config: ProgressiveConfig,
        generator: PgganGenerator,
        critic: PgganCritic,
        latent: LatentSpace,
        images: Tensor,
    ) -> None:
        """Start at step 0; the weights of the networks are drawn anew from torch's global stream.

        Args:
            config: the settings.
            generator: maps (n, d) to images.
            critic: of the same resolution.
            latent: where the generator's inputs come from.
            images: (n, c, h, w) training images in [-1, 1], of the networks' resolution.

        Raises:
            ConfigError: networks, images and growth have different resolutions.
        """
        sides = (generator.config.resolution, critic.config.resolution, *images.shape[2:])
        if set(sides) != {4 * 2 ** len(config.growth)}:
            raise ConfigError(
                f"generator, critic and images have {', '.join(map(str, sides))} pixels a side; "
                f"growth {config.growth} ends at {4 * 2 ** len(config.growth)}"
            )
        super().__init__(config, GrowingGenerator(generator), GrowingCritic(critic), latent, images)
        self.save_every = config.save_every
        for adam in (self.generator_adam, self.critic_adam):
            adam.param_groups[0]["betas"] = (0.0, config.second_moment)

    def finish(self, result: WganResult) -> tuple[PgganGenerator, PgganCritic]:
        """The plain networks of a result, in eval mode; the critic's statistic is that of the training images."""
        self.average.load_state_dict(result.generator)
        self.critic.load_state_dict(result.critic)
        critic = fold(self.critic.finished)
        record_statistic(critic, self.images[:10_000])
        return fold(self.average.finished), critic

    def _update(self) -> float:
        for network in (self.generator, self.critic, self.average):
            network.stage, network.alpha = self.config.schedule(self.step)
        return super()._update()

    def _draw_real(self, n: int) -> Tensor:
        real = shrink(super()._draw_real(n), 2 ** (len(self.config.growth) - self.critic.stage))
        if self.critic.alpha < 1:  # as much detail as the generator has
            real = torch.lerp(enlarge(shrink(real, 2)), real, self.critic.alpha)
        return real

    def _evaluate(self, frechet: Callable[[nn.Module], float]) -> None:
        if self.config.schedule(self.step) == (len(self.config.growth), 1.0):
            self.average.stage, self.average.alpha = self.config.schedule(self.step)
            super()._evaluate(frechet)

    def _text(self) -> str:
        side = 4 * 2**self.critic.stage
        return f"{side}x{side} alpha {self.critic.alpha:.2f} {super()._text()}"
