from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import GARBAGE, MIXED, RICH, FakeEnv, fake_info, make_controller

from components.action_selectors import (
    CategoricalConfig,
    EpsilonGreedy,
    EpsilonGreedyConfig,
    PolicySampler,
)
from components.settings import AgentSettings, ExplorationSettings
from envs.base import EnvInfo, EnvStep
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.agp_agent import AGPAgentConfig
from modules.agents.rnn_agent import RNNAgentConfig
from runners.batch_runner import BatchRunner, Rollout
from utils.errors import NumericalError

INFO = fake_info(**RICH)
FIXED = fake_info(fixed_length=True, dynamic_avail=False)
FIXED_ENDS = ((6, "truncated"), (6, "terminated"))
SHARED = AgentSettings(obs_agent_id=True, obs_last_action=True, hidden_dim=8)
AGP = AGPAgentConfig("pre", graph=ActionGraphConfig(embed_dim=8, heads=2))


def make(
    env: FakeEnv, epsilon: float = 0.5, seed: int = 1, stream: str = "train", noise: int = 0
) -> BatchRunner:
    controller = make_controller(
        env.info, "agp_agent", AGP, "agp_controller", SHARED, common_noise=noise
    )
    selector = EpsilonGreedy(EpsilonGreedyConfig(epsilon, epsilon), ExplorationSettings())
    return BatchRunner(None, env, controller, selector, seed, stream)  # type: ignore[arg-type]


def play(info: EnvInfo = INFO, **settings: Any) -> tuple[FakeEnv, Rollout]:
    env = FakeEnv(info, MIXED if not info.fixed_length else FIXED_ENDS)
    return env, make(env, **settings).collect(0)


def test_valid_is_true_exactly_on_real_steps() -> None:
    _, rollout = play()
    batch = rollout.batch
    for b, (length, end) in enumerate(MIXED):
        assert batch.valid[b, :, 0].tolist() == [t < length for t in range(6)]
        last = [t == length - 1 for t in range(6)]
        assert batch.terminated[b, :, 0].tolist() == [x and end == "terminated" for x in last]
        assert batch.truncated[b, :, 0].tolist() == [x and end == "truncated" for x in last]


def test_counts_and_returns() -> None:
    _, rollout = play()
    assert rollout.n_steps == 3 + 6 + 1 + 4
    assert rollout.lengths.tolist() == [3, 6, 1, 4]
    assert rollout.lengths.dtype == torch.int64
    # 10 (b + 1) + t + 1 in each step
    assert rollout.returns.tolist() == [[30 + 6], [120 + 21], [30 + 1], [160 + 10]]


def test_individual_returns_of_agents_that_took_no_part_are_no_numbers() -> None:
    env = FakeEnv(INFO, ((1, "terminated"), (1, "terminated")))
    env.n_rewards = 3
    rollout = make(env).collect(0)
    took_part = rollout.batch.is_active[:, 0]
    assert torch.equal(rollout.returns.isnan(), ~took_part)
    assert not took_part.all()
    assert (rollout.returns[took_part] > 0).all()


def test_what_was_shown_is_what_is_stored() -> None:
    env, rollout = play(noise=2)
    batch = rollout.batch
    for b, (length, _) in enumerate(MIXED):
        for t in range(length + 1):
            shown = env.shown[t]
            for name in ("obs", "state", "avail", "action_features", "is_active"):
                assert torch.equal(getattr(batch, name)[b, t], getattr(shown, name)[b]), name
            assert batch.noise[b, t].any()
            if t < length:
                assert torch.equal(batch.actions[b, t], env.taken[t][b])
                assert torch.equal(batch.reward[b, t], env.shown[t + 1].reward[b])


def test_padding_is_clean() -> None:
    env, rollout = play(noise=2)
    assert (env.shown[-1].obs == GARBAGE).any()  # the world did show rubbish
    for name, x in rollout.batch.items():
        for b, (length, _) in enumerate(MIXED):
            first = length if x.shape[1] == 6 else length + 1
            assert (x[b, first:] == (1 if name == "avail" else 0)).all(), name


def test_types_and_shapes_are_those_of_an_empty_batch() -> None:
    _, rollout = play()
    assert rollout.batch.actions.dtype == torch.int64
    assert rollout.batch.avail.dtype == rollout.batch.is_active.dtype == torch.bool
    assert rollout.batch.obs.shape == (4, 7, 3, 5)
    assert rollout.batch.noise is None
    assert not rollout.batch.obs.is_inference()  # so that it can be trained on


def test_metrics_are_taken_at_the_end_of_each_copy() -> None:
    _, rollout = play()
    assert rollout.metrics["score"].tolist() == [3, 106, 201, 304]  # 100 b + length
    assert rollout.metrics["slot"].tolist() == [0, 1, 2, 3]


def test_it_stops_when_every_copy_has_ended() -> None:
    info = fake_info(**RICH, episode_limit=50)
    env = FakeEnv(info, MIXED)
    rollout = make(env).collect(0)
    assert len(env.taken) == 6
    assert rollout.batch.n_steps == 50
    assert rollout.n_steps == 14
    assert not rollout.batch.valid[:, 6:].any()
    assert rollout.batch.avail[:, 8:].all()


def test_fixed_length() -> None:
    _, rollout = play(FIXED)
    assert rollout.batch.valid.all()
    assert rollout.n_steps == 12
    assert rollout.lengths.tolist() == [6, 6]
    assert rollout.returns.tolist() == [[60 + 21], [120 + 21]]
    assert rollout.metrics["score"].tolist() == [6, 106]
    assert rollout.batch.truncated[:, :, 0].nonzero().tolist() == [[0, 5]]
    assert rollout.batch.terminated[:, :, 0].nonzero().tolist() == [[1, 5]]


