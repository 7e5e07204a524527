# SPDX-License-Identifier: MIT
"""How the process of a command keeps its memory."""

import ctypes
import platform

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; elsewhere, nothing is changed.

    Blocks of 32 MiB and more it would give back to the system at once, and get anew, page by page, for the next
    tensor. Networks of 1024 x 1024 have little else than such tensors, and take two to three times as long then.
    For a library to do this would be rude: it concerns the whole process.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_MAX, 0)  # no block is the system's own
    mallopt(_TRIM_THRESHOLD, -1)  # none is given back
