import pytest
import torch
from tests.helpers.fake_envs import CPU, RICH, fake_batch, fake_info, normal

from components.episode_batch import EpisodeBatch


def test_shapes_and_types_of_every_field() -> None:
    batch = EpisodeBatch.zeros(fake_info(**RICH), 2, CPU, n_rewards=3, noise_dim=5)
    expected = {
        "obs": ((2, 7, 3, 5), torch.float32),
        "avail": ((2, 7, 3, 4), torch.bool),
        "actions": ((2, 6, 3), torch.int64),
        "reward": ((2, 6, 3), torch.float32),
        "terminated": ((2, 6, 1), torch.bool),
        "truncated": ((2, 6, 1), torch.bool),
        "valid": ((2, 6, 1), torch.bool),
        "action_features": ((2, 7, 3, 4, 2), torch.float32),
        "is_active": ((2, 7, 3), torch.bool),
        "noise": ((2, 7, 3, 5), torch.float32),
        "own_state": ((2, 7, 7), torch.float32),
    }
    assert {name: (tuple(x.shape), x.dtype) for name, x in batch.items()} == expected


def test_an_empty_batch_is_padding() -> None:
    for name, x in EpisodeBatch.zeros(fake_info(**RICH), 2, CPU, noise_dim=1).items():
        assert (x == (1 if name == "avail" else 0)).all(), name


def test_optional_fields_are_left_out() -> None:
    batch = EpisodeBatch.zeros(fake_info(), 2, CPU)
    assert batch.action_features is None
    assert batch.is_active is None
    assert batch.noise is None
    assert [name for name, _ in batch.items()][-2:] == ["valid", "own_state"]


def test_a_state_that_is_the_observations_is_not_stored() -> None:
    info = fake_info(state_dim=15, state_is_obs=True)
    batch = EpisodeBatch.zeros(info, 4, CPU)
    batch.obs.copy_(normal(*batch.obs.shape))
    assert batch.own_state is None
    chosen = batch.select(torch.tensor([3, 1])).shorten(4)
    assert torch.equal(chosen.state, batch.obs[[3, 1], :5].flatten(2))
    assert chosen.state.data_ptr() == chosen.obs.data_ptr()  # a view
    with pytest.raises(ValueError, match="3 x 5 numbers, but state_dim is 7"):
        fake_info(state_is_obs=True)


def test_sizes() -> None:
    batch = EpisodeBatch.zeros(fake_info(n_agents=1, n_actions=2, episode_limit=1), 3, CPU)
    assert (batch.n_episodes, batch.n_steps) == (3, 1)
    # Per episode: obs 2x5x4, state 2x7x4, avail 2x2, action 8, reward 4, three flags.
    assert batch.n_bytes == 3 * (40 + 56 + 4 + 8 + 4 + 3)


def test_select_copies_the_chosen_episodes() -> None:
    batch = fake_batch(fake_info(**RICH))
    chosen = batch.select(torch.tensor([3, 1]))
    for name, x in chosen.items():
        assert torch.equal(x, getattr(batch, name)[[3, 1]]), name
    chosen.obs.zero_()
    assert batch.obs[3, 0].any()


def test_shorten_keeps_the_observation_after_the_last_step() -> None:
    batch = fake_batch(fake_info(**RICH))
    short = batch.shorten(4)
    assert short.n_steps == 4
    assert torch.equal(short.obs, batch.obs[:, :5])
    assert torch.equal(short.is_active, batch.is_active[:, :5])
    assert torch.equal(short.reward, batch.reward[:, :4])
    assert short.obs.data_ptr() == batch.obs.data_ptr()


def test_shorten_to_the_same_length_changes_nothing() -> None:
    batch = fake_batch(fake_info())
    assert batch.shorten(batch.n_steps) is batch
