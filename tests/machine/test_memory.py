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


def test_garbage_is_still_found_and_the_end_of_the_process_looks_for_none() -> None:
    code = """
import atexit, gc, weakref
from egbas.machine.memory import collect_seldom

class Node:
    pass

atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # called after what is registered below
collect_seldom()
before = gc.get_threshold()[0]
node = Node()
node.itself, found = node, weakref.ref(node)
del node
kept = [[] for _ in range(before + 1)]
print(before > 700, found() is None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


GIVEN_BACK = """
import sys
import torch
from egbas.machine import memory

def resident():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmRSS"))

if sys.argv[1] == "keep":
    memory.keep_freed_memory()
blocks = [torch.ones(2**18) for _ in range(512)]  # a megabyte each
del blocks[::4]  # 128 in pieces
full = resident()
memory.give_back_much()
few = full - resident()
del blocks[::2]
memory.give_back_much()
much = full - resident()
print(few, much, all(bool((block == 1).all()) for block in blocks), bool((torch.ones(2**25) == 1).all()))
"""


@pytest.mark.skipif(not HAS_COUNTERS, reason="only glibc is told, and tells from version 2.33 on")
def test_much_free_memory_is_given_back_although_it_lies_in_pieces() -> None:
    command = [sys.executable, "-c", GIVEN_BACK, "keep"]
    few, much, *right = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert abs(int(few)) < 32 * 2**20  # what is free is not worth it
    assert int(much) > 280 * 2**20 and right == ["True", "True"]


@pytest.mark.skipif(not HAS_COUNTERS, reason="only glibc is told, and tells from version 2.33 on")
def test_a_library_leaves_the_memory_of_its_process_alone() -> None:
    code = "import ctypes\nfrom egbas.machine import memory\nmemory.ctypes.CDLL = None\nmemory.give_back_much()"
    subprocess.run([sys.executable, "-c", code], check=True)
