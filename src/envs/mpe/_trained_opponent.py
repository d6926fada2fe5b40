"""A trained policy that plays the team that does not learn."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from envs.base import Player
from envs.mpe._opponents import Opponent
from envs.mpe._view import View
from envs.mpe._world import World
from utils.errors import UserError


class TrainedOpponent(Opponent):
    """A frozen policy that observes the world as in its training, through the view of its training.

    That view may hold agents of the other team too, if those learnt with it. It is then given what
    they observe and what they did, and the actions that it chooses for them are ignored.

    Args:
        player: the policy.
        world: B worlds.
        view: the observations of its training.
        team: the n agents that it plays here.
        path: where the policy comes from.
        fingerprint: of its weights.
    """

    def __init__(
        self, player: Player, world: World, view: View, team: slice, path: str, fingerprint: str
    ):
        self.player, self.world, self.view = player, world, view
        self.path, self.fingerprint = path, fingerprint
        first = view.learners.start
        self._mine = slice(team.start - first, team.stop - first)

    @override
    def act(self, last_actions: Tensor | None, generator: torch.Generator) -> Tensor:
        view, actions = self.view, self.world.actions
        last = None
        if last_actions is not None:  # [B, N]; continuous: [B, N, A]
            last = actions.to_env(last_actions[view.learners], view.info.n_actions)
        chosen = self.player.act(view.observe(self.world.table), last, generator)
        return actions.from_env(chosen)[self._mine]

    def state_dict(self) -> dict[str, Any]:
        """Which policy it is."""
        return {"path": self.path, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Check that it is still the same policy, unless another one was asked for.

        Raises:
            UserError: if the same path now holds another one.
        """
        if state.get("path") == self.path and state["fingerprint"] != self.fingerprint:
            raise UserError(
                f"The opponent at {self.path} (env_args.opponent_path) is not the one that this "
                f"run was trained against: its weights have changed. Restore the old ones, or "
                f"start a new run against the new ones with checkpoint_path=<this run>."
            )
