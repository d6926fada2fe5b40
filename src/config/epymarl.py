"""Counterparts of the names of EPyMARL and PyMARL, for error messages and for docs.

Facts: `default.yaml`, `algs/`, `envs/` and the registries of uoe-agents/epymarl (2024) and
oxwhirl/pymarl (2021). A setting that has the same name here, under `<slot>_args` or not, is found
by its name and stands in no table, except in `SAME_WORD` if it means something else.
"""

from typing import NamedTuple


class Counterpart(NamedTuple):
    """One word of theirs."""

    write: str  # what to write here; empty: there is no counterpart
    note: str  # a sentence or two


ALWAYS_SAVED = "Checkpoints are always written: `latest.pt`, `previous.pt`, `best.pt`."
GREEDY = "Tests always play greedily."
LOGGERS = "True and False are understood here, too, for now."
WANDB = (
    "It belongs to the logger `wandb`, which records offline by default (docs/guide/logging.md)."
)
ABSENT = "PAC is not here."
CRITIC = f"{ABSENT} The critics that are here have no such setting."
MADDPG = "It belongs to `--config=maddpg`."
PPO = "It belongs to `ppo_learner`: `ippo`, `mappo`, `ia2c`, `maa2c`."
ON_POLICY = "It belongs to `ippo`, `mappo`, `ia2c`, `maa2c` and `coma`."
QTRAN = "It belongs to `--config=qtran`."
LABEL = "`name` is the label of the run's folder. Runs of one name and seed are numbered."
NOT_SHARED = "Separate networks are a setting of the agent, not separate files."
SMAC = "StarCraft II is not supported. For SMAClite, see docs/guide/other_environments.md."
ONE_RUNNER = "One runner steps `batch_size_run` environments in lockstep; 1 is `episode`."
CRITICS_ONLY = (
    "obs_individual_obs state_value_type critic_q_fn critic_baseline_fn critic_train_mode "
    "critic_train_reps"
)

