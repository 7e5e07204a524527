# SPDX-License-Identifier: MIT
"""``python -m egbas``: the command line, where the ``egbas`` script is not on the path."""

from egbas.cli import main

if __name__ == "__main__":
    main()
