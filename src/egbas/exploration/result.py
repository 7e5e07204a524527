# SPDX-License-Identifier: MIT
"""What E-GBAS found around one query (Jeon et al. 2020, Algorithm 3): samples, and all that led to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn

from egbas.beropt import BerOptResult
from egbas.beropt.groups import told_groups
from egbas.errors import ConfigError
from egbas.exploration import record, writer
from egbas.exploration.certainty import Certainty
from egbas.exploration.facts import Distance, Facts, Within
from egbas.exploration.source import Source
from egbas.geometry import Geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.machine.settings import settles
from egbas.network import Layer, Network
from egbas.region import Certificate, DecisionRegion, Region, SupportingRegion, decision_of, supporting_of
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR
from egbas.samplers.contract import Samples
from egbas.samplers.exact import ExactConfig
from egbas.samplers.gbrrt import Tree
from egbas.samplers.mass import Mass


@dataclass(frozen=True, kw_only=True, eq=False)
class Support:
    """What BerOpt found at a layer: the supporting set (Definition 6), and its region.

    Attributes:
        layer: the explored layer.
        beropt: theta, the set and how well it carries the image.
        region: the region of the set; alone, also where its intersection with a decision region was explored.
    """

    layer: Layer
    beropt: BerOptResult
    region: SupportingRegion


@dataclass(frozen=True, kw_only=True, eq=False)
class Exploration:
    """What E-GBAS found around one query.

    Attributes:
        network: the generator, checked and ready to call on flat latents.
        model_name: name of the generator in reports and run directories.
        latent: the latent space, with the geometry that the run has.
        layer: the explored layer; None in a region of the user's own.
        query: (d,) z0.
        seed: of the masks and samplers; ``explore(..., rng=seed)`` repeats the run.
        beropt: theta, the supporting set and how well it carries the image; None in a region of the user's own.
        held: the output that BerOpt's distance was measured in; None: the image.
        region: the region of the supporting set, a decision region, the intersection of both, or the user's own.
        focus: (h, w) bool, the part of the image that BerOpt looked at; None: all of it.
        judges: names of those of the user's own, ``module:name``.
        features: the name of the features; None without any.
        within: the distance that chose the level; None where none did.
        exact_config: settings of the exact samplers; None where there were none, or a run directory does not say.
        samples: what each sampler drew, by its name.
        certificates: the check of the samples of each.
        facts: what exact samples of the prior say of the region; None without them.
        mass: log10 of the region's prior probability; None without exact samples, and where seconds do not give it
            (``egbas.samplers.mass.mass_of`` takes minutes there).
        seconds: wall-clock time of each stage.
        warnings: what the user should know, as sentences.
        certainty: how much of the answer hangs on BerOpt's masks; None where BerOpt ran once.
        source: the image that the query was found for; None where it was found for none.
    """

    network: Network
    model_name: str
    latent: LatentSpace
    layer: Layer | None
    query: Float[Tensor, " d"]
    seed: int
    beropt: BerOptResult | None
    region: Region
    held: str | None = None
    focus: Tensor | None = None
    judges: tuple[str, ...] = ()
    features: str | None = None
    within: Within | None = None
    exact_config: ExactConfig | None = None
    samples: Mapping[str, Samples]
    certificates: Mapping[str, Certificate]
    facts: Facts | None
    mass: Mass | None
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    certainty: Certainty | None = None
    source: Source | None = None

    @property
    def generator(self) -> nn.Module:
        """G, as it was given."""
        return self.network.generator

    @property
    def geometry(self) -> Geometry:
        """The space that a tree lies in, with its distances."""
        return geometry_around(self.latent, self.query)

    @cached_property
    def certificate(self) -> Certificate:
        """The check of all samples together."""
        return Certificate.of_all(self.certificates.values())

    @property
    def edges_inside(self) -> bool | None:
        """Whether the edges of the tree are proven to lie in the region; None without a tree.

        A polytope is convex: a straight edge between two of its points lies inside. Elsewhere the nodes alone are
        checked, and an edge may leave the region and come back.
        """
        if self.tree is None:
            return None
        linear = getattr(self.region, "linear", None)
        is_convex = linear is not None and linear() is not None and self.latent.geometry == "flat"
        return is_convex and all(check.is_valid for check in self.certificates.values())

    @property
    def tree(self) -> Tree | None:
        """What GB-RRT grew; None where it was not among the samplers."""
        return next((samples for samples in self.samples.values() if isinstance(samples, Tree)), None)

    @property
    def latents(self) -> Float[Tensor, "n d"] | None:
        """The nodes of the tree, the query first; None without a tree."""
        return None if self.tree is None else self.tree.latents

    @property
    def parents(self) -> Int[Tensor, " n"] | None:
        """Index of each node's parent in the tree, -1 for the query; None without a tree."""
        return None if self.tree is None else self.tree.parents

    @property
    def rejected(self) -> Float[Tensor, "r d"] | None:
        """The candidates that were not added to the tree; None without a tree."""
        return None if self.tree is None else self.tree.rejected

    @property
    def rejected_reason(self) -> Int8[Tensor, " r"] | None:
        """1 outside the region, 2 too close to another node; None without a tree."""
        return None if self.tree is None else self.tree.rejected_reason

    @property
    def theta(self) -> Float[Tensor, " units"] | None:
        """Probability of keeping each unit of the layer; None where BerOpt was skipped."""
        return None if self.beropt is None else self.beropt.theta

    @property
    def groups(self) -> tuple[int, int, str] | None:
        """Groups that hold kept units, of how many, and what they are called; None where each unit is by itself."""
        if self.beropt is None or self.layer is None:
            return None
        return told_groups(self.layer, self.beropt.config.units, self.beropt.units)

    @property
    def level(self) -> int | None:
        """Of the supporting set, 1 (coarse) to 8 (fine); None where a sparsity decided, or BerOpt was skipped."""
        return None if self.beropt is None else self.beropt.config.level

    @property
    def grown(self) -> Tree:
        """The tree, for what needs one.

        Raises:
            ConfigError: there is none.
        """
        if self.tree is None:
            raise ConfigError("this run has no tree; explore with 'tree' among the samplers")
        return self.tree

    @property
    def support(self) -> "Support":
        """The layer, BerOpt's result and its region, for what needs them.

        Raises:
            ConfigError: the region was the user's own.
        """
        region = supporting_of(self.region)
        if self.layer is None or self.beropt is None or region is None:
            raise ConfigError("this run explored a region of the user's own; expected one of a layer: give layer=")
        return Support(layer=self.layer, beropt=self.beropt, region=region)

    @property
    def decision(self) -> DecisionRegion | None:
        """The decision region that was explored, alone or with a layer's; None where there was none."""
        return decision_of(self.region)

    @property
    def freedom(self) -> Tensor | None:
        """(c, h, w): of each pixel its deviation over the region by that over the prior; None without exact samples."""
        return None if self.facts is None else self.facts.freedom

    @property
    def distance(self) -> Distance | None:
        """Quantiles of the relative distance of images from the query's; None without exact samples."""
        return None if self.facts is None else self.facts.distance

    @property
    def exact(self) -> Chains | None:
        """Exact samples of the prior in the region; None where they were not among the samplers."""
        chains = self.samples.get(PRIOR)
        return chains if isinstance(chains, Chains) else None

    @property
    def shown(self) -> str:
        """Name of the sampler whose samples pictures lead with: the exact ones, or else the first."""
        return PRIOR if self.exact is not None else next(iter(self.samples))

    def images(self, batch_size: int | None = None, *, sampler: str | None = None) -> Tensor:
        """G of every sample of one sampler, (n, c, h, w), on the CPU; the query's comes first with those of a tree.

        ``run.network.image_batches`` gives them batch by batch.

        Args:
            batch_size: images computed at a time; None: as many as memory has room for.
            sampler: whose samples; None: the tree's, or where there is none those of the first sampler.
        """
        latents = self.latents if sampler is None and self.latents is not None else self._of(sampler).latents
        if not len(latents):
            return self.query_image[None][:0]
        if batch_size is None:
            return torch.cat(list(self.network.image_batches(latents)))
        return torch.cat([self.network.generate(z).cpu() for z in latents.split(batch_size)])

    @property
    def query_image(self) -> Tensor:
        """G(z0), (c, h, w)."""
        return self.network.generate(self.query[None])[0].cpu()

    @property
    @settles
    def masked_image(self) -> Tensor:
        """f_{L:l+1}(h0 * 1[theta > p]), (c, h, w): what the supporting units alone generate, or what else was held.

        Raises:
            ConfigError: the region was the user's own.
        """
        support = self.support
        tail = support.region.split.at(self.query)
        kept = torch.zeros_like(tail.a)
        kept[support.beropt.units] = tail.a[support.beropt.units]
        with torch.no_grad():
            return tail(kept[None])[0].cpu()

    def metrics(self) -> dict[str, Any]:
        """The numbers of the run, as ``metrics.json`` holds them."""
        return record.metrics_of(self)

    def config(self) -> dict[str, Any]:
        """Everything needed to repeat the run, as ``config.json`` holds it."""
        return record.config_of(self)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run directory, whole or not at all; see ``egbas.save_run``."""
        return writer.write(self, path, overwrite=overwrite)

    def _of(self, sampler: str | None) -> Samples:
        name = self.shown if sampler is None else sampler
        if name not in self.samples:
            raise ConfigError(f"this run has no sampler {name!r}; it has {', '.join(map(repr, self.samples))}")
        return self.samples[name]
