"""Which joint actions trained policies play, by sampling and greedily.

    python benchmarks/joint_actions.py results/one_hot/mat results/one_hot/agp_pg

Arguments are folders of runs, or folders that hold them; the last checkpoint of each plays
`--episodes` one-step episodes in either way. Joint actions are written as digits, one per agent,
the most frequent first.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from build import build_runner
from policy import Policy, load_policy
from utils.errors import UserError


def row(run: Path, policy: Policy, greedy: bool, n_episodes: int, most: int) -> str:
    """A row of the table: one run, one way of playing."""
    env = policy.make_env(n_episodes, "joint_actions_env")
    runner = build_runner(policy.config, env, policy.controller, "joint_actions")
    rollout = runner.collect(policy.config.t_max, greedy)
    played = Counter("".join(map(str, a)) for a in rollout.batch.actions[:, 0].tolist())
    shares = ", ".join(f"{a} {n / n_episodes:.3f}" for a, n in played.most_common(most))
    rest = len(played) - most
    cells = [
        str(Path(*run.parts[-3:])),
        "greedy" if greedy else "sampled",
        f"{rollout.returns.mean():.3f}",
        f"{rollout.metrics['success'].mean():.3f}",
        shares + (f", {rest} more" if rest > 0 else ""),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table.

    Raises:
        UserError: if there is no run, or its episodes have several steps.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--episodes", type=int, default=20_000)
    parser.add_argument("--most", type=int, default=4, help="joint actions shown per row")
    given = parser.parse_args()
    runs = sorted({f.parent for folder in given.folders for f in folder.rglob("config.yaml")})
    if not runs:
        raise UserError(f"No run below {', '.join(map(str, given.folders))}: name its folder.")
    print("| run | play | return | success | joint actions and their shares |")
    print("|---|---|---|---|---|")
    for run in runs:
        policy = load_policy(run)
        if policy.info.episode_limit > 1:
            raise UserError(f"{run}: episodes of {policy.config.env} have several steps.")
        for greedy in (False, True):
            print(row(run, policy, greedy, given.episodes, given.most), flush=True)


if __name__ == "__main__":
    main()
