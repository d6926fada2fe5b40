"""What hand-written rules earn on particle tasks, to read learning curves by.

    python benchmarks/mpe_rules.py

Speaker-Listener and Reference: every moving agent goes to a place and stops there: to its goal,
which no single agent knows (*informed*: what perfect communication would allow, with this simple
steering), or to the point between the landmarks that is best without this knowledge (*uninformed*:
their mean). No symbols are used.

Teams against the scripted opponent: in Push the agent goes to its goal. In Tag and World-Comm every
predator goes straight to the nearest prey, wherever that is. In Crypto alice says message and key
combined, and bob, who has the key, takes it off again; *without the key* they use a code whose
words change half-way through the episode instead.

Mean return, summed over the learners, and its standard error. Rules bound nothing strictly: they
steer greedily, and predators that only chase do not encircle.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from envs.mpe._entities import GOOD
from envs.mpe.mpe import Mpe, MpeConfig

EPISODES = 4000
MOVES = torch.tensor([(0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)])
DT, DAMPING, FORCE = 0.1, 0.25, 5.0


def goal_of(scenario: str, obs: Tensor, agent: int) -> Tensor:
    """Number of the landmark that `agent` is to go to, [B]; others observe its colour."""
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


def nearest(env: Mpe, targets: Tensor) -> Tensor:
    """The moves that bring each learner nearest to one of the targets.

    Shapes:
        targets: [2, targets, B];  out: [n, B]
    """
    places = env.world.within_reach(env.scenario.team(env.scenario.learners))  # [2, moves, n, B]
    away = places.unsqueeze(3) - targets[:, None, None]  # [2, moves, n, targets, B]
    return torch.hypot(away[0], away[1]).amin(dim=2).argmin(dim=0)


def team_actions(env: Mpe, t: int, with_key: bool) -> Tensor:
    """What the team does by its rule in step t, [n, B]."""
    world, scenario = env.world, env.scenario
    if env.config.scenario == "crypto":
        message, key = (world.signal(name)[:2].argmax(dim=0) for name in ("message", "key"))
        word = world.symbol(2)[:2].argmax(dim=0)  # of alice, one step ago
        half = env.info.episode_limit // 2
        now, before = (key, key) if with_key else (t >= half, t - 1 >= half)
        return torch.stack(((word + before) % 2, (message + now) % 2))  # bob, alice
    if env.config.scenario == "push":
        goal = world.signal("own_colour")[1:3].argmax(dim=0)  # green: landmark 0
        landmarks = world.position[:, scenario.landmark(0) : scenario.landmark(0) + 2]
        return nearest(env, landmarks.gather(1, goal.expand(2, 1, -1)))
    return nearest(env, world.position[:, scenario.team(GOOD)])


def play_team(scenario: str, with_key: bool = True) -> Tensor:
    """Returns of all episodes of a team against the scripted opponent, [EPISODES]."""
    config = MpeConfig(scenario=scenario, protocol="team_vs_fixed", opponent="scripted")
    env = Mpe(config, EPISODES, torch.device("cpu"), 0, "rules")
    env.reset()
    total = torch.zeros(EPISODES)
    for t in range(env.info.episode_limit):
        total += env.step(team_actions(env, t, with_key).t()).reward.sum(dim=1)
    return total


def main() -> None:
    """Print the tables."""
    print("| task | informed | uninformed |\n|---|---|---|")
    for scenario in ("speaker_listener", "reference"):
        row = []
        for informed in (True, False):
            returns = play(scenario, informed)
            row.append(f"{returns.mean():.1f} ± {returns.std() / EPISODES**0.5:.1f}")
        print(f"| {scenario.replace('_', '-')} | {' | '.join(row)} |")
    print("\n| task, scripted opponent | rule |\n|---|---|")
    teams = {name.replace("_", "-"): play_team(name) for name in ("push", "tag", "world_comm")}
    teams["crypto"] = play_team("crypto")
    teams["crypto, without the key"] = play_team("crypto", with_key=False)
    for name, returns in teams.items():
        print(f"| {name} | {returns.mean():.1f} ± {returns.std() / EPISODES**0.5:.1f} |")


if __name__ == "__main__":
    main()
