"""Assignment, capacity and formation against rules and optima written as slow loops."""

import math
from collections import Counter
from itertools import permutations, product

import pytest
import torch
from torch import Tensor

from config.load import load_config
from envs.base import EnvStep, make_env
from envs.matrix_games._sizes import size_problem
from utils.errors import ConfigError, SettingsError
from utils.registry import ENVS

CPU = torch.device("cpu")


def build(name: str, batch_size: int = 4, seed: int = 3, **settings):
    return make_env(name, ENVS.get(name).config(**settings), batch_size, CPU, seed, "test")


def sizes_of(step: EnvStep, b: int) -> list[int]:
    """The agents that take part in env slot b."""
    n = step.avail.shape[1]
    return [i for i in range(n) if step.is_active is None or step.is_active[b, i]]


def joint_actions(avail: Tensor) -> list[tuple[int, ...]]:
    """Every available joint action; avail: [N, A]."""
    return list(product(*(row.nonzero().flatten().tolist() for row in avail)))


def rewards_of_all(env, b: int) -> dict[tuple[int, ...], tuple[float, dict[str, float]]]:
    """Reward and metrics of every joint action available in env slot b of the game just drawn."""
    found = {}
    for actions in joint_actions(env._avail[b]):
        env._last = None  # play the same deal again
        step = env.step(torch.tensor(actions).expand(env.batch_size, -1))
        metrics = {name: x[b].item() for name, x in step.metrics.items()}
        found[actions] = (step.reward[b, 0].item(), metrics)  # agent 0 is always there
    return found


# Assignment

ASSIGNMENTS = [
    {"n_agents": 1, "n_resources": 1, "availability": 0.5},
    {"n_agents": 3, "n_resources": 2},
    {"n_agents": 2, "n_resources": 4, "conflict_cost": 0.0},
    {"n_agents": (1, 4), "n_resources": (1, 3), "availability": (0.3, 1.0), "conflict_cost": 0.75},
]


def slow_assignment(values: list[list[float]], actions: tuple[int, ...], cost: float):
    """Reward and number of contested picks; values are those of the agents that take part."""
    total, n_contested = 0.0, 0
    for i, a in enumerate(actions[: len(values)]):
        if a == 0:
            continue
        contested = any(actions[j] == a for j in range(len(values)) if j != i)
        n_contested += contested
        total += -cost if contested else values[i][a]
    return total, n_contested


@pytest.mark.parametrize("settings", ASSIGNMENTS)
def test_assignment_pays_and_finds_the_optimum_as_enumeration_does(settings):
    env = build("assignment", 6, **settings)
    for _ in range(3):
        step = env.reset()
        for b in range(6):
            agents = sizes_of(step, b)
            values = [step.action_features[b, i, :, 0].tolist() for i in agents]
            found = rewards_of_all(env, b)
            best = max(reward for reward, _ in found.values())
            for actions, (reward, metrics) in found.items():
                slow, n_contested = slow_assignment(values, actions, env.config.conflict_cost)
                assert reward == metrics["value"] == pytest.approx(slow, abs=1e-5)
                assert metrics["conflict_rate"] == pytest.approx(n_contested / len(agents))
                assert metrics["optimum"] == pytest.approx(best, abs=1e-5)
                assert metrics["optimal"] == (reward > best - 1e-6)


def test_assignment_by_hand():
    env = build("assignment", 1, n_agents=3, n_resources=2, availability=1.0)
    env.reset()
    env._values = torch.tensor([[[0, 0.9, 0.8], [0, 0.7, 0.1], [0, 0.2, 0.3]]]).double()
    table = {
        (1, 1, 1): -1.5,  # three contested picks
        (1, 1, 2): -0.7,
        (1, 2, 0): 1.0,
        (2, 1, 0): 1.5,  # the best: 0.8 + 0.7
        (0, 0, 0): 0.0,
        (0, 0, 2): 0.3,
    }
    for actions, reward in table.items():
        env._last = None
        step = env.step(torch.tensor([actions]))
        assert step.reward.tolist() == [[pytest.approx(reward)] * 3]
        assert step.metrics["optimum"].item() == pytest.approx(1.5)
        assert step.metrics["optimal"].item() == (actions == (2, 1, 0))


