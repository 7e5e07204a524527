# SPDX-License-Identifier: MIT
"""Checkpoints that are recognised and not read, each with what to do instead."""

from collections.abc import Iterable

from egbas.zoo.containers.content import Content

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
OWN_CODE = "load it with its own code and pass the network as --model package.module:callable (see docs/cli.md)"


def reason(content: Content) -> str | None:
    """What a checkpoint is and what to do with it; None where it is of no known kind."""
    names = {name for state in content.states.values() for name in state}
    for what, starts in KINDS:
        if _is(names, *starts):
            return f"it is {what}, which egbas does not read; {OWN_CODE}"
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
    return (
        f"its {len(names)} tensors ({some}, ...) are of no format that egbas knows (docs/checkpoints.md lists them); "
        f"{OWN_CODE}"
    )


def _told(key: object) -> str:
    """A key of a dictionary, for people; Python does not write integers of thousands of digits."""
    if isinstance(key, int) and key.bit_length() > 64:
        return "a huge number"
    return str(key)[:40]


def _is(names: Iterable[str], *starts: str) -> bool:
    """Whether some name begins with each of the starts."""
    return all(any(name.startswith(start) for name in names) for start in starts)
