# SPDX-License-Identifier: MIT
"""Innermost loops, compiled by numba on their first call and kept on disk for the next process.

Used where a loop is the algorithm itself, one decision after another, and arrays of decisions cannot say it. Numba
looks only at the file of a function to see whether what it kept is up to date: after a change to a function that
compiled ones of other files call, ``make clean``.

Write ``@no_type_check`` under it: a function that is compiled cannot be wrapped by the type checks of the tests.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.np import linalg

Function = Callable[..., Any]

# A sum may be reordered, so that it runs on vectors. NaN and infinity stay what they are.
_REORDERED = {"reassoc", "contract", "nsz"}


def _import_without_scipy() -> None:
    """Import what numba has for arrays without its look at SciPy, which takes as long as all of numba.

    That look only asks whether SciPy's linear algebra can be imported; numba asks again wherever it uses it.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    look = linalg.ensure_blas
    try:
        linalg.ensure_blas = lambda: None
        arrays: Any = importlib.import_module("numba.np.arraymath")
        arrays.ensure_blas = look
    finally:
        linalg.ensure_blas = look


_import_without_scipy()


def compiled(*, is_sum: bool = False) -> Callable[[Function], Function]:
    """Compile a function; it runs without Python's lock.

    Args:
        is_sum: it adds up numbers, in whatever order is fastest.
    """
    options = {"nogil": True, "fastmath": _REORDERED if is_sum else False}

    def compile_(function: Function) -> Function:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # neither this folder nor the user's can be written to: compiled anew in every process
            return njit(**options)(function)

    return compile_
