# SPDX-License-Identifier: MIT
"""What the files of a run directory have to say alike, and what the run that is made of them has to say, too.

Whether the samples lie in the region is not computed again: that would take as long as their certificate did. Whether
the certificate fits them is.
"""

import json
import math
import reprlib
from pathlib import Path
from typing import Any

import torch

from egbas.errors import RunDirectoryError
from egbas.exploration.record import box_of, decoder_record, image_record, outputs_of
from egbas.exploration.result import Exploration
from egbas.network import Layer, Network
from egbas.network.images import close
from egbas.samplers.choice import PRIOR
from egbas.samplers.gbrrt import Tree
from egbas.storage import tables
from egbas.storage.contents import Contents, refuse
from egbas.storage.destination import BOUNDARY, CONFIG, METRICS, REGION, SAMPLES
from egbas.storage.expected import NUMBER, Wanted, check_json, check_tensors, join, list_of, one_of, shown

_IMAGE = (1, 1, 1)  # a shape of an image, where one is missing
_STRAY = 0.01  # of a step: an edge of a tree is as long as a step, up to rounding
# Another processor rounds otherwise, a GPU more so, and networks enlarge that: a thousandth of the largest, or 1 %.
_SLACK, _SLACK_OF_GPUS = 3.0, 30.0
_ULPS = 8  # of the largest coordinate, for the same
_FROM_CODE = ("left_support", "sentence")  # another version may count and word otherwise


def check_contents(contents: Contents) -> None:
    """Check the files of a run directory, each by itself and beside the others.

    Raises:
        RunDirectoryError: one is damaged.
    """
    _check_config(contents)
    _check_metrics(contents)
    if contents.has_tree:
        check_json(contents.directory / CONFIG, contents.config, tables.CONFIG_OF_TREE)
    if contents.has_layer:
        _check_boundary(contents)
    _check_query(contents)
    for name in contents.samplers:
        _check_samples(contents, name)


def check_network(contents: Contents, network: Network) -> None:
    """Check that a network of the run's weights does what the run's network did, where the run tells of it.

    Raises:
        RunDirectoryError: it makes other images of the same latents.
    """
    told = contents.samples.get("outputs")
    if told is None:  # of a version that did not store them
        return
    got = outputs_of(network, contents.samples["query"])
    is_cpu = contents.config["device"] == "cpu" == str(network.device)
    if not close(got, told.to(got.dtype), slack=_SLACK if is_cpu else _SLACK_OF_GPUS):
        raise RunDirectoryError(
            f"the run was made with another network than this {contents.config['model']['name']}: its parameters and "
            "buffers are those of the run, and its images are others; weights that it keeps elsewhere, such as in a "
            "list of tensors, or its code have changed: pass the network of the run as generator="
        )


def check_layer(contents: Contents, layer: Layer) -> None:
    """Check that the layer of the run's network is the one that its files tell of.

    Raises:
        RunDirectoryError: it is another.
    """
    told = {"layer": {"shape": list(layer.shape), "units": layer.units}}
    _check_told(contents.directory / CONFIG, contents.config, told)


def check_run(contents: Contents, run: Exploration) -> None:
    """Check the files beside the run that was made of them: what they say of its images, and what they say twice.

    Raises:
        RunDirectoryError: one is damaged.
    """
    config = {
        "gbrrt": None if run.tree is None else {"iterations": run.tree.iterations},
        "samplers": list(run.samples),
        "level": run.level,
        "judges": list(run.judges),
        "features": run.features,
        "output": run.network.output,
        "image": image_record(run.network),
        "decoder": decoder_record(run.generator),
        "hold": run.held,
        "boundary": None if run.layer is None else str(run.network.boundary),
        "class": None if run.decision is None else run.decision.target_class,
        "focus": None if run.focus is None else box_of(run.focus),
    }
    _check_told(contents.directory / CONFIG, contents.config, config)
    metrics = json.loads(json.dumps(run.metrics()))  # as they are when they are read: JSON has lists only
    _check_told(contents.directory / METRICS, contents.metrics, metrics)
    if run.tree is not None:
        _check_edges(contents.directory / SAMPLES, run, run.tree)
    image = dict(zip(tables.letters_of(run.query_image.ndim).split(), run.query_image.shape, strict=True))
    check_tensors(contents.directory / BOUNDARY, contents.boundary, tables.FOCUS, image)
    if run.source is not None:
        letters = tables.letters_of(run.query_image.ndim)
        check_tensors(contents.directory / SAMPLES, contents.samples, {"source": Wanted(letters)}, image)
    if run.facts is not None:
        check_tensors(contents.directory / REGION, contents.exact, tables.freedom_of(run.query_image.ndim), image)
    if run.certainty is not None and run.certainty.agreement is not None:
        check_tensors(
            contents.directory / REGION,
            contents.exact,
            tables.freedom_of(run.query_image.ndim, "freedom_over_sets"),
            image,
        )


def _check_config(contents: Contents) -> None:
    file, config = contents.directory / CONFIG, contents.config
    check_json(
        file,
        config,
        tables.CONFIG | (tables.CONFIG_OF_LAYER if config.get("region") is None else tables.CONFIG_OF_REGION),
    )
    check_json(file, config, {"query": list_of(NUMBER, math.prod(config["latent"]["shape"]))})


