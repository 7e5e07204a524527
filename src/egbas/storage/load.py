# SPDX-License-Identifier: MIT
"""Read a run directory back into the exploration it was made of."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus
from egbas.errors import ConfigError, RunDirectoryError
from egbas.exploration.certainty import Agreement, Certainty
from egbas.exploration.facts import Distance, Facts, Within
from egbas.exploration.judges import Score
from egbas.exploration.problem import precisions_of
from egbas.exploration.record import state_sha256
from egbas.exploration.result import Exploration
from egbas.exploration.source import KEYS as SOURCE_KEYS
from egbas.exploration.source import Source
from egbas.geometry import geometry_around
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.network import Layer, Network
from egbas.network.boundary import Boundary
from egbas.network.classified import Classified
from egbas.network.given import network_of
from egbas.region import Certificate, DecisionRegion, Intersection, Region, SupportingRegion
from egbas.samplers.chains import Chains
from egbas.samplers.contract import Samples
from egbas.samplers.diagnostics import Diagnostics
from egbas.samplers.exact import ExactConfig
from egbas.samplers.gbrrt import GbRrtStatus, Tree
from egbas.samplers.mass import Mass
from egbas.storage.checks import check_contents, check_layer, check_network, check_run
from egbas.storage.contents import Contents, read_contents, reading, refuse
from egbas.storage.destination import BOUNDARY, CONFIG, METRICS, SAMPLES, check_finished
from egbas.storage.reopen import reopened


@alone
def load_run(
    path: str | os.PathLike[str],
    generator: nn.Module | None = None,
    *,
    region: Region | None = None,
    latent: LatentSpace | None = None,
    allow_code: bool = False,
) -> Exploration:
    """Read a run directory back into the exploration it was made of.

    Args:
        path: of the directory.
        generator: the network of the run, in eval mode; None finds it by the name that the run has: in the zoo, as a
            checkpoint file, or as ``module:callable`` where the module lies in the current directory.
        region: of a run that explored a region of the user's own; None for all others.
        latent: the latent space of a run whose prior cannot be written down; others may have theirs given.
        allow_code: whether a ``module:callable`` that the run names may be imported from anywhere. It runs code:
            allow it for runs of your own only.

    Raises:
        RunDirectoryError: the directory is unfinished, damaged, or of another network.
        ModelNotFoundError: the run's model is not there any more, or may not be imported, and no generator was given.
        ConfigError: the run's region or latent space is needed, or another was given.
    """
    directory = Path(path).expanduser()
    check_finished(directory)
    contents = read_contents(directory)
    check_contents(contents)
    _check_region(contents.config, region)
    if generator is None:
        generator = reopened(contents.config, directory, allow_code=allow_code, inputs=contents.inputs)
    run = _rebuild(contents, network_of(generator), region, latent)
    check_run(contents, run)
    return run


def reload_run(path: str | os.PathLike[str], network: Network, latent: LatentSpace) -> Exploration:
    """Read a run directory back for the network that it was made with, which is at hand.

    Args:
        path: of the directory.
        network: with the output and the inputs of the run; splits that ``keep_splits`` keeps are taken.
        latent: the latent space.

    Raises:
        RunDirectoryError, ConfigError: as ``load_run`` does.
    """
    directory = Path(path)
    check_finished(directory)
    contents = read_contents(directory)
    check_contents(contents)
    run = _rebuild(contents, network, None, latent)
    check_run(contents, run)
    return run


def _check_region(config: dict[str, Any], region: Region | None) -> None:
    if _decision_told(config) and region is None:
        return
    if config["layer"] is None and region is None:
        kind = config["region"]["kind"]
        raise ConfigError(f"the run explored a region of its user's own ({kind}); pass it: load_run(path, region=...)")
    if config["layer"] is not None and region is not None:
        raise ConfigError("the run explored the region of a layer, which its files hold; leave region= out")


def _rebuild(
    contents: Contents, given: nn.Module | Network, region: Region | None, latent: LatentSpace | None
) -> Exploration:
    generator = given.generator if isinstance(given, Network) else given
    config, metrics, file = contents.config, contents.metrics, contents.directory / CONFIG
    checksum = state_sha256(generator)
    if checksum != config["model"]["sha256"]:
        raise RunDirectoryError(
            f"the run was made with other weights of {config['model']['name']} "
            f"(sha256 {config['model']['sha256'][:12]}..., now {checksum[:12]}...): the file has changed since, or "
            "the callable draws its weights anew; pass the network of the run as generator="
        )
    latent = _latent_of(contents, latent)
    with reading(file):
        boundary = Boundary.of(config.get("boundary"), latent)
    if "thresholds" in contents.boundary:
        boundary = boundary.knowing(config["layer"]["path"], contents.boundary["thresholds"])
    network = (
        given
        if isinstance(given, Network)
        else Network(
            generator,
            latent.shape,
            output=config.get("output"),
            inputs=None if isinstance(generator, Classified) else contents.inputs,  # a joined generator has them
            boundary=boundary,
        )
    )
    check_network(contents, network)
    layer, beropt = None, None
    if contents.has_layer:
        with reading(file):
            layer = network.resolve(config["layer"]["path"])
            check_layer(contents, layer)
            beropt = beropt_result(config["beropt"], metrics, contents.boundary)
        with reading(contents.directory / BOUNDARY):
            region = _supporting_region(contents, network, layer, latent)
    if _decision_told(config):
        region = _decision_region(contents, generator, region, latent)
    assert region is not None  # one of both, as was checked
    with reading(file):
        exact_config = None if config.get("exact") is None else ExactConfig(**config["exact"])
        within = _within(config.get("delta"))
    with reading(contents.directory / METRICS):
        facts = _facts(contents)
    return Exploration(
        network=network,
        model_name=config["model"]["name"],
        latent=latent,
        layer=layer,
        query=contents.samples["query"],
        seed=config["seed"],
        beropt=beropt,
        held=config.get("hold"),
        region=region,
        focus=contents.boundary["focus"] != 0 if "focus" in contents.boundary else None,
        judges=tuple(config.get("judges") or ()),
        features=config.get("features"),
        within=within,
        exact_config=exact_config,
        samples={name: _drawn(contents, name) for name in contents.samplers},
        certificates={name: _certificate(told["certificate"]) for name, told in contents.samplers.items()},
        facts=facts,
        mass=_mass(contents),
        seconds=metrics["seconds"],
        warnings=tuple(metrics["warnings"]),
        certainty=_certainty(contents),
        source=_source(contents),
    )


def _source(contents: Contents) -> Source | None:
    told = contents.config.get("source")
    if told is None:
        return None
    if "source" not in contents.samples:
        refuse(contents.directory / SAMPLES, "source", "missing", f"the image that {CONFIG} tells of")
    return Source(image=contents.samples["source"], **{name: told.get(name) for name in SOURCE_KEYS})


def _within(told: dict[str, Any] | None) -> Within | None:
    if told is None:
        return None
    reached = {int(level): far for level, far in told["reached"].items()}
    return Within(delta=told["delta"], level=told["level"], reached=reached, unconverged=tuple(told["unconverged"]))


def _latent_of(contents: Contents, given: LatentSpace | None) -> LatentSpace:
    """The latent space of a run, with the geometry that the run had; the record tells whether the given one is it."""
    record = contents.config["latent"]
    if given is None:
        with reading(contents.directory / CONFIG, passing=ConfigError):
            return LatentSpace.from_record(record)
    geometry = record.get("geometry", "flat")
    space = LatentSpace.of(given)
    space = space if space.geometry == geometry else replace(space, geometry=geometry)
    told = json.loads(json.dumps(space.record()))  # as it is when it is read: JSON has lists only
    if any(told.get(name) != value for name, value in record.items()):
        prior = record.get("prior", "normal")
        raise ConfigError(f"the run had another latent space ({prior}) than the one given ({told['prior']})")
    return space


def _supporting_region(contents: Contents, network: Network, layer: Layer, latent: LatentSpace) -> SupportingRegion:
    query, gbrrt = contents.samples["query"].to(network.device), contents.config["gbrrt"] or {}
    reach = geometry_around(latent, query).reach(max(gbrrt.get("half_width", 0.0), latent.largest_half_width))
    units, signs = contents.boundary["units"], contents.boundary["signs"]
    precisions = precisions_of(network, layer.path, contents.config.get("hold"))
    return SupportingRegion.of(precisions, query, units, signs, reach=reach)  # as egbas.explore had it


def _decision_told(config: dict[str, Any]) -> bool:
    """Whether the files tell a decision region, which needs nothing else: the run's own network has the logits."""
    return config.get("class") is not None and config.get("classifier") is not None


