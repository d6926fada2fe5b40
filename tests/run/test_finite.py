"""A number that is not finite stops a run at the next row or checkpoint, and is in neither."""

from pathlib import Path

import pytest
import torch
from tests.helpers.runs import tiny

from envs.base import EnvStep
from records.checkpoint import LATEST, load_checkpoint
from run import Run
from utils.errors import NumericalError


def poisoned(tmp_path: Path, *settings: str) -> Run:
    """A run whose rewards are NaN from its fourth round on."""
    run = Run(tiny("vdn", "topk", "test_interval=1000", *settings))
    step, n_calls = run.runner.env.step, 0

    def bad_step(actions: torch.Tensor) -> EnvStep:
        nonlocal n_calls
        n_calls += 1
        shown = step(actions)
        if n_calls > 3:
            shown.reward.fill_(torch.nan)
        return shown

    run.runner.env.step = bad_step  # type: ignore[method-assign]
    return run


@pytest.mark.parametrize(
    ("settings", "noticed_at", "kept"),
    [
        (("log_interval=48", "checkpoint_interval=1000"), 48, 8),
        (("log_interval=1000", "checkpoint_interval=16"), 32, 16),
    ],
)
def test_a_reward_that_is_not_finite_reaches_no_checkpoint(
    settings: tuple[str, ...], noticed_at: int, kept: int, tmp_path: Path
) -> None:
    run = poisoned(tmp_path, *settings)
    with pytest.raises(NumericalError, match=r"reward is not finite .* environment step 24\."):
        run.train(tmp_path)
    assert run.counters.env_steps == noticed_at
    state = load_checkpoint(tmp_path / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == kept
    assert all(x.isfinite().all() for x in state["buffer"]["episodes"].values())
    assert all(x.isfinite().all() for x in state["learner"]["online"].values())


def test_a_loss_that_is_not_finite_reaches_no_checkpoint(tmp_path: Path) -> None:
    run = Run(tiny("vdn", "topk", "log_interval=1000", "checkpoint_interval=16"))
    add = run.buffer.add

    def bad_add(batch: object) -> None:
        add(batch)  # type: ignore[arg-type]
        if run.counters.episodes >= 24:
            run.buffer._storage.reward.fill_(torch.inf)

    run.buffer.add = bad_add  # type: ignore[method-assign, assignment]
    with pytest.raises(NumericalError, match=r"loss is inf at update 4 \(environment step 32\)"):
        run.train(tmp_path)
    state = load_checkpoint(tmp_path / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == 16
