"""The scripts of docker/, with a `docker` that only writes down what it was asked."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FAKE = """#!/usr/bin/env bash
printf '%s\\0' "$@" >> "$CALLS"
printf '\\n' >> "$CALLS"
[ "$1" != image ] || exit "${NO_IMAGE:-0}"
exit "${CODE:-0}"
"""
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the scripts are for bash")


class Place:
    """A copy of the scripts in a separate checkout, and the fake engine first on PATH."""

    def __init__(self, folder: Path):
        self.root, self.calls = folder / "a checkout", folder / "calls"
        shutil.copytree(ROOT / "docker", self.root / "docker")
        (folder / "bin").mkdir()
        fake = folder / "bin" / "docker"
        fake.write_text(FAKE)
        fake.chmod(0o755)
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.env = {"PATH": path, "HOME": str(folder), "CALLS": str(self.calls)}

    def call(self, script: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"docker/{script}", *words],
            cwd=self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def asked(self) -> list[list[str]]:
        """The arguments of each call of docker."""
        if not self.calls.exists():
            return []
        return [line.split("\0")[:-1] for line in self.calls.read_text().split("\n")[:-1]]

    def run(self, *words: str, **env: str) -> list[str]:
        """What `docker run` is asked for by a call that succeeds."""
        done = self.call("run.sh", *words, **env)
        assert done.returncode == 0, done.stderr
        return self.asked()[-1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def after(option: str, asked: list[str]) -> list[str]:
    """What stands behind each occurrence of an option."""
    return [asked[i + 1] for i, word in enumerate(asked[:-1]) if word == option]


def test_a_command_on_the_cpu(place: Place) -> None:
    words = ["python", "src/main.py", "--config=agp", "with", "name=two words", 'a="b" $HOME *']
    asked = place.run("cpu", *words)
    assert asked[-len(words) - 1 :] == ["agp:cpu", *words]
    assert asked[:3] == ["run", "--rm", "--init"]  # signals arrive, nothing stays behind
    assert after("--user", asked) == [f"{os.getuid()}:{os.getgid()}"]
    assert after("--mount", asked) == [
        f"type=bind,source={place.root},target=/agp",
        f"type=bind,source={place.root}/results,target=/agp/results",
    ]
    assert (place.root / "results").stat().st_uid == os.getuid()
    assert "--gpus" not in asked
    assert "--tty" not in asked  # there is no terminal


def test_a_terminal_is_handed_over(place: Place) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = ["docker/run.sh", "cpu", "true"]
    subprocess.run(command, cwd=place.root, env=place.env, stdin=theirs, stdout=theirs, check=True)
    os.close(theirs)
    os.close(ours)
    assert {"--interactive", "--tty"} <= set(place.asked()[-1])


@pytest.mark.parametrize(
    ("where", "gpus"),
    [
        ("all", "all"),
        ("0", '"device=0"'),
        ("0,1", '"device=0,1"'),
        ("GPU-8f2c", '"device=GPU-8f2c"'),
    ],
)
def test_gpus(place: Place, where: str, gpus: str) -> None:
    asked = place.run(where, "nvidia-smi")
    assert after("--gpus", asked) == [gpus]
    assert asked[-2:] == ["agp:cuda", "nvidia-smi"]


def test_containers_have_unique_names(place: Place) -> None:
    for _ in range(3):
        place.run("0,1", "true")
    names = {name for asked in place.asked() for name in after("--name", asked)}
    assert len(names) == 3
    assert all(re.fullmatch(r"agp-[\w.-]+-0-1-[0-9a-f]{8}", name) for name in names)


def test_the_password_of_mongodb_is_on_no_command_line(place: Place) -> None:
    asked = place.run("cpu", "true", SACRED_MONGO_URL="mongodb://me:secret@host/")
    assert after("--env", asked)[-1] == "SACRED_MONGO_URL"
    assert "secret" not in " ".join(asked)


def test_variables(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "large disk"
    asked = place.run(
        "cpu", "true", RESULTS=str(elsewhere), DOCKER_IMAGE="mine:1", DOCKER_NETWORK="none"
    )
    assert after("--mount", asked)[1] == f"type=bind,source={elsewhere},target=/agp/results"
    assert after("--network", asked) == ["none"]
    assert asked[-2:] == ["mine:1", "true"]
    assert after("--network", place.run("cpu", "true")) == ["host"]


def test_the_exit_code_is_the_commands(place: Place) -> None:
    assert place.call("run.sh", "cpu", "false", CODE="143").returncode == 143
    assert place.call("build.sh", CODE="3").returncode == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Write docker/run.sh <gpu|cpu> <command...>"),
        (("cpu",), "two things are needed"),
        (("python", "src/main.py"), "'python' is neither cpu nor a GPU"),
    ],
)
def test_mistakes_of_run(place: Place, words: tuple[str, ...], said: str) -> None:
    done = place.call("run.sh", *words)
    assert (done.returncode, place.asked()) == (2, [])
    assert said in done.stderr


@pytest.mark.parametrize(("where", "build"), [("cpu", "cpu"), ("0", "cu130")])
def test_a_missing_image_is_never_pulled(place: Place, where: str, build: str) -> None:
    done = place.call("run.sh", where, "true", NO_IMAGE="1")
    assert done.returncode == 2
    assert f"Build it: docker/build.sh {build}" in done.stderr
    assert [asked[0] for asked in place.asked()] == ["image"]


def test_without_docker(place: Place) -> None:
    tools = place.root.parent / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(shutil.which(name))  # type: ignore[arg-type]
    done = place.call("run.sh", "cpu", "true", PATH=str(tools))
    assert done.returncode == 2
    assert "Install Docker" in done.stderr


def test_building(place: Place) -> None:
    for words, tag, variant in (
        ([], "agp:cpu", "cpu"),
        (["cu130"], "agp:cuda", "cu130"),
        (["cpu", "--build-arg", "BASE=a b"], "agp:cpu", "cpu"),
    ):
        assert place.call("build.sh", *words).returncode == 0
        asked = place.asked()[-1]
        assert after("--tag", asked) == [tag]
        index = f"TORCH_INDEX=https://download.pytorch.org/whl/{variant}"
        assert after("--build-arg", asked) == [index, *words[2:]]
        assert asked[-1] == "."
    done = place.call("build.sh", "gpu")
    assert done.returncode == 2
    assert "'gpu' is no variant of PyTorch" in done.stderr


def test_the_context_holds_what_the_image_copies() -> None:
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (\S+) ", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(kept) == sorted(copied)
    assert all((ROOT / name).exists() for name in kept)


def test_services_are_healthy_private_and_without_default_passwords() -> None:
    text = (ROOT / "docker" / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    assert set(services) == {"mongo", "omniboard"}
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert services["omniboard"]["depends_on"] == {"mongo": {"condition": "service_healthy"}}
    password = services["mongo"]["environment"]["MONGO_INITDB_ROOT_PASSWORD"]
    assert password.startswith("${MONGO_PASSWORD:?")
    assert set(re.findall(r"\$\{MONGO_PASSWORD[^?}]*", text)) == {
        "${MONGO_PASSWORD",
        "${MONGO_PASSWORD:",
    }
    assert "--mu" not in str(services)
