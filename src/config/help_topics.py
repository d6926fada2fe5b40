"""`--help <name>`: one setting, component, slot or YAML file explained on the console."""

from collections.abc import Iterator

from config import epymarl, search_path
from config.describe import Setting, describe_settings, first_comment, run_wide, settings_lines
from config.hints import did_you_mean
from utils import plugins
from utils.errors import ConfigError, UserError
from utils.registry import ALL_REGISTRIES, Registry


def about(topic: str) -> str:
    """Everything that is called `topic`.

    Args:
        topic: a component (`agp_agent`), a slot (`mixer` or `mixer_args`), a setting (`lr`,
            `heads`, `agent_args.graph.heads`), a YAML file (`mpe_tag`), or a key of EPyMARL.

    Raises:
        ConfigError: if there is no such thing.
        UserError: if the file of that name is not valid Python.
    """
    found = [*_slots(topic), *_components(topic), *_files(topic), *_settings(topic)]
    if not found:
        found = [f"{topic}: {text}" for text in [epymarl.answer("setting", topic)] if text]
    if not found:
        _require_valid_python(topic)
        names = [*ALL_REGISTRIES, *(name for r in ALL_REGISTRIES.values() for name in r.names())]
        names += [*search_path.available("algs"), *search_path.available("envs")]
        names += [setting.name for _, settings in run_wide() for setting in settings]
        raise ConfigError(
            [
                f"command line: --help knows no '{topic}'.{did_you_mean(topic, names)} It explains "
                f"settings, components, slots and YAML files; `--list` shows their names."
            ]
        )
    return "\n\n".join(dict.fromkeys(found))


def _require_valid_python(topic: str) -> None:
    """Check the file outside the tree that may hold a component of this name.

    Raises:
        UserError: if it is not valid Python, so that nothing can be said about it.
    """
    path = plugins.file_of(topic)
    if path is not None:
        plugins.syntax_tree(path)


def _slots(topic: str) -> Iterator[str]:
    registry = ALL_REGISTRIES.get(topic.removesuffix("_args"))
    if registry is not None:
        for name in registry.names():
            yield _component(registry, name)


def _components(topic: str) -> Iterator[str]:
    for registry in ALL_REGISTRIES.values():
        if topic in registry.names():
            yield _component(registry, topic)


def _component(registry: Registry, name: str) -> str:
    head = f"{registry.choice(name)}  {registry.summary(name)}"
    try:
        settings = _settings_of(registry, name)
    except UserError as error:
        return f"{head}\n  Settings unknown here: {error}"
    return "\n".join([head, *(settings_lines(settings) or ["  No settings."])])


def _settings_of(registry: Registry, name: str) -> list[Setting]:
    """The settings of a component under the names that they have after `with`."""
    settings = describe_settings(registry.get(name).config)
    return [s._replace(name=f"{registry.settings_path(name)}.{s.name}") for s in settings]


def _files(topic: str) -> Iterator[str]:
    for folder, flag in (("algs", "--config"), ("envs", "--env-config")):
        if topic in search_path.available(folder):
            path = search_path.find_all(folder, topic)[0]
            lines = path.read_text(encoding="utf-8").rstrip().split("\n")
            text = [f"  {line}".rstrip() for line in lines]
            yield "\n".join([f"{flag}={topic}  {first_comment(folder, topic)}", *text])


def _settings(topic: str) -> Iterator[str]:
    """Settings whose dotted name is the topic, or ends in it."""

    def meant(settings: list[Setting]) -> list[Setting]:
        return [s for s in settings if f".{s.name}".endswith(f".{topic}")]

    for heading, settings in run_wide():
        if meant(settings):
            yield "\n".join([f"{heading}:", *settings_lines(meant(settings))])
    for registry in ALL_REGISTRIES.values():
        for name in registry.names():
            try:
                settings = meant(_settings_of(registry, name))
            except UserError:  # it needs a package that is not installed
                continue
            if settings:
                yield "\n".join([f"{registry.choice(name)}:", *settings_lines(settings)])
