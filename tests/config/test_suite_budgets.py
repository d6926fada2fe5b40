"""Budgets, included files and the report of a suite's file, with every problem in its place."""

from pathlib import Path

import pytest
import yaml

from config.suite_file import Suite, read_suite
from config.suite_report import Report
from utils.errors import ConfigError

ONE = {"algs": ["iql"], "envs": ["topk"], "seeds": [1, 2], "with": {"lr": 0.1, "t_max": 900}}
OTHER = {"algs": ["vdn"], "envs": ["swap"], "seeds": [1]}
BUDGETS = {
    "tiny": {"with": {"t_max": 64}, "seeds": [7], "banner": "Very short runs."},
    "full": None,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of suites, which names of suites are looked for in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/suites").mkdir(parents=True)
    return tmp_path


def write(name: str, *blocks: object, **rest: object) -> None:
    data = {"runs": list(blocks), **rest} if blocks else rest
    Path(f"configs/suites/{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))


def read(*blocks: object, budget: str | None = None, with_: tuple[str, ...] = (), **rest) -> Suite:
    write("mine", *blocks, **rest)
    return read_suite("mine", list(with_), budget)


def problems(*blocks: object, budget: str | None = None, **rest: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(*blocks, budget=budget, **rest)
    return [text.replace("configs/suites/", "") for text in error.value.problems]


def test_a_budget_goes_before_the_blocks_and_the_command_line_before_it(folder) -> None:
    (job,) = read(ONE, budgets=BUDGETS, budget="tiny").jobs
    assert (job.config.t_max, job.config.lr, job.config.seed) == (64, 0.1, 7)
    (job,) = read(ONE, budgets=BUDGETS, budget="tiny", with_=("t_max=80",)).jobs
    assert job.config.t_max == 80
    assert read(ONE, budgets=BUDGETS, budget="tiny").banner == "Very short runs."


def test_a_budget_of_nothing_leaves_the_blocks_as_they_are(folder) -> None:
    found = read(ONE, budgets=BUDGETS, budget="full")
    assert [(job.config.t_max, job.config.seed) for job in found.jobs] == [(900, 1), (900, 2)]
    assert found.banner == ""


def test_a_budget_replaces_what_lies_below_its_settings(folder) -> None:
    block = ONE | {"with": {"env_args": {"n_agents": 5, "k": 1}}}
    budgets = {"few": {"with": {"env_args.n_agents": 3, "env_args": {"k": 2}}}}
    job = read(block, budgets=budgets, budget="few").jobs[0]
    assert (job.config.env_args.n_agents, job.config.env_args.k) == (3, 2)


def test_a_budget_decides_on_the_evaluation(folder) -> None:
    budgets = {"few": {"evaluate": {"test_nepisode": 5}}, "none": {"evaluate": False}}
    given = {"evaluate": {"test_nepisode": 50, "test_batch_size_run": 5}, "budgets": budgets}
    few = ("test_nepisode=5", "test_batch_size_run=5")
    assert read(ONE, **given, budget="few").jobs[0].evaluations == (few,)
    assert read(ONE, **given, budget="none").jobs[0].evaluations == ()


@pytest.mark.parametrize(
    ("budgets", "budget", "said"),
    [
        (BUDGETS, None, "mine.yaml: budgets: choose one of tiny, full by --budget."),
        (None, "tiny", "--budget tiny: mine.yaml has no budgets. Leave it out."),
        (BUDGETS, "tinny", "--budget tinny: none of this name in mine.yaml. Did you mean 'tiny'?"),
        ([], "tiny", "mine.yaml: budgets: [] is not a mapping of names."),
        ({"tiny": 3}, "tiny", "mine.yaml: budgets: tiny: 3 is not a mapping with with, seeds"),
        ({"tiny": {"wiht": {}}}, "tiny", "mine.yaml: budgets: tiny: there is no key 'wiht' in it."),
        ({"tiny": {"seeds": 1}}, "tiny", "mine.yaml: budgets: tiny: seeds: 1 is not a list."),
        ({"tiny": {"banner": 1}}, "tiny", "mine.yaml: budgets: tiny: banner: 1 is not text."),
        (
            {"tiny": {"with": {"lrr": 1}}},
            "tiny",
            "mine.yaml: budgets: tiny: with: lrr: no such setting.",
        ),
        ({"tiny": {"with": {"lr": -1}}}, "tiny", "mine.yaml: budgets: tiny: with: lr: -1"),
        ({"tiny": {"with": {"seed": 1}}}, "tiny", "mine.yaml: budgets: tiny: with: seed: write"),
        (
            {"tiny": {"evaluate": {"test_nepisode": 0}}},
            "tiny",
            "mine.yaml: budgets: tiny: evaluate: test_nepisode: 0 must be at least 1.",
        ),
        # The structure of budgets that are not chosen is checked, too.
        ({**BUDGETS, "full": {"sed": []}}, "tiny", "mine.yaml: budgets: full: there is no key"),
    ],
)
def test_a_mistake_in_budgets(budgets: object, budget: str | None, said: str, folder) -> None:
    found = problems(ONE, budgets=budgets, evaluate=None, budget=budget)
    assert found[0].startswith(said), found


def test_a_budget_does_not_decide_on_what_a_grid_varies(folder) -> None:
    block = {**OTHER, "grid": {"lr": [0.1, 0.2]}}
    found = problems(block, budgets={"tiny": {"with": {"lr": 0.3}}}, budget="tiny")
    assert found[0] == (
        "mine.yaml: budgets: tiny: with: lr: mine.yaml: block 1 has it in its grid. Leave one of "
        "the two out."
    )


def test_a_suite_runs_what_it_includes_and_its_own_blocks(folder) -> None:
    write("first", ONE)
    write("second", OTHER)
    found = read(OTHER | {"seeds": [2]}, include=["first", "second"])
    titles = [(job.alg, job.env, job.config.seed) for job in found.jobs]
    assert titles == [
        ("iql", "topk", 1),
        ("iql", "topk", 2),
        ("vdn", "swap", 1),
        ("vdn", "swap", 2),
    ]
    assert len(read(include=["configs/suites/first.yaml"]).jobs) == 2


def test_a_run_of_several_files_is_run_once(folder) -> None:
    write("first", ONE)
    write("second", ONE | {"algs": ["iql", "vdn"]})
    assert [job.alg for job in read(include=["first", "second"]).jobs] == ["iql"] * 2 + ["vdn"] * 2


def test_a_file_that_is_included_twice_is_read_once(folder) -> None:
    write("first", ONE)
    write("second", OTHER, include=["first"])
    assert len(read(include=["first", "second"]).jobs) == 3


def test_budgets_of_included_files_hold_for_their_runs(folder) -> None:
    write("first", ONE, budgets=BUDGETS)
    write("second", OTHER, budgets={"tiny": {"with": {"t_max": 32}, "banner": "Short."}})
    found = read(include=["first", "second"], budget="tiny")
    assert [job.config.t_max for job in found.jobs] == [64, 32]
    assert found.banner == "Very short runs. Short."
    mine = {"tiny": {"with": {"t_max": 16}, "banner": "Mine."}}
    found = read(include=["first", "second"], budgets=mine, budget="tiny")
    assert [job.config.t_max for job in found.jobs] == [16, 16]
    assert found.banner == "Mine."


def test_every_file_with_runs_needs_the_budget(folder) -> None:
    write("first", ONE, budgets=BUDGETS)
    write("second", OTHER)
    (found,) = problems(include=["first", "second"], budget="tiny")
    assert found == "--budget tiny: none of this name in second.yaml. Any of tiny, full."
    (found,) = problems(include=["first", "second"])
    assert found == "mine.yaml: budgets: choose one of tiny, full by --budget."
    assert read(include=["second"], budgets={"tiny": None}, budget="tiny").jobs


def test_included_files_agree_on_the_evaluation_or_the_file_says_it(folder) -> None:
    write("first", ONE, evaluate={"test_nepisode": 5})
    write("second", OTHER, evaluate={"test_nepisode": 6})
    (found,) = problems(include=["first", "second"])
    assert found.startswith("mine.yaml: the files that it includes do not evaluate under the same")
    seven = read(include=["first", "second"], evaluate={"test_nepisode": 7})
    assert seven.jobs[0].evaluations == (("test_nepisode=7",),)
    assert read(include=["first"]).jobs[0].evaluations == (("test_nepisode=5",),)


def test_mistakes_in_included_files_are_reported_with_their_place(folder) -> None:
    write("first", ONE | {"with": {"lrr": 1}})
    write("second", include=["mine"])
    found = problems(include=["first", "second", "frist", "nope.yaml"])
    assert found[0].startswith("second.yaml: include: mine includes this file, so it has no end.")
    assert found[1].startswith("mine.yaml: include: there is no suites/frist.yaml. Did you mean")
    assert found[2] == "mine.yaml: include: there is no file 'nope.yaml'. Check the path."
    assert found[3].startswith("first.yaml: block 1: with: lrr: no such setting.")
    assert (
        problems(include="first")[0] == "mine.yaml: include: 'first' is not a list. Write [first]."
    )


def test_a_report_is_what_all_files_ask_for(folder) -> None:
    write("first", ONE, report={"paper_figures": [2], "groups": True, "format": "png"})
    write(
        "second",
        OTHER,
        report={
            "figures": ["dots"],
            "attention": {"algs": ["vdn"], "envs": ["swap"]},
            "differences": {"sum": ["vdn", "iql"]},
        },
    )
    assert read(
        include=["first", "second"], report={"page": True, "paper_figures": [3, 2]}
    ).report == (
        Report(
            ("dots",),
            ("2", "3"),
            (("vdn", "swap"),),
            (("sum", "vdn", "iql"),),
            page=True,
            groups=True,
            format="png",
        )
    )
    assert read(ONE).report is None
    assert read(ONE, report=None).report == Report()


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ([1], "report: [1] is not a mapping. Write {page: true}."),
        ({"pages": True}, "report: there is no key 'pages' in it. Did you mean 'page'?"),
        ({"figures": "dots"}, "report: figures: 'dots' is not a list. Write [curves]."),
        ({"figures": ["dot"]}, "report: figures: there is no 'dot'. Did you mean 'dots'?"),
        ({"paper_figures": [5]}, "report: paper_figures: there is no '5'."),
        ({"page": "x"}, "report: page: 'x' is not"),
        ({"format": "gif"}, "report: format: 'gif' is none of svg, png, pdf."),
        ({"differences": ["x"]}, "report: differences: ['x'] is not a mapping."),
        ({"differences": {"x": ["agp"]}}, "report: differences: x: ['agp'] is not a list of two"),
        ({"attention": ["agp"]}, "report: attention: ['agp'] is not a mapping."),
        (
            {"attention": {"algs": ["iql"]}},
            "report: attention: envs: is missing. Write [topk, swap].",
        ),
        (
            {"attention": {"algs": ["agp"], "envs": ["topk"]}},
            "report: attention: no run of agp on topk is asked for.",
        ),
    ],
)
def test_a_mistake_in_a_report(report: object, said: str, folder) -> None:
    assert problems(ONE, report=report)[0].startswith(f"mine.yaml: {said}")
