"""How far the native particle tasks are from mpe2: largest deviation of each scenario.

    python benchmarks/mpe_equivalence.py [--episodes 300] [--seed 0] [--continuous]
        [--scenarios tag push]

mpe2 plays episodes by random actions, a third of them from positions where bodies overlap and a
third from the edge of the arena, both with random velocities. Of continuous actions a quarter is at
its bounds and an eighth all zero. The native worlds are put into the same states and play the same
actions, in three ways:

* float64 episodes: from the first state only, in the default precision;
* float32 steps: with `precision: float32`, from mpe2's state before every single step;
* float32 episodes: from the first state only; contacts amplify rounding from step to step.

Observations, rewards and raw states are compared at every step. A sharp threshold (do bodies touch,
is an agent in a forest) flips by rounding where a distance is within 1e-5 of it (1e-9 in float64):
such steps are left out and counted.
"""

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from envs.base import EnvStep
from envs.mpe._mpe2 import parallel_env, table
from envs.mpe._scenario import SCENARIOS
from envs.mpe._world import World
from envs.mpe.mpe import Mpe, MpeConfig

CPU = torch.device("cpu")
STEPS = 25
SHARP = {"catch", "touch", "food", "forest"}  # groups of pairs that are paid or seen by touch
KINDS = ("as drawn", "crowded", "at the edge")
WAYS = ("float64 episodes", "float32 steps", "float32 episodes")


def original(scenario: str, continuous: bool = False) -> Any:
    """mpe2's parallel environment of a scenario."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pygame, which mpe2 imports, uses pkg_resources
        return parallel_env(scenario, max_cycles=STEPS, continuous_actions=continuous)


@dataclass
class Record:
    """Episodes of mpe2; every array begins [steps (+ 1), episodes]."""

    states: np.ndarray  # [T + 1, B, rows], what decides all that follows
    actions: np.ndarray  # [T, B, N]; continuous: [T, B, N, A]
    obs: list[np.ndarray]  # for each agent, [T + 1, B, O]
    state: np.ndarray  # [T + 1, B, S]
    reward: np.ndarray  # [T, B, N]
    terminated: np.ndarray  # [T, B, N]
    truncated: np.ndarray  # [T, B, N]


def _disturb(world: Any, kind: str, rng: np.random.Generator) -> None:
    """Crowd an mpe2 world, or put it at the edge of the arena, in motion."""
    if kind == "as drawn":
        return
    centre, bodies = rng.uniform(-0.5, 0.5, 2), list(world.agents)
    bodies += [landmark for landmark in world.landmarks if landmark.collide]
    for body in bodies:
        if kind == "crowded":
            body.state.p_pos = centre + rng.uniform(-0.15, 0.15, 2)
        else:
            body.state.p_pos = rng.choice([-1, 1], 2) * rng.uniform(0.8, 1.3, 2)
        if body.movable:
            limit = (body.max_speed or 1.0) / 2
            body.state.p_vel = rng.uniform(-limit, limit, 2)


def random_action(space: Any, rng: np.random.Generator) -> Any:
    """A whole number, or a vector of numbers: a quarter of those at their bounds, some all zero."""
    if hasattr(space, "n"):
        return int(rng.integers(space.n))
    numbers = rng.random(space.shape, dtype=np.float32)
    kind = rng.integers(8)
    return np.round(numbers) if kind < 2 else numbers * (kind != 2)


def padded(actions: list[Any]) -> np.ndarray:
    """All agents' actions in one array; vectors get zeros behind them."""
    width = max(map(np.size, actions))
    if not np.ndim(actions[0]):
        return np.array(actions)
    return np.stack([np.pad(action, (0, width - len(action))) for action in actions])


def play_original(scenario: str, episodes: int, seed: int, continuous: bool = False) -> Record:
    """Random episodes of mpe2 with all that is needed to repeat and to compare them."""
    env, rng = original(scenario, continuous), np.random.default_rng(seed)
    names, plays = env.possible_agents, []
    for episode in range(episodes):
        env.reset(seed=int(rng.integers(2**31)))
        world = env.unwrapped.world
        _disturb(world, KINDS[episode % 3], rng)
        play: dict[str, list[Any]] = {"states": [table(scenario, world)]}
        play["obs"] = [{name: env.unwrapped.observe(name) for name in names}]
        play["state"] = [env.unwrapped.state()]
        for _ in range(STEPS):
            actions = {name: random_action(env.action_space(name), rng) for name in names}
            obs, *ends = env.step(actions)
            play.setdefault("actions", []).append(padded(list(actions.values())))
            for key, value in zip(("reward", "terminated", "truncated"), ends[:3], strict=True):
                play.setdefault(key, []).append([value[name] for name in names])
            play["states"].append(table(scenario, world))
            play["obs"].append(obs)
            play["state"].append(env.unwrapped.state())
        plays.append(play)

    def stacked(key: str) -> np.ndarray:
        return np.stack([play[key] for play in plays], axis=1)

    obs = [np.stack([[o[name] for o in play["obs"]] for play in plays], axis=1) for name in names]
    ends_and_rewards = (stacked("reward"), stacked("terminated"), stacked("truncated"))
    decisive = (stacked("states"), stacked("actions"))
    return Record(*decisive, obs, stacked("state"), *ends_and_rewards)


