"""What hand-written rules earn on Speaker-Listener and Reference, to read learning curves by.

    python benchmarks/mpe_rules.py

Every moving agent goes to a place and stops there: to its goal, which no single agent is told
(*informed*: what perfect communication would allow, with this simple steering), or to the point
between the landmarks that is best without being told (*uninformed*: their mean). No symbols are
used.
Mean return, summed over the agents, and its standard error. Rules bound nothing strictly: they
steer greedily.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from envs.mpe.mpe import Mpe, MpeConfig

EPISODES = 4000
MOVES = torch.tensor([(0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)])
DT, DAMPING, FORCE = 0.1, 0.25, 5.0


def goal_of(scenario: str, obs: Tensor, agent: int) -> Tensor:
    """Number of the landmark that `agent` is to go to, [B]; others are told its colour."""
    colour = obs[:, 0, :3] if scenario == "speaker_listener" else obs[:, 1 - agent, 8:11]
    return colour.argmax(dim=1)


def move(velocity: Tensor, target: Tensor) -> Tensor:
    """The move that brings an agent nearest to `target` two steps on; both [B, 2] -> [B]."""
    after = (1 - DAMPING) * velocity.unsqueeze(1) + DT * FORCE * MOVES  # [B, moves, 2]
    place = DT * velocity.unsqueeze(1) + DT * after
    return (target.unsqueeze(1) - place).norm(dim=2).argmin(dim=1)


def play(scenario: str, informed: bool) -> Tensor:
    """Returns of all episodes, [EPISODES]."""
    env = Mpe(MpeConfig(scenario=scenario), EPISODES, torch.device("cpu"), 0, "rules")
    step, total, copies = env.reset(), torch.zeros(EPISODES), torch.arange(EPISODES)
    for _ in range(env.info.episode_limit):
        actions = torch.zeros(EPISODES, env.info.n_agents, dtype=torch.int64)
        for i, agent in enumerate(env.scenario.agents):
            if agent.accel:
                landmarks = step.obs[:, i, 2:8].unflatten(1, (3, 2))  # [B, 3, 2]
                goal = landmarks[copies, goal_of(scenario, step.obs, i)]
                target = goal if informed else landmarks.mean(dim=1)
                actions[:, i] = move(step.obs[:, i, :2], target)
        step = env.step(actions)
        total += step.reward.sum(dim=1)
    return total


def main() -> None:
    """Print the table."""
    print("| task | informed | uninformed |\n|---|---|---|")
    for scenario in ("speaker_listener", "reference"):
        row = []
        for informed in (True, False):
            returns = play(scenario, informed)
            row.append(f"{returns.mean():.1f} ± {returns.std() / EPISODES**0.5:.1f}")
        print(f"| {scenario.replace('_', '-')} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
