import pytest
import torch
from tests.helpers.fake_envs import CPU, fake_batch, fake_info, make_controller

from build_training import build_learner
from components.reward_scaling import RewardScaler
from config.load import load_config
from modules.agents.rnn_agent import RNNAgentConfig

BATCHES = [fake_batch(fake_info(), seed=seed, n_rewards=3) for seed in range(3)]
REAL = torch.cat([x.reward[x.valid.squeeze(2)].flatten() for x in BATCHES]).double()


def trained(mode: str) -> RewardScaler:
    scaler = RewardScaler(mode, CPU)  # type: ignore[arg-type]
    for batch in BATCHES:
        scaler.update(batch.reward + 100 * ~batch.valid, batch.valid)  # junk in the padding
    return scaler


def test_moments_are_those_of_all_real_steps() -> None:
    scaler = trained("std")
    assert scaler.count == REAL.numel()
    assert scaler.mean.item() == pytest.approx(REAL.mean().item())
    assert (scaler.square_sum / scaler.count).item() == pytest.approx(REAL.var(correction=0).item())


def test_std_divides() -> None:
    reward = BATCHES[0].reward
    expected = reward / REAL.std(correction=0).float()
    torch.testing.assert_close(trained("std").scale(reward), expected)


def test_meanstd_centres_first() -> None:
    reward = BATCHES[0].reward
    expected = (reward - REAL.mean().float()) / REAL.std(correction=0).float()
    torch.testing.assert_close(trained("meanstd").scale(reward), expected)


def test_individual_rewards_of_absent_agents_do_not_count() -> None:
    info = fake_info(varying_team=True)
    learner = build_learner(
        load_config("iql", None, ["reward_scaling=std", "reward_aggregation=individual"]),
        make_controller(info, "rnn_agent", RNNAgentConfig()),
    )
    batch = fake_batch(info, n_rewards=3)
    learner.observe(batch)
    real = batch.reward[batch.valid & batch.is_active[:, :-1]]
    assert learner.reward_scaler.count == real.numel() < batch.valid.sum() * 3
    assert learner.reward_scaler.mean.item() == pytest.approx(real.double().mean().item())


def test_none_changes_nothing() -> None:
    reward = BATCHES[0].reward
    assert trained("none").scale(reward) is reward
    assert torch.equal(RewardScaler("std", CPU).scale(reward), reward)  # nothing seen yet


@pytest.mark.parametrize(("mode", "scaled"), [("std", -1.3), ("meanstd", 0.0)])
def test_a_constant_reward_is_not_blown_up(mode: str, scaled: float) -> None:
    scaler = RewardScaler(mode, CPU)  # type: ignore[arg-type]
    reward, valid = torch.full((4, 3, 1), -1.3), torch.ones(4, 3, 1, dtype=torch.bool)
    scaler.update(reward, valid)
    scaler.update(reward[:3], valid[:3])
    torch.testing.assert_close(scaler.scale(reward), torch.full((4, 3, 1), scaled))


def test_a_batch_without_real_steps_changes_nothing() -> None:
    scaler = trained("std")
    before = scaler.state_dict()
    scaler.update(torch.ones(1, 2, 1), torch.zeros(1, 2, 1, dtype=torch.bool))
    assert scaler.state_dict() == before


def test_state_round_trip() -> None:
    old, new = trained("meanstd"), RewardScaler("meanstd", CPU)
    new.load_state_dict(old.state_dict())
    for scaler in (old, new):
        scaler.update(BATCHES[1].reward, BATCHES[1].valid)
    assert torch.equal(old.scale(BATCHES[2].reward), new.scale(BATCHES[2].reward))
