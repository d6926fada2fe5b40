"""Messages about unknown settings: a similar name, and which component has it."""

from config import epymarl
from config.hints import did_you_mean, setting_names, setting_paths, unknown_setting
from config.schema import RunConfig
from utils.registry import REGISTRIES, Component


def unknown_at_top(key: str, components: dict[str, Component | None]) -> str:
    """The message about an unknown setting at the top level; a component may have it."""
    paths = setting_paths(RunConfig)
    for slot, component in components.items():
        if component is not None:
            paths += [f"{slot}_args.{path}" for path in setting_paths(component.config)]
    theirs = epymarl.answer("setting", key)
    if theirs:
        return f"no such setting. {theirs}"
    return f"no such setting.{did_you_mean(key, paths)} `--help` lists the run-wide settings."


def unknown_arg(key: str, slot: str, component: Component) -> str:
    """The message about a setting that a component lacks and another of the slot may have."""
    theirs = epymarl.answer(f"{slot}_args", key)
    if theirs:
        return f"no such setting. {theirs}"
    others = [name for name in REGISTRIES[slot].names() if name != component.name]
    owners = [name for name in others if key in _settings_of(slot, name)]
    if not owners:
        return unknown_setting(key, component.config, component.name)
    have = " and ".join(f"`{name}`" for name in owners) + (" does" if len(owners) == 1 else " do")
    meant = did_you_mean(key, setting_paths(component.config))
    return (
        f"`{component.name}` takes no `{key}`; {have}: to switch {slot} write "
        f"`with {slot}={owners[0]}`.{meant}"
    )


def _settings_of(slot: str, name: str) -> list[str]:
    """Names of the settings of a component; none if its file cannot be imported."""
    try:
        return setting_names(REGISTRIES[slot].get(name).config)
    except Exception:  # this is about another component's mistake, which must not hide the user's
        return []
