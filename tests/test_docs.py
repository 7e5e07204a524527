# SPDX-License-Identifier: MIT
"""The pages about the words and the layout say what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "egbas"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| word")
]

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
LONGEST = 30  # words of a sentence
_FIRST_ITEM = re.compile(r"\s*(?:[-*+]|1[.)])\s+")
_NEXT_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,2}[.)])\s+")  # within a list: other lines, too, may begin with a number
_NO_PROSE = ("| ", "|-", "#", "![", "<")  # tables, headings, pictures, HTML
_ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|et al|cf|vs|etc|Fig|eq)\.")


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


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_a_page_names_are_there(page: str) -> None:
    for name in re.findall(r"`egbas\.([a-z_.]+)", (ROOT / page).read_text()):
        path = SOURCE / name.replace(".", "/")
        found = path.is_dir() or path.with_suffix(".py").is_file() or path.parent.is_dir()
        assert found or path.parent.with_suffix(".py").is_file(), f"{page} names egbas.{name}"


def paragraphs(text: str) -> Iterator[str]:
    """The prose of a page, in one line each; an item of a list is a paragraph of its own."""
    lines: list[str] = []
    fenced = in_list = False
    after_blank = True
    for line in text.splitlines():
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        code = fence or fenced or (line.startswith("    ") and after_blank and not in_list)
        item = None if code else (_NEXT_ITEM if in_list else _FIRST_ITEM).match(line)
        in_list = bool(item) or (in_list and (not after_blank or line[:1] in ("", " ")))
        prose = bool(line.strip()) and not code and not line.lstrip().startswith(_NO_PROSE)
        if lines and (item or not prose):
            yield " ".join(lines)
            lines = []
        if prose:
            lines.append(line[item.end() :] if item else line.strip())
        after_blank = not line.strip() or (after_blank and code)
    if lines:
        yield " ".join(lines)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page; code within one is one word, and what a link leads to is none."""
    for paragraph in paragraphs(text):
        plain = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "_"), paragraph)
        plain = re.sub(r"\]\([^)]*\)", "]", plain)
        yield from re.split(r"(?<=[.!?])[)\"'*_\]]*\s+", _ABBREVIATIONS.sub(r"\1", plain))


def n_words(sentence: str) -> int:
    return len(re.findall(r"\S*[\w`]\S*", sentence))


def test_sentences_are_those_of_the_prose() -> None:
    text = """# A heading. Of two sentences

**Run-in.** One sentence, e.g. with `x.y = 1. And code`, and
[a link](to/a. page) over two lines. It ends (in brackets).
64. No item begins here?

1. first item
2. second item: a - b

   still the second

# Another heading

    indented. code
    - no item. Neither

| a table. | of two |
|---|---|

```
fenced. code
- no item. Neither
```
The last one"""
    found = list(sentences(text))
    assert found == [
        "**Run-in.",
        "One sentence, e.g with `x.y_=_1._And_code`, and [a link] over two lines.",
        "It ends (in brackets).",
        "64.",
        "No item begins here?",
        "first item",
        "second item: a - b",
        "still the second",
        "The last one",
    ]
    assert [n_words(sentence) for sentence in found] == [1, 11, 4, 1, 4, 2, 4, 3, 3]


@pytest.mark.parametrize("page", [*PAGES, "benchmarks/README.md", "CHANGELOG.md"])
def test_sentences_are_short(page: str) -> None:
    told = [
        f"{page}: {n_words(sentence)} words; expected {LONGEST} at most: split it: {sentence}"
        for sentence in sentences((ROOT / page).read_text())
        if n_words(sentence) > LONGEST
    ]
    assert not told, "\n".join(told)
