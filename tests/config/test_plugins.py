"""Components outside the tree, in a project of the user's own."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir
from pathlib import Path

import pytest
import torch
import yaml
from tests.helpers.runs import rows, tiny, train

from config.combinations import check_combination
from config.describe import list_text
from config.help_topics import about
from config.load import load_config, load_recorded
from config.plain_data import dump, to_dict
from config.suite_file import read_suite
from envs.base import make_env
from main import main
from policy import load_policy
from resume import find_run
from utils import plugins
from utils.errors import ConfigError, UserError
from utils.registry import MIXERS, REGISTRIES

MIXER = '''"""{summary}."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from my_helper import SCALE
from utils.errors import validate
from utils.registry import MIXERS


@dataclass(frozen=True)
class ScaledConfig:
    """Settings of the mixer."""

    factor: float = SCALE  # what the sum is multiplied by

    def __post_init__(self) -> None:
        validate((self.factor <= 0, "factor", f"{{self.factor}} must be above 0."))


@MIXERS.register("{name}", config=ScaledConfig)
class Scaled(nn.Module):
    """A scaled sum."""

    needs_team_reward = True

    def __init__(self, config: Any, n_agents: int, state_dim: int):
        super().__init__()
        self.factor = config.factor

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        return self.factor * q_taken.sum(dim=2, keepdim=True)
'''
ENV = '''"""An island whose environments are stepped by worker processes."""

from dataclasses import dataclass

from envs.pettingzoo import PettingZoo, PettingZooConfig
from utils.registry import ENVS


@dataclass(frozen=True)
class MyIslandConfig(PettingZooConfig):
    """Settings of the island."""

    task: str = "my_world:Flat"  # module:function
    n_workers: int = 2  # processes


@ENVS.register("my_island", config=MyIslandConfig)
class MyIsland(PettingZoo):
    """An island."""
'''
WORLD = '''"""What workers import."""

import numpy as np
from gymnasium.spaces import Box, Discrete


