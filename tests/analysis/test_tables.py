"""What may stand in one table, in one row, and what a reader must know about it."""

import numpy as np
import pytest
from tests.analysis.run_folders import evaluate_run, make_run

from analysis.results import find_runs, last_values
from analysis.tables import tables
from utils.errors import UserError


def found(root, key=None, unfinished=False):
    return tables(find_runs(root)[0], key, unfinished)


def labels(root, **options):
    (table,) = found(root, **options)
    return {row.full_label: [run.config["seed"] for run in row.runs] for row in table.rows}


def test_runs_of_the_same_settings_share_a_row(tmp_path):
    make_run(tmp_path, "agp", 2, [0.0, 1.0])
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    make_run(tmp_path, "vdn", 1, [0.0, 1.0])
    assert labels(tmp_path) == {"agp": [1, 2], "vdn": [1]}


def test_runs_of_other_settings_have_rows_that_say_so(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    make_run(tmp_path, "agp", 2, [0.0, 1.0], lr=0.01)
    make_run(tmp_path, "vdn", 1, [0.0, 1.0], lr=0.5)
    assert labels(tmp_path) == {"agp, lr=0.001": [1], "agp, lr=0.01": [2], "vdn": [1]}


def test_a_run_that_was_resumed_with_other_settings_has_its_own_row(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    folder = make_run(tmp_path, "agp", 2, [0.0, 1.0])
    (folder / "changes.csv").write_text("env_steps,setting,before,after\n40,lr,0.01,0.001\n")
    before = "lr=0.01 before step 40"
    assert labels(tmp_path) == {"agp, resumed=no": [1], f"agp, resumed=({before})": [2]}
    (table,) = found(tmp_path)
    assert table.notes == [f"Resumed with other settings: {folder} ({before})."]


def test_a_run_that_was_only_made_longer_is_like_the_others(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    folder = make_run(tmp_path, "agp", 2, [0.0, 1.0])
    (folder / "changes.csv").write_text("env_steps,setting,before,after\n40,t_max,40,100\n")
    assert labels(tmp_path) == {"agp": [1, 2]}


def test_a_name_stands_for_the_settings_it_was_given_for(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    make_run(tmp_path, "agp", 1, [0.0, 1.0], name="deep", agent_args={"graph": {"layers": 8}})
    make_run(tmp_path, "agp", 2, [0.0, 1.0], name="deep", agent_args={"graph": {"layers": 4}})
    layers = "agent_args.graph.layers"
    assert labels(tmp_path) == {
        "agp": [1],
        f"agp (deep), {layers}=8": [1],
        f"agp (deep), {layers}=4": [2],
    }


def test_a_run_that_is_older_than_a_setting_has_its_default(tmp_path):
    def make(seed, graph, agent="agp_agent"):
        settings = {"agent": agent, "agent_args": {"graph": graph}}
        make_run(tmp_path, "agp", seed, [0.0, 1.0], **settings)

    make(1, {"layers": 2})
    make(2, {"layers": 2, "lr_factor": 1.0})
    assert labels(tmp_path) == {"agp": [1, 2]}
    make(3, {"layers": 2, "lr_factor": 0.5})
    factor = "agent_args.graph.lr_factor"
    assert labels(tmp_path) == {f"agp, {factor}=1.0": [1, 2], f"agp, {factor}=0.5": [3]}
    make(4, {"layers": 2, "gone": 1}, "no_agent")
    make(5, {"layers": 2}, "no_agent")  # nothing is known of its defaults
    assert len(labels(tmp_path)) == 4


def test_how_a_run_was_recorded_does_not_matter(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0], checkpoint_interval=5)
    make_run(tmp_path, "agp", 2, [0.0, 1.0], checkpoint_interval=9, results_dir="x", resume="y")
    assert labels(tmp_path) == {"agp": [1, 2]}


@pytest.mark.parametrize(
    ("deviation", "mark"),
    [({"t_max": 50}, "t_max=50"), ({"env_args": {"n_agents": 8}}, "env_args.n_agents=8")],
)
def test_another_budget_or_task_size_is_marked_between_methods_too(deviation, mark, tmp_path):
    for alg in ("iql", "vdn"):
        make_run(tmp_path, alg, 1, [0.0, 1.0], env_args={"n_agents": 6})
    make_run(tmp_path, "agp", 1, [0.0, 1.0], **{"env_args": {"n_agents": 6}, **deviation})
    (table,) = found(tmp_path)
    assert [row.label for row in table.rows] == [f"agp, {mark}", "iql", "vdn"]
    key = mark.partition("=")[0]
    assert [note for note in table.notes if f"Unless a row says otherwise: {key}=" in note]


def test_a_setting_that_older_code_did_not_record_is_not_taken_for_the_same(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 1.0])
    make_run(tmp_path, "agp", 2, [0.0, 1.0], grad_noise=0.0)
    assert set(labels(tmp_path)) == {"agp, grad_noise=(not recorded)", "agp, grad_noise=0.0"}


def test_a_seed_counts_once_and_the_newest_run_is_taken(tmp_path):
    old = make_run(tmp_path, "agp", 1, [0.0, 0.1], number=2)
    new = make_run(tmp_path, "agp", 1, [0.0, 0.9], number=10)
    make_run(tmp_path, "agp", 2, [0.0, 0.5])
    (table,) = found(tmp_path)
    assert last_values(table.rows[0].runs, table.key).tolist() == [0.9, 0.5]
    (note,) = table.notes
    assert note == (
        f"Left out: {old}. agp ran with seed 1 more than once under the same settings; "
        f"{new} counts."
    )


def test_a_finished_run_counts_before_a_newer_unfinished_one(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4])
    make_run(tmp_path, "agp", 1, [0.0], number=2, t_max=100)
    (table,) = found(tmp_path, unfinished=True)
    assert last_values(table.rows[0].runs, table.key).tolist() == [0.4]


def test_unfinished_runs_are_left_out_unless_asked_for(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4, 0.9])
    short = make_run(tmp_path, "agp", 2, [0.0], t_max=200)
    (table,) = found(tmp_path)
    assert labels(tmp_path) == {"agp": [1]}
    assert table.notes == [
        f"Left out: 1 unfinished run, {short} (0 of 200 steps). --unfinished includes them."
    ]
    (table,) = found(tmp_path, unfinished=True)
    assert [run.config["seed"] for run in table.rows[0].runs] == [1, 2]
    assert table.notes == [f"Unfinished: {short} (0 of 200 steps)."]


