# SPDX-License-Identifier: MIT
"""How alike the images of samples are: the metrics of the paper's Tables 1 and 2, and some of our own."""
