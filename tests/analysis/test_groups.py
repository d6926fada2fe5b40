"""Which methods act on their own history, and which share observations or messages."""

import pytest

from analysis.groups import group_of
from config.load import load_config
from config.plain_data import to_dict
from config.search_path import available

OWN = {
    "agp_no_graph",
    "agp_pg_no_graph",
    "agp_pg_within_agent",
    "agp_within_agent",
    "coma",
    "cw_qmix",
    "dicg_de",
    "fop",
    "ia2c",
    "ippo",
    "iql",
    "maa2c",
    "macpf",
    "maddpg",
    "mappo",
    "ow_qmix",
    "qmix",
    "qplex",
    "qtran",
    "vdn",
}


@pytest.mark.parametrize("alg", available("algs"))
def test_every_method_is_in_a_group(alg: str) -> None:
    found = group_of(to_dict(load_config(alg, "topk", [])))
    assert found == ("own" if alg in OWN else "shared")


@pytest.mark.parametrize(
    ("alg", "settings", "group"),
    [
        ("qmix", ["controller_args.obs_mode=joint"], "shared"),
        ("macpf", ["controller_args.execution=dependent"], "shared"),
        ("agp", ["agent_args.graph.edges=within_agent"], "own"),
    ],
)
def test_settings_decide_and_not_the_name(alg: str, settings: list[str], group: str) -> None:
    assert group_of(to_dict(load_config(alg, "topk", settings))) == group


def test_a_controller_of_a_user_is_in_neither() -> None:
    assert group_of({"controller": "mine", "agent": "rnn_agent"}) == "unknown"
