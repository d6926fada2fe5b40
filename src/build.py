"""From a configuration to the parts of a run; each function names slots, none an algorithm."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.action_selectors import ActionSelector
from components.episode_batch import EpisodeBatch
from components.replay_buffer import ReplayBuffer, require_memory
from config.schema import RunConfig
from controllers.basic_controller import BasicController
from envs.base import EnvInfo, make_env
from envs.reward_aggregation import RewardAggregation
from learners.base import Learner
from runners.batch_runner import BatchRunner
from utils.checkpoint import load_checkpoint, load_into
from utils.device import resolve_device
from utils.registry import CONTROLLERS, LEARNERS, MIXERS, RUNNERS, SELECTORS
from utils.seeding import numpy_generator, seeded_initialisation


def build_env(config: RunConfig, batch_size: int, stream: str) -> RewardAggregation:
    """B copies of the environment, rewards aggregated."""
    device = resolve_device(config.device)
    env = make_env(config.env, config.env_args, batch_size, device, config.seed, stream)
    return RewardAggregation(env, config.reward_aggregation)


def build_controller(config: RunConfig, info: EnvInfo) -> BasicController:
    """The controller and its agent network."""
    controller: BasicController = CONTROLLERS.get(config.controller).cls(
        config.controller_args,
        config,
        info,
        (config.agent, config.agent_args),
        resolve_device(config.device),
        config.seed,
    )
    return controller


def build_runner(
    config: RunConfig, env: RewardAggregation, controller: BasicController, stream: str
) -> BatchRunner:
    """A runner with its own stream of exploration."""
    selector: ActionSelector = SELECTORS.get(config.action_selector).cls(
        config.action_selector_args
    )
    runner: BatchRunner = RUNNERS.get(config.runner).cls(
        config.runner_args, env, controller, selector, config.seed, stream
    )
    return runner


def build_test_runner(
    config: RunConfig, controller: BasicController, stream: str = "test"
) -> BatchRunner:
    """A runner for greedy tests, with environments and random streams of its own."""
    copies = min(config.test_batch_size_run or config.batch_size_run, config.test_nepisode)
    return build_runner(
        config, build_env(config, copies, f"{stream}_env"), controller, f"{stream}_exploration"
    )


def build_mixer(config: RunConfig, info: EnvInfo) -> nn.Module:
    """The mixer; what it declares in `extra_sizes` it gets from `info` besides the usual sizes."""
    cls = MIXERS.get(config.mixer).cls
    extra = {name: getattr(info, name) for name in getattr(cls, "extra_sizes", ())}
    mixer: nn.Module = cls(config.mixer_args, info.n_agents, info.state_dim, **extra)
    return mixer


def build_learner(config: RunConfig, controller: BasicController) -> Learner:
    """The learner with its mixer."""
    info, device = controller.info, resolve_device(config.device)
    with seeded_initialisation(config.seed, "weights", "mixer"):
        mixer = build_mixer(config, info)
    learner: Learner = LEARNERS.get(config.learner).cls(
        config.learner_args, config, controller, mixer.to(device), config.t_max
    )
    return learner


def build_replay(config: RunConfig, env: RewardAggregation, noise_dim: int) -> ReplayBuffer:
    """The replay buffer on the training device.

    Raises:
        UserError: if the device has no room for it.
    """
    device = resolve_device(config.device)
    one = EpisodeBatch.zeros(env.info, 1, torch.device("cpu"), env.n_rewards, noise_dim)
    require_memory(
        one.n_bytes * config.buffer_size,
        device,
        f"A replay buffer of {config.buffer_size} episodes",
    )
    storage = EpisodeBatch.zeros(env.info, config.buffer_size, device, env.n_rewards, noise_dim)
    stream = numpy_generator(config.seed, "replay")
    return ReplayBuffer(storage, stream, env.info.fixed_length)


def build_trained_controller(
    config: RunConfig, checkpoint: Path
) -> tuple[BasicController, dict[str, Any]]:
    """A controller with the weights of a checkpoint, and the checkpoint itself.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture.
    """
    state = load_checkpoint(checkpoint)
    controller = build_controller(config, build_env(config, 1, "info").info)
    load_into(build_learner(config, controller).online, state["learner"]["online"], checkpoint)
    return controller, state
