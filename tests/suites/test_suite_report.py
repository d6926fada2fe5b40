"""The report of a suite: which commands make it, and a whole one in its smallest form."""

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml
from tests.helpers.runs import OF_REPLAY, TINY

import attention
import report
import suite
from config.load import load_config
from config.suite_file import Job, Suite, read_suite
from config.suite_report import Report
from main import main as train
from suites import reports
from suites.jobs import Step, command_of
from suites.reports import Command, commands, contents, make_report, report_folder

# Steps of one game and of one particle task; `t_max` and the seeds are the budget's.
SHORT = dict(s.split("=") for s in TINY if s.split("=")[0] not in ("t_max", *OF_REPLAY))
BANNER = "Very short runs."


def write(folder: Path, name: str, **data: object) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def whole(folder: Path) -> str:
    """A suite of the form of `paper`: a file of games, one of particle tasks, one for both."""
    budgets = {"tiny": {"with": {"t_max": 32}, "seeds": [1], "banner": BANNER}, "full": None}
    games = write(
        folder,
        "games",
        runs=[{"algs": ["agp", "iql"], "envs": ["topk"], "seeds": [1, 2], "with": SHORT}],
        budgets=budgets,
        report={
            "paper_figures": [2, 3],
            "attention": {"algs": ["agp"], "envs": ["topk"]},
            "groups": True,
            "differences": {"graph": ["agp", "iql"]},
        },
    )
    particles = write(
        folder,
        "particles",
        runs=[
            {
                "algs": ["iql"],
                "envs": ["mpe_speaker_listener"],
                "seeds": [1],
                "with": {**SHORT, "hidden_dim": 8, "test_interval": 25},
            }
        ],
        budgets=budgets,
        report={"paper_figures": [4], "format": "png"},
    )
    both = {"include": [games, particles], "report": {"page": True, "figures": ["dots"]}}
    return write(folder, "whole", **both)


def read(folder: Path) -> Suite:
    return read_suite(whole(folder), [f"results_dir={folder}/results"], "tiny")


def in_this_process(command: Command) -> bool:
    """What a report's command does, without a separate process, which would take seconds."""
    program = {"report": report.main, "attention": attention.main}[command.program]
    with redirect_stdout(io.StringIO()) as printed:
        code = program(command.words)
    if command.output is not None:
        command.output.write_text(printed.getvalue())
    for source, target in command.copies:
        shutil.copyfile(source, target)
    return code == 0


def test_one_command_makes_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read(tmp_path)
    monkeypatch.setattr(reports, "_run", in_this_process)
    for job in found.jobs:
        assert train(command_of(job, Step("train"), None)[2:]) == 0
    capsys.readouterr()
    given = [str(tmp_path / "whole.yaml"), "--budget", "tiny", "with"]
    assert suite.main([*given, f"results_dir={tmp_path}/results"]) == 0
    folder = tmp_path / "results/whole_tiny_report"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["had", "had", "had", "report"]
    for name in (*contents(found.report or Report()), "commands.txt", "runs.txt"):
        written = folder / name
        if name == "dots.png":  # one for each task
            written = folder / "dots-topk.png"
        assert written.stat().st_size > 100, name
    said = (folder / "tables.md").read_text()
    assert said.startswith(f"**{BANNER}**\n\n## mpe_speaker_listener\n")
    own, shared = said.partition("## topk")[2].split("### Methods that share observations")
    assert "### Methods that act on their own history" in own
    assert "| iql | 1 |" in own
    assert "| agp | 1 |" in shared
    assert "## Differences\n\n| difference | " in said
    assert "\n| graph: " in said
    page = (folder / "page/index.html").read_text()
    assert f'<p class="banner">{BANNER}</p>' in page
    assert "Attention" in page


def job(alg: str, env: str) -> Job:
    return Job(alg, env, (), load_config(alg, env, []), False)


def test_the_commands_of_a_report_can_be_typed(tmp_path: Path) -> None:
    asked = Report(("curves",), ("2",), (("agp", "topk"), ("agp", "swap")), page=True, groups=True)
    runs = [(job("iql", "topk"), Path("r/1")), (job("agp", "topk"), Path("r/2"))]
    texts = [command.text for command in commands(asked, "It's short", runs, Path("out"))]
    banner = """--banner 'It'"'"'s short'"""
    assert texts == [
        f"python src/attention.py r/2 --format svg {banner}",
        f"python src/report.py @out/runs.txt {banner} --groups --figure out/curves.svg --html "
        f"out/page > out/tables.md",
        f"python src/report.py @out/runs.txt {banner} --paper-figure 2 --figure out/figure2.svg",
    ]
    assert contents(asked)[-2] == "attention_swap_agp.svg"


def test_what_has_no_run_is_left_out_of_a_report() -> None:
    differences = (("graph", "agp", "iql"), ("memory", "agp", "agp (no_memory)"))
    asked = Report((), ("2", "4"), (("agp", "topk"),), differences)
    iql, agp = (job("iql", "topk"), Path("r/1")), (job("agp", "topk"), Path("r/2"))

    def programs(*runs: tuple[Job, Path]) -> list[str]:
        made = commands(asked, "", list(runs), Path("out"))
        return [" ".join([command.program, *command.words]) for command in made]

    figure = "report @out/runs.txt --paper-figure 2 --figure out/figure2.svg"
    assert programs(iql) == ["report @out/runs.txt", figure]
    assert programs(iql, agp) == [
        "attention r/2 --format svg",
        "report @out/runs.txt --difference graph=agp - iql",
        figure,
    ]


def test_a_command_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def fails(command: Command) -> bool:
        asked.append(command.program)
        return command.program == "report"

    monkeypatch.setattr(reports, "_run", fails)
    wanted = Report(attention=(("agp", "topk"),))
    assert make_report(wanted, "", [(job("agp", "topk"), Path("r/2"))], tmp_path / "out") == 1
    assert asked == ["attention", "report"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["FAILED python src/attention.py r/2 --format svg", f"report {tmp_path}/out"]


def test_a_command_keeps_what_it_prints(tmp_path: Path) -> None:
    """Its own process, its output in a file, and no copy of what a failed command did not draw."""
    said, missing = tmp_path / "said.txt", ((tmp_path / "a", tmp_path / "b"),)
    assert reports._run(Command("report", ["--help"], said))
    assert "--paper-figure" in said.read_text()
    assert not reports._run(Command("report", [str(tmp_path / "none")], copies=missing))


def test_a_folder_for_each_suite_and_budget() -> None:
    assert report_folder(Path("r"), "a/mine.yaml", "tiny") == Path("r/mine_tiny_report")
    assert report_folder(Path("r"), "paper", None) == Path("r/paper_report")


def test_a_dry_run_tells_what_the_report_will_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [whole(tmp_path), "--budget", "tiny", "--dry-run"]
    assert suite.main([*given, "with", f"results_dir={tmp_path}/results"]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == [
        "runs   3, together 96 environment steps",
        f"report {tmp_path}/results/whole_tiny_report: tables.md, dots.png, figure2.png, "
        f"figure3.png, figure4.png, attention_topk_agp.png, page/index.html",
        f"banner {BANNER}",
    ]


def test_the_list_of_suites_tells_their_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index(next(line for line in lines if line.startswith("paper_games ")))
    assert "Figure 2 of the paper" in lines[place]
    assert lines[place + 1].strip() == "--budget tiny, small, full"
    assert suite.main([]) == 2
    assert "Name a suite; `--list` shows what there is." in capsys.readouterr().err
