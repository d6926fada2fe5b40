"""`resume=auto`: one command that resumes a run until it is finished."""

import json
import shutil
from pathlib import Path

import pytest
from tests.helpers.runs import TINY, differences, final_state, rows, snapshot

from main import main
from records.checkpoint import LATEST, PREVIOUS, load_checkpoint, save_checkpoint
from records.run_dir import locked, sacred_records

# Four checkpoints, and a little left to do after each.
AUTO = ["--config=vdn", "--env-config=topk", "with", *TINY, "seed=3", "checkpoint_interval=16"]
AUTO += ["keep_numbered_checkpoints=True", "resume=auto"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder with one run in it, trained to its end."""
    results = tmp_path_factory.mktemp("finished")
    assert main([*AUTO, f"results_dir={results}"]) == 0
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "results")


def run_dir(results: Path, number: int = 1) -> Path:
    return results / "topk" / "vdn" / f"vdn_seed3_{number}"


def names(results: Path) -> list[str]:
    return sorted(path.name for path in (results / "topk" / "vdn").iterdir())


def auto(results: Path, *settings: str) -> int:
    return main([*AUTO, f"results_dir={results}", *settings])


def stop_early(run: Path) -> Path:
    """As if the run had been killed before its last checkpoint; returns the latest then."""
    latest, previous = run / "checkpoints" / LATEST, run / "checkpoints" / PREVIOUS
    previous.replace(latest)
    assert load_checkpoint(latest)["counters"]["env_steps"] == 48
    return latest


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def test_a_new_run_begins_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auto(tmp_path, "t_max=8") == 0
    assert "There is no run of this configuration to resume" in capsys.readouterr().out
    assert names(tmp_path) == ["vdn_seed3_1"]
    assert "resume: ''" in (run_dir(tmp_path) / "config.yaml").read_text()


def test_a_finished_run_is_not_repeated(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(results)
    assert auto(results) == 0
    said = capsys.readouterr().out
    assert said == (
        "Finished already, after 64 environment steps (t_max=64). "
        f"Everything is in {run_dir(results)}\n"
    )
    assert snapshot(results) == before


def test_a_run_killed_after_its_last_checkpoint_is_closed(results: Path, finished: Path) -> None:
    record = run_dir(results) / "sacred" / "1"
    (record / "run.json").write_text(json.dumps({"status": "RUNNING"}))
    (record / ".run.json.7.7.tmp").touch()
    assert auto(results) == 0
    assert [path.name for path in sacred_records(run_dir(results))] == ["1", "2"]
    assert json.loads((record.parent / "2" / "run.json").read_text())["status"] == "COMPLETED"
    assert not (record / ".run.json.7.7.tmp").exists()
    assert rows(run_dir(results)) == rows(run_dir(finished))
    assert differences(final_state(run_dir(results)), final_state(run_dir(finished))) == []


def test_a_stopped_run_is_resumed(
    results: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = stop_early(run_dir(results))
    rest = run_dir(results) / "checkpoints" / ".latest.pt.7.7.tmp"
    rest.touch()
    assert auto(results) == 0
    assert f"Resumed from {latest}, after 48 environment steps." in capsys.readouterr().out
    assert names(results) == ["vdn_seed3_1"]
    assert not rest.exists()
    assert rows(run_dir(results)) == rows(run_dir(finished))
    assert differences(final_state(run_dir(results)), final_state(run_dir(finished))) == []


def test_damaged_checkpoints_are_passed_over(
    results: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = run_dir(results) / "checkpoints" / LATEST
    damage(latest)
    assert auto(results) == 0
    said, warned = capsys.readouterr()
    assert f"warning: The checkpoint {latest} is damaged" in warned
    assert f"Resumed from {latest.with_name(PREVIOUS)}, after 48" in said
    assert rows(run_dir(results)) == rows(run_dir(finished))


def test_of_the_numbered_checkpoints_the_last_one_is_next(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (LATEST, PREVIOUS, "000000000064.pt"):
        damage(run_dir(results) / "checkpoints" / name)
    assert auto(results) == 0
    said, warned = capsys.readouterr()
    assert warned.count("is damaged") == 3
    assert "000000000048.pt, after 48 environment steps" in said
    assert "holds no episodes: the buffer begins empty" in said


def test_a_new_run_begins_where_no_checkpoint_can_be_read(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run_dir(results) / "checkpoints").iterdir():
        damage(path)
    assert auto(results) == 0
    assert "no checkpoint that can be read" in capsys.readouterr().err
    assert names(results) == ["vdn_seed3_1", "vdn_seed3_2"]


def test_the_newest_run_is_resumed_and_empty_folders_do_not_matter(results: Path) -> None:
    shutil.copytree(run_dir(results), run_dir(results, 10))
    stop_early(run_dir(results))
    stop_early(run_dir(results, 10))
    run_dir(results, 11).mkdir()  # a process died before it began
    (results / "topk" / "vdn" / "vdn_seed3_x").mkdir()
    before = snapshot(run_dir(results))
    assert auto(results) == 0
    assert snapshot(run_dir(results)) == before
    state = load_checkpoint(run_dir(results, 10) / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == 64


OTHER = {
    "lr=0.01": "lr=0.01",
    "t_max=128": "t_max=128",
    "mixer=qmix": "mixer=qmix",
    "env_args.k=1": "env_args.k=1",
    "test_interval=16": "test_interval=16",
}


@pytest.mark.parametrize("setting", OTHER)
def test_another_configuration_is_another_run(
    setting: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_early(run_dir(results))
    before = snapshot(run_dir(results))
    assert auto(results, setting, "t_max=16" if setting != "t_max=128" else setting) == 0
    warned = capsys.readouterr().err
    assert f"{run_dir(results)} is skipped: here " in warned
    assert OTHER[setting] in warned
    assert snapshot(run_dir(results)) == before
    assert names(results) == ["vdn_seed3_1", "vdn_seed3_2"]


def test_how_a_run_is_recorded_does_not_matter(results: Path) -> None:
    stop_early(run_dir(results))
    assert auto(results, "checkpoint_interval=8", "checkpoint_replay=False") == 0
    assert names(results) == ["vdn_seed3_1"]
    assert "checkpoint_interval: 8\n" in (run_dir(results) / "config.yaml").read_text()


@pytest.mark.parametrize("setting", ["seed=4", "name=trial"])
def test_another_seed_or_name_is_another_run(setting: str, results: Path) -> None:
    stop_early(run_dir(results))
    before = snapshot(run_dir(results))
    assert auto(results, setting, "t_max=8") == 0
    assert snapshot(run_dir(results)) == before
    assert len(names(results)) == 2


def test_a_record_of_older_code_is_passed_over(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run_dir(results) / "config.yaml"
    file.write_text("\n".join(x for x in file.read_text().split("\n") if "gamma" not in x))
    assert auto(results) == 0
    assert "gamma: not recorded" in capsys.readouterr().err
    assert names(results) == ["vdn_seed3_1", "vdn_seed3_2"]


@pytest.mark.parametrize("explicit", [False, True])
def test_a_run_that_is_being_trained_is_left_alone(
    explicit: bool, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_early(run_dir(results))
    before = snapshot(results)
    with locked(run_dir(results)):
        code = main(["with", f"resume={run_dir(results)}"]) if explicit else auto(results)
    assert code == 75
    assert "is being trained right now, by process" in capsys.readouterr().err
    assert snapshot(results) == before


def test_the_command_line_may_name_the_seed_and_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--print-config", *AUTO]) == 0
    assert "resume: auto\n" in capsys.readouterr().out


def test_checkpoints_without_replay_are_announced_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert auto(tmp_path, "checkpoint_replay=False") == 0
    assert "Checkpoints, without replay: up to 0." in capsys.readouterr().out
    stop_early(run_dir(tmp_path))
    assert auto(tmp_path, "checkpoint_replay=False") == 0
    assert "holds no episodes: the buffer begins empty" in capsys.readouterr().out


def test_a_checkpoint_of_other_code_is_a_clear_error(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = stop_early(run_dir(results))
    state = load_checkpoint(latest)
    state["counters"]["of_tomorrow"] = 1
    save_checkpoint(latest, state)
    assert auto(results) == 2
    assert "belongs to another architecture" in capsys.readouterr().err


def test_of_many_runs_of_other_settings_the_newest_are_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2, 7):
        shutil.copytree(run_dir(results), run_dir(results, number))
    assert auto(results, "lr=0.03", "t_max=8") == 0
    warned = capsys.readouterr().err
    assert [number for number in range(1, 7) if f"seed3_{number} is skipped" in warned] == [4, 5, 6]
    assert warned.count("Older runs of other settings are skipped, too.") == 1
