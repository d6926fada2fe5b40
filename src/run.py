"""One run, top to bottom: collect, store, train, test, log, checkpoint.

Every clock counts environment steps. No branch names an algorithm: what differs stands behind the
configuration's slots.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

from build import (
    build_controller,
    build_env,
    build_learner,
    build_replay,
    build_runner,
    build_test_runner,
)
from config.load import dump
from config.schema import RunConfig
from learners.base import Learner
from runners.batch_runner import BatchRunner, Rollout
from utils.checkpoint import (
    BEST,
    LATEST,
    find_checkpoint,
    load_checkpoint,
    load_into,
    save_checkpoint,
)
from utils.console import RunConsole, result_table
from utils.run_log import RunLog

Scalar = Callable[[str, float, int], Any]


@dataclass
class Counters:
    """How far a run has come, and when each of its clocks strikes next."""

    env_steps: int = 0
    episodes: int = 0
    rounds: int = 0  # training rounds that have come due
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_score: float = float("-inf")
    next_at: dict[str, int] = field(default_factory=lambda: {"test": 0, "log": 0, "checkpoint": 0})

    def strikes(self, clock: str, interval: int) -> bool:
        """Whether `clock` is due; if so, it is set to the next multiple of its interval."""
        if self.env_steps < self.next_at[clock]:
            return False
        self.next_at[clock] = (self.env_steps // interval + 1) * interval
        return True


class Statistics:
    """Means over episodes; only reduced when they are asked for."""

    def __init__(self) -> None:
        self._rollouts: list[tuple[torch.Tensor, ...]] = []
        self._names: tuple[str, ...] = ()

    def add(self, rollout: Rollout) -> None:
        """Remember a rollout's results."""
        self._names = tuple(rollout.metrics)
        self._rollouts.append((rollout.returns, rollout.lengths, *rollout.metrics.values()))

    def means(self, n_episodes: int | None = None, prefix: str = "") -> dict[str, float]:
        """Means over the first `n_episodes` (default all), then forget them."""
        if not self._rollouts:
            return {}
        columns = [torch.cat(parts)[:n_episodes] for parts in zip(*self._rollouts, strict=True)]
        returns = columns[0].double().mean(dim=1)  # [B], over agents where rewards are individual
        out = {
            "return_mean": returns.mean().item(),
            "return_std": returns.std(correction=0).item(),
            "ep_length_mean": columns[1].double().mean().item(),
        }
        for name, column in zip(self._names, columns[2:], strict=True):
            out[f"{name}_mean"] = column.double().mean().item()
        self._rollouts = []
        return {prefix + key: value for key, value in out.items()}

    def state_dict(self) -> dict[str, Any]:
        """What was added since the last `means`."""
        columns = [torch.cat(parts).clone() for parts in zip(*self._rollouts, strict=True)]
        return {"names": list(self._names), "columns": columns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._names = tuple(state["names"])
        self._rollouts = [tuple(state["columns"])] if state["columns"] else []


class Run:
    """A run's parts and its loop.

    Args:
        config: the complete configuration.
        run_dir: the run's folder.
        scalar: receives every metric besides `metrics.csv`, such as Sacred's log_scalar.
    """

    def __init__(self, config: RunConfig, run_dir: Path, scalar: Scalar | None = None):
        torch.set_num_threads(config.threads)
        self.config, self.run_dir, self.checkpoints = config, run_dir, run_dir / "checkpoints"
        env = build_env(config, config.batch_size_run, "train_env")
        self.controller = build_controller(config, env.info)
        self.learner: Learner = build_learner(config, self.controller)
        self.runner = build_runner(config, env, self.controller, "exploration")
        self.test_runner = build_test_runner(config, self.controller)
        self.replay = build_replay(config, env, self.controller.noise_dim)
        self.counters, self.statistics = Counters(), Statistics()
        self._train_seconds = 0.0
        self._cpu_before = process_time()
        self._since_log = (0, 0.0)  # env_steps and seconds at the last row of metrics
        self._recent: deque[dict[str, float]] = deque(maxlen=1)
        position = None
        if config.resume:
            position = self._restore(find_checkpoint(config.resume))
        elif config.checkpoint_path:
            path = find_checkpoint(config.checkpoint_path)
            load_into(self.learner.online, load_checkpoint(path)["learner"]["online"], path)
        self.log = RunLog(run_dir, config.use_tensorboard, scalar, position)

    def train(self) -> dict[str, float]:
        """Run until `t_max` environment steps; returns the metrics of the last test."""
        config, counters = self.config, self.counters
        with RunConsole(config.t_max, counters.env_steps, config.show_progress) as console:
            self._announce(console)
            while counters.env_steps < config.t_max:
                started = perf_counter()
                rollout = self._collect()
                self._train_rounds()
                counters.seconds += perf_counter() - started
                console.advance(counters.env_steps)
                done = counters.env_steps >= config.t_max
                if counters.strikes("log", config.log_interval) or done:
                    self._log_training()
                if counters.strikes("test", config.test_interval) or done:
                    self._test(console)
                if counters.strikes("checkpoint", config.checkpoint_interval) or done:
                    self._save()
                del rollout
            console.say(f"Finished. Everything is in {self.run_dir}")
        self.log.close()
        return self._recent[-1] if self._recent else {}

    def _collect(self) -> Rollout:
        rollout = self.runner.collect(self.counters.env_steps)
        started = perf_counter()
        self.learner.observe(rollout.batch)
        self.replay.add(rollout.batch)
        self.statistics.add(rollout)
        self.runner.seconds["store"] += perf_counter() - started
        self.counters.env_steps += rollout.n_steps
        self.counters.episodes += rollout.batch.n_episodes
        return rollout

    def _train_rounds(self) -> None:
        """The gradient steps that the newly collected episodes call for."""
        config, counters = self.config, self.counters
        due = counters.episodes // config.train_every_episodes - counters.rounds
        counters.rounds += due
        if self.replay.n_episodes < config.batch_size:
            return
        started = perf_counter()
        for _ in range(due * config.updates_per_round):
            batch = self.replay.sample(config.batch_size)
            self.learner.train(batch, counters.env_steps, counters.episodes)
        self._train_seconds += perf_counter() - started

    def _test(self, console: RunConsole) -> None:
        started = perf_counter()
        metrics = greedy_test(self.test_runner, self.config.test_nepisode, self.counters.env_steps)
        self._recent.append(metrics)
        self.counters.seconds += perf_counter() - started
        self._write(metrics)
        shown = {
            k: f"{v:.4f}" for k, v in metrics.items() if k.endswith("_mean") and "ep_" not in k
        }
        console.row({**self._place(), **shown})
        if metrics["test_return_mean"] > self.counters.best_score:
            self.counters.best_score = metrics["test_return_mean"]
            save_checkpoint(self.checkpoints / BEST, self._state(with_replay=False))

    def _log_training(self) -> None:
        seconds, counters = self.runner.seconds, self.counters
        steps_before, seconds_before = self._since_log
        elapsed = max(counters.seconds - seconds_before, 1e-9)
        self._write(
            {
                **self.statistics.means(),
                **self.learner.metrics(),
                **self.runner.selector.metrics(counters.env_steps),
                "steps_per_s": (counters.env_steps - steps_before) / elapsed,
                **{f"time_{phase}": value for phase, value in seconds.items()},
                "time_train": self._train_seconds,
            }
        )
        seconds.update(dict.fromkeys(seconds, 0.0))
        self._train_seconds = 0.0
        self._since_log = (counters.env_steps, counters.seconds)

    def _write(self, metrics: dict[str, float]) -> None:
        c, now = self.counters, process_time()
        c.cpu_seconds += now - self._cpu_before
        self._cpu_before = now
        counts = (c.env_steps, c.episodes, self.learner.updates)
        self.log.write(counts, c.seconds, {**metrics, "cpu_seconds": c.cpu_seconds})

    def _place(self) -> dict[str, str]:
        c = self.counters
        left = c.seconds * (self.config.t_max / max(c.env_steps, 1) - 1)
        return {
            "env_steps": f"{c.env_steps:,}",
            "updates": f"{self.learner.updates:,}",
            "seconds": f"{c.seconds:.1f}",
            "left": f"{max(left, 0):.0f}",
        }

    def _announce(self, console: RunConsole) -> None:
        c = self.config
        n_parameters = sum(p.numel() for p in self.learner.online.parameters())
        console.say(
            f"{c.alg_name} on {c.env_name}, seed {c.seed}, {c.device}: {n_parameters:,} weights, "
            f"{c.batch_size_run} environments, {c.updates_per_round} gradient step(s) of "
            f"{c.batch_size} episodes per {c.train_every_episodes} collected. Replay: "
            f"{c.buffer_size:,} episodes, {self.replay.n_bytes / 2**20:.1f} MiB.\n{self.run_dir}"
        )

    def _save(self) -> None:
        self.log_position = self.log.position
        save_checkpoint(self.checkpoints / LATEST, self._state(self.config.checkpoint_replay))
        if self.config.keep_numbered_checkpoints:
            name = f"{self.counters.env_steps:012d}.pt"
            save_checkpoint(self.checkpoints / name, self._state(with_replay=False))

    def _state(self, with_replay: bool) -> dict[str, Any]:
        return {
            "learner": self.learner.state_dict(),
            "runner": self.runner.state_dict(),
            "test_runner": self.test_runner.state_dict(),
            "replay": self.replay.state_dict(with_replay),
            "counters": asdict(self.counters),
            "statistics": self.statistics.state_dict(),
            "since_log": list(self._since_log),
            "log_position": self.log.position,
        }

    def _restore(self, path: Path) -> int:
        """Load a checkpoint; returns the position of `metrics.csv` that belongs to it."""
        state = load_checkpoint(path)
        load_into(self.learner, state["learner"], path)
        self.runner.load_state_dict(state["runner"])
        self.test_runner.load_state_dict(state["test_runner"])
        self.replay.load_state_dict(state["replay"])
        self.counters = Counters(**state["counters"])
        self.statistics.load_state_dict(state["statistics"])
        self._since_log = (int(state["since_log"][0]), float(state["since_log"][1]))
        return int(state["log_position"])


def greedy_test(runner: BatchRunner, n_episodes: int, env_steps: int) -> dict[str, float]:
    """Play `n_episodes` greedily; metrics with the prefix `test_`."""
    statistics = Statistics()
    for _ in range(-(-n_episodes // runner.env.batch_size)):
        statistics.add(runner.collect(env_steps, greedy=True))
    return statistics.means(n_episodes, prefix="test_")


def train(config: RunConfig, run_dir: Path, scalar: Scalar | None = None) -> dict[str, float]:
    """Train as `config` says and record everything in `run_dir`.

    Returns:
        The metrics of the last greedy test.

    Raises:
        UserError: for anything the user can mend.
    """
    run = Run(config, run_dir, scalar)
    dump(config, run_dir / "config.yaml")
    return run.train()


def evaluate(config: RunConfig) -> str:
    """Test the checkpoint at `config.checkpoint_path` greedily; returns a table as text.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture.
    """
    torch.set_num_threads(config.threads)
    path = find_checkpoint(config.checkpoint_path)
    state = load_checkpoint(path)
    controller = build_controller(config, build_env(config, 1, "info").info)
    runner = build_test_runner(config, controller, "evaluate")
    load_into(build_learner(config, controller).online, state["learner"]["online"], path)
    metrics = greedy_test(runner, config.test_nepisode, 0)
    n, steps = config.test_nepisode, state["counters"]["env_steps"]
    rows = {"checkpoint": str(path), "trained for": f"{steps:,} environment steps"}
    rows |= {key.removeprefix("test_"): f"{value:.5f}" for key, value in metrics.items()}
    title = f"{config.alg_name} on {config.env_name}, {n:,} greedy episodes, seed {config.seed}"
    return result_table(title, rows)
