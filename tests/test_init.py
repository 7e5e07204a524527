# SPDX-License-Identifier: MIT
import subprocess
import sys

import pytest

import egbas


def in_a_fresh_process(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_import_does_not_load_torch() -> None:
    assert in_a_fresh_process("import egbas, sys; print(egbas.__version__, 'torch' in sys.modules)") == (
        f"{egbas.__version__} False"
    )


@pytest.mark.parametrize("name", sorted(egbas._HOME))
def test_public_name_is_there(name: str) -> None:
    assert getattr(egbas, name).__name__ == name
    assert name in dir(egbas)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'egbas' has no attribute 'explor'"):
        _ = egbas.explor


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import egbas.exploration.explore",
        "from egbas.exploration.explore import Exploration",
        "egbas.explore; import egbas.exploration.explore",
        "import egbas.storage",
        "import egbas.cli",
    ],
)
def test_explore_is_the_function_whatever_was_imported_before(before: str) -> None:
    code = f"import egbas\n{before}\nprint(type(egbas.explore).__name__, egbas.explore.__name__)"
    assert in_a_fresh_process(code) == "function explore"


def test_explore_module_can_still_be_imported_from() -> None:
    code = "import egbas; egbas.explore; from egbas.exploration.explore import SAMPLES; print(SAMPLES)"
    assert in_a_fresh_process(code) == "100"
