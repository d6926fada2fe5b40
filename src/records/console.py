"""The console: a table that grows by a line at each test, and a progress bar with the time left."""

import sys
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDTH = 12
LINES_BETWEEN_HEADERS = 20


class _Console(Console):
    """A console whose reader may go away, as `head` does; rich itself would end the process."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; the run continues."""
        self.quiet = True


class RunConsole:
    """Context manager around a run's output.

    Args:
        total: environment steps of the whole run.
        done: steps done before, if the run is resumed.
        show_progress: draw the bar, if the console is a terminal.
    """

    def __init__(self, total: int, done: int, show_progress: bool):
        self._console = _Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._lines = 0
        self._progress: Progress | None = None
        self._task: Any = None
        if show_progress and self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.percentage:>5.1f} %"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=total, completed=done)

    def __enter__(self) -> "RunConsole":
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar. If the output cannot be written, the run continues."""
        with suppress(OSError):
            self._console.print(text, markup=False)

    def advance(self, env_steps: int) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=env_steps)

    def row(self, cells: dict[str, str]) -> None:
        """Print a line of the table, with the header from time to time."""
        if self._lines % LINES_BETWEEN_HEADERS == 0:
            self.say("".join(f"{name:>{max(WIDTH, len(name) + 2)}}" for name in cells))
        self.say("".join(f"{text:>{max(WIDTH, len(name) + 2)}}" for name, text in cells.items()))
        self._lines += 1


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def result_table(title: str, rows: dict[str, str]) -> str:
    """A two-column table as text."""
    width = max(len(name) for name in rows)
    lines = [title, *(f"  {name:<{width}}  {value}" for name, value in rows.items())]
    return "\n".join(lines)
