"""Comparison over tasks and marl-eval's format."""

import pytest
from tests.analysis.run_folders import evaluate_run, make_run

from analysis.aggregate import aggregate, aggregate_markdown
from analysis.bounds import limits, read_bounds, with_anchors
from analysis.export import marl_eval
from analysis.results import find_runs
from analysis.tables import tables
from utils.errors import UserError


@pytest.fixture
def root(tmp_path):
    topk = {"env_args": {"n_agents": 6}}
    swap = {"env": "swap", "env_name": "swap"}
    for seed, value in ((1, 0.8), (2, 1.0)):
        make_run(tmp_path / "topk", "agp", seed, [0.0, 0.5, value], **topk)
        make_run(tmp_path / "swap", "agp", seed, [0.0, 0.5, value], **swap)
        make_run(tmp_path / "swap", "vdn", seed, [0.0, 0.2, 0.25], **swap)
    make_run(tmp_path / "topk", "vdn", 1, [0.0, 0.1, 1 / 64], **topk)
    make_run(tmp_path / "topk", "iql", 1, [0.0, 0.1, 0.3], **topk)
    return tmp_path


def compared(root, bounds=None):
    return aggregate(tables(find_runs(root)[0], None), read_bounds(bounds))


def test_scores_are_normalised_by_the_bounds(root):
    found = compared(root)
    assert found.tasks == {"swap": (0.25, 1), "topk": (0.015625, 1)}
    assert list(found.scores) == ["agp", "vdn"]
    assert found.scores["vdn"][0] == pytest.approx([0, 0])
    assert found.scores["agp"][0] == pytest.approx([(0.8 - 0.25) / 0.75, 1])
    assert found.notes == ["iql has no run on swap, so it is not compared over tasks."]
    assert found.improvement("agp", "vdn").value == 1
    share, low, high = found.profile("agp")
    assert (low <= share).all()
    assert (share <= high).all()


def test_one_note_names_all_methods_that_lack_the_same_tasks(root):
    make_run(root / "topk", "coma", 1, [0.0, 0.1, 0.3], env_args={"n_agents": 6})
    said = "coma, iql have no run on swap, so they are not compared over tasks."
    assert compared(root).notes == [said]


def test_what_a_method_acts_on_is_shown(root):
    config = {"controller": "basic_controller", "agent": "rnn_agent"}
    make_run(root / "topk", "qmix", 1, [0.0, 0.3], env_args={"n_agents": 6}, **config)
    make_run(root / "swap", "qmix", 1, [0.0, 0.3], env="swap", env_name="swap", **config)
    found = compared(root)
    assert set(found.acts_on.values()) == {"-", "own history"}
    assert "| own history | 2 |" in aggregate_markdown(found)


def test_bounds_of_returns_hold_for_their_aggregation_of_rewards(root):
    task = {"env": "mpe", "env_name": "mpe_reference", "env_args": {"max_cycles": 25}}
    for seed, aggregation in enumerate(["sum", "sum", "individual"]):
        settings = {"reward_aggregation": aggregation, **task}
        make_run(root / str(seed), "agp", seed, [-60.0, -30.0], metric="test_x", **settings)
    bounds = read_bounds(None)
    for last, found in ((1, (-56.2, -14.7)), (2, None)):
        runs = find_runs(*(root / str(seed) for seed in range(last + 1)))[0]
        (table,) = tables(runs, "test_return_mean")
        assert limits(table, table.rows, bounds) == found
        assert bool(with_anchors(table, bounds).anchors) == bool(found)


def test_bounds_hold_for_their_settings_only(root):
    make_run(root / "topk", "qmix", 1, [0.0, 0.1, 0.3], env_args={"n_agents": 8})
    assert any("no bounds for test_success_mean of qmix" in x for x in compared(root).notes)


def test_a_file_of_bounds_goes_before_ours(root, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("swap: {test_success_mean: {bounds: [0, 0.5]}}")
    assert compared(root, file).tasks["swap"] == (0, 0.5)


@pytest.mark.parametrize(
    "text", ["swap: [0, 1]", "swap: {x: {bounds: [1, 0]}}", "[", "swap: {x: {}}"]
)
def test_a_file_of_bounds_that_cannot_be_used(text, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"mine\.yaml cannot be used"):
        read_bounds(file)


@pytest.mark.parametrize(
    ("env_args", "anchors"),
    [
        ({"n_agents": 6, "k": 2}, {"own signals": 0.329}),
        ({"n_agents": 6, "k": 3}, {}),  # bounds, but no anchors
        ({"n_agents": 5, "k": 2}, {}),
    ],
)
def test_anchors_hold_for_their_settings_only(env_args, anchors, tmp_path):
    make_run(tmp_path, "agp", 1, [0.0, 0.5], env_args=env_args)
    (table,) = tables(find_runs(tmp_path)[0], None)
    assert with_anchors(table, read_bounds(None)).anchors == anchors


def test_the_comparison_as_text(root):
    text = aggregate_markdown(compared(root))
    assert "| agp | - | 4 | " in text
    assert "| method | acts on | runs | IQM | 95 % interval | agp is higher |" in text
    assert next(x for x in text.splitlines() if x.startswith("| agp ")).endswith(" | - |")
    assert next(x for x in text.splitlines() if x.startswith("| vdn ")).endswith(
        "1.00 (1.00 to 1.00) |"
    )


def test_marl_evals_format(root, tmp_path):
    evaluate_run(next((root / "topk" / "agp").glob("agp_seed2*")), 0.9)
    data = marl_eval(tables(find_runs(root)[0], None))
    assert set(data) == {"topk", "swap"}
    run = data["topk"]["topk"]["agp"]["seed_2"]
    assert list(run) == ["step_1", "step_2", "step_3", "absolute_metrics"]
    assert run["step_2"] == {"step_count": 100, "return_mean": [0.0], "success_mean": [0.5]}
    assert run["absolute_metrics"] == {"return_mean": [1.0], "success_mean": [0.9]}
