"""The report page: complete, self-contained, harmless, and alive in a browser."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.analysis.run_folders import evaluate_run, make_run
from tests.helpers import browser
from tests.helpers.browser import Browser

import report
from analysis.attention import FILE, FOLDER, AttentionMaps
from analysis.looks import METHODS
from analysis.page.colours import DARK, LEAST_CONTRAST, contrast, on_dark
from analysis.page.html import table
from analysis.page.svg import attention_map
from utils.invocation import record_command

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
ENDS_SCRIPT = "</script><script>alert(1)</script>"


def make_maps(run: Path, n_agents: int = 2) -> None:
    """Attention maps in a run's folder; agents 0 to n-1 with the actions wait and act."""
    n = 2 * n_agents
    maps = np.random.default_rng(0).dirichlet(np.ones(n), (2, 3, n))
    agents = [f"agent_{i // 2}" for i in range(n)]
    (run / FOLDER).mkdir()
    found = AttentionMaps(maps, np.ones((2, 3)), agents, ["wait", "act"] * n_agents, 9, "latest.pt")
    found.save(run / FOLDER / FILE)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two tasks, with all that can be on it; returns its folder."""
    root = tmp_path_factory.mktemp("results")
    for seed in (1, 2, 3):
        agp = make_run(
            root,
            "agp",
            seed,
            [0.0, 0.5 + seed / 10, 0.9],
            env_args={"n_agents": 6, "k": 2},
            agent_args={"a": 1},
        )
        make_run(
            root,
            "vdn",
            seed,
            [0.0, 0.3, 0.3],
            env_args={"n_agents": 6, "k": 2},
            agent_args={"a": 2},
        )
        make_run(root / "swap", "agp", seed, [0.0, seed / 3, 1.0], env="swap", env_name="swap")
    evaluate_run(agp, 0.9)
    record_command(agp, ["--config=agp", "with", "name=<b>"])
    make_maps(agp)
    (agp / "films").mkdir()
    Image.new("RGB", (40, 30)).save(agp / "films" / "latest_1.gif")
    six = {"env_args": {"n_agents": 6, "k": 2}}
    make_run(root, HOSTILE, 1, [0.0, 0.2, np.nan], lr=ENDS_SCRIPT, **six)
    make_run(root, HOSTILE, 1, [0.0, 0.2, 0.1], lr=0.5, number=2, **six)
    folder = root / "page"
    assert report.main([str(root), "--html", str(folder), "--title", "<b>Title</b>"]) == 0
    return folder


@pytest.fixture(scope="module")
def text(written: Path) -> str:
    return (written / "index.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Opening tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.code:
            self.code[self._open[-1]].append(data)


def test_names_of_runs_are_harmless(text: str) -> None:
    found = Tags(text)
    assert [t for t, _ in found.tags].count("script") == 2
    assert [a["src"] for t, a in found.tags if t == "img"] == ["films/1.gif"]
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    labels = [s["label"] for s in json.loads(found.code["script"][0])["charts"][1]["series"]]
    assert f"{HOSTILE}, lr={ENDS_SCRIPT}" in labels


def test_nothing_is_loaded_from_elsewhere(text: str) -> None:
    found = Tags(text)
    for tag, attributes in found.tags:
        for name in ("src", "href", "action", "style"):
            place = attributes.get(name) or "#"
            assert place.startswith(("#", "films/")), (tag, name, place)
    (policy,) = [a["content"] or "" for t, a in found.tags if t == "meta" and "http-equiv" in a]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for code in (found.code["style"][0], found.code["script"][1]):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_everything_is_there(text: str, written: Path) -> None:
    assert len(text) < 300_000
    assert "python src/main.py --config=agp with &#x27;name=&lt;b&gt;&#x27;" in text
    assert "not recorded: the run is older" in text
    assert "<summary>agent_args (1)</summary>" in text
    assert "layer 2, mean" in text
    assert "Over 2 tasks" in text
    assert "<h3>Evaluated with env_args.k=3</h3>" in text
    assert "<p>Dashed lines: own signals 0.3290.</p>" in text
    assert (written / "films" / "1.gif").is_file()
    for section in ("Overview", "swap", "topk"):
        assert f"<h2>{section}</h2>" in text


def test_the_same_page_each_time(written: Path, text: str) -> None:
    root = written.parent
    assert report.main([str(root), "--html", str(written), "--title", "<b>Title</b>"]) == 0
    assert (written / "index.html").read_text(encoding="utf-8") == text


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "r", "agp", 1, [0.0, 1.0])
    (tmp_path / "file").touch()
    assert report.main([str(tmp_path / "r"), "--html", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_large_maps_are_shown_between_roles(tmp_path: Path) -> None:
    make_maps(make_run(tmp_path, "agp", 1, [0.0, 1.0]), n_agents=30)
    assert report.main([str(tmp_path), "--html", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert ">agent act</text>" in text
    assert len(text) < 300_000


def test_every_square_of_a_map_is_drawn_once() -> None:
    one = np.array([[0.0, 0.5], [0.25, 1.0]])
    picture = attention_map(one, ["a", "b"], 1.0, "<")
    assert len(re.findall(r"M\d+ \d+h10", picture)) == 3  # zero is the ground
    assert 'fill-opacity="1"' in picture
    assert "&lt;" in picture


def test_pieces_of_html() -> None:
    assert "<td>&lt;</td>" in table(["a", "b"], [["x", "<"]])


def test_every_colour_is_readable_on_dark_ground() -> None:
    def channels(colour: str) -> list[int]:
        return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]

    for colour, _ in METHODS.values():
        assert contrast(channels(on_dark(colour)), channels(DARK)) >= LEAST_CONTRAST


in_browser = pytest.mark.skipif(browser.PATH is None, reason=browser.WHY_NOT)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@in_browser
def test_in_a_browser_curves_are_drawn_hovered_and_toggled(tab: Browser, written: Path) -> None:
    tab.window(1200)
    tab.open(written / "index.html")
    assert tab.complaints() == []
    assert all(url.startswith("file:") for url in tab.requests())
    assert tab.run("document.querySelectorAll('canvas').length") == 2
    ink = (
        "[...document.querySelectorAll('canvas')].map(c => c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.some(x => x > 0))"
    )
    assert tab.run(ink) == [True, True]
    tab.middle(".films img")
    tab.wait("document.querySelector('.films img').naturalWidth == 40")
    button = "document.querySelector('#curves-1 button')"
    name = tab.run(f"{button}.textContent")
    tab.mouse("mouseMoved", *tab.middle("#curves-1 .u-over"))
    assert re.search(r" -?\d\.\d{4}$", tab.run(f"{button}.textContent"))
    tab.mouse("mouseMoved", 1, 1)
    assert tab.run(f"{button}.textContent") == name
    tab.click("#curves-1 button")
    assert tab.run(f"{button}.getAttribute('aria-pressed')") == "false"
    tab.click("#curves-1 button")
    assert tab.run(f"{button}.getAttribute('aria-pressed')") == "true"


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_narrow_window_nothing_overflows(tab: Browser, written: Path, dark: bool) -> None:
    tab.window(390, dark=dark)
    tab.open(written / "index.html")
    tab.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert tab.run("document.documentElement.scrollWidth") == 390
    ground = tab.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(21, 24, 29)" if dark else "rgb(255, 255, 255)")


@in_browser
def test_without_scripts_there_are_tables(tab: Browser, written: Path) -> None:
    tab.window(1200)
    tab.open(written / "index.html", scripts=False)
    assert tab.run("document.querySelectorAll('canvas').length") == 0
    assert tab.run("document.querySelectorAll('section table').length") > 8
    assert tab.run("document.querySelector('.chart').checkVisibility()") is False
