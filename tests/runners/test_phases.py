import time

import pytest
import torch

from runners.phases import Phases

CPU = torch.device("cpu")


def test_each_split_belongs_to_its_phase() -> None:
    phases = Phases(("act", "env"), CPU)
    time.sleep(0.002)
    phases.start()  # what was before is not counted
    phases.split("act")
    time.sleep(0.002)
    phases.split("env")
    seconds = phases.seconds()
    assert seconds["env"] >= 0.002 > seconds["act"]
    assert phases.seconds() == seconds
    phases.split("act")
    assert phases.seconds()["act"] > seconds["act"]
    phases.reset()
    assert phases.seconds() == {"act": 0.0, "env": 0.0}


def test_an_unknown_phase_is_an_error() -> None:
    phases = Phases(("act",), CPU)
    phases.start()
    with pytest.raises(KeyError):
        phases.split("sleep")
