"""Builds a Gymnasium-style environment from `module:name`, without its step limit.

Many environments have a step limit, call its end `terminated`, and take it as an
argument. That would teach that nothing follows. Here the adapter truncates at the limit, and the
environment is given a later one, which it never reaches.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from envs.python_envs.loading import load_module
from envs.python_envs.validation import named_arguments, require_arguments
from utils.errors import UserError
from utils.registry import nearest

LIMITS = ("max_episode_steps", "max_steps")  # arguments that are an environment's own step limit


def load_gymnasium_env(key: str, kwargs: dict[str, Any], time_limit: int) -> tuple[Any, int]:
    """The environment, and the step limit that it has; 0: not known.

    Args:
        key: `module:name` of a registered name, or `module:function`.
        kwargs: given to its constructor.
        time_limit: takes the place of the environment's own limit; 0 keeps that.

    Raises:
        UserError: if there is no such environment, or it takes other arguments.
    """
    setting = f"env_args.key={key}"
    module_name, colon, name = key.rpartition(":")
    module = load_module(module_name, setting) if colon else None
    try:
        spec = copy.deepcopy(gymnasium.spec(name))
    except gymnasium.error.Error as error:
        function = getattr(module, name, None)
        if not callable(function):
            names = [*gymnasium.registry, *(n for n in vars(module or object) if n[0] != "_")]
            raise UserError(
                f"{setting}: there is neither a registered environment nor a function '{name}'."
                f"{nearest(name, names)} Write env_args.key=<module>:<name>, where importing the "
                f"module registers the name, or <module>:<function>, where the function returns an "
                f"environment."
            ) from error
        given, limit = _without_limit(function, {}, kwargs, time_limit)
        require_arguments(function, given, key)
        with named_arguments(given, key):
            return function(**given), limit
    return _make_registered(spec, kwargs, time_limit)


def _make_registered(spec: EnvSpec, kwargs: dict[str, Any], time_limit: int) -> tuple[Any, int]:
    creator: Any = spec.entry_point
    creator = load_env_creator(creator) if isinstance(creator, str) else creator
    given, limit = _without_limit(creator, spec.kwargs, kwargs, time_limit)
    require_arguments(creator, given, spec.id)
    spec.kwargs.update(given)  # all of them reach the environment: `make` would keep some
    with named_arguments(given, spec.id):
        env = gymnasium.make(
            spec,
            max_episode_steps=-1 if time_limit else None,
            disable_env_checker=True,  # it knows environments of a single agent only
        )
    return env, limit or (env.spec and env.spec.max_episode_steps) or 0


def _without_limit(
    function: Callable[..., Any],
    registered: dict[str, Any],
    kwargs: dict[str, Any],
    time_limit: int,
) -> tuple[dict[str, Any], int]:
    """Arguments in which the environment's own limit is out of reach, and the limit; 0: none."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name in LIMITS
    }
    defaults |= {name: registered[name] for name in LIMITS if name in registered}
    for name in defaults:
        chosen = kwargs.get(name)
        if isinstance(chosen, int) and 0 < chosen < time_limit:
            raise UserError(
                f"env_args.time_limit={time_limit}, but env_args.kwargs.{name}={chosen} ends "
                f"episodes before. Write env_args.time_limit={chosen}, and take the other out with "
                f"env_args.kwargs.{name}=null."
            )
        limit = time_limit or chosen or defaults[name]
        if isinstance(limit, int) and limit > 0:
            beyond = max(limit + 1, chosen) if isinstance(chosen, int) else limit + 1
            return {**kwargs, name: beyond}, limit
    return kwargs, 0
