"""One self-contained page of a report: no server, no link to anywhere, readable without scripts."""

import base64
import hashlib
import json
import shutil
from html import escape
from pathlib import Path
from typing import Any

from analysis.aggregate import Aggregate
from analysis.looks import Look, axis_label, looks
from analysis.page import sections
from analysis.page.colours import colour_class, stylesheet
from analysis.page.curves import chart
from analysis.tables import Table
from utils.errors import UserError
from utils.files import reason

HERE = Path(__file__).parent
LICENCE = "uPlot 1.6, (c) Leon Sorokin, MIT licence"


def write_page(
    folder: Path,
    title: str,
    tables: list[Table],
    compared: Aggregate,
    warnings: list[str],
    banner: str = "",
) -> Path:
    """Write `index.html` into a folder, and the films beside it; returns the page's path.

    Args:
        folder: where to write; made if it is missing.
        title: of the page.
        tables: the tasks; those without rows show their notes only.
        compared: the comparison over tasks.
        warnings: what else the reader must know.
        banner: a sentence on top of the page; empty: none.

    Raises:
        UserError: if the folder cannot be written.
    """
    films: dict[Path, str] = {}
    text = page(title, tables, compared, warnings, films, banner)
    path = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for film, place in films.items():
            (folder / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(film, folder / place)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The page {path} cannot be written ({reason(error)}). Choose another folder."
        ) from error
    return path


def page(
    title: str,
    tables: list[Table],
    compared: Aggregate,
    warnings: list[str],
    films: dict[Path, str],
    banner: str = "",
) -> str:
    """The page's text; arguments as `write_page`, and `films` is filled with what it shows."""
    full = [t for t in tables if t.rows]
    of_rows = {t.task: looks([row.alg for row in t.rows]) for t in full}
    colours: dict[str, str] = {}
    for t in full:
        for row, look in zip(t.rows, of_rows[t.task], strict=True):
            colours.setdefault(row.label, colour_class(look.colour))
    charts = [chart(t, of_rows[t.task], f"curves-{i}") for i, t in enumerate(full)]
    parts = [f"<section><h2>Overview</h2>{sections.overview(full, compared, colours)}</section>"]
    parts += [_task(t, of_rows[t.task], i, films) for i, t in enumerate(full)]
    empty = [f"{t.task}: {note}" for t in tables if not t.rows for note in t.notes]
    parts += [f"<p>{escape(note)}</p>" for note in [*empty, *warnings]]
    used = [look.colour for looks_of in of_rows.values() for look in looks_of]
    style = f"{_file('uPlot.min.css')}\n{_file('page.css')}\n{stylesheet(used)}"
    script = f"{_file('uPlot.iife.min.js')}\n{_file('page.js')}"
    links = "".join(f'<a href="#task-{i}">{escape(t.task)}</a>' for i, t in enumerate(full))
    above = f'<p class="banner">{escape(banner)}</p>\n' if banner else ""
    n_runs = sum(len(row.runs) for t in full for row in t.rows)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>
{above}<p>{_count(len(full), "task")}, {_count(n_runs, "run")}</p><nav>{links}</nav></header>
<main>
{chr(10).join(parts)}
</main>
<footer><p>Curves are drawn by {LICENCE}.</p></footer>
<script type="application/json" id="data">{_data(charts)}</script>
<script>{script}</script>
</body>
</html>
"""


def _task(shown: Table, looks_of: list[Look], i: int, films: dict[Path, str]) -> str:
    """The section of one task."""
    notes = "".join(f"<p>{escape(note)}</p>" for note in shown.notes)
    return f"""<section id="task-{i}"><h2>{escape(shown.task)}</h2>
{sections.results(shown, looks_of)}
{sections.changed(shown)}
<h3>Curves: {escape(axis_label(shown.key))}</h3>
{sections.curves(shown, f"curves-{i}")}
{sections.attention(shown)}
{sections.films(shown, films)}
<h3>Settings that differ</h3>
{sections.settings(shown)}
<h3>Commands</h3>
{sections.commands(shown)}
{notes}
</section>"""


def _policy(style: str, script: str) -> str:
    """The content security policy: this style, this script, films beside the page, nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src 'self' file: data:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    """The source expression of an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(charts: list[dict[str, Any]]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps({"charts": charts}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()


def _count(n: int, name: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{n} {name}" if n == 1 else f"{n} {name}s"
