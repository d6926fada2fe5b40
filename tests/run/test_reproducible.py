"""Same seed, same numbers, in two processes; different seed, different numbers; own streams."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.runs import TINY, rows, tiny, train

from policy import load_policy
from utils import seeding
from utils.seeding import numpy_generator, seed_number, torch_generator

SRC = Path(__file__).resolve().parents[2] / "src"
ALG, ENV = "agp", "topk"
SETTINGS = ("controller_args.common_noise=2", "lr=0.01")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Run folders of the same command in two processes that share the machine."""
    folders = [tmp_path_factory.mktemp("process") for _ in range(2)]
    processes = []
    for hash_seed, folder in enumerate(folders):
        command = [sys.executable, SRC / "main.py", f"--config={ALG}", f"--env-config={ENV}"]
        command += ["with", *TINY, *SETTINGS, "seed=7", f"results_dir={folder}"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": str(hash_seed)}
        processes.append(
            subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=-1)
        )
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    return [folder / ENV / ALG / f"{ALG}_seed7_1" for folder in folders]


def test_same_seed_same_numbers_in_two_processes(two_processes: list[Path]) -> None:
    a, b = map(rows, two_processes)
    assert a == b
    assert len(a) > 20


def test_another_process_with_another_history_agrees(
    two_processes: list[Path], tmp_path: Path
) -> None:
    torch.rand(5, generator=torch_generator(1, "before"))  # any earlier code in this process
    assert rows(train(tiny(ALG, ENV, *SETTINGS, "seed=7"), tmp_path)) == rows(two_processes[0])


@pytest.mark.parametrize("alg", ["agp", "qmix"])
def test_different_seed_different_numbers(alg: str, tmp_path: Path) -> None:
    a, again, b = (
        rows(train(tiny(alg, ENV, f"seed={seed}"), tmp_path / name))
        for seed, name in ((1, "a"), (1, "again"), (2, "b"))
    )
    assert a == again
    losses_a, losses_b = (
        [row["value"] for row in found if row["key"] == "loss"] for found in (a, b)
    )
    assert len(losses_a) == len(losses_b) > 1
    assert not set(losses_a) & set(losses_b)


def streams_of_a_run(folder: Path) -> set[tuple[str | int, ...]]:
    """Names of all streams that a run and the policy it leaves ask for."""
    names: set[tuple[str | int, ...]] = set()
    original = seeding.seed_sequence

    def spy(seed: int, *name: str | int) -> np.random.SeedSequence:
        names.add(name)
        return original(seed, *name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeding, "seed_sequence", spy)
        run_dir = train(tiny("agp", ENV, "mixer=qmix"), folder)
        policy = load_policy(run_dir)
        policy.play(policy.make_env(2))
    return names


def test_streams_differ_across_names_and_seeds(tmp_path: Path) -> None:
    names = streams_of_a_run(tmp_path) | {("train_env", i) for i in range(64)}
    assert {("exploration",), ("replay",), ("weights", "agent"), ("train_env",)} <= names
    streams = list(itertools.product(range(20), sorted(names, key=str)))
    numbers = {seed_number(seed, *name) for seed, name in streams}
    assert len(numbers) == len(streams)
    drawn = {numpy_generator(seed, *name).bytes(8) for seed, name in streams}
    assert len(drawn) == len(streams)
    torch_drawn = {
        tuple(torch.rand(3, generator=torch_generator(seed, *name)).tolist())
        for seed, name in streams
    }
    assert len(torch_drawn) == len(streams)
