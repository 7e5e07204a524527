# SPDX-License-Identifier: MIT
"""Where a run may be written: the names of its files, and the check before any work is done."""

import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from egbas.errors import RunDirectoryError

CONFIG = "config.json"
BOUNDARY = "boundary.safetensors"
INPUTS = "inputs.safetensors"
SAMPLES = "samples.safetensors"
REGION = "region.safetensors"
METRICS = "metrics.json"
PICTURE = "samples.png"
REPORT = "report.html"
DONE = "DONE"
FILES = (CONFIG, BOUNDARY, INPUTS, SAMPLES, REGION, METRICS, PICTURE, REPORT, DONE)


def check_finished(directory: Path) -> None:
    """Refuse what is no finished run.

    Raises:
        RunDirectoryError: so it is.
    """
    if not (directory / DONE).is_file():
        what = "holds an unfinished run" if directory.is_dir() else "is no directory"
        what = "is a sweep, whose runs lie in its folder tasks" if (directory / "tasks").is_dir() else what
        raise RunDirectoryError(
            f"{directory} {what}; expected one with a file {DONE}, as 'egbas explore' and 'egbas sweep' write it"
        )


def check_destination(path: str | os.PathLike[str], overwrite: bool = False, files: Collection[str] = FILES) -> Path:
    """Say whether a run may be written at ``path``, before any work is done for it.

    A finished run is replaced only when asked to; what an interrupted one left may be replaced; a folder
    that holds anything that is not of a run is never touched.

    Args:
        path: of the directory.
        overwrite: whether a finished run there may be replaced.
        files: names that a run of its kind has.

    Returns:
        The absolute path.

    Raises:
        RunDirectoryError: the path is taken or cannot be written.
    """
    try:
        directory = Path(path).expanduser().resolve()
        _check_directory(directory, overwrite, files)
    except RunDirectoryError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise RunDirectoryError(
            f"{path} cannot be used as a run directory: {reason(error)}; name another one"
        ) from error
    return directory


def check_several(path: str | os.PathLike[str], files: Collection[str]) -> None:
    """Refuse a directory that holds one result of its own, where several are to have a folder each in it.

    Args:
        path: of the directory.
        files: names that a result of its kind has.

    Raises:
        RunDirectoryError: so it is.
    """
    directory = Path(path).expanduser().resolve()
    taken = sorted(set(files) & _names(directory))
    if taken:
        raise RunDirectoryError(
            f"{directory} holds one result itself ({', '.join(taken[:3])}), and several are asked for, which have a "
            "folder each in --out; name another directory"
        )


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def finished_before(directory: Path, file: str, key: str, overwrite: bool) -> bool:
    """Whether a directory holds the very result that is asked for, which need not be made again then.

    Args:
        directory: of the result.
        file: in it, JSON with the key of what determines the result.
        key: that is asked for.
        overwrite: a finished result is made again.

    Raises:
        RunDirectoryError: it holds a finished result of other settings.
    """
    if overwrite or not (directory / DONE).exists():
        return False
    try:
        found = json.loads((directory / file).read_text(encoding="utf-8")).get("key")
    except (OSError, ValueError, AttributeError):
        found = None
    if found != key:
        raise RunDirectoryError(
            f"{directory} holds a finished result of other settings; pass --overwrite to replace it, or name another "
            "directory with --out"
        )
    return True


def _check_directory(directory: Path, overwrite: bool, files: Collection[str]) -> None:
    if directory.exists() and not directory.is_dir():
        raise RunDirectoryError(f"{directory} is a file; a run needs a directory: name another one")
    if not directory.exists():
        _check_parent(directory)
        return
    names = sorted(entry.name for entry in directory.iterdir())
    foreign = [name for name in names if name not in files]
    inner = [name for name in foreign if set(files) & _names(directory / name)]
    if inner and inner == foreign:
        raise RunDirectoryError(
            f"{directory} holds several results, a folder each ({', '.join(inner[:3])}), and one is asked for; name "
            "another directory, or one of these folders"
        )
    if foreign:
        some = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise RunDirectoryError(
            f"{directory} holds what egbas did not write ({some}); it is left alone: name another directory"
        )
    if DONE in names and not overwrite:
        raise RunDirectoryError(
            f"{directory} holds a finished run; "
            "pass --overwrite (overwrite=True) to replace it, or name another directory"
        )
    cwd = Path.cwd()
    if directory == cwd or directory in cwd.parents:
        raise RunDirectoryError(
            f"{directory} is the directory you are in; name a new one inside it, such as {directory / 'run'}"
        )
    _check_parent(directory)


def _check_parent(directory: Path) -> None:
    above = directory.parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise RunDirectoryError(f"{above} is a file, so {directory} cannot be made; name another directory")
    _check_writable(above)


def check_writable(directory: str | os.PathLike[str], option: str = "") -> None:
    """Refuse a folder that cannot be written, or cannot be made; before any work.

    Args:
        directory: the folder.
        option: that named it, such as ``--store``.

    Raises:
        RunDirectoryError: so it is.
    """
    try:
        place = Path(directory).expanduser().resolve()
        if place.is_dir():
            _check_writable(place)
        elif place.exists():
            raise RunDirectoryError(f"{option} {directory} is a file; name a folder".lstrip())
        else:
            _check_parent(place)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, RunDirectoryError):
            raise
        raise RunDirectoryError(f"{directory} cannot be used as a folder: {reason(error)}; name another one") from error


def _check_writable(folder: Path) -> None:
    """Make a folder in it and take it back: root has every permission, also where nothing can be made."""
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".egbas.", suffix=".partial", dir=folder))
    except OSError as error:
        raise RunDirectoryError(f"{folder} cannot be written ({reason(error)}); name a directory elsewhere") from error


def reason(error: Exception) -> str:
    """What an error of the operating system says, without its number and path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
