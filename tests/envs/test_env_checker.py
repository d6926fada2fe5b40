"""The env checker: a world that keeps the contract passes; each way to break it is explained."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.helpers.messages import says

from envs.base import EnvInfo, EnvStep
from envs.checker.likely_mistakes import LikelyMistakes
from envs.checker.report import report
from envs.env_checker import check_env
from utils.errors import UserError
from utils.registry import ENVS
from utils.seeding import generator_state, restore_generator, torch_generator

INFO = EnvInfo(
    n_agents=2,
    n_actions=3,
    obs_dim=3,
    state_dim=2,
    episode_limit=4,
    agent_names=("tall", "small"),
    obs_dims=(3, 2),
    action_counts=(3, 2),
    metric_descriptions={"success": "1 if it went well"},
    action_types=((0, 1, 2), (0, 1, 1)),
    action_feature_dim=1,
    varying_team=True,
)
PLAIN = replace(INFO, action_feature_dim=0, varying_team=False)


class Walk:
    """Keeps every promise: unequal lengths, both kinds of end, padding, teams of varying size.

    Each environment starts at 0, 1 or 2 and walks on by one, or by two if both agents play the
    same. It ends in the world at 4, and by the time limit after four steps.
    """

    info = INFO

    def __init__(self, batch_size: int, seed: int, stream: str, device: torch.device):
        self.batch_size, self.device = batch_size, device
        self.generator = torch_generator(seed, stream)

    def reset(self) -> EnvStep:
        b = self.batch_size
        self.place = torch.randint(3, (b,), generator=self.generator).float()
        self.luck = torch.rand(b, generator=self.generator)
        self.t = 0
        self.terminated = self.truncated = torch.zeros(b, dtype=torch.bool)
        return self.show(torch.zeros(b, 2))

    def step(self, actions: torch.Tensor) -> EnvStep:
        alive = ~(self.terminated | self.truncated)
        stride = 1 + (actions[:, 0] == actions[:, 1]).float()
        self.place = self.place + alive * stride
        self.t += 1
        self.terminated = self.terminated | (alive & (self.place >= 4))
        self.truncated = self.truncated | (alive & (self.t >= self.info.episode_limit))
        return self.show((alive * self.luck).unsqueeze(1).expand(-1, 2))

    def show(self, reward: torch.Tensor) -> EnvStep:
        b, info = self.batch_size, self.info
        obs = torch.stack([self.place, self.luck, self.place + 1], dim=1)  # [B, 3]
        obs = obs.unsqueeze(1).repeat(1, 2, 1)
        obs[:, 1, 2] = 0  # the second agent observes two numbers
        avail = torch.tensor([[True, True, True], [True, True, False]]).repeat(b, 1, 1)
        avail[:, 0, 2] = self.place < 2
        return EnvStep(
            obs=obs,
            state=torch.stack([self.place, self.luck], dim=1),
            avail=avail,
            reward=reward,
            terminated=self.terminated,
            truncated=self.truncated,
            metrics={"success": self.terminated.float()} if self.t else {},
            action_features=torch.ones(b, 2, 3, 1) if info.action_feature_dim else None,
            is_active=torch.ones(b, 2, dtype=torch.bool) if info.varying_team else None,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"generator": generator_state(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore_generator(self.generator, state["generator"])

    def close(self) -> None:
        pass


def shows(**changes: Callable[[EnvStep, Walk], Any]) -> type[Walk]:
    """A walk of which some fields are shown differently."""

    class Broken(Walk):
        def show(self, reward: torch.Tensor) -> EnvStep:
            step = super().show(reward)
            for name, change in changes.items():
                setattr(step, name, change(step, self))
            return step

    return Broken


def promises(**changes: Any) -> type[Walk]:
    """A walk with other entries in its `EnvInfo`."""
    return type("Broken", (Walk,), {"info": replace(INFO, **changes)})


def does(**methods: Any) -> type[Walk]:
    """A walk with other methods."""
    return type("Broken", (Walk,), methods)


def put(x: torch.Tensor, place: tuple[int | slice, ...], value: Any) -> torch.Tensor:
    """A copy of x with another value at `place`, cut to x's size where there is one environment."""
    x = x.clone()
    small = (
        i if isinstance(i, slice) else min(i, n - 1) for i, n in zip(place, x.shape, strict=True)
    )
    x[tuple(small)] = value
    return x


