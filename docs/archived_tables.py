"""Tables of results pages, made again from the archived runs by the commands that the page prints.

On a page, `<!-- report: HEADINGS -->` and `<!-- end -->` enclose a table. HEADINGS are those above
it in the output of `src/report.py`, such as `topk / Methods that act on their own history`.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

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
        if "--figure" in command or "--html" in command:
            continue
        words = [sys.executable, *shlex.split(command)]
        output = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        above: list[str] = []
        for marks, heading, table in HEADING_OR_TABLE.findall(output):
            if heading:
                above = [*above[: len(marks) - 2], heading]  # the report's own begin with ##
            else:
                found.setdefault(" / ".join(above), table)
    return found
