"""Replay: the newest episodes of all policies so far, drawn at random."""

from collections.abc import Iterable
from typing import ClassVar

from components.buffers.base import EpisodeBuffer
from components.episode_batch import EpisodeBatch
from components.settings import ExperienceSettings
from utils.device import upload
from utils.registry import BUFFERS


@BUFFERS.register("replay")
class Replay(EpisodeBuffer):
    """Keeps the newest `buffer_size` episodes and draws batches without replacement."""

    gives: ClassVar[str] = "episodes of earlier policies"
    capacity_setting: ClassVar[str] = "buffer_size"

    @staticmethod
    def problems(settings: ExperienceSettings) -> Iterable[str]:
        """Batches and collections must fit into the buffer."""
        s = settings
        if s.batch_size > s.buffer_size:
            yield (
                f"batch_size: a batch of {s.batch_size} episodes cannot be drawn from a buffer of "
                f"{s.buffer_size}; raise buffer_size or lower batch_size."
            )
        if s.batch_size_run > s.buffer_size:
            yield (
                f"batch_size_run: {s.batch_size_run} episodes collected at once do not fit into a "
                f"buffer of {s.buffer_size}; raise buffer_size or lower batch_size_run."
            )

    def sample(self, n: int, out: EpisodeBatch | None = None) -> EpisodeBatch:
        """`n` different episodes, shortened to the longest of them.

        Args:
            n: how many.
            out: where to write them, if given.

        Raises:
            ValueError: if fewer than `n` episodes are stored.
        """
        if n > self.n_episodes:
            raise ValueError(f"cannot draw {n} episodes from {self.n_episodes}.")
        rows = self._generator.choice(self.n_episodes, n, replace=False, shuffle=False)
        batch = self._storage.select(upload(rows, self._storage.actions.device), out)
        return batch if self._fixed_length else batch.shorten(int(self._lengths[rows].max()))