def test_assignment_draws_what_its_settings_say():
    env = build("assignment", 20_000, n_agents=3, n_resources=4, availability=0.7)
    step = env.reset()
    is_open = step.avail[:, :, 1:]
    values = step.action_features[:, :, 1:, 0]
    assert is_open.double().mean().item() == pytest.approx(0.7, abs=0.005)
    assert values[is_open].double().mean().item() == pytest.approx(0.5, abs=0.005)
    assert values[is_open].double().var().item() == pytest.approx(1 / 12, rel=0.02)
    assert not values[~is_open].any()
    assert step.avail[:, :, 0].all()


# Capacity

CAPACITIES = [
    {"n_agents": 1, "n_levels": 1, "budget": 1.0},
    {"n_agents": 3, "n_levels": 3, "budget": 0.4},
    {"n_agents": 4, "n_levels": 2},
    {"n_agents": (1, 3), "n_levels": (1, 4), "budget": (0.05, 1.0)},
]


@pytest.mark.parametrize("settings", CAPACITIES)
def test_capacity_pays_and_finds_the_optimum_as_enumeration_does(settings):
    env = build("capacity", 6, **settings)
    for _ in range(3):
        step = env.reset()
        for b in range(6):
            agents, budget = sizes_of(step, b), env._budget[b].item()
            values = [step.action_features[b, i, :, 0].tolist() for i in agents]
            found = rewards_of_all(env, b)
            best = max(reward for reward, _ in found.values())
            for actions, (reward, metrics) in found.items():
                total = sum(row[a] for row, a in zip(values, actions, strict=False))
                slow = total if sum(actions) <= budget else 0.0
                assert reward == metrics["value"] == pytest.approx(slow, abs=1e-5)
                assert metrics["overload"] == (sum(actions) > budget)
                assert metrics["optimum"] == pytest.approx(best, abs=1e-5)
                assert metrics["optimal"] == (reward > best - 1e-6)


def test_capacity_optimum_of_a_budget_that_rounds_up():
    """0.3 of 15 units is 4.5, and in float32 a little more."""
    env = build("capacity", 4, n_agents=5, n_levels=3, budget=0.3)
    env.reset()
    assert env._budget.max() in (4, 5)
    assert env.best_value().isfinite().all()


def test_capacity_optimum_of_large_teams_takes_the_best_units_one_by_one():
    """Values are concave, so the best units of all agents together are the optimum."""
    env = build("capacity", 50, n_agents=(8, 20), n_levels=(2, 6), budget=(0.1, 0.9))
    env.reset()
    best = env.best_value()
    for b in range(50):
        units = env._values[b].diff(dim=1).flatten()
        assert best[b].item() == pytest.approx(units.topk(int(env._budget[b])).values.sum().item())


def test_capacity_draws_what_its_settings_say():
    env = build("capacity", 20_000, n_agents=3, n_levels=4, budget=(0.2, 0.6))
    step = env.reset()
    gains = env._values.diff(dim=2)  # [B, N, L], order statistics of four uniform numbers
    expected = [0.8, 0.6, 0.4, 0.2]
    assert gains.mean(dim=(0, 1)).tolist() == pytest.approx(expected, abs=0.005)
    assert (gains.diff(dim=2) <= 0).all()
    assert env._budget.unique().tolist() == [2, 3, 4, 5, 6, 7]
    assert env._budget.double().mean().item() == pytest.approx(0.4 * 12, abs=0.05)
    level = torch.arange(5)
    part = level / env._budget.view(-1, 1, 1)
    torch.testing.assert_close(step.action_features[..., 2], part.expand(-1, 3, -1))
    torch.testing.assert_close(step.action_features[..., 3], 3 * part.expand(-1, 3, -1))


# Formation


def slow_move(places: list[int], wishes: list[int]) -> list[int]:
    """Where agents stand after wishing for cells (-1: stay)."""
    counts = Counter(c for c in wishes if c >= 0)
    return [c if c >= 0 and counts[c] == 1 else p for p, c in zip(places, wishes, strict=True)]


def neighbours(cell: int, width: int, padded: int) -> set[int]:
    row, column = divmod(cell, padded)
    near = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return {r * padded + c for r, c in near if 0 <= r < width and 0 <= c < width}


