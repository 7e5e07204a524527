# SPDX-License-Identifier: MIT
"""Algorithm 3 as a whole: on a network by hand and on the embedded models, and what it refuses."""

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.beropt import BerOptConfig
from egbas.beropt.config import DEFAULT_LEVEL
from egbas.errors import ConfigError, LayerNotFoundError, NetworkError, ShapeError
from egbas.exploration.record import state_sha256
from egbas.exploration.result import Exploration
from egbas.latent import LatentSpace, Normal, Uniform
from egbas.region.kept_units import LinearLayer
from egbas.samplers.gbrrt import GbRrtConfig
from tests.problems import (
    HALVES_QUERY,
    LEFT,
    QUERY,
    RIGHT,
    BoxNet,
    HalvesNet,
    ManyOutputs,
    OctantNet,
    RedundantUnit,
    ScaleInvariantNet,
    linear,
    pair,
)

QUICK = BerOptConfig(sparsity=0.2, anneal_steps=100, max_steps=300)
SHORT = GbRrtConfig(iterations=200)


def explore_box(**changes: object) -> Exploration:
    settings = {"rng": 3, "beropt": QUICK, "gbrrt": SHORT, "samples": 0} | changes
    return egbas.explore(BoxNet(), torch.tensor([0.2, -0.3]), 1, **settings)  # type: ignore[arg-type]


def test_every_sample_lies_in_the_box() -> None:
    run = explore_box()
    # Every unit feeds the image with a similar weight, so all four are kept and the region is the square.
    assert run.beropt.units.tolist() == [0, 1, 2, 3]
    assert run.latents.abs().max() <= 1
    assert len(run.latents) > 20
    assert run.certificate.is_valid
    assert run.certificate.n_samples == len(run.latents)
    assert torch.equal(run.latents[0], run.query)


@pytest.mark.parametrize("name", ["dcgan-mnist-2d", "dcgan-mnist"])
@pytest.mark.parametrize("layer", [1, 4])
def test_embedded_models(name: str, layer: int) -> None:
    model = egbas.load_model(name)
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
    run = egbas.explore(
        model.generator, z0, layer, rng=7, beropt=BerOptConfig(anneal_steps=60, max_steps=60), gbrrt=SHORT, samples=0
    )
    assert run.latent == model.latent  # carried by the generator
    assert run.layer.path == f"relu{layer}"
    assert run.certificate.is_valid
    assert run.certificate.dtype == "float64"
    assert run.region.contains(run.latents).all()
    assert run.images().shape == (len(run.latents), 1, 28, 28)
    torch.testing.assert_close(run.images()[0], run.query_image, rtol=1e-4, atol=1e-5)
    distance = (run.masked_image - run.query_image).norm() / run.query_image.norm()
    assert distance.item() == pytest.approx(run.beropt.fidelity, abs=1e-4)


def test_the_same_seed_repeats_the_run() -> None:
    first, second, other = explore_box(), explore_box(), explore_box(rng=4)
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.theta, second.theta)
    assert not torch.equal(first.latents[1], other.latents[1])


def test_a_generator_gives_the_seed_and_the_seed_repeats_it() -> None:
    first = explore_box(rng=torch.Generator().manual_seed(0))
    assert torch.equal(first.latents, explore_box(rng=first.seed).latents)


def test_the_window_does_not_change_the_run() -> None:
    runs = [explore_box(gbrrt=GbRrtConfig(iterations=200, window=window)) for window in (1, 32, None)]
    assert all(torch.equal(runs[0].latents, run.latents) for run in runs[1:])


def test_defaults_follow_the_region_within_the_latent_space() -> None:
    run = explore_box(latent=LatentSpace(shape=(2,), prior="uniform", bound=2.0))
    assert 1.0 < run.tree.half_width < 2.0  # the corner of the square lies farthest from the query
    small = explore_box(latent=LatentSpace(shape=(2,), prior="uniform", bound=0.5))
    assert small.tree.half_width == 2 * 0.5  # the width of the support
    assert run.config()["gbrrt"]["step_size"] == run.tree.step_size > 0
    given = explore_box(gbrrt=GbRrtConfig(iterations=50, step_size=0.05, half_width=0.5))
    assert (given.tree.step_size, given.tree.half_width) == (0.05, 0.5)