SETTINGS = {
    "mac": Counterpart(
        "controller=basic_controller", "The multi-agent controller is the slot `controller`."
    ),
    "common_reward": Counterpart(
        "reward_aggregation=sum",
        "True is `reward_aggregation=sum` or `mean`, False is `reward_aggregation=individual`.",
    ),
    "reward_scalarisation": Counterpart(
        "reward_aggregation=sum", "`sum` and `mean` mean the same here."
    ),
    "standardise_rewards": Counterpart(
        "reward_scaling=meanstd", "The statistics are those of all collected steps."
    ),
    "standardise_returns": Counterpart(
        "learner_args.value_norm=True", f"{PPO} Elsewhere rewards are scaled, by `reward_scaling`."
    ),
    "test_greedy": Counterpart("", GREEDY),
    "evaluation_epsilon": Counterpart("", GREEDY),
    "runner_log_interval": Counterpart(
        "log_interval=10000", "One interval serves both kinds of metrics."
    ),
    "learner_log_interval": Counterpart(
        "log_interval=10000", "One interval serves both kinds of metrics."
    ),
    "use_cuda": Counterpart(
        "device=cuda",
        "The default is `device=cpu`. Without a GPU, `cuda` is an error, not the CPU.",
    ),
    "buffer_cpu_only": Counterpart("", "Replay lies on `device`."),
    "save_model": Counterpart("checkpoint_interval=500000", ALWAYS_SAVED),
    "save_model_interval": Counterpart(
        "checkpoint_interval=50000 keep_numbered_checkpoints=True",
        f"{ALWAYS_SAVED} `keep_numbered_checkpoints` keeps one more per interval.",
    ),
    "load_step": Counterpart(
        "checkpoint_path=<run folder>/checkpoints/000000500000.pt",
        "Name the checkpoint's file; the run's folder alone means the latest one.",
    ),
    "save_replay": Counterpart("render=gif", "With `evaluate=True`, this films greedy episodes."),
    "local_results_path": Counterpart(
        "results_dir=<folder>", "By default results/ of the repository."
    ),
    "repeat_id": Counterpart("name=<label>", LABEL),
    "label": Counterpart("name=<label>", LABEL),
    "hypergroup": Counterpart("name=<label>", LABEL),
    "rnn_hidden_dim": Counterpart("hidden_dim=64", "PyMARL's name for `hidden_dim`."),
    "agent_output_type": Counterpart(
        "", "The learner decides what the agents' outputs are; nothing is to be set."
    ),
    "mask_before_softmax": Counterpart(
        "", "Unavailable actions are always masked before the softmax."
    ),
    "mixing_embed_dim": Counterpart("mixer_args.embed_dim=32", "It belongs to `mixer=qmix`."),
    "target_update_interval_or_tau": Counterpart(
        "target_update.interval=200 target_update.unit=updates",
        "Above 1 it is the interval, counted in gradient steps. A tau such as 0.01 is "
        "`target_update={mode: soft, unit: updates, interval: 1, tau: 0.01}`.",
    ),
    "target_update_interval": Counterpart(
        "target_update.interval=200", "It counts collected episodes."
    ),
    "add_value_last_step": Counterpart(
        "",
        "The value after the last step always counts where an episode was truncated, and never "
        "where it was terminated (docs/guide/terminated_and_truncated.md).",
    ),
    "critic_type": Counterpart(
        "critic=state_value",
        "`cv_critic` is `critic=state_value`, `ac_critic` is `own_value`, `maddpg_critic` is "
        "`joint_action_value`.",
    ),
    "entropy_coef": Counterpart(
        "learner_args.entropy_start=0.01 learner_args.entropy_finish=0.01",
        f"With equal numbers it stays constant. {ON_POLICY}",
    ),
    "initial_entropy_coef": Counterpart("learner_args.entropy_start=0.01", ON_POLICY),
    "final_entropy_coef": Counterpart("learner_args.entropy_finish=0", ON_POLICY),
    "entropy_end_ratio": Counterpart("learner_args.entropy_anneal_fraction=0.5", ON_POLICY),
    "eps_clip": Counterpart("learner_args.clip=0.2", PPO),
    "q_nstep": Counterpart(
        "learner_args.gae_lambda=0.95",
        f"Returns are weighted by lambda instead; 0 is one step. {PPO} COMA and the value-based "
        f"methods have `learner_args.td_lambda=0.8`.",
    ),
    "cg_edges": Counterpart("controller_args.edges=full", "It belongs to `--config=dcg`."),
    "cg_utilities_hidden_dim": Counterpart("", "Utilities of `--config=dcg` have no hidden layer."),
    "cg_payoffs_hidden_dim": Counterpart(
        "controller_args.payoff_hidden_dim=32", "It belongs to `--config=dcg`."
    ),
    "cg_payoff_rank": Counterpart("controller_args.payoff_rank=1", "It belongs to `--config=dcg`."),
    "duelling": Counterpart("controller_args.dueling=True", "It belongs to `--config=dcg`."),
    "msg_anytime": Counterpart(
        "", "`--config=dcg` always keeps the best joint action of all rounds."
    ),
    "msg_normalized": Counterpart("", "`--config=dcg` always normalises messages."),
    "use_tensorboard": Counterpart("loggers=[csv,sacred,tensorboard]", LOGGERS),
    "use_wandb": Counterpart("loggers=[csv,sacred,wandb]", LOGGERS),
    "wandb_team": Counterpart("loggers=[csv,sacred,wandb] logger_args.wandb.entity=<team>", WANDB),
    "wandb_project": Counterpart("loggers=[csv,sacred,wandb] logger_args.wandb.project=agp", WANDB),
    "wandb_mode": Counterpart("loggers=[csv,sacred,wandb] logger_args.wandb.mode=offline", WANDB),
    "wandb_save_model": Counterpart("", ALWAYS_SAVED),
    **dict.fromkeys(CRITICS_ONLY.split(), Counterpart("", CRITIC)),
    "reg": Counterpart("learner_args.logit_penalty=0.001", MADDPG),
    "opt_loss": Counterpart("learner_args.opt_weight=1", QTRAN),
    "nopt_min_loss": Counterpart("learner_args.nopt_weight=0.1", QTRAN),
    **dict.fromkeys(("qtran_arch", "network_size"), Counterpart("", "QTRAN has one form here.")),
}

ENV_ARGS = {
    "map_name": Counterpart("", SMAC),
    "pretrained_wrapper": Counterpart(
        "",
        "Use `--env-config=mpe_tag` or `mpe_adversary`: there the other team has fixed policies.",
    ),
    "use_cpp_rvo2": Counterpart("", SMAC),
    "seed": Counterpart(
        "seed=1", "One seed, at the top level, also decides the environments' seeds."
    ),
}

COMPONENTS = {
    "runner": {
        "episode": Counterpart("batch_size_run=1", ONE_RUNNER),
        "parallel": Counterpart("batch_size_run=8", ONE_RUNNER),
    },
    "controller": {
        "basic_mac": Counterpart("controller=basic_controller", "It is the default."),
        "non_shared_mac": Counterpart("agent_args.share_parameters=False", NOT_SHARED),
        "maddpg_mac": Counterpart(
            "controller=basic_controller", "With `action_selector=categorical` it samples policies."
        ),
    },
    "agent": {
        "rnn": Counterpart("agent=rnn_agent", "It is the default."),
        "rnn_ns": Counterpart("agent=rnn_agent agent_args.share_parameters=False", NOT_SHARED),
        "rnn_feat": Counterpart(
            "agent=rnn_agent", "Controllers that read features get them from it."
        ),
    },
    "mixer": {
        "null": Counterpart("mixer=none", "An empty `mixer:` is written as a word here."),
        "qtran_base": Counterpart("learner=qtran_learner mixer=none", QTRAN),
        "qtran_alt": Counterpart("", "QTRAN-base is here, as `--config=qtran`."),
    },
    "learner": {
        "actor_critic_learner": Counterpart(
            "learner=ppo_learner learner_args.epochs=1 learner_args.minibatches=1", "A2C."
        ),
        **dict.fromkeys(("pac_dcg_learner", "pac_learner"), Counterpart("", ABSENT)),
    },
    "action_selector": {
        **dict.fromkeys(
            ("multinomial", "soft_policies"),
            Counterpart("action_selector=categorical", "It samples policies."),
        ),
    },
    "env": {
        "sc2": Counterpart("", SMAC),
        "sc2v2": Counterpart("", SMAC),
        "smaclite": Counterpart("env=gymma", "`--env-config=smaclite` has the settings for it."),
    },
}

