# SPDX-License-Identifier: MIT
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError
from egbas.exploration.explore import explore
from egbas.exploration.facts import Facts, draws_for_deviation, facts_of
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.samplers.chains import Chains
from egbas.samplers.diagnostics import Diagnostics
from egbas.zoo.models import Model, load_model

SPACE = LatentSpace(shape=(2,))


def network() -> Network:
    """Images (1, 1, 3): the two coordinates and a constant, from a query at (1, 1) of norm sqrt(2)."""
    module = nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (1, 1, 3)))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        module[0].bias.zero_()
    return Network(module.eval(), (2,))


def chains(latents: torch.Tensor, n_chains: int = 16) -> Chains:
    return Chains(
        latents=latents,
        chain=torch.arange(n_chains).repeat_interleave(len(latents) // n_chains),
        status="CONVERGED",
        evaluations=0,
        diagnostics=Diagnostics(r_hat=1.0, ess=1.0, worst="", n_chains=n_chains, n_draws=1),
    )


def facts(latents: torch.Tensor, seed: int = 0, **asked: Any) -> Facts:
    rng = torch.Generator().manual_seed(seed)
    found = facts_of(network(), SPACE, torch.ones(2), chains(latents), rng=rng, **asked)
    assert found is not None
    return found


def draws(n: int, *scale: float) -> Tensor:
    """Draws of the prior with these deviations."""
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(1)).double() * torch.tensor(scale)


def test_freedom_is_the_deviation_over_that_of_the_prior() -> None:
    found = facts(draws(4800, 0.5, 0.1))
    assert found.freedom[0, 0, :2].tolist() == pytest.approx([0.5, 0.1], rel=0.05)
    assert math.isnan(found.freedom[0, 0, 2])  # a pixel that never changes is neither held nor free
    assert found.mean == pytest.approx(0.3, rel=0.05)
    assert found.low < 0.3 < found.high
    assert found.high - found.low < 0.03


def test_the_interval_holds_the_mean_in_nineteen_of_twenty() -> None:
    rng = torch.Generator().manual_seed(2)
    hits = 0
    for seed in range(40):
        found = facts(torch.randn(320, 2, generator=rng).double() * 0.5, seed)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 33  # 38 expected; fewer than 33 in one of 500


def test_distance_is_relative_to_the_norm_of_the_querys_image() -> None:
    angles = torch.linspace(0, 2 * math.pi, 161).double()[:-1]
    ring = 1 + 0.2 * math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], dim=1)
    distance = facts(ring).distance
    assert (distance.q05, distance.q50, distance.q95) == pytest.approx((0.2, 0.2, 0.2), rel=1e-5)


def test_too_few_samples_say_nothing() -> None:
    assert facts_of(network(), SPACE, torch.ones(2), chains(torch.zeros(0, 2)), rng=torch.Generator()) is None


def test_the_freedom_of_a_focus_and_of_the_rest() -> None:
    z = draws(4800, 0.5, 0.1)
    assert facts(z, focus=torch.tensor([[True, False, False]])).focus == pytest.approx((0.5, 0.1), rel=0.05)
    assert facts(z, focus=torch.tensor([[False, True, True]])).focus == pytest.approx((0.1, 0.5), rel=0.05)
    assert facts(z).focus is None


def test_what_never_changes_around_a_focus_has_no_freedom() -> None:
    found = facts(draws(320, 0.5, 0.5), focus=torch.tensor([[True, True, False]]))
    assert found.focus is not None and found.of_focus is not None
    assert found.focus[0] == pytest.approx(0.5, abs=0.1)
    assert (found.focus[1], found.of_focus[1]) == (None, "unknown (no pixel changes)")


def test_a_focus_changes_nothing_else() -> None:
    z = draws(320, 0.5, 0.1)
    one, other = facts(z), facts(z, focus=torch.tensor([[True, False, False]]))
    assert (one.mean, one.low, one.high, one.distance, one.scores) == (
        other.mean,
        other.low,
        other.high,
        other.distance,
        other.scores,
    )


