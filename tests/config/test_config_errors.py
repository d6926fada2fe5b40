"""The exact text of each configuration error: file, path, value seen, remedy."""

from pathlib import Path

import pytest
from tests.config.fakes import install, write

from config.load import load_config, load_recorded
from config.plain_data import dump
from utils.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return install(monkeypatch, tmp_path)


def problems(alg: str | None = None, env: str | None = None, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(alg, env, list(overrides))
    return caught.value.problems


def test_misspelt_setting_of_a_component(folder: Path) -> None:
    write(folder, "algs/agp.yaml", "mixer: qmix\nmixer_args: {embd_dim: 8}\n")
    assert problems("agp") == [
        "algs/agp.yaml: mixer_args.embd_dim: no such setting. Did you mean 'embed_dim'? "
        "qmix takes: embed_dim, hypernet_embed."
    ]


def test_setting_of_another_component_of_the_slot() -> None:
    assert problems("vdn", None, "mixer_args.embed_dim=8") == [
        "command line: mixer_args.embed_dim: `vdn` takes no `embed_dim`; `qmix` does: "
        "to switch mixer write `with mixer=qmix`."
    ]


def test_setting_of_a_component_without_settings() -> None:
    assert problems("vdn", None, "mixer_args.depth=8") == [
        "command line: mixer_args.depth: no such setting. vdn takes no settings."
    ]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("gama=1", "gama: no such setting. Did you mean 'gamma'?"),
        (
            "epsilon_start=1",
            "epsilon_start: no such setting. Did you mean 'action_selector_args.epsilon_start'?",
        ),
        (
            "epsilon_strt=1",
            "epsilon_strt: no such setting. Did you mean 'action_selector_args.epsilon_start'?",
        ),
        ("mixers=vdn", "mixers: no such setting. Did you mean 'mixer'?"),
        ("env_arg.k=1", "env_arg: no such setting. Did you mean 'env_args'?"),
        ("heads=1", "heads: no such setting. Did you mean 'agent_args.graph.heads'?"),
        ("tau=1", "tau: no such setting. Did you mean 'target_update.tau'?"),
        ("zzz=1", "zzz: no such setting."),
    ],
)
def test_unknown_at_the_top(override: str, text: str) -> None:
    expected = f"command line: {text} `--help` lists the run-wide settings."
    assert problems("agp", None, override) == [expected]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "agent_args.graph.layrs=1",
            "agent_args.graph.layrs: no such setting. Did you mean 'layers'? "
            "graph takes: layers, heads, edges.",
        ),
        (
            "agent_args.heads=1",
            "agent_args.heads: no such setting. Did you mean 'graph.heads'? "
            "agp_agent takes: hidden_dim, graph, sizes.",
        ),
        (
            "target_update.intervall=1",
            "target_update.intervall: no such setting. Did you mean 'interval'? "
            "target_update takes: mode, interval, unit, tau.",
        ),
        (
            "agent_args.graph=full",
            "agent_args.graph: 'full' is not a mapping. Write {key: value} with any of: "
            "layers, heads, edges.",
        ),
        (
            "mixer_args=3",
            "mixer_args: 3 is not a mapping. Write {key: value} with any of: "
            "embed_dim, hypernet_embed.",
        ),
        (
            "lr=fast",
            "lr: 'fast' is not a number. Write a number such as 0.1 or 1e-3.",
        ),
        ("lr=yes", "lr: true is not a number. Write a number such as 0.1 or 1e-3."),
        (
            "batch_size=2.5",
            "batch_size: 2.5 is not a whole number. Write a whole number such as 3 or 5e5.",
        ),
        ("obs_agent_id=1", "obs_agent_id: 1 is not a truth value. Write true or false."),
        (
            "optimizer=Adam",
            "optimizer: 'Adam' is not possible. Did you mean 'adam'? Choose one of: adam, rmsprop.",
        ),
        (
            "reward_scaling=no",
            "reward_scaling: false is not possible: YAML reads an unquoted yes, no, on or off as "
            "true or false. Choose one of: none, std, meanstd.",
        ),
        (
            "name=no",
            "name: false is not text: YAML reads an unquoted yes, no, on or off as true or false. "
            "Write key: 'text' in a file, key=\"'text'\" after `with`.",
        ),
        (
            "mixer=null",
            "mixer: null names no component. EPyMARL's `null` is here `mixer=none`. "
            "An empty `mixer:` is written as a word here.",
        ),
        (
            "agent=null",
            "agent: null names no component. Write agent=rnn_agent.",
        ),
        (
            "name=null",
            "name: null is not text: YAML reads an unquoted null, ~ or nothing at all as null. "
            "Write key: 'text' in a file, key=\"'text'\" after `with`.",
        ),
        (
            "mixer=qmx",
            "mixer: there is no mixer 'qmx'. Did you mean 'qmix'? Available: none, qmix, vdn.",
        ),
        (
            "agent_args.sizes=3",
            "agent_args.sizes: 3 is not a list. Write [3].",
        ),
        (
            "agent_args.sizes=[1, b]",
            "agent_args.sizes[1]: 'b' is not a whole number. "
            "Write a whole number such as 3 or 5e5.",
        ),
        ("lr=-1", "lr: -1.0 must be above 0."),
        ("target_update={mode: soft, tau: 2}", "target_update.tau: 2.0 must lie in (0, 1]."),
        ("mixer_args.embed_dim=0", "mixer_args.embed_dim: 0 must be at least 1."),
    ],
)
def test_wrong_values(override: str, text: str) -> None:
    assert problems("agp", None, override) == [f"command line: {text}"]


