"""A scripted world whose numbers are functions of (env slot, step), and episodes drawn from it."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from components.episode_batch import EpisodeBatch
from components.settings import AgentSettings
from controllers.basic_controller import BasicController
from envs.base import EnvInfo, EnvStep, uniform_info
from modules.agents.base import AgentInputs, AgentSizes
from utils.registry import CONTROLLERS

CPU = torch.device("cpu")
Ends = tuple[tuple[int, str], ...]
MIXED: Ends = ((3, "terminated"), (6, "truncated"), (1, "terminated"), (4, "truncated"))
TERMINATED: Ends = ((3, "terminated"), (6, "terminated"), (1, "terminated"), (4, "terminated"))
GARBAGE = 999.0
SMALL = AgentSettings(hidden_dim=8)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed))


def fake_info(
    n_agents: int = 3, n_actions: int = 4, episode_limit: int = 6, **changes: Any
) -> EnvInfo:
    return replace(uniform_info(n_agents, n_actions, 5, 7, episode_limit), **changes)


RICH = {"action_counts": (4, 2, 3), "action_feature_dim": 2, "varying_team": True}


def fake_sizes(input_dim: int = 5, **changes: Any) -> AgentSizes:
    return replace(AgentSizes.of(fake_info(), input_dim, SMALL), **changes)


def fake_inputs(sizes: AgentSizes, b: int = 2, length: int = 3, seed: int = 0) -> AgentInputs:
    """Random inputs; every agent has its first action, later ones come and go."""
    g, n, a = rng(seed), sizes.n_agents, sizes.n_actions
    avail = torch.rand(b, length, n, a, generator=g) < 0.6
    avail[..., 0] = True
    avail &= torch.arange(a) < torch.tensor(sizes.action_counts).unsqueeze(1)
    if not sizes.dynamic_avail:
        avail = (torch.arange(a) < torch.tensor(sizes.action_counts).unsqueeze(1)).expand_as(avail)
    features, is_active = None, None
    if sizes.action_feature_dim:
        features = torch.randn(b, length, n, a, sizes.action_feature_dim, generator=g)
    if sizes.varying_team:
        is_active = torch.rand(b, length, n, generator=g) < 0.7
        is_active[..., 0] = True
    x = torch.randn(b, length, n, sizes.input_dim, generator=g)
    actions = torch.randint(a, (b, length, n), generator=g)
    return AgentInputs(x, avail, features, is_active, actions)


def make_controller(
    info: EnvInfo,
    agent_name: str,
    agent_settings: Any,
    name: str = "basic_controller",
    shared: AgentSettings = SMALL,
    seed: int = 1,
    **settings: Any,
) -> BasicController:
    component = CONTROLLERS.get(name)
    controller: BasicController = component.cls(
        component.config(**settings),
        shared,
        info,
        (agent_name, agent_settings),
        CPU,
        seed,
    )
    return controller


def fake_batch(
    info: EnvInfo, ends: Ends = MIXED, seed: int = 0, n_rewards: int = 1, noise_dim: int = 0
) -> EpisodeBatch:
    """Random episodes that end as `ends` says, padded as the runner pads them."""
    g = rng(seed)
    batch = EpisodeBatch.zeros(info, len(ends), CPU, n_rewards, noise_dim)
    counts = torch.tensor(info.action_counts).unsqueeze(1)
    real = torch.arange(info.n_actions) < counts  # [N, A]
    for b, (length, end) in enumerate(ends):
        seen, done = slice(0, length + 1), slice(0, length)
        for name in ("obs", "state", "action_features", "noise"):
            field = getattr(batch, name)
            if field is not None:
                field[b, seen] = torch.randn(field[b, seen].shape, generator=g)
        avail = torch.rand(batch.avail[b, seen].shape, generator=g) < 0.6
        avail[..., 0] = True
        batch.avail[b, seen] = avail & real
        scores = torch.rand(batch.avail[b, done].shape, generator=g)
        batch.actions[b, done] = scores.masked_fill(~batch.avail[b, done], -1.0).argmax(-1)
        batch.reward[b, done] = torch.randn(batch.reward[b, done].shape, generator=g)
        batch.valid[b, done] = True
        if batch.is_active is not None:
            batch.is_active[b, seen] = torch.rand(length + 1, info.n_agents, generator=g) < 0.7
            batch.is_active[b, seen, 0] = True
        getattr(batch, end)[b, length - 1] = True
    return batch


def pad(batch: EpisodeBatch, n_steps: int) -> EpisodeBatch:
    """The same episodes with `n_steps` more steps of padding."""
    padded = {}
    for name, x in batch.items():
        extra = torch.full((x.shape[0], n_steps, *x.shape[2:]), name == "avail").to(x.dtype)
        padded[name] = torch.cat([x, extra], dim=1)
    return EpisodeBatch(**padded)


class FakeEnv:
    """Env slot b ends after `ends[b][0]` steps; what it shows after its end is garbage, on purpose.

    Rewards are [B, 1], as if aggregated: 10 (b + 1) + t + 1 for step t.
    """

    n_rewards = 1

    def __init__(self, info: EnvInfo, ends: Ends = MIXED, nan_at: tuple[int, int] | None = None):
        self.info, self.ends, self.nan_at = info, ends, nan_at
        self.batch_size, self.device = len(ends), CPU
        self.lengths = torch.tensor([length for length, _ in ends])
        self.t = 0
        self.taken: list[Tensor] = []
        self.shown: list[EnvStep] = []

    def reset(self) -> EnvStep:
        self.t, self.taken, self.shown = 0, [], []
        return self._show()

    def step(self, actions: Tensor) -> EnvStep:
        chosen = self.shown[-1].avail.gather(2, actions.unsqueeze(2))
        assert chosen.all(), "an unavailable action was chosen"
        self.t += 1
        self.taken.append(actions.clone())
        return self._show()

    def _show(self) -> EnvStep:
        info, t, b = self.info, self.t, torch.arange(self.batch_size)
        over = t > self.lengths  # [B]
        n, a = info.n_agents, info.n_actions
        where = 100.0 * b + t  # [B]
        obs = where.view(-1, 1, 1) + 10 * torch.arange(n).view(1, n, 1) + torch.arange(5) / 10
        counts = torch.tensor(info.action_counts)
        avail = (torch.arange(a) < counts.unsqueeze(1)).repeat(self.batch_size, 1, 1)
        if info.dynamic_avail:  # one real action of each agent is missing, another at each step
            missing = (t + b.unsqueeze(1) + torch.arange(n)) % counts  # [B, N]
            avail.scatter_(2, missing.unsqueeze(2), False)
        reward = 10.0 * (b + 1) + t if t else torch.zeros(self.batch_size)
        metrics = {"score": where.clone(), "slot": b.float()} if t else {}
        ended = t >= self.lengths
        is_end = {e: torch.tensor([end == e for _, end in self.ends]) for e in KINDS}
        if self.nan_at is not None and self.nan_at[1] + 1 == t:
            reward = torch.where(b == self.nan_at[0], torch.nan, reward)
        for x in (obs, reward, *metrics.values()):
            x[over] = GARBAGE
        step = EnvStep(
            obs,
            torch.where(over, GARBAGE, where).unsqueeze(1).repeat(1, info.state_dim),
            avail,
            reward.unsqueeze(1),
            ended & is_end["terminated"],
            ended & is_end["truncated"],
            metrics,
        )
        if info.action_feature_dim:
            feature = where.view(-1, 1, 1, 1).repeat(1, n, a, info.action_feature_dim)
            feature[over] = GARBAGE
            step.action_features = feature
        if info.varying_team:
            step.is_active = (t + b.unsqueeze(1) + torch.arange(n)) % 3 != 0
        self.shown.append(step)
        return step

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        del state

    def close(self) -> None:
        pass


KINDS = ("terminated", "truncated")


def with_noisy_absent(batch: EpisodeBatch) -> EpisodeBatch:
    """The batch with other observations and actions of agents that are absent."""
    assert batch.is_active is not None
    absent = ~batch.is_active
    batch.obs[absent] = 5.0
    batch.actions[absent[:, :-1]] = batch.avail.shape[3] - 1  # one that is not available, too
    return batch
