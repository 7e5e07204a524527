# SPDX-License-Identifier: MIT
"""Read a run directory back into the exploration it was made of."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from egbas.beropt import BerOptConfig, BerOptResult, BerOptStatus
from egbas.errors import CheckpointError, EgbasError, ModelNotFoundError, RunDirectoryError
from egbas.exploration.result import Exploration, state_sha256
from egbas.geometry import geometry_around
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.region import Certificate, SupportingRegion
from egbas.samplers.gbrrt import GbRrtStatus, Tree
from egbas.storage.place import BOUNDARY, CONFIG, DONE, METRICS, SAMPLES
from egbas.zoo.models import load_model


def load_run(path: str | os.PathLike[str], generator: nn.Module | None = None) -> Exploration:
    """Read a run directory back into the exploration it was made of.

    Args:
        path: of the directory.
        generator: the network of the run, in eval mode; None finds it in the zoo by its name.

    Raises:
        RunDirectoryError: the directory is unfinished, damaged, or of another network.
        ModelNotFoundError: the run's model is not in the zoo and no generator was given.
    """
    place = Path(path).expanduser()
    if not (place / DONE).is_file():
        what = "holds an unfinished run" if place.is_dir() else "is no directory"
        raise RunDirectoryError(f"{place} {what}; expected one with a file {DONE} that 'egbas explore' wrote")
    try:
        config, metrics = (json.loads((place / name).read_text()) for name in (CONFIG, METRICS))
        tensors = load_tensors((place / BOUNDARY).read_bytes()) | load_tensors((place / SAMPLES).read_bytes())
        return _rebuild(config, metrics, tensors, generator)
    except (OSError, ValueError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, EgbasError):
            raise
        raise RunDirectoryError(
            f"{place} is damaged or comes from another version ({type(error).__name__}: {error}); run it again"
        ) from error


def _rebuild(
    config: dict[str, Any], metrics: dict[str, Any], tensors: dict[str, Tensor], generator: nn.Module | None
) -> Exploration:
    generator = generator if generator is not None else _zoo_generator(config["model"]["name"])
    found = state_sha256(generator)
    if found != config["model"]["sha256"]:
        raise RunDirectoryError(
            f"the run was made with other weights of {config['model']['name']} "
            f"(sha256 {config['model']['sha256'][:12]}..., now {found[:12]}...); pass the network of "
            "the run as generator="
        )
    latent = LatentSpace.from_record(config["latent"])
    network = Network(generator, latent.shape)
    layer = network.resolve(config["layer"]["path"])
    _check_shapes(tensors, latent.size, layer.units)
    query, gbrrt = tensors["query"].to(network.device), config["gbrrt"]
    space = geometry_around(latent, query)
    reach = space.reach(max(gbrrt["half_width"], latent.largest_half_width))  # as egbas.explore had it
    certificate = {name: value for name, value in metrics["certificate"].items() if name != "is_valid"}
    return Exploration(
        network=network,
        model_name=config["model"]["name"],
        latent=latent,
        layer=layer,
        query=tensors["query"],
        seed=config["seed"],
        beropt=_beropt_result(config["beropt"], metrics, tensors),
        region=SupportingRegion.around(network, layer, query, tensors["units"], tensors["signs"], reach=reach),
        tree=Tree(
            latents=tensors["latents"],
            parents=tensors["parents"],
            rejected=tensors["rejected"],
            rejected_reason=tensors["rejected_reason"],
            evaluations=metrics["head_evaluations"],
            rounds=metrics["head_rounds"],
            step_size=gbrrt["step_size"],
            half_width=gbrrt["half_width"],
            status=GbRrtStatus[metrics["gbrrt_status"]],
            sentence=GbRrtStatus[metrics["gbrrt_status"]].sentence,
        ),
        certificate=Certificate(**certificate),
        seconds=metrics["seconds"],
        warnings=tuple(metrics["warnings"]),
    )


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


def _check_shapes(tensors: dict[str, Tensor], d: int, n_units: int) -> None:
    """Compare the tensors of a run with each other and with the network."""
    n, k, r = len(tensors["latents"]), len(tensors["units"]), len(tensors["rejected"])
    expected = {
        "query": (d,),
        "latents": (n, d),
        "parents": (n,),
        "rejected": (r, d),
        "rejected_reason": (r,),
        "theta": (n_units,),
        "units": (k,),
        "signs": (k,),
    }
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise RunDirectoryError(
                f"{name} of the run is damaged: shape {tuple(tensors[name].shape)}, expected {shape}; run it again"
            )
    units = tensors["units"]
    if k and not (0 <= int(units.min()) and int(units.max()) < n_units):
        raise RunDirectoryError(f"units of the run are damaged: outside the layer's 0..{n_units - 1}; run it again")
