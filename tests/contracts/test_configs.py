"""Every YAML loads, trains, evaluates, saves and reloads; every setting is read somewhere."""

import ast
import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
import yaml
from tests.helpers.runs import rows, tiny, train

from components.settings import AgentSettings
from config.combinations import check_combination
from config.hints import nested_dataclass
from config.load import load_config, load_recorded
from config.plain_data import changes, dump, to_dict
from config.schema import RunConfig
from config.search_path import CONFIG_DIR, available, presets
from evaluate import evaluate
from policy import load_policy
from run import Run
from utils.errors import UserError
from utils.registry import LEARNERS, REGISTRIES

SRC = Path(__file__).resolve().parents[2] / "src"
ALGS, ENVS = available("algs"), available("envs")
EVERYWHERE = ("agp", "qmix")
DESCRIBED = ("assignment", "capacity", "formation")  # environments with action features
NUMBERS = ("allocation",)  # environments without discrete actions
RECORDS = ("config_files",)  # what a run notes down for its reader; no code reads it
PAIRS = [(alg, "topk") for alg in ALGS if alg != "agp_structured"]
PAIRS += [("agp_structured", env) for env in DESCRIBED]
PAIRS += [(alg, env) for alg in EVERYWHERE for env in ENVS if env not in ("topk", *NUMBERS)]
# Methods with separate parts, where agents differ in observations and actions.
PAIRS += [(alg, env) for alg in ("dcg", "dicg") for env in ("climbing", "mpe_speaker_listener")]
PAIRS += [(alg, env) for alg in ("fop", "macpf") for env in ("climbing", "mpe_world_comm")]
PAIRS += [("agp_pg", "mpe_world_comm"), ("ippo", "climbing"), ("mappo", "formation")]
PAIRS += [(alg, "mpe_speaker_listener") for alg in ("qtran", "qplex", "cw_qmix")]
PAIRS += [(alg, "mpe_speaker_listener") for alg in ("coma", "maddpg", "dicg_ce", "dicg_de")]
PAIRS += [(alg, "formation") for alg in ("coma", "maddpg", "dicg_de")]
PAIRS += [("mat", "mpe_world_comm"), ("mat", "formation"), ("mat", "climbing")]
OF_ON_POLICY = ("batch_size_run", "batch_size", "lr", "lr_schedule", "reward_scaling")


@pytest.mark.parametrize(("alg", "env"), PAIRS)
def test_trains_evaluates_saves_and_reloads(alg: str, env: str, tmp_path: Path) -> None:
    twice = ["updates_per_round=2"] if load_config(alg, None, []).buffer == "replay" else []
    config = tiny(alg, env, "t_max=16", "test_interval=16", *twice)
    try:
        run_dir = train(config, tmp_path)
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))
    assert load_recorded(run_dir, []) == config
    last = rows(run_dir)[-1]
    assert int(last["updates"]) >= (1 if config.buffer == "rollout" else 2)
    assert {"test_return_mean", "return_mean", "loss"} <= {row["key"] for row in rows(run_dir)}
    overrides = ["evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=8"]
    table = evaluate(load_recorded(run_dir, overrides))
    assert "return_mean" in table
    policy = load_policy(run_dir)
    n_agents = policy.info.n_agents
    actions = policy.act(policy.make_env(3).reset())
    assert actions.shape == (3, n_agents)
    assert actions.dtype == torch.int64


@pytest.mark.parametrize("env", ENVS)
def test_every_method_on_a_task_has_the_same_protocol(env: str) -> None:
    """Width, memory, exploration, batches, optimiser: what the task's file says, for all."""
    task = yaml.safe_load((CONFIG_DIR / "envs" / f"{env}.yaml").read_text())
    assert not [key for key in task if key.endswith("_args") and key != "env_args"]
    shared = [key for key in task if key not in ("env", "env_args")]
    shared += [field.name for field in dataclasses.fields(AgentSettings)]
    without_method = load_config(None, env, [])
    for alg in ALGS:
        config = load_config(alg, env, ["preset=none"])
        # Methods that learn from their own episodes only share everything but batches and steps.
        others = OF_ON_POLICY if LEARNERS.get(config.learner).cls.explores_by_policy else ()
        for key in shared:
            if key not in others:
                assert getattr(config, key) == getattr(without_method, key), (alg, key)


@pytest.mark.parametrize("preset", presets())
def test_a_preset_fits_its_pair(preset: str) -> None:
    env, alg = preset.split("/")
    tuned, plain = load_config(alg, env, []), load_config(alg, env, ["preset=none"])
    check_combination(tuned)
    assert tuned.preset == preset
    assert changes(to_dict(plain), tuned, ["preset"])


