# SPDX-License-Identifier: MIT
"""How long the command line takes before it works, and how long a run takes to be saved."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import egbas
from benchmarks.timing import in_turns, seconds

Row = dict[str, Any]
CALL = "import sys; from egbas.cli import main; sys.argv = ['egbas', *sys.argv[1:]]; main()"


def startup(full: bool, device: str) -> list[Row]:
    """``egbas --help`` and a run of the tree alone beside the import of torch; what of a run is work, and saving."""
    n = 7 if full else 3
    help_ = in_turns(lambda: _python("import torch"), lambda: _python(CALL, "--help"), n)
    rows: list[Row] = [{"model": None, "layer": None, "what": "egbas --help, beside: import torch", **help_}]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["explore", "--layer", "2", "--seed", "7", "--device", device, "--out", str(out), "--overwrite"]
        tree = in_turns(lambda: _python("import torch"), lambda: _python(CALL, *command, "--samples", "0"), n)
        took = sorted(seconds(lambda: _python(CALL, *command, "--quiet")) for _ in range(3))[1]
        work = sum(json.loads((out / "metrics.json").read_text())["seconds"].values())
    key = {"model": "dcgan-mnist-2d", "layer": 2}
    return [
        *rows,
        {**key, "what": "egbas explore --samples 0, beside: import torch", **tree},
        {
            **key,
            "what": "egbas explore: seconds of its stages, over all",
            "ratio": work / took,
            "rival_seconds": work,
            "seconds": took,
        },
        {**key, "what": "save, beside: explore(samples=0)", **_saving(n)},
    ]


def _saving(n: int) -> Row:
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]

    def explore() -> egbas.Exploration:
        return egbas.explore(model.generator, z0, layer=2, rng=7, samples=0)

    run = explore()
    with tempfile.TemporaryDirectory() as folder:
        return in_turns(explore, lambda: run.save(Path(folder) / "run", overwrite=True), n)


def _python(code: str, *arguments: str) -> None:
    """Run code in a process of its own, which may keep bytecode, as that of an installed package is kept."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, env=environment)
