"""Combinations of components that cannot work, refused before anything is built.

Components say what they need and give in class attributes; nothing here names one.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import AGENTS, CONTROLLERS, LEARNERS, MIXERS, SELECTORS


@runtime_checkable
class HasRivals(Protocol):
    """Settings of an environment in which agents that are paid against each other may learn."""

    @property
    def rivalry(self) -> str:
        """The setting that lets them all learn, such as `protocol=two_team`; empty: they do not."""
        ...


def check_combination(config: RunConfig) -> None:
    """Refuse settings that are right one by one and wrong together.

    Raises:
        ConfigError: names every such pair and what to do.
    """
    problems = [
        *_rewards(config),
        *_what_the_controller_gives(config),
        *_networks(config),
        *_what_is_mixed(config),
    ]
    if problems:
        raise ConfigError(problems)


def _rewards(config: RunConfig) -> Iterator[str]:
    """Whoever learns one value of the team needs one reward; rivals need rewards of their own."""
    mixer, learner = MIXERS.get(config.mixer).cls, LEARNERS.get(config.learner).cls
    individual = config.reward_aggregation == "individual"
    rivalry = config.env_args.rivalry if isinstance(config.env_args, HasRivals) else ""
    if rivalry and (mixer.needs_team_reward or learner.needs_team_reward or not individual):
        yield (
            f"env_args.{rivalry} lets rivals learn, each paid for its own team, but "
            f"learner={config.learner} mixer={config.mixer} with "
            f"reward_aggregation={config.reward_aggregation} makes one team of them all. Write "
            f"--config=iql with reward_aggregation=individual, or let one team learn alone."
        )
    if rivalry or not individual:
        return
    for slot, name, cls, remedy in (  # another mixer is no remedy where the learner refuses
        ("learner", config.learner, learner, ""),
        ("mixer", config.mixer, mixer, ", or mixer=none"),
    ):
        if cls.needs_team_reward:
            yield (
                f"{slot}: {name} learns one value of the team, so it needs a team reward, but "
                f"reward_aggregation is 'individual'. Use sum or mean{remedy}."
            )
            return


def _what_the_controller_gives(config: RunConfig) -> Iterator[str]:
    """Learner and action selector must be able to use it."""
    gives = CONTROLLERS.get(config.controller).cls.gives
    for registry, name in ((LEARNERS, config.learner), (SELECTORS, config.action_selector)):
        if gives not in registry.get(name).cls.takes:
            fitting = [n for n in registry.names() if gives in registry.get(n).cls.takes]
            yield (
                f"{registry.slot}: {name} cannot use what {config.controller} gives, {gives}. "
                f"Use {registry.slot}={' or '.join(fitting)}."
            )


def _networks(config: RunConfig) -> Iterator[str]:
    """The agent must offer what the controller reads, and a mixer must be of use."""
    learner = LEARNERS.get(config.learner).cls
    for registry, name in ((CONTROLLERS, config.controller), (LEARNERS, config.learner)):
        if not registry.get(name).cls.needs_features:
            continue
        if not hasattr(AGENTS.get(config.agent).cls, "features"):
            fitting = [n for n in AGENTS.names() if hasattr(AGENTS.get(n).cls, "features")]
            yield (
                f"agent: {config.agent} does not show the features that {name} reads. "
                f"Use agent={' or '.join(fitting)}."
            )
    if not learner.uses_mixer and config.mixer != "none":
        yield (
            f"mixer: {config.learner} adds up the team's value itself, so {config.mixer} would do "
            f"nothing. Use mixer=none."
        )


def _what_is_mixed(config: RunConfig) -> Iterator[str]:
    """Learner and mixer must speak of the same values."""
    learner = LEARNERS.get(config.learner).cls
    given, mixed = learner.mixes, _mixes(config.mixer)
    if given != mixed:
        fitting = [name for name in MIXERS.names() if _mixes(name) == given]
        yield (
            f"mixer: {config.mixer} mixes {mixed}, but {config.learner} gives {given}. "
            f"Use mixer={' or '.join(fitting)}, or another learner."
        )
    elif learner.needs_team_reward and learner.uses_mixer and not _is_of_the_team(config.mixer):
        fitting = [n for n in MIXERS.names() if _mixes(n) == given and _is_of_the_team(n)]
        yield (
            f"mixer: {config.learner} learns one value of the team, but {config.mixer} keeps the "
            f"agents' values apart. Use mixer={' or '.join(fitting)}."
        )


def _is_of_the_team(mixer: str) -> bool:
    of_the_team: bool = MIXERS.get(mixer).cls.needs_team_reward
    return of_the_team


def _mixes(mixer: str) -> str:
    mixes: str = getattr(MIXERS.get(mixer).cls, "mixes", "values")
    return mixes
