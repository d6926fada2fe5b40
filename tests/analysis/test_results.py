import json

import numpy as np
import pytest
import torch
from tests.analysis.run_folders import evaluate_run, make_run

from analysis.results import cpu_seconds, curves_on_grid, find_runs, n_weights, reached, read_run
from records.checkpoint import LATEST, save_checkpoint
from utils.errors import UserError


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.5, 1.0])
    evaluate_run(make_run(tmp_path, "agp", 2, [0.0, 0.7, 0.8]), 0.9)
    make_run(tmp_path, "vdn", 1, [0.0, 0.3, 0.3])
    return tmp_path


def test_find_runs_reads_every_folder_once(root):
    runs, notes = find_runs(root, root / "agp", root / "vdn" / ".." / "vdn")
    assert [run.method for run in runs] == ["agp", "agp", "vdn"]
    assert notes == []
    assert runs[2].env_steps == 200


def test_the_last_evaluation_of_the_latest_checkpoint_under_its_own_settings_counts(root):
    assert read_run(root / "agp" / "agp_seed2_1").evaluations == {"test_success_mean": 0.9}


def test_an_evaluation_from_before_the_run_went_on_does_not_count(root):
    folder = root / "agp" / "agp_seed2_1"
    with (folder / "metrics.csv").open("a") as file:
        file.write("300,300,3,3.00,test_success_mean,0.9\n")
    assert read_run(folder).evaluations == {}


@pytest.mark.parametrize("cut", ["300,300,3", "300,300,3,3.00,test_success_mean,1e", "300,"])
def test_an_incomplete_last_line_is_left_out(cut, root):
    path = root / "vdn" / "vdn_seed1_1"
    with (path / "metrics.csv").open("a") as file:
        file.write(cut)
    assert read_run(path).env_steps == 200


def test_a_truncated_number_is_not_read_as_a_smaller_one(root):
    path = root / "vdn" / "vdn_seed1_1" / "metrics.csv"
    path.write_text(path.read_text() + "300,300,3,3.00,test_success_mean,0.97"[:-1])
    assert read_run(path.parent).metrics["test_success_mean"][1][-1] == 0.3


DAMAGE = {
    "config.yaml": ["alg_name: [", "7\n", "alg_name: agp\n", ""],
    "metrics.csv": ["env_steps,key,value\n100,x,y\n", "a,b\n1,2\n"],
    "evaluations.csv": ["checkpoint,key\nlatest.pt,x\n"],
}


@pytest.mark.parametrize(("file", "text"), [(f, t) for f, texts in DAMAGE.items() for t in texts])
def test_a_damaged_run_is_left_out_and_named(file, text, root):
    folder = root / "vdn" / "vdn_seed1_1"
    (folder / file).write_text(text)
    runs, notes = find_runs(root)
    assert [run.method for run in runs] == ["agp", "agp"]
    assert [note.startswith(f"Left out: the run in {folder} cannot be read") for note in notes]
    with pytest.raises(UserError, match=r"There are no runs below .*\n.*cannot be read"):
        find_runs(root / "vdn")


def test_no_runs_and_no_folder_are_two_errors(tmp_path):
    with pytest.raises(UserError, match="There are no runs below"):
        find_runs(tmp_path)
    with pytest.raises(UserError, match="There is no folder"):
        find_runs(tmp_path / "nowhere")


def test_curves_are_interpolated_on_a_common_grid(root):
    runs, _ = find_runs(root / "agp")
    grid, values = curves_on_grid(runs, "test_success_mean", 5)
    np.testing.assert_allclose(grid, [0, 50, 100, 150, 200])
    np.testing.assert_allclose(values, [[0, 0.25, 0.5, 0.75, 1], [0, 0.35, 0.7, 0.75, 0.8]])


def test_reached_returns_the_clock_at_the_first_time(root):
    (agp, _, vdn), _ = find_runs(root)
    assert reached(agp, "test_success_mean", 0.5) == 10
    assert reached(vdn, "test_success_mean", 0.5) == np.inf


def test_costs_are_counted(root):
    runs, _ = find_runs(root / "agp")
    online = {"a": torch.zeros(2, 3), "b": torch.zeros(5)}
    save_checkpoint(runs[0].path / "checkpoints" / LATEST, {"learner": {"online": online}})
    assert n_weights(runs[0]) == 11
    assert cpu_seconds(runs) == 20
    with pytest.raises(UserError, match=r"latest\.pt"):
        n_weights(runs[1])


def test_age_is_read_from_sacred_then_from_the_folder(root):
    old = root / "agp" / "agp_seed1_1"
    assert read_run(old).began == ("", 1)
    (old / "sacred" / "1").mkdir(parents=True)
    (old / "sacred" / "1" / "run.json").write_text(json.dumps({"start_time": "2026-01-02"}))
    assert read_run(old).began == ("2026-01-02", 1)