def test_judges_score_the_query_the_region_and_the_prior() -> None:
    def first(images: Tensor) -> dict[str, Tensor]:
        return {"first": images[:, 0, 0, 0], "constant": torch.ones(len(images))}

    found = facts(draws(4800, 0.5, 0.1), judges=[first]).scores
    assert list(found) == ["brightness", "contrast", "first", "constant"]
    score = found["first"]
    assert score.query == 1.0
    assert (score.region_mean, score.prior_mean) == pytest.approx((0.0, 0.0), abs=0.05)
    assert (score.region_deviation, score.prior_deviation) == pytest.approx((0.5, 1.0), rel=0.05)
    assert score.freedom == pytest.approx((1.25 / 2) ** 0.5, rel=0.05)  # both have a mean that is 1 from the query's
    assert found["constant"].word == "constant"
    assert found["brightness"].query == pytest.approx(2 / 3)


def test_judges_see_each_image_once_and_in_order() -> None:
    seen: list[Tensor] = []

    def look(images: Tensor) -> dict[str, Tensor]:
        seen.append(images)
        return {"first": images[:, 0, 0, 0]}

    z = draws(320, 0.5, 0.1)
    facts(z, judges=[look])
    torch.testing.assert_close(torch.cat(seen)[1:321, 0, 0, 0].double(), z[:, 0], rtol=0, atol=1e-6)
    assert len(torch.cat(seen)) == 320 + 320 + 1  # as many of the prior, and the query's


def test_distances_in_features() -> None:
    def doubled(images: Tensor) -> Tensor:
        return 2 * images[:, 0, 0, :1]  # a row for each; 2 for the query

    z = torch.ones(160, 2).double()
    z[:, 0] += torch.tensor([0.25, -0.25]).repeat(80)
    found = facts(z, features=doubled).feature_distance
    assert found is not None
    assert (found.q05, found.q50, found.q95) == pytest.approx((0.25, 0.25, 0.25))
    assert facts(z).feature_distance is None


def test_features_of_any_shape_are_compared_as_pixels_are() -> None:
    z = draws(320, 0.5, 0.1)
    found = facts(z, features=lambda images: images)
    assert found.feature_distance == found.distance


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda images: None, "the features returned NoneType for 1 images"),
        (lambda images: images.flatten()[:2], r"the features returned torch\.float32 \(2,\) for 1 images"),
        (lambda images: images.log(), "NaN, infinite or above"),
    ],
)
def test_features_in_another_form_are_refused(features: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        facts(draws(32, 0.5, 0.1), features=features)


def test_features_without_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="the features returned"):
        facts(draws(32, 0.5, 0.1), features=lambda images: images.mean())


def test_judges_in_another_form_are_refused() -> None:
    with pytest.raises(ConfigError, match="gave 'all' as"):
        facts(draws(32, 0.5, 0.1), judges=[lambda images: {"all": images.mean()}])


def test_the_words_are_those_of_areas_and_scores() -> None:
    module = nn.Sequential(nn.Linear(2, 9), nn.Unflatten(1, (1, 3, 3)))  # the top is the first coordinate
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 6))
        module[0].bias.zero_()
    z = draws(4800, 0.1, 1.0)
    found = facts_of(
        Network(module.eval(), (2,)), SPACE, torch.ones(2), chains(z), rng=torch.Generator().manual_seed(0)
    )
    assert found is not None
    assert found.words.startswith("The top stays (freedom 0.10); the middle row and the bottom move (freedom ")
    assert "brightness" in found.words
    assert facts(z).words.startswith("The whole image moves in part (freedom 0.5")  # three pixels in a row: one area


