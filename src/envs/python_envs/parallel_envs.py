"""The environments that one process steps, each with its slot of the shared arrays.

An environment whose episode has ended waits for the next reset. An error in an environment becomes
a `SlotFailure`, which holds the number of the slot and the traceback.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.python_envs.shared_memory import Arrays, EnvSlot, slot_of
from envs.python_envs.wrapped_env import WrappedEnv
from utils.errors import UserError

RESET, STEP, CLOSE = 1, 2, 3  # commands in control[0]
MakeEnv = Callable[[], WrappedEnv]


@dataclass(frozen=True)
class EpisodeRules:
    """What the adapter adds to an environment, and what was promised about it."""

    step_limit: int  # an episode is truncated after so many steps
    metrics: tuple[str, ...] = ()  # names, in the order of the slot's metrics
    varying_team: bool = True  # false: an agent that leaves is an error
    fixed_length: bool = False  # true: an episode that ends before the limit is an error
    rebuild: bool = False  # build a new environment for each episode
    raw_state: bool = False  # true: the state's bits mean something else than float32


class SlotFailure(Exception):
    """The environment in one slot failed.

    Attributes:
        slot: its number.
        text: the traceback, or one sentence if the user can correct it.
        user_can_fix: whether the user can correct it; a restart would then fail again.
    """

    def __init__(self, slot: int, error: Exception | SystemExit):
        self.slot, self.user_can_fix = slot, isinstance(error, UserError | SystemExit)
        trace = "".join(traceback.format_exception(error)).strip()
        if isinstance(error, SystemExit):
            trace = (
                f"it called sys.exit({error.code!r}), which would end the whole program. An "
                f"environment must raise an error instead:\n{trace}"
            )
        self.text = str(error) if isinstance(error, UserError) else trace
        super().__init__(slot, self.text)


class ParallelEnvs:
    """Environments in the slots `first`, `first + 1`, ...

    Args:
        make: builds one.
        rules: for all of them.
        arrays: of all slots, those of other workers included.
        first: number of the first slot.
        n: how many.
        worker: number of the worker that steps them.
    """

    def __init__(
        self,
        make: MakeEnv,
        rules: EpisodeRules,
        arrays: Arrays,
        first: int,
        n: int,
        worker: int = 0,
    ):
        self.rules, self.arrays, self.first, self.worker = rules, arrays, first, worker
        self.make, self.envs = make, list[WrappedEnv]()
        self.slots = [slot_of(arrays, b) for b in range(first, first + n)]
        self.over = [True] * n
        for i in range(n):
            self._note_busy(i)
            try:
                self.envs.append(make())
            except (Exception, SystemExit) as error:
                raise SlotFailure(first + i, error) from error

    def run(self, command: int) -> None:
        """Reset or step every environment.

        Raises:
            SlotFailure: if one fails.
        """
        act = self._reset if command == RESET else self._step
        for i in range(len(self.envs)):
            if command == RESET or not self.over[i]:
                self._note_busy(i)
                try:
                    act(i, self.envs[i], self.slots[i])
                except (Exception, SystemExit) as error:
                    raise SlotFailure(self.first + i, error) from error
            else:
                self.slots[i].reward[:] = 0

    def close(self) -> None:
        """Close every environment, also where another one fails to close."""
        for env in self.envs:
            try:
                env.close()
            except (Exception, SystemExit):  # its episodes are over: nothing depends on it
                continue
        self.envs = []

    def _note_busy(self, i: int) -> None:
        """Record which slot is busy, for the case that the worker never returns."""
        self.arrays.busy[self.worker] = self.first + i

    def _reset(self, i: int, env: WrappedEnv, slot: EnvSlot) -> None:
        if self.rules.rebuild:
            env.close()
            env = self.envs[i] = self.make()
        slot.reward[:] = 0
        slot.metrics[:] = 0
        slot.ended[:] = False
        env.reset(int(self.arrays.seeds[self.first + i]), slot)
        self.over[i] = False
        self._check(slot)

    def _step(self, i: int, env: WrappedEnv, slot: EnvSlot) -> None:
        ended = env.step(self.arrays.actions[self.first + i].tolist(), slot)
        t, limit = int(self.arrays.control[1]), self.rules.step_limit
        if t >= limit and not any(ended):
            ended = (False, True)
        if any(ended):
            self.over[i] = True
            slot.ended[:] = ended
            for m, name in enumerate(self.rules.metrics):
                slot.metrics[m] = env.metric(name)
            if self.rules.fixed_length and t < limit:
                raise UserError(
                    f"the episode ended before its limit of {limit} steps, although "
                    f"env_args.fixed_length promises that none does. Write "
                    f"env_args.fixed_length=false."
                )
        self._check(slot)

    def _check(self, slot: EnvSlot) -> None:
        if not np.isfinite(slot.obs).all():
            place = np.argwhere(~np.isfinite(slot.obs))[0].tolist()
            raise ValueError(f"the observation of agent {place[0]} is not finite at {place[1]}")
        if not np.isfinite(slot.reward).all():
            i = int(np.argmin(np.isfinite(slot.reward)))
            raise ValueError(f"the reward of agent {i} is {slot.reward[i]}")
        if not self.rules.raw_state and not np.isfinite(slot.state).all():
            i = int(np.argmin(np.isfinite(slot.state)))
            raise ValueError(f"the state is {slot.state[i]} at {i}")
        if not np.isfinite(slot.metrics).all():
            i = int(np.argmin(np.isfinite(slot.metrics)))
            raise ValueError(f"the metric '{self.rules.metrics[i]}' is {slot.metrics[i]}")
        if not self.rules.varying_team and not slot.is_active.all():
            raise UserError(
                "an agent left before the others, although env_args.varying_team is false. Write "
                "env_args.varying_team=true."
            )
