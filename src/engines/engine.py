"""Engines: they start commands, here or on other machines, and report how they ended.

An engine runs every command through `engines.process`: a plain argv in, an exit code out. It knows
nothing of suites and runs; which code means what is decided in `suites.exit_codes`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from utils.errors import UserError

ENGINES = ("local", "ray", "slurm")


class Task(Protocol):
    """A command that was handed to an engine."""

    def ended(self) -> tuple[int, str] | None:
        """The exit code and what went to standard error; None while it waits or runs."""

    def stop(self) -> None:
        """Ask the command to save and end; one that waits never starts."""


class Engine(Protocol):
    """Starts commands."""

    def start(self, argv: list[str]) -> Task:
        """Hand over a command; it runs as soon as there is room."""

    def close(self) -> None:
        """Give back what the engine holds; every task has ended."""


@dataclass(frozen=True)
class Options:
    """The options of an engine on the command line.

    Attributes:
        cpus: processor cores of one run.
        gpus: GPUs of one run, which may be a part of one on Ray.
        retries: how often a command is started again after a failure.
        address: of a Ray cluster; None: start one here.
        minutes: time limit of one SLURM job.
        slurm: further options of `sbatch`.
    """

    cpus: int = 1
    gpus: float = 0
    retries: int = 2
    address: str | None = None
    minutes: int = 1440
    slurm: tuple[str, ...] = ()


class OnDemand:
    """An engine that is opened when its first command is started, and closed if it was.

    Args:
        opened: opens the engine.
    """

    def __init__(self, opened: Callable[[], Engine]):
        self._open = opened
        self._engine: Engine | None = None

    def start(self, argv: list[str]) -> Task:
        """Hand over a command."""
        if self._engine is None:
            self._engine = self._open()
        return self._engine.start(argv)

    def close(self) -> None:
        """Give back what the engine holds."""
        if self._engine is not None:
            self._engine.close()


def open_engine(name: str, options: Options, folders: list[Path]) -> Engine:
    """The engine of a name.

    Args:
        name: one of `ENGINES`.
        options: what the command line says of it.
        folders: results folders, which every machine must see.

    Raises:
        UserError: if its package is missing, or it cannot start.
    """
    if name == "local":
        from engines.local import Local

        return Local()
    if name == "ray":
        from engines.on_ray import OnRay

        return OnRay(options, folders)
    from engines.slurm import Slurm

    return Slurm(options, folders)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that choose an engine and what a run gets there."""
    add = parser.add_argument
    add("--engine", choices=ENGINES, default="local", help="where the runs are (default: local)")
    add("--parallel", type=int, help="runs at the same time (default: local 1, else no limit)")
    add("--retries", type=int, default=2, help="new tries after a failure (default: 2)")
    add("--cpus", type=int, help="cores of one run, with ray and slurm (default: 1)")
    add("--gpus", type=float, help="GPUs of one run, with ray and slurm (default: 0)")
    add("--address", help="of a Ray cluster, such as auto (default: a Ray of this machine)")
    add("--minutes", type=int, help="time limit of a SLURM job (default: 1440)")
    add("--slurm", action="append", metavar="KEY=VALUE", help="an option of sbatch; repeatable")


FLAGS_OF = {
    "cpus": ("ray", "slurm"),
    "gpus": ("ray", "slurm"),
    "address": ("ray",),
    "minutes": ("slurm",),
    "slurm": ("slurm",),
}


def read_options(given: argparse.Namespace) -> Options:
    """The options in parsed flags.

    Raises:
        UserError: if a flag has no meaning for the engine, or is out of range.
    """
    values = {flag: getattr(given, flag) for flag in FLAGS_OF if getattr(given, flag) is not None}
    for flag, value in values.items():
        if given.engine not in FLAGS_OF[flag]:
            engines = " or ".join(f"--engine {engine}" for engine in FLAGS_OF[flag])
            raise UserError(
                f"--{flag} {value} has no meaning with --engine {given.engine}. Leave it out, or "
                f"choose {engines}."
            )
    least = {"parallel": 1, "retries": 0, "cpus": 1, "gpus": 0, "minutes": 1}
    for flag, bound in least.items():
        value = getattr(given, flag)
        if value is not None and value < bound:
            raise UserError(f"--{flag} {value}: write {bound} or more.")
    for text in given.slurm or ():
        if not all(text.partition("=")):
            raise UserError(f"--slurm '{text}': write KEY=VALUE, such as --slurm partition=gpu.")
    if "slurm" in values:
        values["slurm"] = tuple(values["slurm"])
    return Options(retries=given.retries, **values)
