# SPDX-License-Identifier: MIT
"""Read a run directory back into the exploration it was made of."""

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus
from egbas.errors import CheckpointError, ConfigError, EgbasError, ModelNotFoundError, RunDirectoryError
from egbas.exploration.facts import Distance, Facts
from egbas.exploration.judges import Score
from egbas.exploration.record import state_sha256
from egbas.exploration.result import Exploration
from egbas.geometry import geometry_around
from egbas.latent import LatentSpace
from egbas.network import Layer, Network
from egbas.region import Certificate, Region, SupportingRegion
from egbas.samplers.chains import Chains
from egbas.samplers.choice import TREE
from egbas.samplers.contract import Samples, checked
from egbas.samplers.diagnostics import Diagnostics
from egbas.samplers.exact import ExactConfig
from egbas.samplers.gbrrt import GbRrtStatus, Tree
from egbas.samplers.mass import Mass
from egbas.storage.destination import BOUNDARY, CONFIG, DONE, METRICS, REGION, SAMPLES
from egbas.zoo.models import load_model


def load_run(
    path: str | os.PathLike[str],
    generator: nn.Module | None = None,
    *,
    region: Region | None = None,
    latent: LatentSpace | None = None,
) -> Exploration:
    """Read a run directory back into the exploration it was made of.

    Args:
        path: of the directory.
        generator: the network of the run, in eval mode; None finds it in the zoo by its name.
        region: of a run that explored a region of the user's own; None for all others.
        latent: the latent space of a run whose prior cannot be written down; others may have theirs given.

    Raises:
        RunDirectoryError: the directory is unfinished, damaged, or of another network.
        ModelNotFoundError: the run's model is not in the zoo and no generator was given.
        ConfigError: the run's region or latent space is needed, or another was given.
    """
    directory = Path(path).expanduser()
    if not (directory / DONE).is_file():
        what = "holds an unfinished run" if directory.is_dir() else "is no directory"
        raise RunDirectoryError(f"{directory} {what}; expected one with a file {DONE} that 'egbas explore' wrote")
    try:
        config, metrics = (json.loads((directory / name).read_text()) for name in (CONFIG, METRICS))
        tensors = load_tensors((directory / SAMPLES).read_bytes())
        if config["layer"] is not None:
            tensors |= load_tensors((directory / BOUNDARY).read_bytes())
        if "region" in metrics:
            exact = load_tensors((directory / REGION).read_bytes())
            tensors |= {f"{metrics['region']['sampler']}/{name}": value for name, value in exact.items()}
        _check_region(config, region)
        return _rebuild(_Record(config=config, metrics=metrics, tensors=tensors), generator, region, latent)
    except (OSError, ValueError, SafetensorError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, EgbasError):
            raise
        raise RunDirectoryError(
            f"{directory} is damaged or comes from another version ({type(error).__name__}: {error}); run it again"
        ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Record:
    """What the files of a run directory hold."""

    config: dict[str, Any]
    metrics: dict[str, Any]
    tensors: dict[str, Tensor]


def _check_region(config: dict[str, Any], region: Region | None) -> None:
    if config["layer"] is None and region is None:
        kind = config["region"]["kind"]
        raise ConfigError(f"the run explored a region of its user's own ({kind}); pass it: load_run(path, region=...)")
    if config["layer"] is not None and region is not None:
        raise ConfigError("the run explored the region of a layer, which its files hold; leave region= out")


def _rebuild(
    record: _Record, generator: nn.Module | None, region: Region | None, latent: LatentSpace | None
) -> Exploration:
    config, metrics, tensors = record.config, record.metrics, record.tensors
    generator = generator if generator is not None else _zoo_generator(config["model"]["name"])
    checksum = state_sha256(generator)
    if checksum != config["model"]["sha256"]:
        raise RunDirectoryError(
            f"the run was made with other weights of {config['model']['name']} "
            f"(sha256 {config['model']['sha256'][:12]}..., now {checksum[:12]}...); pass the network of "
            "the run as generator="
        )
    latent = _latent_of(config["latent"], latent)
    network = Network(generator, latent.shape)
    layer = None if config["layer"] is None else network.resolve(config["layer"]["path"])
    samples = _samples(record)
    _check_samples(tensors, samples, latent.size)
    if layer is not None:
        _check_boundary(tensors, layer.units)
        region = _supporting_region(record, network, layer, latent)
    assert region is not None  # one of both, as was checked
    return Exploration(
        network=network,
        model_name=config["model"]["name"],
        latent=latent,
        layer=layer,
        query=tensors["query"],
        seed=config["seed"],
        beropt=None if layer is None else _beropt_result(config["beropt"], metrics, tensors),
        region=region,
        focus=tensors["focus"] != 0 if "focus" in tensors else None,
        exact_config=None if config.get("exact") is None else ExactConfig(**config["exact"]),
        samples=samples,
        certificates=_certificates(metrics, samples),
        facts=_facts(record),
        mass=_mass(record),
        seconds=metrics["seconds"],
        warnings=tuple(metrics["warnings"]),
    )


def _latent_of(record: dict[str, Any], given: LatentSpace | None) -> LatentSpace:
    """The latent space of a run, with the geometry that the run had; the record tells whether the given one is it."""
    if given is None:
        return LatentSpace.from_record(record)
    geometry = record.get("geometry", "flat")
    space = LatentSpace.of(given)
    space = space if space.geometry == geometry else replace(space, geometry=geometry)
    told = json.loads(json.dumps(space.record()))  # as it is when it is read: JSON has lists only
    if any(told.get(name) != value for name, value in record.items()):
        raise ConfigError(f"the run had another latent space ({record['prior']}) than the one given ({told['prior']})")
    return space


def _supporting_region(record: _Record, network: Network, layer: Layer, latent: LatentSpace) -> SupportingRegion:
    query, gbrrt = record.tensors["query"].to(network.device), record.config["gbrrt"] or {}
    reach = geometry_around(latent, query).reach(max(gbrrt.get("half_width", 0.0), latent.largest_half_width))
    units, signs = record.tensors["units"], record.tensors["signs"]
    return SupportingRegion.around(network, layer, query, units, signs, reach=reach)  # as egbas.explore had it


def _samples(record: _Record) -> dict[str, Samples]:
    """What each sampler drew; runs of version 0.1.0 have a tree alone."""
    kinds: dict[str, Any] = record.metrics.get("samplers", {TREE: {"kind": "tree"}})
    return {
        name: _tree(record) if told["kind"] == "tree" else _drawn(record.tensors, name, told)
        for name, told in kinds.items()
    }


def _drawn(tensors: dict[str, Tensor], name: str, told: dict[str, Any]) -> Samples:
    """Samples that are no tree, as ``metrics.json`` tells of them."""
    known: dict[str, Any] = {key: told[key] for key in ("status", "sentence", "evaluations", "facts")}
    known["latents"] = tensors[f"{name}/latents"]
    if told["kind"] != "chains":
        return Samples(**known)
    facts = told["facts"]
    diagnostics = Diagnostics(
        r_hat=math.inf if facts["r_hat"] is None else facts["r_hat"],
        ess=facts["ess"],
        worst=facts["slowest"],
        n_chains=facts["chains"],
        n_draws=facts["draws_looked_at"],
    )
    return Chains(**known, chain=tensors[f"{name}/chain"], diagnostics=diagnostics)


def _mass(record: _Record) -> Mass | None:
    region = record.metrics.get("region")
    if region is None or region.get("log10_mass") is None:
        return None
    low = region["log10_mass_low"]
    return Mass(
        log10=region["log10_mass"],
        low=-math.inf if low is None else low,
        high=region["log10_mass_high"],
        is_complete=low is not None,
        evaluations=region["mass_evaluations"],
        latents=record.tensors["query"][None][:0],  # where chains may start is not stored
    )


def _facts(record: _Record) -> Facts | None:
    region = record.metrics.get("region")
    if region is None or region["freedom"] is None:
        return None
    features = region.get("feature_distance")
    return Facts(
        freedom=record.tensors[f"{region['sampler']}/freedom"],
        mean=region["freedom"],
        low=region["freedom_low"],
        high=region["freedom_high"],
        distance=Distance(**region["distance"]),
        prior_deviation=region["prior_deviation"],
        scores={name: Score(**told) for name, told in region.get("judges", {}).items()},
        focus=None if region.get("focus") is None else tuple(region["focus"]),
        feature_distance=None if features is None else Distance(**features),
        words=region.get("words") or "",
    )


def _tree(record: _Record) -> Tree:
    metrics, tensors = record.metrics, record.tensors
    status = GbRrtStatus[metrics["gbrrt_status"]]
    return Tree(
        latents=tensors["latents"],
        parents=tensors["parents"],
        rejected=tensors["rejected"],
        rejected_reason=tensors["rejected_reason"],
        evaluations=metrics["head_evaluations"],
        rounds=metrics["head_rounds"],
        step_size=record.config["gbrrt"]["step_size"],
        half_width=record.config["gbrrt"]["half_width"],
        status=status,
        sentence=status.sentence,
    )


def _certificates(metrics: dict[str, Any], samples: dict[str, Samples]) -> dict[str, Certificate]:
    if "samplers" in metrics:
        return {name: Certificate(**metrics["samplers"][name]["certificate"]) for name in samples}
    stored = {name: value for name, value in metrics["certificate"].items() if name != "is_valid"}
    return {TREE: Certificate(**stored)}


def _beropt_result(settings: dict[str, Any], metrics: dict[str, Any], tensors: dict[str, Tensor]) -> BerOptResult:
    temperatures: dict[str, Any] = {"temperatures": tuple(settings["temperatures"])}  # JSON has lists only
    return BerOptResult(
        **{name: tensors[name] for name in ("theta", "units", "signs", "losses", "sizes")},
        **{name: metrics[name] for name in ("fidelity", "sampled_fidelity", "polarisation")},
        status=BerOptStatus[metrics["beropt_status"]],
        config=BerOptConfig(**(settings | temperatures)),
    )


def _zoo_generator(name: str) -> nn.Module:
    try:
        return load_model(name).generator
    except (ModelNotFoundError, CheckpointError) as error:
        raise ModelNotFoundError(
            f"the run's model {name!r} is neither in the zoo nor a checkpoint to be read from here ({error}); load it "
            "and pass load_run(path, generator=...)"
        ) from error


def _check_samples(tensors: dict[str, Tensor], samples: dict[str, Samples], d: int) -> None:
    """Compare the samples of a run with each other and with the latent space."""
    expected: dict[str, tuple[int, ...]] = {"query": (d,)}
    if not samples:
        raise RunDirectoryError("the run is damaged: it names no samplers; run it again")
    for name, drawn in samples.items():
        checked(drawn, name, d)
        if isinstance(drawn, Tree):
            n, r = len(drawn.latents), len(drawn.rejected)
            expected |= {"latents": (n, d), "parents": (n,), "rejected": (r, d), "rejected_reason": (r,)}
        else:
            expected[f"{name}/latents"] = (len(drawn.latents), d)
            if isinstance(drawn, Chains):
                expected[f"{name}/chain"] = (len(drawn.latents),)
    _compare_shapes(tensors, expected)


def _check_boundary(tensors: dict[str, Tensor], n_units: int) -> None:
    """Compare the supporting set of a run with the network's layer."""
    units, k = tensors["units"], len(tensors["units"])
    _compare_shapes(tensors, {"theta": (n_units,), "units": (k,), "signs": (k,)})
    if k and not (0 <= int(units.min()) and int(units.max()) < n_units):
        raise RunDirectoryError(f"units of the run are damaged: outside the layer's 0..{n_units - 1}; run it again")


def _compare_shapes(tensors: dict[str, Tensor], expected: dict[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise RunDirectoryError(
                f"{name} of the run is damaged: shape {tuple(tensors[name].shape)}, expected {shape}; run it again"
            )
