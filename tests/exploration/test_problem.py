# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import Tensor, nn

from egbas.errors import ConfigError, LayerNotFoundError, NetworkError, ShapeError, StartOutsideRegionError
from egbas.exploration.problem import Problem, check_choice, focus_of, holding
from egbas.latent import LatentSpace
from egbas.network import Network, Pixels
from tests.problems import HALVES_QUERY, LEFT, RIGHT, BoxNet, HalvesNet, OctantNet, linear
from tests.regions import Box


def problem_of(generator: nn.Module, query: Tensor, **changes: object) -> Problem:
    settings = {"latent": None, "geometry": "auto", "model_name": None} | changes
    return Problem.of(generator, [query], [0], 1, **settings)  # type: ignore[arg-type]


def focus(given: object) -> Tensor:
    return focus_of(given, Network(HalvesNet(), (2,)), HALVES_QUERY)


def test_a_problem_has_all_that_an_exploration_is_about() -> None:
    found = problem_of(HalvesNet(), HALVES_QUERY, focus=LEFT, model_name="halves")
    assert found.model_name == "halves"
    assert found.latent == LatentSpace(shape=(2,))
    assert found.precisions is not None and found.precisions.split.layer.number == 1
    assert torch.equal(found.queries[0], HALVES_QUERY)
    assert found.focus is not None and found.focus.sum() == 4
    assert found.judges == () and found.features is None


def test_the_geometry_is_chosen() -> None:
    assert problem_of(OctantNet(), torch.ones(3)).latent.geometry == "sphere"
    assert problem_of(OctantNet(), torch.ones(3), geometry="flat").latent.geometry == "flat"
    assert problem_of(BoxNet(), torch.ones(2)).latent.geometry == "flat"
    with pytest.raises(ConfigError, match="query is zero"):
        problem_of(OctantNet(), torch.zeros(3))


def test_without_a_layer_nothing_is_split() -> None:
    found = Problem.of(BoxNet(), [torch.ones(2)], [0], None, latent=None, geometry="flat", model_name=None)
    assert found.precisions is None
    assert found.model_name == "BoxNet"


def test_bad_layers_and_queries_are_refused() -> None:
    with pytest.raises(LayerNotFoundError):
        Problem.of(BoxNet(), [torch.ones(2)], [0], 9, latent=None, geometry="flat", model_name=None)
    with pytest.raises(ShapeError):
        problem_of(BoxNet(), torch.ones(3), latent=LatentSpace(shape=(2,)))


def test_a_query_in_a_batch_of_one_is_told_what_to_give() -> None:
    generator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Unflatten(1, (2, 2)))
    with pytest.raises(NetworkError, match=r"The query has the shape \(1, 2\); if .* give z0\[0\]"):
        problem_of(generator.eval(), torch.ones(1, 2))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("query", [[0.5, 0.5], "3"])
def test_a_query_that_is_no_tensor_is_refused(query: object) -> None:
    with pytest.raises(ShapeError, match="expected a tensor, such as"):
        problem_of(HalvesNet(), query)  # type: ignore[arg-type]


@pytest.mark.parametrize(("box", "columns"), [(LEFT, [0, 1]), (RIGHT, [2, 3]), ([0, 0, 4, 2], [0, 1, 2, 3])])
def test_a_box_is_a_mask_of_its_pixels(box: object, columns: list[int]) -> None:
    found = focus(box)
    assert (found.shape, found.dtype) == ((2, 4), torch.bool)
    assert all(found[row].nonzero()[:, 0].tolist() == columns for row in range(2))


def test_the_right_and_the_lower_end_are_not_in_the_box() -> None:
    assert focus((1, 0, 2, 1)).nonzero().tolist() == [[0, 1]]  # row, column


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_a_mask_counts_where_it_is_not_zero(dtype: torch.dtype) -> None:
    mask = torch.zeros(2, 4, dtype=dtype)
    mask[1, 3] = 1
    assert focus(mask).nonzero().tolist() == [[1, 3]]
    assert focus(mask).dtype == torch.bool


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, 0, 5, 2), r"does not lie in the image of 4 x 2; expected 0 <= x0 < x1 <= 4 and 0 <= y0 < y1 <= 2"),
        ((0, 0, 4, 3), "does not lie in the image of 4 x 2"),
        ((-1, 0, 4, 2), "does not lie in the image"),
        ((2, 0, 2, 2), "does not lie in the image"),
        ((3, 0, 1, 2), "does not lie in the image"),
        ((0, 0, 1), r"expected \(x0, y0, x1, y1\) in pixels, or a mask"),
        ((0, 0, 1, 1, 1), r"expected \(x0, y0, x1, y1\)"),
        (7, r"got focus=7; expected \(x0, y0, x1, y1\)"),
        ("left", r"got focus='left'; expected \(x0, y0, x1, y1\)"),
        (torch.ones(4, 2), r"got a focus of shape \(4, 2\); expected \(2, 4\), as the image"),
        (torch.ones(1, 2, 4), r"got a focus of shape \(1, 2, 4\)"),
        (torch.zeros(2, 4), "holds no pixel"),
    ],
    ids=str,
)
def test_what_is_no_focus(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        focus(given)


def test_either_a_layer_or_a_region() -> None:
    check_choice(1, None, has_beropt=True)
    check_choice(None, Box(1.0), has_beropt=False)
    for layer, region, has_beropt, message in (
        (None, None, False, "neither a layer nor a region"),
        (1, Box(1.0), False, "got layer=1 and a region"),
        (None, Box(1.0), True, "got settings of BerOpt and a region"),
        (None, object(), False, r"got object as the region; expected an object with contains\(z\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_choice(layer, region, has_beropt=has_beropt)


def test_a_region_holds_its_query() -> None:
    region = Box(1.0)
    assert holding(region, torch.zeros(2)) is region
    with pytest.raises(StartOutsideRegionError, match="lies outside the region"):
        holding(region, torch.full((2,), 2.0))


def test_a_region_by_name_is_that_of_the_class() -> None:
    check_choice(None, "class", has_beropt=False)
    check_choice(1, "class", has_beropt=True)  # what a layer's region and the class's have in common
    with pytest.raises(ConfigError, match="got region='digit'; expected 'class'"):
        check_choice(None, "digit", has_beropt=False)
    with pytest.raises(ConfigError, match="settings of BerOpt and a region"):
        check_choice(None, "class", has_beropt=True)


def test_what_flows_past_a_layer_is_that_of_what_is_held() -> None:
    judge = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), linear([[1.0, 0.0], [0.0, 1.0]]))
    told = {}
    for hold in ("image", "logits"):
        problem = Problem.of(
            Pixels((1, 1, 2)),
            [torch.ones(2) / 2],
            [0],
            "classifier.2",
            latent=None,
            geometry="auto",
            model_name=None,
            classifier=judge,
            hold=hold,
        )
        told[hold] = problem.bypass
    assert told["logits"] is None and told["image"] is not None and "bypassed" in told["image"]
