"""The best joint action of utilities and pairwise pay-offs: by messages, or by enumeration.

Sources: max-sum as in algorithm 3 of Boehmer et al., arXiv 1910.00091, after Kok & Vlassis, JMLR
2006: synchronous messages, normalised, with the anytime extension. Beyond the paper: `damping`
keeps part of the old message. Without it, agents that are alike change their choices together at
every iteration. On graphs without cycles, iterations that can no longer change a message are left
out. `Enumeration` separates errors of inference from errors of representation.

All steps of many episodes are solved at once, as many as fit in cache. Inside, these R rows come
last ([N, A, R], [E, A, A', R]), so that a maximum over a handful of actions runs along all of them.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from modules.coordination_graph.factors import Factors
from utils.errors import UserError

MOST_JOINT_ACTIONS = 4096
BLOCK = 2**18  # numbers in the pay-offs of the episodes that are solved at once: they fit in cache


class MaxSum:
    """Anytime max-sum: the best joint action that any iteration proposed.

    Args:
        iterations: rounds of messages; with 0 each agent follows its own utility.
        damping: fraction of the old message that a new one keeps, in [0, 1).
    """

    def __init__(self, iterations: int, damping: float):
        self.iterations, self.damping = iterations, damping

    def __call__(self, factors: Factors, avail: Tensor) -> Tensor:
        """The best available joint actions found: avail [B, L, N, A] -> [B, L, N]."""
        return _in_blocks(self._solve, factors, avail)

    def _solve(self, utility: Tensor, payoff: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Actions [N, R] of `_rows_last` and the edges' agents [E]."""
        n_edges, n_actions, n_rows = len(first), *utility.shape[1:]
        receiver = torch.cat([second, first])
        messages = utility.new_zeros(2 * n_edges, n_actions, n_rows)  # [2E, A, R]
        beliefs, proposals = utility, []
        for _ in range(self.iterations if n_edges else 0):
            to_second, to_first = messages.split(n_edges)
            of_first = (beliefs[first] - to_first).unsqueeze(2)  # [E, A, 1, R]
            of_second = (beliefs[second] - to_second).unsqueeze(1)  # [E, 1, A', R]
            new = torch.cat([(of_first + payoff).amax(dim=1), (of_second + payoff).amax(dim=2)])
            new -= new.mean(dim=1, keepdim=True)
            messages = new.lerp_(messages, self.damping) if self.damping else new
            beliefs = utility.index_add(0, receiver, messages)  # [N, A, R]
            proposals.append(beliefs.argmax(dim=1))  # [N, R]
        if len(proposals) < 2:
            return beliefs.argmax(dim=1)
        actions = torch.stack(proposals)  # [k, N, R]
        best = _values(utility, payoff, actions, first, second).argmax(dim=0)  # [R]
        return actions.gather(0, best.expand(1, len(utility), -1)).squeeze(0)


class Enumeration:
    """The exact maximum over all joint actions.

    Args:
        action_counts: actions that each agent really has.
        n_actions: A.
        edges: [2, E].

    Raises:
        UserError: for more than `MOST_JOINT_ACTIONS` joint actions.
    """

    def __init__(self, action_counts: tuple[int, ...], n_actions: int, edges: Tensor):
        n_joint = math.prod(action_counts)
        if n_joint > MOST_JOINT_ACTIONS:
            raise UserError(
                f"controller_args.inference: exact inference would look at {n_joint:,} joint "
                f"actions at each step, more than {MOST_JOINT_ACTIONS:,}. Use maxsum."
            )
        n, a, device = len(action_counts), n_actions, edges.device
        ranges = [torch.arange(count, device=device) for count in action_counts]
        self.joint = torch.cartesian_prod(*ranges).reshape(-1, n)  # [J, N]
        own = torch.arange(n, device=device) * a + self.joint
        pairs = self.joint[:, edges[0]] * a + self.joint[:, edges[1]]  # [J, E]
        of_edge = n * a + torch.arange(edges.shape[1], device=device) * a * a
        self.terms = torch.cat([own, of_edge + pairs], dim=1)  # [J, N + E]

    def __call__(self, factors: Factors, avail: Tensor) -> Tensor:
        """The best available joint actions: avail [B, L, N, A] -> [B, L, N]."""
        return _in_blocks(self._solve, factors, avail)

    def _solve(self, utility: Tensor, payoff: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """As in `MaxSum`."""
        table = torch.cat([utility.flatten(0, 1), payoff.flatten(0, 2)])  # [N A + E A A', R]
        values = functional.embedding_bag(self.terms, table, mode="sum")  # [J, R]
        return self.joint[values.argmax(dim=0)].T


@torch.no_grad()
def _in_blocks(solve: Callable[..., Tensor], factors: Factors, avail: Tensor) -> Tensor:
    """`solve` for all rows, some episodes at a time; avail [B, L, N, A] -> actions [B, L, N]."""
    n_episodes, length, _, a = avail.shape
    size = max(1, BLOCK // (length * max(factors.edges.shape[1], 1) * a * a))
    found = []
    for start in range(0, n_episodes, size):
        some = slice(start, start + size)
        utility, payoff = _rows_last(factors[some], avail[some])
        found.append(solve(utility, payoff, *factors.edges).T)  # [R, N]
    return torch.cat(found).unflatten(0, (n_episodes, length))


def _rows_last(factors: Factors, avail: Tensor) -> tuple[Tensor, Tensor]:
    """Utilities [N, A, R], -inf where unavailable, and pay-offs [E, A, A', R], in float64."""
    utility = factors.utility.masked_fill(~avail, -torch.inf).flatten(0, 1)
    payoff = factors.payoff().flatten(0, 1)
    return (
        utility.permute(1, 2, 0).to(torch.float64, memory_format=torch.contiguous_format),
        payoff.permute(1, 2, 3, 0).to(torch.float64, memory_format=torch.contiguous_format),
    )


def _values(
    utility: Tensor, payoff: Tensor, actions: Tensor, first: Tensor, second: Tensor
) -> Tensor:
    """Values [k, R] of joint actions [k, N, R]."""
    k, n_actions = len(actions), utility.shape[1]
    own = utility.expand(k, -1, -1, -1).gather(2, actions.unsqueeze(2))  # [k, N, 1, R]
    pairs = (actions[:, first] * n_actions + actions[:, second]).unsqueeze(2)  # [k, E, 1, R]
    shared = payoff.flatten(1, 2).expand(k, -1, -1, -1).gather(2, pairs)
    return own.sum(dim=(1, 2)) + shared.sum(dim=(1, 2))
