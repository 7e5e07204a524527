# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.zoo.pggan.layers import MinibatchDeviation, PixelNorm, PositionalBias


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_pixel_norm_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [-6.0, 0.0]])  # root mean squares 3.5355 and 4.2426
    torch.testing.assert_close(PixelNorm()(x), torch.tensor([[0.84853, 1.13137], [-1.41421, 0.0]]))


def test_pixel_norm_takes_every_pixel_to_unit_mean_square_and_keeps_signs() -> None:
    x = draw(2, 5, 3, 4)
    y = PixelNorm()(x)
    torch.testing.assert_close(y.square().mean(dim=1), torch.ones(2, 3, 4))
    assert torch.equal(y.sign(), x.sign())


def test_positional_bias_is_added_at_each_position() -> None:
    layer = PositionalBias(2, 3, 3)
    assert torch.equal(layer(draw(4, 2, 3, 3)), draw(4, 2, 3, 3))
    layer.bias.data = torch.arange(18.0).view(2, 3, 3)
    torch.testing.assert_close((layer(draw(4, 2, 3, 3)) - draw(4, 2, 3, 3))[3], torch.arange(18.0).view(2, 3, 3))


@pytest.mark.parametrize(("unbiased", "first", "second"), [(False, 1.0, 3.0), (True, 2**0.5, 18**0.5)])
def test_consecutive_groups_by_hand(unbiased: bool, first: float, second: float) -> None:
    # Pairs (1, 3) and (2, 8): population deviations 1 and 3; by n - 1 = 1 they are larger by sqrt(2).
    x = torch.tensor([1.0, 3.0, 2.0, 8.0]).view(4, 1, 1, 1)
    y = MinibatchDeviation("consecutive", 2, unbiased=unbiased).train()(x)
    assert torch.equal(y[:, :1], x)
    torch.testing.assert_close(y[:, 1].flatten(), torch.tensor([first, first, second, second]))


def test_strided_groups_by_hand() -> None:
    # Image i with image i + 2: (1, 2) and (3, 8), population deviations 0.5 and 2.5.
    x = torch.tensor([1.0, 3.0, 2.0, 8.0]).view(4, 1, 1, 1)
    y = MinibatchDeviation("strided", 2, unbiased=False).train()(x)
    torch.testing.assert_close(y[:, 1].flatten(), torch.tensor([0.5, 2.5, 0.5, 2.5]))


@pytest.mark.parametrize("groups", ["consecutive", "strided"])
@pytest.mark.parametrize("n", [3, 6])
def test_batch_that_does_not_divide_is_one_group(groups, n: int) -> None:
    x = draw(n, 2, 3, 3)
    found = MinibatchDeviation(groups, 4, unbiased=False).statistic(x)
    torch.testing.assert_close(found, x.std(dim=0, correction=0).mean().expand(n))


@pytest.mark.parametrize("unbiased", [False, True])
def test_image_on_its_own_has_no_deviation(unbiased: bool) -> None:
    layer = MinibatchDeviation("consecutive", 4, unbiased=unbiased).train()
    assert layer(draw(1, 2, 3, 3))[:, 2].abs().max() == 0


def test_in_eval_mode_it_is_the_reference() -> None:
    layer = MinibatchDeviation("consecutive", 4, unbiased=False).eval()
    assert layer(draw(8, 2, 3, 3))[:, 2].abs().max() == 0
    layer.reference.fill_(0.25)
    assert torch.equal(layer(draw(8, 2, 3, 3))[:, 2], torch.full((8, 3, 3), 0.25))
    assert "reference" in layer.state_dict()


def test_equal_images_have_finite_gradients() -> None:
    x = torch.ones(4, 1, 2, 2, requires_grad=True)
    MinibatchDeviation("consecutive", 4, unbiased=False).train()(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
