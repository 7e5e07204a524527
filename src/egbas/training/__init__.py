# SPDX-License-Identifier: MIT
"""How the embedded weights were made; ``recipes`` has the settings."""
