# SPDX-License-Identifier: MIT
"""Experiments whose tables stand in the docs, one file each; ``egbas reproduce NAME`` runs one."""
