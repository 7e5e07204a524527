# SPDX-License-Identifier: MIT
"""PGGANs of full size through the command line: ``python -m benchmarks.full_size --help``.

Checkpoint files in public layouts, with random N(0, 1) weights (the official ones cannot be had here), explored and
compared as a user would: seconds and peak memory of each command.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import types
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import machine

FOLDER = Path(__file__).parent
CHANNELS = (512, 512, 512, 512, 256, 128, 64, 32, 16)  # of the official networks, from 4 pixels
LATENT = 512


def gandissect(resolution: int) -> dict[str, Tensor]:
    """What GAN dissection saves."""
    rng, sizes = torch.Generator().manual_seed(0), (LATENT, *channels(resolution))
    state: dict[str, Tensor] = {}
    for block, (before, c) in enumerate(pairwise(sizes)):
        first = 4 if block == 0 else 3
        state[f"layer{2 * block + 1}.conv.weight"] = torch.randn(c, before, first, first, generator=rng)
        state[f"layer{2 * block + 2}.conv.weight"] = torch.randn(c, c, 3, 3, generator=rng)
        state |= {f"layer{2 * block + i}.wscale.b": torch.randn(c, generator=rng) for i in (1, 2)}
    output = f"output_{resolution}x{resolution}"
    state[f"{output}.conv.weight"] = torch.randn(3, sizes[-1], 1, 1, generator=rng)
    return state | {f"{output}.wscale.b": torch.randn(3, generator=rng)}


def gan_zoo(resolution: int) -> dict[str, Any]:
    """What pytorch_GAN_zoo saves: its config is a pickled object of its own class."""
    rng, depths = torch.Generator().manual_seed(0), channels(resolution)
    generator: dict[str, Tensor] = {}
    critic: dict[str, Tensor] = {}

    def layer(state: dict[str, Tensor], name: str, *shape: int) -> None:
        state[f"{name}.module.weight"] = torch.randn(*shape, generator=rng)
        state[f"{name}.module.bias"] = torch.randn(shape[0], generator=rng)

    layer(generator, "formatLayer", 16 * depths[0], LATENT)
    layer(generator, "groupScale0.0", depths[0], depths[0], 3, 3)
    for k, (before, d) in enumerate(pairwise(depths)):
        layer(generator, f"scaleLayers.{k}.0", d, before, 3, 3)
        layer(generator, f"scaleLayers.{k}.1", d, d, 3, 3)
        layer(critic, f"scaleLayers.{k}.0", d, d, 3, 3)
        layer(critic, f"scaleLayers.{k}.1", before, d, 3, 3)
    for k, d in enumerate(depths):
        layer(generator, f"toRGBLayers.{k}", 3, d, 1, 1)
        layer(critic, f"fromRGBLayers.{k}", d, 3, 1, 1)
    layer(critic, "groupScaleZero.0", depths[0], depths[0] + 1, 3, 3)
    layer(critic, "groupScaleZero.1", depths[0], 16 * depths[0])
    layer(critic, "decisionLayer", 1, depths[0])
    config = _base_config()
    config.__dict__.update(
        depthScale0=depths[0],
        depthOtherScales=list(depths[1:]),
        leakyReluLeak=0.2,
        perChannelNormalization=True,
        miniBatchStdDev=True,
        equalizedlR=True,
        initBiasToZero=True,
        alpha=0,
        noiseVectorDim=LATENT,
        latentVectorDim=LATENT,
        categoryVectorDim=0,
        dimOutput=3,
        lossCriterion="WGANGP",
    )
    return {"config": config, "netG": generator, "netD": critic, "avgG": generator}


def channels(resolution: int) -> tuple[int, ...]:
    """Of the blocks from 4 pixels to the resolution."""
    return CHANNELS[: (resolution // 4).bit_length()]


def _base_config() -> Any:
    modules = ["models", "models.utils", "models.utils.config"]
    sys.modules.update({name: types.ModuleType(name) for name in modules})
    kind = type("BaseConfig", (), {"__module__": modules[-1]})
    sys.modules[modules[-1]].BaseConfig = kind  # type: ignore[attr-defined]
    return kind()


LAYOUTS = {"gandissect": gandissect, "gan_zoo": gan_zoo}


def main() -> None:
    """Write the file, run the commands, add what they took to full_size.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("resolution", type=int, choices=[4 * 2**k for k in range(9)])
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4, 6])
    parser.add_argument("--commands", nargs="+", choices=["explore", "compare"], default=["explore", "compare"])
    parser.add_argument("--out", type=Path, default=FOLDER / "full_size.json")
    parser.add_argument("--keep", type=Path, help="folder to keep what egbas writes")
    parser.add_argument("--options", default="", help="for egbas, such as '--iterations 500'")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, kept = Path(folder) / "generator.pth", chosen.keep or Path(folder)
        if os.fork() == 0:  # the weights of this process would count as memory of the commands that it starts
            torch.save(LAYOUTS[chosen.layout](chosen.resolution), file)
            os._exit(0)
        os.wait()
        for layer in chosen.layers:
            for command in chosen.commands:
                out = kept / f"{command}-{chosen.layout}-{chosen.resolution}-l{layer}"
                words = [command, "--model", str(file), "--layer", str(layer), "--seed", "0", "--out", str(out)]
                row = measured([*words, "--overwrite", "--quiet", *shlex.split(chosen.options)])
                row = {"layout": chosen.layout, "resolution": chosen.resolution, "layer": layer, **row}
                row |= {"command": command, "options": chosen.options}
                if command == "explore" and row["exit"] == 0:
                    metrics = json.loads((out / "metrics.json").read_text())
                    keys = ("samples", "supporting_units", "beropt_status", "beropt_steps", "head_evaluations")
                    row |= {key: metrics[key] for key in keys} | {"stages": metrics["seconds"]}
                    row["all_inside"] = metrics["certificate"]["is_valid"]
                print(json.dumps(row), flush=True)
                note(chosen.out, row)


def measured(words: list[str]) -> dict[str, Any]:
    """Seconds and peak memory of a command, as the system counts them."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", "from egbas.cli import main; main()", *words])
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "wall_seconds": round(took, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "gigabytes": round(usage.ru_maxrss * 1024 / 1e9, 2),
    }


def note(path: Path, row: dict[str, Any]) -> None:
    """Put a row in place of that of the same command."""
    key = ("layout", "resolution", "layer", "command")
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = [old for old in rows if [old[name] for name in key] != [row[name] for name in key]]
    path.write_text(json.dumps({"machine": machine("cpu"), "rows": [*rows, row]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
