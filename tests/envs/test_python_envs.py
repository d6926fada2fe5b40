"""Python environments: small ones worked by hand, in this process and in workers."""

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.envs.fake_envs import HERE

from envs.base import EnvironmentFailure, EnvStep, make_env
from envs.env_checker import check_env
from envs.python_envs.vector_env import VectorEnv
from envs.reward_aggregation import RewardAggregation
from utils.errors import SettingsError, UserError
from utils.registry import ENVS

CPU = torch.device("cpu")


def build(
    kind: str = "Island", b: int = 3, seed: int = 1, stream: str = "test", **settings: Any
) -> VectorEnv:
    """B environments of fake_envs.py."""
    name = "gymma" if kind in ("Field", "Limited") else "pettingzoo"
    which = {"task": f"{HERE}:{kind}"}
    if name == "gymma":
        which = {"key": f"{HERE}:fake/{kind}-v0"}
        settings = {"time_limit": 9 if kind == "Field" else 0, **settings}
    config = ENVS.get(name).config(**{**which, **settings})
    env: Any = make_env(name, config, b, CPU, seed, stream)
    return env


def first_actions(step: EnvStep) -> torch.Tensor:
    """The last available action of every agent: masks decide it."""
    places = torch.arange(step.avail.shape[2])
    return torch.where(step.avail, places, -1).amax(dim=2)


def play(env: VectorEnv, n_episodes: int = 1) -> list[EnvStep]:
    """Everything that is shown in whole episodes and one step beyond."""
    shown = []
    for _ in range(n_episodes):
        shown.append(env.reset())
        for _ in range(env.info.episode_limit + 1):
            shown.append(env.step(first_actions(shown[-1])))
    return shown


def same(a: list[EnvStep], b: list[EnvStep]) -> bool:
    names = ("obs", "state", "avail", "reward", "terminated", "truncated", "is_active")

    def equal(x: Any, y: Any) -> bool:
        return (x is None and y is None) or torch.equal(x, y)

    return len(a) == len(b) and all(
        equal(getattr(x, name), getattr(y, name))
        for x, y in zip(a, b, strict=True)
        for name in names
    )


