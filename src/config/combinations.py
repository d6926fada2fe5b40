"""Combinations of components that cannot work, refused before anything is built."""

from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import MIXERS


def check_combination(config: RunConfig) -> None:
    """Refuse settings that are right one by one and wrong together.

    Raises:
        ConfigError: names every such pair and what to do.
    """
    problems = []
    mixer = MIXERS.get(config.mixer).cls
    if mixer.needs_team_reward and config.reward_aggregation == "individual":
        problems.append(
            f"mixer: {config.mixer} learns one value of the team, so it needs a team reward, but "
            f"reward_aggregation is 'individual'. Use sum or mean, or mixer=none."
        )
    if problems:
        raise ConfigError(problems)