FORMATIONS = [
    {"n_agents": 2, "n_marked": 2, "width": 2, "n_steps": 5},
    {"n_agents": 5, "n_marked": 3, "width": 3, "n_steps": 12},
    {"n_agents": (2, 4), "n_marked": (1, 2), "width": (3, 5), "n_steps": 6},
]


@pytest.mark.parametrize("settings", FORMATIONS)
def test_formation_moves_and_pays_as_a_slow_loop_does(settings):
    env = build("formation", 40, **settings)
    padded = round((env.info.n_actions - 1) ** 0.5)
    g = torch.Generator().manual_seed(0)
    step, t, seen = env.reset(), 0, Counter()
    agents = [sizes_of(step, b) for b in range(40)]
    widths = env._width.tolist()
    marked = [set(env._marked[b].nonzero().flatten().tolist()) for b in range(40)]
    places = [[env._at[b, i].nonzero().item() for i in agents[b]] for b in range(40)]
    ended, blocked = [False] * 40, [0] * 40
    for b in range(40):
        assert len(set(places[b])) == len(places[b])
        assert not marked[b] & set(places[b])
        cells = [*marked[b], *places[b]]
        assert all(max(divmod(c, padded)) < widths[b] for c in cells)
    while t < env.info.episode_limit:
        for b in range(40):
            for k, i in enumerate(agents[b]):
                free = neighbours(places[b][k], widths[b], padded) - set(places[b])
                assert set(step.avail[b, i].nonzero().flatten().tolist()) == {0} | {
                    c + 1 for c in free
                }
        luck = torch.rand(step.avail.shape, generator=g).masked_fill(~step.avail, -1.0)
        actions = luck.argmax(dim=2)
        step, t = env.step(actions), t + 1
        for b in range(40):
            if ended[b]:
                assert not step.reward[b].any()
                continue
            wishes = [actions[b, i].item() - 1 for i in agents[b]]
            before, old = len(marked[b] & set(places[b])), places[b]
            places[b] = slow_move(old, wishes)
            n_blocked = sum(c >= 0 and p != c for p, c in zip(places[b], wishes, strict=True))
            blocked[b] += n_blocked
            after, k = len(marked[b] & set(places[b])), len(marked[b])
            reward = 0.5 * (after - before) / k + 0.5 * (after == k)
            assert step.reward[b, agents[b]].tolist() == pytest.approx([reward] * len(agents[b]))
            ended[b] = after == k or t == env.info.episode_limit
            seen.update(success=after == k, blocked=n_blocked > 0)
            assert step.metrics["success"][b].item() == (after == k)
            assert step.metrics["blocked"][b].item() == blocked[b]
        assert step.terminated.tolist() == ended
        assert [[env._at[b, i].nonzero().item() for i in agents[b]] for b in range(40)] == places
    assert seen["success"] > 0
    assert seen["blocked"] > 0


@pytest.mark.parametrize("waves", [False, True])
def test_formation_describes_the_cells_that_actions_lead_to(waves):
    sizes = {"n_agents": 3, "n_marked": 2, "width": (3, 4), "n_steps": 8}
    env = build("formation", 20, **sizes, place_waves=waves)
    step = random_step(env, env.reset())
    for b, width in enumerate(env._width.tolist()):
        marked = set(env._marked[b].nonzero().flatten().tolist())
        for i in range(3):
            place = env._at[b, i].nonzero().item()
            for a in range(env.info.n_actions):
                cell = a - 1 if a else place
                (row, column), (own_row, own_column) = divmod(cell, 4), divmod(place, 4)
                expected = [cell in marked, cell == place, row, column, step.avail[b, i, a]]
                expected += [a == 0, 1 - 1 / 8, row - own_row, column - own_column]
                for x in (row, column) if waves else ():
                    angles = [2 * math.pi * x / period for period in (4, 8, 16)]
                    expected += [math.sin(y) for y in angles] + [math.cos(y) for y in angles]
                shown = step.action_features[b, i, a].clone()
                shown[[2, 3, 7, 8]] *= width - 1
                off_grid = max(row, column) >= width
                there = torch.tensor(expected, dtype=torch.float) * (not off_grid)
                torch.testing.assert_close(shown, there)


