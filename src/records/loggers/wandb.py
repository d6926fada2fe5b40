"""Weights & Biases, offline by default: the record follows `metrics.csv` from another process.

W&B does not run in the process that trains, so a slow or failed service cannot delay it.
The record is in `wandb/` in the run's folder; `--sync-wandb=<folder>` uploads it.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from records.follower import incomplete, remembered_id, warn
from records.logger import Logger, RunEnd, RunStart, require_package
from records.wandb_record import FAILED, FINISHED, INCOMPLETE, LABEL, SYNC_FLAG, WANDB_ID
from utils.plugins import SOURCE
from utils.registry import LOGGERS

CLOSE_SECONDS = 20.0  # that a run waits for the process at its end


@dataclass(frozen=True)
class WandbConfig:
    """Settings of the logger `wandb`."""

    project: str = "agp"  # project in W&B
    entity: str = ""  # user or team; empty: the one that W&B takes by default
    mode: Literal["offline", "online"] = "offline"  # online: upload during the run


@LOGGERS.register("wandb", config=WandbConfig)
class WandbLogger(Logger):
    """Starts the process that follows the run, and stops it."""

    settings: WandbConfig
    _run: RunStart
    _process: "subprocess.Popen[str] | None" = None

    def __init__(self, settings: Any):
        super().__init__(settings)
        require_package("wandb")

    def start(self, run: RunStart) -> None:
        """Start to follow the run."""
        remembered_id(run.run_dir, WANDB_ID, LABEL)
        self._run = run
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "records.wandb_record"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            text=True,
            start_new_session=True,  # Ctrl-C is for the run
        )
        self._say(
            json.dumps(
                {
                    "run_dir": str(run.run_dir),
                    "settings": dataclasses.asdict(self.settings),
                    "config": run.settings,
                }
            )
        )

    def close(self, end: RunEnd) -> None:
        """Let the process send the rest, and end it."""
        if self._process is None:
            return
        self._say(FINISHED if end.error is None else FAILED)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        code = self._process.poll()
        if code not in (0, INCOMPLETE):
            warn(incomplete(LABEL, SYNC_FLAG, self._run.run_dir))
        if code != 0:
            self._kill()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended already, which `close` finds out
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _kill(self) -> None:
        """End the process and what it has started."""
        assert self._process is not None
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
