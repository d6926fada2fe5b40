"""What a suite shows: a table that is updated on a terminal, lines elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

REDRAW_SECONDS = 1.0
ORDER = ("running", "waiting", "queued", "failed", "done")
Row = tuple[str, ...]  # state, run, environment steps, time left, last test
HEADER = ("", "run", "steps", "left", "last test")


class Display:
    """Context manager around a suite's output.

    Args:
        rows: the rows to show now; called only where there is a terminal.
    """

    def __init__(self, rows: Callable[[], Iterable[Row]]):
        self._rows = rows
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._drawn = 0.0
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line, above the table if there is one."""
        if self._live is None:
            print(text, flush=True)
        else:
            self._console.print(Text(text))

    def redraw(self) -> None:
        """Draw the table again, if the last one is a second old."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._live.update(table(list(self._rows()), self._console.height - 5), refresh=True)


def table(rows: list[Row], room: int) -> Table:
    """The rows that matter most now, and how many there are of each state.

    Args:
        rows: one for each run of the suite.
        room: how many rows fit on the screen.
    """
    counts = Counter(row[0] for row in rows)
    title = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    shown = sorted(rows, key=lambda row: ORDER.index(row[0]))[: max(room, 1)]
    drawn = Table(title=title, title_justify="left", box=None)
    for name in HEADER:
        drawn.add_column(
            name, justify="right" if name in ("steps", "left") else "left", no_wrap=True
        )
    for row in shown:
        drawn.add_row(*map(Text, row))
    return drawn
