from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import CPU, RICH, Ends, fake_batch, fake_info

from components.buffers.base import require_memory
from components.buffers.replay import Replay
from components.episode_batch import EpisodeBatch
from utils.errors import UserError

LIMIT = fake_info().episode_limit


def make_buffer(capacity: int = 5, fixed_length: bool = False, seed: int = 0) -> Replay:
    storage = EpisodeBatch.zeros(fake_info(**RICH), capacity, CPU)
    return Replay(None, storage, np.random.default_rng(seed), fixed_length)


def episodes(first: int, *lengths: int) -> EpisodeBatch:
    """Episodes marked by their numbers from `first`."""
    ends: Ends = tuple((length, "terminated") for length in lengths)
    batch = fake_batch(fake_info(**RICH), ends, seed=first)
    batch.state[:, 0, 0] = torch.arange(first, first + len(lengths))
    return batch


def numbers(batch: EpisodeBatch) -> list[int]:
    return sorted(int(x) for x in batch.state[:, 0, 0])


def test_everything_comes_back_as_it_went_in() -> None:
    buffer, batch = make_buffer(), episodes(0, 6, 2, 3)
    buffer.add(batch)
    sample = buffer.sample(3)
    order = sample.state[:, 0, 0].long()
    for name, x in sample.items():
        assert torch.equal(x, getattr(batch, name)[order]), name
        assert x.dtype == getattr(batch, name).dtype


def test_the_ring_overwrites_the_oldest() -> None:
    buffer = make_buffer(capacity=5)
    buffer.add(episodes(0, 6, 6, 6))
    assert (buffer.n_episodes, buffer.capacity) == (3, 5)
    buffer.add(episodes(3, 6, 6, 6))  # wraps: 3 and 4 at the end, 5 over 0
    assert buffer.n_episodes == 5
    assert numbers(buffer.sample(5)) == [1, 2, 3, 4, 5]
    buffer.add(episodes(6, 6, 6, 6, 6, 6))  # as many as there are places
    assert numbers(buffer.sample(5)) == [6, 7, 8, 9, 10]
    buffer.add(episodes(11, 6))
    assert numbers(buffer.sample(5)) == [7, 8, 9, 10, 11]


def test_lengths_follow_the_ring() -> None:
    buffer = make_buffer(capacity=3)
    buffer.add(episodes(0, 6, 2))
    assert buffer.sample(2).n_steps == 6
    buffer.add(episodes(2, 1, 3))  # the second one falls on the six-step episode
    assert numbers(buffer.sample(3)) == [1, 2, 3]
    sample = buffer.sample(3)
    assert sample.n_steps == 3
    assert sample.obs.shape[1] == 4


def test_a_sample_is_as_long_as_its_longest_episode() -> None:
    buffer = make_buffer()
    buffer.add(episodes(0, 2, 4, 6, 1))
    seen = set()
    for _ in range(30):
        sample = buffer.sample(2)
        lengths = sample.valid.sum(dim=(1, 2))
        assert sample.n_steps == lengths.max()
        seen.add(sample.n_steps)
    assert seen == {2, 4, 6}


def test_fixed_length_is_never_shortened() -> None:
    buffer = make_buffer(fixed_length=True)
    buffer.add(episodes(0, 2, 2))
    assert buffer.sample(1).n_steps == LIMIT


def test_draws_are_without_replacement_and_even() -> None:
    buffer = make_buffer(capacity=5)
    buffer.add(episodes(0, 1, 1, 1, 1, 1))
    counts = np.zeros(5)
    for _ in range(500):
        drawn = numbers(buffer.sample(2))
        assert len(set(drawn)) == 2
        counts[drawn] += 1
    assert np.abs(counts / 500 - 2 / 5).max() < 0.07  # 3 deviations


def test_too_few_episodes() -> None:
    buffer = make_buffer()
    buffer.add(episodes(0, 6, 6))
    with pytest.raises(ValueError, match="cannot draw 3 episodes from 2"):
        buffer.sample(3)


@pytest.mark.parametrize("n_added", [2, 7])
def test_state_round_trip(n_added: int) -> None:
    old = make_buffer(capacity=5)
    for i in range(n_added):
        old.add(episodes(i, 1 + i % LIMIT))
    old.sample(2)  # the stream of draws is under way
    new = make_buffer(capacity=5, seed=99)
    new.load_state_dict(old.state_dict())
    for buffer in (old, new):
        buffer.add(episodes(n_added, 6))
    for _ in range(10):
        a, b = old.sample(3), new.sample(3)
        for name, x in a.items():
            assert torch.equal(x, getattr(b, name)), name


def test_state_without_episodes_keeps_the_stream() -> None:
    old, new = make_buffer(), make_buffer(seed=99)
    old.add(episodes(0, 6, 6, 6))
    old.sample(1)
    new.add(episodes(7, 6))
    new.load_state_dict(old.state_dict(with_episodes=False))
    assert new.n_episodes == 0
    new.add(episodes(0, 6, 6, 6))
    assert torch.equal(old.sample(2).state, new.sample(2).state)


@pytest.mark.parametrize("n_added", [2, 3, 5])
def test_state_of_a_smaller_ring(n_added: int) -> None:
    old, new = make_buffer(capacity=3), make_buffer(capacity=5)
    for i in range(n_added):
        old.add(episodes(i, 1 + i))
    new.load_state_dict(old.state_dict())
    kept = list(range(n_added))[-3:]
    assert numbers(new.sample(new.n_episodes)) == kept
    assert new.sample(new.n_episodes).n_steps == n_added
    for i in range(10, 14):  # the oldest go first
        new.add(episodes(i, 6))
        kept = [*kept, i][-5:]
        assert numbers(new.sample(new.n_episodes)) == kept


def test_state_of_a_larger_ring() -> None:
    old, new = make_buffer(capacity=5), make_buffer(capacity=3)
    old.add(episodes(0, 1, 2, 3))
    new.load_state_dict(old.state_dict())
    new.add(episodes(3, 6))
    assert numbers(new.sample(3)) == [1, 2, 3]
    old.add(episodes(3, 6))
    with pytest.raises(ValueError, match="4 saved episodes exceed buffer_size=3"):
        new.load_state_dict(old.state_dict())


def test_state_of_a_ring_that_stored_the_state_twice() -> None:
    info = fake_info(state_dim=15, state_is_obs=True)
    old, new = (
        Replay(None, EpisodeBatch.zeros(each, 4, CPU), np.random.default_rng(0), True)
        for each in (replace(info, state_is_obs=False), info)
    )
    old.add(fake_batch(replace(info, state_is_obs=False)))
    new.load_state_dict(old.state_dict())
    assert new.n_bytes < old.n_bytes
    assert torch.equal(new.sample(2).obs, old.sample(2).obs)


def test_state_does_not_share_memory_with_the_ring() -> None:
    buffer = make_buffer(capacity=2)
    buffer.add(episodes(0, 6, 6))
    state = buffer.state_dict()
    buffer.add(episodes(2, 1, 1))
    assert state["episodes"]["own_state"][:, 0, 0].tolist() == [0, 1]
    assert state["lengths"].tolist() == [6, 6]


def test_memory_is_checked_before_it_is_taken() -> None:
    require_memory(1, CPU, "A number", "buffer_size")
    with pytest.raises(UserError, match=r"A replay needs 1024.00 GiB, but cpu has .* buffer_size"):
        require_memory(2**40, CPU, "A replay", "buffer_size")


def test_size_in_bytes() -> None:
    assert make_buffer(capacity=4).n_bytes == 4 * make_buffer(capacity=1).n_bytes


def test_a_sample_can_be_written_where_another_one_was() -> None:
    buffer, twin = make_buffer(seed=3), make_buffer(seed=3)
    for one in (buffer, twin):
        one.add(episodes(0, 6, 6, 6, 6))
    out = buffer.empty_batch(2)
    for _ in range(3):
        sample = buffer.sample(2, out)
        assert all(x.data_ptr() == getattr(out, name).data_ptr() for name, x in sample.items())
        for name, x in twin.sample(2).items():
            assert torch.equal(x, getattr(out, name)), name
