# SPDX-License-Identifier: MIT
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import egbas
from egbas.cli import app
from egbas.cli.app import explain
from egbas.errors import NetworkError, RunDirectoryError


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'egbas'; from egbas.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def typed_in(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with other variables of the environment; its output is a pipe."""
    variables = os.environ | environment
    return subprocess.run([sys.executable, "-m", "egbas", *words], capture_output=True, env=variables, check=False)


@pytest.mark.parametrize("backend", ["module://of_a_notebook", "nonsense"])
def test_a_backend_of_matplotlib_that_is_not_here(backend: str) -> None:
    code = "from egbas.cli.app import settle_surroundings; settle_surroundings(); from egbas.figures import comparison"
    drawn = subprocess.run([sys.executable, "-c", code], env=os.environ | {"MPLBACKEND": backend}, check=False)
    assert drawn.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_the_letters_of_a_path(encoding: str, tmp_path: Path) -> None:
    out = tmp_path / "\u03b5\u03bd\u03b1"
    words = ["explore", "--samples", "0", "--iterations", "20", "--max-steps", "5", "--out", str(out)]
    run = typed_in({"PYTHONIOENCODING": encoding}, *words)
    assert run.returncode == 0, run.stderr
    # click may write UTF-8 where ASCII is asked for
    assert b"\\u03b5" in run.stdout or (encoding == "ascii" and b"\xce\xb5" in run.stdout)
    again = typed_in({"PYTHONIOENCODING": encoding}, *words)  # the message of the error, too
    assert again.returncode == 2
    assert b"Traceback" not in again.stderr


@pytest.mark.skipif(os.name != "posix", reason="streams are closed by the words of a Unix shell")
@pytest.mark.parametrize("closed", [">&- 2>&-", "<&- >&- 2>&-", "2>&-"])
def test_closed_streams_are_those_of_nowhere(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "data"
    code = (
        "from egbas.cli.app import settle_surroundings; from egbas.cli import show; settle_surroundings()\n"
        f"file = open({str(file)!r}, 'w'); show.table(['a'], [[1]]); show.error('b')\n"
        "with show.progress_bar(quiet=False) as progress: progress('c', 1, 2, '')\n"
        "assert file.fileno() > 2  # nor does what native code prints go into it"
    )
    words = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code]
    assert subprocess.run(words, check=False, stdout=subprocess.PIPE).returncode == 0
    assert not file.read_text()


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["explore", "--help"], ["train", "--help"]])
def test_help_tells_the_exit_codes_and_loads_no_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom egbas.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'matplotlib', 'numba', 'scipy', 'jinja2', 'PIL'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Exit codes" in run.stdout


LOUD = """
import atexit, os, subprocess, sys
import torch, egbas
def generator():
    os.write(1, b"a C library\\n")
    sys.__stdout__.write("by its first name\\n")
    subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
    atexit.register(print, "at the end")
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 4))
    network.latent = egbas.LatentSpace(shape=(2,))
    return network.eval()
"""


def test_results_are_alone_on_stdout_whoever_writes_there(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    code = "from egbas.cli import main; main()"
    words = [sys.executable, "-c", code, "layers", "loud:generator", "--json"]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(run.stdout)
    for text in ("a C library", "by its first name", "a child", "at the end"):
        assert text in run.stderr


def test_version() -> None:
    assert typed("--version").stdout == f"egbas {egbas.__version__}\n"


@pytest.mark.parametrize(
    "words", [["explor"], ["explore", "--iterations", "many"], ["explore", "--sparcity", "3"], ["layers"]]
)
def test_wrong_usage_is_code_2(words: list[str]) -> None:
    run = typed(*words)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NetworkError("it raised"), 2, "it raised"),
        (RunDirectoryError("taken"), 2, "taken"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), 2, "no permission"),
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "out of memory"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_messages(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr("egbas.zoo.models.cards", fails)
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""


def test_a_defect_keeps_its_traceback() -> None:
    assert explain(RuntimeError("a defect")) is None


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc, where root has permission in vain")
@pytest.mark.parametrize(
    "words",
    [
        "explore",
        "path",
        "sanity",
        "compare",
        "neighbours",
        "exits runs/one",
        "sweep",
        "reproduce table1",
        "train dcgan-mnist --data .",
    ],
)
def test_a_folder_that_cannot_be_made_is_told_before_the_work(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.network.replica.Replica.__call__", lambda *_: pytest.fail("a network has been run"))
    result = CliRunner().invoke(app, [*words.split(), "--out", "/proc/x"])
    assert (result.exit_code, "/proc cannot be written" in result.stderr) == (2, True), result.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="as above")
def test_so_are_a_store_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egbas.network.replica.Replica.__call__", lambda *_: pytest.fail("a network has been run"))
    monkeypatch.setattr("egbas.zoo.convert.convert", lambda *_, **__: pytest.fail("a file has been read"))
    run = str(tmp_path / "run")
    for words in (["explore", "--store", "/proc/x", "--out", run], ["convert", "some.pt", "/proc/x/y.safetensors"]):
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, "/proc cannot be written" in result.stderr) == (2, True), result.stderr
