import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.config.fakes import (
    AgpConfig,
    EpsilonConfig,
    FakeRegistry,
    GraphConfig,
    QmixConfig,
    TopkConfig,
    install,
    write,
)

from config import describe, load
from config.load import load_config, load_recorded
from config.plain_data import dump, to_dict
from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import NoSettings


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return install(monkeypatch, tmp_path)


def test_defaults_alone() -> None:
    config = load_config(None, None, [])
    assert (config.alg_name, config.env_name) == ("custom", "custom")
    assert config.t_max == 1000  # default.yaml
    assert config.batch_size == 32  # the dataclass
    assert config.env_args == TopkConfig()
    assert config.mixer_args == NoSettings()


def test_each_layer_comes_over_the_one_before() -> None:
    assert load_config(None, "topk", []).gamma == 0.9
    assert load_config("qmix", "topk", []).gamma == 0.95
    assert load_config("qmix", "topk", ["gamma=0.5"]).gamma == 0.5


def test_args_become_the_component_settings() -> None:
    config = load_config("agp", "topk", ["agent_args.graph.edges=topk", "lr=1e-3"])
    assert config.env_args == TopkConfig(n_agents=8)
    assert config.mixer_args == QmixConfig()
    assert config.action_selector_args == EpsilonConfig()
    assert config.agent_args == AgpConfig(graph=GraphConfig(layers=3, heads=8, edges="topk"))
    assert config.lr == 1e-3
    assert (config.alg_name, config.env_name) == ("agp", "topk")


def test_overrides_nest_by_dots_and_by_mappings() -> None:
    dotted = load_config("qmix", "topk", ["env_args.n_agents=4", "env_args.k=3"])
    braces = load_config("qmix", "topk", ["env_args={n_agents: 4, k: 3}"])
    mixed = load_config("qmix", "topk", ["env_args={n_agents: 9, k: 3}", "env_args.n_agents=4"])
    assert dotted == braces == mixed
    assert dotted.env_args == TopkConfig(4, 3)


def test_values_of_overrides() -> None:
    overrides = ["name=", "t_max=5e5", "target_update={mode: soft}", "obs_agent_id=no", "seed=7"]
    config = load_config("agp", None, [*overrides, "agent_args.sizes=[3, 4]", "device=cuda:0"])
    assert (config.name, config.t_max, config.obs_agent_id) == ("", 500_000, False)
    assert (config.target_update.mode, config.target_update.interval) == ("soft", 200)
    assert config.agent_args.sizes == (3, 4)
    assert config.device == "cuda:0"


def test_another_component_drops_the_args_of_the_old_one() -> None:
    assert load_config("qmix", None, ["mixer=vdn"]).mixer_args == NoSettings()
    assert load_config("qmix", "topk", ["env=parity"]).env_args == NoSettings()


def test_the_same_component_keeps_its_args() -> None:
    config = load_config("qmix", None, ["mixer=qmix", "mixer_args.hypernet_embed=8"])
    assert config.mixer_args == QmixConfig(embed_dim=16, hypernet_embed=8)


ONE = "agent_args: {hidden_dim: 8}\n"  # for whichever agent a later layer names


def test_args_without_a_component_reach_the_one_that_is_chosen(folder: Path) -> None:
    write(folder, "envs/wide.yaml", "env: parity\n" + ONE)
    assert load_config("agp", "wide", []).agent_args.hidden_dim == 8
    assert load_config("agp", "wide", ["agent_args.hidden_dim=4"]).agent_args.hidden_dim == 4


def test_args_without_a_component_that_reach_nothing_are_an_error(folder: Path) -> None:
    write(folder, "envs/wide.yaml", "env: parity\n" + ONE)
    for overrides in ([], ["agent=rnn_agent"]):
        with pytest.raises(ConfigError, match=r"^.*envs/wide\.yaml: agent_args\.hidden_dim: "):
            load_config("qmix" if not overrides else "agp", "wide", overrides)


