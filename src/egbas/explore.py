# SPDX-License-Identifier: MIT
"""E-GBAS (Jeon et al. 2020, Algorithm 3): BerOpt, the region of its set, GB-RRT, and the exploration they give."""

import dataclasses
import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn

import egbas
from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus, optimize
from egbas.errors import ConfigError, ShapeError
from egbas.gbrrt import GbRrtConfig, GbRrtStatus, Tree, grow, with_automatic
from egbas.geometry import Geometry, choose_geometry, geometry_around
from egbas.latent import LatentSpace
from egbas.network import Layer, Network
from egbas.region import Certificate, Region, certify

Progress = Callable[[str, int, int, str], None]


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
    region: Region
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

    def images(self, batch_size: int = 256) -> Tensor:
        """G of every sample, (n, c, h, w), on the CPU.

        Args:
            batch_size: images computed at a time.
        """
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
            "gbrrt_status": self.tree.status.name,
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
            "latent": dataclasses.asdict(self.latent),
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
                "egbas": egbas.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run directory, whole or not at all; see ``egbas.save_run``."""
        # The last step of the flow, offered on its result: the one import against the direction of the flow.
        from egbas.storage import save_run

        return save_run(self, path, overwrite=overwrite)


# BerOpt needs gradients, also where the caller has switched them off.
@torch.inference_mode(mode=False)
@torch.enable_grad()
def explore(  # noqa: PLR0913  the public face: three things to explore, then settings
    generator: nn.Module,
    z0: Tensor,
    layer: int | str | nn.Module,
    *,
    rng: torch.Generator | int,
    latent: LatentSpace | None = None,
    geometry: Literal["auto", "flat", "sphere"] = "auto",
    beropt: BerOptConfig | None = None,
    gbrrt: GbRrtConfig | None = None,
    model_name: str | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Explore the region of a layer around a query (Jeon et al. 2020, Algorithm 3).

    Args:
        generator: G, in eval mode; it is left as it was found.
        z0: the query, of the latent space's shape or flat (d,).
        layer: number l of a non-linearity, dotted path of a module, or the module.
        rng: a CPU generator, from which the run's seed is drawn, or that seed itself.
        latent: the latent space; by default the generator's attribute ``latent``, or else N(0, 1) of z0's shape.
        geometry: ``"flat"``, the paper's; ``"sphere"``, the one through the query around the origin; or ``"auto"``: a
            sphere where ``latent`` says so or the generator ignores a latent's length, G(3z) = G(z), else flat. The
            latent space of the result has what was chosen.
        beropt: settings of BerOpt.
        gbrrt: settings of GB-RRT; step size and half-width follow the extent of the region where they are None.
        model_name: for reports and run directories; by default the zoo's name of the generator, or that of its class.
        progress: called with (stage, done, total, text).

    Returns:
        The samples with everything that led to them.

    Raises:
        ShapeError: the query has the wrong size or values that are not finite.
        LayerNotFoundError: the network has no such layer, or the latent does not reach it.
        NetworkError: the network raised, is in train mode, or gave values that are not finite.
        ConfigError: a setting is out of range, the supporting set came out empty, or a sphere has no query to go
            through because that is zero.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
        >>> run = egbas.explore(model.generator, z0, layer=1, rng=7, gbrrt=egbas.GbRrtConfig(iterations=50))
        >>> bool(run.region.contains(run.latents).all())
        True
    """
    latent = latent or _latent_of(generator, z0)
    seed = _seed_of(rng)
    clock = _Clock(progress)

    with clock.stage("cut"):
        network = Network(generator, latent.shape)
        latent = choose_geometry(latent, network, geometry)
        query = as_query(z0, latent, network)
        space = geometry_around(latent, query)
        split = network.cut(network.resolve(layer))
    with clock.stage("beropt"):
        tail = split.at(query)
        rng_masks = torch.Generator().manual_seed(seed)
        found = optimize(tail, beropt or BerOptConfig(), rng=rng_masks, progress=clock.progress("beropt"))
        if found.status is BerOptStatus.EMPTY:
            raise ConfigError(
                f"the supporting set of layer {split.layer.path!r} is empty: no unit has theta above "
                f"{found.config.threshold}; lower the sparsity (now {found.config.sparsity}) or the threshold"
            )
    with clock.stage("gbrrt"):
        settings = gbrrt or GbRrtConfig()
        largest = latent.largest_half_width
        reach = space.reach(max(settings.half_width or 0.0, largest))
        region = Region.around(network, split.layer, query, found.units, found.signs, reach=reach)
        settings = with_automatic(settings, query, region, largest_half_width=largest, geometry=space)
        rng_targets = torch.Generator().manual_seed(seed + 1)
        tree = grow(query, region, settings, rng=rng_targets, geometry=space, progress=clock.progress("gbrrt"))
    with clock.stage("certificate"):
        certificate = certify(region, tree.latents)

    return Exploration(
        network=network,
        model_name=model_name or _name_of(generator),
        latent=latent,
        layer=split.layer,
        query=query.cpu(),
        seed=seed,
        beropt=found,
        region=region,
        tree=tree,
        certificate=certificate,
        seconds=clock.seconds,
        warnings=_warnings(query, latent, found, tree, certificate),
    )


