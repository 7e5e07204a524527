# SPDX-License-Identifier: MIT
"""What each file of a run directory has to hold, by itself; ``expected`` says how a table is read."""

import re

import torch
from torch import Tensor

from egbas.beropt import BerOptStatus
from egbas.beropt.config import FINEST
from egbas.exploration.source import ENCODER, INVERSION, ITSELF
from egbas.samplers.gbrrt import GbRrtStatus
from egbas.samplers.gbrrt.tree import OUTSIDE, TOO_CLOSE
from egbas.storage.expected import (
    COUNT,
    NOT_NEGATIVE,
    NULL,
    NUMBER,
    OBJECT,
    POSITIVE,
    SEED,
    SHARE,
    SIZE,
    TEXT,
    Expected,
    Wanted,
    in_order,
    list_of,
    one_of,
    or_null,
)

# config.json

_CHECKSUM = TEXT.where(" of 64 hexadecimal digits", lambda text: re.fullmatch("[0-9a-f]{64}", text) is not None)
_LEVEL = SIZE.where(f", {FINEST} at most", lambda level: level <= FINEST)
_OUTPUT = Expected("an integer or a text", lambda value: type(value) is int or isinstance(value, str))
CONFIG = {
    "model": {"name": TEXT, "sha256": _CHECKSUM, "key?": TEXT, "activation?": TEXT},
    "latent": {
        "shape": list_of(SIZE).where(", at least one", lambda shape: len(shape) > 0),
        "prior?": TEXT,
        "bound?": POSITIVE,
        "geometry?": one_of(("flat", "sphere")),
    },
    "query": list_of(NUMBER),
    "seed": SEED,
    "samplers?": list_of(TEXT),
    "judges?": list_of(TEXT),
    "features?": TEXT,
    "repeats?": SIZE,
    "output?": _OUTPUT,
    "inputs?": OBJECT,
    "image?": {
        "shape": list_of(SIZE),
        "kind": TEXT,
        "range?": {"low": NUMBER, "high": NUMBER, "source": TEXT},
    },
    "decoder?": OBJECT,
    "source?": {
        "file": TEXT,
        "sha256": _CHECKSUM,
        "how": one_of((ENCODER, INVERSION, ITSELF)),
        "encoder?": TEXT,
        "error": NOT_NEGATIVE,
        "start_error?": NOT_NEGATIVE,
        "evaluations": COUNT,
    },
    "classifier?": {"name": TEXT, "output?": _OUTPUT},
    "hold?": TEXT,
    "boundary?": TEXT,
    "class?": COUNT,
    "delta?": {"delta": POSITIVE, "level": _LEVEL, "reached": {"*": NOT_NEGATIVE}, "unconverged": list_of(_LEVEL)},
    "exact?": {"samples": SIZE, "max_evaluations": SIZE, "n_chains?": SIZE, "half_width?": POSITIVE},
}
CONFIG_OF_LAYER = {
    "layer": {"path": TEXT, "shape": list_of(SIZE), "units": SIZE},
    "beropt": {"threshold": NUMBER.where(" between 0 and 1", lambda value: 0 < value < 1)},
}
CONFIG_OF_REGION = {"layer": NULL, "region": {"kind": TEXT}}
CONFIG_OF_TREE = {"gbrrt": {"iterations": SIZE, "step_size": POSITIVE, "half_width": POSITIVE}}

# metrics.json

