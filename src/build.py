"""From a configuration to the parts that act: environments, controller, runner.

Playing a trained policy needs no more; `build_training.py` builds the parts that learn. Each
function names slots, none an algorithm.
"""

from contextlib import closing
from pathlib import Path

from torch import Tensor

from components.action_selectors import ActionSelector
from components.squashed_normal import SquashedNormal
from config.load import load_recorded
from config.plugins import as_of_today
from config.schema import RunConfig
from controllers._greedy_player import GreedyPlayer
from controllers.basic_controller import BasicController
from envs.base import BatchedEnv, EnvInfo, LoadsOpponent, Player, make_env
from envs.reward_aggregation import RewardAggregation
from records.checkpoint import (
    agent_weights,
    find_checkpoint,
    fingerprint,
    load_checkpoint,
    load_into,
    run_folder,
)
from runners.batch_runner import BatchRunner
from utils.device import resolve_device
from utils.errors import UserError
from utils.registry import CONTROLLERS, RUNNERS, SELECTORS


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
        weights = load_checkpoint(checkpoint, mapped=True)["learner"]["online"]

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
        UserError: if it cannot act in the environment's action spaces.
    """
    cls = CONTROLLERS.get(config.controller).cls
    if info.is_continuous and not cls.acts_continuously:
        raise discrete_only(config, config.controller)
    controller: BasicController = cls(
        config.controller_args,
        config,
        info,
        (config.agent, config.agent_args),
        resolve_device(config.device),
        config.seed,
    )
    return controller


def discrete_only(config: RunConfig, name: str) -> UserError:
    """The error for a component `name` that cannot work with the environment's actions."""
    return UserError(
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
    extra = {}
    if controller.info.is_continuous:
        if SquashedNormal not in cls.takes:
            raise discrete_only(config, config.action_selector)
        extra["policy"] = controller.policy
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


def build_trained_controller(config: RunConfig, checkpoint: Path) -> tuple[BasicController, int]:
    """A controller with the weights of a checkpoint, and the steps that it was trained for.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture.
    """
    state = load_checkpoint(checkpoint, mapped=True)
    sizes = (1, resolve_device(config.device), config.seed, "info")
    with closing(make_env(config.env, config.env_args, *sizes)) as env:  # no opponent needed
        controller = _trained_controller(config, env.info, state["learner"]["online"], checkpoint)
    return controller, state["counters"]["env_steps"]


def _trained_controller(
    config: RunConfig, info: EnvInfo, online: dict[str, Tensor], checkpoint: Path
) -> BasicController:
    """A controller with the agent's weights among those that the learner has trained."""
    controller = build_controller(config, info)
    load_into(controller.agent, agent_weights(online), checkpoint)
    return controller