def test_settings_of_a_replaced_component_are_reported() -> None:
    said: list[str] = []
    load_config("qmix", "topk", ["mixer=vdn"], said.append)
    assert said == [
        "algs/qmix.yaml: mixer_args={'embed_dim': 16} belong to mixer=qmix, but the mixer is vdn; "
        "left out."
    ]
    load_config("qmix", "topk", ["seed=2", "mixer=qmix"], said.append)
    assert len(said) == 1


def test_empty_mappings_empty_and_null_removes(folder: Path) -> None:
    write(
        folder, "envs/maze.yaml", "env: maze\nenv_args: {kwargs: {size: 3, deep: {a: 1, b: 2}}}\n"
    )

    def kwargs(*overrides: str) -> dict[str, Any]:
        return load_config(None, "maze", list(overrides)).env_args.kwargs

    assert kwargs() == {"size": 3, "deep": {"a": 1, "b": 2}}
    assert kwargs("env_args.kwargs={}") == {}
    assert kwargs("env_args.kwargs={}", "env_args.kwargs.new=1") == {"new": 1}
    assert kwargs("env_args={}") == {}
    assert kwargs("env_args.kwargs.size=null") == {"deep": {"a": 1, "b": 2}}
    assert kwargs("env_args.kwargs.deep.a=null") == {"size": 3, "deep": {"b": 2}}
    assert kwargs("env_args.kwargs={size: 4}") == {"size": 4, "deep": {"a": 1, "b": 2}}


def test_a_preset_holds_for_its_pair_alone(folder: Path, tmp_path: Path) -> None:
    write(folder, "presets/topk/qmix.yaml", "# Tuned\ngamma: 0.8\nmixer_args: {embed_dim: 4}\n")
    tuned = load_config("qmix", "topk", [])
    assert (tuned.gamma, tuned.mixer_args.embed_dim, tuned.preset) == (0.8, 4, "topk/qmix")
    assert load_config("qmix", "topk", ["gamma=0.7"]).gamma == 0.7
    assert load_config("qmix", "parity", []).preset == "none"
    plain = load_config("qmix", "topk", ["preset=none"])
    assert (plain.gamma, plain.mixer_args.embed_dim, plain.preset) == (0.95, 16, "none")
    other = load_config("qmix", "parity", ["preset=topk/qmix"])
    assert (other.gamma, other.preset) == (0.8, "topk/qmix")
    path = write(tmp_path, "mine.yaml", "gamma: 0.6\n")
    assert load_config("qmix", "topk", [f"preset={path}"]).gamma == 0.6
    dump(tuned, tmp_path / "config.yaml")
    (folder / "presets/topk/qmix.yaml").write_text("gamma: 0.1\n")
    assert load_recorded(tmp_path, []) == tuned
    with pytest.raises(ConfigError, match="preset: a preset holds when a run starts"):
        load_recorded(tmp_path, ["preset=none"])


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("topk/qmx", "there is no 'topk/qmx'. Did you mean 'topk/qmix'? Available: auto, none, "),
        ("no", "false is not text"),
    ],
)
def test_a_preset_that_does_not_exist(folder: Path, preset: str, text: str) -> None:
    write(folder, "presets/topk/qmix.yaml", "gamma: 0.8\n")
    with pytest.raises(ConfigError) as error:
        load_config("qmix", "topk", [f"preset={preset}"])
    assert f"preset: {text}" in str(error.value)


def test_order_of_overrides_does_not_matter_for_slots() -> None:
    config = load_config("vdn", None, ["mixer_args.embed_dim=8", "mixer=qmix"])
    assert config.mixer_args == QmixConfig(embed_dim=8)


def test_files_by_path(tmp_path: Path) -> None:
    path = write(tmp_path, "elsewhere/mine.yaml", "mixer: qmix\nalg_name: other\n")
    assert load_config(str(path), None, []).alg_name == "other"
    path.write_text("mixer: qmix\nmixer_args:\n")
    config = load_config(str(path), "topk", [])
    assert (config.alg_name, config.mixer_args) == ("mine", QmixConfig())


def test_the_result_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config(None, None, []).seed = 2  # type: ignore[misc]


