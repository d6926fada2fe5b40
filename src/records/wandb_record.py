"""A run's record in Weights & Biases, written from the run's folder.

As a program this follows a run. The logger `wandb` starts it beside the training and stops it at
the end, so that W&B does not run in the process that trains.

`metrics.csv` is sent row by row, a W&B step being an environment step. Steps that the record has
already are passed over. A resumed run sends no step twice: what it trains again after its
checkpoint has the same values as before.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from records.follower import Follower, remembered_id
from records.metrics import METRICS, read_rows
from utils.errors import UserError

LABEL, SYNC_FLAG = "W&B", "--sync-wandb"
WANDB_ID = "wandb_id"  # file in a run's folder by which its record in W&B is known
END_SECONDS = 15.0  # that the last writing of a live run may take
FINISHED, FAILED = "finished", "failed"  # what the run says at its end
INCOMPLETE = 3  # exit code after the user has been warned


class WandbRecord:
    """The record of one run in W&B.

    Args:
        run_dir: the run's folder; W&B's own files go to `wandb/` in it.
        settings: those of the logger: project, entity, mode.
        config: the run's configuration as plain data.
    """

    def __init__(self, run_dir: Path, settings: dict[str, Any], config: dict[str, Any]):
        import wandb

        self._wandb: Any = wandb
        self.errors: tuple[type[Exception], ...] = (wandb.Error, OSError)
        self.run_dir, self._settings, self._config = run_dir, settings, config
        self._id = remembered_id(run_dir, WANDB_ID, LABEL)
        self._run: Any = None
        self._offset = 0  # bytes of metrics.csv that have been read
        self._held: dict[int, dict[str, float]] = {}  # step -> its metrics, not sent yet
        self.n_steps = 0  # that the record has

    def write(self, is_last: bool) -> None:
        """Send what `metrics.csv` has now; the newest step, which may get more rows, at the end."""
        if self._run is None:
            self._run = self._open()
        rows, self._offset = read_rows(self.run_dir / METRICS, self._offset)
        for row in rows:
            counts = {name: getattr(row, name) for name in row._fields[:4]}
            self._held.setdefault(row.env_steps, {}).update({**counts, row.key: row.value})
        newest = max(self._held, default=0)
        for step in sorted(self._held):
            if step == newest and not is_last:
                break
            if step >= self._run.starting_step:
                self._run.log(self._held[step], step=step)
            self.n_steps += 1
            del self._held[step]

    def finish(self, exit_code: int) -> None:
        """End the record, once all of it has been sent; 0: the run has finished."""
        self._run.finish(exit_code=exit_code)

    def explain(self, error: Exception) -> str:
        """The message for the user about an error of the package."""
        reason = str(error).strip().split("\n")[0][:300]
        return (
            f"W&B does not take the record ({reason}). Check the connection, and that "
            f"`wandb login` or WANDB_API_KEY gives a key."
        )

    def _open(self) -> Any:
        mode = self._settings["mode"]
        if mode == "offline":  # the whole record is written again, so what is there is of no use
            for old in self.run_dir.glob("wandb/offline-run-*"):
                shutil.rmtree(old)
        return self._wandb.init(
            project=self._settings["project"],
            entity=self._settings["entity"] or None,
            id=self._id,
            name=self.run_dir.name,
            group=f"{self._config['env_name']}/{self._config['alg_name']}",
            config=self._config,
            allow_val_change=True,
            dir=str(self.run_dir),
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=self._wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,  # Sacred's record has the commit
                x_disable_stats=True,  # they would be those of this process
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )


class WandbFollower(Follower):
    """Follows a run, see `Follower`.

    Attributes:
        exit_code: the exit code that W&B records; 0: the run has finished.
    """

    label, sync_flag = LABEL, SYNC_FLAG

    def __init__(self, record: WandbRecord):
        super().__init__(record.run_dir)
        self._record, self.errors, self.end_seconds = record, record.errors, END_SECONDS
        self.exit_code = 1

    def write(self, is_last: bool) -> None:
        """Send what is new, and end the record with the last of it."""
        self._record.write(is_last)
        if is_last:
            self._record.finish(self.exit_code)

    def explain(self, error: Exception) -> str:
        """The message for the user about an error of the package."""
        return self._record.explain(error)


def sync(run_dir: Path, settings: dict[str, Any], config: dict[str, Any]) -> str:
    """Complete a run's record in W&B from its folder; returns a sentence about it.

    Args:
        run_dir: the run's folder.
        settings: those of the logger: project, entity.
        config: what the run's `config.yaml` says.

    Raises:
        UserError: if the folder is no run's, or W&B does not take the record.
    """
    if not (run_dir / METRICS).is_file():
        raise UserError(
            f"{run_dir} has no {METRICS}. Give the folder of a run, such as "
            f"results/topk/agp/agp_seed1_1."
        )
    record = WandbRecord(run_dir, {**settings, "mode": "online"}, config)
    try:
        record.write(is_last=True)
        record.finish(0)
    except record.errors as error:
        raise UserError(record.explain(error)) from error
    return f"{run_dir}: W&B has all of its {record.n_steps:,} steps, project {settings['project']}."


def main() -> int:
    """Follow the run that the first line of standard input describes, until the second one."""
    for stopped in (signal.SIGINT, signal.SIGTERM):  # they are for the run, which says how it ends
        signal.signal(stopped, signal.SIG_IGN)
    what = json.loads(sys.stdin.readline())
    record = WandbRecord(Path(what["run_dir"]), what["settings"], what["config"])
    with WandbFollower(record) as follower:
        said = sys.stdin.readline().strip()  # empty: the run was killed
        follower.exit_code = int(said != FINISHED)
    return 0 if follower.is_complete else INCOMPLETE


if __name__ == "__main__":
    code = main()
    if code:
        os._exit(code)  # without waiting for W&B to end, which waits for the server
