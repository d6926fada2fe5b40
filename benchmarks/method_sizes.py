"""Weights that each method of a suite trains on each of its tasks, and the width they are given.

    python benchmarks/method_sizes.py paper --budget full
    python benchmarks/method_sizes.py my_suite.yaml with hidden_dim=32

Every method is built as a run builds it; nothing is trained. Mixers and critics count, target
copies do not. Methods that act on their own history come first, then those that share observations
or messages at execution.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from analysis.groups import HEADINGS, group_of
from config.plain_data import to_dict
from config.schema import RunConfig
from config.suite_file import Job, read_suite
from run import Run


def n_weights(config: RunConfig) -> int:
    """Weights that a run of this configuration trains."""
    small = dataclasses.replace(config, buffer_size=config.batch_size, batch_size_run=1)
    return sum(weights.numel() for weights in Run(small).learner.online.parameters())


def table(jobs: list[Job]) -> list[str]:
    """The lines of a markdown table, a row for each method and name of runs."""
    tasks = list(dict.fromkeys(job.config.env_name for job in jobs))
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for job in jobs:
        config = job.config
        data: dict[str, Any] = to_dict(config)
        row = rows.setdefault((HEADINGS[group_of(data)], config.alg_name, config.name), {})
        if config.env_name not in row:
            row[config.env_name] = f"{n_weights(config):,} ({config.hidden_dim})"
    lines = []
    for heading in dict.fromkeys(key[0] for key in sorted(rows, key=lambda key: key[0])):
        lines += [f"\n{heading}: weights (hidden_dim)\n", f"| method | {' | '.join(tasks)} |"]
        lines.append("|---" * (len(tasks) + 1) + "|")
        for (group, alg, name), row in rows.items():
            if group == heading:
                label = f"{alg} ({name})" if name else alg
                cells = [row.get(task, "-") for task in tasks]
                lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="its name, or a YAML file")
    parser.add_argument("--budget", help="one of the budgets of the suite's file")
    cut = sys.argv.index("with") if "with" in sys.argv else len(sys.argv)
    given, settings = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    jobs = read_suite(given.suite, settings, given.budget).jobs
    print("\n".join(table(jobs)))


if __name__ == "__main__":
    main()
