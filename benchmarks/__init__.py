# SPDX-License-Identifier: MIT
"""Speed of egbas beside its rivals; see README.md."""
