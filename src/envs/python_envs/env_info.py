"""The `EnvInfo` of an environment of another library."""

import numpy as np
import torch

from components.spaces import Box
from envs.base import EnvInfo
from envs.python_envs.settings import PythonEnvSettings
from envs.python_envs.shared_memory import Array
from envs.python_envs.wrapped_env import WrappedEnvInfo
from utils.errors import UserError

ROUNDING = 1e-5  # share of a bound by which an observation may miss it


def env_info(found: WrappedEnvInfo, settings: PythonEnvSettings, label: str) -> EnvInfo:
    """Sizes and promises of an environment.

    Raises:
        UserError: if it is not known how long an episode may last.
    """
    limits = [limit for limit in (settings.time_limit, found.step_limit) if limit]
    if not limits:
        raise UserError(
            f"{label} does not say how long an episode may last. Write "
            f"env_args.time_limit=<steps>; longer episodes are truncated there."
        )
    n, o = len(found.agent_names), max(found.obs_dims)
    continuous = isinstance(found.spaces[0], Box)
    return EnvInfo(
        n_agents=n,
        n_actions=max(space.size for space in found.spaces),
        obs_dim=o,
        state_dim=found.state_dim or n * o,
        episode_limit=min(limits),
        agent_names=found.agent_names,
        obs_dims=found.obs_dims,
        action_counts=tuple(space.size for space in found.spaces),
        action_spaces=found.spaces,
        metric_descriptions=dict(settings.metrics),
        varying_team=settings.varying_team,
        dynamic_avail=not continuous and (settings.varying_team or settings.action_masks),
        fixed_length=settings.fixed_length,
        computes_on_host=True,
        obs_dtype=torch.uint8 if found.is_image else torch.float32,
        state_is_obs=found.state_dim == 0,
    )


def bounds(found: WrappedEnvInfo) -> tuple[Array, Array] | None:
    """Smallest and largest observations [N, O], padding included; None if there is no bound."""
    sizes = (len(found.obs_dims), max(found.obs_dims))
    low, high = np.full(sizes, -np.inf, np.float32), np.full(sizes, np.inf, np.float32)
    for i, (lowest, highest) in enumerate(found.bounds):
        low[i, : lowest.size] = lowest - ROUNDING * np.abs(lowest)
        high[i, : highest.size] = highest + ROUNDING * np.abs(highest)
    return (low, high) if not found.is_image and np.isfinite([low, high]).any() else None