@pytest.mark.parametrize(("each", "again"), [(1, 0.0), (6, 0.9)])
def test_of_many_runs_most_intervals_hold_the_truth(each: int, again: float) -> None:
    """Sixteen chains, of one draw or of six that hardly move: the images' deviations are half of the prior's."""
    module = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (1, 2, 3)))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0], [2.0, 1.0], [1.0, 2.0]]))
        module[0].bias.fill_(1.0)
    found = []
    for seed in range(40):
        rng = torch.Generator().manual_seed(seed)
        z = [0.5 * torch.randn(16, 2, generator=rng).double()]
        for _ in range(each - 1):
            z.append(again * z[-1] + 0.5 * math.sqrt(1 - again**2) * torch.randn(16, 2, generator=rng).double())
        drawn = chains(torch.stack(z, dim=1).flatten(0, 1))
        found.append(facts_of(Network(module.eval(), (2,)), SPACE, torch.zeros(2), drawn, rng=rng))
    ends = torch.tensor([(one.low, one.mean, one.high) for one in found if one is not None])
    assert len(ends) == 40
    holds = (ends[:, 0] <= 0.5) & (ends[:, 2] >= 0.5)
    assert holds.double().mean() > 0.82  # 0.95 less three deviations of 40 tosses, and what few chains do not tell


def test_freedom_of_few_draws_of_the_prior_is_one_on_average() -> None:
    means = [
        facts_of(network(), SPACE, torch.ones(2), chains(z, 4), rng=torch.Generator()).mean  # pyright: ignore
        for z in torch.randn(100, 4, 2, generator=torch.Generator().manual_seed(1)).double()
    ]
    # c4(4): the share of their deviation that four normal draws show on average
    assert sum(means) / len(means) == pytest.approx(0.921, abs=0.08)


def test_one_chain_has_no_interval() -> None:
    found = facts_of(network(), SPACE, torch.ones(2), chains(draws(320, 0.5, 0.1), 1), rng=torch.Generator())
    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_few_samples_have_neither_an_interval_nor_words() -> None:
    found = facts_of(network(), SPACE, torch.ones(2), chains(draws(8, 0.5, 0.1), 8), rng=torch.Generator())
    assert found is not None
    assert (found.low, found.high, found.words) == (None, None, "")
    assert found.interval == "(no interval: too few samples)"


def test_pixels_that_hardly_ever_change_have_no_interval() -> None:
    class Rare(nn.Module):
        """One pixel, which changes above a threshold only."""

        threshold = 0.0

        def forward(self, z: Tensor) -> Tensor:
            return 1 + (z[:, :1, None, None] - self.threshold).relu()

    net, latents = Rare().eval(), torch.zeros(16, 2).double()
    first = draws_for_deviation(Network(net, (2,)), SPACE, torch.zeros(2), 16)[:, 0].sort().values

    def found() -> Facts:
        rng = torch.Generator().manual_seed(0)
        told = facts_of(Network(net, (2,)), SPACE, torch.zeros(2), chains(latents), rng=rng)
        assert told is not None
        return told

    net.threshold = float(first[-2:].mean())  # one draw in thousands: a third of the resamples are without it
    assert (found().low, found().high) == (None, None)
    net.threshold = float(first[-40:-38].mean())
    assert (found().low, found().high) == (0.0, 0.0)


def test_the_prior_is_the_same_for_every_run() -> None:
    class Dots(nn.Module):
        """Nine pixels that change seldom: each above 2 of its own coordinate."""

        def forward(self, z: Tensor) -> Tensor:
            return 1 + (z - 2).relu().view(-1, 1, 3, 3)

    space, z0 = LatentSpace(shape=(9,)), torch.full((9,), 2.5)
    spread = torch.arange(1, 10).double() / 10
    z = 2.5 + 0.1 * spread * torch.randn(320, 9, generator=torch.Generator().manual_seed(0)).double()
    maps = []
    for seed in range(2):
        rng = torch.Generator().manual_seed(seed)
        one = facts_of(Network(Dots().eval(), (9,)), space, z0, chains(z, 16), rng=rng)
        assert one is not None
        maps.append(one.freedom)
    assert torch.equal(*maps)  # the samples alone tell two runs apart
    # E[x^2] - E[x]^2 of x = max(Z - 2, 0), by the normal density and its tail.
    density, tail = math.exp(-2) / math.sqrt(2 * math.pi), math.erfc(2 / math.sqrt(2)) / 2
    variance = 5 * tail - 2 * density - (density - 2 * tail) ** 2
    expected = z.std(dim=0) / math.sqrt(variance)
    assert (maps[0].flatten().double() / expected - 1).abs().max() < 0.25  # 115 of 5,000 draws change a pixel