def _check_metrics(contents: Contents) -> None:
    file, metrics = contents.directory / METRICS, contents.metrics
    check_json(file, metrics, tables.METRICS | (tables.METRICS_OF_BEROPT if contents.has_layer else {}))
    check_json(file, metrics, {"samplers?": {"*": {"kind": one_of(tables.OF_KIND)}}})
    kinds = {name: told["kind"] for name, told in contents.samplers.items()}
    for name, told in (metrics.get("samplers") or {}).items():
        check_json(file, told, tables.OF_KIND[kinds[name]], join("samplers", name))
    if not kinds or list(kinds.values()).count("tree") > 1:
        refuse(file, "samplers", str(kinds), "one at least, and one tree at most")
    if contents.has_tree:
        check_json(file, metrics, tables.METRICS_OF_TREE)
    certainty = metrics.get("certainty")
    if certainty is not None:
        check_json(file, certainty, tables.CERTAINTY, "certainty")
        for row in certainty["rows"]:
            check_json(file, row, tables.REPEAT, "certainty.rows")
    region = metrics.get("region")
    if region is None:
        return
    check_json(file, region, {"sampler": one_of((PRIOR,))}, "region")
    if kinds.get(PRIOR) != "chains":
        refuse(file, join("samplers", PRIOR, "kind"), str(kinds.get(PRIOR)), "chains, of which 'region' tells")
    check_json(file, region, [] if region.get("log10_mass") is None else tables.MASS, "region")
    check_json(file, region, [] if region.get("freedom") is None else tables.FACTS, "region")


def _check_boundary(contents: Contents) -> None:
    file, tensors, config = contents.directory / BOUNDARY, contents.boundary, contents.config
    wanted = tables.BOUNDARY | tables.FOCUS | tables.THRESHOLDS
    wanted |= {} if contents.metrics.get("certainty") is None else tables.FREQUENCY
    check_tensors(file, tensors, wanted, {"units": config["layer"]["units"]})
    threshold = config["beropt"]["threshold"]
    kept = (tensors["theta"] > threshold).nonzero()[:, 0]
    if not torch.equal(tensors["units"], kept):
        refuse(file, "units", shown(tensors["units"]), f"those with theta above {threshold}, in order: {shown(kept)}")


def _check_query(contents: Contents) -> None:
    file, stored = contents.directory / SAMPLES, contents.config["query"]
    check_tensors(file, contents.samples, {"query": Wanted("d"), "outputs?": Wanted("p k")}, {"d": len(stored)})
    if contents.samples["query"].tolist() != stored:
        refuse(file, "query", shown(contents.samples["query"]), f"that of {CONFIG}, {reprlib.repr(stored)}")


def _check_samples(contents: Contents, name: str) -> None:
    told = contents.samplers[name]
    file, prefix, tensors = contents.drawn(name)
    table = dict(tables.TREE if told["kind"] == "tree" else {"latents": Wanted("n d")})
    if told["kind"] == "chains":
        table["chain"] = tables.chain_of(told["facts"]["chains"])
        if file.name == REGION and contents.metrics["region"].get("freedom") is not None:
            table |= tables.freedom_of(tensors["freedom"].ndim if "freedom" in tensors else 3)
    elif f"{name}/chain" in tensors:
        refuse(contents.directory / METRICS, f"samplers.{name}.kind", told["kind"], f"chains, for {file.name} has them")
    sizes = {"d": len(contents.config["query"])}
    check_tensors(file, tensors, {f"{prefix}{row}": wanted for row, wanted in table.items()}, sizes)
    if told["kind"] == "tree" and tensors["latents"][0].tolist() != contents.config["query"]:
        refuse(file, "the first of latents", shown(tensors["latents"][0]), f"the query: {shown(tensors['query'])}")
    _check_certificate(contents.directory / METRICS, name, told["certificate"], sizes["n"])


def _check_certificate(file: Path, name: str, told: dict[str, Any], n: int) -> None:
    """That a certificate is one of so many samples, and that its numbers can be true."""
    inside, margin = told["n_inside"], told["smallest_margin"]
    is_whole = told["n_samples"] == n and inside <= n
    if not is_whole or (margin is not None and (n == 0 or (margin >= 0) != (inside == n))):
        came = f"{inside} of {told['n_samples']} inside with a smallest margin of {margin}"
        expected = f"one of all {n} samples, whose smallest margin is below 0 where some of them are outside"
        refuse(file, f"the certificate of {name!r}", came, expected)


def _check_told(file: Path, stored: Any, told: Any, where: str = "") -> None:
    """That what is stored is what is told by all files together, as far as both have it."""
    if isinstance(stored, dict) and isinstance(told, dict):
        for name in told:
            if name in stored and name not in _FROM_CODE:
                _check_told(file, stored[name], told[name], join(where, name))
    elif stored != told:
        refuse(file, where, reprlib.repr(stored), f"{reprlib.repr(told)}, as the network and the other files say")


def _check_edges(file: Path, run: Exploration, tree: Tree) -> None:
    """That every node lies a step from its parent."""
    if tree.step_size > run.geometry.limit(tree.step_size):  # more than half way around a sphere
        return
    lengths = run.geometry.distances(tree.latents[1:], tree.latents[tree.parents[1:]]).double()
    rounding = torch.finfo(tree.latents.dtype).eps * tree.latents.abs().max().item() * math.sqrt(tree.latents.shape[1])
    is_off = (lengths - tree.step_size).abs() > _STRAY * tree.step_size + _ULPS * rounding
    if bool(is_off.any()):
        node = int(is_off.nonzero()[0, 0]) + 1
        came = f"one whose node {node} lies {lengths[node - 1].item():g} from its parent"
        refuse(file, "the tree", came, f"edges of the step size, {tree.step_size:g}")
