"""Any Gymnasium-style multi-agent environment: level-based foraging, RWARE...

The convention is that of EPyMARL's `gymma` (Papoudakis et al. 2021): observation and action spaces
are tuples with one space per agent, `step` returns a list of rewards, one per agent. What differs
from it: `truncated` is kept apart from `terminated`, and the rewards stay apart, so that
`reward_aggregation` can decide about them.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from envs.python_envs.gymnasium_wrapper import GymnasiumWrapper
from envs.python_envs.settings import PythonEnvSettings
from envs.python_envs.vector_env import VectorEnv
from utils.registry import ENVS


@dataclass(frozen=True)
class GymmaConfig(PythonEnvSettings):
    """Settings of `gymma`."""

    key: str = "lbforaging:Foraging-8x8-2p-3f-v3"  # module:name that it registers, or :function
    kwargs: dict[str, Any] = field(default_factory=dict)  # given to its constructor
    time_limit: int = 50  # steps after which an episode is truncated; 0: the environment's own
    varying_team: bool = False  # an agent that is done leaves; false: all stay until all are done


@ENVS.register("gymma", config=GymmaConfig)
class Gymma(VectorEnv):
    """B Gymnasium-style multi-agent environments."""

    def __init__(
        self, config: GymmaConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        make = partial(
            GymnasiumWrapper,
            config.key,
            config.kwargs,
            config.time_limit,
            config.state == "env",
            config.varying_team,
            config.varying_team or config.action_masks,
        )
        super().__init__(config, make, config.key, batch_size, device, seed, stream)