def test_the_layer_that_gave_the_value_is_named(folder: Path) -> None:
    write(folder, "default.yaml", "lr: 0\n")
    write(folder, "envs/topk.yaml", "env_args: {k: two}\ngamma: 2\n")
    write(folder, "algs/qmix.yaml", "mixer: qmx\ntarget_update: {interval: 0}\n")
    assert sorted(problems("qmix", "topk", "t_max=x")) == [
        "algs/qmix.yaml: mixer: there is no mixer 'qmx'. Did you mean 'qmix'? "
        "Available: none, qmix, vdn.",
        "algs/qmix.yaml: target_update.interval: 0 must be at least 1.",
        "command line: t_max: 'x' is not a whole number. Write a whole number such as 3 or 5e5.",
        "default.yaml: lr: 0.0 must be above 0.",
        "envs/topk.yaml: env_args.k: 'two' is not a whole number. "
        "Write a whole number such as 3 or 5e5.",
        "envs/topk.yaml: gamma: 2.0 must lie in [0, 1].",
    ]


def test_a_relation_names_the_layer_that_broke_it() -> None:
    # k=2 is the default and was fine until the command line changed n_agents
    assert problems(None, "topk", "env_args.n_agents=1") == [
        "command line: env_args.k: 2 is more than n_agents=1."
    ]


def test_unknown_files(folder: Path) -> None:
    looked = f"Looked in configs (no such folder) and {folder}."
    assert problems("agq", "topkk") == [
        f"--env-config: there is no envs/topkk.yaml. Did you mean 'topk'? "
        f"Available: parity, topk. {looked}",
        f"--config: there is no algs/agq.yaml. Did you mean 'agp'? "
        f"Available: agp, qmix, vdn. {looked}",
    ]
    assert problems("no/such.yaml") == [
        "--config: there is no file 'no/such.yaml'. Check the path."
    ]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "seed",
            "'seed' is not of the form key=value. "
            "Write it like `with seed=3 env_args.n_agents=8`, without spaces around `=`.",
        ),
        (
            "a..b=1",
            "'a..b=1' is not of the form key=value. "
            "Write it like `with seed=3 env_args.n_agents=8`, without spaces around `=`.",
        ),
        (
            "env_args={n_agents: 8",
            "env_args: not valid YAML in line 1, column 13: expected ',' or '}', but got "
            "'<stream end>'. Check brackets, quotes and indentation there.",
        ),
        (
            "env_args={k: 1, k: 2}",
            "env_args.k: given twice (lines 1 and 1). Keep one of them.",
        ),
    ],
)
def test_malformed_overrides(override: str, text: str) -> None:
    assert problems(None, None, override) == [f"command line: {text}"]


