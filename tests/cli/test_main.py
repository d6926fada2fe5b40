"""Whole commands through `main.main`: what good input does and what bad input gets."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.helpers.runs import TINY, rows, snapshot
from torch import nn

from envs.matrix_games.topk import TopK
from learners.q_learner import QLearner
from main import main
from records.checkpoint import LATEST, load_checkpoint
from records.mongodb.documents import read_record
from utils.registry import LEARNERS, MIXERS, Component, NoSettings

SRC = Path(__file__).resolve().parents[2] / "src"
FLAGS = ["--config=agp", "--env-config=topk"]


def train(results: Path, *settings: str, flags: list[str] = FLAGS) -> int:
    return main([*flags, "with", *TINY, f"results_dir={results}", *settings])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run; tests copy it or leave it as it is."""
    results = tmp_path_factory.mktemp("trained")
    assert train(results) == 0
    return results / "topk" / "agp" / "agp_seed1_1"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A run's folder that a test may change."""
    return shutil.copytree(trained, tmp_path / "results" / "run")


def fails_with(capsys: pytest.CaptureFixture[str], argv: list[str], *parts: str) -> str:
    """The message of a command that must fail; it holds all of `parts`."""
    capsys.readouterr()
    assert main(argv) == 2
    out, message = capsys.readouterr()
    assert "Traceback" not in out + message
    assert message.startswith("error: ")
    assert "\n\n" not in message.strip()
    for part in parts:
        assert part in message
    return message


# What good input does.


def test_without_git_a_run_is_recorded_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert train(tmp_path) == 0
    assert "git does not say which commit this is" in capsys.readouterr().err
    record = tmp_path / "topk" / "agp" / "agp_seed1_1" / "sacred" / "1" / "run.json"
    assert json.loads(record.read_text())["status"] == "COMPLETED"


