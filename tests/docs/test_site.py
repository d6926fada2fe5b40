"""The documentation as a site: it builds strictly, and every page is readable in a browser."""

import http.server
import subprocess
import sys
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.helpers import browser
from tests.helpers.browser import Browser

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (1280, 390)
built = pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("mathjax") is None,
    reason="the extra `docs` is not installed: make site",
)
in_browser = pytest.mark.skipif(browser.PATH is None, reason=browser.WHY_NOT)
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOADED = "document.readyState == 'complete' && document.body !== null"
EQUATIONS = "document.querySelectorAll('.arithmatex').length"
DRAWN = "document.querySelectorAll('.arithmatex mjx-container svg').length"
VISIBLE = (
    "[...document.querySelectorAll('mjx-container svg')].filter(e => e.clientWidth > 3).length"
)
# Search reads all pages again on each page; it has a separate test.
NO_SEARCH = "window.Worker = class extends EventTarget { postMessage() {} terminate() {} }"
WRONG = "document.querySelectorAll('mjx-container [data-mml-node=merror]').length"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def address(site):
    """A server of the site on this machine."""
    handler = partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def visit(tab: Browser, url: str) -> None:
    """Open a page and wait until it and its equations are there."""
    tab.events.clear()
    tab.send("Page.navigate", url=url)
    tab.wait(f"location.href == {url!r} && {LOADED}")
    tab.wait(f"{EQUATIONS} <= {DRAWN}")


def faults(tab: Browser, address: str) -> dict[str, object]:
    """What is wrong with the page that is open; empty values are right."""
    words = tab.run("document.querySelector('article').innerText.split(/\\s+/).length")
    requests = [url for url in tab.requests() if not url.startswith("data:")]
    return {
        "no title": not tab.run("document.querySelector('h1').innerText"),
        "few words": words if words < 30 else 0,
        "wrong equations": tab.run(WRONG),
        "invisible equations": tab.run(f"{EQUATIONS} - {VISIBLE}"),
        "errors": tab.complaints(),
        "outside": [url for url in requests if not url.startswith(address)],
    }


@built
@in_browser
def test_every_page_is_readable_and_asks_for_nothing_outside(site, address, tmp_path):
    """Title, text, no error, no request elsewhere, no sideways scrolling, wide and narrow."""
    pages = sorted(
        p.relative_to(site).as_posix() for p in site.rglob("*.html") if p.name != "404.html"
    )
    pages.remove("results/paper_report/index.html")  # made by report.py, which has tests of it
    assert len(pages) == len(list((ROOT / "docs").rglob("*.md")))
    tab, wrong = Browser(tmp_path), []
    tab.send("Page.addScriptToEvaluateOnNewDocument", source=NO_SEARCH)
    try:
        for page in pages:
            tab.window(WIDTHS[0])
            visit(tab, f"{address}/{page}")
            for width in WIDTHS:
                tab.window(width)
                found = {"too wide": tab.run(TOO_WIDE), **faults(tab, address)}
                wrong += [(page, width, name, value) for name, value in found.items() if value]
    finally:
        tab.close()
    assert wrong == [], "\n".join(map(str, wrong))


@built
@in_browser
@pytest.mark.parametrize("opened", ["from a server", "from the disk"])
def test_search_finds_without_a_network(site, address, tmp_path, opened):
    tab = Browser(tmp_path)
    try:
        root = address if opened == "from a server" else site.as_uri()
        visit(tab, f"{root}/faq.html?q=lockstep")
        results = "document.querySelectorAll('.md-search-result__item')"
        tab.wait(f"{results}.length > 0")
        assert "Glossary" in tab.run(f"[...{results}].map(r => r.innerText).join(' ')")
        allowed = (root, "data:", "blob:", "about:")
        assert [u for u in tab.requests() if not u.startswith(allowed)] == []
        assert tab.complaints() == []
    finally:
        tab.close()
