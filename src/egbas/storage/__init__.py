# SPDX-License-Identifier: MIT
"""The run directory: an exploration goes in whole or not at all, and comes back as it was."""

from egbas.storage.destination import check_destination
from egbas.storage.load import load_run
from egbas.storage.results import Sweep, load_sweep
from egbas.storage.save import (
    add_pictures,
    folder_for,
    run_files,
    save_files,
    save_result,
    save_run,
    write_file,
    write_json,
)
from egbas.storage.store import Store, key_of

__all__ = [
    "Store",
    "Sweep",
    "add_pictures",
    "check_destination",
    "folder_for",
    "key_of",
    "load_run",
    "load_sweep",
    "run_files",
    "save_files",
    "save_result",
    "save_run",
    "write_file",
    "write_json",
]
