import numpy as np
import pytest
import torch
import yaml

from analysis.figures import costs, learning_curves
from analysis.results import (
    by_method,
    cpu_seconds,
    curves_on_grid,
    find_runs,
    n_weights,
    reached,
    read_run,
    require_metric,
)
from report import table
from utils.checkpoint import LATEST, save_checkpoint
from utils.errors import UserError

HEAD = "env_steps,episodes,updates,seconds,key,value\n"


def make_run(root, alg, seed, values, name="", evaluation=None):
    folder = root / alg / f"{alg}_seed{seed}_1"
    folder.mkdir(parents=True)
    config = {"alg_name": alg, "name": name, "seed": seed, "t_max": 200}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = "".join(
        f"{100 * i},{100 * i},{i},{i}.00,{key},{value}\n"
        for i, number in enumerate(values)
        for key, value in (
            ("test_success_mean", number),
            ("test_return_mean", 2 * number - 1),
            ("cpu_seconds", 10 * i),
        )
    )
    (folder / "metrics.csv").write_text(HEAD + rows)
    if evaluation is not None:
        (folder / "evaluations.csv").write_text(
            "checkpoint,env_steps,n_episodes,changes,key,value\n"
            "latest.pt,200,9,,test_success_mean,0.1\n"
            f"latest.pt,200,9,,test_success_mean,{evaluation}\n"
            "best.pt,200,9,,test_success_mean,0.2\n"
            "latest.pt,200,9,env_args.k=3,test_success_mean,0.3\n"
        )
    return folder


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.5, 1.0])
    make_run(tmp_path, "agp", 2, [0.0, 0.7, 0.8], evaluation=0.9)
    make_run(tmp_path, "vdn", 1, [0.0, 0.3, 0.3])
    return tmp_path


def test_find_runs_reads_every_folder_and_groups_by_method(root):
    groups = by_method(find_runs(root))
    assert {method: len(runs) for method, runs in groups.items()} == {"agp": 2, "vdn": 1}
    assert groups["vdn"][0].env_steps == 200


def test_the_last_evaluation_of_the_latest_checkpoint_under_its_own_settings_counts(root):
    assert read_run(root / "agp" / "agp_seed2_1").evaluations == {"test_success_mean": 0.9}


def test_an_evaluation_from_before_the_run_went_on_does_not_count(root):
    folder = root / "agp" / "agp_seed2_1"
    with (folder / "metrics.csv").open("a") as file:
        file.write("300,300,3,3.00,test_success_mean,0.9\n")
    assert read_run(folder).evaluations == {}


def test_a_run_with_a_name_is_a_method_of_its_own(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0], name="ids")
    assert list(by_method(find_runs(tmp_path))) == ["agp (ids)"]


def test_an_incomplete_last_line_is_left_out(root):
    path = root / "vdn" / "vdn_seed1_1"
    with (path / "metrics.csv").open("a") as file:
        file.write("300,300,3")
    assert read_run(path).env_steps == 200


def test_a_metric_that_a_run_lacks_is_named_with_those_it_has(root):
    runs = find_runs(root)
    require_metric(runs, "test_return_mean")
    message = r"agp_seed1_1 has no 'test_value'.*: test_return_mean, test_success_mean\.$"
    with pytest.raises(UserError, match=message):
        require_metric(runs, "test_value")


def test_no_runs_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no runs below"):
        find_runs(tmp_path)


def test_curves_are_interpolated_on_a_common_grid(root):
    grid, values = curves_on_grid(by_method(find_runs(root))["agp"], "test_success_mean", 5)
    np.testing.assert_allclose(grid, [0, 50, 100, 150, 200])
    np.testing.assert_allclose(values, [[0, 0.25, 0.5, 0.75, 1], [0, 0.35, 0.7, 0.75, 0.8]])


def test_reached_tells_the_clock_at_the_first_time(root):
    agp, _, vdn = find_runs(root)
    assert reached(agp, "test_success_mean", 0.5) == 10
    assert reached(vdn, "test_success_mean", 0.5) == np.inf


def test_table_puts_the_best_method_first_and_prefers_evaluations(root):
    rows = table(find_runs(root), "test_success_mean", 0.5).split("\n")[2:]
    assert rows[0].startswith("| agp | 2 | 0.9500 | 0.0500 | 0.9000 to 1.0000 |")
    assert rows[1].startswith("| vdn | 1 | 0.3000 |")
    assert rows[0].endswith("| 20 | 10 |")
    assert rows[1].endswith("| 20 | - |")


def test_costs_are_counted_and_drawn(root, tmp_path):
    runs = find_runs(root)
    for run in runs:
        online = {"a": torch.zeros(2, 3), "b": torch.zeros(5)}
        save_checkpoint(run.path / "checkpoints" / LATEST, {"learner": {"online": online}})
    assert n_weights(runs[0]) == 11
    assert cpu_seconds(runs) == 20
    text = table(runs, "test_success_mean", 0.5, with_weights=True).split("\n")
    assert "| weights | CPU s |" in text[0]
    assert "| 11 | 20 |" in text[2]
    pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for picture in pictures:
        costs(runs, "test_success_mean", picture)
    assert pictures[0].read_text() == pictures[1].read_text()


def test_without_a_checkpoint_weights_cannot_be_counted(root):
    with pytest.raises(UserError, match=r"latest\.pt"):
        n_weights(find_runs(root)[0])


def test_learning_curves_are_drawn_and_repeatable(root, tmp_path):
    pictures = []
    for name in ("a.svg", "b.svg"):
        learning_curves(find_runs(root), "test_success_mean", tmp_path / name, lines={"x": 0.3})
        pictures.append((tmp_path / name).read_text())
    assert pictures[0] == pictures[1]
    assert "<path" in pictures[0]
