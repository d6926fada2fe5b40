"""MAT's network: in order and all at once, who depends on whose action, absent agents."""

from dataclasses import replace

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes, normal, rng
from torch import Tensor

from modules.agents.base import AgentInputs, AgentSizes
from modules.agents.mat_agent import MATAgent, MATAgentConfig
from utils.errors import SettingsError, UserError
from utils.seeding import seeded_initialisation
from utils.shapes import ShapeError

B, N, A = 6, 5, 4
SIZES = fake_sizes(
    n_agents=N, n_actions=A, action_counts=(A,) * N, varying_team=True, dynamic_avail=False
)


def make(sizes: AgentSizes = SIZES, seed: int = 0, blocks: int = 2) -> MATAgent:
    """With weights that are far from the small ones of the start."""
    with seeded_initialisation(seed):
        agent = MATAgent(MATAgentConfig(embed_dim=8, heads=2, blocks=blocks), sizes)
        with torch.no_grad():
            for p in agent.parameters():
                p.add_(0.5 * torch.randn(p.shape))
    return agent


def inputs_of(present: bool, length: int = 1) -> AgentInputs:
    inputs = fake_inputs(SIZES, B, length)
    if present:
        return replace(inputs, is_active=None)
    inputs.is_active[0, :, 0] = False  # the first agent may be absent, too
    return inputs


def logits_in_order(agent: MATAgent, inputs: AgentInputs) -> Tensor:
    """The logits [B, N, A] that agents act by if they choose `inputs.actions`."""
    seen: list[Tensor] = []

    def pick(i: int, logits: Tensor) -> Tensor:
        assert i == len(seen)
        seen.append(logits)
        return inputs.actions[:, 0, i]

    assert torch.equal(agent.choose(inputs, pick), inputs.actions[:, 0])
    return torch.stack(seen, dim=1)


def slow_logits(agent: MATAgent, inputs: AgentInputs, b: int, i: int) -> Tensor:
    """Agent i's logits [A] in team b, computed from the agents that take part, up to i, only."""
    active = [j for j in range(N) if inputs.is_active is None or inputs.is_active[b, 0, j]]
    encoded = agent.encoder(inputs.x[b : b + 1, 0, active], None)  # [1, P, d]
    order = active[: active.index(i) + 1]
    tokens = [0] + [int(inputs.actions[b, 0, j]) + 1 for j in order[:-1]]
    p = len(order)
    causal = torch.ones(p, p, dtype=torch.bool).tril()
    logits, _ = agent.decoder(torch.tensor([tokens]), encoded[:, :p], causal)
    return logits[0, -1]


