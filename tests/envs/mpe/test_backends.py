"""Both backends are one task: sizes, episodes, returns, contract, resumed runs, refusals."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.mpe_random_play import BEFORE, N_BEFORE, mean_and_error, protocols, returns
from tests.envs.mpe.worlds import CPU, random_actions
from tests.helpers.runs import differences, final_state, rows, tiny, train

from config.load import load_recorded
from envs.base import EnvStep
from envs.checker.report import report
from envs.mpe import _mpe2
from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import Mpe, MpeConfig
from utils.errors import SettingsError, UserError

pytest.importorskip("mpe2", reason="needs mpe2 (pip install mpe2)")
pytestmark = pytest.mark.optional_env

ON_MPE2 = {"backend": "pettingzoo"}
TASKS = [settings for name in SCENARIOS.names() for _, settings in protocols(name)]
VARIANTS = [
    {
        "scenario": "tag",
        "legacy_drop_last": True,
        "protocol": "team_vs_fixed",
        "opponent": "random",
    },
    {"scenario": "crypto", "legacy_drop_last": True, "max_cycles": 7},
    {"scenario": "reference", "local_ratio": 0.2},
    {"scenario": "spread", "local_ratio": 1.0, "max_cycles": 1},
]
CONTINUOUS = [{**settings, "continuous_actions": True} for settings in TASKS]
TOLERANCE = 1e-4


def name(settings: dict[str, Any]) -> str:
    return "-".join(map(str, settings.values()))


def both(batch_size: int, settings: dict[str, Any]) -> tuple[Mpe, Mpe]:
    """The task on mpe2 and on native worlds."""
    configs = (MpeConfig(**settings, **ON_MPE2), MpeConfig(**settings))
    reference, native = (Mpe(config, batch_size, CPU, 1, "test") for config in configs)
    return reference, native


def begin(reference: Mpe, native: Mpe) -> tuple[EnvStep, EnvStep]:
    """Episodes of mpe2, and native ones from the same states with the same luck of opponents."""
    shown = reference.reset()
    native.reset()
    n_rows = len(native.world.table) - 1
    native.world.table[:n_rows] = reference.world.table[:n_rows]
    native.world.measure()
    native.load_state_dict(reference.state_dict())
    return shown, native.observe()


def assert_same(theirs: EnvStep, ours: EnvStep) -> None:
    fields = ("obs", "state", "reward", "avail", "terminated", "truncated", "metrics")
    found, expected = ({field: getattr(x, field) for field in fields} for x in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


def test_every_scenario_has_its_task() -> None:
    assert set(_mpe2.TASKS) == set(SCENARIOS.names())


@pytest.mark.parametrize("state", ["concat", "raw"])
@pytest.mark.parametrize("settings", TASKS + VARIANTS + CONTINUOUS, ids=name)
def test_same_information(settings: dict[str, Any], state: str) -> None:
    reference, native = both(1, {**settings, "state": state})
    assert reference.info == replace(native.info, computes_on_host=True)


@pytest.mark.parametrize("state", ["concat", "raw"])
@pytest.mark.parametrize("settings", TASKS + VARIANTS, ids=name)
def test_same_episodes(settings: dict[str, Any], state: str) -> None:
    reference, native = both(3, {**settings, "state": state})
    luck = torch.Generator().manual_seed(2)
    for _ in range(2):
        assert_same(*begin(reference, native))
        for _ in range(native.info.episode_limit + 1):  # one beyond the end
            actions = random_actions(native, luck)
            assert_same(reference.step(actions), native.step(actions))


@pytest.mark.parametrize("settings", CONTINUOUS, ids=name)
def test_same_episodes_of_continuous_actions(settings: dict[str, Any]) -> None:
    test_same_episodes(settings, "raw")


def test_observations_and_rewards_are_those_of_mpe2() -> None:
    """And not what the native scenario makes of the same positions."""
    reference = Mpe(MpeConfig("tag", **ON_MPE2), 2, CPU, 1, "test")
    shown = reference.reset()
    world: Any = reference.world
    seen = world._env._live["obs"]
    assert torch.equal(shown.obs, seen)
    world.position.zero_()
    assert torch.equal(reference.observe().obs, seen)
    paid = reference.step(torch.zeros(2, 4, dtype=torch.int64)).reward
    assert torch.equal(paid, world._env._live["reward"])


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_random_play_earns_the_same(scenario: str) -> None:
    """On both backends, and as measured on mpe2 before this code was written."""
    native = returns({"scenario": scenario}, 2000).sum(dim=1)
    reference = returns({"scenario": scenario, **ON_MPE2}, 40).sum(dim=1)
    found = [mean_and_error(native), mean_and_error(reference)]
    if scenario in BEFORE:
        mean, spread = BEFORE[scenario]
        found.append((mean, spread / math.sqrt(N_BEFORE)))
        assert native.std().item() == pytest.approx(spread, rel=0.25)
    for mine, my_error in found:
        for theirs, their_error in found:
            assert abs(mine - theirs) < 4 * math.hypot(my_error, their_error) + 1e-9


CONTRACT = [
    *({"scenario": scenario, "max_cycles": 2} for scenario in SCENARIOS.names()),
    {"scenario": "tag", "protocol": "team_vs_fixed", "opponent": "scripted", "max_cycles": 2},
    {**VARIANTS[0], "state": "raw", "max_cycles": 2},
    {"scenario": "world_comm", "continuous_actions": True, "max_cycles": 2},
    {**VARIANTS[0], "continuous_actions": True, "max_cycles": 2},
]


@pytest.mark.parametrize("settings", CONTRACT, ids=name)
def test_contract(settings: dict[str, Any]) -> None:
    text, passes = report("mpe", MpeConfig(**settings, **ON_MPE2))
    assert passes, text
    assert text.startswith("mpe passes all checks."), text


@pytest.mark.parametrize("continuous", [False, True])
def test_episodes_do_not_depend_on_the_number_of_workers(continuous: bool) -> None:
    played = []
    for n_workers in (0, 2):
        config = MpeConfig("crypto", n_workers=n_workers, continuous_actions=continuous, **ON_MPE2)
        env = Mpe(config, 3, CPU, 1, "test")
        luck = torch.Generator().manual_seed(3)
        shown = [env.reset(), *(env.step(random_actions(env, luck)) for _ in range(25))]
        played.append(shown)
        env.close()
    for alone, together in zip(*played, strict=True):
        assert torch.equal(alone.obs, together.obs)
        assert torch.equal(alone.reward, together.reward)


def test_a_resumed_run_goes_on_with_the_same_episodes(tmp_path: Path) -> None:
    steps = ("test_interval=200", "log_interval=200", "checkpoint_interval=200")
    settings = ("env_args.backend=pettingzoo", *steps)
    whole = train(tiny("qmix", "mpe_tag", "t_max=400", *settings), tmp_path / "whole")
    parts = train(tiny("qmix", "mpe_tag", "t_max=200", *settings), tmp_path / "parts")
    train(load_recorded(parts, [f"resume={parts}", "t_max=400"]), parts)
    assert rows(parts)[-1] == rows(whole)[-1]
    assert differences(final_state(parts), final_state(whole)) == []


def test_workers_start_without_torch() -> None:
    code = "import sys, envs.mpe._mpe2; sys.exit('torch' in sys.modules)"
    source = Path(_mpe2.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=source, check=False).returncode == 0


def test_another_version_of_a_task_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_mpe2.TASKS, "tag", "simple_v3")
    with pytest.raises(UserError, match="pip install mpe2==") as error:
        Mpe(MpeConfig("tag", **ON_MPE2), 1, CPU, 1, "test")
    assert "mpe2.simple_v3 has" in str(error.value)


def test_settings_without_a_meaning_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_mpe2.TASKS, "push")
    for settings, text in (
        ({"precision": "float32", **ON_MPE2}, "mpe2 computes in float64. Leave it out"),
        ({"scenario": "push", **ON_MPE2}, "push is none of them. Write backend=native."),
        ({"n_workers": 2}, "2 has no use"),
        ({"n_workers": -1, **ON_MPE2}, "-1 must not be negative"),
    ):
        with pytest.raises(SettingsError) as error:
            MpeConfig(**settings)
        assert text in str(error.value)