def build(scenario: str, batch_size: int, **settings: Any) -> Mpe:
    """Native worlds, to be `put` into a state."""
    config = MpeConfig(scenario=scenario, state="raw", **settings)
    env = Mpe(config, batch_size, CPU, 0, "equivalence")
    env.reset()
    return env


def put(world: World, states: np.ndarray) -> None:
    """Put B worlds into B states of mpe2, [B, rows]."""
    world.table[: states.shape[1]] = torch.as_tensor(states, dtype=world.dtype).t()
    world.measure()


def _near_a_threshold(world: World, margin: float) -> torch.Tensor:
    """Worlds [B] in which bodies whose touch is paid or seen are about to touch, or to part."""
    near = torch.zeros(world.batch_size, dtype=torch.bool)
    for name in SHARP & world.scenario.pairs.keys():
        rows = world.rows(name)
        near |= ((world.distances[rows] - world.reach[rows]).abs() < margin).any(dim=0)
    return near


@dataclass
class Deviation:
    """Largest absolute difference to mpe2 of each thing compared, and what was left out."""

    obs: float = 0.0
    reward: float = 0.0
    n_steps: int = 0
    n_left_out: int = 0

    @property
    def largest(self) -> float:
        """Of observations, states and rewards."""
        return max(self.obs, self.reward)

    def add(self, env: Mpe, step: EnvStep, record: Record, t: Any) -> None:
        """Compare `step` with time `t` of the record, an index into [T + 1, B] arrays."""
        margin = 1e-5 if env.world.dtype == torch.float32 else 1e-9
        kept = ~_near_a_threshold(env.world, margin).numpy()
        self.n_steps += kept.size
        self.n_left_out += int((~kept).sum())
        obs, state = step.obs.numpy(), step.state.numpy()
        apart = [state - record.state[t].reshape(state.shape)]
        for i, theirs in enumerate(record.obs):
            theirs = theirs[t].reshape(len(obs), -1)
            apart.append(obs[:, i, : theirs.shape[1]] - theirs)
            apart.append(obs[:, i, theirs.shape[1] :])  # padding
        self.obs = max(self.obs, *(float(np.abs(x[kept]).max(initial=0)) for x in apart))
        if t != 0:
            theirs = record.reward[t - 1 if isinstance(t, int) else slice(None)]
            missed = step.reward.numpy() - theirs.reshape(step.reward.shape)
            self.reward = max(self.reward, float(np.abs(missed[kept]).max(initial=0)))


def compare(scenario: str, record: Record, way: str) -> Deviation:
    """Repeat the recorded episodes in native worlds, in one of three `WAYS`.

    Raises:
        AssertionError: if an episode ends at another step, or in another way.
    """
    found, episodes = Deviation(), record.actions.shape[1]
    continuous = record.actions.ndim == 4
    actions = torch.as_tensor(record.actions)
    precision: Any = "float64" if "float64" in way else "float32"
    if "steps" in way:  # all steps of all episodes at once, each in a separate world
        env = build(scenario, STEPS * episodes, precision=precision, continuous_actions=continuous)
        put(env.world, np.concatenate(record.states[:-1]))
        step = env.step(actions.flatten(0, 1))
        found.add(env, step, record, slice(1, None))
        return found
    env = build(scenario, episodes, precision=precision, continuous_actions=continuous)
    put(env.world, record.states[0])
    found.add(env, env.observe(), record, 0)
    for t in range(STEPS):
        step = env.step(actions[t])
        found.add(env, step, record, t + 1)
        for name in ("terminated", "truncated"):
            ours, theirs = getattr(step, name).numpy(), getattr(record, name)[t]
            assert (theirs == ours[:, None]).all(), f"{scenario}: {name} differs at step {t + 1}"
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--continuous", action="store_true", help="mpe2's continuous actions")
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS.names())
    args = parser.parse_args()
    print(f"{args.episodes} episodes of {STEPS} steps each; largest absolute deviation")
    print("| scenario | " + " | ".join(f"{way}: obs, reward (left out)" for way in WAYS) + " |")
    print("|---" * (len(WAYS) + 1) + "|")
    for scenario in args.scenarios:
        record = play_original(scenario, args.episodes, args.seed, args.continuous)
        rows = [compare(scenario, record, way) for way in WAYS]
        cells = [f"{d.obs:.1e}, {d.reward:.1e} ({d.n_left_out} of {d.n_steps})" for d in rows]
        print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
