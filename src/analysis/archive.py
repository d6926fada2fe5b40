"""Archives of runs: what a report reads of them, in one small file that can be given to others.

An archive holds `config.yaml`, `changes.csv`, `metrics.csv` and `evaluations.csv` of each run, no
checkpoints.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from analysis.results import RunRecord
from utils.errors import UserError
from utils.files import reason

ENDING = ".tar.xz"
FILES = ("changes.csv", "metrics.csv", "evaluations.csv")  # copied as they are, where they exist
# In place of the paths that a run recorded, which others do not have
PATHS = {"results_dir": "results", "resume": ""}


def write_archive(path: Path, runs: Sequence[RunRecord]) -> None:
    """Write an archive of runs. Equal runs make equal archives.

    Args:
        path: of the file; its name ends in `ENDING`.
        runs: any runs; folders inside the archive are `<task>/<method>/<run>`.

    Raises:
        UserError: if the ending is another one, two runs have the same folder there, or the file
            cannot be written.
    """
    if not path.name.endswith(ENDING):
        raise UserError(f"--archive {path}: the name must end in {ENDING}.")
    folders: dict[Path, RunRecord] = {}
    for run in runs:
        folder = Path(run.task, str(run.config["alg_name"]), run.path.name)
        if folder in folders:
            raise UserError(
                f"--archive: {folders[folder].place} and {run.place} would both be {folder}. "
                f"Archive one results folder at a time."
            )
        folders[folder] = run
    try:
        with tarfile.open(path, "w:xz") as archive:
            for folder in sorted(folders):
                _add(archive, folder, folders[folder])
    except OSError as error:
        raise UserError(f"--archive {path} cannot be written ({reason(error)}).") from error


def _add(archive: tarfile.TarFile, folder: Path, run: RunRecord) -> None:
    config = yaml.safe_dump(run.config | PATHS, sort_keys=False)
    contents = {"config.yaml": config.encode()}
    contents |= {
        name: (run.path / name).read_bytes() for name in FILES if (run.path / name).is_file()
    }
    for name, data in contents.items():
        member = tarfile.TarInfo(str(folder / name))
        member.size, member.mode = len(data), 0o644
        archive.addfile(member, io.BytesIO(data))


@contextmanager
def unpacked(roots: Sequence[str]) -> Iterator[dict[str, str]]:
    """{folder: root}; the folder of an archive is a temporary one into which it is unpacked.

    Raises:
        UserError: if a file is no archive of runs.
    """
    with TemporaryDirectory() as temporary:
        folders = {}
        for number, root in enumerate(roots):
            if not Path(root).is_file():
                folders[root] = root
                continue
            folder = Path(temporary, str(number), Path(root).name.removesuffix(ENDING))
            try:
                with tarfile.open(root) as archive:
                    archive.extractall(folder, filter="data")
            except (OSError, tarfile.TarError, EOFError) as error:
                raise UserError(
                    f"{root} is no archive of runs ({reason(error)}). Give folders that hold runs, "
                    f"or a file that --archive has written."
                ) from error
            folders[str(folder)] = root
        yield folders


def placed(runs: Sequence[RunRecord], folders: Mapping[str, str]) -> list[RunRecord]:
    """The same runs, those of archives shown by the archive's name and their folder in it.

    Args:
        runs: found in these folders.
        folders: as `unpacked` gives them.
    """
    shown = []
    for run in runs:
        root = next(f for f in folders if run.path.is_relative_to(f))
        place = Path(folders[root], run.path.relative_to(root))
        shown.append(replace(run, place=str(place)))
    return shown