def as_query(z0: Tensor, latent: LatentSpace, network: Network) -> Float[Tensor, " d"]:
    """Check a query and flatten it, in the dtype and on the device that the tree will have.

    Raises:
        ShapeError: it has the wrong size or values that are not finite.
    """
    if not isinstance(z0, Tensor) or z0.numel() != latent.size:
        got = f"shape {tuple(z0.shape)}" if isinstance(z0, Tensor) else type(z0).__name__
        raise ShapeError(
            f"got a query of {got}, expected a tensor of {latent.size} values for latent shape {latent.shape}"
        )
    if not z0.is_floating_point() or not bool(torch.isfinite(z0).all()):
        raise ShapeError("the query must hold finite floating-point numbers; it holds NaN, infinity or another type")
    # Geometry in half precision would not even keep the step size: float32 at least.
    dtype = torch.promote_types(network.dtype, torch.float32)
    return z0.detach().clone().reshape(-1).to(device=network.device, dtype=dtype)


def state_sha256(module: nn.Module) -> str:
    """Checksum of a module's parameters and buffers, by name, shape and value."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _name_of(generator: nn.Module) -> str:
    carried = getattr(generator, "zoo_name", None)
    return carried if isinstance(carried, str) else type(generator).__name__


def _seed_of(rng: torch.Generator | int) -> int:
    if isinstance(rng, torch.Generator):
        return int(torch.randint(2**62, (), generator=rng))
    if isinstance(rng, bool) or not isinstance(rng, int) or not 0 <= rng < 2**63:
        raise ConfigError(f"got rng={rng!r}; expected a CPU torch.Generator, or a seed from 0 to 2**63 - 1")
    return rng


def _latent_of(generator: nn.Module, z0: Tensor) -> LatentSpace:
    carried = getattr(generator, "latent", None)
    return carried if isinstance(carried, LatentSpace) else LatentSpace(shape=tuple(z0.shape))


_WELL_REACHED = 0.1  # share of the tested candidates that must leave the region for it to shape the tree


def _warnings(
    query: Tensor, latent: LatentSpace, found: BerOptResult, tree: Tree, certificate: Certificate
) -> tuple[str, ...]:
    messages = []
    if not bool(latent.contains(query[None])):
        messages.append("The query lies outside the support of the latent prior; its image may mean nothing.")
    if found.status is not BerOptStatus.CONVERGED:
        messages.append(f"BerOpt: {found.status.value}.")
    if tree.status is GbRrtStatus.NOTHING_ACCEPTED:
        messages.append(f"GB-RRT: {tree.status.value} (now {tree.step_size:.3g}).")
    outside = int((tree.rejected_reason == 1).sum())
    if outside < _WELL_REACHED * (outside + len(tree.latents) - 1):
        messages.append(
            "The tree hardly met the region's boundaries: half-width or iterations shape the samples, not the region. "
            "Raise the half-width, the step size or the iterations."
        )
    if certificate.dtype != "float64":
        messages.append(f"The network does not compute in float64: the certificate is one in {certificate.dtype} only.")
    if not certificate.is_valid:
        n_outside = certificate.n_samples - certificate.n_inside
        messages.append(f"{n_outside} samples lie outside the region in float64; run the network in float64.")
    return tuple(messages)


class _Clock:
    """Seconds of each stage, and the progress callback with the stage's name in front."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    def stage(self, name: str) -> "_Stage":
        return _Stage(self.seconds, name)

    def progress(self, name: str) -> Callable[[int, int, str], None] | None:
        progress = self._progress
        return None if progress is None else lambda done, total, text: progress(name, done, total, text)


@dataclass
class _Stage:
    seconds: dict[str, float]
    name: str
    start: float = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.perf_counter() - self.start
