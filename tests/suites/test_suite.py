"""Suites: what is run, what is not run again, and how a suite ends."""

import os
import signal
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from tests.helpers.runs import TINY

import suite
from analysis.archive import write_archive
from analysis.results import find_runs
from config.suite_file import Job, Suite, read_suite
from engines.local import Local
from engines.process import Process
from main import main as train
from records.run_dir import locked
from suites import schedule
from suites.jobs import Step, command_of, next_step
from suites.progress import read_progress
from suites.reports import report_folder
from suites.schedule import Schedule
from suites.table import table
from utils.interruption import Interrupted, StopSignals

SMALL = dict(setting.split("=") for setting in TINY)


def read(folder: Path, *blocks: dict, settings: tuple[str, ...] = (), **rest: object) -> Suite:
    """A suite on swap whose results stand in `folder`."""
    runs = [
        {
            "algs": ["vdn"],
            "envs": ["swap"],
            "seeds": [3],
            **block,
            "with": SMALL | block.get("with", {}),
        }
        for block in blocks or ({},)
    ]
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"runs": runs, **rest}))
    return read_suite(str(path), [f"results_dir={folder}/results", *settings])


def step(job: Job) -> str:
    return next_step(job)[0].what


def here(job: Job) -> None:
    """Take a job's next step in this process."""
    assert train(command_of(job, *next_step(job))[2:]) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Suite]:
    """A suite of one run, trained."""
    folder = tmp_path_factory.mktemp("suite")
    found = read(folder)
    assert step(found.jobs[0]) == "train"
    here(found.jobs[0])
    return folder, found


def test_a_finished_run_is_not_repeated(trained: tuple[Path, Suite]) -> None:
    folder, found = trained
    run_dir = folder / "results/swap/vdn/vdn_seed3_1"
    assert next_step(found.jobs[0]) == (Step("finished"), run_dir)


