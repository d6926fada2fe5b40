"""The settings of a whole run. The settings of a component stand in its file.

`env`, `controller`, `agent`, `mixer`, `critic`, `learner`, `buffer`, `runner` and
`action_selector` are *slots*: they hold the name of a registered component, and `<slot>_args` holds
that component's settings dataclass.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from components.settings import (
    AgentSettings,
    ExperienceSettings,
    ExplorationSettings,
    TrainingSettings,
)
from config.old_names import OLD_FLAGS
from utils.errors import out_of_range, validate
from utils.mongo_url import holds_secret

# Settings of evaluations and of MongoDB. No training reads them, so a run's record may lack them.
FILM_SETTINGS = ("render", "render_episodes", "render_attention", "render_layer")
EVALUATION_SETTINGS = ("write_episodes", *FILM_SETTINGS)
MONGO_SETTINGS = ("mongo_url", "mongo_db")
LOGGER_SETTINGS = ("loggers", "logger_args")
SPEED_SETTINGS = ("compile",)  # the same mathematics, faster; a run's record may lack them too
# Older records have none; a run without components outside the tree needs none.
PLUGIN_SETTINGS = ("plugins", "plugin_files")
# Nor these: every learner had replay and no critic.
EXPERIENCE_SLOTS = ("critic", "critic_args", "buffer", "buffer_args")
FILE_SETTINGS = ("preset", "config_files")  # what the files say is recorded setting by setting
MAY_BE_MISSING = frozenset(
    (
        *FILE_SETTINGS,
        *EVALUATION_SETTINGS,
        *MONGO_SETTINGS,
        *LOGGER_SETTINGS,
        *SPEED_SETTINGS,
        *PLUGIN_SETTINGS,
        *EXPERIENCE_SLOTS,
    )
)  # in a run's record
# Settings that change no number of `metrics.csv`: where and how a run is recorded, what is shown.
BESIDE_LEARNING = (
    *FILE_SETTINGS,
    "resume",
    "results_dir",
    "show_progress",
    "checkpoint_interval",
    "checkpoint_seconds",
    "checkpoint_replay",
    "keep_numbered_checkpoints",
    "plugins",  # where components stand; `plugin_files` tells whether they have changed
    *EVALUATION_SETTINGS,
    *MONGO_SETTINGS,
    *LOGGER_SETTINGS,
    *OLD_FLAGS,  # in older records
    *SPEED_SETTINGS,
)

# Settings that an evaluation may change without testing something else than what was trained.
HARMLESS = (
    *FILE_SETTINGS,
    "evaluate",
    "checkpoint_path",
    "resume",
    "test_nepisode",
    "test_batch_size_run",
    "device",
    "threads",
    "show_progress",
    *EVALUATION_SETTINGS,
    *MONGO_SETTINGS,
    *LOGGER_SETTINGS,
    *SPEED_SETTINGS,
)


def logger_problems(loggers: tuple[str, ...]) -> list[tuple[bool, str, str]]:
    """Cases for `validate`: problems of a list of loggers, whose names are checked separately."""
    listed = ", ".join(loggers)
    twice = [name for name in dict.fromkeys(loggers) if loggers.count(name) > 1]
    return [
        (
            "csv" not in loggers,
            "loggers",
            f"[{listed}] lacks csv. Resuming, reports and suites read metrics.csv, so every run "
            f"writes it. Write loggers=[{', '.join(['csv', *loggers])}].",
        ),
        (bool(twice), "loggers", f"[{listed}] names {', '.join(twice)} twice. Keep one."),
    ]


@dataclass(frozen=True)
class RunConfig(AgentSettings, ExplorationSettings, TrainingSettings):
    """Everything that decides what a run does. Frozen, checked, complete."""

    # What runs
    alg_name: str = "custom"  # folder below results/<env_name>; the name given to --config
    env_name: str = "custom"  # folder below results; the name given to --env-config
    name: str = ""  # label of the run's folder; empty: alg_name
    preset: str = (
        "auto"  # tuned settings of the method on the task, in config/presets; none: without them
    )
    config_files: dict[str, str] = field(
        default_factory=dict
    )  # recorded by the run: the YAML files of {alg, env, preset}
    seed: int = 1  # root of every random stream of the run, at least 0
    device: str = "cpu"  # cpu, cuda or cuda:<index>
    threads: int = 1  # CPU threads within one operation, 1 to 1024
    compile: Literal["auto", "none", "graphs"] = (
        "auto"  # graphs: rollouts and gradient steps are CUDA graphs; auto: where possible
    )

    # Slots
    env: str = "topk"  # registered environment
    env_args: Any = None  # its settings
    runner: str = "batch_runner"  # registered runner
    runner_args: Any = None  # its settings
    controller: str = "basic_controller"  # registered controller
    controller_args: Any = None  # its settings
    agent: str = "rnn_agent"  # registered agent network
    agent_args: Any = None  # its settings
    action_selector: str = "epsilon_greedy"  # registered way of choosing actions
    action_selector_args: Any = None  # its settings
    mixer: str = "none"  # registered mixer; `none` keeps one value per agent
    mixer_args: Any = None  # its settings
    critic: str = "none"  # registered critic; `none` for learners that have none
    critic_args: Any = None  # its settings
    learner: str = "q_learner"  # registered learner
    learner_args: Any = None  # its settings
    buffer: str = "replay"  # registered buffer: which episodes the learner gets
    buffer_args: Any = None  # its settings

    # Components outside the tree
    plugins: str = ""  # folder that holds them; empty: AGP_PLUGINS, or the current folder
    plugin_files: dict[str, str] = field(
        default_factory=dict
    )  # recorded by the run: {slot: hash of the file of its component}

    # How much
    t_max: int = 2_050_000  # environment steps of the whole run (B parallel environments count B)
    reward_aggregation: Literal["sum", "mean", "individual"] = (
        "mean"  # of the agents' rewards: one team reward, or none
    )

    # Evaluation, logging, checkpoints
    test_interval: int = 50_000  # environment steps between two greedy tests
    test_nepisode: int = 100  # episodes in a greedy test
    test_batch_size_run: int = 0  # test episodes run at once; 0: batch_size_run
    log_interval: int = 10_000  # environment steps between two rows of training metrics
    checkpoint_interval: int = 500_000  # environment steps between two checkpoints
    checkpoint_seconds: float = 600.0  # or so many seconds, if they pass sooner; 0: never by time
    checkpoint_replay: bool = (
        True  # keep the buffer in `latest`, needed to resume bit for bit; the run prints its size
    )
    keep_numbered_checkpoints: bool = (
        False  # keep one checkpoint per interval besides `latest` and `best`
    )
    results_dir: str = (
        ""  # folder that receives the run's folder; empty: results/ of the repository, or of the
        # current folder where the package is installed
    )
    loggers: tuple[str, ...] = (
        "csv",
        "sacred",
    )  # where metrics are recorded: csv, always, and any of the others (docs/logging.md)
    logger_args: dict[str, Any] = field(default_factory=dict)  # {logger: its settings}
    show_progress: bool = True  # progress bar when the console is a terminal

    # MongoDB, besides the disk
    mongo_url: str = ""  # server without a password; --mongo and SACRED_MONGO_URL go before it
    mongo_db: str = ""  # database; empty: the one that the URL names, or sacred

    # Instead of training from scratch
    resume: str = ""  # run folder or checkpoint to continue; auto: the newest run of these settings
    evaluate: bool = False  # only test the checkpoint at checkpoint_path, and print a table
    checkpoint_path: str = ""  # run folder (its latest checkpoint) or checkpoint file to start from

    # What evaluate=True writes besides evaluations.csv: every episode, and films
    write_episodes: bool = False  # write each test episode's return and metrics to episodes.csv
    render: Literal["none", "gif", "mp4"] = "none"  # write a film into the run's folder
    render_episodes: int = 3  # episodes in it, at least 1
    render_attention: bool = False  # draw how much the agents attend to each other, for agp
    render_layer: int = (
        0  # round of that attention, 1 is the first; 0: the last; axial layers have two
    )

    def __post_init__(self) -> None:
        at_least_one = (
            "threads",
            "t_max",
            "test_interval",
            "test_nepisode",
            "log_interval",
            "checkpoint_interval",
            "render_episodes",
        )
        validate(
            *AgentSettings.problems(self),
            *ExplorationSettings.problems(self),
            *ExperienceSettings.problems(self),
            *TrainingSettings.problems(self),
            *out_of_range(self, 1, 10**15, *at_least_one),
            *out_of_range(self, 0, 10**15, "test_batch_size_run"),
            (
                not self.checkpoint_seconds >= 0,
                "checkpoint_seconds",
                f"{self.checkpoint_seconds} must not be negative.",
            ),
            (self.threads > 1024, "threads", f"{self.threads} is more than 1024."),
            (not 0 <= self.seed < 2**32, "seed", f"{self.seed} must lie in [0, 2^32)."),
            (
                self.evaluate and not self.checkpoint_path,
                "evaluate",
                "evaluate=True needs checkpoint_path=<run folder or checkpoint file>.",
            ),
            (
                bool(self.resume) and self.evaluate,
                "resume",
                "resume continues training and evaluate only tests; give one of the two.",
            ),
            (
                self.write_episodes and not self.evaluate,
                "write_episodes",
                "episodes.csv is written by tests of a trained policy, so it needs evaluate=True "
                "checkpoint_path=<run folder or checkpoint file>.",
            ),
            (
                self.render != "none" and not self.evaluate,
                "render",
                f"{self.render} shows a trained policy, so it needs evaluate=True "
                f"checkpoint_path=<run folder or checkpoint file>.",
            ),
            (
                self.render_attention and self.render == "none",
                "render_attention",
                "there is no film to draw it in; add render=gif or render=mp4.",
            ),
            *logger_problems(self.loggers),
            (
                "sacred" not in self.loggers and bool(self.mongo_url),
                "mongo_url",
                "the record in MongoDB is made from Sacred's. Add sacred to loggers, or leave "
                "mongo_url out.",
            ),
            (
                holds_secret(self.mongo_url),
                "mongo_url",
                "a URL with a password would be kept in the run's record. Leave the user out, or "
                "give the URL by the environment variable SACRED_MONGO_URL.",
            ),
            (self.render_layer < 0, "render_layer", f"{self.render_layer} must not be negative."),
        )
