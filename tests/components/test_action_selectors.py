import pytest
import torch
from tests.helpers.fake_envs import rng

from components.action_selectors import (
    CategoricalConfig,
    EpsilonGreedy,
    EpsilonGreedyConfig,
    PolicySampler,
)
from components.policies import greedy_actions
from components.settings import ExplorationSettings
from components.squashed_normal import SquashedNormal
from config.load import load_config
from utils.errors import SettingsError, UserError

B = 40_000
OUTPUTS = torch.tensor([[1.0, 2.0, 9.0, 0.5], [-1.0, -3.0, -2.0, -1.5]]).expand(B, 2, 4)
AVAIL = torch.tensor([[True, True, False, True], [False, True, True, True]]).expand(B, 2, 4)


def frequencies(actions: torch.Tensor) -> torch.Tensor:
    """[B, N] -> [N, A]."""
    return torch.nn.functional.one_hot(actions, 4).float().mean(dim=0)


def categorical(epsilon: float = 0.0) -> PolicySampler:
    return PolicySampler(CategoricalConfig(epsilon, epsilon), ExplorationSettings())


def epsilon_greedy(epsilon: float) -> EpsilonGreedy:
    return EpsilonGreedy(EpsilonGreedyConfig(epsilon, epsilon), ExplorationSettings())


def test_greedy_takes_the_best_available_action() -> None:
    best = greedy_actions(OUTPUTS[:2], AVAIL[:2])
    assert best.tolist() == [[1, 3], [1, 3]]
    assert best.dtype == torch.int64


def test_greedy_where_only_minus_infinity_is_available() -> None:
    outputs = torch.tensor([-torch.inf, 5.0])
    assert greedy_actions(outputs, torch.tensor([True, False])).item() == 0


@pytest.mark.parametrize("selector", [epsilon_greedy(1.0), categorical()])
def test_greedy_flag_draws_nothing(selector: EpsilonGreedy | PolicySampler) -> None:
    generator = rng()
    before = generator.get_state()
    assert selector.select(OUTPUTS[:1], AVAIL[:1], 0, True, generator).tolist() == [[1, 3]]
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_frequencies(epsilon: float) -> None:
    actions = epsilon_greedy(epsilon).select(OUTPUTS, AVAIL, 0, False, rng())
    assert actions.shape == (B, 2)
    assert actions.dtype == torch.int64
    other, best = epsilon / 3, 1 - epsilon + epsilon / 3
    expected = torch.tensor([[other, best, 0, other], [0, other, other, best]])
    found = frequencies(actions)
    assert (found[~AVAIL[0]] == 0).all()
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_agents_explore_independently() -> None:
    actions = epsilon_greedy(0.3).select(OUTPUTS, AVAIL, 0, False, rng())
    strays = actions != greedy_actions(OUTPUTS, AVAIL)  # probability 0.2 each
    assert strays.all(dim=1).float().mean().item() == pytest.approx(0.04, abs=0.005)


def test_epsilon_follows_its_schedule() -> None:
    selector = EpsilonGreedy(EpsilonGreedyConfig(1.0, 0.0), ExplorationSettings(100))
    assert selector.metrics(25) == {"epsilon": 0.75}
    assert selector.metrics(1000) == {"epsilon": 0.0}
    late = selector.select(OUTPUTS, AVAIL, 100, False, rng())
    assert torch.equal(late, greedy_actions(OUTPUTS, AVAIL))
    halfway = selector.select(OUTPUTS, AVAIL, 50, False, rng())
    assert frequencies(halfway)[0, 1].item() == pytest.approx(0.5 + 0.5 / 3, abs=0.01)


def test_categorical_frequencies() -> None:
    actions = categorical().select(OUTPUTS, AVAIL, 0, False, rng())
    expected = OUTPUTS[0].masked_fill(~AVAIL[0], -torch.inf).softmax(dim=-1)
    found = frequencies(actions)
    assert (found[~AVAIL[0]] == 0).all()
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_categorical_mixes_in_available_actions(epsilon: float) -> None:
    selector = categorical(epsilon)
    found = frequencies(selector.select(OUTPUTS, AVAIL, 0, False, rng()))
    policy = OUTPUTS[0].masked_fill(~AVAIL[0], -torch.inf).softmax(dim=-1)
    assert (found[~AVAIL[0]] == 0).all()
    expected = (1 - epsilon) * policy + epsilon * AVAIL[0] / 3
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
    assert selector.metrics(0) == pytest.approx({"epsilon": epsilon})


MACPF = {0: 1.0, 12_500: 0.944, 25_000: 0.774, 37_500: 0.492, 50_000: 0.0975, 10**6: 0.0975}


def test_exploration_of_macpf_is_that_of_its_authors() -> None:
    """Theirs: a draw in the policy and one after it, each with e linear from 1 to 0.05."""
    config = load_config("macpf", "topk", [])
    assert config.action_selector == "categorical"
    selector = PolicySampler(config.action_selector_args, config)
    for env_steps, expected in MACPF.items():
        assert selector.metrics(env_steps)["epsilon"] == pytest.approx(expected, abs=5e-4)


def test_two_uniform_draws_by_their_frequencies() -> None:
    settings = CategoricalConfig(0.5, 0.5, uniform_draws=2)
    selector = PolicySampler(settings, ExplorationSettings())
    found = frequencies(selector.select(OUTPUTS, AVAIL, 0, False, rng()))
    policy = OUTPUTS[0].masked_fill(~AVAIL[0], -torch.inf).softmax(dim=-1)
    once = 0.5 * policy + 0.5 * AVAIL[0] / 3
    torch.testing.assert_close(found, 0.5 * once + 0.5 * AVAIL[0] / 3, atol=0.01, rtol=0)


@pytest.mark.parametrize("selector", [epsilon_greedy(1.0), categorical()])
def test_a_single_available_action_is_always_taken(selector: EpsilonGreedy | PolicySampler) -> None:
    avail = torch.zeros(5000, 2, 4, dtype=torch.bool)
    avail[:, 0, 2] = avail[:, 1, 3] = True
    outputs = torch.tensor([50.0, 0.0, -50.0, -90.0]).expand(5000, 2, 4)
    actions = selector.select(outputs, avail, 0, False, rng())
    assert (actions == torch.tensor([2, 3])).all()


@pytest.mark.parametrize("selector", [epsilon_greedy(0.5), categorical()])
def test_the_generator_decides(selector: EpsilonGreedy | PolicySampler) -> None:
    a, b, c = (selector.select(OUTPUTS, AVAIL, 0, False, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epsilon_start", 1.5), ("epsilon_finish", -0.1)],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value}"):
        EpsilonGreedyConfig(**{name: value})
    with pytest.raises(SettingsError, match=f"{name}: {value}"):
        CategoricalConfig(**{name: value})


def test_at_least_one_uniform_draw() -> None:
    with pytest.raises(SettingsError, match="uniform_draws: 0 must be at least 1"):
        CategoricalConfig(uniform_draws=0)


def test_continuous_actions_have_no_epsilon() -> None:
    config = CategoricalConfig(epsilon_start=0.5)
    with pytest.raises(UserError, match=r"epsilon_start=0\.5: continuous .* Set epsilon_start and"):
        PolicySampler(config, ExplorationSettings(), SquashedNormal)