FILES = {
    "--config": {
        **{
            f"{alg}_ns": Counterpart(
                f"--config={alg} with agent_args.share_parameters=False", NOT_SHARED
            )
            for alg in ("iql", "vdn", "qmix", "coma", "ia2c", "ippo", "maa2c", "mappo")
        },
        **{
            f"{alg}_beta": Counterpart(f"--config={alg} with batch_size_run=8", ONE_RUNNER)
            for alg in ("iql", "vdn", "qmix")
        },
        "maddpg_ns": Counterpart(
            "--config=maddpg with agent_args.share_parameters=False "
            "critic_args.share_parameters=False",
            NOT_SHARED,
        ),
        "pac_ns": Counterpart("", ABSENT),
        "pac_dcg_ns": Counterpart("", ABSENT),
    },
    "--env-config": {
        "sc2": Counterpart("", SMAC),
        "sc2_beta": Counterpart("", SMAC),
        "sc2v2": Counterpart("", SMAC),
    },
}

ONE_STEP = "An episode of it is one step here, and observations are constant."
MPE = "Each particle task has its file; it is a batched tensor program."
KEYS = {
    "pz-mpe-simple-speaker-listener": Counterpart("--env-config=mpe_speaker_listener", MPE),
    "pz-mpe-simple-spread": Counterpart("--env-config=mpe_spread", MPE),
    "pz-mpe-simple-adversary": Counterpart("--env-config=mpe_adversary", MPE),
    "pz-mpe-simple-tag": Counterpart("--env-config=mpe_tag", MPE),
    "pz-mpe-simple-reference": Counterpart("--env-config=mpe_reference", MPE),
    "pz-mpe-simple-push": Counterpart("--env-config=mpe_push", MPE),
    "pz-mpe-simple-crypto": Counterpart("--env-config=mpe_crypto", MPE),
    "pz-mpe-simple-world-comm": Counterpart("--env-config=mpe_world_comm", MPE),
    "pz-": Counterpart(
        "--env-config=pettingzoo with env_args.task=<module>",
        "PettingZoo has a separate adapter; the task is a module, such as "
        "`pettingzoo.butterfly.cooperative_pong_v5`.",
    ),
    "matrixgames:climbing": Counterpart("--env-config=climbing", ONE_STEP),
    "matrixgames:penalty": Counterpart(
        "--env-config=penalty with env_args.k=-100",
        f"`k` is the number in the key, with a minus. {ONE_STEP}",
    ),
    "vmas-": Counterpart("--env-config=vmas", "See docs/guide/other_environments.md."),
}

SAME_WORD = {
    "name": "the label of the run's folder, not the algorithm; that is `alg_name`",
    "checkpoint_path": "a run's folder or a checkpoint's file, not a folder of models",
    "evaluate": "prints a table and appends it to `evaluations.csv` of the run",
    "render": "`none`, `gif` or `mp4`: a film is written, no window opens",
    "buffer_size": "on-policy methods do not read it; equal to `batch_size` it is accepted",
    "batch_size_run": "8 by default, as with PyMARL's parallel runner; 1 is its episode runner",
    "obs_last_action": "false by default, as in EPyMARL's algorithms; PyMARL's default is true",
    "optim_alpha": "only with `optimizer=rmsprop`, which PyMARL uses; EPyMARL always uses Adam",
    "optim_eps": "1e-8 by default, Adam's own; PyMARL's RMSprop used 1e-5",
    "env_args.key": "as in EPyMARL, except keys that EPyMARL registers itself (below)",
}

TABLES = {"setting": SETTINGS, "env_args": ENV_ARGS, **COMPONENTS, **FILES}


def answer(place: str, name: str) -> str:
    """The answer to a name of EPyMARL or PyMARL, empty for other names.

    Args:
        place: where it stands: setting, env_args, a slot, --config or --env-config.
        name: the word.
    """
    found = TABLES.get(place, {}).get(name)
    return _sentence(name, found) if found else ""


def key_answer(key: str) -> str:
    """The answer to a `key` of environments that EPyMARL registers itself; empty for others."""
    prefix = next((prefix for prefix in KEYS if key.startswith(prefix)), None)
    return _sentence(key, KEYS[prefix]) if prefix else ""


def _sentence(name: str, found: Counterpart) -> str:
    if found.write:
        return f"EPyMARL's `{name}` is here `{found.write}`. {found.note}"
    return f"EPyMARL's `{name}` has no counterpart here. {found.note}"
