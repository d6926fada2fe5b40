"""Particle worlds in known places, and ways to play them."""

import torch

from envs.base import EnvStep
from envs.mpe.mpe import Mpe, MpeConfig

CPU = torch.device("cpu")
STAY, LEFT, RIGHT, DOWN, UP = range(5)


def build(scenario: str, batch_size: int = 2, seed: int = 1, **settings) -> Mpe:
    env = Mpe(MpeConfig(scenario, **settings), batch_size, CPU, seed, "test")
    env.reset()
    return env


def put(env: Mpe, *places: tuple[float, float]) -> None:
    """Entities of every world into the same places, at rest; others far away and apart."""
    far = [(50.0 + 7 * k, 50.0) for k in range(env.world.position.shape[1] - len(places))]
    at = torch.tensor([*places, *far], dtype=env.world.dtype)
    env.world.position.copy_(at.t().unsqueeze(2))
    env.world.velocity.zero_()
    env.world.measure()


def play(env: Mpe, *actions: int) -> EnvStep:
    return env.step(torch.tensor(actions).expand(env.batch_size, -1))


def random_actions(env: Mpe, generator: torch.Generator) -> torch.Tensor:
    info = env.info
    counts = torch.tensor(info.action_counts)
    if info.is_continuous:
        own = torch.arange(info.n_actions) < counts.unsqueeze(1)  # [N, A]
        shape = (env.batch_size, info.n_agents, info.n_actions)
        return torch.rand(shape, generator=generator) * own
    return (torch.rand(env.batch_size, len(counts), generator=generator) * counts).long()


def paid(env: Mpe, *actions: int) -> list[float]:
    actions = actions or (STAY,) * env.info.n_agents
    return play(env, *actions).reward[0].tolist()


def episode(env: Mpe) -> list[EnvStep]:
    luck = torch.Generator().manual_seed(3)
    return [env.step(random_actions(env, luck)) for _ in range(env.info.episode_limit)]
