"""A suite's file is checked whole, and every problem is reported with its place in the file."""

from pathlib import Path

import pytest
import yaml

from config.search_path import available, find_yaml
from config.suite_file import Suite, read_suite
from utils.errors import ConfigError

BLOCK = {"algs": ["iql", "vdn"], "envs": ["topk", "swap"], "seeds": [1, 2], "with": {"lr": 0.1}}


@pytest.fixture
def suite(tmp_path: Path):
    def write(*blocks: object, settings: tuple[str, ...] = (), **rest: object) -> Suite:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"runs": list(blocks), **rest}, sort_keys=False))
        return read_suite(str(path), list(settings))

    return write


def problems(call, *args: object, **kwargs: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        call(*args, **kwargs)
    return [problem.partition("mine.yaml: ")[2] or problem for problem in error.value.problems]


def suites() -> list[tuple[str, str | None, bool]]:
    """Every suite that no other includes, its budgets, and whether a grid names its runs."""
    files = {name: find_yaml(name, "suites", "suite")[1] for name in available("suites")}
    data = {name: yaml.safe_load(path.read_text()) for name, path in files.items()}
    included = {name for suite in data.values() for name in suite.get("include", ())}
    return [
        (name, budget, any("grid" in block for block in suite.get("runs", ())))
        for name, suite in data.items()
        for budget in suite.get("budgets", [None])
        if name not in included
    ]


@pytest.mark.parametrize(("name", "budget", "has_grid"), suites())
def test_every_suite_is_valid_and_its_runs_keep_their_names(
    name: str, budget: str | None, has_grid: bool
) -> None:
    jobs = read_suite(name, [], budget).jobs
    assert jobs
    assert has_grid or all(job.config.name == "" or job.has_given_name for job in jobs)


def test_a_suite_multiplies_methods_environments_and_seeds(suite) -> None:
    found = suite(BLOCK, evaluate={"test_nepisode": 5}, settings=("gamma=0.5",))
    assert len(found.jobs) == 8
    assert found.jobs[0].title == "iql topk seed=1 lr=0.1 gamma=0.5"
    assert (found.jobs[3].config.seed, found.jobs[3].config.alg_name) == (2, "vdn")
    assert {job.config.lr for job in found.jobs} == {0.1}
    assert {job.evaluations for job in found.jobs} == {(("test_nepisode=5",),)}
    assert suite(BLOCK).jobs[0].evaluations == ()
    assert suite(BLOCK, evaluate=None).jobs[0].evaluations == ((),)


def test_further_evaluations_are_those_of_their_tasks(suite) -> None:
    also = [{"envs": ["swap"], "with": {"test_nepisode": 9, "gamma": 0.5}}]
    block = BLOCK | {"envs": ["topk", "swap"]}
    evaluate = {"test_nepisode": 5, "test_batch_size_run": 5}
    found = {j.env: j.evaluations for j in suite(block, evaluate=evaluate, also_evaluate=also).jobs}
    own = ("test_nepisode=5", "test_batch_size_run=5")
    assert found == {
        "topk": (own,),
        "swap": (own, ("test_nepisode=9", "test_batch_size_run=5", "gamma=0.5")),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"also_evaluate": {"envs": ["topk"]}}, "also_evaluate: {'envs': ['topk']} is not a list"),
        ({"also_evaluate": [{"envs": ["parity"]}]}, "no run on parity is asked for."),
        (
            {"also_evaluate": [{"envs": ["topk"], "seeds": [1]}]},
            "also_evaluate: entry 1: there is no key 'seeds'",
        ),
        (
            {"also_evaluate": [{"envs": ["topk"], "with": {"gama": 1}}]},
            "also_evaluate: entry 1: with: gama: no such setting",
        ),
    ],
)
def test_mistakes_in_further_evaluations(suite, given, said) -> None:
    with pytest.raises(ConfigError) as error:
        suite(BLOCK, evaluate=None, **given)
    assert said in str(error.value)


def test_further_evaluations_need_a_first_one(suite) -> None:
    with pytest.raises(ConfigError, match="it is on top of `evaluate`"):
        suite(BLOCK, also_evaluate=[{"envs": ["topk"]}])


