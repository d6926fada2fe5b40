"""The contract between environments and everything that learns in them.

A `BatchedEnv` is B parallel environments of one task in lockstep: tensors in, tensors out, on one
device. Each of them is an env slot of the batch. A native environment is a tensor program without a
loop over slots or agents; environments of other libraries are wrapped (`python_envs/`).
`env_checker.py` checks any environment against the contract and explains each violation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from components.spaces import ActionSpace, Box, Discrete
from utils.errors import UserError


class EnvironmentFailure(UserError):
    """An environment of another library raised an error, died or gave no answer.

    Attributes:
        has_remedy: whether the message says what to do, as for a setting that promises too much.
    """

    def __init__(self, text: str, has_remedy: bool = False):
        self.has_remedy = has_remedy
        super().__init__(text)


@dataclass(frozen=True)
class EnvInfo:
    """Sizes and promises of an environment, fixed for its lifetime."""

    n_agents: int  # N
    n_actions: int  # A, the largest number of actions of any agent; continuous: of numbers
    obs_dim: int  # O, the longest observation
    state_dim: int  # S
    episode_limit: int  # T, the longest episode in steps
    agent_names: tuple[str, ...]  # N names, in the order of the agent axis
    obs_dims: tuple[int, ...]  # each agent's own observation size; shorter ones are zero-padded
    action_counts: tuple[
        int, ...
    ]  # each agent's own number of actions; the rest are never available
    metric_descriptions: dict[str, str] = field(
        default_factory=dict
    )  # name: meaning, of EnvStep.metrics
    metric_ratios: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  # name: two metrics; the first one's mean over episodes, divided by the second one's
    action_types: tuple[tuple[int, ...], ...] | None = (
        None  # [N][A], equal numbers mean the same action
    )
    action_names: tuple[tuple[str, ...], ...] | None = (
        None  # a row of names for each agent, as many as it has actions, for figures
    )
    action_feature_dim: int = 0  # F; 0: the environment gives no action features
    varying_team: bool = False  # true: EnvStep.is_active says which agents take part
    dynamic_avail: bool = True  # false: every action below action_counts is available at every step
    fixed_length: bool = False  # true: every episode lasts exactly episode_limit steps
    truncates: bool = (
        True  # false: every episode ends by `terminated`, at the latest at episode_limit
    )
    computes_on_host: bool = (
        False  # true: part of an episode is computed by the CPU, for which a GPU must wait
    )
    obs_dtype: torch.dtype = (
        torch.float32  # uint8: images, stored as bytes; networks read them divided by 255
    )
    state_is_obs: bool = (
        False  # true: the state is obs.flatten(1), and is never stored besides the observations
    )
    action_spaces: tuple[ActionSpace, ...] = ()  # of each agent; (): Discrete(its action_counts)

    def __post_init__(self) -> None:
        sizes = tuple(space.size for space in self.spaces)
        if sizes != self.action_counts:
            raise ValueError(
                f"action_counts is {self.action_counts}, but the action spaces have {sizes}."
            )
        if self.state_is_obs and self.state_dim != self.n_agents * self.obs_dim:
            raise ValueError(
                f"state_is_obs says that the state is all observations in a row, of "
                f"{self.n_agents} x {self.obs_dim} numbers, but state_dim is {self.state_dim}."
            )
        n_boxes = sum(isinstance(space, Box) for space in self.spaces)
        if n_boxes not in (0, self.n_agents):
            raise ValueError(
                f"{n_boxes} of {self.n_agents} agents have continuous actions: all "
                f"must have, or none."
            )

    @property
    def spaces(self) -> tuple[ActionSpace, ...]:
        """What each agent can do."""
        return self.action_spaces or tuple(Discrete(n) for n in self.action_counts)

    @property
    def is_continuous(self) -> bool:
        """Whether an action is a vector of numbers; all agents are alike in this."""
        return isinstance(self.spaces[0], Box)

    @property
    def stays_on_device(self) -> bool:
        """Whether a whole round of episodes needs no answer of the device."""
        return self.fixed_length and not self.computes_on_host


def uniform_info(
    n_agents: int, n_actions: int, obs_dim: int, state_dim: int, episode_limit: int, **promises: Any
) -> EnvInfo:
    """`EnvInfo` of a task whose agents all have the same sizes."""
    return EnvInfo(
        n_agents=n_agents,
        n_actions=n_actions,
        obs_dim=obs_dim,
        state_dim=state_dim,
        episode_limit=episode_limit,
        agent_names=tuple(f"agent_{i}" for i in range(n_agents)),
        obs_dims=(obs_dim,) * n_agents,
        action_counts=(n_actions,) * n_agents,
        **promises,
    )


@dataclass(slots=True)
class EnvStep:
    """What B parallel environments show after `reset` or `step`."""

    obs: Tensor  # [B, N, O] float32, or uint8 (EnvInfo.obs_dtype)
    state: (
        Tensor  # [B, S] float32, or like obs if EnvInfo.state_is_obs, for centralised training only
    )
    avail: Tensor  # [B, N, A] bool, at least one true per agent; continuous: numbers that it has
    reward: Tensor  # [B, N] float32, of the step just taken; zero after reset
    terminated: Tensor  # [B] bool, the episode has ended in the environment
    truncated: Tensor  # [B] bool, the episode was truncated by a time limit
    metrics: dict[str, Tensor] = field(
        default_factory=dict
    )  # name: [B]; at an episode's end, its result
    action_features: Tensor | None = None  # [B, N, A, F] float32, what each action *is*
    is_active: Tensor | None = None  # [B, N] bool, agents that take part (teams of varying size)
    lost: Tensor | None = None  # [B] bool, truncated by a fault: an episode to forget; None: none


class BatchedEnv(Protocol):
    """B parallel environments of one task in lockstep.

    An agent that takes no part (`is_active` false) observes zeros, its actions have features of
    zero, and its actions have no effect. An action that an episode lacks has features of
    zero; one that is only unavailable for now does not.

    An environment whose episode has ended stays ended until `reset`: it ignores its actions, its
    reward is zero, and its `terminated` and `truncated` keep their values.

    Where `info.stays_on_device`, all random numbers come from the attribute `generator`, and what
    is kept from one episode to the next is written in place: a round can then be a CUDA graph.
    """

    info: EnvInfo
    batch_size: int
    device: torch.device

    def reset(self) -> EnvStep:
        """Start a new episode in every environment."""
        ...

    def step(self, actions: Tensor) -> EnvStep:
        """Play one step.

        Args:
            actions: [B, N] int64, each available; continuous: [B, N, A] float32, within its bounds.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that decides the episodes after the next reset: at least the random stream."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        ...

    def close(self) -> None:
        """Release processes and windows, if there are any."""
        ...


