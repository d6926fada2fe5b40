"""The sections of the page, each a piece of HTML made from tables and runs."""

import math
from collections import defaultdict
from html import escape
from pathlib import Path

import numpy as np

from analysis import changed_evaluations
from analysis.aggregate import Aggregate
from analysis.attention import AttentionMaps, numbers_markdown, read_maps
from analysis.groups import SHORT, group_of
from analysis.looks import Look
from analysis.numbers import decimals, number, span
from analysis.overview import overview as every_method
from analysis.page.colours import colour_class
from analysis.page.curves import N_IN_TABLE, common_grid, curves_at
from analysis.page.html import Cell, Html, folded, table
from analysis.page.svg import Strip, attention_map, dots
from analysis.results import RunRecord, cpu_seconds, last_values, mean_return, n_weights
from analysis.statistics import probability_of_improvement, t_interval
from analysis.tables import Row, Table, differing, settings_of, shown
from utils.errors import UserError
from utils.invocation import recorded_commands

MOST_NODES = 48  # of a map on the page; larger ones are shown between roles


def overview(tables: list[Table], compared: Aggregate, colours: dict[str, str]) -> str:
    """Every method on every task, and the comparison over tasks where there is one."""
    found = every_method(tables)
    rows: list[list[Cell]] = []
    for method, what in found.acts_on.items():
        cells = [Html(f"<b>{text}</b>") if bold else text for text, bold in found.cells(method)]
        rows.append([method, what, *cells, found.seconds(method)])
    parts = [f"<p>{escape(found.explanation)}</p>", table(found.head, rows)]
    if len(compared.tasks) > 1 and compared.scores:
        parts.append(_over_tasks(compared, colours))
    parts += [f"<p>{escape(note)}</p>" for note in compared.notes if len(tables) > 1]
    return "\n".join(parts)


def _over_tasks(compared: Aggregate, colours: dict[str, str]) -> str:
    """Interquartile means of normalised scores, and who improves over whom."""
    bounds = ", ".join(f"{t} [{low:g}, {high:g}]" for t, (low, high) in compared.tasks.items())
    methods = list(compared.scores)
    strips, rows = [], list[list[Cell]]()
    for method in methods:
        scores, iqm = compared.scores[method], compared.iqm(method)
        every = [float(x) for task in scores for x in task]
        strips.append(Strip(method, colours[method], every, iqm.value, iqm.interval))
        cells = [
            "-" if o == method else f"{probability_of_improvement(scores, compared.scores[o]):.2f}"
            for o in methods
        ]
        low, high = iqm.interval
        what = compared.acts_on[method]
        ends = "-" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
        rows.append([method, what, f"{iqm.value:.3f}", ends, *cells])
    head = ["method", "acts on", "IQM", "95 % interval", *(f"P(> {m})" for m in methods)]
    return (
        f"<h3>Over {len(compared.tasks)} tasks</h3><p>Scores are 0 at the lower and 1 at the upper "
        f"bound of a task: {escape(bounds)}. IQM: interquartile mean, with a stratified bootstrap "
        f"interval. P(&gt; m): probability that a run scores higher than one of m.</p>"
        f"{dots(strips)}{table(head, rows)}"
    )


def results(shown_table: Table, looks: list[Look]) -> str:
    """Dots and a table of a task, the best row first."""
    key = shown_table.key
    strips, rows = list[tuple[float, Strip]](), list[tuple[float, list[Cell]]]()
    digits = decimals(*(last_values(row.runs, key) for row in shown_table.rows))
    returns = [mean_return(row.runs) for row in shown_table.rows]
    digits_of_return = decimals(np.array(returns))
    for row, look, gained in zip(shown_table.rows, looks, returns, strict=True):
        last = last_values(row.runs, key)
        mean, interval = float(last.mean()), t_interval(last)
        order = -math.inf if math.isnan(mean) else mean
        colour = colour_class(look.colour)
        values = [float(x) for x in last]
        strips.append((order, Strip(row.full_label, colour, values, mean, interval)))
        seconds = cpu_seconds(row.runs)
        group = SHORT[group_of(row.runs[0].config)]
        cells: list[Cell] = [row.full_label, group, str(len(last)), number(mean, digits)]
        cells += [span(*interval, digits), span(float(last.min()), float(last.max()), digits)]
        if key != "test_return_mean":
            cells.append(number(gained, digits_of_return))
        cells.append(_weights(row))
        cells.append("-" if math.isnan(seconds) else f"{seconds:,.0f}")
        rows.append((order, cells))
    by_score = [strip for _, strip in sorted(strips, key=lambda pair: -pair[0])]
    head = ["method", "acts on", "seeds", key, "95 % interval", "range"]
    head += [*["return"] * (key != "test_return_mean"), "weights", "CPU s"]
    body = table(head, [cells for _, cells in sorted(rows, key=lambda pair: -pair[0])])
    return (
        "<p>Each dot is a seed; the line is the 95 % t-interval of the mean (none with one "
        f"seed).</p>{dots(by_score)}{body}"
    )


