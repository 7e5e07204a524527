# SPDX-License-Identifier: MIT
"""Named models with embedded weights, one file per architecture."""
