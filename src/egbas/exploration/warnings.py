# SPDX-License-Identifier: MIT
"""What the user of a run should know: found in the query, in BerOpt's result, and in the samples."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from egbas.beropt import BerOptResult, BerOptStatus
from egbas.exploration.facts import Facts
from egbas.latent import LatentSpace, Normal
from egbas.region import Certificate
from egbas.samplers.chains import Chains
from egbas.samplers.contract import Samples
from egbas.samplers.gbrrt import OUTSIDE, GbRrtStatus, Tree

_CROWDED = 0.95  # share of the candidates within a step of another node from which the step hinders the tree
_CONSTANT = 1e-3  # deviation over the prior, in pixel units, below which the images are all alike
_IMPLAUSIBLE = 3.0  # standard deviations of the norm, of the mean over many samples
_WELL_REACHED = 0.1  # share of the tested candidates that must leave the region for it to shape the tree


def warnings_of(
    query: Tensor,
    latent: LatentSpace,
    beropt: BerOptResult | None,
    samples: Mapping[str, Samples],
    certificates: Mapping[str, Certificate],
    *,
    facts: Facts | None = None,
) -> tuple[str, ...]:
    """The warnings of a run, as sentences.

    Args:
        query: (d,).
        latent: the latent space.
        beropt: what BerOpt found; None where it was skipped.
        samples: by the name of their sampler.
        certificates: of them.
        facts: of exact samples; None without them.
    """
    messages = []
    if not bool(latent.contains(query[None])):
        messages.append("The query lies outside the support of the latent prior; its image may mean nothing.")
    if beropt is not None and beropt.status is not BerOptStatus.CONVERGED:
        messages.append(f"BerOpt: {beropt.status.value}.")
    for name, drawn in samples.items():
        messages += _of_samples(name, drawn, latent)
    if facts is not None and facts.prior_deviation < _CONSTANT:
        messages.append(
            f"The generator is nearly constant: over the prior its pixels deviate by {facts.prior_deviation:.2g} on "
            "average. What a region holds fixed means little there."
        )
    together = Certificate.of_all(certificates.values())
    if beropt is not None and together.dtype != "float64":  # a region of the user's own may be no network's
        messages.append(f"The network does not compute in float64: the certificate is one in {together.dtype} only.")
    for name, certificate in certificates.items():
        if not certificate.is_valid:
            messages.append(_not_inside(name, samples[name], certificate))
    return tuple(messages)


def _of_samples(name: str, samples: Samples, latent: LatentSpace) -> Iterable[str]:
    if isinstance(samples, Tree):
        yield from _of_tree(samples)
        yield from _of_norms(samples, latent)
    elif isinstance(samples, Chains) and not samples.has_converged:
        yield f"Exact samples ({name}): {samples.sentence}"
    elif not len(samples.latents):
        yield f"The sampler {name!r} gave no samples."


def _of_tree(tree: Tree) -> Iterable[str]:
    if tree.status == GbRrtStatus.NOTHING_ACCEPTED:
        yield f"GB-RRT: {tree.sentence} (now {tree.step_size:.3g})."
    outside = int((tree.rejected_reason == OUTSIDE).sum())
    too_close = len(tree.rejected) - outside
    if too_close >= _CROWDED * tree.iterations:
        yield (
            "Nearly all candidates lay within a step of another node, so that few samples came of them. "
            f"Lower the step size (now {tree.step_size:.3g}) or raise the half-width."
        )
    elif outside < _WELL_REACHED * (outside + len(tree.drawn)):
        yield (
            "The tree hardly met the region's boundaries: half-width or iterations shape the samples, not the region. "
            "Raise the half-width, the step size or the iterations."
        )


def _of_norms(tree: Tree, latent: LatentSpace) -> Iterable[str]:
    """On a sphere a latent's length means nothing; under other priors than the normal one it is not known."""
    if not isinstance(latent.prior, Normal) or latent.geometry == "sphere" or not len(tree.drawn):
        return
    norm = float(tree.drawn.norm(dim=1).mean())
    mean, deviation = Normal.length(latent.size)
    if norm > mean + _IMPLAUSIBLE * deviation:
        yield (
            f"The tree's samples leave the prior: their norm is {norm:.3g} on average, that of the prior {mean:.3g} +- "
            f"{deviation:.2g}. The region is wide there; the exact samples say what it holds within the prior."
        )


def _not_inside(name: str, drawn: Samples, certificate: Certificate) -> str:
    n_outside = certificate.n_samples - certificate.n_inside
    if isinstance(drawn, Tree) and certificate.smallest_margin is not None:
        return f"{n_outside} samples lie outside the region in {certificate.dtype}; run the network in float64."
    return f"{n_outside} of {certificate.n_samples} samples of {name!r} lie outside the region."
