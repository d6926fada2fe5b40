"""Every component that the registries find keeps its kind's promises; a new file is covered too.

Those of a project outside the tree are found from its folder: docs/extending/index.md.
"""

import copy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import (
    CPU,
    MIXED,
    RICH,
    FakeEnv,
    fake_batch,
    fake_info,
    fake_inputs,
    fake_sizes,
    normal,
    rng,
)

from build import build_controller
from build_training import build_learner
from components.action_selectors import EpsilonGreedy, EpsilonGreedyConfig
from components.buffers.base import EpisodeBuffer
from components.episode_batch import EpisodeBatch
from components.settings import ExplorationSettings, TargetUpdate
from config.combinations import check_combination
from config.layers import read_file
from config.load import load_config
from config.schema import RunConfig
from config.search_path import available
from controllers.basic_controller import BasicController
from envs.base import EnvStep
from modules.agents.base import AgentInputs
from modules.critics.base import Critic, CriticInputs, CriticSizes
from utils import plugins
from utils.errors import UserError
from utils.registry import (
    AGENTS,
    ALL_REGISTRIES,
    BUFFERS,
    CONTROLLERS,
    CRITICS,
    LEARNERS,
    MIXERS,
    RUNNERS,
    SELECTORS,
    Component,
)
from utils.seeding import seeded_initialisation

EVERY = [(slot, name) for slot, registry in ALL_REGISTRIES.items() for name in registry.names()]
INFO = fake_info(**RICH)
B, T, N, A = 4, 6, 3, 4


def component(slot: str, name: str) -> Component:
    try:
        return ALL_REGISTRIES[slot].get(name)
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize(("slot", "name"), EVERY)
def test_each_file_registers_its_stem(slot: str, name: str) -> None:
    found, registry = component(slot, name), ALL_REGISTRIES[slot]
    assert found.name == name
    stem = found.cls.__module__.rsplit(".", 1)[-1]
    one_file = registry.place.is_file() and not found.outside
    assert stem == (registry.place.stem if one_file else name.rsplit(".", 1)[-1])


@pytest.mark.parametrize(("slot", "name"), EVERY)
def test_settings_are_a_frozen_dataclass_of_defaults(slot: str, name: str) -> None:
    config = component(slot, name).config
    assert is_dataclass(config)
    assert config.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert config() == config()
    assert all(f.name.isidentifier() for f in fields(config))


@pytest.mark.parametrize(("slot", "name"), EVERY)
def test_each_has_a_summary(slot: str, name: str) -> None:
    summary = ALL_REGISTRIES[slot].summary(name)
    assert summary.endswith((".", "!", "?", ";", ":")) or len(summary) > 20, summary


def test_every_slot_has_components() -> None:
    assert {slot for slot, _ in EVERY} == set(ALL_REGISTRIES)
    assert Path(AGENTS.place, "agp_agent.py").is_file()


# Mixers


def make_mixer(name: str) -> Any:
    found = component("mixer", name)
    extra = {key: getattr(INFO, key) for key in getattr(found.cls, "extra_sizes", ())}
    with seeded_initialisation(0):
        return found.cls(found.config(), N, 7, **extra)


def mix(mixer: Any, q: torch.Tensor, state: torch.Tensor, *at: slice) -> torch.Tensor:
    """The mixed value of the copies and steps `at`, for any further input of the mixer."""
    actions = torch.randint(A, (B, T, N), generator=rng())
    further = {
        "values": (),
        "values and their maxima": (normal(B, T, N, seed=2).abs() + q.detach(), actions),
        "soft values": (normal(B, T, N, seed=2), actions, normal(B, T, N, INFO.obs_dim, seed=3)),
    }[getattr(mixer, "mixes", "values")]
    out = mixer(q[at], state[at], *(x[at] for x in further))
    mixed: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return mixed


@pytest.mark.parametrize("name", MIXERS.names())
def test_mixer(name: str) -> None:
    mixer, q, state = make_mixer(name), normal(B, T, N).requires_grad_(), normal(B, T, 7, seed=1)
    out = mix(mixer, q, state)
    assert out.shape == (B, T, 1 if mixer.needs_team_reward else N)
    assert torch.equal(out, mix(mixer, q, state))
    out.square().sum().backward()
    assert (q.grad.abs().sum(dim=(0, 1)) > 0).all()
    for key, p in mixer.named_parameters():
        assert p.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", MIXERS.names())
