# SPDX-License-Identifier: MIT
import subprocess
import sys

import numpy as np
import pytest
from numba.core.caching import FunctionCache

from egbas.machine.compiled import compiled


def test_what_is_compiled_computes_the_same() -> None:
    values = np.linspace(0.0, 1.0, 1001)

    def total(x):  # type: ignore[no-untyped-def]
        result = 0.0
        for value in x:
            result += value
        return result

    assert compiled()(total)(values) == total(values)
    assert compiled(is_sum=True)(total)(values) == pytest.approx(total(values), rel=1e-14)


def test_nan_is_seen_in_reordered_sums() -> None:
    def total(x):  # type: ignore[no-untyped-def]
        result = 0.0
        for value in x:
            result += value
        return np.isnan(result)

    assert compiled(is_sum=True)(total)(np.array([1.0] * 99 + [np.nan]))
    assert not compiled(is_sum=True)(total)(np.array([1.0] * 100))


def test_without_a_place_to_keep_it_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(self: FunctionCache, function: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(FunctionCache, "__init__", nowhere)

    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    assert compiled()(double)(3) == 6


def test_numba_comes_without_scipy_and_keeps_its_linear_algebra() -> None:
    code = (
        "import sys, numpy as np, egbas.machine.compiled\n"
        "from numba import njit\n"
        "from numba.np import arraymath, linalg\n"
        "assert 'scipy.linalg' not in sys.modules and arraymath._HAVE_BLAS\n"
        "assert arraymath.ensure_blas is linalg.ensure_blas and linalg.ensure_blas.__module__ == 'numba.np.linalg'\n"
        "assert njit(lambda a: a @ a)(np.eye(2)).sum() == 2 and 'scipy.linalg' in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