@pytest.mark.parametrize("present", [True, False])
@torch.no_grad()
def test_acting_equals_training_and_a_slow_loop_over_smaller_teams(present: bool) -> None:
    agent, inputs = make(), inputs_of(present)
    at_once, _ = agent(inputs, None)
    in_order = logits_in_order(agent, inputs)
    torch.testing.assert_close(in_order, at_once.squeeze(1), atol=1e-5, rtol=1e-5)
    for b in range(B):
        for i in range(N):
            if present or inputs.is_active[b, 0, i]:
                expected = slow_logits(agent, inputs, b, i)
                torch.testing.assert_close(in_order[b, i], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changed", range(N))
@torch.no_grad()
def test_a_policy_depends_on_the_actions_before_and_on_no_other(changed: int) -> None:
    agent, inputs = make(), inputs_of(present=True)
    before, _ = agent(inputs, None)
    actions = inputs.actions.clone()
    actions[:, :, changed] = (actions[:, :, changed] + 1) % A
    after, _ = agent(replace(inputs, actions=actions), None)
    torch.testing.assert_close(after[:, :, : changed + 1], before[:, :, : changed + 1])
    moved = (after - before).abs().amax(dim=(0, 1, 3)) > 1e-3
    assert moved.tolist() == [i > changed for i in range(N)]


@torch.no_grad()
def test_every_policy_depends_on_every_observation() -> None:
    agent, inputs = make(), inputs_of(present=True)
    before, _ = agent(inputs, None)
    for j in range(N):
        x = inputs.x.clone()
        x[:, :, j] += 1.0
        after, _ = agent(replace(inputs, x=x), None)
        assert ((after - before).abs().amax(dim=(0, 1, 3)) > 1e-4).all()


@torch.no_grad()
def test_absent_agents_change_nothing() -> None:
    agent, inputs = make(), inputs_of(present=False, length=3)
    absent = ~inputs.is_active
    x = torch.where(absent.unsqueeze(3), normal(*inputs.x.shape, seed=5), inputs.x)
    actions = torch.where(absent, (inputs.actions + 1) % A, inputs.actions)
    changed = replace(inputs, x=x, actions=actions)
    assert absent.any()
    for a, b in zip(
        (agent(inputs, None)[0], agent.encode(inputs)),
        (agent(changed, None)[0], agent.encode(changed)),
        strict=True,
    ):
        torch.testing.assert_close(a[inputs.is_active], b[inputs.is_active])


@torch.no_grad()
def test_it_has_no_memory_and_no_step_sees_another() -> None:
    agent, inputs = make(), inputs_of(present=False, length=4)
    whole, hidden = agent(inputs, None)
    assert hidden is None
    x = inputs.x.clone()
    x[:, 2] += 1.0
    other, _ = agent(replace(inputs, x=x), None)
    moved = (other - whole).abs().amax(dim=(0, 2, 3)) > 1e-4
    assert moved.tolist() == [False, False, True, False]


def test_tokens_by_hand() -> None:
    actions = torch.tensor([[[3, 1, 0, 2]]])
    active = torch.tensor([[[True, False, True, True]]])
    assert MATAgent._tokens(actions, None).tolist() == [[[0, 4, 2, 1]]]
    assert MATAgent._tokens(actions, active).tolist() == [[[0, 4, 4, 1]]]
    assert MATAgent._tokens(actions, ~active).tolist() == [[[0, 0, 2, 2]]]


def test_a_norm_over_one_number_is_an_error() -> None:
    sizes = replace(SIZES, input_dim=1)
    with pytest.raises(UserError, match=r"Use agent_args\.normalise_inputs=false"):
        MATAgent(MATAgentConfig(normalise_inputs=True), sizes)
    with torch.no_grad():
        agent = make(sizes)
        one, two = (agent.encode(fake_inputs(sizes, B, 1, seed=s)) for s in (1, 2))
    assert not torch.allclose(one, two)


def test_actions_must_fit_the_steps() -> None:
    inputs = fake_inputs(SIZES, B, 3)
    with pytest.raises(ShapeError):
        make()(replace(inputs, actions=inputs.actions[:, :2]), None)


@pytest.mark.parametrize(
    ("name", "value"), [("embed_dim", 0), ("blocks", 0), ("heads", 0), ("heads", 7)]
)
def test_settings_out_of_range(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=name):
        MATAgentConfig(**{name: value})


def test_a_sample_is_drawn_from_the_joint_policy() -> None:
    """Frequencies of sampled joint actions of two agents against the product of conditionals."""
    sizes = replace(SIZES, n_agents=2, n_actions=2, action_counts=(2, 2), varying_team=False)
    agent, n, g = make(sizes), 20_000, rng(3)
    x = normal(1, 1, 2, 5).expand(n, 1, 2, 5)
    inputs = AgentInputs(x, torch.ones(n, 1, 2, 2, dtype=torch.bool))

    def pick(i: int, logits: Tensor) -> Tensor:
        return torch.multinomial(logits.softmax(dim=1), 1, generator=g).squeeze(1)

    with torch.no_grad():
        played = agent.choose(inputs, pick)
        every = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        teacher = AgentInputs(x[:4], inputs.avail[:4], actions=every.unsqueeze(1))
        log_pi = agent(teacher, None)[0].squeeze(1).log_softmax(dim=2)
    joint = log_pi.gather(2, every.unsqueeze(2)).sum(dim=(1, 2)).exp()
    assert joint.sum() == pytest.approx(1.0, abs=1e-5)
    found = torch.bincount(played[:, 0] * 2 + played[:, 1], minlength=4) / n
    torch.testing.assert_close(found, joint, atol=0.015, rtol=0)