def violations(world: type[Walk]) -> list[str]:
    return check_env(world)


def test_a_world_that_keeps_the_contract_passes():
    assert violations(Walk) == []


def test_optional_fields_may_be_absent_when_not_promised():
    assert violations(type("Plain", (Walk,), {"info": PLAIN})) == []


# One entry per rule: a world that breaks it alone, and the facts that the one message must say.
STRUCTURE = {
    "shape": (
        shows(obs=lambda s, w: s.obs[:, :, :2]),
        "obs after reset ... [8, 2, 2] ... [B, N, O] = [8, 2, 3] ... zeros to obs_dim",
    ),
    "squeezed": (
        shows(state=lambda s, w: s.state.squeeze(0)),
        "state after reset, episode 1 of 1 ... [2] ... [B, S] = [1, 2]",
    ),
    "dtype": (
        shows(avail=lambda s, w: s.avail.int()),
        "avail after reset, episode 1 of 8 ... torch.int32 ... torch.bool ... Convert",
    ),
    "double": (
        shows(reward=lambda s, w: s.reward.double()),
        "reward after reset ... torch.float64 ... torch.float32",
    ),
    "flag dtype": (
        shows(terminated=lambda s, w: s.terminated.float()),
        "terminated after reset ... torch.float32 ... torch.bool",
    ),
    "flag shape": (
        shows(truncated=lambda s, w: s.truncated.unsqueeze(1)),
        "truncated after reset ... [8, 1] ... [B] = [8] ... One flag per environment",
    ),
    "device": (
        shows(state=lambda s, w: s.state.to("meta")),
        "state after reset ... meta ... cpu ... device=self.device",
    ),
    "not a tensor": (
        shows(obs=lambda s, w: s.obs.tolist()),
        "obs after reset ... list ... tensor ... [B, N, O] = [8, 2, 3]",
    ),
    "no features": (
        shows(action_features=lambda s, w: None),
        "action_features after reset ... NoneType ... tensor ... [B, N, A, F] = [8, 2, 3, 1]",
    ),
    "feature shape": (
        shows(action_features=lambda s, w: s.action_features.squeeze(3)),
        "[8, 2, 3] ... [B, N, A, F] = [8, 2, 3, 1] ... zeros",
    ),
    "unpromised features": (
        type("Broken", (shows(action_features=lambda s, w: torch.ones(1)),), {"info": PLAIN}),
        "action_features ... info.action_feature_dim is 0 ... Set ... or return None",
    ),
    "unpromised team": (
        type("Broken", (shows(is_active=lambda s, w: torch.ones(1)),), {"info": PLAIN}),
        "is_active ... info.varying_team is False",
    ),
    "lost episodes": (
        shows(lost=lambda s, w: torch.ones(8, dtype=torch.bool)),
        "lost ... after reset, episode 1 of 8 ... see the warning",
    ),
    "team shape": (
        shows(is_active=lambda s, w: s.is_active[:, 0]),
        "is_active after reset ... [8] ... [B, N] = [8, 2]",
    ),
}
SIZES = {
    "names": (
        promises(agent_names=("a", "a")),
        "info.agent_names ... ('a', 'a') ... a separate name",
    ),
    "too few names": (
        promises(agent_names=("a",)),
        "info.agent_names ... 1 ... n_agents=2 ... one per agent",
    ),
    "obs_dims": (
        promises(obs_dims=(2, 2)),
        "info.obs_dims ... (2, 2) ... obs_dim ... 2 ... 3",
    ),
    "action_counts": (
        promises(action_counts=(3, 4)),
        "info.action_counts ... (3, 4) ... n_actions ... 4 ... 3",
    ),
    "action_types": (
        promises(action_types=((0, 1), (0, 1))),
        "info.action_types ... [2, 2] ... each agent ... [3, 3]",
    ),
    "action_names": (
        promises(action_names=(("a", "b", "c"), ("a",))),
        "info.action_names ... [3, 1] ... each agent ... [3, 2]",
    ),
    "limit": (
        promises(episode_limit=0),
        "info.episode_limit ... 0 ... at least 1",
    ),
    "taken metric": (
        promises(metric_descriptions={"return": "of another kind"}),
        "'return' ... Rename",
    ),
    "ratio": (
        promises(metric_ratios={"share": ("success", "tries")}),
        "info.metric_ratios ... share=('success', 'tries') ... ['ep_length', 'return', 'success']",
    ),
    "name of a ratio": (
        promises(metric_ratios={"success": ("success", "ep_length")}),
        "info.metric_ratios ... success=('success', 'ep_length') ... a new name",
    ),
}
ALL_SEEN = replace(INFO, state_dim=6, state_is_obs=True)
VALUES = {
    "state is not the observations": (
        type("Broken", (shows(state=lambda s, w: s.obs.flatten(1).flip(1)),), {"info": ALL_SEEN}),
        "state after reset, episode 1 of 8 environments differs from obs.flatten(1), but "
        "info.state_is_obs=True promises that they are equal",
    ),
    "obs not finite": (
        shows(obs=lambda s, w: put(s.obs, (3, 0, 1), torch.nan)),
        "obs[3, 0, 1] after reset ... nan ... must be finite",
    ),
    "reward not finite": (
        shows(reward=lambda s, w: put(s.reward, (3, 1), torch.inf) if w.t == 1 else s.reward),
        "reward[3, 1] after step 1 ... inf ... must be finite",
    ),
    "obs padding": (
        shows(obs=lambda s, w: put(s.obs, (2, 1, 2), 0.5)),
        "obs[2, 1, 2] after reset ... 0.5 ... obs_dims (3, 2) ... zeros ... correct obs_dims",
    ),
    "avail padding": (
        shows(avail=lambda s, w: put(s.avail, (0, 1, 2), True)),
        "avail[0, 1, 2] after reset ... true ... action_counts (3, 2)",
    ),
    "obs of the absent": (
        type(
            "Broken",
            (shows(is_active=lambda s, w: put(s.is_active, (2, 0), False)),),
            {"info": replace(INFO, action_feature_dim=0)},
        ),
        "obs[2, 0] after reset ... not zero ... takes no part ... Show zeros",
    ),
    "features of the absent": (
        shows(
            is_active=lambda s, w: put(s.is_active, (2, 0), False),
            obs=lambda s, w: put(s.obs, (2, 0, slice(None)), 0.0),
        ),
        "action_features[2, 0] after reset ... not zero",
    ),
    "no action": (
        shows(avail=lambda s, w: s.avail & (w.place < 4).view(-1, 1, 1)),
        "no action ... also when its episode has ended",
    ),
    "dynamic_avail": (
        promises(dynamic_avail=False),
        "action_counts ... info.dynamic_avail=False ... Set dynamic_avail=True",
    ),
    "reward of reset": (
        shows(reward=lambda s, w: s.reward + 1 if w.t == 0 else s.reward),
        "reward[0, 0] after reset ... 1.0 ... must be zero",
    ),
    "ended by reset": (
        does(reset=lambda self: replace(Walk.reset(self), truncated=self.place < 9)),
        "truncated ... after reset ... a new episode in each env slot",
    ),
}


