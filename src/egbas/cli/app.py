# SPDX-License-Identifier: MIT
"""The Typer application: its commands, and the one place where errors become messages and exit codes."""

import errno
import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from egbas.cli import (
    checkpoints,
    compare,
    doctor,
    estimate,
    exits,
    explore,
    models,
    neighbours,
    path,
    report,
    reproduce,
    sanity,
    show,
    train,
)
from egbas.cli.sweep import sweep
from egbas.errors import ConfigError, EgbasError
from egbas.machine.memory import collect_seldom, keep_freed_memory
from egbas.version import __version__

EXIT_UNFINISHED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_NO_MEMORY = "not enough memory", "can't allocate memory"  # as torch says it on Windows and elsewhere

EPILOG = (
    "Exit codes: 0 done; 1 could not be finished (out of memory, a broken installation); "
    "2 bad input, a network that fails, or a full disk; 130 Ctrl-C."
)


class Commands(TyperGroup):
    """Run a command and turn what it raises into one message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see ``explain`` for what its errors become."""
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            known = explain(error)
            if known is None:
                raise
            message, code = known
            show.error(message)
            raise typer.Exit(code) from None


class Command(TyperCommand):
    """A command whose results are all that stdout gets, and that takes each option once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            ConfigError: an option that has one value is given twice, of which one would be lost without a word.
        """
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for each in self.get_params(ctx):
            is_single = not each.multiple and not getattr(each, "is_flag", True)  # an argument has no such word
            if is_single and order.count(each) > 1 and not ctx.resilient_parsing:
                name = max(each.opts, key=len)
                raise ConfigError(
                    f"{name} is given {order.count(each)} times, and takes one value (the last is "
                    f"{values[each.name]!r}); leave all but one out{self._listing(each)}"
                )
        return super().parse_args(ctx, args)

    def _listing(self, option: Any) -> str:
        """A hint where an option takes a list."""
        is_list = option.metavar == "LIST"
        return ", or write a list such as 1,2" if is_list else ""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with show.results_alone():
            return super().invoke(ctx)


def explain(error: BaseException) -> tuple[str, int] | None:
    """Find the message and exit code of an error, or None for a defect, which keeps its traceback."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was left half-written", EXIT_INTERRUPTED
    if isinstance(error, EgbasError):
        return str(error), EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error}); free some space or write elsewhere", EXIT_BAD_INPUT
    if isinstance(error, PermissionError):
        return f"no permission: {error}; write elsewhere", EXIT_BAD_INPUT
    torch = sys.modules.get("torch")
    # torch has no class for it
    is_cpu_memory = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    is_memory = isinstance(error, MemoryError) or is_cpu_memory
    if is_memory or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return "out of memory; use a smaller layer, fewer --iterations, or another --device", EXIT_UNFINISHED
    return None


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"egbas {__version__}")
        raise typer.Exit
    return wanted


app = typer.Typer(
    name="egbas",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Explore what a layer of a generative network holds fixed around an image, and what it leaves free."""


for command in (
    explore.explore,
    exits.exits,
    path.path,
    neighbours.neighbours,
    sanity.sanity,
    estimate.estimate,
    compare.compare,
    models.layers,
    models.models,
    checkpoints.inspect,
    checkpoints.convert,
    reproduce.reproduce,
    sweep,
    report.report,
    train.train,
    doctor.doctor,
):
    app.command(cls=Command, epilog=EPILOG)(command)


def settle_surroundings() -> None:
    """Let neither the environment nor a console's encoding fail a command after its work is done.

    Figures go into files, whatever shows them where the command was typed: notebooks set ``MPLBACKEND`` to one of
    theirs, which matplotlib may not have here. Letters that an encoding lacks are told by their numbers. Where a stream
    is closed (``2>&-``, some services), what goes to it is lost, and no file that is opened later takes its place.
    """
    os.environ["MPLBACKEND"] = "agg"
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line; what the ``egbas`` script calls."""
    settle_surroundings()
    collect_seldom()
    keep_freed_memory()
    show.keep_descriptor()
    app()