_CERTIFICATE = {
    "n_samples": COUNT,
    "n_inside": COUNT,
    "smallest_margin": or_null(NUMBER),
    "dtype": one_of(("float64", "float32", "float16", "bfloat16")),
}
_SAMPLES = {"status": TEXT, "sentence": TEXT, "evaluations": COUNT, "facts": OBJECT, "certificate": _CERTIFICATE}
_CHAINS = {"r_hat": or_null(POSITIVE), "ess": NOT_NEGATIVE, "slowest": TEXT, "chains": SIZE, "draws_looked_at": COUNT}
OF_KIND = {
    "tree": {**_SAMPLES, "status": one_of(GbRrtStatus.__members__)},
    "chains": {**_SAMPLES, "facts": [OBJECT, _CHAINS]},
    "samples": _SAMPLES,
}
METRICS = {
    "certificate": _CERTIFICATE,
    "seconds": {"*": NOT_NEGATIVE},
    "warnings": list_of(TEXT),
}
_CORRELATION = or_null(NUMBER.where(" from -1 to 1", lambda value: -1 <= value <= 1))
AGREEMENT = [
    {
        **dict.fromkeys(("mean", "low", "high", "least", "most"), NOT_NEGATIVE),
        **dict.fromkeys(("map_correlation", "map_ceiling"), _CORRELATION),
        **dict.fromkeys(("shared", "shared_prior", "inside"), SHARE),
    },
    in_order("low", "mean", "high"),
    in_order("least", "most"),
]
REPEAT = {
    "seed": SEED,
    "units": COUNT,
    "error": NOT_NEGATIVE,
    "freedom": or_null(NOT_NEGATIVE),
    "status": or_null(TEXT),
    "log10_mass": or_null(NUMBER),
}
CERTAINTY = {
    "repeats": SIZE.where(", at least 2", lambda repeats: repeats > 1),
    "core": COUNT,
    "jaccard": SHARE,
    "jaccard_chance": SHARE,
    "agreement?": AGREEMENT,
    "rows": list_of(OBJECT),
}
METRICS_OF_BEROPT = {
    "fidelity": NOT_NEGATIVE,
    "sampled_fidelity": NOT_NEGATIVE,
    "polarisation": SHARE,
    "beropt_status": one_of(BerOptStatus.__members__),
}
METRICS_OF_TREE = {
    "gbrrt_status": one_of(GbRrtStatus.__members__),
    "head_evaluations": COUNT,
    "head_rounds": COUNT,
}
_QUANTILES = [dict.fromkeys(("q05", "q50", "q95"), NOT_NEGATIVE), in_order("q05", "q50", "q95")]
_SCORE = dict.fromkeys(("query", "region_mean", "region_deviation", "prior_mean", "prior_deviation"), NUMBER)
MASS = [
    {"log10_mass": NUMBER, "log10_mass_low": or_null(NUMBER), "log10_mass_high": NUMBER, "mass_evaluations": COUNT},
    in_order("log10_mass_low", "log10_mass", "log10_mass_high"),
]
FACTS = [
    {
        "freedom": NOT_NEGATIVE,
        "freedom_low": or_null(NOT_NEGATIVE),
        "freedom_high": or_null(NOT_NEGATIVE),
        "distance": _QUANTILES,
        "prior_deviation": NOT_NEGATIVE,
        "judges?": {"*": {**_SCORE, "freedom": or_null(NOT_NEGATIVE)}},
        "focus?": list_of(or_null(NUMBER), 2),
        "feature_distance?": _QUANTILES,
        "words?": TEXT,
    },
    in_order("freedom_low", "freedom_high"),
]


# boundary.safetensors


def _is_a_share(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())  # NaN is neither


def _largest(values: Tensor) -> int:
    return int(values.max()) if values.numel() else 0


def _are_signs(values: Tensor) -> bool:
    return bool((values.abs() == 1).all())


BOUNDARY = {
    "theta": Wanted("units", words="numbers from 0 to 1", holds=_is_a_share),
    "units": Wanted("k", (torch.int64,)),
    "signs": Wanted("k", (torch.int8,), "-1 or +1 each", _are_signs),
    "losses": Wanted("steps"),
    "sizes": Wanted("steps"),
}
THRESHOLDS = {"thresholds?": Wanted("units")}
FREQUENCY = {"frequency": Wanted("units", words="numbers from 0 to 1", holds=_is_a_share)}
FOCUS = {"focus?": Wanted("h w", (torch.uint8,), "0 or 1 each, and some 1", lambda values: _largest(values) == 1)}


# samples.safetensors and region.safetensors


def _are_parents(values: Tensor) -> bool:
    n = len(values)
    return n > 0 and int(values[0]) == -1 and bool(((values >= 0) & (values < torch.arange(n)))[1:].all())


def _are_reasons(values: Tensor) -> bool:
    return bool(((values == OUTSIDE) | (values == TOO_CLOSE)).all())


def _is_freedom(values: Tensor) -> bool:
    return not bool((values < 0).any() | values.isinf().any())


TREE = {
    "latents": Wanted("n d"),
    "parents": Wanted("n", (torch.int64,), "-1 and then a number from 0 to below its own place each", _are_parents),
    "rejected": Wanted("r d"),
    "rejected_reason": Wanted("r", (torch.int8,), f"{OUTSIDE} or {TOO_CLOSE} each", _are_reasons),
}


def letters_of(ndim: int) -> str:
    """A letter for each dimension of an output: ``c h w`` of an image, ``w`` of a vector, ``a c h w`` of frames."""
    return " ".join([*(f"{'abdefgijk'[i % 9]}{i // 9 or ''}" for i in range(ndim - 3)), *"chw"[max(0, 3 - ndim) :]])


def freedom_of(ndim: int, name: str = "freedom") -> dict[str, Wanted]:
    """The freedom of an output of so many dimensions."""
    return {name: Wanted(letters_of(ndim), words="numbers of at least 0, or NaN", holds=_is_freedom)}


def chain_of(n_chains: int) -> Wanted:
    """The number of each draw's chain, where there are so many chains."""

    def are_numbers(values: Tensor) -> bool:
        return bool(((values >= 0) & (values < n_chains)).all())

    return Wanted("n", (torch.int64, torch.int32), f"from 0 to {n_chains - 1} each", are_numbers)
