# SPDX-License-Identifier: MIT
from dataclasses import replace
from html.parser import HTMLParser

from egbas.evaluation.sanity.weights import Copy
from egbas.report.sanity_page import HEADINGS, render_sanity
from tests.sanities import small_sanity


class Tags(HTMLParser):
    """Counts images and looks for what is not on the page."""

    def __init__(self) -> None:
        super().__init__()
        self.images = 0
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.elsewhere += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_has_everything_inside() -> None:
    found = small_sanity()
    page = render_sanity(found, "egbas sanity --seed 0")
    tags = Tags()
    tags.feed(page)
    assert all(url.startswith("data:image/") for url in tags.elsewhere)
    regions = 1 + 3 + 1 + 2 + len(found.sets.equal_mass)
    assert tags.images == 1 + regions * (2 + 8)
    assert "egbas sanity --seed 0" in page
    assert all(heading in page for heading in HEADINGS)
    assert found.verdicts["necessity"].split(";")[0] in page


def test_a_copy_without_a_region_and_samplers_that_were_not_compared() -> None:
    found = small_sanity()
    copies = (Copy.without_region("head", "no unit is active"), *found.weights.copies[1:])
    sampler = replace(found.sampler, z_scores={}, skipped="it is too slow.")
    page = render_sanity(replace(found, weights=replace(found.weights, copies=copies), sampler=sampler))
    assert "no unit is active" in page and "Not compared: it is too slow." in page
    assert "largest z-scores" not in page
