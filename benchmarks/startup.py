# SPDX-License-Identifier: MIT
"""How long the command line takes before it works."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.timing import in_turns, seconds

Row = dict[str, Any]
CALL = "import sys; from egbas.cli import main; sys.argv = ['egbas', *sys.argv[1:]]; main()"


def startup(full: bool, device: str) -> list[Row]:
    """``egbas --help`` beside the import of torch, and the share of ``egbas explore`` that is work."""
    n = 7 if full else 3
    help_ = in_turns(lambda: _python("import torch"), lambda: _python(CALL, "--help"), n)
    rows: list[Row] = [{"model": None, "layer": None, "what": "egbas --help, beside: import torch", **help_}]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["explore", "--layer", "2", "--seed", "7", "--device", device, "--out", str(out), "--overwrite"]
        took = sorted(seconds(lambda: _python(CALL, *command, "--quiet")) for _ in range(3))[1]
        work = sum(json.loads((out / "metrics.json").read_text())["seconds"].values())
    key = {"model": "dcgan-mnist-2d", "layer": 2, "what": "egbas explore: seconds of its stages, over all"}
    return [*rows, {**key, "ratio": work / took, "rival_seconds": work, "seconds": took}]


def _python(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