def fewest_steps(starts: list[int], marked: set[int], width: int) -> int:
    """Breadth-first search over joint positions of agents that move by the game's rules."""
    frontier, visited, steps = {tuple(starts)}, {tuple(starts)}, 0
    while not any(marked <= set(places) for places in frontier):
        reached = set()
        for places in frontier:
            free = [neighbours(p, width, width) - set(places) for p in places]
            for wishes in product(*([-1, *cells] for cells in free)):
                reached.add(tuple(slow_move(list(places), list(wishes))))
        frontier, steps = reached - visited, steps + 1
        visited |= reached
    return steps


def slow_bound(starts: list[int], marked: list[int], width: int) -> int:
    def way(a: int, b: int) -> int:
        return sum(abs(x - y) for x, y in zip(divmod(a, width), divmod(b, width), strict=True))

    chosen = permutations(starts, len(marked))
    return min(max(way(a, c) for a, c in zip(some, marked, strict=True)) for some in chosen)


@pytest.mark.parametrize(("n", "k", "attained"), [(1, 1, 1.0), (2, 2, 0.9), (3, 2, 0.9)])
def test_no_team_is_faster_than_best_steps(n, k, attained):
    env = build("formation", 30, n_agents=n, n_marked=k, width=3, n_steps=20)
    env.reset()
    bound, exact = env._results["best_steps"].tolist(), []
    for b in range(30):
        starts = [env._at[b, i].nonzero().item() for i in range(n)]
        marked = env._marked[b].nonzero().flatten().tolist()
        assert bound[b] == slow_bound(starts, marked, 3)
        exact.append(fewest_steps(starts, set(marked), 3))
        assert bound[b] <= exact[b]
    assert sum(x == y for x, y in zip(bound, exact, strict=True)) >= attained * 30


def test_best_steps_of_larger_grids():
    env = build("formation", 40, n_agents=(4, 5), n_marked=(2, 4), width=(6, 9), n_steps=20)
    env.reset()
    for b in range(40):
        starts = [env._at[b, i].nonzero().item() for i in range(5) if env._present[b, i]]
        marked = env._marked[b].nonzero().flatten().tolist()
        assert env._results["best_steps"][b] == slow_bound(starts, marked, 9)


# What all three share

VARIED = {
    "assignment": {"n_agents": (2, 5), "n_resources": (1, 4), "availability": (0.2, 0.9)},
    "capacity": {"n_agents": (2, 5), "n_levels": (1, 4), "budget": (0.2, 0.8)},
    "formation": {"n_agents": (2, 4), "n_marked": (1, 2), "width": (3, 4), "n_steps": 4},
}


def random_step(env, step: EnvStep) -> EnvStep:
    g = torch.Generator().manual_seed(1)
    luck = torch.rand(step.avail.shape, generator=g).masked_fill(~step.avail, -1.0)
    return env.step(luck.argmax(dim=2))


@pytest.mark.parametrize("name", VARIED)
def test_teams_vary_and_the_absent_show_and_earn_nothing(name):
    env = build(name, 300, **VARIED[name])
    low, high = VARIED[name]["n_agents"]
    first = env.reset()
    for step in (first, random_step(env, first)):
        present = step.is_active
        assert present.sum(dim=1).unique().tolist() == list(range(low, high + 1))
        assert (present[:, 1:] <= present[:, :-1]).all()  # the first n agents
        only_nothing = torch.arange(env.info.n_actions) == 0
        assert (step.avail[~present] == only_nothing).all()
        assert step.avail[..., 0].all()
        assert not step.obs[~present].any()
        assert not step.action_features[~present].any()
        assert step.obs[present].any(dim=1).all()
        assert not step.reward[~present].any()
        assert torch.equal(step.state, step.obs.flatten(1))


@pytest.mark.parametrize("name", VARIED)
def test_teams_of_one_size_are_always_complete(name):
    env = build(name)
    assert env.reset().is_active is None
    assert not env.info.varying_team


@pytest.mark.parametrize("name", VARIED)
def test_what_is_not_available_is_no_better_than_nothing(name):
    """Sizes differ: actions that an episode lacks are unavailable and have features of zero."""
    env = build(name, 300, **VARIED[name])
    step = env.reset()
    lacking = ~step.avail.any(dim=1)  # [B, A]
    if name != "formation":  # there, cells that no agent is next to exist all the same
        assert not step.action_features.transpose(1, 2)[lacking].any()
    assert lacking[:, -1].any()
    assert not lacking[:, -1].all()