def _keeps_flags(self: Walk, actions: torch.Tensor) -> EnvStep:
    """The flags are true only in the step in which the episode ends."""
    had_ended = self.terminated | self.truncated
    step = Walk.step(self, actions)
    return replace(step, terminated=step.terminated & ~had_ended)


def _keeps_paying(self: Walk, actions: torch.Tensor) -> EnvStep:
    step = Walk.step(self, actions)
    return replace(step, reward=torch.ones_like(step.reward))


def _writes_into_actions(self: Walk, actions: torch.Tensor) -> EnvStep:
    step = Walk.step(self, actions)
    actions.add_(1)
    return step


def _writes_into_obs(self: Walk, actions: torch.Tensor) -> EnvStep:
    old = self.last
    self.last = step = Walk.step(self, actions)
    step.obs = old.obs.copy_(step.obs)
    return step


def _remembers(self: Walk) -> EnvStep:
    self.last = Walk.reset(self)
    return self.last


def _never_ends(self: Walk, actions: torch.Tensor) -> EnvStep:
    never = torch.zeros(self.batch_size, dtype=torch.bool)
    return replace(Walk.step(self, actions), truncated=never, terminated=never, metrics={})


def _renames_agents(self: Walk) -> EnvStep:
    self.info = replace(INFO, agent_names=("one", "other"))
    return Walk.reset(self)