def test_mixer_is_monotone_and_treats_steps_alike(name: str) -> None:
    mixer, q, state = make_mixer(name), normal(B, T, N).requires_grad_(), normal(B, T, 7, seed=1)
    out = mix(mixer, q, state)
    (gradient,) = torch.autograd.grad(out.sum(), q)
    assert (gradient >= 0).all()
    alone = mix(mixer, q, state, slice(1, 2), slice(3, 4))
    torch.testing.assert_close(alone, out[1:2, 3:4])


# Critics


SIZES = CriticSizes(5, 7, N, A, hidden_dim=8, n_rewards=1, encoded_dim=6, agents=fake_sizes())


def critic_inputs() -> dict[str, torch.Tensor]:
    actions = torch.randint(A, (B, T, N), generator=rng())
    joint = torch.nn.functional.one_hot(actions, A).float().unsqueeze(2).repeat(1, 1, N, 1, 1)
    seen = {"state": normal(B, T, 7), "own": normal(B, T, N, 5, seed=1)}
    return seen | {
        "actions": actions,
        "avail": fake_inputs(fake_sizes(), B, T).avail,
        "joint_actions": joint,
        "encoded": normal(B, T, N, 6, seed=2),
    }


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("name", [name for name in CRITICS.names() if name != "none"])
def test_critic(name: str, individual: bool) -> None:
    found = component("critic", name)
    with seeded_initialisation(0):
        critic: Critic = found.cls(found.config(), replace(SIZES, n_rewards=N if individual else 1))
    inputs = critic_inputs()
    out = critic(CriticInputs(**inputs))
    shapes = {"values of states": (B, T, critic.n_values), "values of actions": (B, T, N, A)}
    assert out.shape == (shapes | {"values of joint actions": (B, T, N)})[critic.estimates]
    step = {key: x[1:2, 3:4] for key, x in inputs.items()}
    torch.testing.assert_close(critic(CriticInputs(**step)), out[1:2, 3:4])
    out.square().sum().backward()
    for key, p in critic.named_parameters():
        assert p.grad is not None, key
        assert p.grad.abs().sum() > 0, key
    without = critic_inputs() | {"state": torch.zeros(B, T, 7)}
    assert torch.equal(critic(CriticInputs(**without)), out) is not critic.needs_state


# Buffers


@pytest.mark.parametrize("name", BUFFERS.names())
def test_buffer(name: str) -> None:
    found = component("buffer", name)

    def make() -> EpisodeBuffer:
        storage = EpisodeBatch.zeros(INFO, 6, CPU)
        buffer: EpisodeBuffer = found.cls(found.config(), storage, np.random.default_rng(0), False)
        return buffer

    assert found.cls.gives in {LEARNERS.get(n).cls.learns_from for n in LEARNERS.names()}
    assert isinstance(getattr(RunConfig(), found.cls.capacity_setting), int)
    buffer = make()
    buffer.add(fake_batch(INFO, MIXED))
    assert (buffer.n_episodes, buffer.capacity) == (4, 6)
    buffer.add(fake_batch(INFO, MIXED, seed=1))
    assert buffer.n_episodes == 6
    other = make()
    other.load_state_dict(copy.deepcopy(buffer.state_dict()))
    for (key, x), (_, y) in zip(buffer._storage.items(), other._storage.items(), strict=True):
        assert torch.equal(x, y), key
    other.load_state_dict(buffer.state_dict(with_episodes=False))
    assert other.n_episodes == 0


