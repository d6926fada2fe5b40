"""The environments of mpe2 that our scenarios re-implement, and what stands in their worlds.

Worker processes import this file; like all that they import, it knows nothing of torch.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from envs.python_worlds._tasks import load_module

if TYPE_CHECKING:
    from envs.mpe._config import MpeConfig

Array = np.ndarray[Any, np.dtype[Any]]
TASKS = {
    "adversary": "simple_adversary_v3",
    "crypto": "simple_crypto_v3",
    "push": "simple_push_v3",
    "reference": "simple_reference_v3",
    "speaker_listener": "simple_speaker_listener_v4",
    "spread": "simple_spread_v3",
    "tag": "simple_tag_v3",
    "world_comm": "simple_world_comm_v3",
}


def problems(config: "MpeConfig") -> list[tuple[bool, str, str]]:
    """What settings cannot mean with their backend, for `validate`."""
    reference, n_workers = config.backend == "pettingzoo", config.n_workers
    return [
        (
            reference and config.scenario not in TASKS,
            "backend",
            f"'pettingzoo' plays tasks of mpe2, and {config.scenario} is none of them. Write "
            f"backend=native.",
        ),
        (
            reference and config.precision != "float64",
            "precision",
            f"'{config.precision}' is not to be had: mpe2 computes in float64. Leave it out, or "
            f"write backend=native.",
        ),
        (n_workers < 0, "n_workers", f"{n_workers} must not be negative."),
        (
            n_workers > 0 and not reference,
            "n_workers",
            f"{n_workers} has no use: native worlds are tensors of this process. Leave it out, or "
            f"write backend=pettingzoo.",
        ),
    ]


def parallel_env(scenario: str, **settings: Any) -> Any:
    """The environment of mpe2; its `state` is what `table` tells, each float64 as two float32.

    Shared arrays hold float32, and opponents and events ask for positions as they really are.
    """
    module = load_module(f"mpe2.{TASKS[scenario]}", "env_args.backend=pettingzoo")
    env = module.parallel_env(**settings)
    env.state = lambda: table(scenario, env.unwrapped.world).view(np.float32)
    return env


def table(scenario: str, world: Any) -> Array:
    """The first rows of our world's table (`_sight.py`), read from a world of mpe2.

    Only signals are left out that follow from positions.
    """
    markers, signals = _hidden(scenario, world)
    position = [entity.state.p_pos for entity in [*world.entities, *markers]]
    velocity = [agent.state.p_vel for agent in world.agents]
    symbols = [agent.state.c for agent in world.agents if not agent.silent]
    planes = [np.transpose(position).ravel(), np.transpose(velocity).ravel()]
    return np.concatenate([*planes, *symbols, *signals], dtype=np.float64)


def _hidden(scenario: str, world: Any) -> tuple[list[Any], list[Array]]:
    """The landmarks that our markers stand on, and our signals, in order."""
    agents = world.agents
    if scenario == "reference":
        goals = [agent.goal_b for agent in agents]
        return goals, [goal.color for goal in goals]
    if scenario == "speaker_listener":
        goal = agents[0].goal_b
        return [goal], [goal.color]
    if scenario == "crypto":
        return [], [agents[2].goal_a.color, agents[2].key]
    if scenario == "push":
        colours = [landmark.color for landmark in world.landmarks]
        return [agents[0].goal_a], [agents[1].color, *colours]
    return [agents[0].goal_a] if scenario == "adversary" else [], []
