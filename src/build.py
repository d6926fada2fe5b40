"""From a configuration to the parts of a run; each function names slots, none an algorithm."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from components.action_selectors import ActionSelector
from components.buffers.base import EpisodeBuffer, require_memory
from components.episode_batch import EpisodeBatch
from components.squashed_normal import SquashedNormal
from config.load import load_recorded
from config.plugins import as_of_today
from config.schema import RunConfig
from controllers._greedy_player import GreedyPlayer
from controllers.basic_controller import BasicController
from envs.base import BatchedEnv, EnvInfo, LoadsOpponent, Player, make_env
from envs.reward_aggregation import RewardAggregation
from learners.base import Learner
from modules.agents.base import ChoosesInOrder
from modules.critics.base import Critic, CriticSizes
from records.checkpoint import (
    find_checkpoint,
    fingerprint,
    load_checkpoint,
    load_into,
    run_folder,
)
from records.logger import Logger
from runners.batch_runner import BatchRunner
from utils.device import resolve_device
from utils.errors import UserError
from utils.registry import (
    BUFFERS,
    CONTROLLERS,
    CRITICS,
    LEARNERS,
    LOGGERS,
    MIXERS,
    RUNNERS,
    SELECTORS,
)
from utils.seeding import numpy_generator, seeded_initialisation


def build_env(config: RunConfig, batch_size: int, stream: str) -> RewardAggregation:
    """B parallel environments, rewards aggregated.

    Raises:
        UserError: if a trained opponent is asked for and cannot play.
    """
    device = resolve_device(config.device)
    env = make_env(config.env, config.env_args, batch_size, device, config.seed, stream)
    return RewardAggregation(load_opponent(env, config), config.reward_aggregation)


def load_opponent(env: BatchedEnv, config: RunConfig) -> BatchedEnv:
    """`env`, with a trained policy as opponent in it if `config` asks for one.

    Raises:
        UserError: if it is missing or damaged, or has learnt something else.
    """
    if not isinstance(env, LoadsOpponent) or not env.opponent_path:
        return env
    path = env.opponent_path
    try:
        checkpoint = find_checkpoint(path)
        theirs = load_recorded(run_folder(path), [f"device={config.device}", "resume="])
        theirs = as_of_today(theirs)
        if theirs.env != config.env:
            raise UserError(f"It was trained on env={theirs.env}, and here it is {config.env}.")
        weights = load_checkpoint(checkpoint)["learner"]["online"]

        def load(info: EnvInfo) -> Player:
            return build_player(theirs, _trained_controller(theirs, info, weights, checkpoint))

        env.load_opponent(theirs.env_args, fingerprint(weights), load)
    except UserError as error:
        raise UserError(
            f"The opponent at {path} (env_args.opponent_path) cannot play. {error} Name another, "
            f"or the place it was moved to, with env_args.opponent_path=<run folder or checkpoint>."
        ) from error
    return env


def build_player(config: RunConfig, controller: BasicController) -> GreedyPlayer:
    """A controller that plays greedily, outside a run."""
    return GreedyPlayer(controller, _build_selector(config, controller))


def build_controller(config: RunConfig, info: EnvInfo) -> BasicController:
    """The controller and its agent network.

    Raises:
        UserError: if the method cannot act in the environment's action spaces.
    """
    require_policies(config, info)
    controller: BasicController = CONTROLLERS.get(config.controller).cls(
        config.controller_args,
        config,
        info,
        (config.agent, config.agent_args),
        resolve_device(config.device),
        config.seed,
    )
    return controller


def require_policies(config: RunConfig, info: EnvInfo) -> None:
    """The method must be able to act in the environment's action spaces.

    Raises:
        UserError: if actions are continuous and it cannot.
    """
    if not info.is_continuous:
        return
    controller, learner = CONTROLLERS.get(config.controller).cls, LEARNERS.get(config.learner).cls
    if not controller.acts_continuously or SquashedNormal not in learner.trains:
        name = config.learner if controller.acts_continuously else config.controller
        raise UserError(
            f"The actions of env={config.env} are continuous, and {name} works with discrete ones "
            f"only. Use --config=agp_pg, mappo, ippo, maa2c, ia2c or maddpg, or discrete actions."
        )


def build_runner(
    config: RunConfig, env: RewardAggregation, controller: BasicController, stream: str
) -> BatchRunner:
    """A runner whose exploration uses the random stream `stream`."""
    runner: BatchRunner = RUNNERS.get(config.runner).cls(
        config.runner_args,
        env,
        controller,
        _build_selector(config, controller),
        config.seed,
        stream,
    )
    return runner


def _build_selector(config: RunConfig, controller: BasicController) -> ActionSelector:
    """The action selector; for continuous actions it gets what makes outputs policies."""
    cls = SELECTORS.get(config.action_selector).cls
    extra = {"policy": controller.policy} if controller.info.is_continuous else {}
    selector: ActionSelector = cls(config.action_selector_args, config, **extra)
    return selector


def build_test_runner(
    config: RunConfig, controller: BasicController, stream: str = "test"
) -> BatchRunner:
    """A runner for greedy tests, with separate environments and random streams."""
    n_envs = min(config.test_batch_size_run or config.batch_size_run, config.test_nepisode)
    return build_runner(
        config, build_env(config, n_envs, f"{stream}_env"), controller, f"{stream}_exploration"
    )


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
    """The learner with its mixer, and with its critic if it has one."""
    info, device = controller.info, resolve_device(config.device)
    cls = LEARNERS.get(config.learner).cls
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


def build_trained_controller(
    config: RunConfig, checkpoint: Path
) -> tuple[BasicController, dict[str, Any]]:
    """A controller with the weights of a checkpoint, and the checkpoint itself.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture.
    """
    state = load_checkpoint(checkpoint)
    sizes = (1, resolve_device(config.device), config.seed, "info")
    with closing(make_env(config.env, config.env_args, *sizes)) as env:  # no opponent needed
        controller = _trained_controller(config, env.info, state["learner"]["online"], checkpoint)
    return controller, state


def _trained_controller(
    config: RunConfig, info: EnvInfo, weights: dict[str, Any], checkpoint: Path
) -> BasicController:
    controller = build_controller(config, info)
    load_into(build_learner(config, controller).online, weights, checkpoint)
    return controller