@pytest.mark.parametrize("name", VARIED)
def test_observations_hold_what_the_features_say(name):
    env = build(name, 50, **VARIED[name])
    step = random_step(env, env.reset())
    features, a = step.action_features, env.info.n_actions
    columns = {"assignment": [0, 1], "capacity": [0, 1], "formation": [0, 1, 4]}[name]
    flat = features[..., columns].flatten(2)
    assert torch.equal(step.obs[..., : flat.shape[2]], flat)
    rest = step.obs[..., flat.shape[2] :]
    level = torch.arange(a).view(1, 1, a, 1)
    if name == "capacity":  # what l units take is l times what one takes
        there = step.avail.unsqueeze(3)
        torch.testing.assert_close(features[..., 2:], (rest.unsqueeze(2) * level).where(there, 0.0))
    if name == "formation":
        assert torch.equal(rest[..., 0], features[:, :, 0, 6])
        width = (rest[..., 1] * 4).round()  # of the largest grid
        assert set(width[step.is_active].tolist()) == {3.0, 4.0}
    assert torch.equal(features[..., columns[-1]] > 0, step.avail & step.is_active.unsqueeze(2))


@pytest.mark.parametrize("name", VARIED)
def test_the_optimum_can_be_left_out(name):
    env = build(name, measure_optimum=False, **VARIED[name])
    step = random_step(env, env.reset())
    assert not {"optimum", "optimal", "best_steps"} & {*step.metrics, *env.info.metric_descriptions}
    assert env.info.metric_ratios == {}
    same = build(name, **VARIED[name])
    assert torch.equal(step.reward, random_step(same, same.reset()).reward)


@pytest.mark.parametrize("name", VARIED)
def test_a_restored_stream_deals_the_same_episodes(name):
    env, other = (build(name, seed=seed, **VARIED[name]) for seed in (1, 2))
    env.reset()
    other.load_state_dict(env.state_dict())
    for x, y in ((env.reset(), other.reset()), (env.reset(), other.reset())):
        assert torch.equal(x.state, y.state)
        assert torch.equal(x.action_features, y.action_features)


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("assignment", {"n_agents": 0}, "n_agents: 0 must be between 1 and 10000; a range is [l"),
        ("assignment", {"n_agents": (5, 3)}, "n_agents: [5, 3] must be between 1 and 10000; a ran"),
        ("assignment", {"availability": 0.0}, "availability: 0.0 must be between 0.001 and 1;"),
        ("assignment", {"conflict_cost": -1.0}, "conflict_cost: -1.0 must not be negative."),
        ("capacity", {"n_levels": (0, 3)}, "n_levels: [0, 3] must be between 1 and 10000;"),
        ("capacity", {"budget": (0.5, 1.5)}, "budget: [0.5, 1.5] must be between 0.001 and 1;"),
        ("formation", {"n_marked": 5}, "n_marked: 5 cells cannot be occupied by n_agents=4."),
        ("formation", {"width": 2}, "width: 2 gives 4 cells, too few for 7 agents and marked"),
        ("formation", {"n_steps": 0}, "n_steps: 0"),
        ("formation", {"n_steps": 2**63 - 1}, "is more than 1,000,000."),
        ("formation", {"width": 2**63 - 1}, "must be between 2 and 100;"),
    ],
)
def test_impossible_settings_are_refused(name, settings, text):
    with pytest.raises(SettingsError) as error:
        ENVS.get(name).config(**settings)
    assert text in str(error.value)


def test_sizes_are_read_from_the_command_line():
    config = load_config(
        "vdn", "assignment", ["env_args.n_agents=[3, 8]", "env_args.n_resources=4"]
    )
    assert (config.env_args.n_agents, config.env_args.n_resources) == ((3, 8), 4)
    with pytest.raises(ConfigError, match=r"n_agents: \[3\] does not fit"):
        load_config("vdn", "assignment", ["env_args.n_agents=[3]"])
    assert not size_problem("p", 0.5, 0, 1)[0]
