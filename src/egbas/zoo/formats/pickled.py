# SPDX-License-Identifier: MIT
"""Whole pickled networks that are sequences of layers of torch: the pickle tells each layer with its settings.

Nothing of them is run. The class around a sequence may do in its ``forward`` what it likes, and that is in no file; one
that holds a single sequence and nothing else is taken to run it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from egbas.errors import CheckpointError, ConfigError
from egbas.zoo.blueprint import Blueprint, Blueprints, normal
from egbas.zoo.containers.content import Content
from egbas.zoo.containers.networks import children_of, tensors_of
from egbas.zoo.containers.reparametrised import plain
from egbas.zoo.containers.standins import Foreign
from egbas.zoo.formats.examples_dcgan import read_discriminator
from egbas.zoo.formats.sequential import image_shape
from egbas.zoo.sequential import SETTINGS, SequentialConfig

NAME = "pickled-sequence"
HOME = "torch.nn.modules."
SEQUENTIAL = f"{HOME}container.Sequential"
# They run what they hold, and nothing else.
PLAIN = (SEQUENTIAL, "torch.optim.swa_utils.AveragedModel", "torch.nn.parallel.data_parallel.DataParallel")
KINDS = {
    f"{HOME}linear.Linear": "linear",
    f"{HOME}conv.Conv2d": "conv",
    f"{HOME}conv.ConvTranspose2d": "conv_transpose",
    f"{HOME}batchnorm.BatchNorm1d": "batch_norm_1d",
    f"{HOME}batchnorm.BatchNorm2d": "batch_norm",
    f"{HOME}upsampling.Upsample": "upsample",
    f"{HOME}upsampling.UpsamplingNearest2d": "upsample",
    f"{HOME}flatten.Flatten": "flatten",
    f"{HOME}flatten.Unflatten": "unflatten",
}
ACTIVATIONS = {
    f"{HOME}activation.{name}": function
    for name, function in {
        **{"ReLU": "relu", "ELU": "elu", "SELU": "selu", "GELU": "gelu", "SiLU": "silu", "Softplus": "softplus"},
        **{"Tanh": "tanh", "Sigmoid": "sigmoid", "Hardtanh": "hardtanh", "LeakyReLU": "leaky_relu"},
    }.items()
}
# They do nothing in eval mode.
PASSING = {f"{HOME}dropout.{name}" for name in ("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout")} | {
    f"{HOME}linear.Identity"
}
# What settings have to be where a layer has them; other values are of layers that are not built.
USUAL = {
    **{"dilation": 1, "groups": 1, "padding_mode": "zeros", "affine": True, "track_running_stats": True},
    **{"size": None, "alpha": 1.0, "beta": 1, "threshold": 20, "min_val": -1.0, "max_val": 1.0, "approximate": "none"},
    **{"start_dim": 1, "end_dim": -1, "dim": 1},
}
OF_MODULES = frozenset({"training", "call_super_init", "dump_patches", "T_destination"})  # torch's own attributes
NORM_HOOKS = ("torch.nn.utils.spectral_norm.SpectralNorm", "torch.nn.utils.weight_norm.WeightNorm")
FIRST = ("linear", "conv_transpose")


def matches(content: Content) -> bool:
    """Whether it is a whole pickled network whose layers are all told."""
    module = content.modules.get(content.generator_name)
    return module is not None and content.activation is None and _layers(module) is not None


def read(content: Content) -> Blueprints:
    """Read the generator, and the discriminator where it is that of the PyTorch examples.

    Raises:
        CheckpointError: a weight has another shape than its layer tells.
    """
    module = content.modules[content.generator_name]
    layers = _layers(module)
    assert layers is not None  # it matches
    weights: dict[str, Tensor] = {}
    for layer, tensors in layers:
        is_transposed = layer["kind"] == "conv_transpose"
        for name, value in tensors.items():
            full = f"{layer['name']}.{name}"
            if name == "num_batches_tracked":
                weights[full] = value.load_counter()
            else:
                weights[full] = value.load(full, transposed=is_transposed and name == "weight")
            if name == "running_var" and float(weights[full].min()) < 0:
                raise CheckpointError(f"the variances of {layer['name']!r} are negative; the file is damaged")
    layers += _square(layers)
    first = layers[0][0]
    latent = normal(first["in_features"]) if first["kind"] == "linear" else normal(first["in_channels"], 1, 1)
    config = SequentialConfig(latent=latent.shape, layers=tuple(layer for layer, _ in layers))
    discriminator, told = read_discriminator(content)
    facts: dict[str, Any] = {"layers_of": module.origin}
    notices = ()
    if module.origin not in PLAIN:
        facts["forward"] = "not in the file; taken as that of the only sequence in it"
        notices = (f"What {module.origin} does in its forward is not in the file; it is taken to run its sequence.",)
    return Blueprints(
        generator=Blueprint(architecture="sequential-generator", config=config, weights=weights),
        discriminator=discriminator,
        latent=latent,
        facts=facts | told,
        notices=notices,
    )


def _layers(module: Foreign) -> "list[tuple[dict[str, Any], Mapping[str, Any]]] | None":
    """The layers with their tensors; None where something is not told."""
    inner = module
    while inner.origin != SEQUENTIAL:
        if _is_hooked(inner):
            return None
        children = children_of(inner)
        if len(children) != 1 or tensors_of(inner).keys() - {"n_averaged"} or inner.origin in KINDS:
            return None
        if inner.origin not in PLAIN and _has_more(inner):
            return None
        inner = next(iter(children.values()))
    found: list[tuple[dict[str, Any], Mapping[str, Any]]] = []
    for number, leaf in enumerate(_leaves(inner), 1):
        if leaf.origin in PASSING:
            continue
        told = _layer(leaf)
        if told is None or _is_hooked(leaf):
            return None
        found.append(({"name": f"{told['kind']}{number}", **told}, plain(tensors_of(leaf))))
    try:
        SequentialConfig(latent=(1,), layers=tuple(layer for layer, _ in found))
    except ConfigError:
        return None
    return found if found[0][0]["kind"] in FIRST else None  # else the latent's shape is not told


def _square(layers: "list[tuple[dict[str, Any], Mapping[str, Any]]]") -> "list[tuple[dict[str, Any], dict[str, Any]]]":
    """The layer that makes a square image of a decoder's values, as where its state dict alone is read."""
    told = [layer for layer, _ in layers]
    if {layer["kind"] for layer in told} - {"linear", "batch_norm_1d", "activation"}:
        return []
    shape = image_shape([layer for layer in told if layer["kind"] == "linear"][-1]["out_features"])
    return [] if shape is None else [({"name": "image", "kind": "unflatten", "shape": list(shape)}, {})]


