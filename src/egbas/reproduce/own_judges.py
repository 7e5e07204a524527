# SPDX-License-Identifier: MIT
"""Networks that somebody names to judge images, in place of those that egbas takes by itself."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from egbas.errors import NetworkError
from egbas.evaluation.metrics.critic import check_classifier, check_critic
from egbas.inputs.classifiers import find_classifier, find_judge
from egbas.zoo.lenet import LeNet
from egbas.zoo.models import classifiers


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnJudges:
    """What is named to judge images; where nothing is, egbas takes what it has.

    Attributes:
        critic: whose features are compared, in place of the model's own discriminator.
        classifier: whose classes are compared, in place of that of the embedded models.
    """

    critic: nn.Module | None = None
    classifier: nn.Module | None = None

    @classmethod
    def named(cls, classifier: str | None, critic: str | None) -> "OwnJudges":
        """Those of some names, as ``--classifier`` and ``--critic`` have them.

        Raises:
            ModelNotFoundError: there is none of a name.
            NetworkError: the user's code raises or returns no network.
        """
        return cls(
            critic=None if critic is None else find_judge(critic, "--critic"),
            classifier=None if classifier is None else find_classifier(classifier),
        )

    @property
    def has_foreign(self) -> bool:
        """Whether one is not egbas's own: a checksum may not see all of its code."""
        given = [one for one in (self.critic, self.classifier) if one is not None]
        return any(not (isinstance(one, LeNet) and name_of(one) in classifiers()) for one in given)

    def check(self, images: Callable[[], Tensor]) -> None:
        """Refuse what cannot judge such images, before any work.

        Args:
            images: makes some (n, c, h, w) of those that they are to judge; called where something is named.

        Raises:
            NetworkError: one is in train mode, raised, or says nothing that can be compared.
        """
        checks = ("--critic", self.critic, check_critic), ("--classifier", self.classifier, check_classifier)
        for option, network, check in checks:
            if network is None:
                continue
            probes = images()
            try:
                check(network, probes)
            except NetworkError as error:
                raise NetworkError(f"{option} {name_of(network)}: {error}") from error


def name_of(network: nn.Module | None) -> str | None:
    """What a judge is called: as it was typed, as an embedded one is, or as its class; None where there is none."""
    return None if network is None else str(getattr(network, "zoo_name", type(network).__name__))
