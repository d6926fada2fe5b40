"""YAML files are found by name in the user's folders, then in the framework's."""

import os
from pathlib import Path

import pytest
from tests.config.fakes import install, write
from tests.helpers.messages import says

from config import search_path
from config.describe import first_comment
from config.load import load_config, load_recorded
from config.plain_data import dump
from config.search_path import VARIABLE, available, find_yaml, presets
from config.suite_file import read_suite
from utils.errors import ConfigError


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The current folder: an empty one beside the framework's files."""
    install(monkeypatch, tmp_path / "framework")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv(VARIABLE, raising=False)
    return here


def problems(*names: str | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(*names[:2], list(names[2:]))  # type: ignore[arg-type]
    return caught.value.problems


def test_files_of_the_current_folder_are_found_by_name(place: Path) -> None:
    alg = write(place, "configs/algs/mine.yaml", "# Mine\nmixer: vdn\n")
    env = write(place, "configs/envs/small.yaml", "env: topk\nenv_args: {n_agents: 3}\n")
    preset = write(place, "configs/presets/small/mine.yaml", "gamma: 0.5\n")
    config = load_config("mine", "small", [])
    assert (config.alg_name, config.env_name, config.preset) == ("mine", "small", "small/mine")
    assert (config.mixer, config.env_args.n_agents, config.gamma) == ("vdn", 3, 0.5)
    assert config.config_files == {"alg": str(alg), "env": str(env), "preset": str(preset)}
    assert available("algs") == ["agp", "mine", "qmix", "vdn"]
    assert presets() == ["small/mine"]
    assert first_comment("algs", "mine") == "Mine"


def test_of_two_files_of_a_name_the_first_counts_and_is_recorded(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}{os.pathsep}")
    first = write(tmp_path, "a/algs/mine.yaml", "gamma: 0.1\n")
    write(tmp_path, "b/algs/mine.yaml", "gamma: 0.2\n")
    said: list[str] = []
    config = load_config("mine", None, [], said.append)
    assert (config.gamma, config.config_files) == (0.1, {"alg": str(first)})
    assert said == [f"{first} is used, and not {tmp_path / 'b/algs/mine.yaml'}."]
    here = write(place, "configs/algs/mine.yaml", "gamma: 0.3\n")
    assert load_config("mine", None, []).config_files == {"alg": str(here)}


def test_a_file_of_the_users_goes_before_the_frameworks_and_says_so(
    place: Path, tmp_path: Path
) -> None:
    assert load_config("vdn", "topk", []).config_files == {
        "alg": "algs/vdn.yaml",
        "env": "envs/topk.yaml",
    }
    write(place, "configs/algs/vdn.yaml", "gamma: 0.3\n")
    said: list[str] = []
    assert load_config("vdn", "topk", [], said.append).gamma == 0.3
    unused = tmp_path / "framework/algs/vdn.yaml"
    assert said == [f"configs/algs/vdn.yaml is used, and not {unused}."]


def test_a_file_given_by_its_path_is_recorded_and_hides_nothing(place: Path) -> None:
    path = write(place, "vdn.yaml", "gamma: 0.3\n")
    said: list[str] = []
    assert load_config("vdn.yaml", None, [], said.append).config_files == {"alg": str(path)}
    assert said == []


def test_a_missing_name_says_what_there_is_and_where_it_looked(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a/algs/mine.yaml", "gamma: 0.1\n")
    monkeypatch.setenv(VARIABLE, "../a")
    looked = f"Looked in configs (no such folder), {tmp_path}/a and {tmp_path}/framework."
    facts = f"--config: ... algs/mime.yaml ... 'mine' ... agp, mine, qmix, vdn ... {looked}"
    assert says(problems("mime", None), [facts])
    facts = f"preset: ... 'topk/vdm' ... auto, none ... {looked}"
    assert says(problems("vdn", "topk", "preset=topk/vdm"), [facts])
    (place / "configs").mkdir()
    assert "Looked in configs, " in problems("mime", None)[0]


def test_problems_of_a_users_file_name_its_path(place: Path) -> None:
    write(place, "configs/algs/mine.yaml", "gama: 0.1\n")
    assert problems("mine", None)[0].startswith("configs/algs/mine.yaml: gama: no such setting.")
    write(place, "p.yaml", "gama: 0.1\n")
    assert problems("vdn", None, "preset=p.yaml")[0].startswith("p.yaml: gama: no such setting.")


def test_a_folder_of_the_variable_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nope"))
    said = [f"AGP_CONFIG_PATH: there is no folder '{tmp_path / 'nope'}'. Correct the variable."]
    assert problems("vdn", "topk") == said
    with pytest.raises(ConfigError) as caught:
        read_suite("small", [])
    assert caught.value.problems == said


def test_suites_are_found_in_the_same_way(place: Path) -> None:
    path = write(place, "configs/suites/mine.yaml", "runs: []\n")
    assert find_yaml("mine", "suites", "suite") == ("configs/suites/mine.yaml", path)
    assert search_path.available("suites") == ["mine"]


def test_the_record_of_the_files_is_no_setting(tmp_path: Path) -> None:
    said = "command line: config_files: a run records this; leave the setting out."
    assert problems("vdn", "topk", "config_files.alg=x") == [said]
    dump(load_config("vdn", "topk", []), tmp_path / "config.yaml")
    assert load_recorded(tmp_path, []).config_files["env"] == "envs/topk.yaml"
    with pytest.raises(ConfigError) as caught:
        load_recorded(tmp_path, ["config_files.alg=x"])
    assert said in caught.value.problems
