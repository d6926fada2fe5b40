"""A resumed run equals one that was not stopped: bit for bit on the CPU."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.envs.fake_envs import HERE
from tests.helpers.runs import differences, final_state, rows, tiny, train

from config.history import Change, read_changes
from config.load import load_recorded
from config.schema import RunConfig
from records.checkpoint import LATEST, find_checkpoint, load_checkpoint
from run import Run
from utils.errors import UserError

AGP = (
    "agent_args.recurrent=post",
    "controller_args.common_noise=2",
    "obs_last_action=True",
)
QMIX = (
    "optimizer=rmsprop",
    "reward_scaling=meanstd",
    "target_update={mode: soft, unit: updates, interval: 1, tau: 0.1}",
    "agent_args.share_parameters=False",
)
CASES = {
    "agp": ("agp", AGP),
    "agp_lr_factor": ("agp", (*AGP, "agent_args.graph.lr_factor=0.5", "lr_schedule=linear")),
    "qmix": ("qmix", QMIX),
    "fop": ("fop", ("agent_args.share_parameters=False",)),
    "macpf": ("macpf", ("learner_args.share_mixer=False", "use_rnn=True")),
    "qtran": ("qtran", ("agent_args.share_parameters=False", "use_rnn=True")),
    "qplex": ("qplex", ("obs_last_action=True", "mixer_args.lambda_layers=3")),
    "cw_qmix": ("cw_qmix", ("agent_args.share_parameters=False",)),
    "ow_qmix": ("ow_qmix", ("mixer=vdn", "use_rnn=True")),
    # 3 of 64 steps per collection divide neither the ring of 20 episodes nor any clock.
    "wraparound": ("qmix", ("batch_size_run=3", "test_batch_size_run=3", "test_nepisode=7")),
    # Several checkpoints lie between two rows of metrics and between two gradient steps.
    "between_rows": ("vdn", ("log_interval=64", "test_interval=64", "train_every_episodes=24")),
    # A batch of 24 takes three rollouts: checkpoints fall within it.
    "ppo": ("mappo", ("batch_size=24", "learner_args.critic_lr=2e-3", "use_rnn=True")),
    "agp_pg": ("agp_pg", ("batch_size=16", *AGP)),
    "dicg_ce": ("dicg_ce", ("batch_size=16", "agent_args.aggregator=True", "use_rnn=True")),
    "dicg_de": ("dicg_de", ("batch_size=24", "obs_last_action=True")),
    "maddpg": ("maddpg", ("agent_args.share_parameters=False", "reward_scaling=meanstd")),
    "mat": ("mat", ("batch_size=16", "agent_args.heads=2", "obs_last_action=True")),
    "coma": ("coma", ("batch_size=16", "learner_args.critic_epochs=2", "env_args.n_agents=4")),
    "continuous": ("agp_pg", ("env=allocation", "batch_size=16", "agent_args.head=node")),
    "continuous_maddpg": ("maddpg", ("env=allocation",)),
    # The row at 40 reports the update at 24; the checkpoint at 32 lies between.
    "row_of_an_older_update": ("vdn", ("log_interval=40", "train_every_episodes=24")),
}


class Killed(BaseException):
    """Stands for the signal that ends a process."""


def train_until_killed(config: RunConfig, run_dir: Path, env_steps: int) -> None:
    """Train, and die in the middle of collecting once that many steps are done."""
    run_dir.mkdir()
    run = Run(config)
    collect = run.runner.collect

    def collect_or_die(at: int, greedy: bool = False) -> object:
        if at >= env_steps:
            raise Killed
        return collect(at, greedy)

    run.runner.collect = collect_or_die  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        run.train(run_dir)


def resume(run_dir: Path, *overrides: str) -> None:
    Run(load_recorded(run_dir, [f"resume={run_dir}", *overrides])).train(run_dir)


@pytest.mark.parametrize("case", CASES)
def test_killed_and_resumed_equals_never_killed(case: str, tmp_path: Path) -> None:
    alg, settings = CASES[case]
    config = tiny(alg, "topk", *settings)
    whole = train(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    train_until_killed(config, parts, env_steps=55)
    at_checkpoint = load_checkpoint(find_checkpoint(parts))["counters"]["env_steps"]
    assert 32 <= at_checkpoint < 56
    with (parts / "metrics.csv").open("a") as file:
        file.write("56,56,7,1.00,loss,0.1\n56,56,7,1.00,ret")  # the last row torn
    resume(parts)
    assert rows(parts) == rows(whole)
    assert differences(final_state(parts), final_state(whole)) == []


@pytest.mark.parametrize("env", ["assignment", "formation"])
def test_teams_that_vary_go_on_too(env: str, tmp_path: Path) -> None:
    """Action features, absent agents and a ratio of means come back from the checkpoint."""
    settings = ["env_args.n_agents=[3, 5]", "agent_args.head=node", "t_max=160"]
    config = tiny("agp", env, *settings)
    whole = train(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    train_until_killed(config, parts, env_steps=100)
    resume(parts)
    assert rows(parts) == rows(whole)
    assert differences(final_state(parts), final_state(whole)) == []
    assert {"value_ratio", "speed_ratio"} & {row["key"] for row in rows(parts)}
    assert "action_features" in final_state(parts)["buffer"]["episodes"]


def test_lost_episodes_are_lost_in_the_same_places(tmp_path: Path) -> None:
    """Workers fail where their seeds say so: the same ones, whether or not the run was stopped."""
    world = "{fault: kill, above: 0.95, length: 3}"
    settings = [f"env_args.task={HERE}:Island", f"env_args.kwargs={world}", "seed=5"]
    settings += ["env_args.n_workers=2", "env_args.on_worker_error=restart"]
    promises = ["varying_team=True", "action_masks=True", "fixed_length=False"]
    config = tiny("vdn", "pettingzoo", *settings, *(f"env_args.{text}" for text in promises))
    whole = train(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    train_until_killed(config, parts, env_steps=40)
    resume(parts)
    assert rows(parts) == rows(whole)
    assert differences(final_state(parts), final_state(whole)) == []
    by_key = {row["key"]: row for row in rows(whole)}
    assert float(by_key["lost_episodes"]["value"]) > 0
    assert float(by_key["test_lost_episodes"]["value"]) > 0
    episodes = int(by_key["return_mean"]["episodes"])
    lost = sum(float(r["value"]) for r in rows(whole) if r["key"] == "lost_episodes")
    assert (episodes + lost) % 8 == 0


@pytest.mark.parametrize("opponent", ["scripted", "path"])
def test_an_opponent_is_resumed_too(opponent: str, tmp_path: Path) -> None:
    """A decoder remembers what it has heard; a trained policy's noise comes from the world's."""
    settings = ["env_args.max_cycles=4", "t_max=256", "checkpoint_interval=128"]
    if opponent == "path":
        eve = train(tiny("agp", "mpe_crypto", *AGP, *settings), tmp_path / "eve")
        settings.append(f"env_args.opponent_path={eve}")
    settings += ["env_args.protocol=team_vs_fixed", f"env_args.opponent={opponent}"]
    config = tiny("vdn", "mpe_crypto", *settings)
    whole = train(config, tmp_path / "whole")
    parts = tmp_path / "parts"
    train_until_killed(config, parts, env_steps=220)
    resume(parts)
    assert rows(parts) == rows(whole)
    assert differences(final_state(parts), final_state(whole)) == []


@pytest.mark.parametrize(("seconds", "expected"), [("1e-9", 8), ("3600", 2), ("0", 2)])
def test_checkpoints_come_by_time_too(
    seconds: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    monkeypatch.setattr(Run, "_save", lambda self, numbered: saved.append(numbered))
    settings = ("checkpoint_interval=1000", "keep_numbered_checkpoints=True")
    train(tiny("vdn", "topk", *settings, f"checkpoint_seconds={seconds}"), tmp_path)
    assert saved == [True, *(False,) * (expected - 2), True]  # at the first round and the last


def test_rows_after_the_checkpoint_are_removed(tmp_path: Path) -> None:
    config = tiny("qmix", "topk", "checkpoint_interval=32", "log_interval=8")
    run_dir = tmp_path / "run"
    train_until_killed(config, run_dir, env_steps=56)
    assert max(int(row["env_steps"]) for row in rows(run_dir)) == 56
    run = Run(load_recorded(run_dir, [f"resume={run_dir}", "t_max=32"]))
    run.train(run_dir)  # nothing to do: only the cut remains
    assert max(int(row["env_steps"]) for row in rows(run_dir)) == 32


def test_metrics_lost_by_a_crash_of_the_machine_leave_no_gap(tmp_path: Path) -> None:
    run_dir = train(tiny("vdn", "topk"), tmp_path / "run")
    metrics = run_dir / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes()[:300].rsplit(b"\n", 1)[0] + b"\n")
    resume(run_dir, "t_max=80")
    assert b"\0" not in metrics.read_bytes()
    assert rows(run_dir)[-1]["env_steps"] == "80"


@pytest.mark.parametrize("alg", ["agp", "qmix"])
def test_resume_with_another_t_max(alg: str, tmp_path: Path) -> None:
    run_dir = train(tiny(alg, "topk", "t_max=32", "lr_schedule=constant"), tmp_path / "half")
    before = rows(run_dir)
    resume(run_dir, "t_max=64")
    after = rows(run_dir)
    assert after[: len(before)] == before
    whole = tiny(alg, "topk", "lr_schedule=constant")
    # Clocks struck at 32 anyway, so that the half-way stop left no trace.
    assert after == rows(train(whole, tmp_path / "whole"))
    assert load_recorded(run_dir, ["resume="]).t_max == 64


def test_without_replay_a_run_resumes_with_an_empty_buffer(tmp_path: Path) -> None:
    config = tiny("vdn", "topk", "checkpoint_replay=False")
    run_dir = tmp_path / "run"
    train_until_killed(config, run_dir, env_steps=56)
    state = load_checkpoint(find_checkpoint(run_dir))
    assert "episodes" not in state["buffer"]
    run = Run(load_recorded(run_dir, [f"resume={run_dir}"]))
    assert (run.buffer.n_episodes, run.counters.env_steps) == (0, 32)
    run.train(run_dir)
    assert rows(run_dir)[-1]["env_steps"] == "64"


@pytest.mark.parametrize("t_max", [32, 24])
def test_a_larger_buffer_continues_behind_the_newest_episode(t_max: int, tmp_path: Path) -> None:
    run_dir = train(tiny("vdn", "topk", f"t_max={t_max}"), tmp_path / "run")
    small = Run(load_recorded(run_dir, [f"resume={run_dir}"])).buffer
    large = Run(load_recorded(run_dir, [f"resume={run_dir}", "buffer_size=30"])).buffer
    assert (small.n_episodes, large.n_episodes) == (20, 20)
    newest = train(tiny("vdn", "topk", f"t_max={t_max}", "buffer_size=30"), tmp_path / "other")
    if t_max == 24:  # 24 episodes in all, of which the small ring has lost the first 4
        whole = Run(load_recorded(newest, [f"resume={newest}"])).buffer
        assert torch.equal(large._storage.obs[:20], whole._storage.obs[4:24])
    batch = small._storage.select(torch.arange(15))
    large.add(batch)
    assert large.n_episodes == 30
    assert torch.equal(large._storage.obs[20:30], batch.obs[:10])
    assert torch.equal(large._storage.obs[:5], batch.obs[10:])


def test_a_new_learning_rate_holds_from_the_resumption_on(tmp_path: Path) -> None:
    run_dir = train(tiny("vdn", "topk", "lr_schedule=constant", "lr=0.01"), tmp_path / "run")
    resume(run_dir, "t_max=80", "lr=0.002")
    rates = [row["value"] for row in rows(run_dir) if row["key"] == "lr"]
    assert (rates[0], rates[-1]) == ("0.01", "0.002")


def test_a_shorter_interval_holds_at_once(tmp_path: Path) -> None:
    intervals = ("test_interval=64", "log_interval=64", "checkpoint_interval=1000")
    config = tiny("vdn", "topk", *intervals, "checkpoint_seconds=1e-9", "t_max=96")
    train_until_killed(config, tmp_path / "run", env_steps=24)
    resume(tmp_path / "run", "test_interval=16", "log_interval=8", "checkpoint_seconds=0")
    at = {key: [] for key in ("test_return_mean", "return_mean")}
    for row in rows(tmp_path / "run"):
        if row["key"] in at:
            at[row["key"]].append(int(row["env_steps"]))
    assert at["test_return_mean"] == [8, 32, 48, 64, 80, 96]
    assert at["return_mean"] == [8, *range(32, 97, 8)]


def test_the_time_left_is_that_of_the_steps_since_the_start(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    train_until_killed(tiny("vdn", "topk"), run_dir, env_steps=55)
    run = Run(load_recorded(run_dir, [f"resume={run_dir}", "t_max=7264"]))
    run.counters.seconds = 1000.0
    assert run._place()["left"] == "-"
    run.counters.env_steps += 32
    run.counters.seconds += 16.0
    assert run._place()["left"] == "1:00:00"


def test_a_longer_t_max_says_that_the_learning_rate_jumps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = train(tiny("vdn", "topk", "lr_schedule=linear", "lr=0.01"), tmp_path / "run")
    capsys.readouterr()
    resume(run_dir, "t_max=128")
    assert "The learning rate jumps here from 0 to 0.005" in capsys.readouterr().out
    assert read_changes(run_dir) == [Change(64, "t_max", "64", "128")]


def test_resume_from_a_numbered_checkpoint(tmp_path: Path) -> None:
    config = tiny("vdn", "topk", "keep_numbered_checkpoints=True", "checkpoint_interval=16")
    run_dir = train(config, tmp_path / "run")
    numbered = run_dir / "checkpoints" / "000000000032.pt"
    names = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert names >= {LATEST, "best.pt", numbered.name, "000000000064.pt"}
    run = Run(load_recorded(run_dir, [f"resume={numbered}"]))
    assert run.counters.env_steps == 32


def test_checkpoint_path_starts_from_its_weights_only(tmp_path: Path) -> None:
    first = train(tiny("qmix", "topk"), tmp_path / "first")
    run = Run(tiny("qmix", "topk", f"checkpoint_path={first}", "seed=2"))
    weights = load_checkpoint(find_checkpoint(first))["learner"]["online"]
    for network in (run.learner.online, run.learner.target):
        assert differences(dict(network.state_dict()), dict(weights)) == []
    assert (run.counters.env_steps, run.buffer.n_episodes, run.learner.updates) == (0, 0, 0)


def test_weights_of_a_normalised_critic_come_with_their_units(tmp_path: Path) -> None:
    config = tiny("mappo", "topk", "learner_args.value_norm=true")
    first = train(config, tmp_path / "first")
    saved = load_checkpoint(find_checkpoint(first))["learner"]["moments"]
    assert saved["n_batches"] > 0
    run = Run(dataclasses.replace(config, checkpoint_path=str(first), seed=2))
    assert run.learner.state_dict()["moments"] == saved


@pytest.mark.parametrize(("before", "after"), [(4, 32), (32, 4)])
def test_another_interval_of_training_holds_from_here_on(
    before: int, after: int, tmp_path: Path
) -> None:
    run_dir = train(tiny("vdn", "topk", f"train_every_episodes={before}"), tmp_path / "run")
    state = load_checkpoint(find_checkpoint(run_dir))
    episodes, updates = state["counters"]["episodes"], state["learner"]["updates"]
    more = [f"resume={run_dir}", f"train_every_episodes={after}", "t_max=1000"]
    run = Run(load_recorded(run_dir, more))
    while run.counters.episodes < 2 * episodes:
        run.advance()
    assert run.learner.updates == updates + episodes // after


def test_targets_follow_when_their_unit_changes(tmp_path: Path) -> None:
    run_dir = train(tiny("vdn", "topk", "target_update.interval=64"), tmp_path / "run")
    more = ["target_update.unit=updates", "target_update.interval=1", "t_max=1000"]
    run = Run(load_recorded(run_dir, [f"resume={run_dir}", *more]))
    updates = run.learner.updates
    while run.learner.updates == updates:
        run.advance()
    states = (dict(net.state_dict()) for net in (run.learner.online, run.learner.target))
    assert differences(*states) == []


def test_other_groups_of_learning_rates_are_named(tmp_path: Path) -> None:
    run_dir = train(tiny("mappo", "topk"), tmp_path / "run")
    config = load_recorded(run_dir, [f"resume={run_dir}", "learner_args.critic_lr=0.01"])
    with pytest.raises(UserError, match="critic_lr and lr_factor must stay equal to lr"):
        Run(config)


def change(path: Path, how: Callable[[dict[str, object]], None]) -> None:
    state = load_checkpoint(path)
    how(state)
    torch.save(state, path)


def test_the_best_checkpoint_is_the_best_test(tmp_path: Path) -> None:
    run_dir = train(tiny("agp", "topk", "t_max=640", "lr=0.01", "test_interval=64"), tmp_path / "r")
    tests = [
        (float(row["value"]), int(row["env_steps"]))
        for row in rows(run_dir)
        if row["key"] == "test_return_mean"
    ]
    best, at = max(tests, key=lambda test: (test[0], -test[1]))
    counters = load_checkpoint(run_dir / "checkpoints" / "best.pt")["counters"]
    assert counters["best_score"] == pytest.approx(best)
    assert counters["env_steps"] == at


def test_a_resumed_run_keeps_its_best(tmp_path: Path) -> None:
    run_dir = train(tiny("vdn", "topk", "t_max=32"), tmp_path / "run")
    path = run_dir / "checkpoints" / LATEST

    def unbeatable(state: dict[str, object]) -> None:
        counters = state["counters"]
        assert isinstance(counters, dict)
        counters["best_score"] = 1e9

    change(path, unbeatable)
    before = (run_dir / "checkpoints" / "best.pt").read_bytes()
    resume(run_dir, "t_max=64")
    assert (run_dir / "checkpoints" / "best.pt").read_bytes() == before


def test_configurations_stay_frozen(tmp_path: Path) -> None:
    config = tiny("vdn", "topk")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.t_max = 3  # type: ignore[misc]
