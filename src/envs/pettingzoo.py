"""Any PettingZoo parallel environment with discrete actions, such as the particle tasks of `mpe2`.

Source: Terry et al., "PettingZoo: Gym for multi-agent reinforcement learning", NeurIPS 2021.
Observations and actions of different sizes are padded, `truncated` is kept apart from `terminated`,
the last step's rewards are kept, and agents that leave early take no further part. The state is
that of peers, all padded observations in a row, unless `state: env` asks for the environment's own.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from envs.python_worlds._env import PythonEnv
from envs.python_worlds._pettingzoo import PettingZooWorld
from envs.python_worlds._settings import PythonEnvSettings
from utils.registry import ENVS


@dataclass(frozen=True)
class PettingZooConfig(PythonEnvSettings):
    """Settings of `pettingzoo`."""

    task: str = "mpe2.simple_spread_v3"  # task in mpe2, module, or module:function
    kwargs: dict[str, Any] = field(default_factory=dict)  # given to that function


@ENVS.register("pettingzoo", config=PettingZooConfig)
class PettingZoo(PythonEnv):
    """See the module's text."""

    def __init__(
        self,
        config: PettingZooConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        task = config.task if {".", ":"} & set(config.task) else f"mpe2.{config.task}"
        make = partial(
            PettingZooWorld,
            task,
            config.kwargs,
            config.state == "env",
            config.varying_team or config.action_masks,
        )
        super().__init__(config, make, task, batch_size, device, seed, stream)
