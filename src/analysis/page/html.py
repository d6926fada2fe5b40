"""Pieces of HTML. Every text from a run is escaped here; `Html` marks what is HTML already."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Html(NamedTuple):
    """A piece of HTML, not to be escaped again."""

    text: str


Cell = str | Html


def text_of(cell: Cell) -> str:
    """A cell as HTML."""
    return cell.text if isinstance(cell, Html) else escape(cell)


def table(head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that scrolls by itself where the window is narrow; first cells are row headers."""
    top = "".join(f'<th scope="col">{text_of(cell)}</th>' for cell in head)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{text_of(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{text_of(first)}</th>{cells}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, body: str) -> str:
    """A part that opens with a click, without JavaScript."""
    return f"<details><summary>{escape(summary)}</summary>\n{body}</details>"
