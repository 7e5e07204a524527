# SPDX-License-Identifier: MIT
import pytest
import torch

from egbas.figures import Gallery, pixel_deviation
from egbas.figures.look import HEIGHT, WIDTH
from egbas.figures.style import pixel_range
from egbas.network.image_range import ImageRange


@pytest.mark.parametrize("size", [1, 3, 10])
def test_parts_say_the_same_as_all_at_once(size: int) -> None:
    images = 4 * torch.rand(10, 3, 5, 4, generator=torch.Generator().manual_seed(0)) - 1
    gallery = Gallery.of(images.split(size), [0, 7, 3])
    assert gallery.count == 10
    assert torch.equal(gallery.shown, images[[0, 7, 3]])
    torch.testing.assert_close(gallery.mean, images.mean(dim=0))
    torch.testing.assert_close(gallery.deviation, pixel_deviation(images))
    assert gallery.limits == pixel_range(images)


def test_each_part_is_looked_at_once_and_let_go() -> None:
    def parts() -> list[torch.Tensor]:
        return [torch.full((2, 1, 2, 2), value) for value in (0.0, 0.5, 1.0)]

    given = iter(parts())
    gallery = Gallery.of(given, [0])
    assert next(given, None) is None
    assert gallery.shown.shape == (1, 1, 2, 2)
    assert gallery.limits == (0.0, 1.0)


def test_outputs_that_are_no_images_become_some() -> None:
    gallery = Gallery.of([torch.rand(3, 64)], [0, 2])
    assert gallery.shown.shape == (2, 1, 8, 8)
    assert gallery.deviation.shape == (8, 8)


def test_vectors_become_curves_and_keep_their_numbers() -> None:
    outputs = torch.rand(5, 10, generator=torch.Generator().manual_seed(0))
    gallery = Gallery.of([outputs], [0, 2])
    assert gallery.shown.shape == (2, 3, HEIGHT, WIDTH)
    assert gallery.limits == (0.0, 1.0)
    torch.testing.assert_close(gallery.spread, outputs.std(dim=0, correction=0))
    assert gallery.look.values == (float(outputs.min()), float(outputs.max()))


def test_a_known_range_comes_before_that_of_the_samples() -> None:
    images = 0.2 * torch.rand(3, 1, 4, 4)
    assert Gallery.of([images], [0], image_range=ImageRange(-1.0, 1.0, "generator")).limits == (-1.0, 1.0)


def test_a_query_without_samples_is_shown() -> None:
    gallery = Gallery.of([torch.rand(1, 7)], [0], n_beside=1)
    assert gallery.count == 0
    assert gallery.shown.shape == (1, 3, HEIGHT, WIDTH)


def test_other_images_are_drawn_as_these_and_none_is_counted() -> None:
    gallery = Gallery.of([torch.tensor([[[[-1.0]]], [[[3.0]]]])], [0, 1])
    beside = gallery.beside(torch.tensor([[[[0.5]]]]))
    assert beside.limits == gallery.limits
    assert beside.shown.tolist() == [[[[0.5]]]]
    assert (beside.count, float(beside.mean.abs().sum())) == (0, 0.0)
