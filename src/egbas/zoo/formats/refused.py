# SPDX-License-Identifier: MIT
"""Checkpoints that are recognised and not read, each with what to do instead."""

from collections.abc import Iterable

from egbas.zoo.containers.content import Content
from egbas.zoo.formats.labels import is_of_labels

# What it is, and beginnings of names that all have to be there.
KINDS = (
    ("a StyleGAN of pytorch_GAN_zoo", ("baseScale0",)),
    ("a progressive GAN of rosinality, whose latent takes labels", ("progression.0.conv.0.conv.weight_orig",)),
    ("a StyleGAN2 of NVlabs", ("synthesis.b4.const",)),
    ("a StyleGAN3 of NVlabs", ("synthesis.input.", "synthesis.L0")),
    ("a StyleGAN2 of rosinality", ("style.1.weight", "convs.0.conv.weight")),
    ("a StyleGAN of GenForce", ("mapping.dense0.", "synthesis.")),
    ("an AutoencoderTiny of diffusers", ("decoder.layers.0.weight",)),
    ("an AutoencoderKL of diffusers", ("decoder.conv_in.weight",)),
    ("a BigGAN", ("shared.weight", "blocks.0.0.conv1")),
    ("a StyleGAN-like network", ("mapping.", "synthesis.")),
)
MAX_SHOWN = 12  # tensors
OWN_CODE = "load it with its own code and pass the network as --model package.module:callable (see docs/cli.md)"


def reason(content: Content) -> str | None:
    """What a checkpoint is and what to do with it; None where it is of no known kind."""
    names = {name for state in content.states.values() for name in state}
    for what, starts in KINDS:
        if _is(names, *starts):
            told = f"it is {what}, which egbas does not read; {OWN_CODE}"
            return f"{told}. Its tensors:\n{_shapes(content)}\n{own_lines(content)}" if content.generator else told
    if content.discriminator is not None and not content.generator:
        return "it holds a discriminator and no generator; egbas explores generators: give it the generator's file"
    return None


def describe(content: Content) -> str:
    """What a checkpoint of no known kind holds, for people."""
    names = list(content.generator)
    if not names:
        kind = type(content.tree).__name__
        keys = [_told(key) for key in list(content.tree)[:8]] if isinstance(content.tree, dict) else []
        inside = f" with {', '.join(keys)}" if keys else ""
        return f"it holds no named tensors (a {kind}{inside}); expected the weights of a generator"
    some = ", ".join(name[:60] for name in names[:4])
    whole = content.modules.get(content.generator_name)
    known = "" if whole is None else f" It is {whole.origin}, a whole pickled network, of which nothing was run."
    labels = next((name for name, value in content.generator.items() if is_of_labels(name, value)), None)
    if labels is not None:
        shape = " x ".join(map(str, content.generator[labels].shape))
        known += f" It takes labels ({labels[:60]!r}, {shape}); fix them in the network of your own."
    if len(content.states) > 1:
        several = ", ".join(f"{name or 'the top level'} ({len(state)})" for name, state in content.states.items())
        known += f" The networks in the file, with the number of their tensors: {several[:400]}."
    return (
        f"its {len(names)} tensors ({some}, ...) are of no format that egbas knows (docs/checkpoints.md lists them)."
        f"{known} The file does not tell how they are connected:\n{_shapes(content)}\n{own_lines(content)}"
    )


def own_lines(content: Content) -> str:
    """The lines of Python that explore a network whose class its user has."""
    name = content.generator_name
    key = f", key={name!r}" if len(content.states) > 1 or name else ""
    return (
        "With the class that the weights belong to, these lines explore it:\n"
        "    import egbas, torch\n"
        "    from my_code import Generator  # the class\n"
        "    net = Generator()\n"
        f"    net.load_state_dict(egbas.load_weights({str(content.path)!r}{key}))\n"
        f"    z0 = torch.randn({_latent_size(content)})  # of the latent's shape\n"
        "    egbas.explore(net.eval(), z0, layer=1, rng=0).save('runs/mine')\n"
        "On the command line, a function that returns net.eval() is --model package.module:callable (see docs/cli.md)."
    )


def _shapes(content: Content) -> str:
    """The first tensors with their shapes, a line each."""
    tensors = list(content.generator.items())
    width = max(len(name[:60]) for name, _ in tensors[:MAX_SHOWN])
    lines = [
        f"    {name[:60]:<{width}}  {' x '.join(map(str, value.shape)) or 'one number'}" for name, value in tensors
    ]
    return "\n".join(lines[:MAX_SHOWN] + ([f"    ... and {len(lines) - MAX_SHOWN} more"] * (len(lines) > MAX_SHOWN)))


def _latent_size(content: Content) -> int:
    """What the first weight takes: a guess at the latent's size."""
    shapes = [value.shape for value in content.generator.values() if len(value.shape) >= 2]
    return 100 if not shapes else shapes[0][1] if len(shapes[0]) == 2 else shapes[0][0]


def _told(key: object) -> str:
    """A key of a dictionary, for people; Python does not write integers of thousands of digits."""
    if isinstance(key, int) and key.bit_length() > 64:
        return "a huge number"
    return str(key)[:40]


def _is(names: Iterable[str], *starts: str) -> bool:
    """Whether some name begins with each of the starts."""
    return all(any(name.startswith(start) for name in names) for start in starts)
