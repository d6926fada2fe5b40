"""Environment steps per CPU second of the native particle tasks with random actions, beside mpe2.

    python benchmarks/mpe_throughput.py [--seconds 1] [--repeats 3] [--scenarios tag push]
    python benchmarks/mpe_throughput.py --continuous
    python benchmarks/mpe_throughput.py --profile tag --worlds 1024

A step of B worlds counts B times; resets are included. One thread, CPU time of this process, best
of several repeats, since anything else on the machine only slows them down. mpe2, and VMAS where it
is installed and has the scenario, run one after another in the same process. Random actions are
drawn beforehand.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from benchmarks.mpe_equivalence import STEPS, original, random_action

from envs.checker.continuous_actions import choose_numbers
from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import Mpe, MpeConfig

WORLDS = (1, 32, 256, 1024)
VMAS = {name: f"simple_{name}" for name in SCENARIOS.names()}


def native(
    scenario: str, batch_size: int, precision: Any, continuous: bool = False
) -> Callable[[], int]:
    """A function that plays one episode in every world; returns the number of steps."""
    config = MpeConfig(scenario=scenario, precision=precision, continuous_actions=continuous)
    env = Mpe(config, batch_size, torch.device("cpu"), 0, "throughput")
    counts = torch.tensor(env.info.action_counts)
    generator = torch.Generator().manual_seed(0)
    if continuous:
        luck = torch.rand(STEPS, batch_size, len(counts), env.info.n_actions, generator=generator)
        actions = choose_numbers(env.info, luck.flatten(0, 1)).view_as(luck)
    else:
        luck = torch.rand(STEPS, batch_size, len(counts), generator=generator)
        actions = (luck * counts).long()

    def episode() -> int:
        with torch.inference_mode():
            env.reset()
            for t in range(STEPS):
                env.step(actions[t])
        return STEPS * batch_size

    return episode


def reference(scenario: str, continuous: bool = False) -> Callable[[], int]:
    """The same for one world of mpe2."""
    env, rng = original(scenario, continuous), np.random.default_rng(0)
    names = env.possible_agents
    actions = [
        {name: random_action(env.action_space(name), rng) for name in names} for _ in range(STEPS)
    ]

    def episode() -> int:
        env.reset()
        for chosen in actions:
            env.step(chosen)
        return STEPS

    return episode


def vmas(scenario: str, batch_size: int, continuous: bool = False) -> Callable[[], int] | None:
    """The same for VMAS, if it is installed and has the scenario."""
    try:
        make = importlib.import_module("vmas").make_env
        settings = {"num_envs": batch_size, "device": "cpu", "continuous_actions": continuous}
        env = make(scenario=VMAS[scenario], max_steps=None, **settings)
    except Exception:  # any reason why it does not run: there is no number
        return None
    actions = [env.get_random_actions() for _ in range(STEPS)]

    def episode() -> int:
        env.reset()
        for chosen in actions:
            env.step(chosen)
        return STEPS * batch_size

    return episode


def rate(episode: Callable[[], int], seconds: float, repeats: int) -> float:
    """Steps per CPU second, best of several repeats."""
    episode()
    best = 0.0
    for _ in range(repeats):
        started, steps = time.process_time(), 0
        while time.process_time() - started < seconds:
            steps += episode()
        best = max(best, steps / (time.process_time() - started))
    return best


def profile(scenario: str, batch_size: int, precision: str) -> str:
    """Where the time goes, by operation."""
    episode = native(scenario, batch_size, precision)
    episode()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        episode()
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS.names())
    parser.add_argument("--precision", default="float64", choices=("float64", "float32"))
    parser.add_argument("--continuous", action="store_true", help="continuous actions")
    parser.add_argument("--profile", help="a scenario: print where its time goes instead")
    parser.add_argument("--worlds", type=int, nargs="+", default=list(WORLDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.profile:
        print(profile(args.profile, args.worlds[-1], args.precision))
        return
    columns = [f"native, {worlds}" for worlds in args.worlds]
    columns += ["mpe2", f"vmas, {args.worlds[-1]}"]
    print("| scenario | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for scenario in args.scenarios:
        kind = args.continuous
        episodes = [native(scenario, worlds, args.precision, kind) for worlds in args.worlds]
        players = [*episodes, reference(scenario, kind), vmas(scenario, args.worlds[-1], kind)]
        cells = [
            f"{rate(episode, args.seconds, args.repeats):,.0f}" if episode else "-"
            for episode in players
        ]
        print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
