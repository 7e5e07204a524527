# SPDX-License-Identifier: MIT
"""What torch.fx writes of a forward pass: the tail as a program, folding, the last linear map below a layer."""
