"""Where the time of an on-policy method goes: CPU milliseconds of each part, one thread.

    python benchmarks/on_policy_step.py mappo --episodes 10 32 128
    python benchmarks/on_policy_step.py mat --env mpe_spread --episodes 32

A batch of episodes in lockstep, 4 passes without minibatches, 128 units, as in `beside_epymarl.py`.
A number is a median (`blocks.py`).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from blocks import milliseconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from components.buffers.rollout import Rollout
from config.load import load_config
from run import Run

SETTINGS = (
    "preset=none batch_size_run={n} batch_size={n} hidden_dim=128 learner_args.epochs=4 "
    "learner_args.minibatches=1 t_max=1000000000 show_progress=False threads=1"
)


def parts(run: Run) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    learner, buffer = run.learner, run.buffer
    assert isinstance(buffer, Rollout)
    buffer.add(run.runner.collect(0).batch)
    whole = buffer.episodes()
    batch = next(learner.batches(buffer))
    buffer.clear()

    def backward() -> None:
        learner.optimizer.zero_grad(set_to_none=True)
        learner.loss(batch)[0].backward()

    found: dict[str, Callable[[], object]] = {
        "training iteration": run.advance,
        "collecting": lambda: run.runner.collect(0),
        "once per batch": lambda: learner.prepare(whole),
        "gradient step": lambda: learner.train(batch, 0, 0),
        "its loss": lambda: learner.loss(batch),
        "loss and backward pass": backward,
    }
    memory = getattr(run.controller.agent, "memory", None)
    if memory is not None:
        sizes = (*batch.actions.shape, run.config.hidden_dim)
        x = torch.randn(sizes, requires_grad=True)
        found["GRU, forwards and backwards"] = lambda: memory(x, None)[0].sum().backward()
    return found


def main() -> None:
    """Print a table, one row for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("alg")
    parser.add_argument("--env", default="mpe_spread")
    parser.add_argument("--episodes", type=int, nargs="+", default=[10, 32, 128])
    given = parser.parse_args()
    columns: list[dict[str, float]] = []
    for n in given.episodes:
        run = Run(load_config(given.alg, given.env, SETTINGS.format(n=n).split()))
        for _ in range(3):
            run.advance()
        columns.append({name: milliseconds(work) for name, work in parts(run).items()})
    print(f"| {given.alg}, CPU ms | {' | '.join(map(str, given.episodes))} episodes |")
    print("|---" * (1 + len(columns)) + "|")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:.1f}' for column in columns)} |")


if __name__ == "__main__":
    main()
