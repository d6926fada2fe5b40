"""The report of a suite: commands of `report.py` and `attention.py` over its finished runs."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.attention import FOLDER
from analysis.paper_layouts import LAYOUTS
from analysis.results import method_label
from config.suite_file import Job
from config.suite_report import FORMATS, Report
from utils.errors import UserError
from utils.files import reason
from utils.invocation import COMMANDS, SOURCE, as_typed, near

RUNS, TABLES = "runs.txt", "tables.md"
LONGEST_PART = 100  # characters that names given by --only take in the folder's name
OPTIONS = {"curves": "figure"}  # figure: the option of report.py, where it has another name


@dataclass(frozen=True)
class Command:
    """One command of a report.

    Attributes:
        program: `report` or `attention`.
        words: its arguments.
        output: file for what it prints; None: it is dropped.
        copies: (from, to) of files to copy once it has ended well.
    """

    program: str
    words: list[str]
    output: Path | None = None
    copies: tuple[tuple[Path, Path], ...] = ()

    @property
    def text(self) -> str:
        """The command as it is typed."""
        output = f" > {shlex.quote(str(self.output))}" if self.output else ""
        return f"{as_typed(f'python src/{self.program}.py')} {shlex.join(self.words)}{output}"


def report_folder(root: Path, name: str, budget: str | None, only: Sequence[str] = ()) -> Path:
    """Where the report of a suite, or of some methods or environments of it, is, in the results."""
    part = "_".join(only)
    part = part if len(part) <= LONGEST_PART else "part"
    return root / "_".join(filter(None, (Path(name).stem, budget, part, "report")))


def contents(report: Report) -> list[str]:
    """What a report holds, in words."""
    form = report.format or FORMATS[0]
    return [
        TABLES,
        *(f"{name}.{form}" for name in report.figures),
        *(f"figure{number}.{form}" for number in report.paper_figures),
        *(_map_name(alg, env, form) for alg, env in report.attention),
        *["page/index.html"] * report.page,
    ]


def commands(
    report: Report, banner: str, runs: list[tuple[Job, Path]], folder: Path
) -> Iterable[Command]:
    """The commands that make a report; those that draw attention first, for the page shows it.

    What has no finished run is left out: maps, differences, figures of the paper.

    Args:
        report: what is asked for.
        banner: what every figure says of these runs; empty: nothing.
        runs: the finished runs, each with its folder.
        folder: where the report goes.
    """
    form = report.format or FORMATS[0]
    flags = ["--banner", banner] if banner else []
    for alg, env in report.attention:
        run = next((path for job, path in runs if (job.alg, job.env) == (alg, env)), None)
        if run is not None:
            drawn = run / FOLDER / f"attention.{form}"
            words = [str(near(run)), "--format", form, *flags]
            copy = (drawn, folder / _map_name(alg, env, form))
            yield Command("attention", words, copies=(copy,))
    where = [f"@{folder / RUNS}", *flags]
    words = [*where, *["--groups"] * report.groups]
    for name in report.figures:
        words += [f"--{OPTIONS.get(name, name)}", str(folder / f"{name}.{form}")]
    methods = {method_label(job.config.alg_name, job.config.name) for job, _ in runs}
    for name, *pair in report.differences:
        if all(row.partition(",")[0] in methods for row in pair):
            words += ["--difference", f"{name}={' - '.join(pair)}"]
    words += ["--html", str(folder / "page")] if report.page else []
    yield Command("report", words, folder / TABLES)
    tasks = {job.config.env_name for job, _ in runs}
    for number in report.paper_figures:
        if tasks.isdisjoint(task for task, _ in LAYOUTS[int(number)].panels):
            continue
        file = str(folder / f"figure{number}.{form}")
        yield Command("report", [*where, "--paper-figure", number, "--figure", file])


def make_report(report: Report, banner: str, runs: list[tuple[Job, Path]], folder: Path) -> int:
    """Make a report by running its commands, which are kept beside it.

    Args:
        report: what is asked for.
        banner: what every figure says of these runs; empty: nothing.
        runs: the finished runs, each with its folder.
        folder: where the report goes; made if it is missing.

    Returns:
        The exit code: 1 if a command failed.

    Raises:
        UserError: if the folder cannot be written.
    """
    made = list(commands(report, banner, runs, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / RUNS, [str(near(path)) for _, path in runs])
        _write(folder / COMMANDS, [command.text for command in made])
        failed = [command for command in made if not _run(command)]
    except OSError as error:
        raise UserError(f"The report {folder} cannot be written ({reason(error)}).") from error
    for command in failed:
        print(f"FAILED {command.text}", flush=True)
    print(f"report {folder}", flush=True)
    return 1 if failed else 0


def _run(command: Command) -> bool:
    """Whether a command ended well; its errors are shown as they come."""
    argv = [sys.executable, str(SOURCE / f"{command.program}.py"), *command.words]
    printed = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    if command.output is not None:
        command.output.write_bytes(printed.stdout)
    for source, target in command.copies if printed.returncode == 0 else ():
        shutil.copyfile(source, target)
    return printed.returncode == 0


def _map_name(alg: str, env: str, form: str) -> str:
    return f"attention_{Path(env).stem}_{Path(alg).stem}.{form}"


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
