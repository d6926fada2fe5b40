"""Combinations of components that cannot work, refused before anything is built.

A component may declare `needs`, {slot: what}: the component in that slot must list it in `gives`.
"""

from config.schema import RunConfig
from utils.errors import ConfigError, UserError
from utils.registry import MIXERS, REGISTRIES


def check_combination(config: RunConfig) -> None:
    """Refuse settings that are right one by one and wrong together.

    Raises:
        ConfigError: names every such pair and what to do.
    """
    problems = _unmet_needs(config)
    mixer = MIXERS.get(config.mixer).cls
    if mixer.needs_team_reward and config.reward_aggregation == "individual":
        problems.append(
            f"mixer: {config.mixer} learns one value of the team, so it needs a team reward, but "
            f"reward_aggregation is 'individual'. Use sum or mean, or mixer=none."
        )
    if problems:
        raise ConfigError(problems)


def _unmet_needs(config: RunConfig) -> list[str]:
    """A sentence for every need of a component that the component in another slot leaves unmet."""
    problems = []
    for slot, registry in REGISTRIES.items():
        name = getattr(config, slot)
        for other, what in getattr(registry.get(name).cls, "needs", {}).items():
            if not _gives(other, getattr(config, other), what):
                able = [n for n in REGISTRIES[other].names() if _gives(other, n, what)]
                problems.append(
                    f"{slot}: {name} needs {what}, which {other}={getattr(config, other)} does not "
                    f"give. Use {other}={' or '.join(able)}, or another {slot}."
                )
    return problems


def _gives(slot: str, name: str, what: str) -> bool:
    """Whether a component declares that it gives `what`; one that cannot be imported does not."""
    try:
        return what in getattr(REGISTRIES[slot].get(name).cls, "gives", ())
    except UserError:
        return False
