from pathlib import Path

import pytest

from utils import plugins
from utils import registry as registry_module
from utils.errors import UserError
from utils.registry import REGISTRIES, Component, NoSettings, Registry, nearest

COMPONENT = '''"""What {name} is.

More about it.
"""

from utils.registry import THINGS

@THINGS.register("{registered}")
class Thing:
    """A thing."""
'''


IMPORTED = '''"""Fails when imported."""

raise RuntimeError("imported")

@THINGS.register("{name}")
class Thing:
    """A thing."""
'''
NEEDS = '''"""Needs a module."""

import {package}

@THINGS.register("mine")
class Thing:
    """A thing."""
'''


@pytest.fixture
def registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Registry:
    """`utils.registry.THINGS`, over an empty folder in a separate source folder."""
    place = request.node.name  # so that no two tests import modules of the same name
    (tmp_path / place).mkdir()
    monkeypatch.setattr(plugins, "SOURCE", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    things = Registry("thing", place)
    monkeypatch.setattr(registry_module, "THINGS", things, raising=False)
    return things


def write(registry: Registry, name: str, text: str = "") -> None:
    text = text or COMPONENT.format(name=name, registered=name)
    (registry.place / f"{name}.py").write_text(text)


def test_a_file_is_imported_only_when_asked_for(registry: Registry) -> None:
    write(registry, "good")
    write(registry, "broken", IMPORTED.format(name="broken"))
    component = registry.get("good")
    assert isinstance(component, Component)
    assert (component.name, component.cls.__name__, component.config) == (
        "good",
        "Thing",
        NoSettings,
    )
    assert registry.names() == ["broken", "good"]
    assert registry.summary("broken") == "Fails when imported."
    with pytest.raises(RuntimeError, match="imported"):  # a mistake in a component shows as it is
        registry.get("broken")


def test_helpers_hold_no_components(registry: Registry) -> None:
    """They register nothing, or something of another registry."""
    write(registry, "mine")
    for name in ("base", "__init__"):
        write(registry, name, '"""Helps; a component has `@THINGS.register(...)`."""\n')
    (registry.place / "others").mkdir()
    other = COMPONENT.format(name="other", registered="other").replace("THINGS", "OTHERS")
    write(registry, "others/other", other)
    assert registry.names() == ["mine"]


def test_a_forgotten_decorator_is_named(registry: Registry) -> None:
    write(registry, "mine", '"""A class alone."""\n\nclass Mine:\n    """Mine."""\n')
    with pytest.raises(UserError, match=r'file has no class below `@THINGS\.register\("mine"\)`'):
        registry.get("mine")


def test_subfolders_count(registry: Registry) -> None:
    (registry.place / "games").mkdir()
    write(registry, "games/chess", COMPONENT.format(name="chess", registered="chess"))
    assert registry.names() == ["chess"]
    assert registry.get("chess").cls.__name__ == "Thing"


def test_an_unknown_name_lists_all_and_the_nearest(registry: Registry) -> None:
    for name in ("qmix", "vdn"):
        write(registry, name)
    with pytest.raises(UserError) as caught:
        registry.get("qmx")
    assert str(caught.value) == (
        "there is no thing 'qmx'. Did you mean 'qmix'? Available: qmix, vdn."
    )


def test_a_file_that_registers_another_name(registry: Registry) -> None:
    write(registry, "mine", COMPONENT.format(name="mine", registered="yours"))
    with pytest.raises(UserError, match=r"mine\.py does not register the thing 'mine'"):
        registry.get("mine")


def test_a_name_is_registered_once() -> None:
    registry = Registry("thing", "nowhere")

    class First:
        pass

    class Second:
        pass

    registry.register("same")(First)
    registry.register("same")(First)  # a reload of the same file is no second thing
    with pytest.raises(ValueError, match="thing 'same' is registered twice"):
        registry.register("same")(Second)
    assert registry.get("same").cls is First


def test_a_missing_package_names_its_pip_line(registry: Registry) -> None:
    write(registry, "needy", NEEDS.format(package="surely_not_installed.part"))
    with pytest.raises(UserError) as caught:
        registry.get("needy")
    assert str(caught.value) == (
        "thing 'needy' needs the module 'surely_not_installed', which is not installed. "
        "`pip install -r requirements.txt` installs what components in the tree import."
    )


def test_a_missing_module_of_the_framework_is_a_mistake_in_the_code(registry: Registry) -> None:
    write(registry, "wrong", NEEDS.format(package=f"{registry.place.name}.gone"))
    with pytest.raises(ModuleNotFoundError, match="gone"):
        registry.get("wrong")


def test_all_components_of_a_slot_may_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    text = '''"""Several."""
from utils.registry import THINGS

@THINGS.register("one")
class One:
    """The first.

    More.
    """

@THINGS.register("two")
class Two:
    """The second."""
'''
    (tmp_path / "several_things.py").write_text(text)
    things = Registry("thing", "several_things")
    monkeypatch.setattr(registry_module, "THINGS", things)
    assert things.names() == ["one", "two"]
    assert [things.summary(name) for name in ("one", "two")] == ["The first.", "The second."]
    assert things.get("two").cls.__name__ == "Two"


def test_nearest_says_nothing_when_nothing_is_near() -> None:
    assert nearest("xyzzy", ["qmix", "vdn"]) == ""
    assert nearest("qmx", ["qmix", "vdn"]) == " Did you mean 'qmix'?"


SLOTS = [(slot, name) for slot, registry in REGISTRIES.items() for name in registry.names()]


@pytest.mark.parametrize(("slot", "name"), SLOTS)
def test_every_file_registers_its_name(slot: str, name: str) -> None:
    component = REGISTRIES[slot].get(name)
    assert component.name == name
    assert REGISTRIES[slot].summary(name)
    assert component.config.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_no_two_files_of_a_slot_have_one_name() -> None:
    for registry in REGISTRIES.values():
        registry.names()  # finds the place
        paths = [] if registry.place.is_file() else list(registry.place.rglob("*.py"))
        stems = [path.stem for path in paths if registry.decorator in path.read_text()]
        assert len(stems) == len(set(stems))