@pytest.mark.parametrize("setting", ["lr=0.01", "t_max=32", "gamma=0.5", "seed", "name=other"])
def test_another_configuration_is_another_run(setting: str, trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    seed = setting == "seed"
    (job,) = read(folder, {"seeds": [4 if seed else 3]}, settings=() if seed else (setting,)).jobs
    assert step(job) == "train"


def test_blocks_that_differ_are_runs_of_their_own(trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    jobs = read(folder, {}, {"with": {"lr": 0.1}}, {"with": {"lr": 0.2}}).jobs
    assert [step(job) for job in jobs] == ["finished", "train", "train"]


def test_how_a_run_is_recorded_does_not_matter(trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    (job,) = read(folder, settings=("checkpoint_interval=7", "use_tensorboard=False")).jobs
    assert step(job) == "finished"


def test_a_block_added_later_repeats_nothing(trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    lr = read(folder).jobs[0].config.lr
    renamed = read(folder, {"with": {"lr": lr}}, {"with": {"lr": 0.1}}).jobs[0]
    assert renamed.config.name == f"lr={lr}"
    assert step(renamed) == "finished"


def test_a_run_goes_on_under_the_name_it_has(trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    lr = read(folder).jobs[0].config.lr
    found = read(folder, {"with": {"lr": lr}}, {"with": {"lr": 0.1}})
    run_dir = folder / "results/swap/vdn/vdn_seed3_1"
    assert "name=''" in command_of(found.jobs[0], Step("train"), run_dir)


def test_a_finished_run_is_evaluated_once_under_the_same_settings(
    trained: tuple[Path, Suite],
) -> None:
    folder, _ = trained

    def job(**evaluations: object) -> Job:
        return read(folder, **evaluations).jobs[0]

    def step_under(settings: dict[str, object]) -> str:
        return step(job(evaluate=settings))

    once = job(evaluate={"test_nepisode": 16})
    assert step(once) == "evaluate"
    here(once)
    assert step(once) == "finished"
    assert step_under({"test_nepisode": 17}) == "evaluate"
    assert step_under({"test_nepisode": 16, "gamma": 0.5}) == "evaluate"
    assert step_under({}) == "evaluate"  # as many episodes as the run's own tests

    also = [{"envs": ["swap"], "with": {"gamma": 0.5}}]
    twice = job(evaluate={"test_nepisode": 16}, also_evaluate=also)
    assert next_step(twice)[0].evaluation == ("test_nepisode=16", "gamma=0.5")
    here(twice)
    assert step(twice) == "finished"


def test_a_run_unpacked_from_an_archive_is_finished(trained: tuple[Path, Suite]) -> None:
    folder, _ = trained
    write_archive(folder / "runs.tar.xz", find_runs(folder / "results")[0])
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    with tarfile.open(folder / "runs.tar.xz") as archive:
        archive.extractall(elsewhere / "results", filter="data")
    assert step(read(elsewhere).jobs[0]) == "finished"


def test_a_damaged_run_is_trained_again(trained: tuple[Path, Suite]) -> None:
    folder, found = trained
    config = folder / "results/swap/vdn/vdn_seed3_1/config.yaml"
    text = config.read_text()
    config.write_text("lr: [")
    assert step(found.jobs[0]) == "train"
    config.write_text(text)


def take(found: Suite, signals: StopSignals, retries: int = 0) -> int:
    """Run a suite, one process at a time."""
    return Schedule(found.jobs, Local(), 1, retries, signals).run()


class FakeChildren:
    """Replaces the commands of a suite; no run is trained."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *programs: str):
        self.programs = list(programs)
        self.started: list[str] = []
        self.done: set[str] = set()
        monkeypatch.setattr(schedule, "command_of", self.command_of)
        monkeypatch.setattr(schedule, "next_step", self.next_step)

    def command_of(self, job: Job, step: Step, run_dir: Path | None) -> list[str]:
        self.started.append(job.title)
        return [sys.executable, "-c", self.programs[len(self.started) - 1]]

    def next_step(self, job: Job) -> tuple[Step, Path | None]:
        is_done = job.title in self.done
        return (Step("finished"), Path("run")) if is_done else (Step("train"), None)


def test_a_failed_run_says_why_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeChildren(monkeypatch, "import sys; sys.exit('error: no memory')")
    found = read(tmp_path, {"seeds": [1, 2]})
    fake.done.add(found.jobs[1].title)
    with StopSignals() as signals:
        assert take(found, signals) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("FAILED vdn swap seed=1")
    assert said[1] == "error: no memory"
    assert said[2].startswith("had    vdn swap seed=2")


def test_a_step_without_a_result_is_no_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeChildren(monkeypatch, "")
    with StopSignals() as signals:
        assert take(read(tmp_path), signals) == 1
    assert "left no result of this step" in capsys.readouterr().out


# Asks its parent to stop, and ends well only if it is then asked to save by SIGTERM.
SAVES = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getppid(), signal.SIGINT)
signal.sigwait({signal.SIGTERM})
sys.exit(143)
"""


@pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="signals of POSIX")
def test_a_stopped_suite_lets_its_runs_save_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake = FakeChildren(monkeypatch, SAVES)
    monkeypatch.setattr(sys, "argv", ["src/suite.py", "mine.yaml"])
    found = read(tmp_path, {"seeds": [1, 2, 3]})
    with StopSignals() as signals, pytest.raises(Interrupted) as stop:
        take(found, signals)
    assert fake.started == [found.jobs[0].title]
    assert stop.value.exit_code == 130
    assert str(stop.value) == (
        "Stopped by SIGINT: 0 of 3 runs are complete. Those under way are saved. Continue with\n"
        "  python src/suite.py mine.yaml"
    )
    assert "FAILED" not in capfd.readouterr().out


def test_the_command_line_lists_and_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["swap", "--parallel", "2", "--dry-run", "with", f"results_dir={tmp_path}", "lr=0.1"]
    assert suite.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    assert [line.split()[:2] for line in lines] == [[str(i), "train"] for i in range(1, 25)]
    assert all(line.endswith("lr=0.1") for line in lines)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nope"], "there is no suites/nope.yaml"),
        (["swap", "with", "lr"], "'lr' is not of the form key=value"),
        (["swap", "lr=0.1"], "Settings come after `with`"),
        (["swap", "--parallel", "0"], "--parallel 0: write 1 or more."),
        (["swap", "--index", "25"], "--index 25: the suite has runs 1 to 24"),
        (["swap", "--index", "0"], "--index 0: the suite has runs 1 to 24"),
        (["swap", "--only", "iql", "--only", "tag"], "--only tag: the suite has no such method"),
        (["swap", "--index", "1", "--only", "vdn"], "--only vdn: the suite has no such method"),
        (["swap", "--cpus", "2"], "--cpus 2 has no meaning with --engine local"),
        (["swap", "--engine", "ray", "--minutes", "5"], "choose --engine slurm"),
        (["swap", "--engine", "slurm", "--slurm", "gpu"], "--slurm 'gpu': write KEY=VALUE"),
        (["swap", "with", "seed=3"], "command line: seed: write the seeds of a block"),
        (["no/suite.yaml"], "there is no file 'no/suite.yaml'"),
    ],
)
def test_mistakes_are_told_in_words(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err


def test_children_compute_on_one_thread_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    program = "import os, sys; sys.exit(os.environ['OMP_NUM_THREADS'])"
    assert Process([sys.executable, "-c", program], str(tmp_path)).wait() == (1, "1")
    assert "OMP_NUM_THREADS" not in os.environ


def test_one_run_by_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["swap", "--index", "5", "--dry-run", "with", f"results_dir={tmp_path}"]
    assert suite.main(given) == 0
    said = f"   5 train     agent_graph swap seed=2 results_dir={tmp_path}\n"
    assert capsys.readouterr().out == said


def test_runs_of_some_methods_and_environments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--only", "mpe_tag", "--only", "agp", "--only", "iql"]
    given = ["paper", "--budget", "small", *only, "--dry-run", "with", f"results_dir={tmp_path}"]
    assert suite.main(given) == 0
    *runs, total, report, _ = capsys.readouterr().out.splitlines()
    # AGP with memory and without
    assert [line.split()[2:5] for line in runs] == [
        [alg, "mpe_tag", f"seed={seed}"] for alg in ("iql", "agp", "agp") for seed in (1, 2, 3)
    ]
    assert total.startswith("runs   9, ")
    assert report.startswith(f"report {tmp_path}/paper_small_mpe_tag_agp_iql_report: ")
    assert report_folder(tmp_path, "paper", None, ["agp"] * 99).name == "paper_part_report"


def test_what_follows_from_each_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schedule, "LOCKED_SECONDS", 0.0)
    programs = [f"import sys; sys.exit({code})" for code in (75, 143, 130, 3, 2)]
    fake = FakeChildren(monkeypatch, *programs)
    with StopSignals() as signals:
        assert take(read(tmp_path), signals, retries=1) == 1
    assert len(fake.started) == 5
    words = [line[:6].strip() for line in capsys.readouterr().out.splitlines() if line]
    assert words == ["locked", "again", "again", "again", "FAILED"]


def test_failures_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeChildren(monkeypatch, *["import sys; sys.exit(1)"] * 3)
    with StopSignals() as signals:
        assert take(read(tmp_path), signals, retries=2) == 1
    assert len(fake.started) == 3


def test_a_run_under_a_lock_has_a_code_of_its_own(trained: tuple[Path, Suite]) -> None:
    folder, found = trained
    run_dir = folder / "results/swap/vdn/vdn_seed3_1"
    with locked(run_dir):
        assert train(command_of(found.jobs[0], Step("train"), run_dir)[2:]) == 75


def test_how_far_a_run_has_come(trained: tuple[Path, Suite]) -> None:
    run_dir = trained[0] / "results/swap/vdn/vdn_seed3_1"
    found = read_progress(run_dir)
    assert found is not None
    assert found.env_steps == 64
    assert found.last_test.startswith("test_success_mean ")
    assert found.left(64) == "0:00:00"
    assert read_progress(run_dir, since=os.stat(run_dir / "metrics.csv").st_mtime + 9) is None
    assert read_progress(run_dir / "nothing") is None


def test_the_table_shows_what_runs_first() -> None:
    rows = [(state, f"run {state}", "-", "-", "-") for state in ("done", "queued", "running")]
    drawn = table(rows, 2)
    assert drawn.title == "1 running, 1 queued, 1 done"
    assert [str(cell) for cell in drawn.columns[1].cells] == ["run running", "run queued"]
