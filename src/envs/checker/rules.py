"""Rules for sizes and steps; each violation names the value seen and the remedy."""

from typing import Any

import torch
from torch import Tensor

from envs.base import BatchedEnv, EnvInfo, EnvStep
from envs.checker.continuous_actions import wrong_numbers
from envs.checker.messages import NOT_ALWAYS_AVAILABLE, STATE_IS_NOT_OBS

FIELDS = {  # name: (axes, dtype, what to do)
    "obs": ("B N O", torch.float32, "Pad shorter observations with zeros to obs_dim"),
    "state": ("B S", torch.float32, "If there is no state, flatten all observations into one"),
    "avail": ("B N A", torch.bool, "Agents with fewer actions have false in the places left over"),
    "reward": ("B N", torch.float32, "A team reward is repeated for every agent"),
    "terminated": ("B", torch.bool, "One flag per environment, for all its agents together"),
    "truncated": ("B", torch.bool, "One flag per environment, for all its agents together"),
    "action_features": ("B N A F", torch.float32, "Actions that an agent lacks have zeros"),
    "is_active": ("B N", torch.bool, "True for agents that take part"),
}
PROMISED = {"action_features": "action_feature_dim", "is_active": "varying_team"}
TAKEN_NAMES = ("return", "ep_length")  # a run logs <name>_mean itself


class CannotGoOn(Exception):
    """The violation found makes further steps of this environment meaningless."""


