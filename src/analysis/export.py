"""Results in the format that marl-eval reads (github.com/instadeepai/marl-eval, README)."""

from typing import Any

import numpy as np

from analysis.results import RunRecord, last_values
from analysis.tables import Table


def marl_eval(tables: list[Table]) -> dict[str, Any]:
    """{environment: {task: {algorithm: {run: {step_k: metrics, absolute_metrics: metrics}}}}}.

    Metrics are those that every run of the row measured in greedy tests, without `test_`. Each list
    holds one number, the mean over the episodes of the test. The absolute metrics are those of the
    last `evaluate=True`, else of the last greedy test.
    """
    found: dict[str, Any] = {}
    for table in tables:
        for row in table.rows:
            tasks = found.setdefault(str(row.runs[0].config["env"]), {})
            runs = tasks.setdefault(table.task, {}).setdefault(row.full_label, {})
            for run in row.runs:
                runs[f"seed_{run.config['seed']}"] = _run(run)
    return found


def _run(run: RunRecord) -> dict[str, Any]:
    """One run's tests, in the order of the steps."""
    steps = run.metrics["test_return_mean"][0]
    metrics = {
        key.removeprefix("test_"): (key, values)
        for key, (at, values) in run.metrics.items()
        if key.startswith("test_") and not key.endswith("_std") and np.array_equal(at, steps)
    }
    tests: dict[str, Any] = {
        f"step_{i + 1}": {
            "step_count": int(step),
            **{name: [float(values[i])] for name, (_, values) in metrics.items()},
        }
        for i, step in enumerate(steps)
    }
    last = {name: [float(last_values([run], key)[0])] for name, (key, _) in metrics.items()}
    return {**tests, "absolute_metrics": last}