def test_a_run_before_its_first_test_never_stops_the_table(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4])
    early = make_run(tmp_path, "vdn", 1, [], t_max=100)
    for unfinished in (False, True):
        assert labels(tmp_path, unfinished=unfinished) == {"agp": [1]}
        (note,) = found(tmp_path, unfinished=unfinished)[0].notes
        assert f"{early} (0 of 100 steps, before its first test)" in note


def test_nothing_but_unfinished_runs_is_an_error_that_says_so(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0], t_max=100)
    with pytest.raises(UserError, match=r"nothing to show\.\ntopk: Left out: 1 unfinished run"):
        found(tmp_path)


ADAPTER = {"env_name": "pettingzoo", "env": "pettingzoo"}


def test_tasks_are_never_mixed(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4])
    for i, task in enumerate(("simple_tag_v3", "simple_spread_v3")):
        make_run(tmp_path / task, "iql", i, [0.0, 1.0], env_args={"task": task}, **ADAPTER)
    make_run(
        tmp_path / "kwargs",
        "iql",
        9,
        [0.0, 1.0],
        env_args={"task": "a:b", "kwargs": {"key": "c"}},
        **ADAPTER,
    )
    make_run(tmp_path / "slot", "iql", 1, [0.0, 0.4], env="swap")
    assert {
        table.task: [r.runs[0].config["seed"] for r in table.rows] for table in found(tmp_path)
    } == {
        "pettingzoo-a-b-c": [9],
        "pettingzoo-simple_spread_v3": [1],
        "pettingzoo-simple_tag_v3": [0],
        "topk (env=swap)": [1],
        "topk (env=topk)": [1],
    }


@pytest.mark.parametrize(
    ("metric", "default"),
    [
        ("test_success_mean", "test_success_mean"),
        ("test_value_ratio", "test_value_ratio"),
        ("test_collisions_mean", "test_return_mean"),
    ],
)
def test_the_metric_follows_from_the_task(metric, default, tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4], metric=metric)
    assert found(tmp_path)[0].key == default


def test_a_metric_that_no_run_has_is_named_with_those_they_have(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.4])
    message = r"without 'test_value', .*Greedy tests there measure: test_return_mean, test_success"
    with pytest.raises(UserError, match=message):
        found(tmp_path, key="test_value")


def test_a_row_of_evaluations_and_tests_says_so(tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.5, 1.0])
    evaluate_run(make_run(tmp_path, "agp", 2, [0.0, 0.7, 0.8]), 0.9)
    (table,) = found(tmp_path)
    np.testing.assert_allclose(last_values(table.rows[0].runs, table.key), [1.0, 0.9])
    assert "agp: the values are those of evaluations" in table.notes[0]