def test_the_model_is_left_as_it_was() -> None:
    net = BoxNet()
    before = copy.deepcopy(net.state_dict())
    egbas.explore(net, torch.zeros(2), 1, rng=0, beropt=QUICK, gbrrt=SHORT, samples=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_metrics_count_every_iteration() -> None:
    run = explore_box()
    metrics = run.metrics()
    assert metrics["iterations"] == 200
    assert metrics["samples"] - 1 + metrics["rejected_outside"] + metrics["rejected_too_close"] == 200
    assert metrics["certificate"]["n_inside"] == metrics["samples"]
    assert set(metrics["seconds"]) == {"cut", "beropt", "gbrrt", "certificate"}
    assert metrics["left_support"] == 0


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1), (1, 2)])
def test_a_query_of_any_shape_of_the_right_size(shape: tuple[int, ...]) -> None:
    run = egbas.explore(
        BoxNet(), torch.zeros(shape), 1, rng=0, latent=LatentSpace(shape=(2,)), beropt=QUICK, gbrrt=SHORT, samples=0
    )
    assert run.query.shape == (2,)


@pytest.mark.parametrize(
    "query",
    [
        torch.zeros(3),
        torch.tensor([0.0, float("nan")]),
        torch.tensor([0.0, float("inf")]),
        torch.tensor([0, 0]),
    ],
)
def test_a_bad_query(query: Tensor) -> None:
    with pytest.raises(ShapeError):
        egbas.explore(BoxNet(), query, 1, rng=0, latent=LatentSpace(shape=(2,)))


def test_an_unknown_layer() -> None:
    with pytest.raises(LayerNotFoundError):
        egbas.explore(BoxNet(), torch.zeros(2), 9, rng=0)


def test_train_mode_is_refused() -> None:
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(NetworkError, match="train mode"):
        egbas.explore(net, torch.zeros(2), 1, rng=0)


def test_an_empty_set_says_what_to_change() -> None:
    with pytest.raises(ConfigError, match="lower the sparsity"):
        egbas.explore(RedundantUnit(), torch.ones(2), 1, rng=0, beropt=BerOptConfig(sparsity=1000.0))


def test_warnings_tell_what_limits_the_run() -> None:
    nothing = explore_box(gbrrt=GbRrtConfig(iterations=20, step_size=50.0))
    assert len(nothing.latents) == 1
    assert any("no candidate was accepted" in warning for warning in nothing.warnings)
    inner = explore_box(gbrrt=GbRrtConfig(iterations=20, step_size=0.001, half_width=0.1))
    assert any("hardly met" in warning for warning in inner.warnings)
    crowded = explore_box(gbrrt=GbRrtConfig(iterations=300, step_size=0.5, half_width=0.4))
    assert any("within a step of another node" in warning for warning in crowded.warnings)
    outside = explore_box(latent=LatentSpace(shape=(2,), prior="uniform", bound=0.1))
    assert any("outside the support" in warning for warning in outside.warnings)


def test_the_checksum_sees_weights_names_and_shapes() -> None:
    net = BoxNet()
    same = state_sha256(BoxNet())
    assert state_sha256(net) == same
    with torch.no_grad():
        next(net.parameters())[0, 0] += 1
    assert state_sha256(net) != same


def test_the_snippet_of_the_readme(tmp_path: Path) -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, torch.Generator().manual_seed(7))[0]
    with torch.no_grad():  # as callers may have it
        run = egbas.explore(model.generator, z0, layer=2, rng=7, beropt=QUICK, gbrrt=SHORT, samples=0)
    assert run.model_name == "dcgan-mnist-2d"
    again = egbas.load_run(run.save(tmp_path / "seven"))
    assert torch.equal(again.latents, run.latents)
    assert again.region.rounding == run.region.rounding
    assert again.region.contains(run.latents).all()


