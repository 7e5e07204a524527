# SPDX-License-Identifier: MIT
"""A generator with inputs beside the latent, joined with a classifier: what its inputs mean is found out first."""

from egbas.network.classified import Classified
from egbas.network.given import Given, Inputs, Shape, network_of
from egbas.network.network import Network


def joined(
    generator: Given, classifier: Given, shape: Shape, *, output: int | str | None = None, inputs: Inputs | None = None
) -> Classified:
    """Join a generator with a classifier; whole numbers among the inputs may be classes, as ``egbas.explore`` says.

    Args:
        generator: G.
        classifier: of its images.
        shape: of one latent.
        output: which of the generator's outputs is the image.
        inputs: what its forward takes beside the latent.

    Raises:
        NetworkError: the generator does not run with them.
        ConfigError: an input is nothing that a network takes.
    """
    generator = network_of(generator)
    conditions = None if not inputs else Network(generator, shape, output=output, inputs=inputs).conditions
    return Classified(generator, classifier, output=output, inputs=conditions)
