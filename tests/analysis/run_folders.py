"""Folders of runs, written by hand."""

from pathlib import Path
from typing import Any

import yaml

HEAD = "env_steps,episodes,updates,seconds,key,value\n"
EVALUATIONS = "checkpoint,env_steps,n_episodes,changes,key,value\n"


def make_run(
    root: Path,
    alg: str,
    seed: int,
    values: list[float],
    name: str = "",
    number: int = 1,
    metric: str = "test_success_mean",
    **settings: Any,
) -> Path:
    """A run with a test every 100 steps; by default it ends with the last of them."""
    folder = root / alg / f"{name or alg}_seed{seed}_{number}"
    folder.mkdir(parents=True)
    config = {"alg_name": alg, "env_name": "topk", "env": "topk", "name": name, "seed": seed}
    config |= {"t_max": 100 * (len(values) - 1), "lr": 0.001, "results_dir": str(root)}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | settings))
    rows = "".join(
        f"{100 * i},{100 * i},{i},{i}.00,{key},{value}\n"
        for i, number in enumerate(values)
        for key, value in {
            "test_return_mean": 2 * number - 1,
            metric: number,
            "cpu_seconds": 10 * i,
        }.items()
    )
    (folder / "metrics.csv").write_text(HEAD + rows)
    return folder


def evaluate_run(folder: Path, value: float) -> None:
    """An evaluation of the run's end, and ones that do not count."""
    (folder / "evaluations.csv").write_text(
        EVALUATIONS + "latest.pt,200,9,,test_success_mean,0.1\n"
        f"latest.pt,200,9,,test_success_mean,{value}\n"
        "best.pt,200,9,,test_success_mean,0.2\n"
        "latest.pt,200,9,env_args.k=3,test_success_mean,0.3\n"
    )