def test_the_command_line_goes_before_the_file(suite) -> None:
    assert {job.config.lr for job in suite(BLOCK, settings=("lr=0.2",)).jobs} == {0.2}


def test_values_keep_their_type(suite) -> None:
    given = {
        "env_args": {"n_agents": [3, 5]},
        "env_args.n_resources": 4,
        "name": "no",
        "lr": "1e-3",
    }
    job = suite(
        {"algs": ["agp_structured"], "envs": ["assignment"], "seeds": [1], "with": given}
    ).jobs[0]
    assert job.config.name == "no"
    assert job.config.env_args.n_agents == (3, 5)
    assert "env_args.n_agents=[3, 5]" in job.settings


def test_a_run_gets_a_name_from_what_differs(suite) -> None:
    one = {"algs": ["iql"], "envs": ["topk"], "seeds": [1]}
    blocks = [
        {**one, "with": {"t_max": 900, "lr": 0.1}},
        {**one, "with": {"t_max": 900, "lr": 0.2, "env_args": {"k": 1}}},
        {**one, "with": {"t_max": 900, "name": "mine"}},
        {**one, "with": {"t_max": 900}},
        {**one, "envs": ["swap"], "with": {"t_max": 100}},
    ]
    names = [job.config.name for job in suite(*blocks).jobs]
    assert names == ["lr=0.1", "lr=0.2,env_args.k=1", "mine", "", ""]
    assert [job.config.name for job in suite(*blocks[:2], settings=("name=x",)).jobs] == ["x", "x"]


@pytest.mark.parametrize("value", ["a/b: c*", "x" * 300])
def test_a_generated_name_is_one_folder(value: str, suite) -> None:
    one = {"algs": ["iql"], "envs": ["mpe_tag"], "seeds": [1]}
    other = {
        **one,
        "with": {"env_args.opponent": "path", "env_args.opponent_path": value, "mongo_db": "x"},
    }
    name = suite(one, other).jobs[1].config.name
    assert name.startswith("env_args.opponent=path,env_args.opponent_path=")
    assert "mongo_db" not in name
    assert len(name) <= 100
    assert not set('/\\:*?"<>| ') & set(name)


ONE = {"algs": ["iql"], "envs": ["topk"], "seeds": [1]}
BAD_BLOCKS = [
    ({**ONE, "seeds": 3}, "block 1: seeds: 3 is not a list. Write [3]."),
    ({**ONE, "seeds": "1,2"}, "block 1: seeds: '1,2' is not a list. Write [1, 2]."),
    ({**ONE, "seeds": []}, "block 1: seeds: [] is not a list. Write [1, 2, 3]."),
    ({**ONE, "seeds": ["a"]}, "block 1: seeds: entry 1: 'a' is not a whole number."),
    ({**ONE, "seeds": [True]}, "block 1: seeds: entry 1: true is not a whole number."),
    ({**ONE, "seeds": [-1]}, "block 1: seeds: -1 must lie in"),
    ({**ONE, "algs": "iql"}, "block 1: algs: 'iql' is not a list. Write [iql]."),
    ({**ONE, "algs": [7]}, "block 1: algs: entry 1: 7 is not text"),
    ({"envs": ["topk"], "seeds": [1]}, "block 1: algs: is missing. Write [agp, iql]."),
    ({"algs": ["iql"], "envs": ["topk"]}, "block 1: seeds: is missing. Write [1, 2, 3]."),
    ({"algs": ["iql"], "seeds": [1]}, "block 1: envs: is missing. Write [topk, swap]."),
    ({**ONE, "alg": ["iql"]}, "block 1: there is no key 'alg' in it. Did you mean 'algs'?"),
    ({**ONE, "with": ["lr=1"]}, "block 1: with: ['lr=1'] is not a mapping."),
    ({**ONE, "with": {"seed": 3}}, "block 1: with: seed: write the seeds of a block under"),
    ({**ONE, "with": {"resume": "auto"}}, "block 1: with: resume: a suite continues"),
    ({**ONE, "with": {"lr": -1}}, "block 1: with: lr: -1"),
    ({**ONE, "with": {"lrr": 1}}, "block 1: with: lrr: no such setting"),
    ({**ONE, "algs": ["iqll"]}, "block 1 (iqll on topk): --config: there is no algs/iqll"),
    ({**ONE, "envs": ["topp"]}, "block 1 (iql on topp): --env-config: there is no envs"),
    (
        {**ONE, "with": {"mixer": "vdn", "reward_aggregation": "individual"}},
        "block 1 (iql on topk)",
    ),
    ("iql", "block 1: 'iql' is not a mapping"),
]


