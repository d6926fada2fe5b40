"""Rollout: the episodes of the current policy; once the batch is full, learnt from and dropped."""

from collections.abc import Iterable
from typing import ClassVar

from components.buffers.base import EpisodeBuffer
from components.episode_batch import EpisodeBatch
from components.settings import ExperienceSettings
from utils.registry import BUFFERS


@BUFFERS.register("rollout")
class Rollout(EpisodeBuffer):
    """Keeps the newest `batch_size` episodes since it was last cleared."""

    gives: ClassVar[str] = "episodes of the current policy"
    capacity_setting: ClassVar[str] = "batch_size"

    @staticmethod
    def problems(settings: ExperienceSettings) -> Iterable[str]:
        """Whole collections must fill a batch."""
        size, at_once = settings.batch_size, settings.batch_size_run
        if size % at_once:
            fitting = max(size // at_once, 1) * at_once
            yield (
                f"batch_size: {size} episodes are not a multiple of the {at_once} that are "
                f"collected at once (batch_size_run). Use batch_size={fitting}, or another "
                f"batch_size_run."
            )

    @property
    def is_full(self) -> bool:
        """Whether `batch_size` episodes have been added since the buffer was cleared."""
        return self.n_episodes == self.capacity

    def episodes(self) -> EpisodeBatch:
        """All episodes, shortened to the longest: views that the next `add` overwrites."""
        batch = self._storage
        return batch if self._fixed_length else batch.shorten(int(self._lengths.max()))

    def clear(self) -> None:
        """Drop all episodes."""
        self.n_episodes = self._head = 0
