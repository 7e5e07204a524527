# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.errors import ConfigError
from egbas.exploration.source import INVERSION, ITSELF, MOST_ERROR, Source


def source(error: float, how: str = INVERSION) -> Source:
    return Source(image=torch.ones(1, 2, 2), file="seven.png", sha256="0" * 64, how=how, error=error, evaluations=9)


def test_a_near_image_is_taken_without_a_word() -> None:
    assert source(MOST_ERROR).refuse_far(False) == ()


def test_another_image_is_refused_unless_forced() -> None:
    with pytest.raises(ConfigError, match=r"differs from seven\.png by 35% of its norm, more than 20%.*--force"):
        source(0.35).refuse_far(False)
    (warning,) = source(0.35).refuse_far(True)
    assert "about the query's image" in warning


def test_what_is_told() -> None:
    assert source(0.0123).sentence == (
        "The query's image differs from seven.png by 1.2% of its norm; found by inversion."
    )
    assert source(0.0, ITSELF).sentence == "The query is seven.png itself: the latent is the image."
    assert source(0.1).record() == {
        "file": "seven.png",
        "sha256": "0" * 64,
        "how": "inversion",
        "encoder": None,
        "error": 0.1,
        "start_error": None,
        "evaluations": 9,
    }
