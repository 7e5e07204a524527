# SPDX-License-Identifier: MIT
"""The machine that egbas runs on: threads, memory, compilation."""
