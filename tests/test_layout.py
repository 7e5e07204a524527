# SPDX-License-Identifier: MIT
"""Every source file has its test file at the mirrored path."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path.relative_to(ROOT / "src" / "egbas")
    for path in sorted((ROOT / "src" / "egbas").rglob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source_has_a_test(source: Path) -> None:
    mirror = ROOT / "tests" / source.with_name(f"test_{source.name.lstrip('_')}")
    assert mirror.is_file(), f"{source} has no {mirror.relative_to(ROOT)}"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source_names_its_licence(source: Path) -> None:
    assert (ROOT / "src" / "egbas" / source).read_text().startswith("# SPDX-License-Identifier: MIT\n")
