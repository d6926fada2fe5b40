"""Tables and learning curves of finished runs.

python src/report.py results/topk
python src/report.py results/topk --key test_success_mean --figure curves.svg --line "bound=0.329"
"""

import argparse
from pathlib import Path

import numpy as np

from analysis.results import RunRecord, by_method, find_runs, reached


def table(runs: list[RunRecord], key: str, level: float) -> str:
    """A markdown table, one row for each method, best first; each opponent has rows of its own.

    Args:
        runs: runs of one environment.
        key: the metric; its value is that of the last `evaluate=True`, else of the last greedy
            test.
        level: the row tells when the metric first reached this level during training.
    """
    rows = []
    has_opponents = any(run.opponent for run in runs)
    for group in by_method(runs).values():
        method = group[0].method
        if has_opponents:
            method += f" | {group[0].opponent or '-'}"
        final = np.array([r.evaluations.get(key, r.metrics[key][1][-1]) for r in group])
        returns = np.array(
            [
                r.evaluations.get("test_return_mean", r.metrics["test_return_mean"][1][-1])
                for r in group
            ]
        )
        cpu = np.median([r.metrics["cpu_seconds"][1][-1] for r in group])
        when = np.median([reached(r, key, level) for r in group])
        rows.append(
            (
                final.mean(),
                f"| {method} | {len(group)} | {final.mean():.4f} | {final.std(ddof=0):.4f} "
                f"| {final.min():.4f} to {final.max():.4f} | {returns.mean():.4f} "
                f"| {cpu:.0f} | {'-' if np.isinf(when) else f'{when:.0f}'} |",
            )
        )
    head = (
        f"| method{' | opponent' * has_opponents} | seeds | {key} | sd | range | return | CPU s "
        f"| CPU s to {level:g} |\n|---|---|---|---|---|---|---|---|{'---|' * has_opponents}"
    )
    return "\n".join([head, *(row for _, row in sorted(rows, reverse=True))])


def main() -> None:
    """Print a table, and draw curves if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", help="folders that contain runs")
    parser.add_argument("--key", default="test_success_mean", help="metric (docs/metrics.md)")
    parser.add_argument("--level", type=float, default=0.957, help="level whose time is reported")
    parser.add_argument("--figure", type=Path, help="file for learning curves, .svg or .png")
    parser.add_argument("--title", default="")
    parser.add_argument("--line", action="append", default=[], metavar="LABEL=LEVEL")
    given = parser.parse_args()
    try:
        runs = find_runs(*given.roots)
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from error
    print(table(runs, given.key, given.level))
    if given.figure:
        from analysis.figures import learning_curves

        lines = {label: float(level) for label, _, level in (x.partition("=") for x in given.line)}
        learning_curves(runs, given.key, given.figure, given.title, lines)


if __name__ == "__main__":
    main()
