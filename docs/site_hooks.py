"""Hooks of MkDocs: MathJax comes out of a package, and pages with equations load it."""

import posixpath
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SCRIPTS = "assets/mathjax"
FONT_AND_TEX = "tex-svg.js"  # TeX in, SVG out: one file with its font
SETTINGS = "settings.js"


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Note on the page whether it has an equation."""
    page.meta["has_equations"] = 'class="arithmatex"' in html
    return html


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Load MathJax where there is an equation."""
    if not page.meta["has_equations"]:
        return output
    folder = posixpath.relpath(SCRIPTS, posixpath.dirname(page.url) or ".")
    scripts = [f'<script src="{folder}/{name}"></script>' for name in (SETTINGS, FONT_AND_TEX)]
    return output.replace("</body>", "".join(scripts) + "</body>")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy MathJax into the site."""
    found = find_spec("mathjax")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("MathJax is missing. Install the extra `docs`: make site")
    source = Path(found.origin).parent / "static" / "mathjax" / "es5" / FONT_AND_TEX
    shutil.copy(source, Path(config["site_dir"]) / SCRIPTS)