@pytest.mark.parametrize(
    ("yaml_text", "text"),
    [
        (
            "mixer: qmix\nmixer_args:\n  embed_dim: 4\n  embed_dim: 8\n",
            "mixer_args.embed_dim: given twice (lines 3 and 4). Keep one of them.",
        ),
        (
            "env_args.k: 1\n",
            "env_args.k: dots do not nest in a file. Write `env_args: {k: ...}`.",
        ),
        (
            "off: 1\n",
            "off: the key in line 1 is not text to YAML. Put it in quotes.",
        ),
        ("- mixer\n", "holds ['mixer']. Write lines of the form `key: value`."),
        (
            "mixer: qmix\nlr: [1\n",
            "not valid YAML in line 3, column 1: expected ',' or ']', but got '<stream end>'. "
            "Check brackets, quotes and indentation there.",
        ),
    ],
)
def test_malformed_files(folder: Path, yaml_text: str, text: str) -> None:
    write(folder, "algs/bad.yaml", yaml_text)
    found = problems("bad")
    assert found == [text if text.startswith("algs") else f"algs/bad.yaml: {text}"]


def test_everything_wrong_is_reported_at_once(folder: Path) -> None:
    write(folder, "algs/bad.yaml", "lr: x\nlr: y\nmixer: qmx\n")
    assert problems("bad", "topk", "seed", "gama=1", "env_args.k=99") == [
        "algs/bad.yaml: lr: given twice (lines 1 and 2). Keep one of them.",
        "command line: 'seed' is not of the form key=value. "
        "Write it like `with seed=3 env_args.n_agents=8`, without spaces around `=`.",
        "algs/bad.yaml: mixer: there is no mixer 'qmx'. Did you mean 'qmix'? "
        "Available: none, qmix, vdn.",
        "command line: gama: no such setting. Did you mean 'gamma'? "
        "`--help` lists the run-wide settings.",
        "algs/bad.yaml: lr: 'y' is not a number. Write a number such as 0.1 or 1e-3.",
        "command line: env_args.k: 99 is more than n_agents=8.",
    ]


def test_recorded_configuration_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recorded(tmp_path / "run", [])
    assert caught.value.problems == [
        f"{tmp_path}/run/config.yaml: there is no such file. "
        "Give the folder of a run, which holds config.yaml."
    ]


def test_recorded_configuration_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    dump(load_config("qmix", "topk", []), path)
    lines = path.read_text().splitlines()
    kept = [line for line in lines if "embed_dim" not in line and not line.startswith("t_max")]
    path.write_text("\n".join(kept))
    text = "not recorded; the file is damaged or from another version of the code."
    with pytest.raises(ConfigError) as caught:
        load_recorded(tmp_path, [])
    assert caught.value.problems == [
        f"{path}: {leaf}: {text} Restore it, or give the value with `with {leaf}=<value>`."
        for leaf in ("mixer_args.embed_dim", "t_max")
    ]
    config = load_recorded(tmp_path, ["mixer_args.embed_dim=4", "t_max=9"])
    assert (config.mixer_args.embed_dim, config.t_max) == (4, 9)


def test_recorded_configuration_unreadable(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "seed: [\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: not valid YAML in line 2, column 1"):
        load_recorded(tmp_path, [])


@pytest.mark.parametrize("key", [".", "a.b", ""])
def test_keys_with_dots_inside_a_mapping_are_plain_keys(key: str) -> None:
    with pytest.raises(ConfigError):
        load_config("vdn", "topk", [f"action_selector={{'{key}': {{}}, a: null}}"])
