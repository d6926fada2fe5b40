"""Environments that users really have: each case is supported, or refused in words."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.envs.test_python_envs import first_actions, play
from tests.envs.unusual_envs import LENGTH, Slow

from components.episode_batch import EpisodeBatch, as_floats
from envs.base import make_env
from envs.checker.budget import Budget
from envs.checker.report import report
from envs.python_envs.vector_env import warn_once
from main import main
from utils.errors import UserError
from utils.registry import ENVS

HERE = "tests.envs.unusual_envs"
CPU = torch.device("cpu")


def settings(kind: str, case: str, **more: Any) -> tuple[str, Any]:
    name = "pettingzoo" if kind in ("Parallel", "Unseeded", "Turns") else "gymma"
    which = {"task": f"{HERE}:{kind}"} if name == "pettingzoo" else {"key": f"{HERE}:{kind}"}
    kwargs = {**({"case": case} if case else {}), **more.pop("kwargs", {})}
    return name, ENVS.get(name).config(**{**which, "time_limit": 9, "kwargs": kwargs, **more})


def build(kind: str, case: str = "", b: int = 2, **more: Any) -> Any:
    name, config = settings(kind, case, **more)
    return make_env(name, config, b, CPU, 1, "test")


def failure(kind: str, case: str = "", **more: Any) -> str:
    """What an environment that must fail says."""
    env = None
    try:
        env = build(kind, case, **more)
        play(env)
    except UserError as error:
        return str(error)
    finally:
        if env is not None:
            env.close()
    return pytest.fail("It did not fail.")


# A limit is no end


@pytest.mark.parametrize(("time_limit", "length"), [(7, 7), (2, 2), (0, 5)])
def test_an_environments_own_limit_truncates(time_limit: int, length: int) -> None:
    env = build("odd/Limited-v0", time_limit=time_limit)
    assert env.info.episode_limit == length
    steps = play(env)
    assert steps[length].truncated.all()
    assert not any(step.terminated.any() for step in steps)


def test_two_limits_that_differ_are_refused() -> None:
    text = failure("odd/Limited-v0", kwargs={"max_steps": 4})
    assert "env_args.time_limit=9, but env_args.kwargs.max_steps=4" in text
    assert "Write env_args.time_limit=4" in text
    env = build("odd/Limited-v0", kwargs={"max_steps": 11})
    assert play(env)[9].truncated.all()


def check(kind: str, case: str = "", aggregation: str = "mean", **more: Any) -> tuple[str, bool]:
    return report(*settings(kind, case, **more), reward_aggregation=aggregation, budget=Budget())


def test_the_checker_warns_of_a_limit_that_passes_for_an_end() -> None:
    text, passes = check("Parallel")
    assert passes
    assert "27 of 27 episodes terminated at step 3, and none lasted longer" in text
    assert "env_args.time_limit=3" in text
    assert "terminated at step" not in check("Parallel", kwargs={"end": "truncated"})[0]


def test_the_checker_warns_of_a_team_reward_that_is_added_up() -> None:
    text, passes = check("Gym", "shared", "sum")
    assert passes
    assert "a team reward of 1.0 counts as 2.0. Write reward_aggregation=mean" in text
    assert "same reward" not in check("Gym", "shared", "mean")[0]
    assert "same reward" not in check("Gym", "", "sum")[0]


# Nothing is missing or unknown in silence

REFUSED = {
    "rewards by text": "rewards have '0'. Their keys must be the agents, of the same type: 0, 1.",
    "a reward is missing": "rewards lack 1. Their keys must be the agents",
    "unknown flag": "terminations have '0'. Their keys must be the agents",
    "a flag is missing": "truncations lack 1.",
    "unknown observation": "observations have '0'.",
    "masks of strangers": "infos have '0'.",
    "late reward": "the reward of 1 is 5.0, although that agent has left before.",
    "arrays of two": "the reward of 0 has shape (2,); it must be one number.",
    "no info": "reset returned a dict; it must return a tuple of 2: observations and infos.",
    "many actions": "10,000,000,000 in all; 65,536 are the most.",
    "many values": "hold one of 100,000,000 values",
    "large integers": "holds the whole number 16,777,217.",
    "same names": "The agents are a, a; there must be at least one, each with a name",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_lost_is_refused(case: str) -> None:
    text = failure("Parallel", case)
    assert REFUSED[case] in text
    assert "Traceback" not in text


@pytest.mark.parametrize("case", ["rewards by text", "unknown flag", "masks of strangers"])
def test_the_checker_finds_it(case: str) -> None:
    text, passes = check("Parallel", case)
    assert not passes
    assert REFUSED[case] in text


def test_a_flag_of_all_is_every_agents() -> None:
    steps = play(build("Parallel", "all"))
    assert not steps[1].terminated.any()
    assert steps[2].terminated.all()


def test_infos_that_belong_to_no_agent_may_hold_metrics() -> None:
    steps = play(build("Parallel", "common info", metrics={"won": "x"}))
    assert steps[LENGTH].metrics["won"].tolist() == [3, 3]


MASKED = (
    "list of infos",
    "tuple of infos",
    "infos by number",
    "infos by text",
    "infos by name",
    "masks by number",
    "avail_actions",
)


@pytest.mark.parametrize("case", MASKED)
def test_every_way_to_give_masks_is_honoured(case: str) -> None:
    step = build("Gym", case).reset()
    assert step.avail[0].int().tolist() == [[1, 0, 0], [0, 1, 0]]


def test_masks_of_smac_are_honoured() -> None:
    step = build("AsSMAC").reset()
    assert step.avail[0].int().tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("unknown agents", "there is one for 'red'. Give one for each of the agents 0 to 1"),
        ("one mask of two", "there is none for agent 1."),
        ("three masks", "there are 3 action masks for 2 agents."),
        ("matrix", "the reward has shape (2, 2); it must be one number, or one per agent (2)."),
        ("no info", "reset returned array"),
        ("no dict", "reset returned None as infos"),
        ("three flags", "terminated has 3 flags; it must be one, or one per agent (2)."),
    ],
)
def test_what_a_gymnasium_environment_must_not_return(case: str, said: str) -> None:
    assert said in failure("Gym", case)


@pytest.mark.parametrize(
    ("kind", "case", "rewards"),
    [
        ("Gym", "array of one", [1, 1]),
        ("Gym", "column", [1, 2]),
        ("Gym", "shared", [1, 1]),
        ("Parallel", "arrays of one", [1, 2]),
    ],
)
def test_shapes_of_rewards(kind: str, case: str, rewards: list[int]) -> None:
    assert play(build(kind, case))[1].reward[0].tolist() == rewards


# Masks at the end


def test_after_termination_no_action_is_needed() -> None:
    steps = play(build("Parallel", "dead masks"))
    assert steps[LENGTH].terminated.all()
    assert steps[LENGTH].avail.all()


def test_at_truncation_an_action_is_needed() -> None:
    text = failure("Parallel", "dead masks", kwargs={"end": "truncated"})
    assert "allows no action where the episode is truncated" in text
    assert "If nothing can follow, return terminated." in text


# What cannot work


@pytest.mark.parametrize("case", ["exit", "exit at reset", "exit at build"])
@pytest.mark.parametrize("n_workers", [0, 1])
def test_an_environment_cannot_end_the_program(case: str, n_workers: int) -> None:
    assert "it called sys.exit(0), which would end" in failure(
        "Parallel", case, n_workers=n_workers
    )


@pytest.mark.parametrize("flag", ["--check-env", "--config=vdn"])
def test_its_exit_is_no_success(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = [f"env_args.task={HERE}:Parallel", "env_args.kwargs={case: exit}"]
    few = [
        "env_args.fixed_length=false",
        "env_args.time_limit=9",
        "show_progress=False",
        f"results_dir={tmp_path}",
    ]
    assert main([flag, "--env-config=pettingzoo", "with", *task, *few]) != 0
    shown = capsys.readouterr()
    assert "it called sys.exit(0)" in shown.out + shown.err


def test_a_component_cannot_end_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(*args: Any) -> None:
        sys.exit(0)

    monkeypatch.setattr("main.resolve", leave)
    assert main(["--config=vdn", "--env-config=topk"]) == 2
    assert "called sys.exit(0)" in capsys.readouterr().err


def test_a_reset_without_seed_is_refused() -> None:
    assert "its reset takes no seed" in failure("Unseeded")


def test_a_state_that_is_not_there_is_refused() -> None:
    assert "Write env_args.state=concat" in failure("Parallel", state="env")


def test_turns_are_converted_by_pettingzoo() -> None:
    assert "`pettingzoo.utils.conversions.aec_to_parallel(<this environment>)`" in failure("Turns")


def test_an_agent_that_waits_for_its_turn_needs_no_action() -> None:
    step = build("Parallel", "waiting").reset()
    assert step.avail[0].int().tolist() == [[1, 0, 0], [1, 0, 0]]


def test_an_observation_outside_its_space_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    for _ in range(2):
        play(build("Parallel", "bounded"))
    (warning,) = caplog.records
    assert "agent '0' observes 7 at position 1, outside its space of -1" in warning.getMessage()


def test_numbers_from_somewhere_on_are_observed_from_there_on() -> None:
    assert build("Parallel", "starts").reset().obs[0, 0].tolist() == [0, 1, 0, 0, 1]


def test_arguments_that_it_does_not_take_are_named() -> None:
    text = failure("odd/Gym-v0", kwargs={"max_episode_steps": 51})
    assert "env_args.kwargs has 'max_episode_steps', which odd/Gym-v0 does not take." in text
    assert "It takes: case, max_steps. Take it out with env_args.kwargs.max_episode_steps" in text
    assert "env_args.kwargs has 'speed'" in failure("Parallel", kwargs={"speed": 1})


def test_a_broken_promise_of_the_settings_is_no_mistake_of_the_environment() -> None:
    text, passes = check("Parallel", fixed_length=True)
    assert not passes
    place = "of environment 0, whose episode began with reset(seed="
    before, _, after = text.splitlines()[1].partition(place)
    assert before == (
        f"  1. Play ended after step {LENGTH}, episode 1 of 8 environments: {HERE}:Parallel failed "
        f"in step {LENGTH} "
    )
    assert after.partition("): ")[2] == (
        "the episode ended before its limit of 9 steps, although env_args.fixed_length promises "
        "that none does. Write env_args.fixed_length=false. The remaining checks were left out."
    )


@pytest.mark.parametrize(
    ("kind", "setting", "cls"),
    [
        ("parallel_env", "task", "Parallel"),
        ("gym_env", "key", "Gym"),
        ("odd/Forwards-v0", "key", "Gym"),
    ],
)
def test_arguments_that_are_handed_on_are_named_too(kind: str, setting: str, cls: str) -> None:
    name = f"{HERE}:{kind}"
    style = "Parallel" if setting == "task" else "Gym"
    what = kind if "/" in kind else name
    assert failure(style, kwargs={"foo": 1}, **{setting: name}) == (
        f"env_args.kwargs has 'foo', which {what} does not take ({cls}.__init__() got an "
        "unexpected keyword argument 'foo'). Take it out with env_args.kwargs.foo=null."
    )


# Images


@pytest.mark.parametrize("case", ["image", "masked image"])
def test_images_stay_bytes_and_the_state_never_repeats_them(case: str) -> None:
    warn_once.cache_clear()
    env = build("Parallel", case)
    info, step = env.info, env.step(first_actions(env.reset()))
    assert (info.obs_dtype, info.state_is_obs, info.state_dim) == (torch.uint8, True, 120)
    assert step.obs.dtype == torch.uint8
    assert (step.obs == 15).all()
    batch = EpisodeBatch.zeros(info, 2, CPU)
    assert batch.own_state is None
    assert batch.obs.dtype == torch.uint8
    batch.obs[:, 1] = step.obs
    assert batch.state.dtype == torch.float32
    assert torch.equal(batch.state[:, 1], step.obs.flatten(1) / 255)
    assert torch.equal(as_floats(step.obs), step.obs.float() / 255)
    assert check("Parallel", case)[1]


def test_bytes_that_are_no_image_are_numbers() -> None:
    obs = build("Parallel", "bytes").reset().obs
    assert obs.dtype == torch.float32
    assert obs[0, 0].tolist() == [0, 1, 2, 3]


def test_images_can_be_learnt_from(tmp_path: Path) -> None:
    task = [f"env_args.task={HERE}:Parallel", "env_args.kwargs={case: masked image}"]
    promises = [
        "env_args.action_masks=true",
        "env_args.fixed_length=false",
        "env_args.time_limit=9",
    ]
    few = ["t_max=24", "batch_size=4", "batch_size_run=4", "train_every_episodes=4"]
    small = ["test_nepisode=2", "buffer_size=8", "show_progress=False", f"results_dir={tmp_path}"]
    for alg in ("qmix", "fop"):
        command = [f"--config={alg}", "--env-config=pettingzoo", "with", *task, *promises]
        assert main([*command, *few, *small]) == 0


# Where modules are found


def test_a_module_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = f"from {HERE} import Parallel, Gym\nparallel_env = Parallel\n"
    for name in ("my_zoo", "simple_zoo"):
        (tmp_path / f"{name}.py").write_text(code)
        config = ENVS.get("pettingzoo").config(task=name, time_limit=5)
        assert make_env("pettingzoo", config, 1, CPU, 1, "test").info.n_agents == 2
    config = ENVS.get("gymma").config(key="my_zoo:Gym")
    assert make_env("gymma", config, 1, CPU, 1, "test").info.n_agents == 2


@pytest.mark.parametrize("task", ["my_envs", "my_envs:make", "my_envs.catch"])
def test_a_stranger_is_never_installed(task: str) -> None:
    config = ENVS.get("pettingzoo").config(task=task)
    with pytest.raises(UserError, match="needs the module 'my_envs'") as error:
        make_env("pettingzoo", config, 1, CPU, 1, "test")
    assert "pip install" not in str(error.value)
    assert "mpe2" not in str(error.value)


def test_packages_that_are_known_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rware", None)
    config = ENVS.get("gymma").config(key="rware:rware-tiny-2ag-v2")
    with pytest.raises(UserError, match="`pip install rware`"):
        make_env("gymma", config, 1, CPU, 1, "test")


# Pictures


def test_a_render_that_takes_a_mode_is_asked_for_an_array() -> None:
    env = build("Gym", "shared")
    env.reset()
    assert env.scene(0).picture.shape == (20, 30, 3)


def test_without_a_display_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.python_envs.rendering.HAS_DISPLAY", False)
    env = build("Gym", "no display")
    env.reset()
    with pytest.raises(UserError, match=r"RuntimeError: no display.*apt-get install xvfb"):
        env.scene(0)


def test_a_renderer_that_lacks_a_module_says_which() -> None:
    env = build("Gym", "no renderer")
    env.reset()
    with pytest.raises(UserError, match=r"renderer needs the module 'six'.*`pip install six`"):
        env.scene(0)


# The checker's time


def test_a_slow_check_keeps_to_its_budget_and_says_so() -> None:
    lines: list[str] = []
    budget = Budget(60.0, lines.append, Slow())
    text, passes = report(*settings("Parallel", ""), budget=budget)
    assert passes
    assert budget.spent < 70
    assert "pettingzoo passes the checks that were made." in text
    assert "Not checked, because the time was spent: rules, batches of 8: what follows" in text
    assert lines[0] == "  rules, batches of 8"
    assert any("episode 1 of 3, step" in line for line in lines)


def test_the_checker_announces_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check-env", "--env-config=one_hot"]) == 0
    shown = capsys.readouterr()
    assert "Checking one_hot, for at most about 60 s:\n  rules, batches of 8\n" in shown.err
    assert shown.out.startswith("one_hot passes all checks.")
