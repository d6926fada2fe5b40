"""Any PettingZoo parallel environment, such as the particle tasks of `mpe2`.

Source: Terry et al., "PettingZoo: Gym for multi-agent reinforcement learning", NeurIPS 2021.
Observations and actions of different sizes are padded, `truncated` is kept apart from `terminated`,
the last step's rewards are kept, and agents that leave early take no further part. The state is
all padded observations in a row, as in EPyMARL; with `state: env` it is the environment's.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from envs.python_envs.loading import module_exists
from envs.python_envs.pettingzoo_wrapper import PettingZooWrapper
from envs.python_envs.settings import PythonEnvSettings
from envs.python_envs.vector_env import VectorEnv
from utils.registry import ENVS


@dataclass(frozen=True)
class PettingZooConfig(PythonEnvSettings):
    """Settings of `pettingzoo`."""

    task: str = "mpe2.simple_spread_v3"  # task in mpe2, module, or module:function
    kwargs: dict[str, Any] = field(default_factory=dict)  # given to that function


@ENVS.register("pettingzoo", config=PettingZooConfig)
class PettingZoo(VectorEnv):
    """B PettingZoo environments."""

    def __init__(
        self,
        config: PettingZooConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        task = _full_name(config.task)
        make = partial(
            PettingZooWrapper,
            task,
            config.kwargs,
            config.state == "env",
            config.varying_team or config.action_masks,
        )
        super().__init__(config, make, task, batch_size, device, seed, stream)


def _full_name(task: str) -> str:
    """`mpe2.<task>` for a task of mpe2, and for what looks like one unless there is such a module.

    All tasks of mpe2 are called `simple_<name>_v<number>`, the first one `simple_v<number>`.
    """
    if {".", ":"} & set(task) or not task.startswith("simple_"):
        return task
    return task if module_exists(task) and not module_exists(f"mpe2.{task}") else f"mpe2.{task}"
