# SPDX-License-Identifier: MIT
"""An exploration as records for JSON: its numbers (``metrics.json``) and what repeats it (``config.json``)."""

import dataclasses
import hashlib
import platform
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.network import Layer, Network, kinds
from egbas.network.classified import Classified, maker_of
from egbas.network.decoder import Decoder
from egbas.samplers.chains import Chains
from egbas.samplers.choice import PRIOR
from egbas.samplers.contract import Samples
from egbas.samplers.gbrrt import OUTSIDE, Tree
from egbas.version import __version__

if TYPE_CHECKING:
    from egbas.beropt import BerOptResult
    from egbas.exploration.result import Exploration

_N_FIXED, _N_VALUES = 2, 256  # latents, and values of an image


def metrics_of(run: "Exploration") -> dict[str, Any]:
    """The numbers of a run. What belongs to a tree or to BerOpt is there where these are."""
    certificate, groups = run.certificate, run.groups
    return {
        **({} if run.tree is None else _of_tree(run.tree)),
        **({} if run.layer is None else {"units": run.layer.units}),
        **({} if run.beropt is None else beropt_record(run.beropt)),
        **({} if groups is None else {"supporting_groups": groups[0], "groups": groups[1]}),
        "certificate": {**dataclasses.asdict(certificate), "is_valid": certificate.is_valid},
        **({} if run.edges_inside is None else {"edges_inside": run.edges_inside}),
        "left_support": sum(int((~run.latent.contains(one.latents)).sum()) for one in run.samples.values()),
        "samplers": {
            name: {
                "kind": kind_of(one),
                "status": str(one.status),
                "sentence": one.sentence,
                "samples": len(one.drawn),
                "evaluations": one.evaluations,
                "facts": dict(one.facts),
                "certificate": dataclasses.asdict(run.certificates[name]),
            }
            for name, one in run.samples.items()
        },
        **({} if run.exact is None else {"region": _of_region(run, run.exact)}),
        **({} if run.certainty is None else {"certainty": run.certainty.record()}),
        "weights": run.network.weights[""].record(),
        "seconds": run.seconds,
        "warnings": list(run.warnings),
    }