def process_of(env: VectorEnv, worker: int) -> int:
    pid: int = env._backend._workers[worker].process.pid  # type: ignore[attr-defined]
    return pid


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process outlives its environment, even after a fault."""
    yield
    gc.collect()
    assert not multiprocessing.active_children()


def failure(**settings: Any) -> str:
    """What an environment that must fail says."""
    env = None
    try:
        env = build(**settings)
        play(env)
    except UserError as error:
        return str(error)
    finally:
        if env is not None:
            env.close()
    return pytest.fail("It did not fail.")


# Sizes


def test_unlike_agents_are_padded_and_masked():
    env = build()
    assert env.info.agent_names == ("scout", "digger", "cook")
    assert env.info.obs_dims == (4, 5, 5)
    assert env.info.action_counts == (3, 2, 6)
    assert (env.info.obs_dim, env.info.n_actions, env.info.state_dim) == (5, 6, 15)
    assert env.info.episode_limit == 5
    step = env.reset()
    assert step.obs[0, 0, 3:].tolist() == [1, 0]
    assert step.obs[0, 1].tolist() == [1, 0, 0, 0, 0]  # Discrete from 1 on
    assert step.obs[0, 2].tolist() == [1, 0, 1, 0, 0]  # MultiDiscrete; its mask is no observation
    assert torch.equal(step.state, step.obs.flatten(1))
    assert step.avail[0].int().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],  # mask in the info
        [0, 1, 1, 1, 1, 1],  # mask in the observation
    ]
    step = env.step(first_actions(step))
    assert step.avail[0, 1].tolist() == [True, True, False, False, False, False]
    assert step.avail[0, 2].tolist() == [True, False, True, True, True, True]
    assert step.obs[0, 2].tolist() == [0, 1, 0, 1, 0]
    assert step.reward[0].tolist() == [10 + 2, 110 + 1, 210 + 3]  # the cook's 5 is (2, 1)


def test_every_numbering_of_actions_reaches_the_environment():
    env = build(b=1)
    for cook in range(1, 6):
        env.reset()
        step = env.step(torch.tensor([[0, 0, cook]]))
        assert step.reward[0].tolist() == [10, 110 + 1, 210 + cook // 2 + cook % 2]


def test_own_state():
    env = build(state="env")
    steps = play(env)
    assert env.info.state_dim == 2
    assert [step.state[0, 1].item() for step in steps] == [0, 1, 2, 3, 4, 5, 5]
    assert torch.equal(steps[0].state[:, 0], steps[0].obs[:, 0, 0])
    field = build("Field", state="env")
    assert field.info.state_dim == 3
    assert field.reset().state[0].tolist()[1:] == [0, 7]


# Ends


def test_the_last_step_is_kept_and_truncated():
    steps = play(build())
    assert [step.truncated.all().item() for step in steps] == [False] * 5 + [True] * 2
    assert not any(step.terminated.any() for step in steps)
    assert steps[5].reward[0].tolist() == [50 + 2, 150 + 1, 250 + 3]
    assert steps[5].obs[0, 0, 1] == 5  # the observation after the last step
    assert steps[5].is_active.all()
    assert not steps[6].reward.any()
    assert torch.equal(steps[6].obs, steps[5].obs)


def test_terminated_is_not_truncated():
    steps = play(build(kwargs={"end": "terminated"}))
    assert steps[5].terminated.all()
    assert not steps[5].truncated.any()
    assert steps[5].reward[0].tolist() == [52, 151, 253]


@pytest.mark.parametrize("limit", [3, 9])
def test_the_nearer_limit_holds(limit):
    env = build(time_limit=limit)
    assert env.info.episode_limit == min(limit, 5)
    steps = play(env)
    last = steps[env.info.episode_limit]
    assert last.truncated.all()
    assert last.reward.all()
    assert not steps[env.info.episode_limit - 1].truncated.any()


def test_unequal_lengths():
    steps = play(build(b=8, kwargs={"random_length": True, "length": 6}))
    ended = torch.stack([step.truncated for step in steps])  # [T, B]
    first = ended.int().argmax(dim=0)
    assert len(set(first.tolist())) > 2
    for b, t in enumerate(first.tolist()):
        assert ended[t:, b].all()
        assert steps[t].reward[b, 0] == 10 * t + 2
        assert not any(step.reward[b].any() for step in steps[t + 1 :])


def test_agents_that_die():
    env = build("DeadlyIsland")
    assert env.info.varying_team
    steps = play(env)
    active = [step.is_active[0].tolist() for step in steps]
    all_three, cook = [True] * 3, [False, False, True]
    assert active == [all_three, all_three, [True, False, True], cook, cook, cook, cook]
    assert steps[2].reward[0, 1] == 120 + 2  # what the digger got when it died
    assert steps[3].reward[0].tolist()[:2] == [30 + 2, 0]
    for step in steps[3:]:
        assert not step.obs[0, :2].any()
        assert step.avail[0, :2].int().tolist() == [[1, 0, 0, 0, 0, 0]] * 2
    assert steps[5].truncated.all()


def test_the_last_reward_of_a_leaver_counts_in_the_sum():
    env = RewardAggregation(build("DeadlyIsland", b=1), "sum")
    step, sums = env.reset(), []
    for _ in range(3):
        step = env.step(first_actions(step))
        sums.append(step.reward.item())
    assert sums == [12 + 111 + 213, 22 + 122 + 223, 32 + 233]


def test_mixed_end_is_truncated_without_the_dead():
    last = play(build("MixedEnd"))[5]
    assert last.truncated.all()
    assert not last.terminated.any()
    assert last.is_active[0].tolist() == [True, False, True]


# Gymnasium's style


def test_field():
    env = build("Field")
    assert (env.info.obs_dims, env.info.action_counts) == ((2, 3), (3, 4))
    assert env.info.agent_names == ("agent_0", "agent_1")
    assert not env.info.varying_team
    steps = play(env)
    assert steps[0].is_active is None
    assert [step.terminated[0].item() for step in steps[:5]] == [False] * 4 + [True]
    assert [step.reward[0].tolist() for step in steps[3:6]] == [[32, 34], [42, 44], [0, 0]]


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
@pytest.mark.parametrize("flags", ["single", "list"])
def test_flags(flags, ends):
    last = play(build("Field", kwargs={"flags": flags, "ends": ends}))[4]
    assert getattr(last, ends).all()
    other = {"terminated", "truncated"} - {ends}
    assert not getattr(last, other.pop()).any()


@pytest.mark.parametrize("varying", [False, True])
def test_one_flag_after_the_other(varying):
    settings = {"flags": "one_by_one", "ends": "terminated"}
    steps = play(build("Field", kwargs=settings, varying_team=varying))
    assert not steps[4].terminated.any()
    assert steps[5].terminated.all()
    if varying:
        assert [step.is_active[0].tolist() for step in steps[3:5]] == [[True] * 2, [False, True]]


@pytest.mark.parametrize("masks", ["info", "obs"])
def test_masks_of_a_field(masks):
    step = build("Field", kwargs={"masks": masks}).reset()
    assert step.avail[0, 0].tolist() == [True, False, False, False]
    assert step.avail[0, 1].tolist() == [False] * 3 + [True] if masks == "info" else [True] * 4


def test_one_reward_is_everybodys():
    assert play(build("Field", kwargs={"shared": True}))[2].reward[0].tolist() == [20, 20]


def test_registered_limit_and_the_users():
    env = build("Limited")
    assert env.info.episode_limit == 3
    assert play(env)[3].truncated.all()
    env = build("Limited", time_limit=6)
    assert env.info.episode_limit == 6
    steps = play(env)
    assert not steps[5].truncated.any()
    assert steps[6].truncated.all()


# Seeds, workers, saved states


def test_each_copy_and_episode_has_its_own_seed():
    first = build(b=3)
    weather = torch.stack([first.reset().obs[:, 0, 0] for _ in range(3)])
    assert weather.unique().numel() == 9
    others = (build(seed=2), build(stream="other"))
    assert not any(torch.isin(env.reset().obs[:, 0, 0], weather).any() for env in others)
    assert torch.equal(build(b=3).reset().obs[:, 0, 0], weather[0])
    assert torch.equal(build(b=2).reset().obs[:, 0, 0], weather[0, :2])


WORLDS: list[tuple[str, dict[str, Any]]] = [
    ("Island", {"kwargs": {"random_length": True}}),
    ("DeadlyIsland", {"state": "env"}),
    ("LuckyIsland", {"metrics": {"wood": "logs"}, "kwargs": {"end": "terminated"}}),
    ("Field", {"kwargs": {"flags": "one_by_one", "masks": "info"}, "varying_team": True}),
]


@pytest.mark.parametrize(("kind", "settings"), WORLDS)
def test_workers_play_the_same_episodes(kind, settings):
    here, there = (build(kind, b=5, n_workers=w, **settings) for w in (0, 2))
    assert same(play(here, 2), play(there, 2))
    there.load_state_dict(here.state_dict())
    assert same(play(here), play(there))
    there.close()


@pytest.mark.parametrize(("kind", "settings"), [*WORLDS, ("MixedEnd", {})])
def test_checker_passes(kind, settings):
    assert check_env(lambda b, seed, stream, _: build(kind, b, seed, stream, **settings)) == []


def test_checker_passes_with_workers():
    def make(b, seed, stream, _):
        return build("LuckyIsland", b, seed, stream, n_workers=2)

    assert check_env(make) == []


def test_an_environment_that_keeps_state_is_rebuilt():
    def make(b, seed, stream, _, rebuild=False):
        return build("Remembering", b, seed, stream, rebuild=rebuild)

    (violation,) = check_env(make)
    assert "After load_state_dict into" in violation
    assert check_env(lambda *given: make(*given, rebuild=True)) == []


def test_promises_that_hold():
    settings = {"varying_team": False, "action_masks": False, "fixed_length": True}
    kwargs = {"length": 9, "ends": "truncated"}

    def make(b, seed, stream, _):
        return build("Field", b, seed, stream, kwargs=kwargs, **settings)

    assert check_env(make) == []
    info = make(1, 1, "test", None).info
    assert (info.varying_team, info.dynamic_avail, info.fixed_length) == (False, False, True)


def test_metrics_at_the_end():
    steps = play(build(metrics={"wood": "logs"}, kwargs={"length": 3}))
    assert steps[3].metrics["wood"].tolist() == [6, 6, 6]
    assert play(build("Field", metrics={"won": "x"}))[4].metrics["won"].tolist() == [4, 4, 4]


def test_settings_out_of_range():
    config = ENVS.get("pettingzoo").config
    with pytest.raises(SettingsError, match=r"n_workers: -1 .*timeout: -2"):
        config(n_workers=-1, timeout=-2)
    with pytest.raises(SettingsError, match=r"on_worker_error: 'restart' needs workers"):
        config(on_worker_error="restart")


# What goes wrong


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_crash_is_reported_with_its_place(n_workers):
    kwargs = {"fault": "crash", "above": 0.5}
    seeds = build(b=4)
    weather = seeds.reset().obs[:, 0, 0]
    text = failure(b=4, n_workers=n_workers, kwargs=kwargs)
    copy = int(re.search(r"in step 2 of environment (\d)", text)[1])  # type: ignore[index]
    assert weather[copy] > 0.5
    assert f"reset(seed={seeds._backend.arrays.seeds[copy]})" in text
    assert "RuntimeError: a wave took the scout" in text
    assert "fake_envs.py" in text
    assert "in misbehave" in text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", r"shape \(1,\) has 1 entries; its space has 4"),
        ("nan", r"observation of agent 0 is not finite at 1"),
        ("missing", r"observations lack 'scout'. Their keys must be the agents"),
        ("mask", r"action_mask of 'cook' allows no action"),
        ("none", r"the reward of 'scout' is no array of numbers, but of type object"),
        ("stranger", r"env.agents has 'stranger'"),
        ("four", r"step returned 4 values; it must return a tuple of 5: observations, rewards"),
        ("words", r"observation is no array of numbers, but of type <U1"),
        ("fraction", r"observation is 1.5; its space has 5 values"),
        ("long", r"observation has 7 entries; its space has 2"),
        ("endless", r"reward of agent 0 is inf"),
        ("ended", r"terminations\['scout'\] is 'no', neither true nor false"),
        ("nothing", r"observations are None; they must be a dict with agents as keys"),
        ("range", r"action_mask of 'cook' is \[1, 1, 7, 1, 1, 1\]; it must be 6 flags"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_nonsense_is_told(fault, said):
    text = failure(kwargs={"fault": fault})
    assert re.search(said, text)
    assert re.search(
        r"step 2 of environment \d, whose episode began with reset\(seed=\d+\): ", text
    )


def test_nonsense_in_states_and_metrics_is_told():
    assert "the state is nan at 0" in failure(kwargs={"fault": "state"}, state="env")
    settings = {"kwargs": {"fault": "metric", "length": 2}, "metrics": {"wood": "logs"}}
    assert "the metric 'wood' is nan" in failure(**settings)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("die", r"\(exit code 3\)$"),
        ("segfault", r"(?s)\(killed by SIGSEGV\):\n.*fake_envs.py\", line \d+ in misbehave"),
    ],
)
def test_a_worker_that_dies_is_told(fault, said):
    text = failure(n_workers=2, kwargs={"fault": fault, "above": 0})
    assert re.search(
        r"step 2 of environment \d, .*reset\(seed=\d+\): its worker process died", text
    )
    assert re.search(said, text)


def test_a_worker_that_is_killed_is_told():
    env = build(n_workers=2)
    env.reset()
    os.kill(process_of(env, 1), signal.SIGKILL)
    with pytest.raises(EnvironmentFailure, match="killed by SIGKILL"):
        play(env)


def test_a_worker_that_hangs_is_told():
    started = time.monotonic()
    text = failure(n_workers=2, timeout=0.5, kwargs={"fault": "hang", "above": 0})
    assert re.search(r"step 2 of environment 0.*no answer within 0.5 seconds", text)
    assert "env_args.timeout" in text
    assert re.search(r"fake_envs.py\", line \d+ in misbehave", text)  # where it hangs
    assert time.monotonic() - started < 15


def test_a_constructor_that_fails_is_told():
    text = failure(kwargs={"at": "build"})
    assert "failed while it was built" in text
    assert "RuntimeError: the island sank" in text


def test_broken_promises_are_told():
    assert "varying_team=true" in failure(kind="DeadlyIsland", varying_team=False)
    text = failure(varying_team=False, action_masks=False)
    assert text.endswith("Write env_args.action_masks=true.")
    assert "Traceback" not in text
    text = failure(fixed_length=True, kwargs={"random_length": True})
    assert "env_args.fixed_length=false" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"task": "no_such_package.spread"}, "add that folder to PYTHONPATH"),
        ({"task": "tests.envs.fake_env"}, "Did you mean 'fake_envs'?"),
        ({"task": f"{HERE}:Iland"}, "has no function 'Iland'"),
        ({"task": HERE}, "has no function 'parallel_env'"),
        ({"kind": "Turns"}, "takes turns"),
        ({"kind": "Continuous"}, "actions of agent 'scout' are Box"),
        ({"kwargs": {"length": 0}}, "Write env_args.time_limit=<steps>"),
        (
            {"metrics": {"gold": "x"}},
            "names 'gold', but the info at the end of an episode has wood",
        ),
        ({"kind": "Field", "key": "no_such_package:A-v0"}, "does not hold it. If it is yours"),
        ({"kind": "Field", "key": f"{HERE}:fake/Feld-v0"}, "env_args.key=<module>:<name>"),
        ({"kind": "Field", "key": "gymnasium:CartPole-v1"}, "not a Tuple with one space per agent"),
        ({"kind": "Field", "kwargs": {"old": True}}, "step returned 4 values"),
    ],
)
def test_what_cannot_work_is_told(settings, said):
    assert said in failure(**settings)


# Workers that are restarted


def build_restarting(fault: str, **settings: Any) -> VectorEnv:
    """Two environments in each of two workers; they fail in step 2 where the weather is bad."""
    kwargs = {"fault": fault, "above": 0.7, "random_length": True, **settings.pop("kwargs", {})}
    given = {"b": 4, "n_workers": 2, "on_worker_error": "restart", **settings}
    return build(kwargs=kwargs, **given)


@pytest.mark.parametrize("fault", ["crash", "kill", "hang"])
def test_a_worker_is_restarted_and_its_episodes_are_lost(fault, caplog):
    env = build_restarting(fault, seed=5, timeout=1.0 if fault == "hang" else 60.0)
    calm = build(b=4, seed=5, kwargs={"random_length": True})
    pids = {process_of(env, w) for w in range(2)}
    n_faults = n_kept = 0
    for _ in range(3):
        step, expected = env.reset(), calm.reset()
        assert env._backend.arrays.seeds.tolist() == calm._backend.arrays.seeds.tolist()
        assert step.lost is None
        bad = (expected.obs[:, 0, 0] > 0.7).view(2, 2).any(dim=1).repeat_interleave(2)
        for t in range(1, 6):
            actions = first_actions(expected)
            step, expected = env.step(actions), calm.step(actions)
            lost = step.lost if step.lost is not None else torch.zeros(4, dtype=torch.bool)
            assert not (lost & ~bad).any()
            for name in ("obs", "state", "avail", "reward", "terminated", "truncated"):
                shown, wanted = getattr(step, name), getattr(expected, name)
                assert torch.equal(shown[~lost], wanted[~lost]), name
            for name in ("obs", "state", "reward", "terminated"):
                assert not getattr(step, name)[lost].any()
            assert step.truncated[lost].all()
            assert (step.avail[lost].sum(dim=2) == torch.tensor(env.info.action_counts)).all()
            assert t > 1 or not lost.any()
        n_faults += int(lost.view(2, 2).any(dim=1).sum())
        n_kept += int((lost.view(2, 2).sum(dim=1) == 1).sum())  # whose episode had ended
    assert n_faults == len(caplog.records) > n_kept > 0
    text = caplog.text
    for said in ("(1 of env_args.max_restarts=20)", "nor counted: 2.", "in step 2 of environment"):
        assert said in text
    assert "SIGKILL" in text if fault == "kill" else "in misbehave" in text
    assert {process_of(env, w) for w in range(2)} != pids
    assert env.state_dict() == calm.state_dict()  # what a resumed run goes on with
    env.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kwargs": {"at": "reset"}}, r"in reset of environment 0.*restarted 2 times before"),
        ({"kwargs": {"above": 0}, "max_restarts": 0}, r"in step 2 .* allows no more"),
        (
            {"kwargs": {"at": "rebuild", "above": 0}},
            r"while environment . was built again.*had sunk",
        ),
    ],
)
def test_a_worker_that_keeps_failing_ends_it(settings, said, tmp_path):
    settings["kwargs"]["mark"] = str(tmp_path / "mark")
    env = build_restarting("crash", **{"max_restarts": 2, **settings})
    with pytest.raises(EnvironmentFailure, match=f"(?s){said}"):
        play(env, 5)


def test_a_broken_promise_is_not_tried_again(caplog):
    env = build_restarting("", fixed_length=True)
    with pytest.raises(EnvironmentFailure, match=r"Write env_args.fixed_length=false\.$"):
        play(env, 5)
    assert not caplog.records


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs Linux")
def test_no_shared_memory_is_left():
    def semaphores(env: VectorEnv) -> set[Path]:
        members = env._backend._workers  # type: ignore[attr-defined]
        names = [lock._semlock.name for member in members for lock in (member.go, member.done)]
        return {Path(f"/dev/shm/sem.{name.removeprefix('/')}") for name in names}

    env = build_restarting("kill", n_workers=1, b=1, kwargs={"above": 0})
    first = semaphores(env)
    play(env)
    second = semaphores(env)
    assert not [path for path in first if path.exists()]
    assert all(path.exists() for path in second)
    env.close()
    assert not [path for path in second if path.exists()]
    assert not list(Path("/dev/shm").glob(f"pym-{os.getpid()}-*"))  # the block has no name


def test_signals_that_stop_a_job_are_left_to_the_run():
    env = build(n_workers=2)
    env.reset()
    server: Any = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined]
    for pid in (
        server._forkserver_pid,
        *(child.pid for child in multiprocessing.active_children()),
    ):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
    assert play(env)[5].truncated.all()
    env.close()


def test_an_environment_left_open_does_not_hold_up_the_end():
    program = (
        "import weakref\nfinalizer = weakref.finalize(weakref, int)\n"  # before the workers' own
        "import torch\n"
        "from envs.pettingzoo import PettingZoo, PettingZooConfig\n"
        f"config = PettingZooConfig(task='{HERE}:Island', n_workers=1)\n"
        "env = PettingZoo(config, 1, torch.device('cpu'), 1, 'test')\n"
        "env.reset()\nprint('done')"
    )
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), str(root / "src")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_closing():
    env = build(n_workers=2)
    env.reset()
    assert len(multiprocessing.active_children()) == 2
    env.close()
    env.close()
    assert not multiprocessing.active_children()
    for closed in (env, build()):
        closed.close()
        with pytest.raises(EnvironmentFailure, match="has been closed"):
            closed.reset()


def test_an_environment_that_is_forgotten_ends_its_workers():
    env = build(n_workers=1)
    env.reset()
    del env
    gc.collect()
    assert not multiprocessing.active_children()