class Rules:
    """Checks what an environment returns against the contract.

    Attributes:
        device: of all tensors.
        where: what has just been done, for the sentences.
        found: the first violation of each rule.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.where = ""
        self.found: dict[str, str] = {}
        self.ended = torch.empty(0)  # [B] bool, environments whose episode has ended since reset

    def fail(self, rule: str, sentence: str) -> None:
        """Note a violation, unless this rule's has been noted already."""
        self.found.setdefault(rule, sentence)

    def check_handle(self, env: BatchedEnv, batch_size: int) -> None:
        """The attributes beside `info`."""
        before = len(self.found)
        if env.batch_size != batch_size:
            self.fail(
                "batch_size",
                f"env.batch_size is {env.batch_size} although {batch_size} parallel environments "
                f"were asked for. Set it to the constructor's batch_size.",
            )
        if torch.device(env.device).type != self.device.type:
            self.fail(
                "device",
                f"env.device is {env.device} although {self.device} was asked for. Set it to the "
                f"constructor's device, and create every tensor there.",
            )
        if len(self.found) > before:
            raise CannotGoOn

    def check_info(self, info: EnvInfo) -> None:
        """Sizes and promises that contradict each other."""
        n, a = info.n_agents, info.n_actions
        before = len(self.found)
        for name in ("n_agents", "n_actions", "obs_dim", "state_dim", "episode_limit"):
            if getattr(info, name) < 1:
                self.fail(name, f"info.{name} is {getattr(info, name)}; it must be at least 1.")
        for name in ("agent_names", "obs_dims", "action_counts"):
            if len(getattr(info, name)) != n:
                size = len(getattr(info, name))
                text = f"info.{name} has {size} entries for n_agents={n}. Give one per agent."
                self.fail(name, text)
        if len(set(info.agent_names)) != len(info.agent_names):
            text = f"info.agent_names are {info.agent_names}. Give every agent a separate name."
            self.fail("agent_names", text)
        for name, largest, key in (
            ("obs_dims", info.obs_dim, "obs_dim"),
            ("action_counts", a, "n_actions"),
        ):
            sizes = getattr(info, name)
            if sizes and (max(sizes) != largest or min(sizes) < 1):
                self.fail(
                    name,
                    f"info.{name} is {sizes}, so {key} must be {max(sizes)} and is {largest}. "
                    f"{key} is the largest entry, and no entry is below 1.",
                )
        for name, wanted in (("action_types", (a,) * n), ("action_names", info.action_counts)):
            rows = getattr(info, name)
            if rows is not None and tuple(map(len, rows)) != wanted:
                text = f"info.{name} has rows of {[*map(len, rows)]} entries; it needs a row for "
                self.fail(name, f"{text}each agent, of {[*wanted]} entries.")
        if info.is_continuous:
            for rule, text in wrong_numbers(info):
                self.fail(rule, text)
        for name in {*TAKEN_NAMES} & {*info.metric_descriptions}:
            text = f"A metric is called '{name}', as one that every run logs. Rename it."
            self.fail("metric_name", text)
        known = sorted({*info.metric_descriptions, *TAKEN_NAMES})
        for name, parts in info.metric_ratios.items():
            if name in known or not {*parts} <= {*known}:
                text = f"info.metric_ratios has {name}={parts}. Give a new name and two of {known}."
                self.fail("metric_ratios", text)
        if len(self.found) > before:
            raise CannotGoOn

    def check_fields(self, step: EnvStep, info: EnvInfo, batch_size: int) -> None:
        """Presence, type, shape, dtype and device of every field."""
        sizes = {"B": batch_size, "N": info.n_agents, "A": info.n_actions, "O": info.obs_dim}
        sizes |= {"S": info.state_dim, "F": info.action_feature_dim}
        before = len(self.found)
        if step.lost is not None:
            self.fail("lost", f"An episode was lost by a fault {self.where}: see the warning.")
        seen = {"obs", "state"} if info.state_is_obs else {"obs"}
        for name, (axes, usual, advice) in FIELDS.items():
            value, dtype = getattr(step, name), info.obs_dtype if name in seen else usual
            promise = PROMISED.get(name)
            if promise is not None and not getattr(info, promise):
                if value is not None:
                    self.fail(
                        name,
                        f"{name} is given {self.where}, but info.{promise} is "
                        f"{getattr(info, promise)}. Set info.{promise}, or return None.",
                    )
                continue
            self._check_tensor(name, value, axes, [sizes[x] for x in axes.split()], dtype, advice)
        if len(self.found) > before:
            raise CannotGoOn

    def _check_tensor(
        self, name: str, value: Any, axes: str, shape: list[int], dtype: torch.dtype, advice: str
    ) -> None:
        wanted = f"[{axes.replace(' ', ', ')}] = {shape}"
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            text = f"{name} {self.where} is a {kind}; it must be a tensor {wanted}. {advice}."
        elif list(value.shape) != shape:
            text = f"{name} {self.where} has shape {list(value.shape)}, not {wanted}. {advice}."
        elif value.dtype != dtype:
            text = f"{name} {self.where} is {value.dtype}, not {dtype}. Convert it once, inside."
        elif value.device.type != self.device.type:
            text = (
                f"{name} {self.where} is on {value.device}, not on {self.device}. Create it with "
                f"device=self.device."
            )
        else:
            return
        self.fail(name, text)

    def check_values(self, step: EnvStep, info: EnvInfo) -> None:
        """What the fields hold, whether or not an episode has ended."""
        for name in ("obs", "state", "reward", "action_features"):
            value = getattr(step, name)
            if value is not None and not torch.isfinite(value).all():
                place, seen = _first(~torch.isfinite(value), value)
                text = f"{name}{place} {self.where} is {seen}. Every number must be finite."
                self.fail(f"{name}.finite", text)
        own = _below(info.obs_dims, info.obs_dim, self.device)  # [N, O]
        padded = (step.obs != 0) & ~own  # [B, N, O]
        if padded.any():
            place, seen = _first(padded, step.obs)
            self.fail(
                "obs.padding",
                f"obs{place} {self.where} is {seen}, beyond that agent's own obs_dims "
                f"{info.obs_dims}. Pad with zeros, or correct obs_dims.",
            )
        real = _below(info.action_counts, info.n_actions, self.device)  # [N, A]
        if (step.avail & ~real).any():
            place, _ = _first(step.avail & ~real, step.avail)
            self.fail(
                "avail.padding",
                f"avail{place} {self.where} is true, but action_counts {info.action_counts} give "
                f"that agent no such action. Set it to false, or correct action_counts.",
            )
        stuck = ~step.avail.any(dim=2)  # [B, N]
        if step.is_active is not None:
            stuck &= step.is_active
            self._check_absent(step, ~step.is_active)
        if stuck.any():
            self.fail(
                "avail.empty",
                f"avail{_first(stuck, stuck)[0]} {self.where} offers that agent no action at all. "
                f"Every agent that takes part needs one, also when its episode has ended: make a "
                f"harmless action available.",
            )
        if not info.dynamic_avail and not torch.equal(step.avail, real.expand_as(step.avail)):
            place, _ = _first(step.avail != real, step.avail)
            self.fail("dynamic_avail", NOT_ALWAYS_AVAILABLE.format(place=place, where=self.where))
        if info.state_is_obs and not torch.equal(step.state, step.obs.flatten(1)):
            self.fail("state_is_obs", STATE_IS_NOT_OBS.format(where=self.where))

    def _check_absent(self, step: EnvStep, absent: Tensor) -> None:
        for name in ("obs", "action_features"):
            value = getattr(step, name)
            if value is not None and (shown := (value.flatten(2) != 0).any(dim=2) & absent).any():
                where = f"{name}{_first(shown, shown)[0]} {self.where}"
                text = f"{where} is not zero, but that agent takes no part. Show zeros for it."
                self.fail(f"{name}.absent", text)

    def check_reset(self, step: EnvStep) -> None:
        """What a reset must show."""
        self.ended = torch.zeros_like(step.terminated)
        if step.reward.any():
            place, seen = _first(step.reward != 0, step.reward)
            text = f"reward{place} {self.where} is {seen}. No step was taken: it must be zero."
            self.fail("reset.reward", text)
        for name in ("terminated", "truncated"):
            if getattr(step, name).any():
                text = f"{name} is true {self.where}. Start a new episode in each env slot."
                self.fail("reset.ended", text)

    def check_end(self, t: int, step: EnvStep, last: EnvStep, info: EnvInfo) -> None:
        """What may end when, what stays ended, and what an end must show."""
        had_ended = self.ended  # [B]
        self.ended = ended = had_ended | step.terminated | step.truncated
        self._check_still_ended(step, last, had_ended)
        if t == info.episode_limit and not ended.all():
            self.fail(
                "episode_limit",
                f"env slot {_first(~ended, ended)[0]} continues {self.where}, but "
                f"info.episode_limit is {info.episode_limit}. Set `truncated` there for a time "
                f"limit, `terminated` if the limit is part of the task, or raise episode_limit.",
            )
        if info.fixed_length and t < info.episode_limit and ended.any():
            self.fail(
                "fixed_length",
                f"env slot {_first(ended, ended)[0]} ended {self.where}, but "
                f"info.fixed_length=True promises {info.episode_limit} steps. Set it to False.",
            )
        if not info.truncates and step.truncated.any():
            self.fail(
                "truncates",
                f"truncated is true {self.where}, but info.truncates=False promises that every "
                f"episode ends by `terminated`. Set truncates=True: values after the last step "
                f"would never be learnt.",
            )
        if ended.any() or step.metrics:
            self._check_metrics(step, ended & ~had_ended, info)

    def _check_still_ended(self, step: EnvStep, last: EnvStep, had_ended: Tensor) -> None:
        late = had_ended.unsqueeze(1) & (step.reward != 0)  # [B, N]
        if late.any():
            place, seen = _first(late, step.reward)
            self.fail(
                "ended.reward",
                f"reward{place} {self.where} is {seen}, but the episode there had ended before. "
                f"It ignores its actions, and its reward is zero until reset.",
            )
        for name in ("terminated", "truncated"):
            changed = had_ended & (getattr(step, name) != getattr(last, name))
            if changed.any():
                place, now = _first(changed, getattr(step, name))
                self.fail(
                    "ended.flags",
                    f"{name}{place} became {now} {self.where}, after the episode there had "
                    f"ended. Both flags keep their values until reset.",
                )

    def _check_metrics(self, step: EnvStep, just_ended: Tensor, info: EnvInfo) -> None:
        given, promised = sorted(step.metrics), sorted(info.metric_descriptions)
        if given != promised:
            self.fail(
                "metrics.names",
                f"metrics {self.where} are {given}, but info.metric_descriptions has {promised}. "
                f"Give all of them at every step from the first end of an episode on, and "
                f"describe each.",
            )
            return
        for name, value in step.metrics.items():
            if not isinstance(value, Tensor) or list(value.shape) != list(just_ended.shape):
                shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                self.fail(
                    "metrics.shape",
                    f"metric '{name}' {self.where} is {shape}, not one number per environment, "
                    f"[B] = {list(just_ended.shape)}.",
                )
            elif not torch.isfinite(value[just_ended]).all():
                self.fail(
                    "metrics.finite",
                    f"metric '{name}' {self.where} is not finite in an env slot whose episode "
                    f"has just ended. Give each episode a finite result.",
                )


def _below(counts: tuple[int, ...], width: int, device: torch.device) -> Tensor:
    """[N, width] bool, true in each row's first counts[n] places."""
    return torch.arange(width, device=device) < torch.tensor(counts, device=device).unsqueeze(1)


def _first(is_wrong: Tensor, values: Tensor) -> tuple[str, Any]:
    """Place of the first true entry as `[b, n, ...]`, and the value there."""
    place = is_wrong.nonzero()[0].tolist()
    return str(place), values[tuple(place)].item() if values.dim() == len(place) else None
