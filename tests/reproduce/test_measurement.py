# SPDX-License-Identifier: MIT
import json

import pytest

from egbas.baselines import METHODS
from egbas.errors import LayerNotFoundError, ModelNotFoundError
from egbas.reproduce.measurement import Measurement, measure

told: list[tuple[int, int, str]] = []


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return measure(("dcgan-mnist",), (2,), 2, lambda *words: told.append(words))


def test_every_query_and_method(measured: Measurement) -> None:
    assert {(s.model, s.layer, s.query) for s in measured.scores} == {("dcgan-mnist", 2, 0), ("dcgan-mnist", 2, 1)}
    assert {score.method for score in measured.scores} == set(METHODS)
    metrics = {score.metric for score in measured.scores}
    assert metrics >= {"deviation", "class consistency", *(f"critic similarity {layer}" for layer in range(1, 5))}


def test_progress_and_config(measured: Measurement) -> None:
    assert [words[:2] for words in told] == [(0, 2), (1, 2), (2, 2)]
    config = json.loads(json.dumps(measured.config, allow_nan=False))
    assert config["seeds"] == [0, 1]
    assert config["models"].keys() == {"dcgan-mnist"}


def test_unknown_names() -> None:
    with pytest.raises(ModelNotFoundError):
        measure(("nothing",), (1,), 1)
    with pytest.raises(LayerNotFoundError):
        measure(("dcgan-mnist",), (9,), 1)