def test_yaml_merge_keys_are_no_duplicates(folder: Path) -> None:
    text = "mixer: qmix\nmixer_args: &a {embed_dim: 4}\nagent: agp_agent\n"
    write(folder, "algs/a.yaml", text + "agent_args: {graph: {<<: {heads: 2}, layers: 1}}\n")
    assert load_config("a", None, []).agent_args.graph == GraphConfig(layers=1, heads=2)


def test_to_dict_is_plain() -> None:
    data = to_dict(load_config("agp", "topk", []))
    assert data["agent_args"] == {
        "hidden_dim": 64,
        "graph": {"layers": 3, "heads": 8, "edges": "full"},
        "sizes": [1, 2],
    }
    assert data["learner_args"] == {}
    assert list(data) == [f.name for f in dataclasses.fields(RunConfig)]


def test_dump_and_load_recorded_are_inverse(tmp_path: Path) -> None:
    overrides = ["name=no2", "optim_eps=1e-8", "agent_args.sizes=[]", "grad_norm_clip=.inf"]
    config = load_config("agp", "topk", overrides)
    dump(config, tmp_path / "config.yaml")
    assert load_recorded(tmp_path, []) == config
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["no", "3", "1e-3", "null", "~", "2024-01-01", "a: b", "ü #"])
def test_awkward_text_survives(tmp_path: Path, name: str) -> None:
    config = dataclasses.replace(load_config("agp", "topk", []), name=name)
    dump(config, tmp_path / "config.yaml")
    assert load_recorded(tmp_path, []).name == name


def test_load_recorded_takes_overrides_by_the_same_rules(tmp_path: Path) -> None:
    dump(load_config("qmix", "topk", []), tmp_path / "config.yaml")
    config = load_recorded(tmp_path, ["mixer=vdn", "seed=5", "env_args.k=1"])
    assert (config.mixer_args, config.seed, config.env_args) == (NoSettings(), 5, TopkConfig(8, 1))
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("mixer: qmix", "mixer: vdn"))
    with pytest.raises(ConfigError, match=r"config\.yaml: .* `vdn` takes no `embed_dim`"):
        load_recorded(tmp_path, [])


def test_a_layer_that_repeats_a_slot_lower_down_is_not_a_change(folder: Path) -> None:
    write(folder, "default.yaml", "env_args: {k: 1}\n")  # the default env is topk
    assert load_config(None, "topk", []).env_args == TopkConfig(8, 1)


def test_loading_needs_no_torch() -> None:
    code = (
        "import sys; from config import cli, load, describe; describe.help_text(); "
        "describe.list_text(); assert 'torch' not in sys.modules"
    )
    source = Path(load.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True)


def test_help_and_list_and_docs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRegistry, "summary", lambda self, name: f"About {name}.")
    assert describe.describe_settings(AgpConfig) == [
        ("hidden_dim", "int", "64", "H, units"),
        ("graph.layers", "int", "3", "attention layers"),
        ("graph.heads", "int", "4", ""),
        ("graph.edges", "full or topk", "full", "which edges"),
        ("sizes", "list of int", "[1, 2]", "a list"),
    ]
    text = describe.help_text()
    assert "  lr = 0.0005" in text
    assert "target_update.tau = 0.005" in text
    write(folder, "presets/topk/qmix.yaml", "# Tuned\ngamma: 0.8\n")
    listing = describe.list_text()
    assert listing.endswith("preset:\n  topk/qmix  Tuned")
    assert "mixer:\n  none  About none.\n  qmix  About qmix.\n  vdn   About vdn." in listing
    assert "--config:\n  agp   AGP\n  qmix  QMIX\n  vdn   VDN" in listing
    page = describe.configuration_markdown()
    assert "### `mixer: qmix`\n\nAbout qmix.\n\n| setting |" in page
    assert "| `embed_dim` | int | `32` | E |" in page
    assert "### `mixer: vdn`\n\nAbout vdn.\n\nNo settings." in page


def test_every_run_wide_setting_is_explained() -> None:
    unexplained = [s.name for s in describe.describe_settings(RunConfig) if not s.comment]
    assert not unexplained


def test_dump_is_yaml(tmp_path: Path) -> None:
    config = load_config("agp", "topk", [])
    dump(config, tmp_path / "config.yaml")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == to_dict(config)