@pytest.mark.parametrize("period", [2, 16])
def test_the_interval_of_a_large_image_with_a_pattern_is_that_of_its_mean(period: int) -> None:
    class Stripes(nn.Module):
        """Every so many pixels follow the first coordinate, all others the second."""

        def forward(self, z: Tensor) -> Tensor:
            first = (torch.arange(128 * 128) % period == 0).view(1, 1, 128, 128)
            return torch.where(first, z[:, :1, None, None], z[:, 1:, None, None])

    z = draws(480, 0.9, 0.1)
    found = facts_of(
        Network(Stripes().eval(), (2,)), SPACE, torch.ones(2), chains(z), rng=torch.Generator().manual_seed(0)
    )
    assert found is not None and found.low is not None and found.high is not None
    assert found.low < found.mean < found.high
    assert found.low < 0.9 / period + 0.1 * (1 - 1 / period) < found.high


def density_of(model: Model, z: torch.Tensor) -> torch.Tensor:
    told = model.latent.log_density(z)
    assert told is not None
    return told.double().exp()


def moments(net: Network, z: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Deviation of each pixel, (c, h, w), and the images, under weights."""
    images = torch.cat(list(net.image_batches(z))).double()
    share = (weights / weights.sum()).view(-1, 1, 1, 1)
    mean = (share * images).sum(dim=0)
    return (share * (images - mean).square()).sum(dim=0).sqrt(), images


def grid(low: torch.Tensor, high: torch.Tensor, n: int) -> torch.Tensor:
    steps = (torch.arange(n) + 0.5) / n
    return torch.cartesian_prod(low[0] + (high - low)[0] * steps, low[1] + (high - low)[1] * steps)


@pytest.mark.parametrize(("layer", "seeds"), [(1, (8,)), (2, (7,))])
def test_freedom_and_distance_agree_with_a_grid_of_the_plane(layer: int, seeds: tuple[int, ...]) -> None:
    model = load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, torch.Generator().manual_seed(7))[0]
    runs = [explore(model.generator, z0, layer, rng=seed, samples=200, beropt=BerOptConfig(level=6)) for seed in seeds]
    everywhere = grid(torch.tensor([-4.0, -4.0]), torch.tensor([4.0, 4.0]), 80)
    everywhere = everywhere[model.latent.contains(everywhere)]
    prior, _ = moments(runs[0].network, everywhere, density_of(model, everywhere))
    for run in runs:  # another seed has another set, and another region
        assert run.exact is not None and run.exact.has_converged and run.facts is not None
        z = run.exact.latents
        room = 0.15 * (z.amax(dim=0) - z.amin(dim=0))
        fine = grid(z.amin(dim=0) - room, z.amax(dim=0) + room, 90).float()
        fine = fine[run.region.contains(fine) & model.latent.contains(fine)]
        weights = density_of(model, fine)
        deviation, images = moments(run.network, fine, weights)
        truth = float(deviation.sum() / prior.sum())
        width = run.facts.high - run.facts.low
        assert run.facts.low - width < truth < run.facts.high + width, truth
        query = run.query_image.double()
        far = (images - query).flatten(1).norm(dim=1) / query.norm()
        order = far.argsort()
        reached = weights[order].cumsum(0) / weights.sum()
        for share, told in (
            (0.05, run.facts.distance.q05),
            (0.5, run.facts.distance.q50),
            (0.95, run.facts.distance.q95),
        ):
            below = float(reached[(far[order] <= told).sum().clamp(min=1) - 1])
            assert abs(below - share) < 0.08
