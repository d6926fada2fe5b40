import sys

import pytest
import yaml

import suite
from config.load import load_config
from suite import SUITES, Job, finished, play, read_suite

TINY = ["t_max=64", "batch_size_run=8", "batch_size=8", "train_every_episodes=8"]
TINY += ["test_interval=32", "test_nepisode=8", "log_interval=32"]


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_run_of_every_suite_has_a_valid_configuration(path):
    jobs, evaluation = read_suite(path, [])
    assert len(set(jobs)) == len(jobs)
    for job in {Job(j.alg, j.env, 1, j.settings) for j in jobs}:
        load_config(job.alg, job.env, ["seed=1", *job.settings, *evaluation])


def test_a_suite_multiplies_methods_environments_and_seeds(tmp_path):
    path = tmp_path / "mine.yaml"
    block = {"algs": ["iql", "vdn"], "envs": ["topk", "swap"], "seeds": [1, 2], "with": {"lr": 0.1}}
    path.write_text(yaml.safe_dump({"runs": [block], "evaluate": {"test_nepisode": 5}}))
    jobs, evaluation = read_suite(path, ["gamma=0.5"])
    assert len(jobs) == 8
    assert jobs[0] == Job("iql", "topk", 1, ("lr=0.1", "gamma=0.5"))
    assert evaluation == ["test_nepisode=5"]


def test_settings_may_follow_options(monkeypatch, capsys):
    given = ["suite.py", "swap", "--parallel", "2", "--dry-run", "with", "results_dir=x", "lr=0.1"]
    monkeypatch.setattr(sys, "argv", given)
    suite.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    assert all(line.endswith("lr=0.1") for line in lines)


def test_a_job_trains_evaluates_and_is_not_run_twice(tmp_path):
    job = Job("vdn", "swap", 3, tuple(TINY))
    assert not finished(job, tmp_path)
    assert play(job, tmp_path, ["test_nepisode=16"]).startswith("done ")
    folder = tmp_path / "swap" / "vdn" / "vdn_seed3_1"
    assert "test_success_mean" in (folder / "evaluations.csv").read_text()
    assert play(job, tmp_path, []).startswith("had ")
    assert not finished(Job("vdn", "swap", 4, tuple(TINY)), tmp_path)


def test_a_failing_job_says_why(tmp_path):
    line = play(Job("vdn", "swap", 1, ("lr=-1",)), tmp_path, [])
    assert line.startswith("FAILED vdn swap seed=1 lr=-1")
    assert "must be above 0" in line


def test_unknown_suite_lists_the_available_ones(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["suite.py", "nope"])
    with pytest.raises(SystemExit, match="there is no suite 'nope'"):
        suite.main()