def test_inference_mode_of_the_caller_does_no_harm() -> None:
    net = BoxNet()
    with torch.inference_mode():
        run = egbas.explore(net, torch.zeros(2), 1, rng=0, beropt=QUICK, gbrrt=SHORT, samples=0)
    assert run.certificate.is_valid


def test_a_layer_without_an_active_unit_says_so() -> None:
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)).eval()
    with pytest.raises(ConfigError, match="no unit of layer '1' is active at this query"):
        egbas.explore(net, torch.zeros(2), 1, rng=0, samples=0)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("rng", [-1, 2**63, True, None, "7"])
def test_a_seed_out_of_range(rng: object) -> None:
    with pytest.raises(ConfigError, match="seed"):
        egbas.explore(BoxNet(), torch.zeros(2), 1, rng=rng)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [(None, ConfigError, "neither a layer nor a region"), (1.0, LayerNotFoundError, "expected a number")],
)
def test_what_is_no_layer(layer: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        egbas.explore(BoxNet(), torch.zeros(2), layer, rng=0)  # type: ignore[arg-type]


def explore_octant(**changes: object) -> Exploration:
    settings = {"rng": 3, "beropt": QUICK, "gbrrt": SHORT, "samples": 0} | changes
    return egbas.explore(OctantNet(), torch.tensor([2.0, 1.5, 2.5]), 1, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_carried", [False, True])
def test_a_generator_that_ignores_the_length_of_its_latent_is_explored_on_a_sphere(is_carried: bool) -> None:
    net, z0 = OctantNet(), torch.tensor([2.0, 1.5, 2.5])
    if is_carried:
        net.latent = LatentSpace(shape=(3,), prior="uniform", bound=4.0)  # says nothing of the geometry
    run = egbas.explore(net, z0, 1, rng=3, beropt=QUICK, gbrrt=GbRrtConfig(iterations=1000), samples=0)
    assert run.latent.geometry == run.config()["latent"]["geometry"] == "sphere"
    assert run.latent.prior == (Uniform(4.0) if is_carried else Normal())
    assert run.beropt.units.tolist() == [0, 1, 2]
    assert torch.equal(run.latents[0], z0)
    radius = z0.norm()
    torch.testing.assert_close(run.latents.norm(dim=1), radius.expand(len(run.latents)))
    assert (run.latents >= 0).all()
    assert run.certificate.is_valid
    assert run.certificate.dtype == "float64"
    # The region is the octant, an eighth of the sphere, and the tree comes near all of it.
    everywhere = run.geometry.targets(8000, math.inf, rng=torch.Generator().manual_seed(0))
    inside = everywhere[run.region.contains(everywhere)]
    assert len(inside) / 8000 == pytest.approx(1 / 8, abs=5 * (7 / 64 / 8000) ** 0.5)  # five standard errors
    gaps = torch.cdist(inside, run.latents).min(dim=1).values
    assert (gaps < 0.15 * radius).float().mean() > 0.95


def test_the_geometry_can_be_asked_for() -> None:
    flat = explore_octant(geometry="flat")
    assert flat.latent.geometry == "flat"
    assert (flat.latents.norm(dim=1) - flat.query.norm()).abs().max() > 0.1
    forced = explore_box(geometry="sphere")
    assert forced.latent.geometry == "sphere"
    torch.testing.assert_close(forced.latents.norm(dim=1), forced.query.norm().expand(len(forced.latents)))
    assert forced.certificate.is_valid
    assert explore_box().latent.geometry == "flat"
    said = explore_box(latent=LatentSpace(shape=(2,), geometry="sphere"))
    assert torch.equal(said.latents, forced.latents)


def test_the_window_does_not_change_a_run_on_a_sphere() -> None:
    def latents(window: int | None) -> Tensor:
        net = ScaleInvariantNet(64).double()
        z0 = torch.randn(64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        gbrrt = GbRrtConfig(iterations=200, window=window)
        return egbas.explore(net, z0, 1, rng=0, beropt=QUICK, gbrrt=gbrrt, samples=0).latents

    first = latents(1)
    assert 20 < len(first) < 200
    assert all(torch.equal(first, latents(window)) for window in (7, 32, None))


def test_a_sphere_needs_a_query_that_is_not_zero() -> None:
    with pytest.raises(ConfigError, match="query is zero"):
        egbas.explore(OctantNet(), torch.zeros(3), 1, rng=0)


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_geometry() -> None:
    with pytest.raises(ConfigError, match="geometry 'round' is unknown"):
        explore_box(geometry="round")


@pytest.mark.parametrize(("layer", "samples"), [(2, 0), (1, 5)])  # exact samples of layer 2 take long
def test_many_queries_give_what_each_gives_alone(layer: int, samples: int) -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    queries = model.latent.sample(2, rng=torch.Generator().manual_seed(5))
    settings = {"beropt": QUICK, "gbrrt": egbas.GbRrtConfig(iterations=60), "samples": samples}
    many = egbas.explore_many(model.generator, queries, layer, rng=[4, 5], **settings)
    for query, seed, run in zip(queries, (4, 5), many, strict=True):
        alone = egbas.explore(model.generator, query, layer, rng=seed, **settings)
        assert run.seed == seed
        assert torch.equal(run.theta, alone.theta)
        assert torch.equal(run.latents, alone.latents)
        assert torch.equal(run.parents, alone.parents)
        assert torch.equal(run.rejected, alone.rejected)
        assert run.certificate == alone.certificate
        assert set(run.seconds) == set(alone.seconds)
        assert list(run.samples) == list(alone.samples)
        if run.exact is not None:
            assert torch.equal(run.exact.latents, alone.exact.latents)
            assert (run.facts.mean, run.mass.log10) == (alone.facts.mean, alone.mass.log10)


def test_seeds_of_many_queries() -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    queries = model.latent.sample(2, rng=torch.Generator().manual_seed(5))
    for rng in ([1], [1, 2, 3]):
        with pytest.raises(ConfigError, match="2 queries; expected"):
            egbas.explore_many(model.generator, queries, 2, rng=rng)
    with pytest.raises(ConfigError, match="at least one"):
        egbas.explore_many(model.generator, [], 2, rng=[])
    settings = {"beropt": QUICK, "gbrrt": egbas.GbRrtConfig(iterations=5), "samples": 0}
    drawn = egbas.explore_many(model.generator, queries, 1, rng=torch.Generator().manual_seed(0), **settings)
    again = egbas.explore(model.generator, queries[0], 1, rng=torch.Generator().manual_seed(0), **settings)
    assert drawn[0].seed == again.seed != drawn[1].seed


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("layer", [2, 4])
def test_measured_times_change_no_result(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = egbas.load_model("dcgan-mnist-2d")
    queries = model.latent.sample(2, rng=torch.Generator().manual_seed(7))
    beropt, found = BerOptConfig(anneal_steps=60, max_steps=60), set()
    for seconds, n_cores in ((0.0, 1), (1e-3, 4), (10.0, 3)):  # a quick machine, one of many cores, a busy one
        monkeypatch.setattr(LinearLayer, "seconds", seconds)
        for place in ("machine.threads", "samplers.gbrrt.nearest.search", "samplers.gbrrt.many"):
            monkeypatch.setattr(f"egbas.{place}.idle_cores", lambda n=n_cores: n)
        runs = egbas.explore_many(model.generator, queries, layer, rng=[7, 8], beropt=beropt, gbrrt=SHORT, samples=0)
        for run in runs:
            tensors = (run.latents, run.tree.parents, run.tree.rejected, run.beropt.theta, run.beropt.losses)
            found.add((run.seed, *[tensor.numpy().tobytes() for tensor in tensors], run.region.rounding))
    assert len(found) == len(queries)


# Levels, focus, judges, features


def explore_halves(backdrop: float = 0.0, **changes: object) -> Exploration:
    settings = {"rng": 3, "gbrrt": SHORT, "samples": 0} | changes
    return egbas.explore(HalvesNet(backdrop), HALVES_QUERY, 1, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "level"), [({}, DEFAULT_LEVEL), ({"level": 2}, 2), ({"beropt": BerOptConfig(level=3)}, 3)]
)
def test_a_level_decides_unless_there_are_settings(changes: dict[str, object], level: int) -> None:
    run = explore_halves(**changes)
    assert run.level == run.config()["level"] == run.config()["beropt"]["level"] == level
    assert run.beropt.fidelity <= egbas.error_of(level)
    assert run.beropt.units.tolist() == [0, 1, 2, 3]


def test_settings_without_a_level_are_the_papers() -> None:
    run = explore_halves(beropt=QUICK)
    assert (run.level, run.config()["level"]) == (None, None)
    assert run.beropt.config.sparsity == QUICK.sparsity


def test_a_coarse_level_keeps_less() -> None:
    assert len(explore_halves(level=1).beropt.units) == 3


def test_a_level_beside_a_sparsity_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got level=3 and a sparsity of 0\.2"):
        explore_halves(level=3, beropt=QUICK)
    with pytest.raises(ConfigError, match="got level 9"):
        explore_halves(level=9)


def test_an_empty_set_of_a_level_says_to_choose_a_finer_one() -> None:
    with pytest.raises(ConfigError, match=r"is empty at level 5: .* choose a finer level"):
        explore_halves(backdrop=10.0, level=5)
    assert explore_halves(backdrop=10.0, level=8).beropt.units.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("focus", "units"), [(LEFT, [0, 1]), (RIGHT, [2, 3])])
def test_a_focus_keeps_its_units_and_holds_its_part(focus: tuple[int, ...], units: list[int]) -> None:
    run = explore_halves(focus=focus, samples=300)
    assert run.beropt.units.tolist() == units
    assert run.focus is not None and run.config()["focus"] == list(focus)
    # A pixel is relu(1 - z) for a normal z, of deviation 0.867; where |z| <= 1 it is 1 - z, of deviation 0.540.
    assert run.facts.focus == pytest.approx((0.540 / 0.867, 1.0), abs=0.12)
    assert run.metrics()["region"]["focus"] == list(run.facts.focus)
    assert run.mass.low < math.log10(math.erf(0.5**0.5)) < run.mass.high


def test_a_focus_may_be_a_mask() -> None:
    mask = torch.zeros(2, 4, dtype=torch.bool)
    mask[:, :2] = True
    boxed, masked = explore_halves(focus=LEFT), explore_halves(focus=mask)
    assert torch.equal(boxed.theta, masked.theta)
    assert boxed.config() == masked.config()
    corner = torch.zeros(2, 4, dtype=torch.bool)
    corner[0, 0] = corner[1, 2] = True
    run = explore_halves(focus=corner)  # units 0 and 3
    assert run.beropt.units.tolist() == [0, 3]
    assert run.config()["focus"] == [0, 0, 3, 2]  # the box around it
    assert torch.equal(run.focus, corner)


def test_a_bad_focus_is_refused_and_so_is_one_beside_a_region() -> None:
    with pytest.raises(ConfigError, match="does not lie in the image of 4 x 2"):
        explore_halves(focus=(0, 0, 9, 9))
    for settings in ({"focus": LEFT}, {"level": 5}):
        with pytest.raises(ConfigError, match="settings of BerOpt and a region"):
            egbas.explore(HalvesNet(), HALVES_QUERY, region=explore_halves().region, rng=0, **settings)


def test_what_judges_and_features_say_is_in_the_facts_and_the_metrics() -> None:
    run = explore_halves(
        focus=LEFT,
        samples=300,
        judges=[
            lambda images: {"left": images[..., :2].mean(dim=(1, 2, 3)), "right": images[..., 2:].mean(dim=(1, 2, 3))}
        ],
        features=lambda images: images[..., :2].flatten(1),
    )
    scores = run.facts.scores
    # In the region the units of the left half are 1 - z and 1 + z, whose mean is 1 wherever z is.
    assert scores["left"].freedom == pytest.approx(0.0, abs=1e-3) and scores["left"].word == "held"
    assert scores["right"].freedom == pytest.approx(1.0, abs=0.25) and scores["right"].word == "free"
    assert run.facts.feature_distance.q95 < run.facts.distance.q95
    region = run.metrics()["region"]
    assert region["judges"]["left"] == vars(scores["left"])
    assert region["judges"].keys() == {"brightness", "contrast", "left", "right"}
    assert region["feature_distance"] == vars(run.facts.feature_distance)
    assert region["words"] == run.facts.words != ""


def no_score(images: Tensor) -> dict[str, Tensor]:
    return {"nothing": torch.zeros(len(images), dtype=torch.float32)}


@pytest.mark.parametrize("settings", [{"samples": 0}, {"samplers": ["tree"]}, {"samplers": ["tree", "uniform"]}])
def test_judges_without_exact_samples_are_refused(settings: dict[str, object]) -> None:
    for look in ({"judges": [no_score]}, {"features": lambda images: images}):
        with pytest.raises(ConfigError, match=r"got (judges|features), which need exact samples .*this run draws none"):
            explore_halves(**({"samples": 20} | look | settings))


def test_a_judge_that_fails_is_told_before_any_work() -> None:
    told: list[str] = []

    def fails(images: Tensor) -> dict[str, Tensor]:
        raise ValueError("not today")

    with pytest.raises(ConfigError, match="not today"):
        explore_halves(samples=20, judges=[fails], progress=lambda stage, *others: told.append(stage))
    assert set(told) <= {"cut"}


def test_the_names_of_judges_and_features_are_in_the_config() -> None:
    run = explore_halves(samples=20, judges=[no_score], features=torch.nn.Identity())
    assert run.config()["judges"] == ["tests.exploration.test_explore:no_score"]
    assert run.config()["features"] == "torch.nn.modules.linear:Identity()"


def test_judges_change_nothing_but_the_scores() -> None:
    one = explore_halves(samples=20)
    other = explore_halves(samples=20, judges=[lambda images: {"a": images[:, 0, 0, 0]}])
    assert torch.equal(one.exact.latents, other.exact.latents)
    assert torch.equal(one.latents, other.latents)
    assert (one.facts.mean, one.facts.low, one.facts.high) == (other.facts.mean, other.facts.low, other.facts.high)


def test_many_queries_have_their_own_levels_and_scores() -> None:
    many = egbas.explore_many(
        HalvesNet(),
        torch.stack([HALVES_QUERY, -HALVES_QUERY]),
        1,
        rng=[3, 4],
        level=1,
        focus=LEFT,
        gbrrt=SHORT,
        samples=20,
    )
    assert [run.level for run in many] == [1, 1]
    alone = egbas.explore(HalvesNet(), HALVES_QUERY, 1, rng=3, level=1, focus=LEFT, gbrrt=SHORT, samples=20)
    assert torch.equal(many[0].theta, alone.theta)
    assert many[0].facts.focus == alone.facts.focus
    assert many[0].facts.scores == alone.facts.scores


def test_the_mass_of_a_deeper_layer_is_measured_when_it_is_asked_for() -> None:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    z0 = torch.randn(10, generator=torch.Generator().manual_seed(1))
    settings = {"rng": 1, "samples": 20, "level": 6, "gbrrt": GbRrtConfig(iterations=20)}
    assert egbas.explore(net, z0, 2, **settings).mass is None  # type: ignore[arg-type]
    told: list[str] = []
    run = egbas.explore(net, z0, 2, **settings, mass=True, progress=lambda stage, *rest: told.append(stage))  # type: ignore[arg-type]
    assert run.mass is not None
    share = run.region.contains(torch.randn(400_000, 10, generator=torch.Generator().manual_seed(2))).double().mean()
    assert share > 0 and run.mass.low - 0.1 < float(share.log10()) < run.mass.high + 0.1
    assert run.metrics()["region"]["log10_mass"] == run.mass.log10
    with pytest.raises(ConfigError, match="got mass, which need exact samples of the prior"):
        egbas.explore(net, z0, 2, **(settings | {"samples": 0}), mass=True)  # type: ignore[arg-type]


def test_which_output_is_explored_is_told_where_there_are_several() -> None:
    generator = ManyOutputs(pair)
    few = GbRrtConfig(iterations=20)
    run = egbas.explore(generator, QUERY, 1, rng=0, samples=0, gbrrt=few)
    assert "Output 0 is explored; choose another by --output 1" in run.warnings[0]
    chosen = egbas.explore(generator, QUERY, 1, rng=0, samples=0, gbrrt=few, output=-1)
    assert chosen.query_image.shape == (1, 2, 2)
    assert not [text for text in chosen.warnings if "may be the image" in text]


def _classified() -> tuple[nn.Module, nn.Module]:
    """Two pixels, of which the larger one is the class."""
    generator = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU(), nn.Unflatten(1, (1, 1, 2)))
    return generator, nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU())


