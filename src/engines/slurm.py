"""SLURM: one job for each command, through submitit."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from engines import process
from engines.engine import Options
from utils.errors import UserError
from utils.invocation import pip_install

# SLURM sends its warning (SIGUSR2) to all processes of a job; the command must survive it.
IGNORES_WARNING = ["sh", "-c", "trap '' USR2; exec \"$@\"", "sh"]
LOST = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "REQUEUED")  # states that are not the run's fault


class Slurm:
    """Hands commands to SLURM.

    Args:
        options: cores, GPUs, time limit, further options of `sbatch`.
        folders: results folders; the records of the jobs go into `.submitit` of the first.
        cluster: submitit's name for where jobs go; `local` stands for processes, as a test.

    Raises:
        UserError: if submitit or SLURM is missing.
    """

    def __init__(self, options: Options, folders: list[Path], cluster: str = "slurm"):
        try:
            import cloudpickle
            import submitit
        except ModuleNotFoundError as error:
            raise UserError(
                f"--engine slurm needs the package 'submitit', which is not installed. Install it "
                f"with `{pip_install('submitit')}`."
            ) from error
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise UserError(
                "--engine slurm: there is no `sbatch` here. Start the suite on a machine from "
                "which jobs are submitted, or choose --engine local."
            )
        cloudpickle.register_pickle_by_value(process)
        executor = submitit.AutoExecutor(folder=folders[0] / ".submitit", cluster=cluster)
        executor.update_parameters(
            name="suite",
            cpus_per_task=options.cpus,
            gpus_per_node=int(options.gpus),
            timeout_min=options.minutes,
            slurm_additional_parameters=dict(text.split("=", 1) for text in options.slurm),
        )
        self._executor = executor
        self._failure = submitit.core.utils.UncompletedJobError

    def start(self, argv: list[str]) -> "_SlurmTask":
        """Submit a command; it runs in the current folder."""
        job = self._executor.submit(
            process.run,
            [*IGNORES_WARNING, *argv],
            os.getcwd(),
            (signal.SIGUSR2, signal.SIGTERM),
            process.variables(),
        )
        return _SlurmTask(job, self._failure)

    def close(self) -> None:
        """Nothing is held."""


class _SlurmTask:
    def __init__(self, job: Any, failure: type[Exception]):
        self._job, self._failure, self._is_stopped = job, failure, False

    def ended(self) -> tuple[int, str] | None:
        if not self._job.done():
            return None
        try:
            code, errors = self._job.result()
        except self._failure as error:
            is_lost = self._is_stopped or self._job.state.upper() in LOST
            return (128 + signal.SIGTERM if is_lost else 1), str(error)
        return code, errors

    def stop(self) -> None:
        self._is_stopped = True
        self._job.cancel(check=False)