def test_a_run_leaves_what_the_figures_need(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {"commands.txt", "config.yaml", "metrics.csv", "checkpoints", "sacred", "lock"}
    command = (trained / "commands.txt").read_text()
    assert command.startswith("python src/main.py --config=agp --env-config=topk with t_max=64 ")
    keys = {row["key"] for row in rows(trained)}
    assert keys >= {
        *("return_mean", "success_mean", "test_return_mean", "test_success_mean"),
        *("loss", "grad_norm", "epsilon", "lr"),
    }
    text = (trained / "metrics.csv").read_text()
    assert text.startswith("env_steps,episodes,updates,seconds,key,value\n")
    for phase in ("steps_per_s", "time_act", "time_env", "time_store", "time_train"):
        assert f",{phase}," in text


def test_sacred_records_exactly_what_ran(trained: Path) -> None:
    record = trained / "sacred" / "1"
    assert {"config.json", "run.json", "metrics.json"} <= {p.name for p in record.iterdir()}
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert json.loads((record / "config.json").read_text()) == config
    assert json.loads((record / "run.json").read_text())["status"] == "COMPLETED"
    metrics = json.loads((record / "metrics.json").read_text())
    written = [float(r["value"]) for r in rows(trained) if r["key"] == "test_return_mean"]
    assert metrics["test_return_mean"]["values"] == pytest.approx(written)


def test_two_runs_of_one_command_get_separate_folders(trained: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert train(tmp_path, "name=twin", "t_max=8") == 0
    folders = sorted(path.name for path in (tmp_path / "topk" / "agp").iterdir())
    assert folders == ["twin_seed1_1", "twin_seed1_2"]


@pytest.mark.parametrize("inside", ["", f"checkpoints/{LATEST}", "checkpoints/best.pt"])
def test_evaluate_needs_nothing_but_the_run(
    inside: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied)
    place = copied / inside
    argv = ["with", "evaluate=True", f"checkpoint_path={place}", "test_nepisode=50"]
    assert main(argv) == 0
    table = capsys.readouterr().out
    assert "agp on topk, 50 greedy episodes" in table
    for name in ("return_mean", "success_mean", "trained for", "environment steps", "checkpoint"):
        assert name in table
    after = snapshot(copied)
    recorded = after.pop("evaluations.csv")
    assert after == before
    assert recorded is not None
    assert f"{Path(inside).name or LATEST},".encode() in recorded
    assert b"test_success_mean" in recorded
    assert main(argv) == 0
    assert capsys.readouterr().out == table


def test_an_evaluation_can_write_every_episode(copied: Path) -> None:
    argv = ["with", "evaluate=True", f"checkpoint_path={copied}", "test_nepisode=50"]
    assert main(argv) == 0
    assert not (copied / "episodes.csv").exists()
    assert main([*argv, "write_episodes=True"]) == 0
    with (copied / "episodes.csv").open(newline="") as file:
        episodes = list(csv.DictReader(file))
    with (copied / "evaluations.csv").open(newline="") as file:
        recorded = list(csv.DictReader(file))
    assert {row["changes"] for row in recorded} == {""}
    means = {row["key"]: float(row["value"]) for row in recorded}
    assert [int(row["episode"]) for row in episodes] == list(range(50))
    assert {(row["checkpoint"], row["env_steps"], row["changes"]) for row in episodes} == {
        (LATEST, "64", "")
    }
    for column, key in {"return": "return_mean", "success": "success_mean"}.items():
        mean = sum(float(row[column]) for row in episodes) / 50
        assert mean == pytest.approx(means[f"test_{key}"])


def test_episodes_are_written_by_evaluations_only(capsys: pytest.CaptureFixture[str]) -> None:
    fails_with(capsys, bad("write_episodes=True"), "write_episodes", "needs evaluate=True")


def test_an_evaluation_reports_which_settings_were_changed(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["with", "evaluate=True", f"checkpoint_path={copied}", "test_nepisode=8"]
    assert main([*argv, "env_args.k=1"]) == 0
    assert "env_args.k=1" in capsys.readouterr().out
    assert "latest.pt,64,8,,env_args.k=1,test_success_mean" in (
        copied / "evaluations.csv"
    ).read_text().replace("\r", "")


def test_a_run_of_older_code_is_evaluated_once_the_new_setting_is_given(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copied / "config.yaml"
    lines = [x for x in file.read_text().splitlines(True) if not x.startswith("obs_last_action")]
    file.write_text("".join(lines))
    argv = ["with", "evaluate=True", f"checkpoint_path={copied}", "test_nepisode=8"]
    assert main(argv) == 2
    assert "obs_last_action=<value>" in capsys.readouterr().err
    assert main([*argv, "obs_last_action=False"]) == 0
    assert "changed" not in capsys.readouterr().out


def test_the_seed_of_a_resumed_run_cannot_change(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["with", f"resume={copied}", "seed=4"]) == 2
    assert "its seed cannot be changed to 4" in capsys.readouterr().err


def test_check_env_fails_with_violations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--env-config=swap", "--check-env"]) == 0
    monkeypatch.setattr("envs.matrix_games.swap.Swap.state_dict", lambda self: {})
    assert main(["--env-config=swap", "--check-env"]) == 1


def test_a_resumed_run_stays_in_its_folder_and_can_be_evaluated(copied: Path) -> None:
    assert main(["with", f"resume={copied}", "t_max=80"]) == 0
    assert [path.name for path in copied.parent.iterdir()] == ["run"]
    assert rows(copied)[-1]["env_steps"] == "80"
    record = json.loads((copied / "sacred" / "2" / "run.json").read_text())
    assert record["status"] == "COMPLETED"
    assert main(["with", "evaluate=True", f"checkpoint_path={copied}", "test_nepisode=8"]) == 0
    assert main(["with", f"resume={copied / 'checkpoints' / LATEST}", "t_max=96"]) == 0
    assert rows(copied)[-1]["env_steps"] == "96"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "Finished already, after 64 environment steps (t_max=64). Everything is in"),
        (["lr=0.5", "gamma=0.1"], "so gamma=0.1 lr=0.5 would have no effect and is not recorded"),
        (["t_max=32"], "a t_max above 64 trains on"),
    ],
)
def test_a_finished_run_that_is_resumed_says_so_and_writes_nothing(
    settings: list[str], said: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied)
    capsys.readouterr()
    assert main(["with", f"resume={copied}", *settings]) == 0
    assert said in capsys.readouterr().out
    assert snapshot(copied) == before


def test_settings_that_change_on_resuming_stay_in_every_record(copied: Path) -> None:
    assert main(["with", f"resume={copied}", "t_max=80", "gamma=0.5"]) == 0
    changes = [
        {"env_steps": 64, "setting": "gamma", "before": "0.99", "after": "0.5"},
        {"env_steps": 64, "setting": "t_max", "before": "64", "after": "80"},
    ]
    with (copied / "changes.csv").open(newline="") as file:
        recorded = list(csv.DictReader(file))
    assert [{**row, "env_steps": int(row["env_steps"])} for row in recorded] == changes
    info = json.loads((copied / "sacred" / "2" / "info.json").read_text())
    assert info["changes"] == changes
    record = read_record(copied)
    assert record is not None
    assert record.run["info"]["changes"] == recorded


def test_by_default_results_are_those_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    monkeypatch.setattr("records.run_dir.REPOSITORY", repository)
    monkeypatch.chdir(tmp_path)
    assert main([*FLAGS, "with", *TINY, "t_max=8"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    assert (repository / "results" / "topk" / "agp" / "agp_seed1_1" / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("argv", "missing"),
    [
        ([], "--config and --env-config are missing"),
        (["--config=agp"], "--env-config is missing"),
        (["--env-config=topk", "with", "seed=2"], "--config is missing"),
        (["--print-config", "--config=agp"], "--env-config is missing"),
        (["--check-env"], "--env-config is missing"),
        (["with", "resume=auto"], "--config and --env-config are missing"),
    ],
)
def test_without_a_method_or_a_task_the_usage_is_shown(
    argv: list[str],
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fails_with(capsys, argv, missing, "Usage: ", "--config=<algorithm> --env-config=<environment>")
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    "argv",
    [
        ["--config=vdn", "with", "env=swap"],
        ["with", "env=swap", "learner=q_learner"],
        ["with", "env_name=topk", "alg_name=mine"],
    ],
)
def test_settings_may_take_the_place_of_a_file(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-config", *argv]) == 0
    assert "env: " in capsys.readouterr().out


def test_help_explains_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "agp_agent"]) == 0
    assert "agent_args.graph.heads = 4" in capsys.readouterr().out
    fails_with(capsys, ["--help=agp_agnt"], "Did you mean 'agp_agent'?")


def test_a_missing_package_is_reported_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("utils.invocation.REQUIRED", ("torch", "no_such_package"))
    fails_with(capsys, FLAGS, "no_such_package is not installed for", sys.executable)


class MinimalMixer(nn.Module):
    """As a beginner would write it."""

    def __init__(self, config: Any, n_agents: int, state_dim: int):
        super().__init__()

    def forward(self, q_taken: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return q_taken.sum(dim=-1, keepdim=True)


def test_a_mixer_that_declares_nothing_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minimal = Component("minimal", MinimalMixer, NoSettings)
    monkeypatch.setitem(MIXERS._known, "minimal", minimal)
    assert train(tmp_path, "mixer=minimal", "t_max=16") == 0
    individual = bad("mixer=minimal", "reward_aggregation=individual")
    fails_with(capsys, individual, "minimal learns one value of the team")


def test_a_learner_without_its_base_class_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minimal = Component("minimal", MinimalMixer, NoSettings)
    monkeypatch.setitem(LEARNERS._known, "minimal", minimal)
    fails_with(
        capsys,
        bad("learner=minimal"),
        "learner: minimal does not declare needs_team_reward, uses_mixer, mixes, takes",
        "MinimalMixer on the base class",
    )


def test_print_config_is_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLAGS, "--print-config", "with", "seed=3", "env_args.n_agents=8"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["seed"], config["env_args"]["n_agents"], config["agent"]) == (3, 8, "agp_agent")


@pytest.mark.parametrize("flag", ["--help", "--list"])
def test_help_and_list_import_no_torch(flag: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SRC)!r}); from main import main; "
        f"code = main([{flag!r}]); "
        "sys.exit(code or ('torch' in sys.modules) * 3 or ('sacred' in sys.modules) * 4)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "topk" in done.stdout


