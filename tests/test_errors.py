# SPDX-License-Identifier: MIT
import inspect

import pytest

import egbas
from egbas import errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_public_and_an_egbas_error(error: type[Exception]) -> None:
    assert issubclass(error, errors.EgbasError)
    assert getattr(egbas, error.__name__) is error
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ShapeError, ValueError),
        (errors.ConfigError, ValueError),
        (errors.LayerNotFoundError, LookupError),
        (errors.ModelNotFoundError, LookupError),
        (errors.NetworkError, RuntimeError),
        (errors.CheckpointError, RuntimeError),
        (errors.DataError, RuntimeError),
        (errors.StartOutsideRegionError, ValueError),
        (errors.RunDirectoryError, OSError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_error_is_caught_as_the_builtin_it_refines(error: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match="what to do"):
        raise error("what to do")