def _decision_region(contents: Contents, generator: nn.Module, region: Region | None, latent: LatentSpace) -> Region:
    """The decision region of a run, or what it has in common with that of a layer."""
    if isinstance(region, DecisionRegion):  # the user's own, as the run had it
        return region
    file, target, query = contents.directory / CONFIG, contents.config["class"], contents.samples["query"]
    with reading(file):
        decision = DecisionRegion(generator, target, latent=latent)
    if not bool(decision.contains(query[None].to(decision.split.device))):
        found = DecisionRegion.holding(generator, query, latent=latent).target_class
        refuse(file, "class", f"{target}: the query lies outside the decision region of class {target}", str(found))
    return decision if region is None else Intersection([region, decision])


def _drawn(contents: Contents, name: str) -> Samples:
    """What a sampler drew."""
    told = contents.samplers[name]
    if told["kind"] == "tree":
        return _tree(contents)
    _, prefix, tensors = contents.drawn(name)
    known: dict[str, Any] = {key: told[key] for key in ("status", "sentence", "evaluations", "facts")}
    known["latents"] = tensors[f"{prefix}latents"]
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
    return Chains(**known, chain=tensors[f"{prefix}chain"], diagnostics=diagnostics)


def _mass(contents: Contents) -> Mass | None:
    region = contents.metrics.get("region")
    if region is None or region.get("log10_mass") is None:
        return None
    low = region["log10_mass_low"]
    return Mass(
        log10=region["log10_mass"],
        low=-math.inf if low is None else low,
        high=region["log10_mass_high"],
        is_complete=low is not None,
        evaluations=region["mass_evaluations"],
        latents=contents.samples["query"][None][:0],  # where chains may start is not stored
        repetition=torch.zeros(0, dtype=torch.long),
    )


