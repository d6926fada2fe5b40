"""What the critic on an action graph sees: its value by hand, and perturbations of its inputs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import RICH, fake_batch, fake_info, fake_inputs, fake_sizes, normal

from build import build_controller
from build_training import build_learner
from config.load import load_config
from modules.critics.action_graph import ActionGraphCritic, ActionGraphCriticConfig
from modules.critics.base import CriticInputs, CriticSizes
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation

B, L, N, A = 2, 3, 3, 4
AGENTS = fake_sizes(**RICH)


def make(n_rewards: int = 1, **settings: Any) -> ActionGraphCritic:
    config = ActionGraphCriticConfig(embed_dim=8, heads=2, **settings)
    with seeded_initialisation(0):
        return ActionGraphCritic(config, CriticSizes(5, 7, N, A, 8, n_rewards, agents=AGENTS))


def seen(**changes: torch.Tensor) -> CriticInputs:
    x = fake_inputs(AGENTS, B, L)
    inputs = CriticInputs(
        state=normal(B, L, 7),
        own=x.x.clone(),
        is_active=x.is_active,
        avail=x.avail,
        action_features=x.action_features,
    )
    return replace(inputs, **changes)


@pytest.mark.parametrize("n_rewards", [1, N])
def test_it_is_an_mlp_of_the_mean_context_of_present_agents(n_rewards: int) -> None:
    critic, inputs = make(n_rewards), seen()
    out = critic(inputs)
    assert out.shape == (B, L, n_rewards)
    assert inputs.avail is not None
    assert inputs.action_features is not None
    assert inputs.is_active is not None
    for b in range(B):
        for t in range(L):
            every = (inputs.own, inputs.avail, inputs.action_features, inputs.is_active)
            graph = critic.graph(*(x[b, t : t + 1] for x in every))
            here = graph.context[0, inputs.is_active[b, t]]
            torch.testing.assert_close(out[b, t], critic.value(here.mean(dim=0)))


def test_it_sees_what_the_agents_see_and_can_do_and_nothing_else() -> None:
    critic, before = make(), seen()
    out = critic(before)
    assert before.is_active is not None
    assert before.avail is not None
    assert before.action_features is not None
    active, features = before.is_active, before.action_features
    real = torch.arange(A) < torch.tensor(AGENTS.action_counts).unsqueeze(1)
    counts = before.avail & active.unsqueeze(3)
    for changes, is_seen in (
        ({"own": torch.where(active.unsqueeze(3), before.own + 1, before.own)}, True),
        ({"own": torch.where(active.unsqueeze(3), before.own, before.own + 1)}, False),
        ({"avail": (before.avail | active.unsqueeze(3)) & real}, True),
        ({"avail": (before.avail | ~active.unsqueeze(3)) & real}, False),
        ({"action_features": torch.where(counts.unsqueeze(4), features + 1, features)}, True),
        ({"action_features": torch.where(counts.unsqueeze(4), features, features + 1)}, False),
        ({"state": before.state + 1}, False),
        ({"actions": torch.ones(B, L, N, dtype=torch.int64)}, False),
    ):
        same = torch.allclose(critic(replace(before, **changes)), out, atol=1e-6)
        assert same is not is_seen, changes.keys()


def test_every_agent_that_takes_part_counts() -> None:
    critic, before = make(), seen()
    assert before.is_active is not None
    for i in range(N):
        own = before.own.clone()
        own[:, :, i] += 1
        moved = (critic(replace(before, own=own)) - critic(before)).abs().squeeze(2) > 1e-6
        assert torch.equal(moved, before.is_active[:, :, i])


@pytest.mark.parametrize("alg", ["agp_pg", "mappo"])
def test_a_learner_gives_it_what_it_needs(alg: str) -> None:
    info = fake_info(**RICH)
    config = load_config(alg, None, ["critic=action_graph", "critic_args.embed_dim=8"])
    learner = build_learner(config, build_controller(config, info))
    batch = fake_batch(info)
    prepared = learner.prepare(batch)
    assert prepared.target.shape == (4, 6, 1)  # type: ignore[attr-defined]
    learner.loss(prepared)[0].backward()
    assert all(p.grad is not None for p in learner.online["critic"].parameters())


def test_without_a_graph_it_is_an_error() -> None:
    with pytest.raises(SettingsError, match="use critic=state_value"):
        ActionGraphCriticConfig(enabled=False)
