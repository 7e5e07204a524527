# SPDX-License-Identifier: MIT
"""What E-GBAS found around one query (Jeon et al. 2020, Algorithm 3): samples, and all that led to them."""

import dataclasses
import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn

from egbas.beropt import BerOptResult
from egbas.exploration import writer
from egbas.geometry import Geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.network import Layer, Network
from egbas.region import Certificate, SupportingRegion
from egbas.samplers.gbrrt import Tree
from egbas.version import __version__


@dataclass(frozen=True, kw_only=True, eq=False)
class Exploration:
    """What E-GBAS found around one query.

    Attributes:
        network: the generator, checked and ready to call on flat latents.
        model_name: name of the generator in reports and run directories.
        latent: the latent space, with the geometry that the run has.
        layer: the explored layer.
        query: (d,) z0.
        seed: of the masks and targets; ``explore(..., rng=seed)`` repeats the run.
        beropt: theta, the supporting set and how well it carries the image.
        region: the region of the supporting set.
        tree: the nodes and the rejected candidates.
        certificate: the float64 check of every node.
        seconds: wall-clock time of each stage.
        warnings: what the user should know, as sentences.
    """

    network: Network
    model_name: str
    latent: LatentSpace
    layer: Layer
    query: Float[Tensor, " d"]
    seed: int
    beropt: BerOptResult
    region: SupportingRegion
    tree: Tree
    certificate: Certificate
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def generator(self) -> nn.Module:
        """G, as it was given."""
        return self.network.generator

    @property
    def geometry(self) -> Geometry:
        """The space that the tree lies in, with its distances."""
        return geometry_around(self.latent, self.query)

    @property
    def latents(self) -> Float[Tensor, "n d"]:
        """The samples, the query first."""
        return self.tree.latents

    @property
    def parents(self) -> Int[Tensor, " n"]:
        """Index of each sample's parent in the tree, -1 for the query."""
        return self.tree.parents

    @property
    def rejected(self) -> Float[Tensor, "r d"]:
        """The candidates that were not added."""
        return self.tree.rejected

    @property
    def rejected_reason(self) -> Int8[Tensor, " r"]:
        """1 outside the region, 2 too close to another node."""
        return self.tree.rejected_reason

    @property
    def theta(self) -> Float[Tensor, " units"]:
        """Probability of keeping each unit of the layer."""
        return self.beropt.theta

    def images(self, batch_size: int | None = None) -> Tensor:
        """G of every sample, (n, c, h, w), on the CPU; ``run.network.image_batches`` gives them part by part.

        Args:
            batch_size: images computed at a time; None: as many as memory has room for.
        """
        if batch_size is None:
            return torch.cat(list(self.network.image_batches(self.latents)))
        return torch.cat([self.network.generate(z).cpu() for z in self.latents.split(batch_size)])

    @property
    def query_image(self) -> Tensor:
        """G(z0), (c, h, w)."""
        return self.network.generate(self.query[None])[0].cpu()

    @property
    def masked_image(self) -> Tensor:
        """f_{L:l+1}(h0 * 1[theta > p]), (c, h, w): what the supporting units alone generate."""
        tail = self.region.split.at(self.query)
        kept = torch.zeros_like(tail.a)
        kept[self.beropt.units] = tail.a[self.beropt.units]
        with torch.no_grad():
            return tail(kept[None])[0].cpu()

    def metrics(self) -> dict[str, Any]:
        """The numbers of the run, as ``metrics.json`` holds them."""
        outside = int((self.rejected_reason == 1).sum())
        return {
            "samples": len(self.latents),
            "iterations": len(self.latents) - 1 + len(self.rejected),
            "rejected_outside": outside,
            "rejected_too_close": len(self.rejected) - outside,
            "acceptance": self.tree.acceptance,
            "gbrrt_status": str(self.tree.status),
            "units": self.layer.units,
            "supporting_units": len(self.beropt.units),
            "fidelity": self.beropt.fidelity,
            "sampled_fidelity": self.beropt.sampled_fidelity,
            "polarisation": self.beropt.polarisation,
            "beropt_status": self.beropt.status.name,
            "beropt_steps": self.beropt.steps,
            "certificate": {**dataclasses.asdict(self.certificate), "is_valid": self.certificate.is_valid},
            "left_support": int((~self.latent.contains(self.latents)).sum()),
            "head_evaluations": self.tree.evaluations,
            "head_rounds": self.tree.rounds,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }

    def config(self) -> dict[str, Any]:
        """Everything needed to repeat the run, as ``config.json`` holds it."""
        return {
            "model": {"name": self.model_name, "sha256": state_sha256(self.generator)},
            "latent": self.latent.record(),
            "layer": dataclasses.asdict(self.layer),
            "query": self.query.tolist(),
            "seed": self.seed,
            "beropt": dataclasses.asdict(self.beropt.config),
            "gbrrt": {
                "iterations": len(self.latents) - 1 + len(self.rejected),
                "step_size": self.tree.step_size,
                "half_width": self.tree.half_width,
            },
            "dtype": str(self.network.dtype).removeprefix("torch."),
            "device": str(self.network.device),
            "threads": torch.get_num_threads(),
            "versions": {
                "egbas": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run directory, whole or not at all; see ``egbas.save_run``."""
        return writer.write(self, path, overwrite=overwrite)


def state_sha256(module: nn.Module) -> str:
    """Checksum of a module's parameters and buffers, by name, shape and value."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