class Flat:
    possible_agents = ["a", "b"]
    max_cycles = 3

    def observation_space(self, agent):
        return Box(0, 9, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return self.seen(), {agent: {} for agent in self.agents}

    def seen(self):
        return {agent: np.array([self.t], dtype=np.float32) for agent in self.agents}

    def step(self, actions):
        self.t += 1
        seen, each = self.seen(), dict.fromkeys(self.agents, False)
        reward = {agent: float(actions[agent]) for agent in self.agents}
        truncated = dict.fromkeys(self.agents, self.t == 3)
        if self.t == 3:
            self.agents = []
        return seen, reward, each, truncated, {agent: {} for agent in each}

    def close(self):
        pass
'''
FILES = {
    "my_helper.py": "SCALE = 2.0\n",
    "my_mixer.py": MIXER.format(summary="In a file", name="my_mixer"),
    "my_package/my_mixer.py": MIXER.format(summary="In a package", name="my_mixer"),
    "my_package/_private.py": MIXER.format(summary="No component", name="_private"),
    "my_island.py": ENV,
    "my_world.py": WORLD,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project beside the checkout; what it adds to this process goes with the test."""
    folder = tmp_path / "project"
    for name, text in FILES.items():
        write(folder / name, text)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    monkeypatch.setattr(plugins, "_named", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    forget(tmp_path)


def forget(folder: Path) -> None:
    """Let this process forget the modules and components below a folder."""
    for registry in REGISTRIES.values():
        for name, component in list(registry._known.items()):
            if component.outside:
                del registry._known[name]
    for name, module in list(sys.modules.items()):
        if name == "my_package" or str(getattr(module, "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def problems(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config("vdn", "topk", list(overrides))
    return caught.value.problems


NAMED: dict[str, Callable[[Path, pytest.MonkeyPatch], list[str]]] = {
    "by the setting": lambda folder, patch: [f"plugins={folder}"],
    "by the variable": lambda folder, patch: patch.setenv(plugins.VARIABLE, str(folder)) or [],
    "as the current folder": lambda folder, patch: patch.chdir(folder) or [],
}


@pytest.mark.parametrize("how", NAMED)
@pytest.mark.parametrize("name", ["my_mixer", "my_package.my_mixer"])
def test_a_component_is_found_and_its_settings_are_checked(
    how: str, name: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*NAMED[how](project, monkeypatch), f"mixer={name}"]
    config = load_config("vdn", "topk", overrides)
    check_combination(config)
    assert (config.mixer, config.mixer_args.factor) == (name, 2.0)
    assert config.plugins == str(project)
    path = project / (name.replace(".", "/") + ".py")
    assert config.plugin_files == {"mixer": plugins.fingerprint(path)}
    assert problems(*overrides, "mixer_args.fctor=1", "mixer_args.factor=-1") == [
        "command line: mixer_args.fctor: no such setting. Did you mean 'factor'? "
        f"{name} takes: factor.",
        "command line: mixer_args.factor: -1.0 must be above 0.",
    ]


def test_an_installed_package_needs_no_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)  # as PYTHONPATH would
    config = load_config("vdn", "topk", ["mixer=my_package.my_mixer"])
    assert config.plugins == ""
    assert config.plugin_files.keys() == {"mixer"}


def test_they_are_listed(project: Path) -> None:
    assert "my_mixer" not in list_text()
    text = list_text(str(project))
    listed = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  "))
    assert listed["my_mixer"] == "In a file."
    assert listed["my_package.my_mixer"] == "In a package."
    assert listed["my_island"] == "An island whose environments are stepped by worker processes."
    assert "No component" not in text
    assert "my_mixer" not in MIXERS.built_in_names()
    assert set(MIXERS.names()) > {"my_mixer", "my_package.my_mixer", "qmix"}
    assert main(["--list", "with", f"plugins={project}/nowhere"]) == 2


def test_a_run_finds_them_again_wherever_it_is_resumed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    run_dir = train(tiny("vdn", "topk", "mixer=my_package.my_mixer"), tmp_path / "run")
    recorded = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert recorded["plugins"] == str(project)
    monkeypatch.chdir(tmp_path)
    assert load_recorded(run_dir, []).mixer == "my_package.my_mixer"
    assert load_policy(run_dir).config.plugin_files == recorded["plugin_files"]
    trained = len(rows(run_dir))
    assert main(["with", f"resume={run_dir}", "t_max=128"]) == 0
    assert len(rows(run_dir)) > trained

    moved = project.rename(tmp_path / "moved")
    forget(tmp_path)
    with pytest.raises(ConfigError, match=f"plugins: there is no folder '{project}'"):
        load_recorded(run_dir, [])
    assert load_recorded(run_dir, [f"plugins={moved}"]).plugins == str(moved)


def test_a_changed_file_is_reported_and_is_another_configuration(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (f"plugins={project}", "mixer=my_mixer", f"results_dir={tmp_path}")
    config = tiny("vdn", "topk", *settings)
    run_dir = train(config, tmp_path / "topk" / "vdn" / "vdn_seed1_1")
    old, path = config.plugin_files["mixer"], project / "my_mixer.py"
    capsys.readouterr()
    load_policy(run_dir)
    assert capsys.readouterr().err == ""
    path.write_text(path.read_text() + "# changed\n")
    new = plugins.fingerprint(path)
    warning = (
        f"warning: {path} is not the file that this run was trained with: its hash is {new}, and "
        f"{old} was recorded.\n"
    )
    assert main(["with", "evaluate=True", f"checkpoint_path={run_dir}"]) == 0
    assert capsys.readouterr().err == warning
    load_policy(run_dir)
    assert capsys.readouterr().err == warning

    with ExitStack() as held:
        assert find_run(tiny("vdn", "topk", "resume=auto", *settings), held) is None
    assert f"is skipped: here plugin_files={{'mixer': '{new}'}}." in capsys.readouterr().err
    assert main(["with", f"resume={run_dir}", "t_max=128"]) == 0
    assert capsys.readouterr().err == warning
    assert load_recorded(run_dir, []).plugin_files == {"mixer": new}


def test_an_older_record_without_these_settings_is_read(tmp_path: Path) -> None:
    config = load_config("vdn", "topk", [])
    dump(config, tmp_path / "config.yaml")
    data = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (data.pop("plugins"), data.pop("plugin_files")) == ("", {})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
    assert to_dict(load_recorded(tmp_path, [])) == to_dict(config)


def test_hashes_are_recorded_and_not_set(project: Path) -> None:
    today = plugins.fingerprint(project / "my_mixer.py")
    settings = (f"plugins={project}", "mixer=my_mixer")
    assert problems(*settings, "plugin_files.mixer=0") == [
        f"command line: plugin_files: the files are now {{'mixer': '{today}'}}. A run records "
        "this; leave the setting out."
    ]


def test_worker_processes_import_an_environment_of_the_project(project: Path) -> None:
    with chdir(project):
        config = load_config("vdn", None, ["env=my_island"])
    sizes = (2, torch.device("cpu"), 1, "test_env")
    env = make_env(config.env, config.env_args, *sizes)  # in another folder by now
    try:
        env.reset()
        step = env.step(torch.tensor([[1, 0], [1, 1]]))
        assert step.reward.tolist() == [[1.0, 0.0], [1.0, 1.0]]
        assert step.obs.flatten().tolist() == [1.0] * 4
    finally:
        env.close()


def test_the_environment_of_a_project_can_be_checked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "my_island.yaml", "env: my_island\nenv_args: {n_workers: 0}\n")
    with chdir(project):
        assert main(["--env-config=my_island.yaml", "--check-env"]) == 0
    assert capsys.readouterr().out.startswith("my_island passes all checks.")


MISTAKES = {
    "no such file": (
        {},
        "my_mixr",
        "there is no mixer 'my_mixr'. Did you mean 'my_mixer'? Available: fop, my_mixer, "
        "my_package.my_mixer, none, qmix, qplex, vdn.",
    ),
    "nothing like it": (
        {},
        "zzz.yyy",
        "there is no mixer 'zzz.yyy'. Available: fop, my_mixer, my_package.my_mixer, none, qmix, "
        "qplex, vdn. Yours are looked for in {folder} (setting `plugins`).",
    ),
    "a plain name is no module of Python": ({}, "json", "there is no mixer 'json'. Available: "),
    "a module that registers nothing": (
        {},
        "json.tool",
        '{json}/tool.py has no class below `@MIXERS.register("tool")`. Write it above the class.',
    ),
    "another slot": (
        {},
        "my_island",
        '{folder}/my_island.py has no class below `@MIXERS.register("my_island")`. Write it above '
        "the class.",
    ),
    "no decorator": (
        {"ws9.py": '"""Mine."""\n\nclass Ws9:\n    """Mine."""\n'},
        "ws9",
        '{folder}/ws9.py has no class below `@MIXERS.register("ws9")`. Write it above the class.',
    ),
    "another name": (
        {"other.py": MIXER.format(summary="Misnamed", name="one")},
        "other",
        "{folder}/other.py does not register the mixer 'other': the name given to `.register(...)` "
        "must be the file's name.",
    ),
    "the name of a module of ours": (
        {"run.py": MIXER.format(summary="Taken", name="run")},
        "run",
        "{folder}/run.py cannot be imported as 'run', because Python has another module of that "
        "name ({source}/run.py). Rename the file.",
    ),
    "the name of a component of ours": (
        {"qmix.py": MIXER.format(summary="Taken", name="qmix")},
        "qmix",
        "the mixer 'qmix' is loaded from the tree, and {folder}/qmix.py registers the same name. "
        "Rename that file and the name it registers.",
    ),
    "settings that are no frozen dataclass": (
        {"loose.py": MIXER.format(summary="Loose", name="loose").replace("(frozen=True)", "")},
        "loose",
        "the settings of mixer 'loose' must be a frozen dataclass. Write `@dataclass(frozen=True)` "
        "above the class given as `config`.",
    ),
    "a missing package": (
        {"needy.py": '"""Needs."""\nimport surely_not_there.part\n'},
        "needy",
        "{folder}/needy.py imports 'surely_not_there', which is not installed, and {folder} does "
        "not hold it. Install the package that it belongs to, or put its file there.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_reported_clearly(case: str, project: Path) -> None:
    files, name, text = MISTAKES[case]
    for file, content in files.items():
        write(project / file, content)
    (problem,) = problems(f"plugins={project}", f"mixer={name}")
    places = {"source": plugins.SOURCE, "json": Path(json.__file__).resolve().parent}
    expected = text.format(folder=project, **places)
    assert problem.startswith(f"command line: mixer: {expected}"), problem
    assert "pip install" not in problem


BROKEN = "from utils.registry import MIXERS\ndef (\n"
WRONG: dict[str, tuple[dict[str, str], str, str]] = {
    "a missing module of the project": (
        {"wrong.py": '"""Wrong."""\nimport my_package.gone\n'},
        "ModuleNotFoundError: No module named 'my_package.gone'",
        "{folder}/wrong.py:2: import my_package.gone",
    ),
    "a missing module of the framework": (
        {"wrong.py": "import utils.gone\n"},
        "ModuleNotFoundError: No module named 'utils.gone'",
        "{folder}/wrong.py:1: import utils.gone",
    ),
    "a name that a module of the framework lacks": (
        {"wrong.py": "from utils.seeding import gone\n"},
        "ImportError: cannot import name 'gone' from 'utils.seeding' ({source}/utils/seeding.py)",
        "{folder}/wrong.py:1: from utils.seeding import gone",
    ),
    "no valid Python": (
        {"wrong.py": BROKEN},
        "SyntaxError: invalid syntax (wrong.py, line 2)",
        "{folder}/wrong.py:2: def (",
    ),
    "a helper that is no valid Python": (
        {"wrong.py": "import half\n", "half.py": BROKEN},
        "SyntaxError: invalid syntax (half.py, line 2)",
        "{folder}/wrong.py:1: import half\n    {folder}/half.py:2: def (",
    ),
    "an error in a helper, below a line of the framework": (
        {
            "wrong.py": "import half\nimport utils.seeding\n\nhalf.call(half.fail)\n",
            "half.py": "from utils.errors import validate\n\n\ndef fail():\n"
            '    raise RuntimeError("Too bad.")\n\n\ndef call(function):\n    function()\n',
        },
        "RuntimeError: Too bad",
        "{folder}/wrong.py:4: half.call(half.fail)\n    {folder}/half.py:9: function()\n"
        '    {folder}/half.py:5: raise RuntimeError("Too bad.")',
    ),
    "an error in a library": (
        {"wrong.py": "import json\n\njson.loads('')\n"},
        "JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "{folder}/wrong.py:3: json.loads('')",
    ),
    "a failed assertion": (
        {"wrong.py": "assert False\n"},
        "AssertionError",
        "{folder}/wrong.py:1: assert False",
    ),
    "an exit": (
        {"wrong.py": "import sys\nsys.exit(0)\n"},
        "SystemExit: 0",
        "{folder}/wrong.py:2: sys.exit(0)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_while_importing_names_the_lines_of_the_project(case: str, project: Path) -> None:
    files, raised, lines = WRONG[case]
    for file, content in files.items():
        write(project / file, content)
    text = (
        "command line: mixer: the mixer 'wrong' cannot be loaded: importing {folder}/wrong.py "
        f"raised {raised}. Correct it at the last of these lines:\n    {lines}"
    )
    folder = f"plugins={project}"
    assert problems(folder, "mixer=wrong") == [text.format(folder=project, source=plugins.SOURCE)]
    assert load_config("vdn", "topk", [folder]).mixer == "vdn"


def test_only_the_last_lines_are_shown(project: Path) -> None:
    text = "def f(n):\n    return f(n - 1) if n else 1 / 0\n\n\nf(9)\n"
    write(project / "my_package" / "deep.py", text)
    (problem,) = problems(f"plugins={project}", "mixer=my_package.deep")
    path = project / "my_package" / "deep.py"
    assert problem == (
        f"command line: mixer: the mixer 'my_package.deep' cannot be loaded: importing {path} "
        "raised ZeroDivisionError: division by zero. Correct it at the last of these lines:"
        + f"\n    {path}:2: return f(n - 1) if n else 1 / 0"
        * 3
    )


def test_a_suite_reports_an_error_of_an_import_with_its_block(project: Path) -> None:
    write(project / "wrong.py", "assert False\n")
    suite = project / "mine.yaml"
    write(suite, "runs: [{algs: [vdn], envs: [topk], seeds: [1], with: {mixer: wrong}}]\n")
    with pytest.raises(ConfigError) as caught:
        read_suite(str(suite), [f"plugins={project}"])
    (problem,) = caught.value.problems
    assert problem.startswith(f"{suite}: block 1: with: mixer: the mixer 'wrong' ")


def test_a_command_ends_without_a_traceback(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "wrong.py", "assert False\n")
    settings = ("with", f"plugins={project}", "mixer=wrong")
    assert main(["--config=vdn", "--env-config=topk", *settings]) == 2
    assert capsys.readouterr().err == (
        "error: 1 problem with the configuration:\n"
        "  * command line: mixer: the mixer 'wrong' cannot be loaded: importing "
        f"{project}/wrong.py raised AssertionError. Correct it at the last of these lines:\n"
        f"    {project}/wrong.py:1: assert False\n"
    )


@pytest.mark.parametrize("place", ["old.py", "notes/old.py"])
def test_a_file_that_is_not_python_hides_no_other_mistake(place: str, project: Path) -> None:
    write(project / place, BROKEN)
    assert "my_mixer" in list_text(str(project))
    assert load_config("vdn", "topk", [f"plugins={project}", "mixer=my_mixer"]).mixer == "my_mixer"
    folder = f"plugins={project}"
    assert problems(folder, "mixer=vdnn") == [
        "command line: mixer: there is no mixer 'vdnn'. Did you mean 'vdn'? Available: fop, "
        "my_mixer, my_package.my_mixer, none, qmix, qplex, vdn."
    ]
    assert problems(folder, "mixer_args.factor=3") == [
        "command line: mixer_args.factor: `vdn` takes no `factor`; `my_mixer` and "
        "`my_package.my_mixer` do: to switch mixer write `with mixer=my_mixer`."
    ]
    assert problems(folder, "mixer_args.x=3") == [
        "command line: mixer_args.x: no such setting. vdn takes no settings."
    ]


def test_a_listing_warns_of_a_file_that_is_not_python(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "half.py", BROKEN)
    assert main(["--list", "with", f"plugins={project}"]) == 0
    out, err = capsys.readouterr()
    assert "my_mixer" in out
    assert err == (
        f"warning: {project}/half.py is not valid Python: invalid syntax (half.py, line 2). "
        "Correct it, or move it. It is not listed.\n"
    )


def test_help_on_a_file_that_is_not_python_names_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "half.py", BROKEN)
    monkeypatch.chdir(project)
    with pytest.raises(UserError) as caught:
        about("half")
    assert str(caught.value) == (
        f"{project}/half.py is not valid Python: invalid syntax (half.py, line 2). Correct it, or "
        "move it."
    )
    assert "learning rate" in about("lr")


def test_a_file_with_the_name_of_a_component_of_ours_must_be_readable(project: Path) -> None:
    write(project / "qmix.py", BROKEN)
    assert problems(f"plugins={project}", "mixer=qmix") == [
        f"command line: mixer: {project}/qmix.py is not valid Python: invalid syntax (qmix.py, "
        "line 2). Correct it, or move it."
    ]


def test_files_in_the_tree_are_not_taken_for_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (plugins.SOURCE, plugins.SOURCE / "modules" / "mixers", plugins.SOURCE.parent):
        monkeypatch.chdir(folder)
        assert MIXERS.names() == MIXERS.built_in_names()
        assert load_config("qmix", "topk", []).plugin_files == {}


def test_odd_folders(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for odd in ("~nobody/x", "a" * 5000, "nowhere", "my\\0file"):
        assert problems(f'plugins="{odd}"')[0].startswith("plugins: there is no folder '"), odd
    assert problems("plugins=3")[0].startswith("command line: plugins: ")
    assert problems(f"mixer={'a' * 5000}")[0].startswith("command line: mixer: there is no mixer")
    monkeypatch.setenv("HOME", str(project))
    assert load_config("vdn", "topk", ["plugins=~/", "mixer=my_mixer"]).plugins == str(project)
    monkeypatch.chdir(project.parent)
    config = load_config("vdn", "topk", [f"plugins={project.name}", "mixer=my_mixer"])
    assert config.plugins == str(project)
    assert os.path.isabs(config.plugins)
