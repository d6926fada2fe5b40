import pytest

from config.help_topics import about
from utils.errors import ConfigError


@pytest.mark.parametrize(
    ("topic", "parts"),
    [
        ("agp_agent", ["agent=agp_agent  Action-Graph Policy", "agent_args.graph.heads = 4"]),
        ("mixer_args", ["mixer=qmix", "mixer_args.embed_dim = 32", "mixer=vdn", "No settings."]),
        ("mixer", ["mixer=qmix", "mixer=none"]),
        ("qmix", ["mixer=qmix  QMIX", "--config=qmix", "learner: q_learner"]),
        ("mpe_tag", ["--env-config=mpe_tag  Tag", "scenario: tag"]),
        ("lr", ["lr = 0.0005", "learning rate"]),
        ("target_update.tau", ["target_update.tau = 0.005"]),
        ("heads", ["agent=agp_agent:", "agent_args.graph.heads = 4", "mixer=fop:"]),
        ("save_model", ["EPyMARL's `save_model` is here `checkpoint_interval"]),
    ],
)
def test_a_topic_is_explained(topic: str, parts: list[str]) -> None:
    text = about(topic)
    for part in parts:
        assert part in text


def test_a_setting_is_explained_alone() -> None:
    assert "gamma" not in about("lr")


def test_an_unknown_topic_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"--help knows no 'agp_agnt'. Did you mean 'agp_agent'"):
        about("agp_agnt")


def test_a_name_of_several_things_is_suggested_once() -> None:
    with pytest.raises(ConfigError) as caught:
        about("mixr")
    assert str(caught.value) == (
        "command line: --help knows no 'mixr'. Did you mean 'mixer'? It explains settings, "
        "components, slots and YAML files; `--list` shows their names."
    )