def _leaves(module: Foreign, depth: int = 0) -> Iterator[Foreign]:
    if _is_hooked(module):
        yield module  # no layer, so that the network is refused
    for child in children_of(module).values():
        if child.origin == SEQUENTIAL and depth < 20:
            yield from _leaves(child, depth + 1)
        else:
            yield child


def _has_more(module: Foreign) -> bool:
    """Whether a class keeps more than sizes: a scale, a shape, a switch, which its forward may do something with."""
    own = {name: value for name, value in module.state.items() if isinstance(name, str) and not name.startswith("_")}
    return any(not (type(value) is int or value is None) for name, value in own.items() if name not in OF_MODULES)


def _is_hooked(leaf: Foreign) -> bool:
    """Whether something else than the layer itself computes what comes out."""
    state = leaf.state
    before = state.get("_forward_pre_hooks") or {}
    is_known = isinstance(before, dict) and all(getattr(hook, "origin", "") in NORM_HOOKS for hook in before.values())
    return bool(state.get("_forward_hooks")) or not is_known


def _layer(leaf: Foreign) -> dict[str, Any] | None:
    """Kind and settings of a layer; None where it is of another class, or has unusual settings."""
    if children_of(leaf):
        return None
    state = {key: _one(value) for key, value in leaf.state.items() if isinstance(key, str)}
    if any(key in state and state[key] != usual for key, usual in USUAL.items()):
        return None
    function = ACTIVATIONS.get(leaf.origin)
    if function is not None:
        slope = f":{state.get('negative_slope')!r}" if function == "leaky_relu" else ""
        return {"kind": "activation", "function": f"{function}{slope}"}
    kind = KINDS.get(leaf.origin)
    if kind == "unflatten":
        return {"kind": kind, "shape": list(leaf.state.get("unflattened_size") or ())}
    if kind is None:
        return None
    values: dict[str, Any] = state | {"bias": "bias" in tensors_of(leaf)}
    scale = values.get("scale_factor")
    if isinstance(scale, float) and scale.is_integer():
        values["scale_factor"] = int(scale)
    return {"kind": kind, **{name: values.get(name) for name in SETTINGS[kind][1]}}


def _one(value: Any) -> Any:
    """The number of a pair of equal numbers, such as a kernel's (4, 4); what is no such pair as it is."""
    is_pair = isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] and type(value[0]) is type(value[1])
    return value[0] if is_pair else value
