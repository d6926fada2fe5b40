"""Which recorded runs are of one configuration, and where they stand."""

import dataclasses
import json
from pathlib import Path

import pytest

from config.load import load_config
from config.plain_data import changes, dump, to_dict
from config.schema import RunConfig
from resume import difference, place_of, same_runs


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"a": 1}, ["env_args.kwargs={'a': 1}"]),
        ({"a": 1}, {}, ["env_args.kwargs={}"]),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"b": 1}, ["env_args.kwargs={'b': 1}"]),
    ],
)
def test_another_key_in_a_free_mapping_is_a_change(
    before: dict[str, int], after: dict[str, int], said: list[str]
) -> None:
    config = load_config("iql", "pettingzoo", [])
    old, new = (
        dataclasses.replace(config, env_args=dataclasses.replace(config.env_args, kwargs=kwargs))
        for kwargs in (before, after)
    )
    assert json.loads(json.dumps(to_dict(old)))["env_args"]["kwargs"] == before
    assert changes(to_dict(old), new, ()) == said


def test_a_setting_that_a_record_lacks_is_not_compared() -> None:
    old = to_dict(load_config("iql", "topk", []))
    del old["gamma"], old["env_args"]["k"]
    assert changes(old, load_config("iql", "topk", ["gamma=0.5", "env_args.k=1"]), ()) == []


def test_a_setting_of_a_component_is_not_ignored_for_its_name() -> None:
    old = to_dict(load_config("iql", "topk", []))
    new = load_config("iql", "topk", ["env_args.k=1"])
    assert changes(old, new, ("k",)) == ["env_args.k=1"]
    assert changes(old, new, ("env_args.k",)) == []


def recorded(config: RunConfig, number: int) -> Path:
    results, env, alg = place_of(config)
    folder = Path(results) / env / alg / f"{config.name or alg}_seed{config.seed}_{number}"
    folder.mkdir(parents=True)
    dump(config, folder / "config.yaml")
    return folder


def test_a_run_that_was_trained_with_other_settings_before_is_another_one(tmp_path: Path) -> None:
    config = load_config("iql", "topk", [f"results_dir={tmp_path}"])
    folder = recorded(config, 1)
    assert same_runs(config) == [folder]
    (folder / "changes.csv").write_text("env_steps,setting,before,after\n40,lr,0.01,0.0005\n")
    assert same_runs(config) == []
    assert difference(folder, config) == "it was trained with lr=0.01 before step 40."
    (folder / "changes.csv").write_text("damaged\n1\n")
    assert "changes.csv cannot be read" in difference(folder, config)


def test_the_newest_comes_first_and_those_of_another_name_last(tmp_path: Path) -> None:
    def config(*settings: str) -> RunConfig:
        return load_config("iql", "topk", [f"results_dir={tmp_path}", *settings])

    named = recorded(config("name=trial", "checkpoint_interval=7"), 3)
    old, new = recorded(config(), 2), recorded(config("show_progress=False"), 10)
    for other in ("seed=2", "lr=0.5", "env_args.k=1", "name=trial lr=0.5"):
        recorded(config(*other.split(" ")), 20 + len(other))
    assert same_runs(config()) == [new, old]
    assert same_runs(config(), any_name=True) == [new, old, named]
    assert same_runs(config("name=trial")) == [named]
    assert same_runs(config("t_max=7"), any_name=True) == []


def test_the_task_of_an_adapter_is_in_the_path() -> None:
    config = load_config("iql", "pettingzoo", ["env_args.task=simple_tag_v3"])
    assert place_of(config) == ("", "pettingzoo-simple_tag_v3", "iql")
    assert place_of(load_config("iql", "mpe_tag", []))[1] == "mpe_tag"
