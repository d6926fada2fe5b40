import pytest
import torch

from utils.shapes import ShapeError, check


def test_letters_are_bound_to_sizes() -> None:
    sizes = check(torch.zeros(2, 3, 4), "B T N")
    assert sizes == {"B": 2, "T": 3, "N": 4}
    assert check(torch.zeros(2, 3, 1), "B T 1", sizes) is sizes
    assert check(torch.zeros(()), "") == {}


@pytest.mark.parametrize(
    ("shape", "spec", "text"),
    [
        ((2, 3), "B T N", "expected shape [B=2, T=3, N=4] (B T N), got [2, 3]."),
        ((2, 5, 4), "B T N", "expected shape [B=2, T=3, N=4] (B T N), got [2, 5, 4]."),
        ((2, 3, 2), "B T 1", "expected shape [B=2, T=3, 1] (B T 1), got [2, 3, 2]."),
        ((7, 8), "A A", "expected shape [A=7, A=7] (A A), got [7, 8]."),
    ],
)
def test_a_wrong_shape_prints_both(shape: tuple[int, ...], spec: str, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check(torch.zeros(shape), spec, {"B": 2, "T": 3, "N": 4})
    assert str(caught.value) == text


def test_a_new_letter_of_a_tensor_with_too_few_axes_stays_open() -> None:
    with pytest.raises(ShapeError) as caught:
        check(torch.zeros(2), "B H")
    assert str(caught.value) == "expected shape [B, H] (B H), got [2]."
