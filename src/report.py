"""Tables, figures and a page of finished runs: one table for each task, one row per configuration.

python src/report.py results
python src/report.py results/topk --key test_success_mean --figure curves.svg --line "bound=0.329"
python src/report.py results/assignment --costs costs.svg --dots dots.svg
python src/report.py results --html report --export marl-eval
python src/report.py results --paper-figure 4
python src/report.py results --difference "graph=agp - vdn_joint"
python src/report.py results/topk --archive topk.tar.xz
python src/report.py @results/paper_tiny_report/runs.txt --groups --banner "Very short runs"
"""

import argparse
import json
import math
import sys
from pathlib import Path

from analysis.aggregate import Aggregate, aggregate, aggregate_markdown
from analysis.archive import placed, unpacked, write_archive
from analysis.best import best_of
from analysis.bounds import Bounds, read_bounds, with_anchors
from analysis.differences import differences, differences_markdown, parse_differences
from analysis.export import marl_eval
from analysis.groups import grouped
from analysis.markdown import changed_markdown, markdown
from analysis.overview import overview
from analysis.results import (
    CLOCKS,
    RunRecord,
    find_runs,
)
from analysis.tables import LEVELS, Table, tables
from utils.command import guarded
from utils.errors import UserError
from utils.files import reason
from utils.invocation import as_typed

ENDINGS = (".svg", ".png", ".pdf")
FIGURES = ("figure", "costs", "dots", "profiles")  # options that name a file for a figure
MARL_EVAL = Path("marl_eval.json")
MOST_ROOTS = 5  # folders that a page's title names


def reference_lines(texts: list[str]) -> dict[str, float]:
    """The arguments of `--line`, `LABEL=LEVEL` each, as {label: level}.

    Raises:
        UserError: if one has no label or no number.
    """
    lines = {}
    for text in texts:
        label, _, level = text.rpartition("=")
        try:
            lines[label] = float(level)
        except ValueError:
            lines[label] = math.nan
        if not label or not math.isfinite(lines[label]):
            raise UserError(
                f"--line '{text}' is not a label and a number. Write it like "
                f'--line "random play=0.3".'
            )
    return lines


def writable_figure(path: Path | None, flag: str) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        UserError: naming the flag and what to write instead.
    """
    if path is None:
        return
    if path.suffix not in ENDINGS:
        raise UserError(
            f"{flag} {path}: the ending '{path.suffix}' is no format of figures. End the name in "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}."
        )
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {path.parent}. Make it first.")


def draw(table: Table, given: argparse.Namespace, lines: dict[str, float], several: bool) -> None:
    """The figures asked for; with several tasks, each file's name ends in the task's."""
    from analysis.figures import costs, learning_curves, seed_dots

    title = table.task if given.title is None else given.title

    def place(wanted: Path) -> Path:
        name = f"{wanted.stem}-{table.task}{wanted.suffix}" if several else wanted.name
        return wanted.with_name(name)

    if given.figure is not None:
        drawn = (title, table.anchors | lines, given.bottom, given.clock, given.banner)
        learning_curves(table.rows, table.key, place(given.figure), *drawn)
    if given.costs is not None:
        costs(table.rows, table.key, place(given.costs), title, given.bottom, given.banner)
    if given.dots is not None:
        seed_dots(table.rows, table.key, place(given.dots), title, given.banner)


def draw_paper_figure(given: argparse.Namespace, runs: list[RunRecord]) -> int:
    """Draw a figure laid out like one of the paper's."""
    from analysis.paper_figures import paper_figure
    from analysis.paper_layouts import LAYOUTS

    key = LAYOUTS[given.paper_figure].key
    path = given.figure or Path(f"figure{given.paper_figure}.svg")
    bounds = read_bounds(given.bounds)
    shown = [with_anchors(table, bounds) for table in tables(runs, key, given.unfinished)]
    paper_figure(given.paper_figure, shown, path, given.banner)
    print(path)
    return 0


