# SPDX-License-Identifier: MIT
import base64
import dataclasses
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from egbas.figures import choose_spread
from egbas.report import command, galleries_of, render
from tests.runs import colour_run, exact_run, plane_run, sphere_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def plane_page() -> str:
    return render(plane_run(), galleries_of(plane_run()))


@pytest.fixture(scope="module")
def colour_page() -> str:
    return render(colour_run(), galleries_of(colour_run()))


def test_nothing_comes_from_outside(plane_page: str, colour_page: str) -> None:
    for page in (plane_page, colour_page):
        without_images = re.sub(r'src="data:image/(png|svg\+xml);base64,[^"]*"', "", page)
        assert not re.search(r"https?:|src=|<script|<link|@import|url\(", without_images)


def test_every_image_can_be_read_and_says_what_it_shows(plane_page: str) -> None:
    images = [attributes for tag, attributes in Page(plane_page).tags if tag == "img"]
    assert len(images) > 10
    for attributes in images:
        assert attributes["alt"]
        kind, content = (attributes["src"] or "").split(";base64,")
        if attributes["class"] == "chart":
            assert kind == "data:image/svg+xml"
            links = [
                link for part in ElementTree.fromstring(base64.b64decode(content)).iter() if (link := part.get("href"))
            ]
            assert all(link.startswith("data:image/png;base64,") for link in links)
        else:
            assert kind == "data:image/png"
            assert Image.open(io.BytesIO(base64.b64decode(content))).format == "PNG"


def test_first_sample_is_the_query(plane_page: str) -> None:
    samples = [a for tag, a in Page(plane_page).tags if tag == "img" and "pixels" in (a.get("class") or "")]
    assert samples[0]["class"] == "pixels query"
    assert samples[0]["alt"] == "the query"


@pytest.mark.parametrize(
    "heading",
    ["What was fixed", "What was free", "The latent plane", "The certificate", "Settings", "Do it again"],
)
def test_sections(plane_page: str, heading: str) -> None:
    assert heading in Page(plane_page).text


def test_numbers_of_the_run_are_told(plane_page: str) -> None:
    run, text = plane_run(), " ".join(Page(plane_page).text.split())
    assert f"found {len(run.beropt.units)} of them" in text
    assert f"{run.certificate.n_inside} of {run.certificate.n_samples} lie in the region" in " ".join(text.split())
    assert run.beropt.status.value in text


def test_the_plane_is_for_two_dimensions_only(colour_page: str) -> None:
    assert "The latent plane" not in Page(colour_page).text


def test_convolutions_show_where_their_units_sit(plane_page: str, colour_page: str) -> None:
    assert "feature maps" in Page(colour_page).text
    assert "feature maps" not in Page(plane_page).text


def test_names_are_escaped(plane_page: str) -> None:
    assert "small <net>" not in plane_page
    assert "small &lt;net&gt;" in plane_page


def test_warnings_are_shown_and_escaped() -> None:
    run = dataclasses.replace(plane_run(), warnings=("mind <this>",))
    page = render(run, galleries_of(run))
    assert 'class="warning"' in page
    assert "mind &lt;this&gt;" in page


def test_a_run_on_a_sphere_says_so() -> None:
    run = sphere_run()
    assert "--geometry sphere" in command(run)[0]
    page = render(run, galleries_of(run))
    assert f"sphere of radius {run.query.norm():.4g}" in Page(page).text
    away = run.geometry.distances(run.latents, run.query[None])
    alts = [attributes["alt"] or "" for tag, attributes in Page(page).tags if tag == "img"]
    shown = [float(found[1]) for alt in alts if (found := re.match(r"sample \d+, (\S+) latent units", alt))]
    assert max(shown) == pytest.approx(away.max().item(), rel=1e-2)  # the farthest sample comes first


def test_a_circle_is_drawn_in_its_plane() -> None:
    circle = dataclasses.replace(plane_run(), latent=dataclasses.replace(plane_run().latent, geometry="sphere"))
    assert "Grey: boundaries" in Page(render(circle, galleries_of(circle))).text


def test_of_samples_that_do_not_lead_only_the_pictures_are_computed() -> None:
    run, told = exact_run(), []
    galleries = galleries_of(run, progress=lambda *done: told.append(done))
    assert list(galleries) == ["prior", "tree"]
    n_images = 1 + len(run.samples["prior"].latents) + min(64, len(run.latents))
    assert told[-1] == (n_images, n_images)
    chosen = choose_spread(run.latents, 64)
    torch.testing.assert_close(galleries["tree"].shown, run.images()[chosen], rtol=0, atol=1e-6)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_opens_in_a_browser(tmp_path: Path, plane_page: str, width: int, is_dark: bool) -> None:
    (tmp_path / "report.html").write_text(plane_page)
    shot = tmp_path / "shot.png"
    # Headless windows are at least 500 pixels wide: a frame stands for the phone.
    (tmp_path / "frame.html").write_text(
        f'<body style="margin:0"><iframe src="report.html" style="border:0;width:{width}px;height:2400px"></iframe>'
    )
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={max(width, 500)},2400",
            f"--blink-settings=preferredColorScheme={0 if is_dark else 1}", f"--screenshot={shot}",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    picture = Image.open(shot).convert("RGB")
    corner = picture.getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert (sum(corner) < 200) == is_dark
    colours = picture.crop((0, 0, width, 1200)).getcolors(2**24)
    assert colours is not None
    assert len(colours) > 100  # text and pictures were drawn
