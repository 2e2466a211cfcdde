"""The HTML pages in a real browser: no error, no request, no page wider than a phone, and everything on paper."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from calibrate.report import BatchComparison, Compared, render_html
from tests import samples
from tests.report.reading import PNG

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: A proxy that nobody runs: nothing leaves the machine, and what wants to is in the log.
NOWHERE = "--proxy-server=127.0.0.1:9"
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0", NOWHERE,
)  # fmt: skip

Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page in headless Chromium; what it says on standard output and in its log."""
    if CHROMIUM is None:
        pytest.skip("needs chromium, chromium-browser or google-chrome, and none is installed")

    def run(html: str, *options: str) -> str:
        page = tmp_path / "page.html"
        page.write_text(html)
        command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri()]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return ran.stdout + ran.stderr

    return run


def spoken(log: str) -> list[str]:
    """What the page wrote to its console: Chromium logs errors and refused requests there."""
    return [line for line in log.splitlines() if ":CONSOLE" in line]


def requested(netlog: Path) -> list[str]:
    """The requests that the page made; the browser's own name no origin, and those for the page itself are files."""
    events = [event.get("params", {}) for event in json.loads(netlog.read_text())["events"]]
    urls = [params["url"] for params in events if params.get("initiator", "not an origin") != "not an origin"]
    return [url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:"))]


REPORT = render_html(samples.summary(), {7: PNG, 9: PNG})
LONG_NAMES = ("a" * 100, "imagenet-matched-frequency-224", "alpha-fixed-0.1")
COMPARISON = BatchComparison((*samples.comparison().runs, Compared(LONG_NAMES, samples.summary()))).html()

each_page = pytest.mark.parametrize("html", [REPORT, COMPARISON], ids=["report", "comparison"])


@each_page
def test_the_page_says_nothing_to_the_console_and_asks_nobody_for_anything(
    html: str, browse: Browse, tmp_path: Path
) -> None:
    netlog = tmp_path / "net.json"
    log = browse(html, f"--log-net-log={netlog}", f"--screenshot={tmp_path / 'shot.png'}")
    assert spoken(log) == []
    assert requested(netlog) == []
    assert (tmp_path / "shot.png").stat().st_size > 10_000


def test_a_page_that_does_is_found_out(browse: Browse, tmp_path: Path) -> None:
    netlog = tmp_path / "net.json"
    bad = '<!DOCTYPE html><img src="http://127.0.0.1:9/x.png"><script>console.error("bad")</script>'
    log = browse(bad, f"--log-net-log={netlog}", f"--screenshot={tmp_path / 'shot.png'}")
    assert any("bad" in line for line in spoken(log))
    assert requested(netlog) == ["http://127.0.0.1:9/x.png"]


@each_page
@pytest.mark.parametrize("width", [390, 1000])
def test_the_page_is_no_wider_than_its_window(width: int, html: str, browse: Browse) -> None:
    """Measured from outside, in a frame of that width, since the page itself may run no script."""
    open_page = re.sub(r"<meta http-equiv[^>]*>", "", html)
    frame = (
        f'<iframe id="f" style="width: {width}px; height: 900px; border: 0" srcdoc="PAGE"></iframe>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument; "
        "document.body.dataset.wide = d.documentElement.scrollWidth }</script>"
    )
    escaped = open_page.replace("&", "&amp;").replace('"', "&quot;")
    dom = browse(
        f"<!DOCTYPE html><body>{frame.replace('PAGE', escaped)}</body>", "--dump-dom", "--window-size=1200,1000"
    )
    found = re.search(r'data-wide="(\d+)"', dom)
    assert found is not None
    assert int(found[1]) <= width


def printed(html: str, browse: Browse, folder: Path) -> str:
    """What is on paper; what lies beyond its edge is not."""
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("needs pdftotext, and it is not installed")
    paper = folder / "paper.pdf"
    browse(html, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    return subprocess.run([reader, "-layout", paper, "-"], capture_output=True, text=True, check=True).stdout


def test_paper_shows_what_is_folded_on_the_screen(browse: Browse, tmp_path: Path) -> None:
    assert "<details>" in REPORT
    text = printed(REPORT, browse, tmp_path)
    assert all(layer.name in text for layer in samples.layers())
    assert '"search_alpha"' in text


def test_paper_shows_every_column_of_the_comparison(browse: Browse, tmp_path: Path) -> None:
    text = printed(COMPARISON, browse, tmp_path)
    assert "latency ratio" in text
    assert text.count("25,000") == COMPARISON.count("25,000")
