"""The documentation works as printed: commands, tutorial, example, links, generated pages."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.helpers.fake_envs import fake_info
from tests.helpers.runs import TINY

import report
import suite
from build import build_controller
from build_training import build_learner
from config.cli import parse
from config.load import load_config
from config.plain_data import to_dict
from config.schema import RunConfig
from docs import generate
from main import main, resolve
from utils import plugins

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PYTHON = Path(sys.executable).as_posix()


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


STEPS = ["index", "mixer", "environment", "agent", "learner", "algorithm"]
EXTENDING = "\n".join(text_of(f"extending/{name}.md") for name in STEPS)


def blocks(text: str, *languages: str) -> list[str]:
    """Fenced code blocks in one of the languages; "" is a fence without one."""
    return [code for language, code in FENCE.findall(text) if language in languages]


def commands(text: str, *languages: str) -> list[str]:
    """The lines of such blocks, without comments."""
    lines = (
        line.partition("#")[0].strip() for b in blocks(text, *languages) for line in b.split("\n")
    )
    return [line for line in lines if line]


def run(command: str, cwd: Path) -> str:
    """Run a printed command there; returns what it printed, and fails if it failed."""
    words = shlex.split(command)
    assert words[0] == "python", command
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    done = subprocess.run(
        [PYTHON, *words[1:]], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """The tutorial's project beside a checkout, and what its commands printed."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "action-graph-policies").symlink_to(ROOT, target_is_directory=True)
    project = place / "my_project"
    project.mkdir()
    for name, code in FILE.findall(EXTENDING):
        (place / name).write_text(code, encoding="utf-8")
    return project, {command: run(command, project) for command in commands(EXTENDING, "bash")}


def test_tutorial_prints_every_step():
    names = [name for name, _ in FILE.findall(EXTENDING)]
    assert names == [
        "my_project/weighted_sum.py",
        "my_project/agp_weighted.yaml",
        "my_project/modular_sum.py",
        "my_project/modular_sum.yaml",
        "my_project/dueling_agent.py",
        "my_project/hysteretic_learner.py",
        "my_project/hysteretic.yaml",
    ]
    assert len(names) == len(blocks(EXTENDING, "python", "yaml"))
    layout = blocks(EXTENDING, "")[0]
    assert all(Path(name).name in layout for name in names)
    assert len(commands(EXTENDING, "bash")) == 6


def test_tutorial_runs_as_printed(tutorial):
    project, printed = tutorial
    train_mixer, check, train_env, train_algorithm, listed, contracts = printed.values()
    for training in (train_mixer, train_env, train_algorithm):
        assert "Finished. Everything is in" in training
    assert check.startswith("modular_sum passes all checks.")
    results = project / "results"
    recorded = next((results / "topk").glob("agp_weighted/*/config.yaml")).read_text()
    assert "mixer: weighted_sum" in recorded
    assert "use_bias: false" in recorded
    assert f"plugins: {project}" in recorded
    assert list((results / "modular_sum" / "agp").glob("*/metrics.csv"))
    recorded = next((results / "climbing").glob("hysteretic/*/config.yaml")).read_text()
    assert "agent: dueling_agent" in recorded
    assert "lowering_weight: 0.2" in recorded
    for name in ("weighted_sum", "modular_sum", "dueling_agent", "hysteretic_learner"):
        assert f"  {name} " in listed
    # Three tests of every component, two of a mixer, four of an agent, one of a learner, and the
    # checker; of the agent that alone is tried with and without further inputs and memory.
    assert f"{3 * 4 + 2 + 4 + 1 + 1} passed" in contracts


