"""What `--check-env` prints."""

import sys
from collections.abc import Callable
from typing import Any

import torch

from envs.base import BatchedEnv, EnvInfo, make_env
from envs.checker.budget import Budget
from envs.env_checker import Checker

SECONDS = 60.0  # the budget, unless another is given


def report(
    name: str,
    settings: Any,
    prepare: Callable[[Any], Any] = lambda env: env,
    reward_aggregation: str = "",
    budget: Budget | None = None,
) -> tuple[str, bool]:
    """Check the registered environment `name`.

    Args:
        name: of the environment.
        settings: an instance of its settings dataclass.
        prepare: applied to each environment after it was built.
        reward_aggregation: how the run would aggregate rewards.
        budget: how long it may take; `SECONDS`, with progress on stderr, by default.

    Returns:
        A summary, or the numbered violations; and whether there is no violation.

    Raises:
        UserError: if it cannot be built for a reason that the user can correct.
    """
    if budget is None:
        budget = Budget(SECONDS, lambda line: print(line, file=sys.stderr, flush=True))
        print(f"Checking {name}, for at most about {SECONDS:.0f} s:", file=sys.stderr, flush=True)

    def make(batch_size: int, seed: int, stream: str, device: torch.device) -> BatchedEnv:
        return prepare(make_env(name, settings, batch_size, device, seed, stream))

    checker = Checker(make, torch.device("cpu"), budget)
    violations = checker.run()
    remarks = [f"Not checked, because the time was spent: {text}." for text in checker.left_out]
    if checker.info is not None:
        warnings = checker.likely_mistakes.warnings(checker.info, reward_aggregation)
        remarks += [f"Warning: {text}" for text in warnings]
    lines = [f"  {i}. {text}" for i, text in enumerate(violations, start=1)]
    if checker.info is None or violations:
        noun = "place" if len(violations) == 1 else "places"
        said = f"{name} breaks the contract of envs/base.py in {len(violations)} {noun}:"
        if not violations:
            said = f"{name} was not checked: it could not be built in time."
    else:
        passed = "the checks that were made" if checker.left_out else "all checks"
        said = f"{name} passes {passed}.\n{_summary(checker.info)}"
    return "\n".join([said, *lines, *remarks]), checker.info is not None and not violations


def _summary(info: EnvInfo) -> str:
    length = f"{'exactly' if info.fixed_length else 'at most'} {info.episode_limit}"
    metrics = "".join(f"\n  {key}: {text}" for key, text in info.metric_descriptions.items())
    return (
        f"  agents: {info.n_agents} ({', '.join(info.agent_names)})\n"
        f"  {'numbers in an action' if info.is_continuous else 'actions'}: "
        f"{_sizes(info.action_counts)}; observations: {_sizes(info.obs_dims)}; "
        f"state: {info.state_dim}\n"
        f"  episodes: {length} step{'s' * (info.episode_limit > 1)}, "
        f"{'may be truncated' if info.truncates else 'never truncated'}{metrics}"
    )


def _sizes(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
