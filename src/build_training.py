"""From a configuration to the parts that learn: learner, mixer, critic, buffer.

Also what else only a training run has: its loggers and its CUDA graphs.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from build import discrete_only
from components.buffers.base import EpisodeBuffer, require_memory
from components.episode_batch import EpisodeBatch
from components.squashed_normal import SquashedNormal
from config.schema import RunConfig
from controllers.basic_controller import BasicController
from envs.base import EnvInfo
from envs.reward_aggregation import RewardAggregation
from learners.base import Learner
from modules.agents.base import ChoosesInOrder
from modules.critics.base import Critic, CriticSizes
from records.logger import Logger
from utils.device import resolve_device
from utils.errors import UserError
from utils.registry import BUFFERS, CRITICS, LEARNERS, LOGGERS, MIXERS
from utils.seeding import numpy_generator, seeded_initialisation


def build_mixer(config: RunConfig, info: EnvInfo) -> nn.Module:
    """The mixer; what it declares in `extra_sizes` it gets from `info` besides the usual sizes."""
    cls = MIXERS.get(config.mixer).cls
    extra = {name: getattr(info, name) for name in getattr(cls, "extra_sizes", ())}
    mixer: nn.Module = cls(config.mixer_args, info.n_agents, info.state_dim, **extra)
    return mixer


def build_critic(config: RunConfig, controller: BasicController) -> Critic:
    """The critic, for learners that have one.

    Raises:
        UserError: if it reads the state, and the environment has none.
    """
    cls = CRITICS.get(config.critic).cls
    sizes = CriticSizes.of(
        controller.info,
        controller.input_dim,
        config.hidden_dim,
        individual=config.reward_aggregation == "individual",
        encoded_dim=cast(ChoosesInOrder, controller.agent).encoded_dim if cls.needs_encoder else 0,
    )
    if cls.needs_state and sizes.state_dim == 0:
        others = {name: CRITICS.get(name).cls for name in CRITICS.built_in_names()}
        fitting = [
            name
            for name, other in others.items()
            if other.estimates == cls.estimates and not (other.needs_state or other.needs_encoder)
        ]
        remedy = f"critic={' or '.join(fitting)}"
        raise UserError(
            f"critic={config.critic} reads the state, and env={config.env} has none. "
            f"Use {remedy if fitting else 'a method without such a critic, such as --config=ippo'}."
        )
    critic: Critic = cls(config.critic_args, sizes)
    return critic


def build_learner(config: RunConfig, controller: BasicController) -> Learner:
    """The learner with its mixer, and with its critic if it has one.

    Raises:
        UserError: if it cannot train for the environment's action spaces, or its critic reads a
            state that there is not.
    """
    info, device = controller.info, resolve_device(config.device)
    cls = LEARNERS.get(config.learner).cls
    if info.is_continuous and SquashedNormal not in cls.trains:
        raise discrete_only(config, config.learner)
    with seeded_initialisation(config.seed, "weights", "mixer"):
        mixer = build_mixer(config, info)
    critic = {}
    if cls.critic_estimates != "nothing":
        with seeded_initialisation(config.seed, "weights", "critic"):
            critic["critic"] = build_critic(config, controller).to(device)
    learner: Learner = cls(
        config.learner_args, config, controller, mixer.to(device), config.t_max, **critic
    )
    return learner


def build_buffer(config: RunConfig, env: RewardAggregation, noise_dim: int) -> EpisodeBuffer:
    """The buffer on the training device.

    Raises:
        UserError: if the device has no room for it.
    """
    device = resolve_device(config.device)
    one = EpisodeBatch.zeros(env.info, 1, torch.device("cpu"), env.n_rewards, noise_dim)
    cls = BUFFERS.get(config.buffer).cls
    capacity = getattr(config, cls.capacity_setting)
    what = f"A buffer of {capacity} episodes"
    require_memory(one.n_bytes * capacity, device, what, cls.capacity_setting)
    storage = EpisodeBatch.zeros(env.info, capacity, device, env.n_rewards, noise_dim)
    stream = numpy_generator(config.seed, "replay")
    buffer: EpisodeBuffer = cls(config.buffer_args, storage, stream, env.info.fixed_length)
    return buffer


def build_loggers(config: RunConfig) -> dict[str, Logger]:
    """The places that metrics are written to; nothing is written yet.

    Raises:
        UserError: if one of them cannot work, for instance for want of a package.
    """
    return {name: LOGGERS.get(name).cls(config.logger_args[name]) for name in config.loggers}


@dataclass(frozen=True)
class GraphPlan:
    """Which parts of a run are CUDA graphs, and what is said of it."""

    acting: bool = False
    training: bool = False
    text: str = ""


def plan_graphs(config: RunConfig, info: EnvInfo) -> GraphPlan:
    """The CUDA graphs that `compile` asks for and that device and environment allow.

    Raises:
        UserError: if it asks for CUDA graphs where none are possible.
    """
    on_gpu = resolve_device(config.device).type == "cuda"
    why = "" if info.fixed_length else f"episodes of env={config.env} differ in length"
    if not on_gpu:
        why = f"they need a GPU, and this run computes on device={config.device}"
    if why and config.compile == "graphs":
        raise UserError(f"compile=graphs asks for CUDA graphs, but {why}. Use compile=auto.")
    if not on_gpu:
        return GraphPlan()
    if why or config.compile == "none":
        return GraphPlan(text=f" No CUDA graphs: {why or 'compile=none'}.")
    if not info.stays_on_device:
        text = f"rollouts are not, because env={config.env} computes on the CPU"
        return GraphPlan(training=True, text=f" Gradient steps are CUDA graphs; {text}.")
    return GraphPlan(True, True, " Rollouts and gradient steps are CUDA graphs.")
