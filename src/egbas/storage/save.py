# SPDX-License-Identifier: MIT
"""Write a run directory: into a hidden folder beside the destination, which takes its place in one rename.

A run that is replaced stays whole until the new one is.
"""

import contextlib
import errno
import glob
import hashlib
import io
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as dump_tensors
from torch import Tensor

from egbas.beropt import BerOptResult
from egbas.errors import RunDirectoryError
from egbas.exploration.record import outputs_of
from egbas.exploration.result import Exploration
from egbas.figures import Gallery, samples_sheet
from egbas.machine.settings import alone
from egbas.report import galleries_of, render
from egbas.samplers.chains import Chains
from egbas.samplers.gbrrt import Tree
from egbas.storage.destination import (
    BOUNDARY,
    CONFIG,
    DONE,
    INPUTS,
    METRICS,
    PICTURE,
    REGION,
    REPORT,
    SAMPLES,
    check_destination,
    check_writable,
    finished_before,
    reason,
)

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]  # two machines may share a folder


@alone
def save_run(
    run: Exploration,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    pictures: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the run directory of an exploration, whole or not at all.

    Args:
        run: what to save.
        path: of the directory; its parents are made.
        overwrite: replace a finished run found there; it stays until the new one is complete.
        pictures: also ``samples.png`` and ``report.html``; ``add_pictures`` makes them later.
        progress: called with (images of samples computed, all of them), which takes nearly all of the time.

    Returns:
        The absolute path of the directory.

    Raises:
        RunDirectoryError: the path is taken or may not be written, or the disk is full; nothing changed then.
    """
    place = check_destination(path, overwrite)
    return write_folder(place, {**_contents(run), **(_pictures(run, progress) if pictures else {})})


def run_files(run: Exploration) -> dict[str, bytes]:
    """What a run directory holds without its pictures, by the names of its files."""
    return {name: content() for name, content in _contents(run).items()}


@alone
def add_pictures(
    run: Exploration, path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Make ``samples.png`` and ``report.html`` in the directory of a run.

    Args:
        run: as it was read from there.
        path: of the directory.
        progress: called with (images of samples computed, all of them).

    Returns:
        The two files.

    Raises:
        RunDirectoryError: the disk is full, or the directory may not be written.
    """
    places = []
    for name, content in _pictures(run, progress).items():
        places.append(Path(path).expanduser().resolve() / name)
        write_file(places[-1], content())
    return places


def save_files(contents: Mapping[str, bytes], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a directory of files, and ``DONE``, whole or not at all, as ``save_run`` does.

    Args:
        contents: name of each file and what it holds.
        path: of the directory; its parents are made.
        overwrite: replace a finished directory of the same files.

    Returns:
        The absolute path of the directory.

    Raises:
        RunDirectoryError: the path is taken or may not be written, or the disk is full; nothing changed then.
    """
    place = check_destination(path, overwrite, (*contents, DONE))
    return write_folder(place, {name: _constant(content) for name, content in contents.items()})


def save_result(
    contents: Mapping[str, bytes], path: str | os.PathLike[str], *, file: str, key: str, overwrite: bool
) -> None:
    """Write a directory as ``save_files`` does, unless another process has just written the very same.

    Args:
        contents: name of each file and what it holds.
        path: of the directory.
        file: of these, the one with the key of what determines the result.
        key: it.
        overwrite: replace a finished directory.

    Raises:
        RunDirectoryError: as ``save_files`` does, or somebody else has written another result.
    """
    try:
        save_files(contents, path, overwrite=overwrite)
    except RunDirectoryError:
        if not finished_before(Path(path), file, key, overwrite):
            raise


def _constant(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def write_folder(place: Path, contents: Mapping[str, Callable[[], bytes]], *, keep: bool = False) -> Path:
    """Write a directory of files, and ``DONE``, whole or not at all.

    Args:
        place: of the directory.
        contents: what gives each file, by its name; asked one by one.
        keep: a finished directory that is there, or that somebody else has just put there, stays.

    Raises:
        RunDirectoryError: the disk is full, or the place may not be written.
    """
    made = _first_missing(place.parent)
    partial: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not keep:  # who keeps a store sweeps it up
            _clear(place)
        prefix = f".{place.name[:64]}.{_MACHINE}-{os.getpid()}."
        partial = Path(tempfile.mkdtemp(prefix=prefix, suffix=".partial", dir=place.parent))
        for name, content in contents.items():
            _write(partial / name, content())
        _write(partial / DONE, b"")
        _settle([partial / name for name in (*contents, DONE)])
        partial.chmod(0o777 & ~_umask())
        _move_into_place(partial, place, keep)
    except OSError as error:
        raise RunDirectoryError(save_failed(place, error)) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        if not place.exists():
            _remove_empty(made, place.parent)
    return place


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write one file, whole or not at all; its parent folders are made.

    Raises:
        RunDirectoryError: the disk is full, or the place cannot be written.
    """
    place = Path(path)
    partial = place.with_name(f".{place.name}.{_MACHINE}-{os.getpid()}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear(place)
        _write(partial, content)
        _settle_one(partial)
        os.replace(partial, place)
    except OSError as error:
        raise RunDirectoryError(save_failed(place, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def folder_for(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder with its parents, and take back those that are still empty in the end.

    Raises:
        RunDirectoryError: it cannot be made, or not be written.
    """
    check_writable(path)
    place = Path(path)
    made = _first_missing(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"{place} cannot be made ({error.strerror}); name another folder with --out") from error
    try:
        yield place
    finally:
        _remove_empty(made, place)


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write one JSON file as ``write_file`` does; NaN and infinity are refused."""
    write_file(path, json_bytes(content))


def _pictures(run: Exploration, progress: Callable[[int, int], None] | None) -> dict[str, Callable[[], bytes]]:
    """What there is to look at in a run directory."""
    galleries = galleries_of(run, progress=progress)
    return {
        PICTURE: lambda: _picture(run, galleries[run.shown]),
        REPORT: lambda: text_bytes(render(run, galleries)),
    }


def _contents(run: Exploration) -> dict[str, Callable[[], bytes]]:
    """What each other file of a run directory holds; made one by one, so that only one is in memory at a time."""
    beropt, exact, beside = run.beropt, run.exact, run.network.beside.tensors()
    return {
        CONFIG: lambda: json_bytes(run.config()),
        **({} if beropt is None else {BOUNDARY: lambda: tensor_bytes(**_boundary(run, beropt))}),
        **({} if not beside else {INPUTS: lambda: tensor_bytes(**beside)}),
        SAMPLES: lambda: tensor_bytes(
            query=run.query, outputs=outputs_of(run.network, run.query), **_source(run), **_samples(run)
        ),
        **({} if exact is None else {REGION: lambda: tensor_bytes(**_region(run, exact))}),
        METRICS: lambda: json_bytes(run.metrics()),
    }


def _boundary(run: Exploration, beropt: BerOptResult) -> dict[str, Tensor]:
    thresholds = None if run.layer is None else run.network.thresholds(run.layer)
    return {
        **({} if thresholds is None else {"thresholds": thresholds}),
        **({} if run.focus is None else {"focus": run.focus.to(torch.uint8)}),
        **({} if run.certainty is None else {"frequency": run.certainty.frequency}),
        **boundary_of(beropt),
    }


def boundary_of(beropt: BerOptResult) -> dict[str, Tensor]:
    """The tensors of a supporting set, by the names that a run directory has."""
    return {
        "theta": beropt.theta,
        "units": beropt.units.to(torch.int64),
        "signs": beropt.signs.to(torch.int8),
        "losses": beropt.losses,
        "sizes": beropt.sizes,
    }


def _source(run: Exploration) -> dict[str, Tensor]:
    return {} if run.source is None else {"source": run.source.image}


def _samples(run: Exploration) -> dict[str, Tensor]:
    """What each sampler drew: a tree's under the names that they have had from the first, another's behind its own."""
    tensors: dict[str, Tensor] = {}
    for name, samples in run.samples.items():
        if isinstance(samples, Tree):
            tensors |= {
                "latents": samples.latents,
                "parents": samples.parents.to(torch.int64),
                "rejected": samples.rejected,
                "rejected_reason": samples.rejected_reason.to(torch.int8),
            }
        elif samples is not run.exact:
            tensors[f"{name}/latents"] = samples.latents
            if isinstance(samples, Chains):
                tensors[f"{name}/chain"] = samples.chain
    return tensors


def _region(run: Exploration, exact: Chains) -> dict[str, Tensor]:
    """Exact samples of the prior in the region, and what they say of each pixel."""
    tensors = {"latents": exact.latents, "chain": exact.chain}
    if run.certainty is not None and run.certainty.agreement is not None:
        tensors["freedom_over_sets"] = run.certainty.agreement.freedom
    return tensors if run.freedom is None else tensors | {"freedom": run.freedom}


def json_bytes(content: dict[str, Any]) -> bytes:
    """Content as a JSON file."""
    # NaN and infinity are no JSON: such a metric is a defect to hear of here, not in the reader's parser.
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if "\\ud" in text:  # perhaps half a character: a name of a file that is no UTF-8 has some
        text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return text_bytes(text)


def text_bytes(text: str) -> bytes:
    """Text as a file in UTF-8; a question mark stands for what is no character, as in names of files that are bytes."""
    return text.encode(errors="replace")


def tensor_bytes(**tensors: Tensor) -> bytes:
    """Tensors as a safetensors file."""
    return dump_tensors({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()})


def _picture(run: Exploration, gallery: Gallery) -> bytes:
    buffer = io.BytesIO()
    samples_sheet(gallery.shown, freedom=run.freedom, limits=gallery.limits).save(buffer, format="png")
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file, which the system may still keep in its memory."""
    path.write_bytes(content)


def _settle(paths: Sequence[Path]) -> None:
    """See files on the disk, all at once: one after another each waits for the disk; a full one is often told here."""
    with ThreadPoolExecutor(len(paths)) as threads:
        list(threads.map(_settle_one, paths))


def _settle_one(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _move_into_place(partial: Path, place: Path, keep: bool) -> None:
    """Rename the finished folder to its place; the one that was there is removed only afterwards."""
    if keep:
        try:
            os.rename(partial, place)  # an empty folder is replaced, another is not
        except OSError:
            if not (place / DONE).exists():
                raise
        return
    if not place.exists():
        os.rename(partial, place)
        return
    former = partial.with_suffix(".former")
    try:
        os.rename(place, former)
        os.rename(partial, place)
    finally:
        if former.exists() and not place.exists():  # Ctrl-C too: the former run goes back
            os.rename(former, place)
        if place.exists():
            shutil.rmtree(former, ignore_errors=True)


def _clear(place: Path) -> None:
    """Remove what processes of this machine that are no more left half-written of a place."""
    for left in place.parent.glob(f".{glob.escape(place.name[:64])}.{_MACHINE}-*.partial"):
        process = left.name.rpartition(f".{_MACHINE}-")[2].split(".")[0]
        if process.isdecimal() and int(process) != os.getpid() and not _is_alive(int(process)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _first_missing(folder: Path) -> Path | None:
    """The topmost of the folders that have to be made for ``folder``."""
    missing = None
    while not folder.exists():
        missing, folder = folder, folder.parent
    return missing


def _remove_empty(made: Path | None, lowest: Path) -> None:
    """Take back the parent folders that were made for a run that failed."""
    while made is not None and lowest.is_dir() and not any(lowest.iterdir()):
        lowest.rmdir()
        if lowest == made:
            return
        lowest = lowest.parent


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_failed(place: Path, error: OSError) -> str:
    """What to say of an error of the operating system in writing a place."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full: {place} was not written ({reason(error)}); free some space or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write {place} ({reason(error)}); name a directory elsewhere"
    return f"{place} was not written: {reason(error)}; name another directory"
