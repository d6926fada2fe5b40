"""Environment steps per CPU second of native environments at random play, without any learning.

    python benchmarks/random_play.py [assignment capacity formation topk] [--copies 1024]
    python benchmarks/random_play.py assignment with env_args.measure_optimum=False

A step of B copies counts B times; resets are included, drawing random available actions is not. One
thread, CPU time of this process, best of several repeats, since anything else on the machine only
slows them down.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from config.load import load_config
from envs.base import BatchedEnv, make_env
from envs.checker.continuous_actions import choose_numbers


def play(env: BatchedEnv, seconds: float, generator: torch.Generator) -> float:
    """Steps per CPU second of whole episodes played for about `seconds`."""
    n_steps, spent = 0, 0.0
    with torch.inference_mode():
        while spent < seconds:
            started = time.process_time()
            step = env.reset()
            spent += time.process_time() - started
            while not (step.terminated | step.truncated).all():
                luck = torch.rand(step.avail.shape, generator=generator)
                if env.info.is_continuous:
                    actions = choose_numbers(env.info, luck)
                else:
                    actions = luck.masked_fill(~step.avail, -1.0).argmax(dim=2)
                n_steps += int((~(step.terminated | step.truncated)).sum())
                started = time.process_time()
                step = env.step(actions)
                spent += time.process_time() - started
    return n_steps / spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    games = ["assignment", "capacity", "formation", "topk"]
    parser.add_argument("envs", nargs="*", default=games, help="environments' YAMLs")
    parser.add_argument("--copies", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    cut = sys.argv.index("with") if "with" in sys.argv else len(sys.argv)
    given, settings = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    torch.set_num_threads(1)
    generator, cpu = torch.Generator().manual_seed(0), torch.device("cpu")
    print(f"| environment | steps / CPU s, {given.copies} copies |\n|---|---|")
    for name in given.envs:
        config = load_config(None, name, settings)
        env = make_env(config.env, config.env_args, given.copies, cpu, 0, "random_play")
        play(env, given.seconds / 4, generator)
        best = max(play(env, given.seconds, generator) for _ in range(given.repeats))
        print(f"| {name} | {best:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
