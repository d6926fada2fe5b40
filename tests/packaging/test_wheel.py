"""The wheel: what is in it, and what a user does with it in a folder with nothing of ours."""

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    *("t_max=64", "batch_size_run=8", "batch_size=8", "buffer_size=20", "train_every_episodes=8"),
    *("test_interval=32", "test_nepisode=8", "log_interval=16", "show_progress=False"),
)
MIXER = '''"""A sum, doubled."""

from torch import Tensor, nn

from utils.registry import MIXERS


@MIXERS.register("doubled")
class Doubled(nn.Module):
    """Twice the sum."""

    needs_team_reward = True

    def __init__(self, config: object, n_agents: int, state_dim: int):
        super().__init__()

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """The team's value."""
        return 2 * q_taken.sum(dim=2, keepdim=True)
'''


def done(*words: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints to both outputs; fails if it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AGP_", "PYTHON"))}
    env = {**kept, "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1", **variables}
    made = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, f"{words}\n{made.stdout}"
    return made.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    version = tuple(map(int, re.findall(r"\d+", _version_of("setuptools"))[:2]))
    if version < (77,) or not _version_of("pip"):
        pytest.skip("building needs pip and setuptools 77 or newer, and nothing is downloaded here")
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    left = copy / "build" / "lib" / "action_graph_policies" / "modules" / "mixers" / "deleted.py"
    left.parent.mkdir(parents=True)
    left.touch()  # by an earlier build
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    done(*pip, "-w", "out", ".", cwd=copy)
    (path,) = (copy / "out").glob("*.whl")
    return path


def _version_of(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment with the wheel, which sees our packages but not our code.

    It also has a package called `utils`, as careless distributions bring one.
    """
    place = tmp_path_factory.mktemp("environment")
    done(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    paths = {"base": str(place), "platbase": str(place)}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    (packages / "ours.pth").write_text("\n".join(site.getsitepackages()))
    (packages / "utils").mkdir()
    (packages / "utils" / "__init__.py").write_text("raise AssertionError('not ours')\n")
    python = Path(sysconfig.get_path("scripts", "venv", paths)) / Path(sys.executable).name
    pip = ("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile")
    done(python, *pip, "--ignore-installed", wheel, cwd=place)
    return python.parent


def test_every_file_of_src_is_in_the_wheel_in_one_package(wheel: Path) -> None:
    wanted = {
        f"action_graph_policies/{path.relative_to(ROOT / 'src').as_posix()}"
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == wanted


def test_the_dependencies_are_those_of_the_requirements(wheel: Path) -> None:
    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[^\w-]", line)[0].lower() for line in lines}

    text = (ROOT / "requirements.txt").read_text().partition("# Checks and tests")[0]
    pinned = [line for line in text.splitlines() if line and not line.startswith("#")]
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = (name for name in file.namelist() if name.endswith("dist-info/METADATA"))
        lines = file.read(metadata).decode().splitlines()
    needed = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line]
    assert names([line for line in needed if "extra ==" not in line]) == names(pinned)


def test_a_run_of_the_installed_package_is_trained_resumed_and_evaluated(
    programs: Path, tmp_path: Path
) -> None:
    def agp(*words: str) -> str:
        return done(programs / "agp", *words, cwd=tmp_path)

    (tmp_path / "doubled.py").write_text(MIXER)
    mine = tmp_path / "configs" / "algs" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# Mine\nmixer: doubled\n")
    assert "Finished." in agp("--config=mine", "--env-config=swap", "with", *SETTINGS)
    run_dir = tmp_path / "results" / "swap" / "mine" / "mine_seed1_1"
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["config_files"] == {"alg": str(mine), "env": "envs/swap.yaml"}
    assert list(config["plugin_files"]) == ["mixer"]
    command = (run_dir / "commands.txt").read_text()
    assert command.startswith("agp --config=mine --env-config=swap with t_max=64 ")
    sacred = yaml.safe_load((run_dir / "sacred" / "1" / "run.json").read_text())["experiment"]
    assert any(text.startswith("action-graph-policies==") for text in sacred["dependencies"])
    assert sacred["repositories"] == []
    assert "Finished." in agp("with", f"resume={run_dir}", "t_max=128")
    assert "  return_mean  " in agp("with", "evaluate=True", f"checkpoint_path={run_dir}")
    shown = agp("--help")
    assert "  agp --config=agp --env-config=topk\n" in shown
    assert "src/main.py" not in shown


@pytest.mark.slow
def test_suites_reports_workers_and_notebooks_of_the_installed_package(
    programs: Path, tmp_path: Path
) -> None:
    suites = tmp_path / "configs" / "suites"
    suites.mkdir(parents=True)
    block = {"algs": ["iql"], "envs": ["swap"], "seeds": [1], "with": list_of(SETTINGS)}
    (suites / "mine.yaml").write_text(yaml.safe_dump({"runs": [block]}))
    done(programs / "agp-suite", "mine", cwd=tmp_path)
    assert "| iql |" in done(programs / "agp-report", "results", "--html", "page", cwd=tmp_path)
    done(programs / "agp-search", "--help", cwd=tmp_path)
    done(programs / "agp-attention", "--help", cwd=tmp_path)
    worker = ("env_args.task=mpe2.simple_spread_v3", "env_args.n_workers=2")
    check = ("--env-config=pettingzoo", "--check-env", "with", *worker)
    assert "passes all checks" in done(programs / "agp", *check, cwd=tmp_path)
    python = programs / Path(sys.executable).name
    notebook = (
        "import action_graph_policies; from policy import load_policy; "
        "print(load_policy('results/swap/iql/iql_seed1_1').config.alg_name)"
    )
    assert done(python, "-c", notebook, cwd=tmp_path) == "iql\n"
    clash = "import types, sys; sys.modules['config'] = types.ModuleType('config')\n"
    clash += "try:\n  import action_graph_policies\nexcept ImportError as error:\n  print(error)"
    assert "Import action_graph_policies first" in done(python, "-c", clash, cwd=tmp_path)
    copy = "import action_graph_policies\ntry:\n  import action_graph_policies.utils.registry\n"
    copy += "except ImportError as error:\n  print(error)"
    assert "Write `from utils.registry import" in done(python, "-c", copy, cwd=tmp_path)


def list_of(settings: tuple[str, ...]) -> dict[str, object]:
    return {key: yaml.safe_load(value) for key, value in (s.split("=") for s in settings)}
