"""Combinations of components that cannot work, reported before anything is built.

Components say what they need and give in class attributes; nothing here names one.
"""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from components.settings import TargetUpdate
from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import (
    AGENTS,
    BUFFERS,
    CONTROLLERS,
    CRITICS,
    LEARNERS,
    MIXERS,
    REGISTRIES,
    SELECTORS,
    Registry,
)

# What a mixer may declare as a class attribute, and what holds if it does not: it makes one value
# of the team, from the values of the agents' actions.
MIXER_FACTS = {"needs_team_reward": True, "mixes": "values"}
# What an agent network may declare, and what holds if it does not.
AGENT_FACTS = {"in_order": False, "has_memory": True}
# What the classes of other slots must declare; their base classes do.
REQUIRED_FACTS = {
    "learner": (
        *(
            "needs_team_reward",
            "uses_mixer",
            "mixes",
            "takes",
            "trains",
            "learns_from",
            "needs_features",
        ),
        *("explores_by_policy", "critic_estimates", "has_targets", "metric_descriptions"),
    ),
    "controller": (
        *("gives", "needs_features", "in_order", "needs_team_reward", "acts_continuously"),
    ),
    "action_selector": ("takes", "metric_descriptions"),
    "runner": ("metric_descriptions",),
    "buffer": ("gives", "problems"),
    "critic": ("estimates", "needs_encoder"),
}


@runtime_checkable
class HasRivals(Protocol):
    """Settings of an environment in which agents that are paid against each other may learn."""

    @property
    def rivalry(self) -> str:
        """The setting that lets them all learn, such as `protocol=two_team`; empty: they do not."""
        ...


@runtime_checkable
class MayDeviate(Protocol):
    """Settings of an action selector that can choose other actions than the policy samples."""

    @property
    def deviation(self) -> str:
        """The setting that makes it, such as `epsilon_start=1.0`; empty: it does not."""
        ...


def check_combination(config: RunConfig) -> None:
    """Check settings that are right one by one and wrong together.

    Raises:
        ConfigError: names every such pair and what to do.
    """
    undeclared = list(_undeclared(config))
    if undeclared:
        raise ConfigError(undeclared)
    problems = [
        *_rewards(config),
        *_outputs(config),
        *_networks(config),
        *_order_and_memory(config),
        *_what_is_mixed(config),
        *_experience(config),
        *_critic(config),
        *LEARNERS.get(config.learner).cls.problems(config.learner_args, config),
    ]
    if problems:
        raise ConfigError(problems)


def _undeclared(config: RunConfig) -> Iterator[str]:
    """A component must declare the facts that the checks below read."""
    for slot, facts in REQUIRED_FACTS.items():
        name = getattr(config, slot)
        cls = REGISTRIES[slot].get(name).cls
        missing = [fact for fact in facts if not hasattr(cls, fact)]
        if missing:
            yield (
                f"{slot}: {name} does not declare {', '.join(missing)}. Build the class "
                f"{cls.__name__} on the base class of its folder, or add the class attributes."
            )


def _mixer_fact(mixer: str, fact: str) -> Any:
    return getattr(MIXERS.get(mixer).cls, fact, MIXER_FACTS[fact])


def _agent_fact(agent: str, fact: str) -> bool:
    return bool(getattr(AGENTS.get(agent).cls, fact, AGENT_FACTS[fact]))


def _rewards(config: RunConfig) -> Iterator[str]:
    """One value of the team needs one reward for the team; rivals need individual rewards."""
    mixer_needs = _mixer_fact(config.mixer, "needs_team_reward")
    learner_needs = LEARNERS.get(config.learner).cls.needs_team_reward
    controller_needs = CONTROLLERS.get(config.controller).cls.needs_team_reward
    individual = config.reward_aggregation == "individual"
    rivalry = config.env_args.rivalry if isinstance(config.env_args, HasRivals) else ""
    needed = mixer_needs or learner_needs or controller_needs
    if rivalry and (needed or not individual):
        yield (
            f"env_args.{rivalry} lets rivals learn, each with the reward of its team, but "
            f"learner={config.learner} mixer={config.mixer} with "
            f"reward_aggregation={config.reward_aggregation} makes one team of them all. Write "
            f"--config=iql with reward_aggregation=individual, or let one team learn alone."
        )
    if rivalry or not individual:
        return
    for slot, name, needs, remedy in (  # another mixer is no remedy where the learner needs this
        ("controller", config.controller, controller_needs, ""),
        ("learner", config.learner, learner_needs, ""),
        ("mixer", config.mixer, mixer_needs, ", or mixer=none"),
    ):
        if needs:
            yield (
                f"{slot}: {name} learns one value of the team, so it needs a team reward, but "
                f"reward_aggregation is 'individual'. Use sum or mean{remedy}."
            )
            return


def _outputs(config: RunConfig) -> Iterator[str]:
    """The learner must be able to use the controller, the action selector what the learner trains.

    Only the learner decides whether the outputs of `basic_controller` are values or logits.
    """
    gives = CONTROLLERS.get(config.controller).cls.gives
    learner, selector = LEARNERS.get(config.learner).cls, SELECTORS.get(config.action_selector).cls
    if gives not in learner.takes:
        names = LEARNERS.built_in_names()
        fitting = [name for name in names if gives in LEARNERS.get(name).cls.takes]
        yield (
            f"learner: {config.learner} cannot use what {config.controller} gives, {gives}. "
            f"Use learner={' or '.join(fitting)}."
        )
    if not set(learner.trains) & set(selector.takes):
        trained = " or ".join(kind.label for kind in learner.trains)
        taken = " or ".join(kind.label for kind in selector.takes)
        fitting = [
            name
            for name in SELECTORS.built_in_names()
            if set(learner.trains) & set(SELECTORS.get(name).cls.takes)
        ]
        yield (
            f"action_selector: {config.action_selector} chooses by {taken}, "
            f"but {config.learner} trains the agents' outputs to be {trained}. "
            f"Use action_selector={' or '.join(fitting)}, or another learner."
        )


