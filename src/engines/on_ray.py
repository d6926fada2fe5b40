"""Ray: one task for each command, on a cluster or on this machine.

Ray starts a task again when its worker or its machine dies, on another machine if necessary. The
child of a worker that is killed dies with it (Ray 2.57 or newer).
"""

import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

from engines import process
from engines.engine import Options
from utils.errors import UserError
from utils.invocation import MAIN, pip_install

OLDEST = (2, 57)
PROBE_SECONDS = 120
TOKEN = (
    "From version 2.59 on, clusters want a token: set RAY_AUTH_MODE=token and the same token on "
    "every machine and here (docs/guide/suites.md, section Ray)."
)


class OnRay:
    """Hands commands to Ray.

    Args:
        options: cores, GPUs, retries, and the address of a cluster.
        folders: results folders, which every machine must see.

    Raises:
        UserError: if Ray is missing or too old, the cluster does not answer, or one of its
            machines does not see this program or its results.
    """

    def __init__(self, options: Options, folders: list[Path]):
        self._ray = ray = _ray()
        before = signal.getsignal(signal.SIGTERM)
        try:
            # "local" starts one here even if the address file of an earlier one lies about.
            ray.init(
                address=options.address or "local",
                logging_level="ERROR",
                log_to_driver=False,
                **({} if options.address else {"include_dashboard": False}),
            )
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            where = f"The Ray cluster at --address {options.address}" if options.address else "Ray"
            raise UserError(f"{where} does not answer: {error}\n{TOKEN}") from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray has replaced it
        ray.cloudpickle.register_pickle_by_value(process)
        self._run = ray.remote(
            num_cpus=options.cpus, num_gpus=options.gpus, max_retries=options.retries
        )(process.run)
        try:
            self._require_room(options)
            for folder in folders:
                self._require_shared(folder)
        except UserError:
            ray.shutdown()
            raise

    def start(self, argv: list[str]) -> "_RayTask":
        """Hand over a command; it runs in the current folder, on the machine that Ray chooses."""
        return _RayTask(self._ray, self._run.remote(argv, os.getcwd(), (), process.variables()))

    def close(self) -> None:
        """Leave the cluster, or end the one that was started here."""
        self._ray.shutdown()

    def _machines(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _require_room(self, options: Options) -> None:
        """Check that a machine has what a run needs; without one it would never start."""
        wanted = {"CPU": options.cpus, "GPU": options.gpus}
        if not any(
            all(node["Resources"].get(kind, 0) >= n for kind, n in wanted.items())
            for node in self._machines()
        ):
            raise UserError(
                f"No machine of Ray has {options.cpus} cores and {options.gpus:g} GPUs for a run. "
                f"Lower --cpus or --gpus, or join another cluster with --address."
            )

    def _require_shared(self, folder: Path) -> None:
        """Check that every machine sees the results, the program and the current folder."""
        probe = folder.absolute() / f".probe-{uuid.uuid4().hex}"
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        needed = [os.getcwd(), sys.executable, str(MAIN), str(probe)]
        on_node = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = self._ray.remote(num_cpus=0)(process.missing)
        try:
            for node in self._machines():
                there = look.options(scheduling_strategy=on_node(node["NodeID"], soft=False))
                lacks = self._ray.get(there.remote(needed), timeout=PROBE_SECONDS)
                if lacks:
                    shown = [str(folder) if path == str(probe) else path for path in lacks]
                    raise UserError(
                        f"The machine {node['NodeManagerHostname']} of the Ray cluster does not "
                        f"see {', '.join(shown)}. Put this program, its Python environment and "
                        f"the results folder on a disk that all machines share under the same "
                        f"path, and name that folder with results_dir=<folder>."
                    )
        except (self._ray.exceptions.RayError, TimeoutError) as error:
            raise UserError(f"A machine of the Ray cluster does not answer: {error}") from error
        finally:
            probe.unlink(missing_ok=True)


class _RayTask:
    def __init__(self, ray: Any, reference: Any):
        self._ray, self._reference = ray, reference

    def ended(self) -> tuple[int, str] | None:
        ready, _ = self._ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            code, errors = self._ray.get(self._reference)
        except self._ray.exceptions.TaskCancelledError:
            return 128 + signal.SIGTERM, ""
        except self._ray.exceptions.RayError as error:  # the worker or its machine was lost
            return 1, str(error)
        return code, errors

    def stop(self) -> None:
        self._ray.cancel(self._reference)  # interrupts `run`, which lets the command save


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ModuleNotFoundError as error:
        raise UserError(
            f"--engine ray needs the package 'ray', which is not installed. Install it with "
            f"`{pip_install(chr(34) + 'ray[default]==2.60.*' + chr(34))}`."
        ) from error
    if tuple(map(int, ray.__version__.split(".")[:2])) < OLDEST:
        raise UserError(
            f"Ray {ray.__version__} leaves the children of a killed worker running. Install "
            f"{'.'.join(map(str, OLDEST))} or newer."
        )
    return ray
