# SPDX-License-Identifier: MIT
import subprocess
import sys

import egbas


def test_python_m_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "egbas", "--version"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"egbas {egbas.__version__}\n", 0)
