# SPDX-License-Identifier: MIT
"""``egbas doctor``: versions, devices, embedded models and a tiny exploration: does the installation work?"""

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from egbas.cli import options, show
from egbas.version import __version__

PACKAGES = ("torch", "numpy", "numba", "safetensors", "typer", "rich", "matplotlib", "jinja2", "pillow")


def doctor(json: options.Json = False) -> None:
    """Show versions and devices and run a tiny self-test; exit code 1 when something is broken."""
    report: dict[str, str] = {"python": platform.python_version(), "system": platform.platform()}
    report |= {"egbas": __version__} | {name: _version(name) for name in PACKAGES}
    checks = {"devices": _devices, "models": _models, "self-test": _self_test}
    broken = [name for name in PACKAGES if report[name] == "missing"]
    for name, check in checks.items():
        try:
            report[name] = check()
        except Exception as error:  # a doctor reports whatever is wrong
            report[name] = f"broken: {type(error).__name__}: {error}"
            broken.append(name)
    if json:
        show.as_json(report | {"broken": broken})
    else:
        show.table(("what", "found"), list(report.items()))
    if broken:
        show.error(f"broken: {', '.join(broken)}; install egbas again, and report it if that does not help")
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _devices() -> str:
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return f"{', '.join(names)}; {torch.get_num_threads()} CPU threads"


def _models() -> str:
    from egbas.zoo.card import load_weights
    from egbas.zoo.models import WEIGHTS, cards

    listed = cards()
    for card in listed:
        load_weights(WEIGHTS, card)
    return f"{len(listed)} with the right checksum: {', '.join(card.name for card in listed)}"


def _self_test() -> str:
    from egbas.cli.selftest import self_test

    return self_test()
