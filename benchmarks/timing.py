# SPDX-License-Identifier: MIT
"""Seconds of ours and of a rival, measured in turns, and what they were measured on."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import egbas

Run = Callable[[], Any]


def seconds(run: Run) -> float:
    """Wall-clock seconds of one call; on a GPU until everything is done."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def in_turns(rival: Run, ours: Run, repetitions: int, *, is_warm: bool = False) -> dict[str, float]:
    """Run both by turns, so that what else the machine does falls on both.

    Args:
        rival: to compare with.
        ours: what is measured.
        repetitions: of each.
        is_warm: both have run before; otherwise each is called once to warm up.

    Returns:
        {"ratio", "rival_seconds", "seconds"}: medians; ratio is that of the single ratios rival / ours.
    """
    if not is_warm:
        rival()
        ours()
    pairs = [(seconds(rival), seconds(ours)) for _ in range(repetitions)]
    return {
        "ratio": statistics.median(a / b for a, b in pairs),
        "rival_seconds": statistics.median(a for a, _ in pairs),
        "seconds": statistics.median(b for _, b in pairs),
    }


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured on, and with which versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "device": device,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "egbas": egbas.__version__,
        "commit": commit or None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
