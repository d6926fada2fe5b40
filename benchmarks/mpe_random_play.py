"""What random play earns in the particle tasks, on both backends of `mpe`.

    python benchmarks/mpe_random_play.py [--native 4000] [--pettingzoo 400] [--continuous]
        [--scenarios tag push]

Episodes of uniformly random actions under every protocol with every opponent. Columns: mean return
of an episode, summed over the learners, with its standard error: `BEFORE`, on native worlds, on
mpe2 (`backend: pettingzoo`); how many standard errors the last two are apart; the spread of single
native episodes; the mean return of each learner there.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import Mpe, MpeConfig

COPIES = 100  # of mpe2, at most
# Mean and spread over 400 episodes of mpe2 1.1.0, played by its own interface without this code.
BEFORE = {
    "reference": (-57.0, 19.5),
    "push": (-27.9, 12.8),
    "world_comm": (-43.3, 60.1),
    "speaker_listener": (-82.1, 63.3),
    "crypto": (-37.9, 10.3),
    "tag": (-5.6, 32.5),
}
N_BEFORE = 400


def returns(settings: dict[str, Any], episodes: int, seed: int = 0) -> Tensor:
    """What every learner earns in each of so many random episodes, [episodes, N]."""
    is_native = settings.get("backend", "native") == "native"
    batch_size = episodes if is_native else min(episodes, COPIES)
    env = Mpe(MpeConfig(**settings), batch_size, torch.device("cpu"), seed, "random_play")
    counts = torch.tensor(env.info.action_counts)
    own = torch.arange(env.info.n_actions) < counts.unsqueeze(1)  # [N, A]
    luck = torch.Generator().manual_seed(seed)
    played = []
    for _ in range(0, episodes, batch_size):
        env.reset()
        earned = torch.zeros(batch_size, len(counts))
        for _ in range(env.info.episode_limit):
            if env.info.is_continuous:
                drawn = torch.rand(batch_size, *own.shape, generator=luck)
                earned += env.step(drawn * own).reward
            else:
                drawn = torch.rand(batch_size, len(counts), generator=luck)
                earned += env.step((drawn * counts).long()).reward
        played.append(earned)
    env.close()
    return torch.cat(played)[:episodes]


def mean_and_error(x: Tensor) -> tuple[float, float]:
    """Mean of [episodes] numbers, and its standard error."""
    return float(x.mean()), float(x.std()) / math.sqrt(len(x))


def protocols(scenario: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that can be played in a scenario: (what it is called, settings)."""
    yield scenario, {"scenario": scenario}
    cls = SCENARIOS.get(scenario).cls
    opponents = ["scripted"] * (cls.scripted is not None) + ["random"]
    for opponent in opponents if cls.learners else []:
        fixed = {"protocol": "team_vs_fixed", "opponent": opponent}
        yield f"{scenario}, {opponent}", {"scenario": scenario, **fixed}


def row(label: str, settings: dict[str, Any], n_native: int, n_pettingzoo: int) -> list[str]:
    """One line of the table."""
    native = returns(settings, n_native)
    mine, my_error = mean_and_error(native.sum(dim=1))
    reference = returns({**settings, "backend": "pettingzoo"}, n_pettingzoo).sum(dim=1)
    theirs, their_error = mean_and_error(reference)
    before = ""
    if label in BEFORE and not settings.get("continuous_actions"):
        mean, spread = BEFORE[label]
        before = f"{mean:.1f} ± {spread / math.sqrt(N_BEFORE):.1f}"
    return [
        label.replace("_", "-"),
        before,
        f"{mine:.1f} ± {my_error:.1f}",
        f"{theirs:.1f} ± {their_error:.1f}",
        f"{abs(mine - theirs) / math.hypot(my_error, their_error):.1f}",
        f"{float(native.sum(dim=1).std()):.1f}",
        ", ".join(f"{mean:.1f}" for mean in native.mean(dim=0).tolist()),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--native", type=int, default=4000, help="episodes")
    parser.add_argument("--pettingzoo", type=int, default=400, help="episodes")
    parser.add_argument("--continuous", action="store_true", help="mpe2's continuous actions")
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS.names())
    args = parser.parse_args()
    columns = ("before", "native", "`pettingzoo`", "apart", "spread", "each learner")
    print(f"{args.native} native episodes, {args.pettingzoo} of mpe2, {N_BEFORE} before")
    print("| task, opponent | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for scenario in args.scenarios:
        for label, played in protocols(scenario):
            settings = {**played, "continuous_actions": args.continuous}
            print(f"| {' | '.join(row(label, settings, args.native, args.pettingzoo))} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
