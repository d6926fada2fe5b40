"""Stands for the package `wandb`: writes what it is asked for to a file, and fails on request.

The fixture `fake` puts it where Python finds it, in this process and in those that it starts.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

CALLS, FAULT = "FAKE_WANDB_CALLS", "FAKE_WANDB_FAULT"
STEP = "FAKE_WANDB_STARTING_STEP"


class Error(Exception):
    pass


class Settings:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings


class Run:
    starting_step = int(os.environ.get(STEP, "0"))

    def log(self, data: dict[str, float], step: int) -> None:
        write("log", step, data)

    def finish(self, exit_code: int) -> None:
        if os.environ.get(FAULT) == "hang":
            time.sleep(60)
        write("finish", exit_code)


def init(**given: Any) -> Run:
    given["settings"] = given["settings"].settings
    if os.environ.get(FAULT) == "init":
        write("refused")
        raise Error("no network\nat all")
    write("init", given)
    return Run()


def write(*call: Any) -> None:
    with Path(os.environ[CALLS]).open("a") as file:
        file.write(json.dumps(call) + "\n")