def test_tutorial_code_is_in_our_style(tutorial):
    project, _ = tutorial
    files = [Path(name).name for name, _ in FILE.findall(EXTENDING) if name.endswith(".py")]
    ruff = [PYTHON, "-m", "ruff"]
    settings = ["--config", str(ROOT / "pyproject.toml"), *files]
    known = ["--config", f"src = ['{ROOT}/src']"]  # whose modules are imported as ours
    for command in (["check", "--no-cache", *known], ["format", "--no-cache", "--check"]):
        done = subprocess.run(
            [*ruff, *command, *settings], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_learner_of_the_tutorial_weighs_errors_by_their_sign(tutorial):
    project, _ = tutorial
    settings = [f"plugins={project}", "learner_args.lowering_weight=0.25"]
    try:
        config = load_config(str(project / "hysteretic.yaml"), "climbing", settings)
        learner = build_learner(config, build_controller(config, fake_info()))
        errors = torch.tensor([-2.0, 2.0])  # Q below and above its target
        assert learner.error_loss(errors).tolist() == [4.0, 1.0]
    finally:
        plugins.use_folder("")


def test_the_logger_of_the_page_records_a_run(tmp_path):
    for name, code in FILE.findall(text_of("guide/logging.md")):
        (tmp_path / Path(name).name).write_text(code, encoding="utf-8")
    flags = ["--config=vdn", "--env-config=topk", "with", *TINY, f"results_dir={tmp_path}"]
    try:
        assert main([*flags, f"plugins={tmp_path}", "loggers=[csv,progress_file]"]) == 0
        run_dir = tmp_path / "topk" / "vdn" / "vdn_seed1_1"
        written = json.loads((run_dir / "progress.json").read_text())
        assert written["finished"]
        assert "test_return_mean" in written
        assert not (run_dir / "sacred").exists()
        assert main(["with", f"resume={run_dir}", "t_max=72"]) == 0  # it finds the logger again
    finally:
        plugins.use_folder("")


def test_targets_of_the_worked_example(capsys):
    (code,) = blocks(text_of("guide/terminated_and_truncated.md"), "python")
    exec(compile(code, "terminated_and_truncated.md", "exec"), {})
    expected = code.rstrip().rpartition("# ")[2]
    assert capsys.readouterr().out.strip() == expected
    # By hand: G_t = r_t + 0.5 (0.5 v + 0.5 G_{t+1}), the last step r + 0.5 v or, if terminated, r.
    last = 2 + 0.5 * 8
    second = 0 + 0.5 * (0.5 * 8 + 0.5 * last)
    first = 1 + 0.5 * (0.5 * 8 + 0.5 * second)
    by_hand = [first, second, last, 1 + 0.5 * (0.5 * 8 + 0.5 * 4), 4.0, 1 + 0.5 * 8]
    assert str(by_hand) == expected
    for target in set(by_hand):
        assert f"**{target:g}**" in text_of("guide/terminated_and_truncated.md")


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_pages_are_up_to_date(name):
    assert not generate.is_outdated(name), f"docs/{name}: run `make docs`"
    if name.endswith(".md"):
        said = "are filled from" if name.startswith("results/") else "Generated from the code"
        assert said in text_of(name)


def test_a_place_for_a_table_that_no_command_prints_is_an_error():
    page = (
        "    python src/report.py docs/results/runs/coma_first.tar.xz\n\n"
        "<!-- report: mpe_tag -->\nold\n<!-- end -->\n"
    )
    assert "| coma | scripted | 3 |" in generate.archived_runs.filled(page)
    with pytest.raises(ValueError, match=r"prints \['topk'\], only \['mpe_push', "):
        generate.archived_runs.filled(page.replace("mpe_tag", "topk"))


def test_check_reports_which_page_is_out_of_date(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "PAGES", {"a.md": lambda: "new\n", "b.md": lambda: "same\n"})
    (tmp_path / "a.md").write_text("old\n")
    (tmp_path / "b.md").write_text("same\n")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("docs/a.md is out of date")
    assert (tmp_path / "a.md").read_text() == "old\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert generate.main(["--chekc"]) == 2


PARTS = [
    "Idea",
    "Equations",
    "What an agent knows at execution",
    "Differences from the paper",
    "Settings",
    "Results",
]
METHODS = sorted(set((ROOT / "docs" / "methods").glob("*.md")) - {ROOT / "docs/methods/index.md"})


@pytest.mark.parametrize("page", METHODS, ids=lambda p: p.stem)
def test_a_methods_page_has_six_parts(page):
    assert re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE) == PARTS


