"""How this program was started, for messages whose commands work when they are copied."""

import importlib.util
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from utils.errors import UserError
from utils.files import reason
from utils.mongo_url import redact

COMMANDS = "commands.txt"  # file in a run's folder, a line for each start of its training
SOURCE = Path(__file__).resolve().parents[1]
MAIN = SOURCE / "main.py"
PACKAGE, DISTRIBUTION = "action_graph_policies", "action-graph-policies"
IS_INSTALLED = SOURCE.name == PACKAGE  # among Python's packages; else in a checkout
REPOSITORY = SOURCE.parent  # of a checkout
ALL_PACKAGES = DISTRIBUTION if IS_INSTALLED else "-r requirements.txt"  # what `pip install` takes
REQUIRED = ("numpy", "rich", "sacred", "torch", "yaml")  # modules that no command can do without


def near(path: Path) -> Path:
    """`path` relative to the current folder if it lies below it, else absolute."""
    path, here = path.absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def python_command(interpreter: str | None = None) -> str:
    """`python`, as the shell that started this process has to write it.

    Args:
        interpreter: its file; None: the one that runs now.
    """
    interpreter = interpreter or sys.executable
    found = shutil.which("python")
    if found is not None and os.path.abspath(found) == os.path.abspath(interpreter):
        return "python"
    return shlex.quote(str(near(Path(interpreter))))


def main_command(interpreter: str | None = None) -> str:
    """`python src/main.py` or `agp`, as the shell that started this process has to write it."""
    if not IS_INSTALLED:
        return f"{python_command(interpreter)} {shlex.quote(str(near(MAIN)))}"
    found = shutil.which("agp")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "agp"
    return f"{python_command()} -m {PACKAGE}.main"


def as_typed(text: str) -> str:
    """A text whose commands are those of the installed package if this is it.

    `python src/main.py` becomes `agp`, `python src/suite.py` becomes `agp-suite`.
    """
    if not IS_INSTALLED:
        return text
    return re.sub(r"python src/(\w+)\.py", r"agp-\1", text).replace("agp-main", "agp")


def record_command(run_dir: Path, words: list[str]) -> None:
    """Add the command that trains a run to its folder, ready to be copied, without passwords.

    Args:
        run_dir: the run's folder.
        words: arguments of `src/main.py`.

    Raises:
        UserError: if the file cannot be written.
    """
    command = f"{as_typed('python src/main.py')} {shlex.join(map(redact, words))}".rstrip()
    path = run_dir / COMMANDS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{command}\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({reason(error)}). Free space or make the folder writable, "
            f"then start the run again. If it has a checkpoint, add `with resume={run_dir}`."
        ) from error


def recorded_commands(run_dir: Path) -> str:
    """The commands that trained a run, the oldest first; empty if none was recorded.

    Raises:
        UserError: if the file cannot be read.
    """
    path = run_dir / COMMANDS
    try:
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({reason(error)}).") from error


def pip_install(packages: str) -> str:
    """The command that installs packages for the interpreter that runs now."""
    return f"{python_command()} -m pip install {packages}"


def require_packages() -> None:
    """Check that the interpreter has the packages of `requirements.txt`, without importing any.

    Raises:
        UserError: if one is missing; the message names an interpreter that has them.
    """
    missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    verb = "is" if len(missing) == 1 else "are"
    text = f"{', '.join(missing)} {verb} not installed for {sys.executable}."
    if IS_INSTALLED:
        raise UserError(f"{text} Install what is missing by `{pip_install(ALL_PACKAGES)}`.")
    folder = "Scripts" if os.name == "nt" else "bin"
    python = REPOSITORY / ".venv" / folder / "python"
    if python.exists() and python != Path(sys.executable):
        activate = near(python.with_name("activate"))
        raise UserError(
            f"{text} The environment {near(REPOSITORY / '.venv')} is there for this. Write\n"
            f"  {main_command(str(python))} ...\n"
            f"or, once in each shell, `source {activate}`."
        )
    raise UserError(
        f"{text} Run `make setup` and then `source .venv/bin/activate` in {REPOSITORY}, or install "
        f"them by `{pip_install(ALL_PACKAGES)}`."
    )
