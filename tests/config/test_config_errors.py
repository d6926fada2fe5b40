"""What each configuration error says: file, path, value seen, remedy."""

from pathlib import Path

import pytest
from tests.config.fakes import install, write
from tests.helpers.messages import says

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
    facts = "algs/agp.yaml: mixer_args.embd_dim ... 'embed_dim' ... embed_dim, hypernet_embed"
    assert says(problems("agp"), [facts])


def test_setting_of_another_component_of_the_slot() -> None:
    facts = "command line: mixer_args.embed_dim ... `vdn` ... `qmix` ... `with mixer=qmix`"
    assert says(problems("vdn", None, "mixer_args.embed_dim=8"), [facts])


def test_setting_of_a_component_without_settings() -> None:
    facts = "command line: mixer_args.depth ... vdn takes no settings"
    assert says(problems("vdn", None, "mixer_args.depth=8"), [facts])


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("gama=1", "gama ... 'gamma'"),
        ("epsilon_start=1", "epsilon_start ... 'action_selector_args.epsilon_start'"),
        ("epsilon_strt=1", "epsilon_strt ... 'action_selector_args.epsilon_start'"),
        ("mixers=vdn", "mixers ... 'mixer'"),
        ("env_arg.k=1", "env_arg ... 'env_args'"),
        ("heads=1", "heads ... 'agent_args.graph.heads'"),
        ("tau=1", "tau ... 'target_update.tau'"),
        ("zzz=1", "zzz: no such setting."),
    ],
)
def test_unknown_at_the_top(override: str, text: str) -> None:
    assert says(problems("agp", None, override), [f"command line: {text} ... `--help`"])


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "agent_args.graph.layrs=1",
            "agent_args.graph.layrs ... 'layers' ... graph takes: layers, heads, edges",
        ),
        (
            "agent_args.heads=1",
            "agent_args.heads ... 'graph.heads' ... agp_agent takes: hidden_dim, graph, sizes",
        ),
        (
            "target_update.intervall=1",
            "target_update.intervall ... 'interval' ... takes: mode, interval, unit, tau",
        ),
        (
            "agent_args.graph=full",
            "agent_args.graph: 'full' ... {key: value} ... layers, heads, edges",
        ),
        (
            "mixer_args=3",
            "mixer_args: 3 ... {key: value} ... embed_dim, hypernet_embed",
        ),
        (
            "lr=fast",
            "lr: 'fast' ... a number such as 0.1",
        ),
        ("lr=yes", "lr: true ... a number such as 0.1"),
        (
            "batch_size=2.5",
            "batch_size: 2.5 ... a whole number such as 3",
        ),
        ("obs_agent_id=1", "obs_agent_id: 1 ... Write true or false"),
        (
            "optimizer=Adam",
            "optimizer: 'Adam' ... 'adam' ... adam, rmsprop",
        ),
        (
            "reward_scaling=no",
            "reward_scaling: false ... YAML ... no ... none, std, meanstd",
        ),
        (
            "name=no",
            "name: false ... YAML ... no ... key: 'text' ... key=\"'text'\" after `with`",
        ),
        (
            "mixer=null",
            "mixer: null ... `mixer=none`",
        ),
        (
            "agent=null",
            "agent: null ... Write agent=rnn_agent",
        ),
        (
            "name=null",
            "name: null ... YAML ... null ... key: 'text' ... key=\"'text'\" after `with`",
        ),
        (
            "mixer=qmx",
            "mixer: ... 'qmx' ... 'qmix' ... none, qmix, vdn",
        ),
        (
            "agent_args.sizes=3",
            "agent_args.sizes: 3 ... Write [3]",
        ),
        (
            "agent_args.sizes=[1, b]",
            "agent_args.sizes[1]: 'b' ... a whole number such as 3",
        ),
        ("lr=-1", "lr: -1.0 must be above 0."),
        ("target_update={mode: soft, tau: 2}", "target_update.tau: 2.0 must lie in (0, 1]."),
        ("mixer_args.embed_dim=0", "mixer_args.embed_dim: 0 must be at least 1."),
    ],
)
def test_wrong_values(override: str, text: str) -> None:
    assert says(problems("agp", None, override), [f"command line: {text}"])


def test_an_environments_file_that_names_none_is_an_error(folder: Path) -> None:
    write(folder, "envs/mine.yaml", "env_args: {k: 3}\n")
    (said,) = problems("vdn", "mine")
    assert said == (
        "envs/mine.yaml: names no environment, so its settings are for none. "
        "Write `env: <name>` in it, as in envs/topk.yaml."
    )
    assert load_config("vdn", "mine", ["env=topk"]).env == "topk"


def test_files_in_each_others_place_are_an_error(folder: Path) -> None:
    env, alg = folder / "envs" / "topk.yaml", folder / "algs" / "vdn.yaml"
    assert problems(str(env), str(alg)) == [
        f"{alg}: names no environment, but mixer. A method's file belongs to --config.",
        f"{env}: env: a method's file names no environment. Take it out; the file of an "
        f"environment belongs to --env-config.",
    ]


