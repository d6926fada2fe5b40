"""The settings of `mpe`, and which of them cannot go together."""

from dataclasses import dataclass
from typing import Literal

from envs.mpe._mpe2 import TASKS
from envs.mpe._scenario import SCENARIOS, Scenario
from utils.errors import out_of_range, validate


@dataclass(frozen=True)
class MpeConfig:
    """Settings of `mpe`."""

    scenario: str = "spread"  # a file in src/envs/mpe/scenarios
    protocol: Literal["all_common", "team_vs_fixed", "two_team"] = "all_common"  # who learns
    learners: Literal["good", "adversaries"] | None = (
        None  # the team that learns under team_vs_fixed; null: the scenario's default
    )
    opponent: Literal["none", "scripted", "random", "path"] = (
        "none"  # who plays the team that does not learn, under team_vs_fixed
    )
    opponent_path: str = (
        ""  # for opponent=path: run folder (its latest checkpoint) or checkpoint file
    )
    continuous_actions: bool = (
        False  # true: mpe2's continuous actions, numbers from 0 to 1 for each direction and symbol
    )
    state: Literal["concat", "raw"] = (
        "concat"  # the learners' padded observations, or all agents' observations unpadded
    )
    precision: Literal["float64", "float32"] = (
        "float64"  # of the physics: as in mpe2, or faster; observations and rewards are float32
    )
    max_cycles: int = 25  # length of an episode in steps, at least 1
    legacy_drop_last: bool = (
        False  # as EPyMARL: the last step shows nothing new, pays nothing and counts as terminal
    )
    local_ratio: float | None = (
        None  # weight of the agent's individual reward in reference and spread, 0 to 1; null: 0.5
    )

    backend: Literal["native", "pettingzoo"] = (
        "native"  # what computes the worlds: tensor programs, or mpe2 itself (slow)
    )
    n_workers: int = 0  # processes that step mpe2, at most one per environment; 0: this process

    def __post_init__(self) -> None:
        validate(*out_of_range(self, 1, 1_000_000, "max_cycles"))
        # Names outside the tree, and the message, need every file there to be read.
        if not (self.scenario in SCENARIOS.built_in_names() or self.scenario in SCENARIOS.names()):
            validate((True, "scenario", SCENARIOS.unknown(self.scenario)))
        scenario: type[Scenario] = SCENARIOS.get(self.scenario).cls
        ratio = self.local_ratio
        validate(
            *self._backend_problems(),
            (
                ratio is not None and not scenario.has_local_ratio,
                "local_ratio",
                f"{ratio} has no use: rewards of {self.scenario} are not mixed. Leave it out.",
            ),
            (
                ratio is not None and not 0 <= ratio <= 1,
                "local_ratio",
                f"{ratio} must lie between 0 and 1.",
            ),
            (
                self.protocol != "all_common" and not scenario.learners,
                "protocol",
                f"'{self.protocol}' needs two teams, and in {self.scenario} there is one. "
                f"Write protocol=all_common.",
            ),
            *self._opponent_problems(scenario),
        )

    def _backend_problems(self) -> tuple[tuple[bool, str, str], ...]:
        """Cases for `validate`: the settings that do not fit the backend."""
        on_mpe2 = self.backend == "pettingzoo"
        return (
            (
                on_mpe2 and self.scenario not in TASKS,
                "backend",
                f"'pettingzoo' plays tasks of mpe2, and {self.scenario} is none of them. Write "
                f"backend=native.",
            ),
            (
                on_mpe2 and self.precision != "float64",
                "precision",
                f"'{self.precision}' is not available: mpe2 computes in float64. Leave it out, or "
                f"write backend=native.",
            ),
            (self.n_workers < 0, "n_workers", f"{self.n_workers} must not be negative."),
            (
                self.n_workers > 0 and not on_mpe2,
                "n_workers",
                f"{self.n_workers} has no use: native worlds are tensors of this process. Leave it "
                f"out, or write backend=pettingzoo.",
            ),
        )

    def _opponent_problems(self, scenario: type[Scenario]) -> tuple[tuple[bool, str, str], ...]:
        """Cases for `validate`: the settings that say who plays the team that does not learn."""
        fixed, trained = self.protocol == "team_vs_fixed", self.opponent == "path"
        has_rule = scenario.scripted is not None and self.learners in (None, scenario.learners)
        side = self.scenario if scenario.scripted is None else f"this side of {self.scenario}"
        return (
            (
                fixed and self.opponent == "none",
                "opponent",
                "'none' leaves the other team without a player. Write opponent=scripted, "
                "opponent=random or opponent=path, or protocol=two_team if it is to learn too.",
            ),
            (
                fixed and self.opponent == "scripted" and not has_rule,
                "opponent",
                f"there is no rule that plays {side}. Write opponent=random or opponent=path.",
            ),
            (
                not fixed and self.opponent != "none",
                "opponent",
                f"'{self.opponent}' has no team to play: under {self.protocol} every agent learns. "
                f"Write protocol=team_vs_fixed, or opponent=none.",
            ),
            (
                not fixed and self.learners is not None,
                "learners",
                f"'{self.learners}' has no use: under {self.protocol} every agent learns. "
                f"Write protocol=team_vs_fixed, or leave it out.",
            ),
            (
                trained and not self.opponent_path,
                "opponent_path",
                "opponent=path needs a trained opponent. Write opponent_path=<run folder or "
                "checkpoint file>.",
            ),
            (
                not trained and bool(self.opponent_path),
                "opponent_path",
                f"'{self.opponent_path}' has no use with opponent={self.opponent}. Write "
                f"opponent=path, or leave it empty (opponent_path=).",
            ),
        )

    @property
    def rivalry(self) -> str:
        """The setting that lets both teams learn (`config/combinations.py`), or an empty text."""
        return "protocol=two_team" if self.protocol == "two_team" else ""

    def sides(self, scenario: Scenario) -> tuple[slice, slice]:
        """The agents that learn, and those that do not (an empty slice if all learn)."""
        if self.protocol != "team_vs_fixed":
            return slice(0, scenario.n_agents), slice(0, 0)
        learners = self.learners or scenario.learners
        (other,) = (team for team in scenario.teams if team != learners)
        return scenario.team(learners), scenario.team(other)
