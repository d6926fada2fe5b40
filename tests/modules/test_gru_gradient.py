import pytest
import torch
from tests.helpers.fake_envs import normal
from torch import Tensor, nn

from modules.gru_gradient import GRUSequence
from modules.layers import SequenceGRU
from utils.seeding import seeded_initialisation

L, R, F, H = 5, 4, 3, 6


@pytest.mark.parametrize("strided", [False, True])
def test_states_and_gradients_equal_pytorch(strided: bool) -> None:
    with seeded_initialisation(0):
        gru = nn.GRU(F, H)
    x = normal(R, L, F).transpose(0, 1) if strided else normal(L, R, F)
    grad = normal(R, L, H).transpose(0, 1) if strided else normal(L, R, H)
    inputs = [x, normal(R, H), *gru.all_weights[0]]
    for tensor in inputs:
        tensor.requires_grad_()
    expected = gru(inputs[0], inputs[1].unsqueeze(0))[0]
    found = GRUSequence.apply(*inputs)
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad(found, inputs, grad)
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_gradients_equal_differences() -> None:
    sizes = [(3, 2, F), (2, 2), (6, F), (6, 2), (6,), (6,)]
    inputs = [normal(*size).double().requires_grad_() for size in sizes]
    assert torch.autograd.gradcheck(GRUSequence.apply, inputs)


def test_a_sequence_is_the_same_with_and_without_gradients() -> None:
    with seeded_initialisation(0):
        gru = SequenceGRU(F, H)
    x, hidden = normal(2, L, 2, F), normal(2, 2, H)
    for start in (None, hidden):
        with torch.no_grad():
            without = gru(x, start)
        for mine, theirs in zip(gru(x, start), without, strict=True):
            torch.testing.assert_close(mine, theirs)


def test_only_small_batches_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    class Noted:
        @staticmethod
        def apply(x: Tensor, *others: Tensor) -> Tensor:
            used.append(x.shape[1])
            return GRUSequence.apply(x, *others)

    monkeypatch.setattr("modules.layers.GRUSequence", Noted)
    monkeypatch.setattr("modules.layers.MOST_STATES", 2 * 2 * H)
    gru = SequenceGRU(F, H)
    for episodes in (2, 3):
        gru(normal(episodes, L, 2, F), None)
    with torch.no_grad():
        gru(normal(2, L, 2, F), None)
    assert used == [4]