# What bad input gets.


def bad(*settings: str, flags: list[str] = FLAGS) -> list[str]:
    return [*flags, "with", *TINY, *settings]


DCG = ["--config=dcg", "--env-config=topk"]
BAD_SETTINGS = {
    "misspelt key": (bad("gama=1"), ["gama", "Did you mean 'gamma'"]),
    "misspelt nested key": (bad("env_args.n_agent=4"), ["n_agent", "Did you mean 'n_agents'"]),
    "misspelt algorithm": (bad(flags=["--config=agpp"]), ["agpp", "Did you mean", "'agp'"]),
    "misspelt environment": (bad(flags=["--env-config=topkk"]), ["topkk", "'topk'"]),
    "misspelt component": (bad("mixer=qmx"), ["qmx", "Did you mean 'qmix'"]),
    "misspelt flag": ([*FLAGS, "--lst"], ["--lst", "--list"]),
    "wrong type": (bad("lr=fast"), ["lr", "'fast'", "is not a number"]),
    "fraction for a count": (bad("t_max=1.5"), ["t_max", "1.5", "whole number"]),
    "out of range": (bad("gamma=2"), ["gamma", "2.0", "[0, 1]"]),
    "K > N": (bad("env_args.k=7"), ["7", "n_agents=6", "between 0 and n_agents"]),
    "QMIX without a team reward": (
        bad("reward_aggregation=individual", flags=["--config=qmix", "--env-config=topk"]),
        ["qmix", "individual", "sum or mean"],
    ),
    "DCG without a team reward": (
        bad("reward_aggregation=individual", flags=DCG),
        ["dcg_learner", "individual", "sum or mean"],
    ),
    "a learner that cannot use joint actions": (
        bad("learner=q_learner", flags=DCG),
        ["q_learner cannot use", "dcg_controller gives, a joint action", "learner=dcg_learner"],
    ),
    "a learner that needs joint actions": (
        bad("learner=dcg_learner"),
        ["dcg_learner cannot use", "agp_controller gives, outputs of each agent"],
    ),
    "sampling from a joint action": (
        bad("action_selector=categorical", flags=DCG),
        ["dcg_learner trains the agents' outputs to be", "action_selector=epsilon_greedy"],
    ),
    "an agent without features": (
        bad("agent=agp_agent", flags=DCG),
        ["agp_agent", "dcg_controller reads", "agent=rnn_agent"],
    ),
    "a mixer that would do nothing": (bad("mixer=qmix", flags=DCG), ["qmix", "mixer=none"]),
    "more edges than pairs": (
        bad("controller_args.edges=16", flags=DCG),
        ["controller_args.edges", "15 pairs"],
    ),
    "exact inference of a large team": (
        bad("controller_args.inference=exact", "env_args.n_agents=13", flags=DCG),
        ["controller_args.inference", "8,192 joint actions", "Use maxsum"],
    ),
    "batch larger than buffer": (bad("batch_size=21"), ["21", "20", "raise buffer_size"]),
    "collection larger than buffer": (bad("batch_size_run=21"), ["21", "20", "buffer_size"]),
    "missing checkpoint": (bad("checkpoint_path=nowhere"), ["nowhere", "Give a run folder"]),
    "nothing to resume": (["with", "resume=nowhere"], ["nowhere", "Give a run folder"]),
    "nothing to evaluate": (["with", "evaluate=True"], ["evaluate=True", "checkpoint_path="]),
    "missing evaluation": (["with", "evaluate=True", "checkpoint_path=no"], ["no", "Give a run"]),
    "no such device": (bad("device=gpu"), ["gpu", "cpu, cuda"]),
    "unsupported device": (bad("device=meta"), ["meta", "cpu, cuda"]),
    "buffer beyond memory": (bad("buffer_size=1e12"), ["1000000000000", "GiB", "Lower buffer"]),
    "environments beyond memory": (
        bad("batch_size_run=1e13", "buffer_size=1e13"),
        ["not enough memory", "Lower batch_size_run"],
    ),
    "a seed that Sacred cannot take": (bad("seed=4294967296"), ["seed", "[0, 2^32)"]),
    "a label that is a path": (bad("name=a/b"), ["name=a/b", "without slashes"]),
    "two problems": (bad("lr=-1", "gamma=2"), ["2 problems", "lr", "gamma"]),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_reported_before_anything_is_written(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv, parts = BAD_SETTINGS[case]
    fails_with(capsys, argv, *parts)
    assert snapshot(tmp_path) == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_where_there_is_none(
    device: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"results_dir={tmp_path}"
    fails_with(capsys, bad(f"device={device}", place), device, "no CUDA device", "device=cpu")
    argv = ["with", "evaluate=True", f"checkpoint_path={trained}", f"device={device}"]
    fails_with(capsys, argv, device, "device=cpu")
    assert snapshot(tmp_path) == {}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a checkpoint")


def weights_only(path: Path) -> None:
    torch.save(load_checkpoint(path)["learner"]["online"], path)


def tensor(path: Path) -> None:
    torch.save(torch.ones(3), path)


@pytest.mark.parametrize("damage", [truncate, empty, text, weights_only, tensor])
def test_a_damaged_checkpoint(
    damage: Callable[[Path], None], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "checkpoints" / LATEST
    damage(path)
    before = snapshot(copied.parent)
    result = f"results_dir={copied.parent}"
    fails_with(capsys, ["with", f"resume={copied}"], str(path), "checkpoint")
    fails_with(capsys, ["with", "evaluate=True", f"checkpoint_path={copied}"], str(path))
    fails_with(capsys, bad(f"checkpoint_path={copied}", result), str(path))
    assert snapshot(copied.parent) == before


# Their weights fit all the same: an action graph takes any team.
ONLY_RESUME = ("env_args.n_agents=8", "optimizer=rmsprop", "buffer_size=8")


@pytest.mark.parametrize(
    "change",
    [
        "hidden_dim=32",
        "agent_args.graph.layers=1",
        "mixer=qmix",
        "agent=rnn_agent",
        "env_args.n_agents=8",
        "obs_agent_id=True",
        "optimizer=rmsprop",
        "buffer_size=8",
    ],
)
def test_a_checkpoint_of_another_architecture(
    change: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied.parent)
    said = ("another architecture", "config.yaml")
    fails_with(capsys, ["with", f"resume={copied}", "t_max=128", change], str(copied), *said)
    if change not in ONLY_RESUME:
        result = f"results_dir={copied.parent}"
        fails_with(capsys, bad(f"checkpoint_path={copied}", result, change), str(copied), *said)
        if change != "mixer=qmix":  # evaluations build no mixer
            argv = ["with", "evaluate=True", f"checkpoint_path={copied}", change]
            fails_with(capsys, argv, str(copied), *said)
    assert snapshot(copied.parent) == before


def test_a_graph_policy_can_be_evaluated_on_a_larger_team(copied: Path) -> None:
    argv = ["with", "evaluate=True", f"checkpoint_path={copied}", "env_args.n_agents=8"]
    assert main(argv) == 0


def test_resume_of_a_folder_without_a_checkpoint(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (copied / "checkpoints").iterdir():
        path.unlink()
    before = snapshot(copied)
    fails_with(capsys, ["with", f"resume={copied}"], str(copied), LATEST)
    assert snapshot(copied) == before


def test_resume_of_a_folder_without_a_configuration(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "config.yaml").unlink()
    before = snapshot(copied)
    fails_with(capsys, ["with", f"resume={copied}"], "config.yaml", "Give the folder of a run")
    assert snapshot(copied) == before


def test_resume_takes_no_other_configuration(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied)
    fails_with(capsys, [*FLAGS, "with", f"resume={copied}"], "agp", "Leave out --config")
    assert snapshot(copied) == before


def test_resume_and_evaluate_exclude_each_other(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied)
    argv = ["with", f"resume={copied}", "evaluate=True", f"checkpoint_path={copied}"]
    fails_with(capsys, argv, "one of the two")
    assert snapshot(copied) == before


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_whose_package_is_not_installed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    argv = bad(f"loggers=[csv,{name}]", f"results_dir={tmp_path}")
    fails_with(capsys, argv, f"the logger '{name}'", f"pip install {name}")
    assert snapshot(tmp_path) == {}


def test_results_that_are_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    results.write_text("precious")
    fails_with(capsys, bad(f"results_dir={results}"), str(results), "results_dir=")
    assert snapshot(tmp_path) == {"results": b"precious"}


def test_resume_in_a_folder_that_cannot_be_written(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(copied)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    fails_with(capsys, ["with", f"resume={copied}"], str(copied), "cannot be written")
    assert snapshot(copied) == before


def test_resume_without_metrics(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "metrics.csv").unlink()
    before = snapshot(copied)
    fails_with(capsys, ["with", f"resume={copied}"], "metrics.csv", "does not exist")
    assert snapshot(copied) == before


# What goes wrong during a run.


def spoil_reward(monkeypatch: pytest.MonkeyPatch, value: float, calls: int) -> None:
    """From its `calls`-th game on, one environment of Top-K pays `value`."""
    play, seen = TopK.play, []

    def spoilt(self: TopK, actions: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        reward, metrics = play(self, actions)
        seen.append(1)
        if len(seen) >= calls:
            reward[3] = value
        return reward, metrics

    monkeypatch.setattr(TopK, "play", spoilt)


def spoil_loss(monkeypatch: pytest.MonkeyPatch, value: float, update: int) -> None:
    loss = QLearner.loss

    def spoilt(self: QLearner, batch: Any) -> Any:
        scalar, details = loss(self, batch)
        return scalar * (value if self.updates + 1 >= update else 1.0), details

    monkeypatch.setattr(QLearner, "loss", spoilt)


def stopped(results: Path, capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    """Train until the run stops itself; its last checkpoint is whole and can be gone on from."""
    capsys.readouterr()
    assert train(results, "t_max=256", "test_interval=1000", "checkpoint_interval=16") == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for part in parts:
        assert part in message
    run_dir = results / "topk" / "agp" / "agp_seed1_1"
    state = load_checkpoint(run_dir / "checkpoints" / LATEST)
    weights = state["learner"]["online"]
    assert all(bool(w.isfinite().all()) for w in weights.values())
    assert state["counters"]["env_steps"] == 48
    status = json.loads((run_dir / "sacred" / "1" / "run.json").read_text())["status"]
    assert status == "FAILED"
    assert rows(run_dir)
    assert not [path for path in run_dir.rglob("*") if path.suffix in (".tmp", ".part")]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_stops_the_run(
    value: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil_reward(monkeypatch, value, calls=8 + 1)  # one of the games was the test at the start
    stopped(tmp_path, capsys, "reward is not finite", "step 0", "environment step 56")
    monkeypatch.undo()
    run_dir = tmp_path / "topk" / "agp" / "agp_seed1_1"
    assert main(["with", f"resume={run_dir}", "t_max=64"]) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(
    value: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil_loss(monkeypatch, value, update=7)
    stopped(tmp_path, capsys, f"loss is {value}", "update 7", "environment step 56")
    monkeypatch.undo()
    run_dir = tmp_path / "topk" / "agp" / "agp_seed1_1"
    assert main(["with", "evaluate=True", f"checkpoint_path={run_dir}"]) == 0