def compare(
    given: argparse.Namespace, shown: list[Table], bounds: Bounds, warnings: list[str]
) -> None:
    """What is asked for of all tasks together: comparison, profiles, export, page."""
    compared = aggregate(shown, bounds)
    if sum(bool(table.rows) for table in shown) > 1:
        print(overview(shown).markdown() + "\n")
    if len(compared.tasks) > 1 and compared.scores:
        print(aggregate_markdown(compared) + "\n")
    if len(shown) > 1:
        print("\n".join(compared.notes))
    if given.difference:
        found, notes = differences(shown, parse_differences(given.difference))
        print(f"\n## Differences\n\n{differences_markdown(found)}\n")
        print("\n".join(notes))
    if given.profiles is not None:
        _draw_profiles(compared, given.profiles, given.banner)
    if given.export is not None:
        try:
            MARL_EVAL.write_text(json.dumps(marl_eval(shown), indent=1), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{MARL_EVAL} cannot be written here ({reason(error)}).") from error
        print(f"Results in marl-eval's format: {MARL_EVAL}")
    if given.html is not None:
        from analysis.page.write import write_page

        several = len(given.roots) > MOST_ROOTS
        what = f"{len(given.roots)} folders" if several else ", ".join(given.roots)
        title = given.title or f"Results of {what}"
        page = write_page(given.html, title, shown, compared, warnings, given.banner)
        print(f"Page: {page}")


def _draw_profiles(compared: Aggregate, path: Path, banner: str) -> None:
    from analysis.figures import profiles

    if not compared.scores:
        raise UserError(
            "--profiles needs normalised scores, and no task has bounds. Give some by --bounds."
        )
    profiles(compared, path, banner)


def markdown_of(table: Table, given: argparse.Namespace) -> list[str]:
    """A task's markdown tables: one, or one for each group of methods with its heading."""
    level = LEVELS.get((table.task, table.key)) if given.level is None else given.level
    parts = []
    for heading, rows in grouped(table.rows) if given.groups else [("", table.rows)]:
        parts += [f"### {heading}"] if heading else []
        parts.append(markdown(rows, table.key, level, given.costs is not None))
    return parts


def report(given: argparse.Namespace) -> int:
    """Print a table for each task, and draw and write what is asked for."""
    lines = reference_lines(given.line)
    for name in FIGURES:
        writable_figure(getattr(given, name), f"--{name}")
    with unpacked(given.roots) as folders:
        runs, notes = find_runs(*folders)
        runs = placed(runs, folders)
        if given.archive is not None:
            write_archive(given.archive, runs)
            print(f"{len(runs)} runs: {given.archive}")
            return 0
    if given.paper_figure is not None:
        return draw_paper_figure(given, runs)
    bounds = read_bounds(given.bounds)
    shown = [with_anchors(table, bounds) for table in tables(runs, given.key, given.unfinished)]
    print(f"**{given.banner}**\n\n" * bool(given.banner), end="")
    for table in shown:
        parts = [f"## {table.task}"]
        if table.rows:
            parts += markdown_of(table, given)
            parts += [best_of(table)] if given.best else []
            parts += changed_markdown(table.rows, table.key)
            draw(table, given, lines, several=sum(bool(t.rows) for t in shown) > 1)
        print("\n\n".join([*parts, *table.notes]) + "\n")
    compare(given, shown, bounds, notes)
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )
    parser.add_argument(
        "roots",
        nargs="+",
        help="folders that contain runs, archives of runs; @FILE: those in a file, one a line",
    )
    parser.add_argument(
        "--key",
        help="metric (docs/reference/metrics.md); by default the success rate where the task has "
        "one, else the value ratio, else the return",
    )
    parser.add_argument("--level", type=float, help="say when the metric first reached this level")
    parser.add_argument("--unfinished", action="store_true", help="also runs short of their t_max")
    parser.add_argument("--best", action="store_true", help="also the best row of each method")
    parser.add_argument("--figure", type=Path, help="file for learning curves, .svg, .png or .pdf")
    parser.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="env_steps",
        help="what the curves of --figure are drawn against",
    )
    parser.add_argument("--costs", type=Path, help="file for the metric against weights and time")
    parser.add_argument("--dots", type=Path, help="file for every seed as a dot, with intervals")
    parser.add_argument(
        "--difference",
        action="append",
        default=[],
        metavar="'NAME=METHOD - METHOD'",
        help="also the difference of two rows on each task, with Welch's interval",
    )
    parser.add_argument("--profiles", type=Path, help="file for performance profiles over tasks")
    parser.add_argument(
        "--archive", type=Path, help="only write these runs, without checkpoints, to a .tar.xz file"
    )
    parser.add_argument("--bounds", type=Path, help="YAML with bounds and anchors of metrics")
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="write a page to look at")
    parser.add_argument("--export", choices=["marl-eval"], help=f"write {MARL_EVAL}")
    parser.add_argument(
        "--paper-figure", type=int, choices=(2, 3, 4), help="only draw curves like this figure"
    )
    parser.add_argument(
        "--groups", action="store_true", help="split tables by what the methods act on"
    )
    parser.add_argument("--banner", default="", help="a sentence on top of all that is shown")
    parser.add_argument("--title", help="above the figures; by default the task")
    parser.add_argument("--line", action="append", default=[], metavar="LABEL=LEVEL")
    parser.add_argument("--bottom", type=float, help="lowest value that the figure shows")
    given = parser.parse_args(argv)
    return guarded(lambda signals: report(given))


if __name__ == "__main__":
    sys.exit(main())