def test_the_layer_that_gave_the_value_is_named(folder: Path) -> None:
    write(folder, "default.yaml", "lr: 0\n")
    write(folder, "envs/topk.yaml", "env: topk\nenv_args: {k: two}\ngamma: 2\n")
    write(folder, "algs/qmix.yaml", "mixer: qmx\ntarget_update: {interval: 0}\n")
    facts = [
        "algs/qmix.yaml: mixer: ... 'qmx'",
        "algs/qmix.yaml: target_update.interval: 0",
        "command line: t_max: 'x'",
        "default.yaml: lr: 0.0",
        "envs/topk.yaml: env_args.k: 'two'",
        "envs/topk.yaml: gamma: 2.0",
    ]
    assert says(sorted(problems("qmix", "topk", "t_max=x")), facts)


def test_a_relation_names_the_layer_that_broke_it() -> None:
    # k=2 is the default and was fine until the command line changed n_agents
    assert problems(None, "topk", "env_args.n_agents=1") == [
        "command line: env_args.k: 2 is more than n_agents=1."
    ]


def test_unknown_files(folder: Path) -> None:
    looked = f"Looked in configs (no such folder) and {folder}."
    facts = [
        f"--env-config: ... envs/topkk.yaml ... 'topk' ... parity, topk ... {looked}",
        f"--config: ... algs/agq.yaml ... 'agp' ... agp, qmix, vdn ... {looked}",
    ]
    assert says(problems("agq", "topkk"), facts)
    assert says(problems("no/such.yaml"), ["--config: ... 'no/such.yaml' ... Check the path"])


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "seed",
            "'seed' ... key=value ... `with seed=3 env_args.n_agents=8`",
        ),
        (
            "a..b=1",
            "'a..b=1' ... key=value ... `with seed=3 env_args.n_agents=8`",
        ),
        (
            "env_args={n_agents: 8",
            "env_args: ... line 1, column 13 ... ',' or '}' ... Check brackets",
        ),
        (
            "env_args={k: 1, k: 2}",
            "env_args.k: given twice ... lines 1 and 1",
        ),
    ],
)
def test_malformed_overrides(override: str, text: str) -> None:
    assert says(problems(None, None, override), [f"command line: {text}"])


@pytest.mark.parametrize(
    ("yaml_text", "text"),
    [
        (
            "mixer: qmix\nmixer_args:\n  embed_dim: 4\n  embed_dim: 8\n",
            "mixer_args.embed_dim: given twice ... lines 3 and 4",
        ),
        (
            "env_args.k: 1\n",
            "env_args.k: ... `env_args: {k: ...}`",
        ),
        (
            "off: 1\n",
            "off: ... line 1 ... in quotes",
        ),
        ("- mixer\n", "['mixer'] ... `key: value`"),
        (
            "mixer: qmix\nlr: [1\n",
            "line 3, column 1 ... ',' or ']' ... Check brackets",
        ),
    ],
)
def test_malformed_files(folder: Path, yaml_text: str, text: str) -> None:
    write(folder, "algs/bad.yaml", yaml_text)
    assert says(problems("bad"), [f"algs/bad.yaml: ... {text}"])


def test_everything_wrong_is_reported_at_once(folder: Path) -> None:
    write(folder, "algs/bad.yaml", "lr: x\nlr: y\nmixer: qmx\n")
    facts = [
        "algs/bad.yaml: lr: given twice ... lines 1 and 2",
        "command line: 'seed' ... key=value",
        "algs/bad.yaml: mixer: ... 'qmx'",
        "command line: gama: ... 'gamma'",
        "algs/bad.yaml: lr: 'y'",
        "command line: env_args.k: 99 ... n_agents=8",
    ]
    assert says(problems("bad", "topk", "seed", "gama=1", "env_args.k=99"), facts)


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
    path.write_text("\n".join(line for line in lines if not line.startswith(("t_max", "lr:"))))
    text = "not recorded; the file is damaged or from another version of the code."
    with pytest.raises(ConfigError) as caught:
        load_recorded(tmp_path, [])
    assert caught.value.problems == [
        f"{path}: {leaf}: {text} Restore it, or give the value with `with {leaf}=<value>`."
        for leaf in ("lr", "t_max")
    ]
    config = load_recorded(tmp_path, ["lr=4", "t_max=9"])
    assert (config.lr, config.t_max) == (4, 9)


def test_a_setting_that_is_newer_than_the_record_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    dump(load_config("qmix", "topk", ["mixer_args.hypernet_embed=7"]), path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "  embed_dim" not in line))
    said: list[str] = []
    config = load_recorded(tmp_path, [], said.append)
    assert (config.mixer_args.embed_dim, config.mixer_args.hypernet_embed) == (32, 7)
    assert said == [f"{path} is older than mixer_args.embed_dim, whose default holds: 32."]
    config = load_recorded(tmp_path, ["mixer_args.embed_dim=4"], said.append)
    assert config.mixer_args.embed_dim == 4
    assert len(said) == 1


def test_recorded_configuration_unreadable(tmp_path: Path) -> None:
    write(tmp_path, "config.yaml", "seed: [\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: not valid YAML in line 2, column 1"):
        load_recorded(tmp_path, [])


@pytest.mark.parametrize("key", [".", "a.b", ""])
def test_keys_with_dots_inside_a_mapping_are_plain_keys(key: str) -> None:
    with pytest.raises(ConfigError):
        load_config("vdn", "topk", [f"action_selector={{'{key}': {{}}, a: null}}"])