# Agents


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("name", AGENTS.names())
def test_agent(name: str, rich: bool) -> None:
    found, sizes = component("agent", name), fake_sizes(**(RICH if rich else {}))
    with seeded_initialisation(0):
        agent = found.cls(found.config(), sizes)
    inputs = fake_inputs(sizes, B, 5)
    out, last = agent(inputs, None)
    assert out.shape == (B, 5, N, A)
    assert out.dtype == torch.float32
    assert last is None or last.shape[:2] == (B, N)
    for width in (1, 2, 3):  # windows of so many steps, each from the memory of the one before
        hidden = None
        for start in range(0, 5, width):
            part, hidden = agent(inputs.window(start, start + width), hidden)
            torch.testing.assert_close(part, out[:, start : start + width], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(hidden, last, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    for key, p in agent.named_parameters():
        assert p.grad.abs().sum() > 0, key


@pytest.mark.parametrize("use_rnn", [False, True])
@pytest.mark.parametrize("name", AGENTS.names())
def test_an_agent_starts_again_where_its_memory_is_reset(name: str, use_rnn: bool) -> None:
    """Nothing before the reset matters, not even a given memory; no gradient goes there either."""
    found, sizes = component("agent", name), fake_sizes(use_rnn=use_rnn)
    with seeded_initialisation(0):
        agent = found.cls(found.config(), sizes)
    inputs = fake_inputs(sizes, B, 5)
    _, earlier = agent(fake_inputs(sizes, B, 5, seed=1), None)
    reset_at = torch.tensor([0, 2, 4, 5])  # of each episode; 5: never
    resets = torch.arange(5) == reset_at.unsqueeze(1)
    inputs.x.requires_grad_()
    out, last = agent(replace(inputs, resets=resets), earlier)
    for b, t in enumerate(reset_at.tolist()):
        every = ((field.name, getattr(inputs, field.name)) for field in fields(AgentInputs))
        row = AgentInputs(**{k: None if x is None else x[b : b + 1] for k, x in every})
        hidden = None if earlier is None else earlier[b : b + 1]
        before, hidden = agent(row.window(0, t), hidden) if t else (out[:0], hidden)
        after, hidden = agent(row.window(t, 5), None) if t < 5 else (out[:0], hidden)
        expected = torch.cat([x for x in (before, after) if len(x)], dim=1)
        torch.testing.assert_close(out[b : b + 1], expected, atol=1e-5, rtol=1e-5)
        if last is not None:
            torch.testing.assert_close(last[b : b + 1], hidden, atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(out[1, 2:].sum(), inputs.x)
    assert gradient[1, 2:].abs().sum() > 0
    assert not gradient[1, :2].any()
    parts = []  # the mask is cut with the steps
    for start in (0, 3):
        part, earlier = agent(replace(inputs, resets=resets).window(start, start + 3), earlier)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), out, atol=1e-5, rtol=1e-5)


# Action selectors


@pytest.mark.parametrize("name", SELECTORS.names())
def test_selector(name: str) -> None:
    found = component("action_selector", name)
    selector = found.cls(found.config(), ExplorationSettings())
    outputs, avail = normal(500, N, A), fake_inputs(fake_sizes(), 500, 1).avail[:, 0]
    best = outputs.masked_fill(~avail, -torch.inf).argmax(dim=2)
    for env_steps in (0, 10**9):
        actions = selector.select(outputs, avail, env_steps, False, rng())
        assert actions.shape == (500, N)
        assert actions.dtype == torch.int64
        assert avail.gather(2, actions.unsqueeze(2)).all()
        assert torch.equal(actions, selector.select(outputs, avail, env_steps, False, rng()))
        assert torch.equal(selector.select(outputs, avail, env_steps, True, rng()), best)
        metrics = selector.metrics(env_steps)
        assert metrics.keys() == found.cls.metric_descriptions.keys()
        assert all(isinstance(x, float) for x in metrics.values())


# Controllers and learners, built as a run builds them


def yamls(slot: str, name: str) -> list[str]:
    """Ours in `config/algs`, and those beside a project's components that name this one."""
    theirs = sorted(plugins.folder().glob("*.yaml"))
    naming = (path for path in theirs if read_file(path, path.name, []).data.get(slot) == name)
    return [*available("algs"), *map(str, naming)]


def build(slot: str, name: str) -> tuple[RunConfig, BasicController]:
    """A method that uses the component: the first of the YAMLs, or AGP with that slot changed."""
    component(slot, name)
    methods = (load_config(alg, None, []) for alg in yamls(slot, name))
    changed = load_config("agp", None, [f"{slot}={name}"])
    config = next((method for method in methods if getattr(method, slot) == name), changed)
    if LEARNERS.get(config.learner).cls.has_targets:
        config = replace(config, target_update=TargetUpdate(interval=4))
    check_combination(config)
    return config, build_controller(config, INFO)


def step_of(batch: EpisodeBatch, t: int) -> EnvStep:
    none = torch.zeros(batch.n_episodes)
    features = batch.action_features[:, t] if batch.action_features is not None else None
    active = batch.is_active[:, t] if batch.is_active is not None else None
    seen = (batch.obs[:, t], batch.state[:, t], batch.avail[:, t])
    return EnvStep(*seen, none, none.bool(), none.bool(), {}, features, active)


def replayed(
    controller: BasicController, seen: tuple[Any, ...], actions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What agents choose by in a greedy test if they choose these actions, and the new memory."""
    outputs: list[torch.Tensor] = []

    def select(given: torch.Tensor, avail: torch.Tensor) -> torch.Tensor:
        assert avail.shape == given.shape
        first = sum(x.shape[1] for x in outputs)
        outputs.append(given)
        return actions[:, first : first + given.shape[1]]

    chosen, hidden = controller.choose(*seen, select, True)
    assert torch.equal(chosen, actions)
    return torch.cat(outputs, dim=1), hidden


@pytest.mark.parametrize("name", CONTROLLERS.names())
def test_controller(name: str) -> None:
    _, controller = build("controller", name)
    batch = fake_batch(INFO, noise_dim=controller.noise_dim)
    n_steps = 6 if controller.in_order else 7  # those in order are known for steps with actions
    whole = controller.outputs(batch, n_steps)
    assert whole.shape == (4, n_steps, N, A)
    actions = torch.cat([batch.actions, torch.zeros_like(batch.actions[:, :1])], dim=1)
    hidden = None
    for t in range(n_steps):
        noise = None if batch.noise is None else batch.noise[:, t]
        last = batch.actions[:, t - 1] if t else None
        out, hidden = replayed(controller, (step_of(batch, t), last, noise, hidden), actions[:, t])
        torch.testing.assert_close(out, whole[:, t], atol=1e-5, rtol=1e-5)
    noise = controller.draw_noise(B, rng())
    assert (noise is None) == (controller.noise_dim == 0)
    assert controller.info is INFO


@pytest.mark.parametrize("name", LEARNERS.names())
def test_learner(name: str) -> None:
    config, controller = build("learner", name)
    learner = build_learner(config, controller)
    assert learner.online["agent"] is controller.agent  # whose weights a policy is loaded from
    batch = fake_batch(INFO, MIXED)
    before = [p.detach().clone() for p in learner.online.parameters()]
    loss, details = learner.loss(learner.prepare(batch))
    assert loss.shape == ()
    assert loss.requires_grad
    assert all(x().dim() == 0 for x in details.values())
    for update in range(1, 4):
        learner.observe(batch)
        learner.train(learner.prepare(batch), env_steps=14 * update, episodes=4 * update)
    assert learner.updates == 3
    moved = [
        not torch.equal(a, b) for a, b in zip(before, learner.online.parameters(), strict=True)
    ]
    assert all(moved)
    row = learner.metrics()
    assert row.keys() == learner.metric_descriptions.keys()
    assert all(isinstance(x, float) for x in row.values())

    _, other_controller = build("learner", name)
    other = build_learner(config, other_controller)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    for a in (learner, other):
        a.train(a.prepare(batch), 100, 16)
    for x, y in zip(learner.online.parameters(), other.online.parameters(), strict=True):
        assert torch.equal(x, y)
    assert learner.metrics() == other.metrics()


@pytest.mark.parametrize("name", RUNNERS.names())
def test_runner(name: str) -> None:
    found = component("runner", name)
    _, controller = build("runner", name)
    selector = EpsilonGreedy(EpsilonGreedyConfig(), ExplorationSettings())
    runner = found.cls(found.config(), FakeEnv(INFO), controller, selector, 1, "train_env")
    rollout = runner.collect(0)
    empty = EpisodeBatch.zeros(INFO, 4, CPU, 1, controller.noise_dim)
    shapes = {key: (x.shape, x.dtype) for key, x in rollout.batch.items()}
    assert shapes == {key: (x.shape, x.dtype) for key, x in empty.items()}
    assert rollout.n_steps == rollout.batch.valid.sum() == rollout.lengths.sum()
    assert torch.equal(rollout.returns, rollout.batch.reward.sum(dim=1))
    runner.load_state_dict(runner.state_dict())
