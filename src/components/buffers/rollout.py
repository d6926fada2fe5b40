"""Rollout: the episodes of the current policy; once the batch is full, learnt from and dropped."""

from collections.abc import Iterable
from typing import Any, ClassVar

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

    @staticmethod
    def unread(config: Any, settings: ExperienceSettings) -> dict[str, str]:
        """Settings of replay. Said again, `batch_size` is no mistake (EPyMARL's files do so)."""
        del config
        size, kept = settings.batch_size, "buffer=rollout keeps the episodes of one update"
        found = {
            "buffer_size": f"{kept}, batch_size={size}. Set batch_size, or leave it out.",
            "train_every_episodes": f"{kept}, batch_size={size}, and learns when they are there. "
            f"Set batch_size, or leave it out.",
        }
        found = {name: text for name, text in found.items() if getattr(settings, name) != size}
        return found | {
            "updates_per_round": "with buffer=rollout the learner's own settings say how many "
            "gradient steps a batch gets. Set learner_args.epochs and learner_args.minibatches, or "
            "learner_args.critic_epochs of coma_learner."
        }

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