def config_of(run: "Exploration") -> dict[str, Any]:
    """Everything needed to repeat a run."""
    return {
        "model": {"name": run.model_name, "sha256": state_sha256(run.generator), **choices_of(run.generator)},
        "classifier": _classifier(run),
        "latent": run.latent.record(),
        "output": run.network.output,
        "inputs": run.network.beside.record(),
        "layer": None if run.layer is None else _layer(run.layer),
        "hold": run.held,
        "boundary": None if run.layer is None else str(run.network.boundary),
        "image": image_record(run.network),
        "decoder": decoder_record(run.generator),
        "region": None if run.layer is not None else {"kind": type(run.region).__name__},
        "class": None if run.decision is None else run.decision.target_class,
        "query": run.query.tolist(),
        "source": None if run.source is None else run.source.record(),
        "seed": run.seed,
        "repeats": 1 if run.certainty is None else run.certainty.repeats,
        "level": run.level,
        "focus": None if run.focus is None else box_of(run.focus),
        "judges": list(run.judges),
        "features": run.features,
        "delta": None if run.within is None else dataclasses.asdict(run.within),
        "beropt": None if run.beropt is None else dataclasses.asdict(run.beropt.config),
        "gbrrt": None if run.tree is None else _gbrrt(run.tree),
        "samplers": list(run.samples),
        "exact": None if run.exact_config is None else dataclasses.asdict(run.exact_config),
        "dtype": str(run.network.dtype).removeprefix("torch."),
        "device": str(run.network.device),
        "threads": torch.get_num_threads(),
        "versions": {
            "egbas": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def choices_of(generator: nn.Module) -> dict[str, str]:
    """What had to be said for a checkpoint file to be read, such as the key of a network in it; mostly nothing."""
    carried = getattr(maker_of(generator), "zoo_choices", None)
    return dict(carried) if isinstance(carried, dict) else {}


def _layer(layer: Layer) -> dict[str, Any]:
    """What names a layer, and its size."""
    return {name: value for name, value in dataclasses.asdict(layer).items() if name not in ("past", "channels_last")}


def decoder_record(generator: nn.Module) -> dict[str, Any] | None:
    """What whitens the latents of a decoder, and their scale and shift; None of other generators."""
    maker = maker_of(generator)
    return maker.record() if isinstance(maker, Decoder) else None


def image_record(network: Network) -> dict[str, Any]:
    """What an output is taken for, and which of its values are black and white."""
    shape, known = tuple(network.image_shape), network.image_range
    return {"shape": list(shape), "kind": kinds.kind_of(shape), "range": None if known is None else known.record()}


def _classifier(run: "Exploration") -> dict[str, Any] | None:
    """What judges the images, by its name; None where nothing does."""
    if not isinstance(run.generator, Classified):
        return None
    return {"name": run.generator.classifier_name, "output": run.generator.output}


def kind_of(samples: Samples) -> str:
    """What samples are, as a word that ``load_run`` reads back."""
    return "tree" if isinstance(samples, Tree) else "chains" if isinstance(samples, Chains) else "samples"


def state_sha256(module: nn.Module) -> str:
    """Checksum of a module's parameters and buffers, by name, shape and value."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def outputs_of(network: Network, query: Float[Tensor, " d"]) -> Float[Tensor, "p k"]:
    """Some values of the images of the query and of fixed latents, on the CPU: what a network does, beside its weights.

    Weights that a module keeps in a plain list are in no ``state_dict``, and in no checksum of one.
    """
    rng = torch.Generator().manual_seed(0)
    fixed = torch.randn(_N_FIXED, len(query), generator=rng, dtype=torch.float32)
    images = network.generate(torch.cat([query.cpu().float()[None], fixed])).flatten(1).float().cpu()
    n = images.shape[1]
    return images[:, torch.arange(min(n, _N_VALUES)) * n // min(n, _N_VALUES)]


def _of_tree(tree: Tree) -> dict[str, Any]:
    outside = int((tree.rejected_reason == OUTSIDE).sum())
    return {
        "samples": len(tree.latents),
        "iterations": tree.iterations,
        "rejected_outside": outside,
        "rejected_too_close": len(tree.rejected) - outside,
        "acceptance": tree.acceptance,
        "gbrrt_status": str(tree.status),
        "head_evaluations": tree.evaluations,
        "head_rounds": tree.rounds,
    }


def beropt_record(beropt: "BerOptResult") -> dict[str, Any]:
    """The numbers of a supporting set."""
    return {
        "supporting_units": len(beropt.units),
        "fidelity": beropt.fidelity,
        "sampled_fidelity": beropt.sampled_fidelity,
        "polarisation": beropt.polarisation,
        "beropt_status": beropt.status.name,
        "beropt_steps": beropt.steps,
    }


def _of_region(run: "Exploration", chains: Chains) -> dict[str, Any]:
    """What exact samples say of the region; None for what is not known."""
    facts, mass = run.facts, run.mass
    return {
        "sampler": PRIOR,
        "status": chains.status,
        "r_hat": chains.facts["r_hat"],
        "ess": chains.facts["ess"],
        "evaluations": chains.evaluations,
        "log10_mass": None if mass is None else mass.log10,
        "log10_mass_low": None if mass is None or not mass.is_complete else mass.low,
        "log10_mass_high": None if mass is None else mass.high,
        "mass_evaluations": None if mass is None else mass.evaluations,
        "freedom": None if facts is None else facts.mean,
        "freedom_low": None if facts is None else facts.low,
        "freedom_high": None if facts is None else facts.high,
        "distance": None if facts is None else dataclasses.asdict(facts.distance),
        "prior_deviation": None if facts is None else facts.prior_deviation,
        "words": None if facts is None else facts.words,
        "judges": {} if facts is None else {name: dataclasses.asdict(score) for name, score in facts.scores.items()},
        "focus": None if facts is None or facts.focus is None else list(facts.focus),
        "feature_distance": (
            None if facts is None or facts.feature_distance is None else dataclasses.asdict(facts.feature_distance)
        ),
    }


def box_of(focus: Tensor) -> list[int]:
    """The smallest box (x0, y0, x1, y1) around a focus; the pixels themselves lie in boundary.safetensors."""
    rows, columns = focus.any(dim=1).nonzero()[:, 0], focus.any(dim=0).nonzero()[:, 0]
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _gbrrt(tree: Tree) -> dict[str, Any]:
    return {"iterations": tree.iterations, "step_size": tree.step_size, "half_width": tree.half_width}