def test_a_record_from_before_buffers_and_critics_loads(tmp_path: Path) -> None:
    config = load_config("qmix", "topk", [])
    old = {k: v for k, v in to_dict(config).items() if not k.startswith(("buffer", "critic"))}
    old["buffer_size"] = config.buffer_size
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    assert load_recorded(tmp_path, []) == config


def test_agents_of_graph_methods_remember_as_the_others_do() -> None:
    for env, remembers in (("topk", False), ("mpe_tag", True)):
        for alg in ("agp", "iql", "dicg"):
            controller = Run(tiny(alg, env)).controller
            names = [type(module).__name__ for module in controller.agent.modules()]
            assert ("GRU" in names) is remembers, (alg, env)


@pytest.mark.parametrize(("alg", "env"), [("vdn", "assignment"), ("agp", "formation")])
def test_a_policy_can_be_tested_on_teams_of_another_size(
    alg: str, env: str, tmp_path: Path
) -> None:
    run_dir = train(tiny(alg, env, "t_max=16"), tmp_path)
    test = ["evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=8"]
    evaluate(load_recorded(run_dir, [*test, "env_args.n_agents=[5, 7]"]))
    assert "env_args.n_agents=[5, 7]" in (run_dir / "evaluations.csv").read_text()


def test_a_structured_policy_plays_games_of_any_size(tmp_path: Path) -> None:
    run_dir = train(tiny("agp_structured", "assignment", "t_max=16"), tmp_path)
    test = ["evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=8"]
    sizes = ["env_args.n_agents=[2, 7]", "env_args.n_resources=9"]
    assert "value_ratio" in evaluate(load_recorded(run_dir, [*test, *sizes]))


def test_tied_rounds_may_be_more_than_in_training(tmp_path: Path) -> None:
    settings = ("t_max=16", "agent_args.graph.tied=True")
    run_dir = train(tiny("agp_structured", "assignment", *settings), tmp_path)
    test = ["evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=8"]
    assert "value_ratio" in evaluate(load_recorded(run_dir, [*test, "agent_args.graph.layers=7"]))


def test_a_structured_policy_needs_action_features() -> None:
    with pytest.raises(UserError, match="Use assignment, capacity or formation"):
        Run(tiny("agp_structured", "topk"))


@pytest.mark.parametrize("alg", ALGS)
@pytest.mark.parametrize("env", ENVS)
def test_every_pair_loads(alg: str, env: str, tmp_path: Path) -> None:
    config = load_config(alg, env, [])
    dump(config, tmp_path / "config.yaml")
    assert load_recorded(tmp_path, []) == config


@pytest.mark.parametrize(("alg", "env"), [*((a, None) for a in ALGS), *((None, e) for e in ENVS)])
def test_every_yaml_loads_alone(alg: str | None, env: str | None) -> None:
    load_config(alg, env, [])


def settings_classes() -> list[type]:
    """The run's settings, every component's, and those nested in them."""
    todo = [RunConfig]
    todo += [r.get(name).config for r in REGISTRIES.values() for name in r.names()]
    found: list[type] = []
    while todo:
        cls = todo.pop()
        if cls not in found:
            found.append(cls)
            todo += [inner for kind in get_type_hints(cls).values() if (inner := inner_of(kind))]
    return sorted(found, key=lambda cls: cls.__qualname__)


def inner_of(kind: object) -> type | None:
    return nested_dataclass(kind)


def names_read(source: str, settings: set[str]) -> set[str]:
    """Attributes that a file reads, outside the checks of the settings dataclasses themselves."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ClassDef) and node.name in settings:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        todo += ast.iter_child_nodes(node)
    return found


def test_every_setting_is_read() -> None:
    classes = settings_classes()
    names = {cls.__name__ for cls in classes}
    read = set().union(*(names_read(path.read_text(), names) for path in SRC.rglob("*.py")))
    unread = [f"{c.__name__}.{f.name}" for c in classes for f in dataclasses.fields(c)]
    assert [path for path in unread if path.split(".")[1] not in {*read, *RECORDS}] == []


def test_a_setting_that_only_its_own_check_reads_counts_as_unread() -> None:
    source = (
        "class A:\n    x: int = 1\n    def __post_init__(self):\n        self.x\nb.y\nb.z = 1\n"
    )
    assert names_read(source, {"A"}) == {"y"}
