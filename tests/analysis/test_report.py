"""`report.py` as a command: tables, figures, and errors in words."""

import json

import numpy as np
import pytest
import torch
from tests.analysis.run_folders import evaluate_run, make_run

import report
from analysis.figures import costs, learning_curves, seed_dots
from analysis.results import curves_on_grid, find_runs
from analysis.tables import tables
from records.checkpoint import LATEST, save_checkpoint


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path / "r", "agp", 1, [0.0, 0.5, 1.0])
    evaluate_run(make_run(tmp_path / "r", "agp", 2, [0.0, 0.7, 0.8]), 0.9)
    make_run(tmp_path / "r", "vdn", 1, [0.0, 0.3, 0.3])
    return tmp_path / "r"


def printed(capsys, *argv):
    assert report.main([str(arg) for arg in argv]) == 0
    return capsys.readouterr().out


def test_the_best_row_comes_first_and_evaluations_go_before_tests(root, capsys):
    lines = printed(capsys, root, "--level", "0.5").split("\n")
    assert lines[0] == "## topk"
    assert lines[2] == (
        "| method | seeds | test_success_mean | 95 % interval | range | return | CPU s "
        "| CPU s to 0.5 |"
    )
    assert lines[4].startswith("| agp | 2 | 0.9500 | 0.3147 to 1.5853 | 0.9000 to 1.0000 |")
    assert lines[4].endswith("| 20 | 10 |")
    assert lines[5].startswith("| vdn | 1 | 0.3000 |")
    assert lines[5].endswith("| 20 | - |")


def test_evaluations_under_other_settings_have_a_table(root, capsys):
    head, table = printed(capsys, root).split("### Evaluated with env_args.k=3\n\n")
    assert "k=3" not in head
    assert table.splitlines()[:4] == [
        "| method | seeds | test_success_mean | 95 % interval | as trained |",
        "|---|---|---|---|---|",
        "| agp | 1 | 0.3000 | - | 0.9000 |",
        "",
    ]


def test_the_level_is_known_of_one_task_only(root, tmp_path, capsys):
    make_run(tmp_path / "swap", "agp", 1, [0.0, 1.0], env_name="swap", env="swap")
    swap, topk = printed(capsys, root, tmp_path / "swap").split("## topk")
    assert "CPU s |\n" in swap
    assert "CPU s | CPU s to 0.957 |\n" in topk