def _facts(contents: Contents) -> Facts | None:
    region = contents.metrics.get("region")
    if region is None or region["freedom"] is None:
        return None
    features = region.get("feature_distance")
    return Facts(
        freedom=contents.exact["freedom"],
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


def _certainty(contents: Contents) -> Certainty | None:
    told = contents.metrics.get("certainty")
    if told is None:
        return None
    frequency, agreement = contents.boundary["frequency"], told.get("agreement")
    return Certainty(
        rows=tuple(told["rows"]),
        frequency=frequency,
        core=(frequency == 1).nonzero()[:, 0],
        jaccard=told["jaccard"],
        jaccard_chance=told["jaccard_chance"],
        agreement=None if agreement is None else Agreement(freedom=contents.exact["freedom_over_sets"], **agreement),
    )


def _tree(contents: Contents) -> Tree:
    metrics, tensors = contents.metrics, contents.samples
    status = GbRrtStatus[metrics["gbrrt_status"]]
    return Tree(
        latents=tensors["latents"],
        parents=tensors["parents"],
        rejected=tensors["rejected"],
        rejected_reason=tensors["rejected_reason"],
        evaluations=metrics["head_evaluations"],
        rounds=metrics["head_rounds"],
        step_size=contents.config["gbrrt"]["step_size"],
        half_width=contents.config["gbrrt"]["half_width"],
        status=status,
        sentence=status.sentence,
    )


def _certificate(told: dict[str, Any]) -> Certificate:
    return Certificate(**{name: told[name] for name in ("n_samples", "n_inside", "smallest_margin", "dtype")})


def beropt_result(settings: dict[str, Any], metrics: dict[str, Any], tensors: dict[str, Tensor]) -> BerOptResult:
    """What BerOpt found, as ``config.json``, ``metrics.json`` and ``boundary.safetensors`` hold it."""
    temperatures: dict[str, Any] = {"temperatures": tuple(settings["temperatures"])}  # JSON has lists only
    return BerOptResult(
        **{name: tensors[name] for name in ("theta", "units", "signs", "losses", "sizes")},
        **{name: metrics[name] for name in ("fidelity", "sampled_fidelity", "polarisation")},
        status=BerOptStatus[metrics["beropt_status"]],
        config=BerOptConfig(**(settings | temperatures)),
    )