class Player(Protocol):
    """A policy that plays agents of an environment who do not learn there."""

    def act(self, step: EnvStep, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        """Actions [B, N] int64 for one step; continuous: [B, N, A] float32.

        Args:
            step: what B environments show, just as they did when the policy was trained.
            last_actions: [B, N], the actions played in the step before; None in an episode's
                first step.
            generator: the environment's random stream.
        """
        ...


@runtime_checkable
class LoadsOpponent(Protocol):
    """An environment in which a trained policy can play the agents that do not learn.

    Attributes:
        opponent_path: run folder or checkpoint of that policy; empty if there is none.
    """

    opponent_path: str

    def load_opponent(
        self, settings: Any, fingerprint: str, load: Callable[[EnvInfo], Player]
    ) -> None:
        """Load the policy, before the first reset.

        Args:
            settings: of the environment in which it was trained, of the same registered name.
            fingerprint: of its weights.
            load: builds the policy, from the sizes of its training environment.

        Raises:
            UserError: if it was not trained to play those agents.
        """
        ...


class HasGenerator(Protocol):
    """An environment that draws all its random numbers from one stream on its device."""

    generator: torch.Generator


class EnvWrapper:
    """Passes on everything of an environment but `reset` and `step`, which a subclass writes."""

    def __init__(self, env: BatchedEnv):
        self.env = env
        self.info, self.batch_size, self.device = env.info, env.batch_size, env.device

    @property
    def generator(self) -> torch.Generator:
        """The random stream of an environment that stays on its device."""
        return cast(HasGenerator, self.env).generator

    def state_dict(self) -> dict[str, Any]:
        """The state of the wrapped environment."""
        return self.env.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of the wrapped environment."""
        self.env.load_state_dict(state)

    def close(self) -> None:
        """Close the wrapped environment."""
        self.env.close()


def make_env(
    name: str, settings: Any, batch_size: int, device: torch.device, seed: int, stream: str
) -> BatchedEnv:
    """B parallel environments of the registered kind `name`.

    Args:
        name: registered name, such as `topk`.
        settings: an instance of that environment's settings dataclass.
        batch_size: B.
        device: where its tensors live.
        seed: the run's root seed.
        stream: name of this environment's random stream, such as `train_env`.
    """
    from utils.registry import ENVS

    env: BatchedEnv = ENVS.get(name).cls(settings, batch_size, device, seed, stream)
    return env
