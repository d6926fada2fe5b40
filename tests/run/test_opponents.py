"""Trained opponents in whole runs: what they see, which are errors, what is reported of them."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.helpers.runs import TINY, rows, snapshot, tiny, train

from analysis.markdown import markdown
from analysis.results import find_runs
from analysis.tables import tables
from build import build_env
from config.combinations import check_combination
from config.load import load_config
from envs.base import EnvStep
from envs.mpe.mpe import Mpe
from evaluate import evaluate
from main import main
from policy import load_policy
from records.checkpoint import LATEST, find_checkpoint, load_checkpoint
from utils.errors import ConfigError

SHORT = (
    *("batch_size_run=2", "batch_size=4", "train_every_episodes=2", "buffer_size=8"),
    *("test_nepisode=2", "test_batch_size_run=2", "t_max=400", "test_interval=400", "lr=0.01"),
)
TWO_TEAM = (
    *("env_args.protocol=two_team", "env_args.opponent=none", "reward_aggregation=individual"),
)


def against(path: Path | str) -> tuple[str, ...]:
    return "env_args.opponent=path", f"env_args.opponent_path={path}"


@pytest.fixture(scope="module")
def rivals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predators and prey of tag, trained together by `iql` with memory and last actions."""
    config = tiny("iql", "mpe_tag", *SHORT, *TWO_TEAM, "obs_last_action=True")
    return train(config, tmp_path_factory.mktemp("rivals") / "run")


@pytest.fixture
def copied(rivals: Path, tmp_path: Path) -> Path:
    """The rivals' folder for a test that changes it."""
    return shutil.copytree(rivals, tmp_path / "rivals")


ALL = ("env_args.protocol=all_common", "env_args.opponent=none")
TRAININGS = {
    "iql, two teams": ("iql", (*TWO_TEAM, "obs_last_action=True")),
    "qmix, separate weights": ("qmix", (*ALL, "agent_args.share_parameters=False")),
    "joint observations": ("vdn_joint", (*ALL, "obs_agent_id=False", "env_args.state=raw")),
    "coordination graph": ("dcg", ALL),
    "action graph with memory": (
        "agp",
        (*ALL, "agent_args.recurrent=post", "obs_last_action=True"),
    ),
}


@pytest.mark.parametrize("case", TRAININGS)
def test_it_plays_as_in_the_environment_of_its_training(case: str, tmp_path: Path) -> None:
    """Predators play at random in both worlds; the prey must do the same to the last bit."""
    alg, settings = TRAININGS[case]
    run_dir = train(tiny(alg, "mpe_tag", *SHORT, *settings), tmp_path)
    policy, luck = load_policy(run_dir), torch.Generator().manual_seed(1)
    own = policy.make_env(6, "same_stream")
    other = build_env(load_config("iql", "mpe_tag", [*against(run_dir)]), 6, "same_stream")
    for _ in range(2):
        mine, theirs, played = own.reset(), other.reset(), None
        for _ in range(25):
            played = policy._player.act(mine, played, luck)
            played[:, :3] = torch.randint(5, (6, 3), generator=luck)
            mine, theirs = own.step(played), other.step(played[:, :3])
            assert torch.equal(mine.obs[:, :3, :16], theirs.obs)
        for name, value in mine.metrics.items():
            assert torch.equal(value, theirs.metrics[name])


def test_it_sees_the_padding_of_its_training_if_its_team_learnt_alone(tmp_path: Path) -> None:
    """A prey trained alone has an observation of 14 numbers and one id."""
    alone = ("env_args.learners=good", "env_args.opponent=random")
    run_dir = train(tiny("vdn", "mpe_tag", *SHORT, *alone), tmp_path)
    policy, luck = load_policy(run_dir), torch.Generator().manual_seed(1)
    assert policy.info.obs_dim == 14
    config = load_config("iql", "mpe_tag", [*against(run_dir)])
    other = build_env(config, 4, "same_stream")
    everyone = Mpe(
        tiny("vdn", "mpe_tag", *ALL).env_args, 4, torch.device("cpu"), config.seed, "same_stream"
    )
    seen, shown, prey = everyone.reset(), other.reset(), None
    available = torch.ones(4, 1, 5, dtype=torch.bool)
    for _ in range(25):
        flags = (seen.reward[:, :1], seen.terminated, seen.truncated)
        view = EnvStep(seen.obs[:, 3:, :14], seen.state, available, *flags)
        prey = policy._player.act(view, prey, luck)
        predators = torch.randint(5, (4, 3), generator=luck)
        seen = everyone.step(torch.cat((predators, prey), dim=1))
        shown = other.step(predators)
        assert torch.equal(seen.obs[:, :3], shown.obs)


def test_the_chain_of_commands(rivals: Path, tmp_path: Path) -> None:
    """Both teams, then predators against that prey, then prey against those predators."""
    common = ["--config=iql", "--env-config=mpe_tag", "with", *TINY, *SHORT, "t_max=50"]
    common.append(f"results_dir={tmp_path}")
    assert main([*common, *against(rivals), "name=predators"]) == 0
    predators = tmp_path / "mpe_tag" / "iql" / "predators_seed1_1"
    assert main([*common, *against(predators), "env_args.learners=good", "name=prey"]) == 0
    prey = tmp_path / "mpe_tag" / "iql" / "prey_seed1_1"
    assert load_policy(prey).info.agent_names == ("agent_0",)
    assert main(["with", "evaluate=True", f"checkpoint_path={prey}", "test_nepisode=2"]) == 0
    assert main(["--check-env", "--env-config=mpe_tag", "with", *against(rivals)]) == 0