def test_each_query_has_its_own_decision_region() -> None:
    generator, classifier = _classified()
    queries = [torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.5])]
    runs = egbas.explore_many(generator, queries, classifier=classifier, region="class", samples=0, rng=[0, 1, 2])
    assert [run.decision and run.decision.target_class for run in runs] == [0, 1, 0]
    assert all(run.layer is None and run.beropt is None and run.certificate.is_valid for run in runs)
    for run in runs:
        logits = run.generator(run.latents)["logits"]
        assert run.decision is not None
        assert bool((logits[:, run.decision.target_class] >= logits.amax(dim=1)).all())


@pytest.mark.parametrize(("hold", "kept"), [("image", [0, 1]), ("logits", [0, 1]), ("probabilities", [0, 1])])
def test_what_is_held_is_what_was_asked_for(hold: str, kept: list[int]) -> None:
    generator, classifier = _classified()
    run = egbas.explore(
        generator, torch.tensor([2.0, 1.0]), "generator.1", classifier=classifier, hold=hold, samples=0, rng=0
    )
    assert run.support.beropt.units.tolist() == kept
    assert run.held == (None if hold == "image" else hold)
    assert run.masked_image.shape == ((1, 1, 2) if hold == "image" else (2,))
    assert run.query_image.shape == (1, 1, 2)  # pictures are of the image, whatever is held


