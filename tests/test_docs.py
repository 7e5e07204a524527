# SPDX-License-Identifier: MIT
"""The pages about the words and the layout say what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "egbas"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| word")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_word_has_one_sentence_and_a_module(row: list[str]) -> None:
    _, sentence, module = row
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert (SOURCE / module.strip("`")).exists()


def test_a_word_stands_once() -> None:
    words = [word.strip() for row in ROWS for word in row[0].split(",")]
    assert len(words) == len(set(words))


def test_the_layout_names_every_folder_and_no_other() -> None:
    tree = re.search(r"src/egbas/\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert tree
    told = set(re.findall(r"^ +(\w+)/", tree[1], re.MULTILINE))
    folders = {path.parent.name for path in SOURCE.rglob("__init__.py")} - {"egbas"}
    assert told == folders


@pytest.mark.parametrize("page", ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))])
def test_modules_that_a_page_names_are_there(page: str) -> None:
    for name in re.findall(r"`egbas\.([a-z_.]+)", (ROOT / page).read_text()):
        path = SOURCE / name.replace(".", "/")
        found = path.is_dir() or path.with_suffix(".py").is_file() or path.parent.is_dir()
        assert found or path.parent.with_suffix(".py").is_file(), f"{page} names egbas.{name}"