def _uses_the_global_stream(self: Walk, batch_size: int, *rest: Any) -> None:
    Walk.__init__(self, batch_size, *rest)
    self.generator = torch.default_generator


class SeedsAgain(Walk):
    def __init__(self, *args: Any):
        super().__init__(*args)
        self.first = generator_state(self.generator)

    def reset(self) -> EnvStep:
        restore_generator(self.generator, self.first)
        return super().reset()


def _draws_once(self: Walk) -> EnvStep:
    self.batch_size, b = 1, self.batch_size
    Walk.reset(self)
    self.batch_size = b
    self.place, self.luck = self.place.repeat(b), self.luck.repeat(b)
    self.terminated = self.truncated = torch.zeros(b, dtype=torch.bool)
    return self.show(torch.zeros(b, 2))


COURSE = {
    "reward after the end": (
        does(step=_keeps_paying),
        "is 1.0 ... had ended before ... zero until reset",
    ),
    "flags after the end": (
        does(step=_keeps_flags),
        "had ended ... flags keep their values until reset",
    ),
    "episode_limit": (
        does(step=_never_ends),
        "env slot [0] ... after step 4 ... info.episode_limit is 4 ... `truncated`",
    ),
    "fixed_length": (
        promises(fixed_length=True),
        "info.fixed_length=True ... 4 steps ... Set it to False",
    ),
    "truncates": (
        promises(truncates=False, episode_limit=2),
        "truncated ... after step 2 ... info.truncates=False ... Set truncates=True",
    ),
    "metric names": (
        shows(metrics=lambda s, w: {"succes": w.terminated.float()} if w.t else {}),
        "metrics after step 1 ... ['succes'] ... info.metric_descriptions ... ['success']",
    ),
    "metrics missing": (
        shows(metrics=lambda s, w: {}),
        "[] ... info.metric_descriptions ... ['success'] ... Give all of them",
    ),
    "metric shape": (
        shows(metrics=lambda s, w: {"success": s.reward} if w.t else {}),
        "metric 'success' after step 1 ... [8, 2] ... one number per environment ... [B] = [8]",
    ),
    "metric not finite": (
        shows(metrics=lambda s, w: {"success": w.luck / 0} if w.t else {}),
        "metric 'success' ... not finite",
    ),
    "actions": (
        does(step=_writes_into_actions),
        "step changed the actions ... after step 1 ... work on a copy",
    ),
    "aliasing": (
        does(step=_writes_into_obs, reset=_remembers),
        "obs ... after reset ... changed later ... return new tensors",
    ),
    "batch_size": (
        does(batch_size=property(lambda self: self.n + 1, lambda self, n: setattr(self, "n", n))),
        "env.batch_size ... 9 ... 8",
    ),
    "env.device": (
        does(device=property(lambda self: torch.device("meta"), lambda self, device: None)),
        "env.device ... meta ... cpu",
    ),
    "info changes": (
        does(reset=_renames_agents),
        "env.info changed",
    ),
}
RANDOMNESS = {
    "global stream": (
        does(__init__=_uses_the_global_stream),
        "same seed and stream ... obs after reset ... Draw every random number from",
    ),
    "stream ignored": (
        does(__init__=lambda self, b, seed, stream, d: Walk.__init__(self, b, seed, "mine", d)),
        "another stream ... the same ... Let `stream` name the random stream",
    ),
    "seed ignored": (
        does(__init__=lambda self, b, seed, stream, d: Walk.__init__(self, b, 0, stream, d)),
        "another seed ... the same ... Let `seed` decide",
    ),
    "seeded by reset": (
        SeedsAgain,
        "the next reset ... the same ... Seed the stream in the constructor",
    ),
    "slots alike": (
        does(reset=_draws_once),
        "another env slot ... the same ... random numbers of shape [B, ...]",
    ),
    "state forgotten": (
        does(load_state_dict=lambda self, state: None),
        "After load_state_dict into the same object ... differ ... in obs after reset",
    ),
    "state not plain": (
        does(state_dict=lambda self: {"env": Walk}),
        "state_dict ... checkpoint",
    ),
}
CASES = {**STRUCTURE, **SIZES, **VALUES, **COURSE, **RANDOMNESS}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_promise_is_explained_and_nothing_else_is_blamed(name):
    world, facts = CASES[name]
    assert says(violations(world), [facts])


