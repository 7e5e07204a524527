# SPDX-License-Identifier: MIT
"""Small files, and a program that damages them a byte at a time and reads the result: ``python damage.py FOLDER``.

It is a program of its own because the type checks of the tests compile code while they run, and here whatever is
compiled, imported or run is watched for.
"""

import codecs
import json
import pickle
import random
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

N_DAMAGES = 350  # of each file; all of them take about 8 s
# What reading must not do; "open" is left out, for the files themselves are opened.
ACTS = ("exec", "compile", "import", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "code.")


class Network:
    """Pickled as a network of the original PGGAN."""

    def __init__(self, variables: dict[str, Tensor]) -> None:
        self.version, self.build_module_src = 2, "raise SystemExit('run')"
        self.variables = [(name, value.numpy()) for name, value in variables.items()]


def small_files(folder: Path) -> dict[str, bytes]:
    """The smallest generators, 4 pixels and one channel, in every container."""
    from egbas.zoo.formats import own, read_checkpoint

    content = {"avgG": _zoo_layout(), "config": OrderedDict(alpha=0), "epoch": 3}
    files: dict[str, bytes] = {}
    for kind in ("torch legacy", "torch zip"):
        torch.save(content, folder / "whole.pt", _use_new_zipfile_serialization=kind == "torch zip")
        files[kind] = (folder / "whole.pt").read_bytes()
    files["safetensors"] = own.dump(read_checkpoint(folder / "whole.pt")[1], {})
    written = pickle.dumps(Network(_tf_layout()), protocol=2)
    files["pickle"] = written.replace(f"c{__name__}\nNetwork\n".encode(), b"ctfutil\nNetwork\n")
    files["pickle of tensors"] = pickle.dumps(content, protocol=4)
    network = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.3), nn.Linear(3, 4)).eval()
    torch.save(network, folder / "whole.pt")
    files["whole network"] = (folder / "whole.pt").read_bytes()
    return files


def _zoo_layout() -> dict[str, Tensor]:
    state = {"formatLayer.weight": torch.ones(16, 1), "formatLayer.bias": torch.ones(16)}
    state |= {"groupScale0.0.weight": torch.ones(1, 1, 3, 3), "groupScale0.0.bias": torch.ones(1)}
    return state | {"toRGBLayers.0.weight": torch.ones(3, 1, 1, 1), "toRGBLayers.0.bias": torch.ones(3)}


def _tf_layout() -> dict[str, Tensor]:
    state = {"lod": torch.tensor(0.0), "4x4/Dense/weight": torch.ones(1, 16), "4x4/Dense/bias": torch.ones(1)}
    state |= {"4x4/Conv/weight": torch.ones(3, 3, 1, 1), "4x4/Conv/bias": torch.ones(1)}
    return state | {"ToRGB_lod0/weight": torch.ones(1, 1, 1, 3), "ToRGB_lod0/bias": torch.ones(3)}


def damages(whole: bytes) -> Iterator[bytes]:
    """The file with one byte changed, anywhere: one bit, all bits, or to zero."""
    rng = random.Random(0)
    for _ in range(N_DAMAGES):
        place = rng.randrange(len(whole))
        value = rng.choice((whole[place] ^ 1 << rng.randrange(8), whole[place] ^ 255, 0))
        yield whole[:place] + bytes([value]) + whole[place + 1 :]


def outcome(path: Path) -> str:
    """What becomes of a file: "loaded", "refused", or an error that nobody foresaw."""
    from egbas.errors import CheckpointError
    from egbas.zoo.formats import build_networks, read_checkpoint

    try:
        build_networks(path, read_checkpoint(path)[1])
    except CheckpointError as error:
        return "refused" if str(error).startswith(str(path)) else f"does not name the file: {error}"
    except Exception as error:  # this is what is looked for
        return f"{type(error).__name__}: {error}"
    return "loaded"


def main(folder: Path) -> None:
    """Print, as JSON, what becomes of each file in the folder, whole and damaged, and what was run meanwhile."""
    found: list[str] = []
    watching = False

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event.startswith(ACTS):
            found.append(f"{event} {args!r:.200}")

    whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    before = {path.name: outcome(path) for path in whole}  # what is imported when first needed is imported here
    for codec in ("raw_unicode_escape", "unicode_escape", "cp437"):  # of texts in pickles and names in zip files
        codecs.lookup(codec)
    sys.addaudithook(watch)
    after: dict[str, Counter[str]] = {path.name: Counter() for path in whole}
    for path, content in whole.items():
        for damaged in damages(content):
            path.write_bytes(damaged)
            watching = True
            after[path.name][outcome(path)] += 1
            watching = False
    print(json.dumps({"whole": before, "damaged": after, "acts": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
