# SPDX-License-Identifier: MIT
"""Models, queries and devices by the names that people type: for the command line and for a page alike."""