def changed(shown_table: Table) -> str:
    """Tables of evaluations under other settings, with their headings; empty without any."""
    key, parts = shown_table.key, []
    head = changed_evaluations.columns(key)
    for settings, found in changed_evaluations.changed_evaluations(shown_table.rows, key).items():
        digits = decimals(*(c.values for c in found))
        rows: list[list[Cell]] = [
            [
                c.row.full_label,
                str(len(c.values)),
                number(float(c.values.mean()), digits),
                span(*t_interval(c.values), digits),
                number(float(c.as_trained.mean()), digits),
            ]
            for c in found
        ]
        parts.append(f"<h3>{escape(changed_evaluations.title(settings))}</h3>{table(head, rows)}")
    return "".join(parts)


def _weights(row: Row) -> str:
    """How many weights a method trains; a dash if there is no checkpoint to count them in."""
    try:
        return f"{n_weights(row.runs[0]):,}"
    except UserError:
        return "-"


def curves(shown_table: Table, name: str) -> str:
    """Where the script draws a task's curves, and the same as a table."""
    grid = common_grid(shown_table, N_IN_TABLE)
    means = [curves_at(r.runs, shown_table.key, grid).mean(axis=0) for r in shown_table.rows]
    digits = decimals(*means)
    rows = [
        [row.full_label, *(number(float(x), digits) for x in values)]
        for row, values in zip(shown_table.rows, means, strict=True)
    ]
    head = ["mean at step", *(f"{x:,.0f}" for x in grid)]
    known = "; ".join(f"{label} {number(x, digits)}" for label, x in shown_table.anchors.items())
    anchors = f"<p>Dashed lines: {escape(known)}.</p>\n" if known else ""
    return (
        f'<figure class="chart" id="{name}" hidden></figure>\n{anchors}'
        f"{folded('The curves as a table', table(head, rows))}"
    )


def attention(shown_table: Table) -> str:
    """Attention maps of the first run of each row that has some; empty without."""
    parts = []
    for row in shown_table.rows:
        for run in row.runs:
            found = read_maps(run.path)
            if found is not None:
                parts.append(f"<h4>{escape(row.full_label)}, seed {run.config['seed']}</h4>")
                parts.append(_maps(found))
                break
    if not parts:
        return ""
    return (
        "<h3>Attention</h3><p>Rows attend, columns are attended to; mean over greedy episodes, a "
        f"common scale in each layer.</p>{''.join(parts)}"
    )


def _maps(found: AttentionMaps) -> str:
    labels, maps = found.labels, found.maps
    if len(labels) > MOST_NODES:
        labels, maps = found.by_role()
    pictures = [
        attention_map(one, labels, float(layer.max()), f"layer {i + 1}, {name}")
        for i, layer in enumerate(maps)
        for name, one in zip(found.head_names, layer, strict=True)
    ]
    return f'<div class="maps">{"".join(pictures)}</div>{_numbers(found)}'


def _numbers(found: AttentionMaps) -> str:
    """The tables of `numbers_markdown` as HTML."""
    blocks = []
    for block in numbers_markdown(found).split("\n\n"):
        head, _, *rows = ([c.strip() for c in x.strip("|").split("|")] for x in block.split("\n"))
        blocks.append(table(head, rows))
    return folded(f"Numbers, mean of {found.n_episodes:,} episodes", "".join(blocks))


def settings(shown_table: Table) -> str:
    """The settings in which the rows differ, folded by group."""
    groups: dict[str, list[str]] = defaultdict(list)
    every = [settings_of(row.runs[0]) for row in shown_table.rows]
    for key in differing(every):
        groups[key.split(".")[0] if "." in key else "top level"].append(key)
    parts = []
    for group, keys in sorted(groups.items()):
        head = ["setting", *(row.full_label for row in shown_table.rows)]
        rows = [[key, *(shown(s, key) for s in every)] for key in keys]
        parts.append(folded(f"{group} ({len(keys)})", table(head, rows)))
    return "".join(parts) or "<p>None.</p>"


def commands(shown_table: Table) -> str:
    """The exact command of every run."""
    parts = []
    for row in shown_table.rows:
        lines = [
            f"<dt>seed {escape(str(run.config['seed']))}, <code>{escape(run.place)}</code></dt>"
            f"<dd><pre>{escape(_commands(run))}</pre></dd>"
            for run in row.runs
        ]
        parts.append(folded(row.full_label, f"<dl>{''.join(lines)}</dl>"))
    return "".join(parts)


def _commands(run: RunRecord) -> str:
    text = recorded_commands(run.path)
    return text or "not recorded: the run is older than the record of commands"


def films(shown_table: Table, names: dict[Path, str]) -> str:
    """The newest film of each row; empty without.

    Args:
        shown_table: the task.
        names: {film: its place beside the page}, filled here.
    """
    parts = []
    for row in shown_table.rows:
        found = [f for run in row.runs for f in sorted((run.path / "films").glob("*.*"))]
        found = [film for film in found if film.suffix in (".gif", ".mp4")]
        if not found:
            continue
        film = max(found, key=lambda path: path.stat().st_mtime)
        place = names.setdefault(film, f"films/{len(names) + 1}{film.suffix}")
        title = escape(f"{row.full_label}: {film}")
        picture = f'<img src="{place}" alt="{title}" loading="lazy">'
        if film.suffix == ".mp4":
            picture = f'<video src="{place}" controls loop muted preload="metadata"></video>'
        parts.append(f"<figure>{picture}<figcaption>{title}</figcaption></figure>")
    return f'<h3>Films</h3><div class="films">{"".join(parts)}</div>' if parts else ""
