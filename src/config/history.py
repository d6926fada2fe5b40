"""The settings of a run: `config.yaml`, and `changes.csv` where it was resumed with others.

`config.yaml` holds the settings in force since the last start. `changes.csv` has a row for each
setting that a resumption changed: env_steps, setting, before, after; values are JSON, and empty
where a component without that setting stood. Read backwards, it leads from `config.yaml` to the
settings at any step.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from config.load import load_recorded, recorded_settings
from config.plain_data import changes, dump, leaves, to_dict
from config.schema import BESIDE_LEARNING, HARMLESS, RunConfig
from utils.errors import UserError
from utils.files import reason, replacing

FILE = "changes.csv"


class Change(NamedTuple):
    """One setting that changed when a run was resumed."""

    env_steps: int  # environment steps that the run had done by then
    setting: str  # dotted path
    before: str  # JSON; empty: there was no such setting
    after: str

    @property
    def text(self) -> str:
        """The setting as it is written after `with`."""
        return f"{self.setting}={_unquoted(self.after)}"


def read_changes(run_dir: Path) -> list[Change]:
    """The rows of a run's `changes.csv`, the oldest first; none if it never changed.

    Raises:
        UserError: if the file is damaged.
    """
    path = run_dir / FILE
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [Change(int(r["env_steps"]), r["setting"], r["before"], r["after"]) for r in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read ({reason(error)}). It says with which settings the run was "
            f"trained before; without it, the run counts as trained with those of today."
        ) from error


def trained_before(run_dir: Path, settings: Mapping[str, Any]) -> str:
    """Other settings that a run was trained with, as `lr=0.001 before step 2,048`; else empty.

    More steps alone do not count, unless something falls along a line to `t_max`. Neither does a
    setting that the code did not have then, nor the run's name.

    Args:
        run_dir: the run's folder.
        settings: what it records, those of today.

    Raises:
        UserError: if `changes.csv` is damaged.
    """
    beside = {"name"} if _falls_to_t_max(settings) else {"name", "t_max"}
    return ", ".join(
        f"{c.setting}={_unquoted(c.before)} before step {c.env_steps:,}"
        for c in read_changes(run_dir)
        if c.before and c.after and c.setting not in beside
    )


def _falls_to_t_max(settings: Mapping[str, Any]) -> bool:
    """Whether the learning rate or the entropy's coefficient depends on `t_max`."""
    learner = settings.get("learner_args") or {}
    return settings.get("lr_schedule") == "linear" or bool(learner.get("entropy_anneal_fraction"))


def evaluated_with(run_dir: Path, config: RunConfig) -> str:
    """Settings in which an evaluation differs from its run, as text; empty: in none.

    Of a setting that is newer than the run, its default is the run's.
    """
    try:
        recorded = to_dict(load_recorded(run_dir, []))
    except UserError:  # a setting is missing that the command line has given
        recorded = recorded_settings(run_dir)
    return " ".join(changes(recorded, config, HARMLESS))


def changes_with(run_dir: Path, config: RunConfig, env_steps: int) -> list[Change]:
    """Every change of a run's settings, if it is resumed with `config` after `env_steps` steps.

    Changes at that step or later are left out: those steps are trained again.
    """
    if not (run_dir / "config.yaml").is_file():
        return []
    earlier, before = _settings_at(run_dir, env_steps)
    after = _flat(to_dict(config))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [
        *earlier,
        *(Change(env_steps, n, before.get(n, ""), after.get(n, "")) for n in names),
    ]


def record_settings(run_dir: Path, config: RunConfig, env_steps: int) -> str:
    """Write `config.yaml`, and `changes.csv` if the run is resumed with other settings.

    Args:
        run_dir: the run's folder.
        config: the settings from now on.
        env_steps: environment steps done before.

    Returns:
        The message about settings that change now; empty if none does.

    Raises:
        UserError: if something cannot be written.
    """
    rows = changes_with(run_dir, config, env_steps)
    path = run_dir / FILE
    try:
        if rows:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([Change._fields, *rows])
            with replacing(path) as file:
                file.write(text.getvalue().encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({reason(error)}). Free space or make the folder writable."
        ) from error
    dump(config, run_dir / "config.yaml")
    return _sentence([row for row in rows if row.env_steps == env_steps], config)


def _settings_at(run_dir: Path, env_steps: int) -> tuple[list[Change], dict[str, str]]:
    """Changes before a step, and the settings in force when the run had done so many steps."""
    settings = _flat(recorded_settings(run_dir))
    earlier = read_changes(run_dir)
    while earlier and earlier[-1].env_steps >= env_steps:
        change = earlier.pop()
        settings[change.setting] = change.before
    return earlier, {name: value for name, value in settings.items() if value}


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    """Dotted path -> value as JSON, without the settings that change no result."""
    kept = {name: value for name, value in settings.items() if name not in BESIDE_LEARNING}
    return {path: json.dumps(value) for path, value in leaves(kept)}


def _unquoted(value: str) -> str:
    """A value that is JSON, a text without its quotes."""
    return value[1:-1] if value.startswith('"') else value


def _sentence(changed: list[Change], config: RunConfig) -> str:
    """The message about settings that change when a run is resumed."""
    if not changed:
        return ""
    listed = ", ".join(f"{c.text} (before: {_unquoted(c.before) or 'none'})" for c in changed)
    at = changed[0].env_steps
    text = f"From step {at:,} on: {listed}. {FILE} keeps both."
    after = _flat(to_dict(config))
    before = {**after, **{c.setting: c.before for c in changed}}
    old, new = _learning_rate(before, at), _learning_rate(after, at)
    if "linear" in before["lr_schedule"] + after["lr_schedule"] and old != new:
        text += (
            f" The learning rate jumps here from {old:.3g} to {new:.3g}: lr_schedule=linear goes "
            f"from lr to 0 at t_max, which is now {config.t_max:,}."
        )
    return text


def _learning_rate(settings: dict[str, str], env_steps: int) -> float:
    lr = float(settings["lr"])
    if settings["lr_schedule"] != '"linear"':
        return lr
    return lr * max(0.0, 1.0 - env_steps / int(settings["t_max"]))