def test_both_teams_returns_are_in_every_row(rivals: Path) -> None:
    keys = {row["key"] for row in rows(rivals)}
    teams = {f"return_{team}_mean" for team in ("good", "adversaries")}
    assert keys >= teams | {f"test_{key}" for key in teams}


def fails_with(capsys: pytest.CaptureFixture[str], argv: list[str], *parts: str) -> None:
    capsys.readouterr()
    assert main(argv) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    for part in parts:
        assert part in message


def truncate(run: Path) -> None:
    path = run / "checkpoints" / LATEST
    path.write_bytes(path.read_bytes()[:-5000])


def remove(run: Path) -> None:
    shutil.rmtree(run)


def forget_settings(run: Path) -> None:
    (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "damaged"),
        (remove, "There is no checkpoint at"),
        (forget_settings, "config.yaml: there is no such file"),
    ],
)
def test_a_damaged_opponent(
    damage: Callable[[Path], None],
    message: str,
    copied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(copied)
    before = snapshot(tmp_path)
    argv = ["--config=iql", "--env-config=mpe_tag", "with", f"results_dir={tmp_path}"]
    where = f"The opponent at {copied} (env_args.opponent_path) cannot play."
    fails_with(
        capsys, [*argv, *against(copied)], where, message, "env_args.opponent_path=<run folder"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("env", "settings", "message"),
    [
        ("mpe_world_comm", ["env_args.protocol=team_vs_fixed"], "scenario=tag, and here it is wor"),
        ("mpe_tag", ["env_args.learners=good"], "is to play adversary_0, adversary_1, adversary_2"),
    ],
)
def test_an_opponent_that_has_learnt_something_else(
    env: str, settings: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = ("env_args.learners=good", "env_args.opponent=random")
    run_dir = train(tiny("vdn", "mpe_tag", *SHORT, "t_max=50", *alone), tmp_path / "prey")
    argv = ["--config=iql", f"--env-config={env}", "with", *settings, *against(run_dir)]
    fails_with(capsys, [*argv, f"results_dir={tmp_path / 'results'}"], message)
    assert not (tmp_path / "results").exists()


def test_an_opponent_of_another_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = train(tiny("vdn", "topk", "t_max=8"), tmp_path / "topk")
    argv = ["--config=iql", "--env-config=mpe_tag", "with", *against(run_dir)]
    fails_with(capsys, argv, "It was trained on env=topk, and here it is mpe.")


def test_an_opponent_that_was_moved_or_changed(
    rivals: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = train(tiny("iql", "mpe_tag", *SHORT, "t_max=50", *against(copied)), tmp_path / "run")
    path = find_checkpoint(copied)
    state = load_checkpoint(path)
    next(iter(state["learner"]["online"].values())).mul_(1.5)
    torch.save(state, path)
    resume = ["with", f"resume={run_dir}", "t_max=100"]
    fails_with(capsys, resume, "its weights have changed", "checkpoint_path=<this run>")
    shutil.rmtree(copied)
    test = ["with", "evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=2"]
    for argv in (resume, test):
        fails_with(
            capsys, argv, f"There is no checkpoint at {copied}", "env_args.opponent_path=<run"
        )
    moved = f"env_args.opponent_path={rivals}"
    assert load_policy(run_dir).info.n_agents == 3  # needs no opponent before it plays
    assert main([*test, moved]) == 0
    assert main([*resume, moved]) == 0


@pytest.mark.parametrize(
    ("alg", "settings"),
    [
        ("qmix", ["reward_aggregation=sum"]),
        ("vdn", ["reward_aggregation=individual"]),
        ("agp", []),
        ("dcg", []),
        ("iql", []),
    ],
)
def test_rivals_are_not_learnt_as_one_team(alg: str, settings: list[str]) -> None:
    override = [*TWO_TEAM[:2], "reward_aggregation=mean", *settings]
    config = load_config(alg, "mpe_tag", override)
    with pytest.raises(ConfigError) as caught:
        check_combination(config)
    (problem,) = caught.value.problems
    assert problem.startswith("env_args.protocol=two_team lets rivals learn")
    assert f"mixer={config.mixer} with reward_aggregation={config.reward_aggregation}" in problem
    assert "Write --config=iql with reward_aggregation=individual" in problem
    check_combination(load_config("iql", "mpe_tag", [*TWO_TEAM]))


def test_results_name_the_opponent(rivals: Path, tmp_path: Path) -> None:
    """Runs of one method against different opponents are in separate rows."""
    settings = {
        "trained": against(rivals),
        "random": ("env_args.opponent=random",),
        "scripted": (),
        "other_side": ("env_args.opponent=random", "env_args.learners=good"),
        "all": ALL,
        "both": TWO_TEAM,
    }
    for name, given in settings.items():
        train(tiny("iql", "mpe_tag", *SHORT, "t_max=50", *given), tmp_path / name)
    opponents = ["scripted", "random", "random (good learn)", f"{rivals}", "learns too"]
    (table,) = tables(find_runs(tmp_path)[0], "test_return_good_mean", unfinished=True)
    assert {row.opponent for row in table.rows} == {"", *opponents}
    text = markdown(table.rows, table.key, None)
    assert text.startswith("| method | opponent | seeds |")
    assert text.count("\n| iql") == 6
    assert f"| iql | {rivals} | 1 |" in text
    assert len({line.count("|") for line in text.split("\n")}) == 1
    shown = evaluate(tiny("iql", "mpe_tag", *against(rivals), *evaluated(tmp_path / "trained")))
    assert str(rivals) in shown
    with (tmp_path / "trained" / "evaluations.csv").open(newline="") as file:
        assert {row["opponent"] for row in csv.DictReader(file)} == {str(rivals)}


def evaluated(run_dir: Path) -> tuple[str, ...]:
    return "evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=2"
