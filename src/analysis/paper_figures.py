"""Curves laid out like Figures 2, 3 and 4 of the paper (arXiv 2602.17009).

Figure 2: success on both Top-K games, AGP and the baselines. Figure 3: AGP, its two ablations and
AGP-PG there. Figure 4: return on six particle tasks, AGP and the baselines. Lines are means over
seeds; plus and minus one standard deviation over seeds is shaded, as the paper does. Curves that
begin far below random play are cut there.
"""

from pathlib import Path

import matplotlib

from analysis.figures import reference_lines, save_figure
from analysis.looks import axis_label, looks
from analysis.paper_layouts import LAYOUTS, SUCCESS
from analysis.results import curves_on_grid
from analysis.tables import Row, Table

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

RANDOM_PLAY = "random play"  # an anchor of `bounds.yaml`
CUT = 0.1  # how far below it a panel goes, as a share of the distance to the highest anchor


def paper_figure(number: int, tables: list[Table], path: Path, banner: str = "") -> None:
    """Draw one of the figures; a panel without runs says so.

    Args:
        number: 2, 3 or 4.
        tables: tasks, read with the figure's metric (`LAYOUTS[number].key`).
        path: file to write; its ending decides the format.
        banner: see `save_figure`.

    Raises:
        UserError: if the file cannot be written.
    """
    layout = LAYOUTS[number]
    n_rows = len(layout.panels) // layout.columns
    figure, axes = plt.subplots(
        n_rows,
        layout.columns,
        figsize=(4.2 * layout.columns, 3.1 * n_rows + 0.6),
        layout="constrained",
        squeeze=False,
    )
    found = {table.task: table for table in tables}
    legend: dict[str, Artist] = {}
    for axis, (task, title) in zip(axes.flat, layout.panels, strict=True):
        axis.set(title=title, xlabel="environment steps", ylabel=axis_label(layout.key))
        axis.grid(alpha=0.3)
        if layout.key == SUCCESS:
            axis.set_ylim(-0.02, 1.02)
        rows = _rows(found[task], layout.algs) if task in found else []
        if rows:
            _panel(axis, title, rows, found[task])
        else:
            axis.set(xticks=[], yticks=[])
            axis.text(0.5, 0.5, "no runs", ha="center", transform=axis.transAxes, color="gray")
        labelled = axis.get_legend_handles_labels()
        legend |= dict(zip(labelled[1], labelled[0], strict=True))
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    save_figure(figure, path, banner)


def _rows(table: Table, algs: tuple[str, ...]) -> list[Row]:
    """The rows of these methods; those of named variants only where a method has no other."""
    rows = [row for row in table.rows if row.alg in algs]
    plain = {row.alg for row in rows if row.runs[0].method == row.alg}
    return [row for row in rows if row.alg not in plain or row.runs[0].method == row.alg]


def _panel(axis: Axes, title: str, rows: list[Row], table: Table) -> None:
    """The curves of a task.

    An opponent that all of them play against stands in the title, so that the panels share labels.
    """
    opponents = {row.opponent for row in rows}
    if len(opponents) == 1:
        axis.set_title(" vs ".join(filter(None, (title, *opponents))))
    for row, look in zip(rows, looks([row.alg for row in rows]), strict=True):
        grid, values = curves_on_grid(row.runs, table.key)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        label = row.label if len(opponents) == 1 else row.full_label
        axis.plot(grid, mean, color=look.colour, linestyle=look.line, label=label)
        low, high = mean - spread, mean + spread
        axis.fill_between(grid, low, high, color=look.colour, alpha=0.15, linewidth=0)
    reference_lines(axis, table.anchors)
    if RANDOM_PLAY in table.anchors:
        random_play, highest = table.anchors[RANDOM_PLAY], max(table.anchors.values())
        cut = random_play - CUT * (highest - random_play)
        axis.set_ylim(bottom=max(axis.get_ylim()[0], cut))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
