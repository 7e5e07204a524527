# SPDX-License-Identifier: MIT
"""The run directory: an exploration goes in whole or not at all, and comes back as it was."""

from egbas.storage.destination import check_destination
from egbas.storage.load import load_run
from egbas.storage.save import folder_for, save_files, save_run, write_file, write_json

__all__ = ["check_destination", "folder_for", "load_run", "save_files", "save_run", "write_file", "write_json"]
