"""MACPF's controller: agents choose in order while collecting, alone and at once in tests.

Source: Wang, Ye, Lu, arXiv 2209.12681. Episodes are collected by the dependent policies pi_dep(a_i
| tau_i, a_1..a_(i-1)), agent by agent in the order of ids. Tests use the independent policies
pi_ind(a_i | tau_i), which need neither order nor communication. `execution: dependent` tests the
dependent policies instead: what the dependence is worth, at the price of sending actions.
Departure: an agent receives the actions of all agents before it; in the authors' code only of those
it sees (StarCraft).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from torch import Tensor, nn
from typing_extensions import override

from controllers.basic_controller import (
    BasicController,
    BasicControllerConfig,
    Select,
    one_by_one,
)
from envs.base import EnvStep
from modules.agents.base import HasFeatures
from modules.dependence import DependentNetwork
from utils.errors import LARGEST_LAYER, out_of_range, validate
from utils.registry import CONTROLLERS


@dataclass(frozen=True)
class MACPFControllerConfig(BasicControllerConfig):
    """Settings of `macpf_controller`."""

    message_dim: int = 64  # D, features of the message about predecessors' actions
    execution: Literal["independent", "dependent"] = "independent"  # which policies tests use

    def __post_init__(self) -> None:
        validate(*out_of_range(self, 1, LARGEST_LAYER, "message_dim"))


@CONTROLLERS.register("macpf_controller", config=MACPFControllerConfig)
class MACPFController(BasicController):
    """`BasicController` with independent and dependent policies; its outputs are independent."""

    gives: ClassVar[str] = "outputs in sequence"
    needs_features: ClassVar[bool] = True
    config: MACPFControllerConfig

    @override
    def build_network(self, agent: nn.Module) -> DependentNetwork:
        info = self.info
        return DependentNetwork(
            cast(HasFeatures, agent), info.n_agents, info.n_actions, self.config.message_dim
        )

    @override
    def choose(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
        select: Select,
        greedy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        if greedy and self.config.execution == "independent":
            return super().choose(step, last_actions, noise, hidden, select, greedy)
        network = cast(DependentNetwork, self.agent)
        inputs = self.step_inputs(step, last_actions, noise)
        _, own, hidden = network.alone(inputs, hidden)
        pick = one_by_one(select, step.avail)
        return network.in_order(own.squeeze(1), step.is_active, pick), hidden
