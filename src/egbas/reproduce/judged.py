# SPDX-License-Identifier: MIT
"""What every method scores at one query, kept in a store: ``compare`` and the tables of the paper share it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from egbas.evaluation.comparison import Score, draw_all, evaluate
from egbas.evaluation.exact_methods import ExactSettings, draw_exact
from egbas.exploration.result import Exploration
from egbas.reproduce.kept import kept
from egbas.reproduce.own_judges import OwnJudges
from egbas.reproduce.provenance import geometry_facts
from egbas.storage import Store
from egbas.storage.store import SCORES
from egbas.sweep.fingerprint import answers_of, network_sha256
from egbas.zoo.models import Model, load_classifier

CLASSIFIER = "lenet-mnist"  # it knows the digits of the embedded models only
SCHEMA = 7  # to be raised with every change of what is measured, or how, within a version of egbas


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of one query.

    Attributes:
        scores: of every method.
        facts: the geometry, the methods whose chains did not converge, and with exact samples the region's mass.
        warnings: of the exploration.
    """

    scores: Sequence[Score]
    facts: Mapping[str, Any]
    warnings: Sequence[str]

    @classmethod
    def read(cls, content: Mapping[str, Any], model: str) -> "Measured":
        """What a store holds, under the name that the model has now: files may have moved since."""
        scores = [Score(**{**row, "model": model}) for row in content["scores"]]
        return cls(scores=scores, facts=content["facts"], warnings=content["warnings"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """What judges the images of every method.

    Attributes:
        discriminator: whose features are compared; None: there is none.
        classifier: whose classes are compared; None where there is none that knows the images.
        exact: whether the whole region and its fair rivals are judged, too; how much work that may take.
        images: of fixed latents, by which code in other files is told apart; None: of networks that are egbas's own.
    """

    discriminator: nn.Module | None
    classifier: nn.Module | None
    exact: ExactSettings | None = None
    images: Tensor | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        images: Callable[[], Tensor],
        own: OwnJudges,
        *,
        exact: ExactSettings | None = None,
        device: torch.device | None = None,
    ) -> "Judges":
        """Those of a model's images: what is named, or the model's discriminator and the classifier that knows it.

        Args:
            model: whose images are judged.
            images: makes those of fixed latents; called where code in other files is to be told apart.
            own: that are named.
            exact: as the attribute.
            device: where all of them go; None: they stay.
        """
        discriminator = model.discriminator if own.critic is None else own.critic
        classifier = own.classifier
        if classifier is None and model.card is not None:
            classifier = load_classifier(CLASSIFIER)
        for one in (discriminator, classifier):
            if one is not None and device is not None:
                one.to(device)
        has_foreign = own.has_foreign or (discriminator is not None and not _is_of_egbas(discriminator))
        return cls(
            discriminator=discriminator,
            classifier=classifier,
            exact=exact,
            images=images() if has_foreign else None,
        )

    @cached_property
    def record(self) -> list[Any]:
        """Checksums of both networks, and what they say of the images."""
        asked = [one for one in (self.discriminator, self.classifier) if one is not None]
        told = [] if self.images is None else [answers_of(one, _in_dtype_of(one, self.images)) for one in asked]
        return [None if one is None else network_sha256(one) for one in (self.discriminator, self.classifier)] + told

    def decides(self, task: str) -> dict[str, Any]:
        """All that determines the scores at a query.

        Args:
            task: key of its exploration.
        """
        exact = {} if self.exact is None else {"exact": dataclasses.asdict(self.exact)}
        return {"judged": SCHEMA, "task": task, "judges": self.record, **exact}

    def found(self, store: Store | None, task: str, model: str) -> Measured | None:
        """What is known of a query; None where it was not judged yet.

        Args:
            store: where scores are kept; None: nowhere.
            task: key of its exploration.
            model: name of the generator.

        Raises:
            RunDirectoryError: what is kept is damaged.
        """
        told = None if store is None else Store(store.path, SCORES).known(self.decides(task))
        return None if told is None else Measured.read(told, model)

    def judged(
        self,
        store: Store | None,
        task: str,
        run_of: Callable[[], Exploration],
        model: str,
        progress: Callable[[int, int], None] | None = None,
    ) -> Measured:
        """Judge the samples of every method at a query, unless that is done.

        Args:
            store: where scores are kept and found again; None: nowhere.
            task: key of the exploration.
            run_of: gives the exploration; called where there is something to do.
            model: name of the generator.
            progress: called with (methods judged, all of them).

        Raises:
            RunDirectoryError: the store cannot be written, or is damaged.
        """
        return Measured.read(kept(store, self.decides(task), lambda: self._judge(run_of(), progress)), model)

    def _judge(self, run: Exploration, progress: Callable[[int, int], None] | None) -> dict[str, Any]:
        samples = draw_all(run, rng=torch.Generator().manual_seed(run.seed))
        facts: dict[str, Any] = {"geometry": geometry_facts(run.latent), "unconverged": []}
        if self.exact is not None:
            drawn = draw_exact(run, self.exact)
            samples += drawn.drawn
            mass = drawn.mass
            facts["unconverged"] = list(drawn.unconverged)
            facts["log10_mass"] = [mass.log10, mass.low, mass.high] if mass.is_complete else None
        scores = evaluate(run, samples, discriminator=self.discriminator, classifier=self.classifier, progress=progress)
        rows = [dataclasses.asdict(score) for score in scores]
        return {"scores": rows, "facts": facts, "warnings": list(run.warnings)}


def _is_of_egbas(network: nn.Module) -> bool:
    return type(network).__module__.startswith("egbas.")


def _in_dtype_of(network: nn.Module, images: Tensor) -> Tensor:
    """Images in the dtype of a judge's weights, as they are judged: in another one it raises, and says nothing."""
    like = next((each for each in network.parameters() if each.is_floating_point()), images)
    return images.to(like.dtype)