def _fails(self: Walk, *args: Any) -> None:
    raise KeyError("speed")


@pytest.mark.parametrize(
    ("method", "when"),
    [
        ("reset", "after reset, episode 1 of 8 environments"),
        ("step", "after step 1, episode 1 of 8 environments"),
        ("state_dict", "in state_dict()"),
        ("load_state_dict", "in load_state_dict()"),
        ("close", "in close()"),
    ],
)
def test_what_the_environment_raises_is_explained_not_raised(method, when):
    found = violations(does(**{method: _fails}))
    facts = f"KeyError {when}: 'speed' ... a mistake of the environment ... checks were left out"
    assert says(found, [facts])


def test_an_error_of_the_constructor_is_not_said_to_follow_actions():
    def fails(self: Walk, *args: Any) -> None:
        raise ValueError("There is no map.")

    assert violations(does(__init__=fails)) == [
        "The environment raised ValueError when it was built with batch_size=8, "
        "stream='env_checker': There is no map. Correct its constructor; the remaining checks were "
        "left out."
    ]


def test_each_rule_is_reported_once_and_different_rules_together():
    world = shows(
        obs=lambda s, w: put(s.obs, (2, 1, 2), 0.5),
        avail=lambda s, w: put(s.avail, (0, 1, 2), True),
    )
    assert [text.split("[")[0] for text in violations(world)] == ["obs", "avail"]


def test_a_deterministic_world_need_not_differ():
    def same_start(self: Walk) -> EnvStep:
        step = Walk.reset(self)
        self.place, self.luck = torch.zeros_like(self.place), torch.ones_like(self.luck)
        return replace(step, **{k: getattr(self.show(step.reward), k) for k in ("obs", "state")})

    assert violations(does(reset=same_start)) == []


@pytest.mark.parametrize("trouble", [{}, {"state_dict": _fails}, {"step": _fails}])
def test_every_environment_that_was_built_is_closed(trouble):
    built, closed = [], []

    class Counted(Walk):
        def __init__(self, *args: Any):
            super().__init__(*args)
            built.append(self)

        def close(self) -> None:
            closed.append(self)

    violations(type("Counted", (Counted,), trouble))
    assert built
    assert sorted(map(id, closed)) == sorted(map(id, built))


def test_report_on_a_registered_environment(monkeypatch):
    text, _ = report("one_hot", ENVS.get("one_hot").config())
    assert text.splitlines() == [
        "one_hot passes all checks.",
        "  agents: 4 (agent_0, agent_1, agent_2, agent_3)",
        "  actions: 2; observations: 1; state: 1",
        "  episodes: exactly 1 step, never truncated",
        "  success: 1 if exactly one agent acted",
        "  acting_agent: index of the agent that acted alone, -1 if none did",
    ]
    component = ENVS.get("one_hot")
    monkeypatch.setattr(component.cls, "close", _fails)
    text, _ = report("one_hot", component.config())
    assert text.startswith("one_hot breaks the contract of envs/base.py in 1 place:\n  1. The env")


@pytest.mark.parametrize("promised", [True, False])
def test_a_state_that_repeats_the_observations_is_pointed_out(promised):
    info = replace(ALL_SEEN, state_is_obs=promised)
    walk = type("Seen", (shows(state=lambda s, w: s.obs.flatten(1)),), {"info": info})
    mistakes, env = LikelyMistakes(), walk(4, 1, "test", torch.device("cpu"))
    mistakes.watch(0, env.reset())
    mistakes.watch(1, env.step(torch.zeros(4, 2, dtype=torch.int64)))
    found = mistakes.warnings(info, "mean")
    assert [text for text in found if "state_is_obs" in text] == ([] if promised else found)
    assert promised or "replay stores both" in found[0]


def test_a_package_that_is_missing_is_no_violation():
    settings = ENVS.get("pettingzoo").config(task="no_such_package.spread")
    with pytest.raises(UserError, match="needs the module 'no_such_package'"):
        report("pettingzoo", settings)
