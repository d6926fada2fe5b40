"""Combinations of components that cannot work, refused before anything is built."""

from typing import Protocol, runtime_checkable

from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import MIXERS


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
    problems = []
    mixer = MIXERS.get(config.mixer).cls
    individual = config.reward_aggregation == "individual"
    env_args = config.env_args
    rivalry = env_args.rivalry if isinstance(env_args, HasRivals) else ""
    if rivalry and (mixer.needs_team_reward or not individual):
        problems.append(
            f"env_args.{rivalry} lets rivals learn, each paid for its own team, but "
            f"mixer={config.mixer} with reward_aggregation={config.reward_aggregation} makes one "
            f"team of them all. Write mixer=none reward_aggregation=individual (--config=iql has "
            f"that mixer), or let one team learn alone."
        )
    elif mixer.needs_team_reward and individual:
        problems.append(
            f"mixer: {config.mixer} learns one value of the team, so it needs a team reward, but "
            f"reward_aggregation is 'individual'. Use sum or mean, or mixer=none."
        )
    if problems:
        raise ConfigError(problems)
