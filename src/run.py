"""One run, top to bottom: collect, store, train, test, log, checkpoint.

Every clock counts environment steps. No branch names an algorithm: what differs stands behind the
configuration's slots.
"""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch

from build import build_controller, build_env, build_runner, build_test_runner
from build_training import build_buffer, build_learner, build_loggers, plan_graphs
from components.counters import Counters
from components.schedules import Progress
from components.statistics import Statistics
from config.history import changes_with, record_settings
from config.plain_data import to_dict
from config.schema import RunConfig
from evaluate import evaluate_policy
from learners.base import Learner
from records.checkpoint import (
    BEST,
    LATEST,
    PREVIOUS,
    find_checkpoint,
    load_checkpoint,
    load_into,
    resumption,
    save_checkpoint,
)
from records.console import RunConsole, duration
from records.evaluations import drop_evaluations_after
from records.logger import RunStart
from records.run_log import RunLog
from utils.device import resolve_device, use_device
from utils.interruption import Interrupted, StopSignals, stopped_message


class Run:
    """A run's parts and its loop.

    Building one writes nothing, so that a mistake is reported before a folder exists.

    Args:
        config: the complete configuration.

    Raises:
        UserError: for anything the user can correct.
    """

    log: RunLog
    checkpoints: Path

    def __init__(self, config: RunConfig):
        torch.set_num_threads(config.threads)
        use_device(resolve_device(config.device))
        self._loggers = build_loggers(config)
        self.config = config
        env = build_env(config, config.batch_size_run, "train_env")
        self.controller = build_controller(config, env.info)
        self.learner: Learner = build_learner(config, self.controller)
        self.runner = build_runner(config, env, self.controller, "exploration")
        self.test_runner = build_test_runner(config, self.controller)
        self.buffer = build_buffer(config, env, self.controller.noise_dim)
        self.counters, self.statistics = Counters(), Statistics(env.info.metric_ratios)
        self.phases = self.runner.phases
        self._cpu_before = process_time()
        self._since_log = (0, 0.0)  # env_steps and seconds at the last row of metrics
        self._first_test: tuple[int, float] | None = None  # env_steps and seconds, this process
        self._last_test: dict[str, float] = {}
        self._log_position: int | None = None  # where to truncate the metrics.csv of a resumed run
        self._resumed = ""  # what to say of it
        if config.resume:
            path = find_checkpoint(config.resume)
            state = load_checkpoint(path)
            load_into(self, state, path)
            self.counters.set_intervals(
                test=config.test_interval,
                log=config.log_interval,
                checkpoint=config.checkpoint_interval,
            )
            self._resumed = f"\n{resumption(path, state)}"
        elif config.checkpoint_path:
            path = find_checkpoint(config.checkpoint_path)
            load_into(self.learner, load_checkpoint(path)["learner"], path, "load_weights")
        self._graphs = plan_graphs(config, env.info)
        if self._graphs.acting:
            self.runner.capture()
            self.test_runner.capture()
        if self._graphs.training:
            self.learner.capture(self.learner.batch_memory(self.buffer))

    def train(self, run_dir: Path, signals: StopSignals | None = None) -> dict[str, float]:
        """Run until `t_max` environment steps, recording everything in `run_dir`.

        Args:
            run_dir: the run's folder.
            signals: once one is received, the run saves after the step under way and ends.

        Returns:
            The metrics of the last greedy test.

        Raises:
            Interrupted: if a signal was received.
            UserError: if a reward, the loss or the gradient is not finite, or if something cannot
                be written.
        """
        config, counters = self.config, self.counters
        self.checkpoints = run_dir / "checkpoints"
        with (
            closing(self.runner.env),
            closing(self.test_runner.env),
            self._open_log(run_dir) as self.log,
            RunConsole(config.t_max, counters.env_steps, config.show_progress) as console,
        ):
            changed = record_settings(run_dir, config, counters.env_steps)
            drop_evaluations_after(run_dir, counters.env_steps)
            console.say("\n".join(filter(None, (self._announcement(), changed, str(run_dir)))))
            saved = perf_counter()
            if counters.env_steps == 0:
                self._write({"startup_cpu_seconds": process_time()})
            while counters.env_steps < config.t_max:
                started = perf_counter()
                self.advance()
                counters.seconds += perf_counter() - started
                console.advance(counters.env_steps)
                done = counters.env_steps >= config.t_max
                if counters.is_due("log", config.log_interval) or done:
                    self._log_training()
                if counters.is_due("test", config.test_interval) or done:
                    self._test(console)
                stop = signals.received if signals is not None else None
                due = counters.is_due("checkpoint", config.checkpoint_interval) or done
                late = 0 < config.checkpoint_seconds <= perf_counter() - saved
                if due or late or stop:
                    self._save(numbered=due and config.keep_numbered_checkpoints)
                    saved = perf_counter()
                if stop and not done:
                    raise Interrupted(stop, stopped_message(run_dir, counters.env_steps))
            console.say(f"Finished. Everything is in {run_dir}")
        return self._last_test

    def _open_log(self, run_dir: Path) -> RunLog:
        config, env_steps = self.config, self.counters.env_steps
        start = RunStart(
            run_dir=run_dir,
            name=f"{config.alg_name}-{config.env_name}",
            settings=to_dict(config),
            env_steps=env_steps,
            position=self._log_position,
            changes=tuple(c._asdict() for c in changes_with(run_dir, config, env_steps)),
        )
        return RunLog(self._loggers, start)

    def advance(self) -> None:
        """Collect an episode in each parallel environment, then train as often as configured."""
        self._collect()
        self.phases.start()
        self.learner.update(self.buffer, Progress(self.counters.env_steps, self.counters.episodes))
        self.phases.split("train")

    def phase_seconds(self) -> dict[str, float]:
        """Seconds spent in each phase since the last row of metrics."""
        return self.phases.seconds()

    def _collect(self) -> None:
        rollout = self.runner.collect(self.counters.env_steps)
        self.phases.start()
        self.learner.observe(rollout.batch)
        self.buffer.add(rollout.batch)
        self.statistics.add(rollout.returns, rollout.lengths, rollout.metrics, rollout.n_lost)
        self.phases.split("store")
        self.counters.env_steps += rollout.n_steps
        self.counters.episodes += rollout.batch.n_episodes

    def _test(self, console: RunConsole) -> None:
        started = perf_counter()
        metrics = evaluate_policy(
            self.test_runner, self.config.test_nepisode, self.counters.env_steps
        )
        self._last_test = self.log.result = metrics
        self.counters.seconds += perf_counter() - started
        self._write(metrics)
        shown = {
            k: f"{v:.4f}" for k, v in metrics.items() if not k.endswith("_std") and "ep_" not in k
        }
        console.row({**self._place(), **shown})
        if metrics["test_return_mean"] > self.counters.best_score:
            self.counters.best_score = metrics["test_return_mean"]
            save_checkpoint(self.checkpoints / BEST, self._state(with_buffer=False))

    def _log_training(self) -> None:
        counters, started = self.counters, perf_counter()
        self._require_finite()  # waits for the device
        counters.seconds += perf_counter() - started
        steps_before, seconds_before = self._since_log
        elapsed = max(counters.seconds - seconds_before, 1e-9)
        self._write(
            {
                **self.statistics.means(),
                **self.learner.metrics(),
                **self.runner.selector.metrics(counters.env_steps),
                "steps_per_s": (counters.env_steps - steps_before) / elapsed,
                **{f"time_{phase}": value for phase, value in self.phase_seconds().items()},
            }
        )
        self.phases.reset()
        self._since_log = (counters.env_steps, counters.seconds)

    def _require_finite(self) -> None:
        """Raise `NumericalError` if a reward, a loss or a gradient has not been finite."""
        self.runner.require_finite()
        self.learner.require_finite()

    def _write(self, metrics: dict[str, float]) -> None:
        c, now = self.counters, process_time()
        c.cpu_seconds += now - self._cpu_before
        self._cpu_before = now
        counts = (c.env_steps, c.episodes, self.learner.updates)
        self.log.write(counts, c.seconds, {**metrics, "cpu_seconds": c.cpu_seconds})

    def _place(self) -> dict[str, str]:
        c = self.counters
        if self._first_test is None:  # before it, the process started up
            self._first_test = (c.env_steps, c.seconds)
        steps, seconds = c.env_steps - self._first_test[0], c.seconds - self._first_test[1]
        left = duration(seconds / steps * (self.config.t_max - c.env_steps)) if steps else "-"
        return {
            "env_steps": f"{c.env_steps:,}",
            "updates": f"{self.learner.updates:,}",
            "seconds": f"{c.seconds:.1f}",
            "left": left,
        }

    def _announcement(self) -> str:
        c = self.config
        n_weights = sum(p.numel() for p in self.learner.online.parameters())
        tuned = f"\nTuned settings: preset {c.preset} (preset=none: without)."
        tuned = "" if c.preset == "none" else tuned
        kept = f"{c.buffer} included" if c.checkpoint_replay else f"without {c.buffer}"
        # Two networks, two moments of one for the optimiser, each number in four bytes.
        n_bytes = 4 * 4 * n_weights + self.buffer.n_bytes * c.checkpoint_replay
        return (
            f"{c.alg_name} on {c.env_name}, seed {c.seed}, {c.device}: {n_weights:,} weights, "
            f"{c.batch_size_run} environments, {self.learner.plan}. {c.buffer.capitalize()}: "
            f"{self.buffer.capacity:,} episodes, {self.buffer.n_bytes / 2**20:.1f} MiB. "
            f"Checkpoints, {kept}: up to {n_bytes / 2**20:.1f} MiB each."
            f"{self._graphs.text}{tuned}{self._resumed}"
        )

    def _save(self, numbered: bool) -> None:
        state = self._state(self.config.checkpoint_replay)
        save_checkpoint(self.checkpoints / LATEST, state, self.checkpoints / PREVIOUS)
        if numbered:
            name = f"{self.counters.env_steps:012d}.pt"
            save_checkpoint(self.checkpoints / name, self._state(with_buffer=False))

    def _state(self, with_buffer: bool) -> dict[str, Any]:
        self._require_finite()
        return {
            "learner": self.learner.state_dict(),
            "runner": self.runner.state_dict(),
            "test_runner": self.test_runner.state_dict(),
            "buffer": self.buffer.state_dict(with_buffer),
            "counters": asdict(self.counters),
            "statistics": self.statistics.state_dict(),
            "since_log": list(self._since_log),
            "log_position": self.log.flush(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore everything a checkpoint holds."""
        self.learner.load_state_dict(state["learner"])
        self.runner.load_state_dict(state["runner"])
        self.test_runner.load_state_dict(state["test_runner"])
        self.buffer.load_state_dict(state["buffer"])
        self.counters = Counters(**state["counters"])
        self.statistics.load_state_dict(state["statistics"])
        self._since_log = (int(state["since_log"][0]), float(state["since_log"][1]))
        self._log_position = int(state["log_position"])
