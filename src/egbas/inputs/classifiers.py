# SPDX-License-Identifier: MIT
"""The judge that a name means, and the network that a classifier judges: a generator, or the space of images itself."""

from dataclasses import replace
from typing import Any

from torch import nn

from egbas.errors import ConfigError, ModelNotFoundError, NetworkError
from egbas.inputs.models import call, find_model, parse_shape
from egbas.network.classified import Pixels
from egbas.network.given import Inputs, refuse_meta
from egbas.network.joined import joined
from egbas.zoo.lenet import SIDE
from egbas.zoo.models import Model, classifiers, load_classifier, refuse_choices

PIXELS = Pixels.zoo_name


def find_classified(  # noqa: PLR0913  each is an option
    model: str,
    classifier: str | None,
    output: int | str | None = None,
    latent_size: str | None = None,
    latent_file: str | None = None,
    *,
    key: str | None = None,
    activation: str | None = None,
    inputs: Inputs | None = None,
) -> Model:
    """Find the model that is named, its generator joined with the classifier that is named, where one is.

    The model ``pixels`` is the space of images, whose size ``--latent-size`` tells; the name of an embedded classifier
    as a model is that space with the classifier.

    Args:
        model: as typed after ``--model``; ``find_model`` says what that may be.
        classifier: as typed after ``--classifier``: an embedded one, or ``package.module:callable``.
        output: as typed after ``--output``: which of the generator's outputs is the image.
        latent_size: as typed after ``--latent-size``.
        latent_file: whose length tells the latent's where nothing else does.
        key: as typed after ``--key``.
        activation: as typed after ``--activation``.
        inputs: that ``find_inputs`` read after ``--input``; a generator that is joined with a classifier takes them.

    Raises:
        ModelNotFoundError, CheckpointError, NetworkError: as ``find_model`` does, of either.
        ConfigError: two classifiers are named, or the size of the images is not known.
    """
    if model in classifiers():
        if classifier not in (None, model):
            raise ConfigError(
                f"got --model {model}, a classifier, and --classifier {classifier}; expected one: leave --classifier "
                f"out, or give --model {PIXELS}"
            )
        model, classifier = PIXELS, model
    judge = None if classifier is None else find_classifier(classifier)
    if model == PIXELS:
        refuse_choices(PIXELS, {choice: said for choice, said in (("key", key), ("activation", activation)) if said})
        found = _space(latent_size, classifier)
    else:
        found = find_model(model, latent_size, latent_file, key=key, activation=activation)
    if judge is None:
        return found
    generator = joined(found.generator, judge, found.latent.shape, output=output, inputs=inputs)
    return replace(found, generator=generator)


def _space(latent_size: str | None, classifier: str | None) -> Model:
    """The space of images, as a model."""
    if latent_size is None and classifier not in classifiers():
        raise ConfigError(
            f"--model {PIXELS} is the space of images, and their size is not known; pass --latent-size, such as 1x28x28"
        )
    space = Pixels((1, SIDE, SIDE) if latent_size is None else parse_shape(latent_size))
    return Model(name=PIXELS, generator=space, discriminator=None, latent=space.latent)


def find_classifier(name: str) -> nn.Module:
    """Find a classifier by its name: an embedded one, or the user's ``package.module:callable``.

    Raises:
        ModelNotFoundError: there is none of that name.
        NetworkError: the user's code raises or returns no network.
    """
    if ":" not in name:
        try:
            return load_classifier(name)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"{error}; your own classifier is package.module:callable") from error
    return find_judge(name, "--classifier")


def find_judge(name: str, option: str) -> nn.Module:
    """Find a network of the user's own that judges images, by its name ``package.module:callable``.

    Args:
        name: as typed.
        option: that it was typed after, for messages.

    Raises:
        ModelNotFoundError: there is none of that name.
        NetworkError: the user's code raises or returns no network, or one of shapes alone.
    """
    made = call(name, option)
    if not isinstance(made, nn.Module):
        raise NetworkError(f"{option} {name} gave a {type(made).__name__}; expected a torch.nn.Module in eval mode")
    refuse_meta(made, f"{option} {name} gave a network with")
    named: Any = made
    named.zoo_name = name  # as find_model names a model of the user's own
    return made
