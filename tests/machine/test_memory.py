# SPDX-License-Identifier: MIT
import ctypes
import platform
import subprocess
import sys

import pytest

SHOWN = """
import ctypes
import torch
from egbas.machine.memory import keep_freed_memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd rest".split()]
    _fields_ += [(f"more{i}", ctypes.c_size_t) for i in range(4)]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Info
of_its_own = mallinfo2().hblkhd
large = torch.ones(2**24)
print(mallinfo2().hblkhd - of_its_own)
del large
keep_freed_memory()
of_its_own = mallinfo2().hblkhd
large = torch.ones(2**24)
kept = mallinfo2().arena
print(mallinfo2().hblkhd - of_its_own)
del large
print(kept - mallinfo2().arena)
"""


HAS_COUNTERS = platform.libc_ver()[0] == "glibc" and hasattr(ctypes.CDLL(None), "mallinfo2")


@pytest.mark.skipif(not HAS_COUNTERS, reason="only glibc is told, and tells from version 2.33 on")
def test_freed_tensors_stay_with_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True, check=True)
    before, after, given_back = map(int, done.stdout.split())
    assert before >= 4 * 2**24  # a block of the system's own, as large as the tensor
    assert (after, given_back) == (0, 0)