@pytest.mark.parametrize(("block", "said"), BAD_BLOCKS, ids=lambda x: str(x)[:50])
def test_a_mistake_in_a_block(block: object, said: str, suite) -> None:
    found = problems(suite, block)
    assert found[0].startswith(said), found


def test_all_mistakes_are_reported_together(suite) -> None:
    blocks = [block for block, _ in BAD_BLOCKS]
    found = problems(suite, *blocks, ONE, evaluate={"test_nepisode": 0}, evalute=1)
    wanted = [text.replace("block 1", f"block {i}") for i, (_, text) in enumerate(BAD_BLOCKS, 1)]
    wanted += ["evaluate: test_nepisode: 0 must", "there is no key 'evalute' in it. Did you mean"]
    for said in wanted:
        assert any(problem.startswith(said) for problem in found), said
    assert len(set(found)) == len(found)


def test_mistakes_of_the_command_line_are_reported_once(suite) -> None:
    found = problems(suite, BLOCK, settings=("lr", "gamma=x", "seed=3"))
    assert [problem.split(" ")[:3] for problem in found] == [
        ["command", "line:", "seed:"],
        ["command", "line:", "'lr'"],
        ["command", "line:", "gamma:"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: []", "`runs` is missing. Write a list of blocks"),
        ("runs: {algs: [iql]}", "`runs` is {'algs': ['iql']}. Write a list"),
        ("runs: [", "not valid YAML"),
        ("", "`runs` is missing"),
        ("[1]", "holds [1]"),
    ],
)
def test_a_file_that_is_no_suite(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert any(p.startswith(said) for p in problems(read_suite, str(path), []))


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"test_nepisode": 0}, "evaluate: test_nepisode: 0 must be at least 1."),
        ({"test_nepisodes": 5}, "evaluate: test_nepisodes: no such setting. Did you mean"),
        ({"checkpoint_path": "x"}, "evaluate: checkpoint_path: a suite gives it by itself."),
        ([5], "evaluate: [5] is not a mapping."),
    ],
)
def test_a_mistake_in_the_evaluation(evaluation: object, said: str, suite) -> None:
    (found,) = problems(
        suite, {**ONE, "seeds": [1, 2]}, ONE | {"algs": ["vdn"]}, evaluate=evaluation
    )
    assert found.startswith(said)


@pytest.mark.parametrize(
    "blocks",
    [
        [ONE | {"seeds": [1, 1]}],
        [ONE | {"algs": ["iql", "iql"]}],
        [ONE, ONE | {"seeds": [2, 1]}],
        [ONE, ONE | {"with": {"show_progress": False, "checkpoint_interval": 7}}],
        [ONE, ONE | {"with": {"env_args": {"k": 2}}}],  # the environment's own value
    ],
)
def test_a_run_asked_for_twice_is_an_error(blocks: list[object], suite) -> None:
    (found,) = problems(suite, *blocks)
    assert ": the run with seed 1 is the same as in " in found


def test_an_unknown_suite_names_the_nearest() -> None:
    (found,) = problems(read_suite, "topkk", [])
    assert found.startswith("suite: there is no suites/topkk.yaml. Did you mean 'topk'?")


GRID = {**ONE, "grid": {"lr": ["3e-4", "1e-3"], "env_args": {"k": [1, 2]}}}


