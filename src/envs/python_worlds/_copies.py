"""Several copies of a Python environment and their rows: what a worker does, and nothing else.

A copy whose episode has ended rests until the next reset. What goes wrong in a copy is told as a
`CopyFailure`, which carries all that can be known at that place.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.python_worlds._arrays import Arrays, Rows, rows_of
from envs.python_worlds._world import World
from utils.errors import UserError

RESET, STEP, CLOSE = 1, 2, 3  # commands in control[0]
MakeWorld = Callable[[], World]


@dataclass(frozen=True)
class Rules:
    """What the adapter adds to an environment, and what was promised about it."""

    step_limit: int  # an episode is truncated after so many steps
    metrics: tuple[str, ...] = ()  # names, in the order of the rows
    varying_team: bool = True  # false: an agent that leaves is an error
    fixed_length: bool = False  # true: an episode that ends before the limit is an error
    rebuild: bool = False  # build a copy anew for each episode
    raw_state: bool = False  # true: the state's bits mean something else than float32


class CopyFailure(Exception):
    """A copy failed.

    Attributes:
        copy: which.
        text: the traceback, or one sentence if the user can correct the matter.
        mendable: whether the user can; then it would happen again and again.
    """

    def __init__(self, copy: int, error: Exception | SystemExit):
        self.copy, self.mendable = copy, isinstance(error, UserError | SystemExit)
        trace = "".join(traceback.format_exception(error)).strip()
        if isinstance(error, SystemExit):
            trace = (
                f"it called sys.exit({error.code!r}), which would end the whole program. An "
                f"environment must raise an error instead:\n{trace}"
            )
        self.text = str(error) if isinstance(error, UserError) else trace
        super().__init__(copy, self.text)


class Copies:
    """Copies `first`, `first + 1`, ... of an environment.

    Args:
        make: builds one.
        rules: for all of them.
        arrays: of all copies, also those of other workers.
        first: the first copy's place.
        n: how many.
        worker: whose they are.
    """

    def __init__(
        self, make: MakeWorld, rules: Rules, arrays: Arrays, first: int, n: int, worker: int = 0
    ):
        self.rules, self.arrays, self.first, self.worker = rules, arrays, first, worker
        self.make, self.worlds = make, list[World]()
        self.rows = [rows_of(arrays, b) for b in range(first, first + n)]
        self.over = [True] * n
        for i in range(n):
            self._at(i)
            try:
                self.worlds.append(make())
            except (Exception, SystemExit) as error:
                raise CopyFailure(first + i, error) from error

    def run(self, command: int) -> None:
        """Do what the parent asks of every copy.

        Raises:
            CopyFailure: if a copy fails.
        """
        act = self._reset if command == RESET else self._step
        for i in range(len(self.worlds)):
            if command == RESET or not self.over[i]:
                self._at(i)
                try:
                    act(i, self.worlds[i], self.rows[i])
                except (Exception, SystemExit) as error:
                    raise CopyFailure(self.first + i, error) from error
            else:
                self.rows[i].reward[:] = 0

    def close(self) -> None:
        """Close every copy; one that fails at it does not hinder the others."""
        for world in self.worlds:
            try:
                world.close()
            except (Exception, SystemExit):  # its episodes are over: nothing depends on it any more
                continue
        self.worlds = []

    def _at(self, i: int) -> None:
        """Leave word which copy is at work, for the case that the worker never returns."""
        self.arrays.busy[self.worker] = self.first + i

    def _reset(self, i: int, world: World, rows: Rows) -> None:
        if self.rules.rebuild:
            world.close()
            world = self.worlds[i] = self.make()
        rows.reward[:] = 0
        rows.metrics[:] = 0
        rows.ended[:] = False
        world.reset(int(self.arrays.seeds[self.first + i]), rows)
        self.over[i] = False
        self._check(rows)

    def _step(self, i: int, world: World, rows: Rows) -> None:
        ended = world.step(self.arrays.actions[self.first + i].tolist(), rows)
        t, limit = int(self.arrays.control[1]), self.rules.step_limit
        if t >= limit and not any(ended):
            ended = (False, True)
        if any(ended):
            self.over[i] = True
            rows.ended[:] = ended
            for m, name in enumerate(self.rules.metrics):
                rows.metrics[m] = world.result(name)
            if self.rules.fixed_length and t < limit:
                raise UserError(
                    f"the episode ended before its limit of {limit} steps, although "
                    f"env_args.fixed_length promises that none does. Write "
                    f"env_args.fixed_length=false."
                )
        self._check(rows)

    def _check(self, rows: Rows) -> None:
        if not np.isfinite(rows.obs).all():
            place = np.argwhere(~np.isfinite(rows.obs))[0].tolist()
            raise ValueError(f"the observation of agent {place[0]} is not finite at {place[1]}")
        if not np.isfinite(rows.reward).all():
            i = int(np.argmin(np.isfinite(rows.reward)))
            raise ValueError(f"the reward of agent {i} is {rows.reward[i]}")
        if not self.rules.raw_state and not np.isfinite(rows.state).all():
            i = int(np.argmin(np.isfinite(rows.state)))
            raise ValueError(f"the state is {rows.state[i]} at {i}")
        if not np.isfinite(rows.metrics).all():
            i = int(np.argmin(np.isfinite(rows.metrics)))
            raise ValueError(f"the metric '{self.rules.metrics[i]}' is {rows.metrics[i]}")
        if not self.rules.varying_team and not rows.is_active.all():
            raise UserError(
                "an agent left before the others, although env_args.varying_team is false. Write "
                "env_args.varying_team=true."
            )