def test_every_method_has_a_page_and_a_row():
    names = sorted(path.stem for path in (ROOT / "src" / "config" / "algs").glob("*.yaml"))
    described = [m[2].split() for p in METHODS for m in generate.SETTINGS.finditer(p.read_text())]
    assert sorted(name for group in described for name in group) == names
    rows = re.findall(r"^\| (\[`.*?) \|", text_of("methods/index.md"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == names


PAPERS_TASKS = [f"mpe_{t}" for t in "reference push world_comm speaker_listener crypto tag".split()]


def value(config: RunConfig, setting: str) -> str:
    """A setting as YAML writes it."""
    node = to_dict(config)
    for key in setting.split("."):
        node = node[key]
    return str(node).lower() if isinstance(node, bool) else str(node)


def test_our_constants_beside_the_papers_are_what_runs():
    part = text_of("methods/agp.md").partition("### Our constants beside the paper's")[2]
    table = part.partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)`[^|]*\| [^|]* \| ([^|]*) \| ([^|]*) \|$", table, re.MULTILINE)
    assert len(rows) == 19
    topk = load_config("agp", "topk", [])
    particles = [load_config("agp", env, []) for env in PAPERS_TASKS]
    for setting, on_topk, on_particles in rows:
        found = sorted({value(config, setting) for config in particles}, key=lambda v: (len(v), v))
        shown = found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"
        assert (on_topk, on_particles) == (value(topk, setting), shown), setting


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [t for t in LINK.findall(text) if not re.match(r"[a-z]+:|#", t)]
    missing = [t for t in targets if not (page.parent / t.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_prose_has_at_most_120_columns(page):
    lines = FENCE.sub("", page.read_text(encoding="utf-8")).split("\n")
    as_it_is = ("|", "    ", "![", "<!--")  # tables, commands, pictures
    assert [line for line in lines if len(line) > 120 and not line.startswith(as_it_is)] == []


def test_readme_has_at_most_900_words():
    assert len(README.read_text(encoding="utf-8").split()) <= 900


def cells(table: str) -> list[list[str]]:
    """The cells of a table in Markdown, without the line under its head."""
    rows = [line.strip("| ").split(" | ") for line in table.replace("`", "").split("\n")]
    return [rows[0], *rows[2:]]


def test_scores_in_the_readme_are_those_of_the_particle_page():
    def rows_under(heading: str) -> dict[str, list[str]]:
        _, _, after = text_of("results/paper_particles.md").partition(f"<!-- report: {heading} -->")
        table = after.partition("<!-- end -->")[0].strip()
        return {method: rest for method, *rest in cells(table)}

    before = README.read_text(encoding="utf-8").partition("\n\n![Greedy return on six")[0]
    methods, scores, seconds = cells(before.split("\n\n")[-1])
    everything, iqm = rows_under("Every task"), rows_under("6 tasks")
    assert scores == [f"{float(iqm[method][2]):.2f}" for method in methods]
    assert seconds == [everything[method][-1] for method in methods]


RESULTS = sorted(set((ROOT / "docs/results").glob("*.md")) - {ROOT / "docs/results/index.md"})


@pytest.mark.parametrize("page", RESULTS, ids=lambda p: p.stem)
def test_a_results_page_opens_with_what_was_found(page):
    opening = page.read_text(encoding="utf-8").split("\n\n")[1]
    assert len(re.findall(r"^\* ", opening, re.MULTILINE)) == 5


def printed(program: str) -> list[str]:
    """Every command of the documentation that runs `src/<program>`, with its arguments."""
    found = re.findall(rf"python src/{program} ([^`\n]+)", "\n".join(p.read_text() for p in PAGES))
    of_the_reader = ("<folders>", "<suite>", "my_suite.yaml")
    return [c for c in dict.fromkeys(found) if not any(name in c for name in of_the_reader)]


@pytest.mark.parametrize("command", printed("report.py"))
def test_printed_reports_have_options_that_exist(command, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    assert report.main(words) == 2
    root = words[0] if words[0].startswith("docs/results/runs/") else "results"
    assert f"error: There is no folder {root}" in capsys.readouterr().err
    assert root == "results" or (ROOT / root).is_file()


@pytest.mark.parametrize("command", printed("suite.py"))
def test_printed_suites_are_valid(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert suite.main([*shlex.split(command), "--dry-run"]) == 0
    step = capsys.readouterr().out.split()[1]
    assert step in ("train", "evaluate", "finished")  # results/ of this folder may have runs


def printed_in_readme(start: str) -> list[str]:
    """README's commands that begin with `start`, in fences and in tables."""
    text = README.read_text(encoding="utf-8")
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    found = [c for c in commands(text, "", "bash", "sh") + inline if c.startswith(start)]
    assert found, f"README.md prints no command `{start}...`"
    return found


def test_make_targets_of_the_readme_exist():
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    targets = {t for c in printed_in_readme("make ") for t in shlex.split(c)[1:] if "=" not in t}
    assert {"agp", "test"} <= targets
    for target in sorted(targets):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_settings_in_the_readme_exist():
    for command in printed_in_readme("python src/main.py"):
        parsed = parse(shlex.split(command)[2:])
        of_the_reader = ("resume=", "checkpoint_path=")  # a run or an environment of the reader's
        if parsed.action in ("help", "list") or parsed.env == "my_env":
            continue
        if not any(o.startswith(of_the_reader) for o in parsed.overrides):
            resolve(parsed)