class Losing(FakeEnv):
    """Loses the env slots that `plan` names, one tuple for each reset, from step 1 on."""

    def __init__(self, info: EnvInfo, ends: Any, *plan: tuple[int, ...]):
        super().__init__(info, ends)
        self.plan, self.episode = plan, -1

    def reset(self) -> EnvStep:
        self.episode += 1
        return super().reset()

    def step(self, actions: torch.Tensor) -> EnvStep:
        step = super().step(actions)
        gone = list(self.plan[self.episode])
        if gone:
            step.lost = torch.zeros(self.batch_size, dtype=torch.bool)
            step.lost[gone] = step.truncated[gone] = True
            step.reward[gone] = torch.nan
        return step


@pytest.mark.parametrize("fixed_length", [True, False])
def test_lost_episodes_are_left_out(fixed_length: bool) -> None:
    info, ends = (FIXED, FIXED_ENDS) if fixed_length else (INFO, MIXED)
    whole = make(FakeEnv(info, ends)).collect(0)
    rollout = make(Losing(info, ends, (0,))).collect(0)
    assert rollout.n_lost == 1
    assert rollout.n_steps == int(rollout.lengths.sum()) == int(whole.lengths[1:].sum())
    assert torch.equal(rollout.returns, whole.returns[1:])
    assert rollout.metrics["score"].tolist() == whole.metrics["score"][1:].tolist()
    assert torch.equal(rollout.batch.valid, whole.batch.valid[1:])
    assert torch.equal(rollout.batch.obs, whole.batch.obs[1:])
    assert not rollout.batch.obs.is_inference()


def test_if_all_are_lost_others_are_played() -> None:
    rollout = make(Losing(FIXED, FIXED_ENDS, (0, 1), (1, 0), (1,))).collect(0)
    assert rollout.n_lost == 5
    assert (rollout.batch.n_episodes, rollout.n_steps) == (1, 6)


@pytest.mark.parametrize("greedy", [True, False])
def test_actions_are_available(greedy: bool) -> None:
    env = FakeEnv(INFO)  # it asserts so itself
    batch = make(env, epsilon=1.0).collect(0, greedy=greedy).batch
    chosen = batch.avail[:, :-1].gather(3, batch.actions.unsqueeze(3)).squeeze(3)
    assert chosen[batch.valid.squeeze(2)].all()


def test_greedy_actions_are_the_controllers_best_on_the_stored_episodes() -> None:
    env = FakeEnv(INFO)
    runner = make(env, noise=2)
    batch = runner.collect(0, greedy=True).batch
    q = runner.controller.outputs(batch, 7)[:, :-1]
    best = q.masked_fill(~batch.avail[:, :-1], -torch.inf).argmax(dim=3)
    real = batch.valid.squeeze(2)
    assert torch.equal(batch.actions[real], best[real])


def test_streams_by_seed_and_name() -> None:
    def actions(seed: int, stream: str) -> torch.Tensor:
        return make(FakeEnv(INFO), 1.0, seed, stream).collect(0).batch.actions

    assert torch.equal(actions(1, "train"), actions(1, "train"))
    assert not torch.equal(actions(1, "train"), actions(2, "train"))
    assert not torch.equal(actions(1, "train"), actions(1, "test"))


def test_state_round_trip() -> None:
    old, new = make(FakeEnv(INFO), 1.0, seed=1), make(FakeEnv(INFO), 1.0, seed=2)
    old.collect(0)
    new.load_state_dict(old.state_dict())
    assert torch.equal(old.collect(0).batch.actions, new.collect(0).batch.actions)


def test_the_schedule_sees_the_environment_steps() -> None:
    env = FakeEnv(FIXED, FIXED_ENDS)
    runner = make(env)
    runner.selector = EpsilonGreedy(EpsilonGreedyConfig(1.0, 0.0), ExplorationSettings(100))
    greedy = runner.collect(0, greedy=True).batch.actions
    assert torch.equal(runner.collect(100).batch.actions, greedy)
    assert not torch.equal(runner.collect(0).batch.actions, greedy)


@pytest.mark.parametrize("fixed_length", [True, False])
def test_a_reward_that_is_not_finite_is_an_error(fixed_length: bool) -> None:
    info, ends = (FIXED, FIXED_ENDS) if fixed_length else (INFO, MIXED)
    runner = make(FakeEnv(info, ends, nan_at=(1, 4)))
    runner.collect(123)
    runner.collect(456)
    for _ in range(2):
        with pytest.raises(NumericalError, match=r"finite at step 4 .* environment step 123\."):
            runner.require_finite()


def test_a_reward_after_the_end_belongs_to_no_agent() -> None:
    rollout = make(FakeEnv(INFO, MIXED, nan_at=(2, 3))).collect(0)
    assert torch.isfinite(rollout.returns).all()


def test_seconds_are_kept_by_phase() -> None:
    runner = make(FakeEnv(INFO))
    runner.collect(0)
    described = {f"time_{name}" for name in runner.phases.seconds()}
    assert described == BatchRunner.metric_descriptions.keys() | {"time_train"}


def test_agents_without_memory_and_other_selectors() -> None:
    memoryless = AgentSettings(use_rnn=False)
    controller = make_controller(INFO, "rnn_agent", RNNAgentConfig(), shared=memoryless)
    env, selector = FakeEnv(INFO), PolicySampler(CategoricalConfig(), ExplorationSettings())
    runner = BatchRunner(None, env, controller, selector, 1, "train")  # type: ignore[arg-type]
    assert runner.collect(0).lengths.tolist() == [3, 6, 1, 4]