def test_logits_are_held_where_there_is_a_classifier() -> None:
    """The second pixel matters to the image, and not to a classifier that looks at the first alone."""
    generator, _ = _classified()
    blind = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [-1.0, 0.0]]))
    z0 = torch.tensor([2.0, 1.0])
    run = egbas.explore(generator, z0, "generator.1", classifier=blind, samples=0, rng=0)
    assert run.held == "logits" and run.support.beropt.units.tolist() == [0]
    assert egbas.explore(generator, z0, 1, samples=0, rng=0).support.beropt.units.tolist() == [0, 1]


def test_a_layer_within_a_decision_region() -> None:
    generator, classifier = _classified()
    z0 = torch.tensor([2.0, 1.0])
    run = egbas.explore(
        generator, z0, 1, classifier=classifier, region="class", samples=20, max_evaluations=2000, rng=0
    )
    assert run.decision is not None and run.decision.target_class == 0 and run.layer is not None
    for samples in run.samples.values():
        z = samples.latents.float()
        assert bool((z[:, 0] >= z[:, 1]).all()) and bool((z > 0).all())
    assert run.mass is not None and run.mass.low <= math.log10(1 / 8) <= run.mass.high  # half of a quarter
    assert run.config()["class"] == 0 and run.config()["region"] is None


def test_a_decision_region_needs_a_classifier_and_a_known_name() -> None:
    generator, classifier = _classified()
    z0 = torch.tensor([2.0, 1.0])
    with pytest.raises(ConfigError, match="region='class' without a classifier"):
        egbas.explore(generator, z0, region="class", rng=0)
    with pytest.raises(ConfigError, match="got hold='logits' without a layer"):
        egbas.explore(generator, z0, region="class", classifier=classifier, hold="logits", rng=0)
    with pytest.raises(ConfigError, match="which BerOpt is skipped"):
        egbas.explore(generator, z0, region="class", classifier=classifier, level=3, rng=0)
