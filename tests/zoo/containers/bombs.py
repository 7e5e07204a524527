# SPDX-License-Identifier: MIT
"""Small files that say they are huge, and a program that reads them with little memory: ``python bombs.py FOLDER``."""

import json
import pickle
import struct
import sys
import zipfile
from pathlib import Path

ROOM = 400 * 2**20  # bytes beyond what is taken after the imports; the bombs ask for gigabytes


def bombs() -> dict[str, bytes]:
    """Files of a few megabytes at most."""
    from tests.zoo.containers.malicious import legacy, tensor, text, zipped

    huge, storage = 2**33, {"data/0": bytes(16)}
    key = "layer1.conv.weight"
    other = b"}" + text("layer1.wscale.b") + b"K\x00s"

    def numpy_array(shape: bytes, code: str, data: bytes) -> bytes:
        dtype = (
            b"cnumpy\ndtype\n("
            + text(code)
            + b"\x89\x88tR(K\x03"
            + text("<")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        array = (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01"
            + shape
            + dtype
            + b"\x89"
            + data
            + b"tb"
        )
        pair = b"(" + text("4x4/Dense/weight") + array + b"t"
        return (
            b"\x80\x04ctfutil\nNetwork\n)\x81}("
            + text("version")
            + b"K\x02"
            + text("variables")
            + b"]"
            + pair
            + b"aub."
        )

    number = pickle.dumps(huge, protocol=2)[2:-1]
    header = json.dumps({"x": {"dtype": "F32", "shape": [huge], "data_offsets": [0, 4 * huge]}}).encode()
    many = {f"data/{i}": b"" for i in range(3)}
    return {
        "deflated storage": zipped(b"\x80\x02}.", records={"data/0": bytes(2**30)}, compression=zipfile.ZIP_DEFLATED),
        "deflated pickle": zipped(b"\x80\x02" + b"N0" * 2**28, compression=zipfile.ZIP_DEFLATED),
        "central directory lies": lying(zipped(tensor((4,), (1,), 4), records=storage), b"archive/data/0", 2**31 - 1),
        "shape beyond storage": zipped(tensor((huge,), (1,), 4, name=key), records=storage),
        "steps of zero": zipped(tensor((huge, huge), (0, 0), 4, name=key), records=storage),
        "offset beyond storage": zipped(tensor((1,), (1,), 4, offset=huge, name=key), records=storage),
        "negative shape": zipped(tensor((-4,), (1,), 4, name=key), records=storage),
        "storage beyond record": zipped(tensor((huge,), (1,), huge, name=key), records=storage),
        "no storage": zipped(tensor((4,), (1,), 4, name=key), records=many),
        "legacy storage": legacy(tensor((huge,), (1,), huge), after=pickle.dumps(["0"], 2) + struct.pack("<q", huge)),
        "legacy shape": legacy(
            tensor((huge,), (1,), 4), after=pickle.dumps(["0"], 2) + struct.pack("<q", 4) + bytes(16)
        ),
        "array shape": numpy_array(b"(" + number + b"t", "f4", b"C\x04abcd"),
        "array of long items": numpy_array(b"(K\x01t", "S2147483647", b"C\x04abcd"),
        "array times zero": numpy_array(b"(" + number + b"K\x00t", "f4", b"C\x00"),
        "memo": b"\x80\x02}r\xff\xff\xff\x7f.",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
        "string": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
        "encoded again and again": b"\x80\x02"
        + text("x" * 2**20)
        + b"q\x00]"
        + b"c_codecs\nencode\nq\x010"
        + text("latin1")
        + b"q\x020"
        + b"h\x01h\x00h\x02\x86Ra" * 50_000
        + other
        + b".",
        "safetensors header": struct.pack("<Q", 2**38) + b"{" + bytes(64),
        "safetensors offsets": struct.pack("<Q", len(header)) + header + bytes(16),
        "safetensors nest": struct.pack("<Q", 2**20) + b'{"a":' + b"[" * (2**20 - 5),
    }


def lying(archive: bytes, name: bytes, size: int) -> bytes:
    """Change the sizes that the central directory tells of an entry."""
    at = archive.rindex(name) - 46
    return archive[: at + 20] + struct.pack("<II", size, size) + archive[at + 28 :]


def main(folder: Path) -> None:
    """Read every file of a folder; print for each what came of it, and at the end the memory used."""
    import resource

    import torch

    from egbas.errors import CheckpointError
    from egbas.zoo.formats import read_checkpoint

    torch.zeros(8).sum()
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {}
    for path in sorted(folder.iterdir()):
        try:
            read_checkpoint(path)
            found[path.name] = "it was read"
        except CheckpointError as error:
            found[path.name] = f"refused: {error}"
        except BaseException as error:
            found[path.name] = f"{type(error).__name__}: {error}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"files": found, "grown_mib": grown}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
