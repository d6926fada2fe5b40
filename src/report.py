"""Tables and learning curves of finished runs.

python src/report.py results/topk
python src/report.py results/topk --key test_success_mean --figure curves.svg --line "bound=0.329"
python src/report.py results/assignment --key test_value_ratio --costs costs.svg
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from analysis.results import (
    RunRecord,
    by_method,
    cpu_seconds,
    find_runs,
    last_values,
    n_weights,
    reached,
    require_metric,
)
from utils.errors import UserError
from utils.pipes import tolerate_closed_pipe


def table(runs: list[RunRecord], key: str, level: float, with_weights: bool = False) -> str:
    """A markdown table, one row for each method, best first; each opponent has rows of its own.

    Args:
        runs: runs of one environment.
        key: the metric; its value is that of the last `evaluate=True`, else of the last greedy
            test.
        level: the row tells when the metric first reached this level during training.
        with_weights: also tell how many weights a method trains, from its checkpoints.
    """
    rows = []
    has_opponents, with_return = any(run.opponent for run in runs), key != "test_return_mean"
    for group in by_method(runs).values():
        final, returns = last_values(group, key), last_values(group, "test_return_mean")
        when = np.median([reached(r, key, level) for r in group])
        cells = [group[0].method]
        if has_opponents:
            cells.append(group[0].opponent or "-")
        cells += [str(len(group)), _text(final.mean()), _text(final.std(ddof=0))]
        cells.append(f"{_text(final.min())} to {_text(final.max())}")
        if with_return:
            cells.append(_text(returns.mean()))
        if with_weights:
            cells.append(f"{n_weights(group[0]):,}")
        cells.append(f"{cpu_seconds(group):.0f}")
        cells.append("-" if np.isinf(when) else f"{when:.0f}")
        rows.append((final.mean(), f"| {' | '.join(cells)} |"))
    head = ["method", *["opponent"] * has_opponents, "seeds", key, "sd", "range"]
    head += [*["return"] * with_return, *["weights"] * with_weights, "CPU s", f"CPU s to {level:g}"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(row for _, row in sorted(rows, reverse=True))])


def _text(x: float) -> str:
    """A rate with four decimals, a return with one."""
    return f"{x:.4f}" if abs(x) < 2 else f"{x:.1f}"


def main() -> None:
    """Print a table, and draw curves if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", help="folders that contain runs")
    parser.add_argument("--key", default="test_success_mean", help="metric (docs/metrics.md)")
    parser.add_argument("--level", type=float, default=0.957, help="level whose time is reported")
    parser.add_argument("--figure", type=Path, help="file for learning curves, .svg or .png")
    parser.add_argument("--costs", type=Path, help="file for the metric against weights and time")
    parser.add_argument("--title", default="")
    parser.add_argument("--line", action="append", default=[], metavar="LABEL=LEVEL")
    parser.add_argument("--bottom", type=float, help="lowest value that the figure shows")
    given = parser.parse_args()
    try:
        runs = find_runs(*given.roots)
        require_metric(runs, given.key)
        print(table(runs, given.key, given.level, with_weights=given.costs is not None))
    except (FileNotFoundError, UserError) as error:
        raise SystemExit(f"error: {error}") from error
    if given.costs:
        from analysis.figures import costs

        costs(runs, given.key, given.costs, given.title, given.bottom)
    if given.figure:
        from analysis.figures import learning_curves

        lines = {label: float(level) for label, _, level in (x.partition("=") for x in given.line)}
        learning_curves(runs, given.key, given.figure, given.title, lines, given.bottom)


if __name__ == "__main__":
    sys.exit(tolerate_closed_pipe(main))