def test_no_number_is_not_the_best(tmp_path, capsys):
    make_run(tmp_path, "agp", 1, [0.0, np.nan])
    make_run(tmp_path, "vdn", 1, [0.0, 0.1])
    assert printed(capsys, tmp_path).index("| vdn") < printed(capsys, tmp_path).index("| agp")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--line", "0.3"], "--line '0.3' is not a label and a number."),
        (["--line", "bound="], "--line 'bound=' is not"),
        (["--line", "=0.3"], "--line '=0.3' is not"),
        (["--line", "bound=nan"], "is not a label and a number"),
        (["--figure", "nowhere/a.svg"], "there is no folder nowhere. Make it first."),
        (["--figure", "a.xyz"], "the ending '.xyz' is no format"),
        (["--costs", "a"], "--costs a: the ending '' is no format"),
        (["--key", "test_nothing"], "without 'test_nothing'"),
        (["elsewhere"], "There is no folder elsewhere."),
    ],
)
def test_mistakes_are_reported_in_words(given, said, root, capsys):
    assert report.main([str(root), *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err


def test_a_folder_in_the_way_of_a_figure(root, tmp_path, capsys):
    (tmp_path / "a.svg").mkdir()
    assert report.main([str(root), "--figure", str(tmp_path / "a.svg")]) == 2
    assert "The figure" in capsys.readouterr().err


def test_a_label_may_hold_an_equals_sign():
    assert report.reference_lines(["k=2, own signal=0.329"]) == {"k=2, own signal": 0.329}


def test_each_task_has_its_own_figure(root, tmp_path, capsys):
    make_run(tmp_path / "swap", "agp", 1, [0.0, 1.0], env_name="swap", env="swap")
    figure = tmp_path / "curves.svg"
    printed(capsys, root, "--figure", figure)
    assert figure.is_file()
    printed(capsys, root, tmp_path / "swap", "--figure", figure)
    assert sorted(path.name for path in tmp_path.glob("curves-*")) == [
        "curves-swap.svg",
        "curves-topk.svg",
    ]


def test_figures_are_drawn_and_repeatable(root, tmp_path):
    (table,) = tables(find_runs(root)[0], None)
    for run in (run for row in table.rows for run in row.runs):
        online = {"a": torch.zeros(2, 3), "b": torch.zeros(5)}
        save_checkpoint(run.path / "checkpoints" / LATEST, {"learner": {"online": online}})
    assert "| 11 | 20 |" in report.markdown(table.rows, table.key, None, with_weights=True)
    for draw in (learning_curves, costs):
        pictures = [tmp_path / "a.svg", tmp_path / "b.svg"]
        for picture in pictures:
            draw(table.rows, table.key, picture)
        assert pictures[0].read_text() == pictures[1].read_text()
        assert "success rate of greedy tests" in pictures[0].read_text()


def test_a_curve_of_one_test_is_a_dot(tmp_path):
    make_run(tmp_path, "agp", 1, [0.5], t_max=100)
    (table,) = tables(find_runs(tmp_path)[0], None, unfinished=True)
    learning_curves(table.rows, table.key, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").is_file()


def test_curves_against_cpu_seconds(root, tmp_path, capsys):
    paths = [tmp_path / f"{clock}.svg" for clock in ("env_steps", "cpu_seconds")]
    for path in paths:
        printed(capsys, root, "--figure", path, "--clock", path.stem)
    steps, cpu = (path.read_text() for path in paths)
    assert "<!-- environment steps -->" in steps
    assert "<!-- CPU seconds, tests included -->" in cpu
    runs = find_runs(root / ".")[0]
    grid, _ = curves_on_grid(runs[:1], "test_success_mean", clock="cpu_seconds")
    used = runs[0].metrics["cpu_seconds"][1]
    assert used[0] <= grid[0] < grid[-1] <= used[-1]
    assert report.main([str(root), "--figure", str(paths[0]), "--clock", "seconds"]) == 2
    assert "Draw it with --clock env_steps" in capsys.readouterr().err


def test_the_best_of_each_method(tmp_path, capsys):
    for lr, values in {0.1: (0.2, 0.4), 0.2: (0.5, 0.9)}.items():
        for seed, value in enumerate(values, 1):
            make_run(tmp_path, "agp", seed, [0.0, value], name=f"lr={lr}", lr=lr)
    make_run(tmp_path, "agp", 1, [0.0, 1.0], name="lr=0.3", lr=0.3)
    make_run(tmp_path, "agp", 3, [0.0, np.nan], name="lr=0.4", lr=0.4)
    make_run(tmp_path, "vdn", 1, [0.0, np.nan])
    lines = printed(capsys, tmp_path, "--best").split("| next best |")[1].splitlines()
    found = [line for line in lines if line.startswith(("| agp |", "| vdn |", "Not", "Each"))]
    assert found[0] == ("| agp | 2 | agp (lr=0.2) | 2 | 0.7000 | 0.2000 | agp (lr=0.1) | 0.3000 |")
    assert found[1] == "| vdn | 1 | vdn | 1 | nan | nan | - | - |"
    assert "Not compared, with fewer seeds: agp (lr=0.3)." in found
    assert found[-1].startswith("Each is the best of several on these seeds")


def test_dots_and_profiles_are_drawn(root, tmp_path):
    for seed in (1, 2):
        make_run(tmp_path / "s", "agp", seed, [0.0, 0.9], env="swap", env_name="swap")
    (table,) = tables(find_runs(tmp_path / "s")[0], None)
    seed_dots(table.rows, table.key, tmp_path / "dots.svg")
    assert report.main([str(tmp_path / "s"), "--profiles", str(tmp_path / "profiles.svg")]) == 0
    assert "success rate of greedy tests" in (tmp_path / "dots.svg").read_text()
    assert "normalised score" in (tmp_path / "profiles.svg").read_text()


def test_profiles_need_bounds(root, tmp_path, capsys):
    given = [str(root), "--key", "test_return_mean", "--profiles", str(tmp_path / "a.svg")]
    assert report.main(given) == 2
    assert "Give some by --bounds" in capsys.readouterr().err


def test_the_export_is_json(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "marl_eval.json" in printed(capsys, root, "--export", "marl-eval")
    assert set(json.loads((tmp_path / "marl_eval.json").read_text())["topk"]["topk"]) == {
        "agp",
        "vdn",
    }


@pytest.mark.parametrize(("number", "panels"), [(2, 1), (3, 1), (4, 6)])
def test_figures_like_the_papers(number, panels, root, tmp_path, capsys):
    path = tmp_path / "figure.svg"
    assert printed(capsys, root, "--paper-figure", number, "--figure", path) == f"{path}\n"
    text = path.read_text()
    assert text.count("no runs") == panels  # only Top-K has runs
    assert ("vdn" in text) == (number == 2)


@pytest.mark.parametrize("option", [["--figure"], ["--paper-figure", "2", "--figure"]])
def test_anchors_are_lines_with_their_names(option, tmp_path, capsys):
    make_run(tmp_path, "agp", 1, [0.0, 0.5], env_args={"n_agents": 6, "k": 2})
    printed(capsys, tmp_path, *option, tmp_path / "figure.svg")
    assert "<!-- own signals -->" in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize("option", ["--figure", "--costs", "--dots", "--paper-figure"])
def test_a_banner_stands_on_every_figure(option, root, tmp_path, capsys):
    for path in root.rglob("config.yaml"):
        (path.parent / "checkpoints").mkdir()
        weights = {"learner": {"online": {"w": torch.zeros(3)}}}
        save_checkpoint(path.parent / "checkpoints" / LATEST, weights)
    file = tmp_path / "a.svg"
    options = [option, file] if option != "--paper-figure" else [option, 2, "--figure", file]
    printed(capsys, root, *options, "--banner", "A test & no result.")
    assert "<!-- A test &amp; no result. -->" in file.read_text()
    printed(capsys, root, *options)
    assert "no result" not in file.read_text()


def test_a_banner_stands_above_tables_and_on_the_page(root, tmp_path, capsys):
    said = printed(capsys, root, "--banner", "A <test>.", "--html", tmp_path / "page")
    assert said.startswith("**A <test>.**\n\n## topk\n")
    page = (tmp_path / "page/index.html").read_text()
    assert '<p class="banner">A &lt;test&gt;.</p>' in page


def test_folders_of_runs_can_stand_in_a_file(root, tmp_path, capsys):
    runs = sorted(path.parent for path in root.rglob("metrics.csv"))
    file = tmp_path / "runs.txt"
    file.write_text("".join(f"{run}\n" for run in [*runs, *runs]))
    said = printed(capsys, f"@{file}", "--html", tmp_path / "page")
    assert said.startswith("## topk\n\n| method | seeds |")
    assert "| agp | 2 |" in said
    assert "<h1>Results of 6 folders</h1>" in (tmp_path / "page/index.html").read_text()


def test_tables_in_groups(root, capsys):
    make_run(root, "qmix", 1, [0.0, 0.4], controller="basic_controller", agent="rnn_agent")
    make_run(root, "dcg", 1, [0.0, 0.5], controller="dcg_controller", agent="rnn_agent")
    own, shared, unknown, _ = printed(capsys, root, "--groups").split("### ")[1:]
    assert own.startswith("Methods that act on their own history\n\n| method |")
    assert "| qmix, t_max=100 | 1 |" in own
    assert shared.startswith("Methods that share observations or messages at execution\n")
    assert "| dcg, t_max=100 | 1 |" in shared
    assert "| vdn | 1 |" in unknown


def test_panels_name_the_opponent_and_labels_do_not(tmp_path, capsys):
    fixed = {"env_name": "mpe_tag", "env": "mpe", "metric": "test_return_mean"}
    fixed["env_args"] = {"opponent": "scripted", "protocol": "team_vs_fixed"}
    make_run(tmp_path / "r", "agp", 1, [0.0, 0.5], **fixed)
    file = tmp_path / "figure4.svg"
    printed(capsys, tmp_path / "r", "--paper-figure", 4, "--figure", file)
    drawn = file.read_text()
    assert "<!-- Tag vs scripted -->" in drawn
    assert "<!-- agp -->" in drawn
    assert "<!-- no runs -->" in drawn


def drawn_figure_4(root, values, capsys, **others):
    """Text of Figure 4 with Speaker-Listener's runs alone."""
    task = {"env_name": "mpe_speaker_listener", "env": "mpe", "env_args": {"max_cycles": 25}}
    for alg, name in others.items():
        make_run(root, alg, 1, values, name=name, metric="x", **task)
    printed(capsys, root, "--paper-figure", 4, "--figure", root / "figure.svg")
    return (root / "figure.svg").read_text()


def test_a_panel_is_cut_below_random_play(tmp_path, capsys):
    text = drawn_figure_4(tmp_path, [-200, -100, -10], capsys, agp="")  # returns -401 to -21
    assert "<!-- random play -->" in text
    assert "<!-- \N{MINUS SIGN}80 -->" in text
    assert "<!-- \N{MINUS SIGN}100 -->" not in text


def test_a_variant_is_drawn_where_its_method_has_no_other_row(tmp_path, capsys):
    assert "no_memory" in drawn_figure_4(tmp_path / "a", [0.0, 0.5], capsys, agp="no_memory")
    make_run(
        tmp_path / "b", "agp", 1, [0.0, 0.4], name="no_memory", use_rnn=False, metric="x",
        env_name="mpe_speaker_listener", env="mpe", env_args={"max_cycles": 25},
    )  # fmt: skip
    assert "no_memory" not in drawn_figure_4(tmp_path / "b", [0.0, 0.5], capsys, agp="")