def test_a_grid_is_every_combination_and_names_it(suite) -> None:
    found = suite(GRID | {"with": {"t_max": 900}})
    assert [job.config.name for job in found.jobs] == [
        "lr=3e-4,env_args.k=1",
        "lr=3e-4,env_args.k=2",
        "lr=1e-3,env_args.k=1",
        "lr=1e-3,env_args.k=2",
    ]
    assert found.jobs[0].config.lr == 3e-4
    assert {job.config.t_max for job in found.jobs} == {900}
    one_value = suite(ONE | {"grid": {"lr": ["1e-3", "1e-2"], "gamma": [0.9]}})
    assert [job.config.name for job in one_value.jobs] == ["lr=1e-3", "lr=1e-2"]


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({**ONE, "grid": {"lr": 1}}, "block 1: grid: lr: 1 is not a list of values."),
        ({**ONE, "grid": {"lr": []}}, "block 1: grid: lr: [] is not a list of values."),
        ({**ONE, "grid": [1]}, "block 1: grid: [1] is not a mapping."),
        ({**ONE, "grid": {"seed": [1]}}, "block 1: grid: seed: write the seeds"),
        ({**ONE, "grid": {"lr": [-1, 0.1]}}, "block 1: grid: lr: -1"),
        ({**ONE, "grid": {"lr": [0.1, 0.1]}}, "block 1 (iql on topk): the run with seed 1 is"),
        (
            {**ONE, "with": {"lr": 1}, "grid": {"lr": [1, 2]}},
            "block 1: grid: lr: it is given under `with`, too.",
        ),
    ],
)
def test_a_mistake_in_a_grid(block: object, said: str, suite) -> None:
    assert problems(suite, block)[0].startswith(said)


SPACE = {"lr": {"low": "1e-4", "high": 1e-2, "log": True}, "hidden_dim": [8, 16]}
SEARCH = {"trials": 12, "fresh_seeds": [8, 9], "space": SPACE}


def test_a_search_makes_named_runs_of_what_was_drawn(suite) -> None:
    found = suite(ONE, search=SEARCH, settings=("t_max=900",))
    assert found.search is not None
    drawn = found.search.tidy({"lr": 0.000123456, "hidden_dim": 8})
    assert drawn == {"lr": 0.000123, "hidden_dim": 8}
    (study,) = found.studies
    jobs = study.jobs(drawn, (8, 9))
    assert [job.config.seed for job in jobs] == [8, 9]
    assert jobs[0].config.name == "lr=0.000123,hidden_dim=8"
    assert (jobs[0].config.lr, jobs[0].config.t_max) == (0.000123, 900)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ([], "search: [] is not a mapping"),
        ({**SEARCH, "trails": 3}, "search: there is no key 'trails' in it. Did you mean 'trials'?"),
        ({**SEARCH, "trials": 0}, "search: trials: 0 must be at least 1."),
        (
            {k: v for k, v in SEARCH.items() if k != "trials"},
            "search: trials: is missing. Write a whole number, such as 30.",
        ),
        (
            {k: v for k, v in SEARCH.items() if k != "fresh_seeds"},
            "search: fresh_seeds: is missing. Write [11, 12, 13].",
        ),
        (
            {k: v for k, v in SEARCH.items() if k != "space"},
            "search: space: is missing. Write {lr: {low: 1e-4, high: 1e-2}}.",
        ),
        ({**SEARCH, "fresh_seeds": [1]}, "search: fresh_seeds: 1 is a seed of the search."),
        ({**SEARCH, "space": {}}, "search: space: {} is not a mapping"),
        ({**SEARCH, "space": {"gamma": [0.5]}}, "search: space: gamma: it is given elsewhere"),
        ({**SEARCH, "space": {"seed": [1]}}, "search: space: seed: write the seeds"),
        ({**SEARCH, "space": {"lr": 3}}, "search: space: lr: 3 is neither a list of values nor"),
        ({**SEARCH, "space": {"lr": {"low": 2, "high": 1}}}, "search: space: lr: low: 2 must be"),
        ({**SEARCH, "space": {"lr": [0.1, -1]}}, "search: space: lr: -1"),
        ({**SEARCH, "space": {"lrr": [0.1]}}, "search: space: lrr: no such setting"),
    ],
)
def test_a_mistake_in_a_search(search: object, said: str, suite) -> None:
    found = problems(suite, ONE, search=search, settings=("gamma=0.5",))
    assert found[0].startswith(said), found
