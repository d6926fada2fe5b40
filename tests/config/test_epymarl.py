"""Every word of EPyMARL and PyMARL gets its counterpart, and no word a misleading one."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from config import epymarl
from config.cli import parse
from config.epymarl_page import epymarl_markdown
from config.hints import setting_paths
from config.load import load_config
from config.schema import RunConfig
from config.search_path import available
from main import resolve
from utils.errors import ConfigError
from utils.registry import LOGGERS, REGISTRIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming_from" / "epymarl.md"

# Every key of default.yaml and algs/*.yaml of uoe-agents/epymarl and oxwhirl/pymarl.
THEIR_KEYS = """
runner mac env common_reward reward_scalarisation env_args batch_size_run test_nepisode
test_interval test_greedy log_interval runner_log_interval learner_log_interval t_max use_cuda
buffer_cpu_only use_tensorboard use_wandb wandb_team wandb_project wandb_mode wandb_save_model
save_model save_model_interval checkpoint_path evaluate render load_step save_replay
local_results_path gamma batch_size buffer_size lr optim_alpha optim_eps grad_norm_clip
add_value_last_step agent hidden_dim rnn_hidden_dim critic_lr obs_agent_id obs_last_action
repeat_id label hypergroup seed action_selector epsilon_start epsilon_finish epsilon_anneal_time
evaluation_epsilon target_update_interval_or_tau target_update_interval obs_individual_obs
standardise_returns standardise_rewards agent_output_type learner double_q mixer use_rnn
mixing_embed_dim hypernet_layers hypernet_embed name mask_before_softmax entropy_coef q_nstep
critic_type epochs eps_clip reg critic_q_fn critic_baseline_fn critic_train_mode
critic_train_reps td_lambda initial_entropy_coef final_entropy_coef entropy_end_ratio
state_value_type cg_edges cg_utilities_hidden_dim cg_payoffs_hidden_dim cg_payoff_rank duelling
msg_anytime msg_iterations msg_normalized qtran_arch opt_loss nopt_min_loss network_size
""".split()
THEIR_COMPONENTS = {
    "runner": "episode parallel",
    "agent": "rnn rnn_ns rnn_feat",
    "mixer": "qtran_base qtran_alt",
    "controller": "basic_mac non_shared_mac maddpg_mac",
    "learner": "actor_critic_learner pac_learner pac_dcg_learner",
    "action_selector": "multinomial soft_policies",
    "env": "sc2 sc2v2 smaclite",
}
THEIR_FILES = {
    "--config": "coma coma_ns ia2c ia2c_ns ippo ippo_ns iql iql_ns maa2c maa2c_ns maddpg maddpg_ns "
    "mappo mappo_ns pac_dcg_ns pac_ns qmix qmix_ns vdn vdn_ns iql_beta qmix_beta vdn_beta qtran",
    "--env-config": "gymma sc2 sc2_beta sc2v2 smaclite",
}


def all_paths() -> set[str]:
    """Paths of every setting that some component has."""
    paths = set(setting_paths(RunConfig))
    for slot in REGISTRIES.keys() - {"env"}:
        for name in REGISTRIES[slot].names():
            config = REGISTRIES[slot].get(name).config
            paths |= {f"{slot}_args.{path}" for path in setting_paths(config)}
    for name in LOGGERS.names():
        config = LOGGERS.get(name).config
        paths |= {f"logger_args.{name}.{path}" for path in setting_paths(config)}
    return paths


def problems(*settings: str, alg: str = "qmix", env: str = "topk") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(alg, env, list(settings))
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("key", THEIR_KEYS)
def test_every_key_is_known_by_its_name_or_has_an_answer(key: str) -> None:
    names = {path.rsplit(".", 1)[-1] for path in all_paths()}
    assert (key in names) != bool(epymarl.answer("setting", key)), key
    if key not in names:
        text = problems(f"{key}=1")
        assert f"EPyMARL's `{key}`" in text
        assert "Did you mean" not in text


@pytest.mark.parametrize("slot", THEIR_COMPONENTS)
def test_every_component_has_an_answer(slot: str) -> None:
    for name in THEIR_COMPONENTS[slot].split():
        assert f"EPyMARL's `{name}`" in problems(f"{slot}={name}")


@pytest.mark.parametrize("flag", THEIR_FILES)
def test_every_file_is_here_or_has_an_answer(flag: str) -> None:
    ours = available({"--config": "algs", "--env-config": "envs"}[flag])
    for name in THEIR_FILES[flag].split():
        if name not in ours:
            alg, env = (name, "topk") if flag == "--config" else ("qmix", name)
            assert f"EPyMARL's `{name}`" in problems(alg=alg, env=env)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["save_model=True"], ["`checkpoint_interval=", "always written"]),
        (["standardise_rewards=True"], ["`reward_scaling=meanstd`"]),
        (["common_reward=False"], ["`reward_aggregation=individual`"]),
        (["use_cuda=True"], ["`device=cuda`"]),
        (["reg=0.01"], ["`learner_args.logit_penalty=0.001`", "`--config=maddpg`"]),
        (["learner=pac_learner"], ["PAC is not here"]),
        (["runner=parallel"], ["`batch_size_run=8`"]),
        (["agent=rnn"], ["`agent=rnn_agent`"]),
        (["env=sc2"], ["no counterpart", "docs/guide/other_environments.md"]),
        (["env=gymma", "env_args.key=pz-mpe-simple-tag-v3"], ["`--env-config=mpe_tag`"]),
        (["env=gymma", "env_args.key=pz-sisl-pursuit_v4"], ["`--env-config=pettingzoo with"]),
        (["env=gymma", "env_args.key=vmas-balance"], ["docs/guide/other_environments.md"]),
        (["env=gymma", "env_args.pretrained_wrapper=PretrainedTag"], ["`--env-config=mpe_tag`"]),
    ],
)
def test_their_command_lines_get_the_right_counterpart(
    settings: list[str], parts: list[str]
) -> None:
    text = problems(*settings)
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    "key", ["save_models", "num_envs", "learning_rate", "wandb", "network_sizes", "gae_lambda"]
)
def test_a_hint_that_would_mislead_is_not_given(key: str) -> None:
    assert "Did you mean" not in problems(f"{key}=1")


@pytest.mark.parametrize(
    ("key", "meant"),
    [("batchsize", "batch_size"), ("tmax", "t_max"), ("gama", "gamma"), ("lrr", "lr")],
)
def test_a_typing_mistake_still_gets_a_hint(key: str, meant: str) -> None:
    assert f"Did you mean '{meant}'" in problems(f"{key}=1")


def counterparts() -> Iterator[epymarl.Counterpart]:
    """Every answer that says what to write."""
    for table in (*epymarl.TABLES.values(), epymarl.KEYS):
        yield from (found for found in table.values() if found.write)


def methods_of(found: epymarl.Counterpart) -> list[str]:
    """The methods to which the note says that the settings belong; one that has them if none."""
    named = re.findall(r"`(?:--config=)?(\w+)`", found.note)
    if "critic_args.share" in found.write:
        named = ["maddpg"]
    return [name for name in named if name in available("algs")] or ["qmix"]


@pytest.mark.parametrize("found", sorted(set(counterparts())), ids=lambda found: found.write)
def test_what_an_answer_says_to_write_loads_where_it_belongs(found: epymarl.Counterpart) -> None:
    for setting in re.findall(r"(?<![\w-])([\w.]+)=", found.write):
        known = setting in all_paths() or setting in ("env_args.task", "env_args.k")
        assert known, setting
    if "<" in found.write or "render" in found.write:
        return  # it needs a name of the user's
    is_command = found.write.startswith("--")
    words = found.write if is_command else f"with {found.write}"
    parsed = parse(shlex.split(words))
    for method in methods_of(found):
        env = parsed.env or ("gymma" if "env=" in words else "topk")
        load_config(parsed.alg or method, env, list(parsed.overrides))


def test_every_setting_of_a_note_exists() -> None:
    for found in counterparts():
        for setting in re.findall(r"`(\w+_args\.[\w.]+)=", found.note):
            assert setting in all_paths(), setting


@pytest.mark.parametrize("method", ["coma", "qmix", "dcg"])
def test_the_note_on_several_steps_loads(method: str) -> None:
    load_config(method, "topk", ["learner_args.td_lambda=0.8"])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            "entropy_coef",
            "EPyMARL's `entropy_coef` is here `learner_args.entropy_start=0.01 "
            "learner_args.entropy_finish=0.01`. With equal numbers it stays constant. It belongs "
            "to `ippo`, `mappo`, `ia2c`, `maa2c` and `coma`.",
        ),
        (
            "q_nstep",
            "EPyMARL's `q_nstep` is here `learner_args.gae_lambda=0.95`. Returns are weighted by "
            "lambda instead; 0 is one step. It belongs to `ppo_learner`: `ippo`, `mappo`, `ia2c`, "
            "`maa2c`. COMA and the value-based methods have `learner_args.td_lambda=0.8`.",
        ),
    ],
)
def test_answers_for_policy_gradients(key: str, text: str) -> None:
    assert problems(f"{key}=1", alg="mappo") == f"command line: {key}: no such setting. {text}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            "matrixgames:penalty-100-nostate-v0",
            "`--env-config=penalty with env_args.k=-100`. `k` is the number in the key, with a "
            "minus. An episode of it is one step here, and observations are constant.",
        ),
        (
            "matrixgames:climbing-nostate-v0",
            "`--env-config=climbing`. An episode of it is one step here, and observations are "
            "constant.",
        ),
    ],
)
def test_keys_of_the_matrix_games(key: str, text: str) -> None:
    assert problems(f"env_args.key={key}", env="gymma") == (
        f"command line: env_args.key: EPyMARL's `{key}` is here {text}"
    )


def test_notes_on_equal_words_are_about_settings_that_exist() -> None:
    names = {field.name for field in fields(RunConfig)} | {"env_args.key"}
    assert set(epymarl.SAME_WORD) <= names


def test_the_page_holds_the_same_tables() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(epymarl_markdown() + "\n")


def test_commands_of_the_page_are_right() -> None:
    commands = re.findall(r"`(python src/main.py --config[^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert len(commands) > 5
    for command in commands:
        parsed = parse(shlex.split(command)[2:])
        if parsed.env != "gymma":  # its default task needs a package
            resolve(parsed)
