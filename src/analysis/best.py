"""The best configuration of each method on each task, as after a grid (`report.py --best`)."""

import math
from collections import defaultdict

from analysis.results import last_values
from analysis.tables import Row, Table

NOTE = (
    "Each is the best of several on these seeds, so its value is too high by chance. Run it again "
    "with fresh seeds before it is compared."
)


def best_of(table: Table) -> str:
    """For each method the row with the highest mean, beside the next best, as markdown.

    Rows with fewer seeds than others of their method are not compared with these, and named.

    Args:
        table: one task; greater values of its metric are better.
    """
    methods: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in table.rows:
        methods[row.alg, row.opponent].append(row)
    head = ["method", "of", "best", "seeds", table.key, "sd", "next best", table.key]
    lines, fewer = [], []
    for (alg, opponent), rows in methods.items():
        most = max(len(row.runs) for row in rows)
        fewer += [row for row in rows if len(row.runs) < most]
        ranked = sorted(
            (row for row in rows if len(row.runs) == most),
            key=lambda row: _rank(float(last_values(row.runs, table.key).mean())),
            reverse=True,
        )
        values = [last_values(row.runs, table.key) for row in ranked[:2]]
        name = f"{alg} vs {opponent}" if opponent else alg
        cells = [name, str(len(ranked)), ranked[0].label, str(most)]
        cells += [f"{values[0].mean():.4f}", f"{values[0].std(ddof=0):.4f}"]
        cells += [ranked[1].label, f"{values[1].mean():.4f}"] if len(ranked) > 1 else ["-", "-"]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"Not compared, with fewer seeds: {row.full_label}." for row in fewer]
    text = "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])
    return "\n\n".join([text, *notes, NOTE])


def _rank(score: float) -> float:
    """A score to sort by; no number is the worst."""
    return -math.inf if math.isnan(score) else score
