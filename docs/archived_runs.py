"""Tables, figures and pages of archived runs, made again by the commands that results pages print.

On a page, `<!-- report: HEADINGS -->` and `<!-- end -->` enclose a table. HEADINGS are those above
it in the output of `src/report.py`, such as `topk / Methods that act on their own history`.
Commands with `--figure` or `--html` write a file of docs/.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PLACE = re.compile(r"(<!-- report: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
COMMAND = re.compile(r"^    python (src/report.py docs/results/runs/.*)$", re.MULTILINE)
HEADING_OR_TABLE = re.compile(r"^(#+) (.*)$|((?:^\|.*\n)+)", re.MULTILINE)


def filled(page: str) -> str:
    """The text of a page, with each enclosed table as its commands print it today.

    Raises:
        ValueError: if no command of the page prints a table under these headings.
    """
    found = printed(page)
    unknown = {headings for _, headings, _ in PLACE.findall(page)} - found.keys()
    if unknown:
        raise ValueError(f"No command prints {sorted(unknown)}, only {list(found)}.")
    return PLACE.sub(lambda match: f"{match[1]}\n{found[match[2]]}\n{match[3]}", page)


def printed(page: str) -> dict[str, str]:
    """{headings: table} of what the page's commands print; of equal headings the first counts."""
    found: dict[str, str] = {}
    for command in COMMAND.findall(page):
        words = shlex.split(command)
        if _output(words) is not None:
            continue
        above: list[str] = []
        for marks, heading, table in HEADING_OR_TABLE.findall(_run(words)):
            if heading:
                above = [*above[: len(marks) - 2], heading]  # the report's own begin with ##
            else:
                found.setdefault(" / ".join(above), table)
    return found


def files(page: str) -> dict[str, Callable[[], str]]:
    """{path in docs/: its text as made today} of the figures and pages that commands write."""
    made: dict[str, Callable[[], str]] = {}
    for command in COMMAND.findall(page):
        words = shlex.split(command)
        place = _output(words)
        if place is not None:
            path = _file(Path(words[place])).relative_to("docs")
            made[path.as_posix()] = partial(_written, words, place)
    return made


def _written(words: list[str], place: int) -> str:
    """The text of the file that a command writes, its path being word number `place`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(words[place]).name
        _run([*words[:place], str(path), *words[place + 1 :]])
        return _file(path).read_text(encoding="utf-8")


def _file(path: Path) -> Path:
    """The file that `--figure` or `--html` writes when it is given this path."""
    return path if path.suffix else path / "index.html"


def _output(words: list[str]) -> int | None:
    """Number of the word that names the file or folder that a command writes."""
    options = [i for i, word in enumerate(words) if word in ("--figure", "--html")]
    return options[0] + 1 if options else None


def _run(words: list[str]) -> str:
    """What a command prints."""
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout
