"""Rollout: full at `batch_size` episodes, then emptied; it keeps the newest where some are lost."""

import numpy as np
import torch
from tests.helpers.fake_envs import CPU, Ends, fake_batch, fake_info

from components.buffers.rollout import Rollout
from components.episode_batch import EpisodeBatch
from components.settings import ExperienceSettings

INFO = fake_info()


def make_rollout(capacity: int = 4) -> Rollout:
    storage = EpisodeBatch.zeros(INFO, capacity, CPU)
    return Rollout(None, storage, np.random.default_rng(0), fixed_length=False)


def episodes(first: int, *lengths: int) -> EpisodeBatch:
    ends: Ends = tuple((length, "terminated") for length in lengths)
    batch = fake_batch(INFO, ends, seed=first)
    batch.state[:, 0, 0] = torch.arange(first, first + len(lengths))
    return batch


def test_full_then_empty() -> None:
    buffer = make_rollout()
    buffer.add(episodes(0, 2, 3))
    assert not buffer.is_full
    buffer.add(episodes(2, 1, 5))
    assert buffer.is_full
    batch = buffer.episodes()
    assert batch.state[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert batch.n_steps == 5
    buffer.clear()
    assert (buffer.n_episodes, buffer.is_full) == (0, False)
    buffer.add(episodes(4, 2, 3))
    buffer.add(episodes(6, 1, 2))
    assert buffer.episodes().state[:, 0, 0].tolist() == [4, 5, 6, 7]
    assert buffer.episodes().n_steps == 3


def test_after_lost_episodes_the_newest_are_kept() -> None:
    buffer = make_rollout()
    buffer.add(episodes(0, 2, 2, 2))
    buffer.add(episodes(3, 2, 2))
    assert buffer.is_full
    assert sorted(buffer.episodes().state[:, 0, 0].tolist()) == [1, 2, 3, 4]


def test_a_batch_is_made_of_whole_collections() -> None:
    def problems(size: int, at_once: int) -> list[str]:
        return list(Rollout.problems(ExperienceSettings(batch_size=size, batch_size_run=at_once)))

    assert problems(24, 8) == []
    assert problems(20, 8) == [
        "batch_size: 20 episodes are not a multiple of the 8 that are collected at once "
        "(batch_size_run). Use batch_size=16, or another batch_size_run."
    ]
    assert "batch_size=8" in problems(4, 8)[0]
