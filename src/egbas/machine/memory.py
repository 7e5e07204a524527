# SPDX-License-Identifier: MIT
"""How the process of a command keeps its memory."""

import atexit
import ctypes
import gc
import platform

_is_kept = False

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4

_WORTH_GIVING_BACK = 2**28  # bytes that are free; less costs more than it is worth

_NEW_OBJECTS = 10_000  # from which on Python looks for cycles among them; 700 of its own accord


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; elsewhere, nothing is changed.

    Blocks of 32 MiB and more it would give back to the system at once, and get anew, page by page, for the next
    tensor. Networks of 1024 x 1024 have little else than such tensors, and take two to three times as long then.
    For a library to do this would be rude: it concerns the whole process.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    global _is_kept
    mallopt, _is_kept = ctypes.CDLL(None).mallopt, True
    mallopt(_MMAP_MAX, 0)  # no block is the system's own
    mallopt(_TRIM_THRESHOLD, -1)  # none is given back


def give_back_much() -> None:
    """Give much memory that is kept, and used by nothing, back to the system; for the beginning of long work.

    What one stage leaves behind lies in pieces between what is still in use, and another's tensors may not fit into
    these. Only where ``keep_freed_memory`` was called, and glibc tells how much there is (from version 2.33 on).
    """
    if not _is_kept:
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return
    libc.mallinfo2.restype = _Info
    if libc.mallinfo2().free >= _WORTH_GIVING_BACK:
        libc.malloc_trim(0)


class _Info(ctypes.Structure):
    """Of glibc's malloc.h: struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")] + [
        (name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "used", "free", "keepcost")
    ]


def collect_seldom() -> None:
    """Let Python look for garbage in cycles after many new objects instead of a few, and no more when it ends.

    It would look through all that the imports make, again and again and once more at the end, and find nothing. That
    takes a third as long as the import of torch itself. This, too, concerns the whole process.
    """
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)  # the end of the process then passes over all there is