def _whose(registry: Registry, fact: str, value: str) -> str:
    """Our components of a slot that declare a fact to be `value`."""
    names = registry.built_in_names()
    return " or ".join(n for n in names if getattr(registry.get(n).cls, fact) == value)


def _networks(config: RunConfig) -> Iterator[str]:
    """The agent must offer what the controller reads, and a mixer must be of use."""
    learner = LEARNERS.get(config.learner).cls
    for registry, name in ((CONTROLLERS, config.controller), (LEARNERS, config.learner)):
        if not registry.get(name).cls.needs_features:
            continue
        if not hasattr(AGENTS.get(config.agent).cls, "features"):
            fitting = [n for n in AGENTS.built_in_names() if hasattr(AGENTS.get(n).cls, "features")]
            yield (
                f"agent: {config.agent} does not show the features that {name} reads. "
                f"Use agent={' or '.join(fitting)}."
            )
    if not learner.uses_mixer and config.mixer != "none":
        yield (
            f"mixer: {config.learner} adds up the team's value itself, so {config.mixer} would do "
            f"nothing. Use mixer=none."
        )


def _order_and_memory(config: RunConfig) -> Iterator[str]:
    """Agents that choose in order need a controller that asks in order; some have no memory."""
    asks, knows = (
        CONTROLLERS.get(config.controller).cls.in_order,
        _agent_fact(config.agent, "in_order"),
    )
    if asks and not knows:
        fitting = [n for n in AGENTS.built_in_names() if _agent_fact(n, "in_order")]
        yield (
            f"agent: {config.controller} lets agents choose in order, but {config.agent} does not "
            f"read the actions of agents before. Use agent={' or '.join(fitting)}."
        )
    elif knows and not asks:
        fitting = [n for n in CONTROLLERS.built_in_names() if CONTROLLERS.get(n).cls.in_order]
        yield (
            f"controller: {config.agent} reads the actions of agents before, but "
            f"{config.controller} lets all choose at once. Use controller={' or '.join(fitting)}."
        )
    if config.use_rnn is True and not _agent_fact(config.agent, "has_memory"):
        yield (
            f"use_rnn: {config.agent} has no memory of earlier steps, so use_rnn=True would do "
            f"nothing. Use auto or False; obs_last_action=True shows each agent its last action."
        )


def _what_is_mixed(config: RunConfig) -> Iterator[str]:
    """Learner and mixer must use the same kind of values."""
    learner = LEARNERS.get(config.learner).cls
    given, mixed = learner.mixes, _mixer_fact(config.mixer, "mixes")
    if given != mixed:
        fitting = [n for n in MIXERS.built_in_names() if _mixer_fact(n, "mixes") == given]
        yield (
            f"mixer: {config.mixer} mixes {mixed}, but {config.learner} gives {given}. "
            f"Use mixer={' or '.join(fitting)}, or another learner."
        )
    elif (
        learner.needs_team_reward
        and learner.uses_mixer
        and not _mixer_fact(config.mixer, "needs_team_reward")
    ):
        fitting = [
            n
            for n in MIXERS.built_in_names()
            if _mixer_fact(n, "mixes") == given and _mixer_fact(n, "needs_team_reward")
        ]
        yield (
            f"mixer: {config.learner} learns one value of the team, but {config.mixer} keeps the "
            f"agents' values apart. Use mixer={' or '.join(fitting)}."
        )


def _experience(config: RunConfig) -> Iterator[str]:
    """Buffer and exploration must give what the learner learns from."""
    learner, buffer = LEARNERS.get(config.learner).cls, BUFFERS.get(config.buffer).cls
    if buffer.gives != learner.learns_from:
        yield (
            f"buffer: {config.buffer} gives {buffer.gives}, but {config.learner} learns from "
            f"{learner.learns_from}. Use buffer={_whose(BUFFERS, 'gives', learner.learns_from)}."
        )
    else:
        yield from buffer.problems(config)
    selector = config.action_selector_args
    if learner.explores_by_policy and isinstance(selector, MayDeviate) and selector.deviation:
        yield (
            f"action_selector_args.{selector.deviation} replaces actions that the policies have "
            f"sampled, and {config.learner} learns from those only. Use 0, and let the weight of "
            f"the entropy in the loss explore."
        )


def _critic(config: RunConfig) -> Iterator[str]:
    """The critic must estimate what the learner needs, and target networks must exist to be set."""
    learner, critic = LEARNERS.get(config.learner).cls, CRITICS.get(config.critic).cls
    encodes = _agent_fact(config.agent, "in_order")
    wanted = learner.critic_estimates
    fitting = " or ".join(
        name
        for name in CRITICS.built_in_names()
        if CRITICS.get(name).cls.estimates == wanted
        and (encodes or not CRITICS.get(name).cls.needs_encoder)
    )
    if critic.estimates != wanted:
        yield (
            f"critic: {config.critic} estimates {critic.estimates}, but {config.learner} needs a "
            f"critic that estimates {wanted}. Use critic={fitting}."
        )
    elif critic.needs_encoder and not encodes:
        yield (
            f"critic: {config.critic} reads an encoder of all observations, and {config.agent} has "
            f"none. Use critic={fitting}."
        )
    if not learner.has_targets and config.target_update != TargetUpdate():
        yield (
            f"target_update: {config.learner} has no target networks, so this would do nothing. "
            f"Leave it at its default."
        )
