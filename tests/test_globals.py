# SPDX-License-Identifier: MIT
"""What a caller has set for all of torch or numpy neither changes an answer nor breaks it, and is not changed."""

import ast
import contextlib
import dataclasses
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import egbas
from egbas.beropt import BerOptConfig
from egbas.network import Network

SOURCE = Path(__file__).parents[1] / "src" / "egbas"
FLOATS = {"rand", "randn", "zeros", "ones", "full", "linspace", "logspace", "eye", "empty", "tensor", "normal"}
TORCH = str(Path(torch.__file__).parent)
QUICK = BerOptConfig(sparsity=0.5, anneal_steps=30, max_steps=60)


class Ball:
    def contains(self, z: Tensor) -> Tensor:
        return z.norm(dim=1) < 3


def brightest(images: Tensor) -> dict[str, list[float]]:
    return {"brightest": images.flatten(1).amax(dim=1).tolist()}


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype  # egbas has left it alone
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "a default device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "numpy raises": lambda: np.errstate(all="raise"),
    "deterministic algorithms": deterministic,
}


class FromWholeNumbers(TorchDispatchMode):
    """Notes where egbas makes floats of whole numbers or truth values without a dtype: 0.5 * counts has the default."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.is_floating_point():
            given = tree_leaves((args, kwargs))
            tensors = [value for value in given if isinstance(value, Tensor)]
            is_told = any(
                isinstance(value, torch.dtype) or getattr(value, "is_floating_point", bool)() for value in given
            )
            if tensors and not is_told:
                self.places |= {f"{func} at {line}" for line in self._ours()}
        return made

    @staticmethod
    def _ours() -> list[str]:
        """The innermost line, where it is one of egbas."""
        frames = [frame for frame in traceback.extract_stack() if not frame.filename.startswith(TORCH)]
        last = [frame for frame in frames if Path(frame.filename) != Path(__file__)][-1]
        return [f"{last.filename}:{last.lineno}"] if str(SOURCE) in last.filename else []


def told(run: egbas.Exploration) -> list[Tensor]:
    """All that a run and its neighbours tell, as numbers."""
    near = [] if not isinstance(run.region, egbas.SupportingRegion) else [run.region.shared(run.query[None])]
    drawn = [samples.latents for samples in run.samples.values()]
    scores = (
        []
        if run.facts is None
        else [torch.tensor([score.query for score in run.facts.scores.values()], dtype=torch.float64, device="cpu")]
    )
    return [*drawn, run.images(), *near, *scores, run.region.contains(torch.cat([z.float() for z in drawn]))]


def in_a_ball() -> list[Tensor]:
    """Everything but BerOpt: the zoo, a latent, a tree, exact samples."""
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
    config = egbas.GbRrtConfig(iterations=40)
    run = egbas.explore(
        model.generator, z0, region=Ball(), rng=7, gbrrt=config, samples=5, max_evaluations=500, judges=[brightest]
    )
    return told(run)


def at_a_layer(folder: Path) -> list[Tensor]:
    model = egbas.load_model("dcgan-mnist-2d")
    z0 = model.latent.sample(1, rng=torch.Generator().manual_seed(7))[0]
    config = egbas.GbRrtConfig(iterations=40)
    run = egbas.explore(model.generator, z0, 1, rng=7, beropt=QUICK, gbrrt=config, samples=0)
    return [*told(run), *told(egbas.load_run(run.save(folder)))]


def same(got: list[Tensor], expected: list[Tensor]) -> bool:
    return len(got) == len(expected) and all(
        one.dtype == other.dtype and torch.equal(one, other) for one, other in zip(got, expected, strict=True)
    )


@pytest.fixture(scope="module")
def ball() -> list[Tensor]:
    return in_a_ball()


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> list[Tensor]:
    return at_a_layer(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_caller_changes_nothing(
    name: str, ball: list[Tensor], layer: list[Tensor], tmp_path: Path
) -> None:
    with SETTINGS[name]():
        in_ball, in_layer = in_a_ball(), at_a_layer(tmp_path / "run")
    assert same(in_ball, ball)
    assert same(in_layer, layer)


def test_the_default_dtype_changes_nothing(ball: list[Tensor]) -> None:
    with default_dtype(torch.float64):
        assert same(in_a_ball(), ball)


def test_a_saved_run_is_read_under_another_default_dtype(layer: list[Tensor], tmp_path: Path) -> None:
    at_a_layer(tmp_path / "run")
    with default_dtype(torch.float64):
        assert same(told(egbas.load_run(tmp_path / "run")), layer[len(layer) // 2 :])


def test_the_default_dtype_does_not_change_beropt(layer: list[Tensor], tmp_path: Path) -> None:
    with default_dtype(torch.float64):
        assert same(at_a_layer(tmp_path / "run"), layer)


@pytest.mark.parametrize("units", ["unit", "channel"])
def test_no_number_of_ours_takes_the_default_dtype(units: str) -> None:
    maps = [nn.Linear(2, 16), nn.Unflatten(1, (4, 2, 2)), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)]
    for module in (maps[0], maps[3]):
        for weight in module.parameters():
            weight.data = torch.sin(torch.arange(weight.numel()) * 1.7).view_as(weight)
    beropt = dataclasses.replace(QUICK, units=units)
    gbrrt = egbas.GbRrtConfig(iterations=10)
    with FromWholeNumbers() as seen:
        egbas.explore(
            nn.Sequential(*maps),
            torch.tensor([0.5, 0.3]),
            1,
            rng=7,
            beropt=beropt,
            gbrrt=gbrrt,
            samples=2,
            max_evaluations=200,
        )
    assert not seen.places, "the default dtype is the caller's: " + "; ".join(sorted(seen.places))


BANK = torch.tensor([[0.5, 1.0], [-1.0, 0.3], [0.2, -0.7], [1.4, 0.1]])
PRIORS: dict[str, Callable[[], egbas.Prior]] = {
    "normal": egbas.Normal,
    "uniform": lambda: egbas.Uniform(2.0),
    "sphere": egbas.Sphere,
    "frozen": lambda: egbas.Frozen((0.5, 1.0)),
    "product": lambda: egbas.Product(((1, egbas.Normal()), (1, egbas.Frozen((1.0,))))),
    "empirical": lambda: egbas.Empirical(BANK, shrinkage=0.1),
}


@pytest.mark.parametrize("setting", ["autocast", "a default device"])
@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_alone_is_what_it_is_under_any_setting(name: str, setting: str) -> None:
    def asked() -> list[Tensor]:
        prior = PRIORS[name]()
        drawn = prior.sample(3, 2, torch.Generator().manual_seed(0))
        numbers = torch.tensor([prior.scale(2), prior.largest_half_width(2)], dtype=torch.float64, device="cpu")
        density = getattr(prior, "log_density", lambda z: z)(BANK)
        return [drawn, prior.contains(BANK), numbers, density]

    expected = asked()
    with SETTINGS[setting]():
        got = asked()
    assert same(got, expected)


@pytest.mark.parametrize("setting", ["autocast", "a default device"])
def test_a_decoder_is_made_and_encodes_under_any_setting(setting: str) -> None:
    weights = torch.tensor([[0.37, -1.21], [0.93, 0.11]])
    decoder = nn.Linear(2, 2)
    decoder.weight.data = weights

    def asked() -> list[Tensor]:
        made = egbas.Decoder(decoder.eval(), shape=(2,), bank=BANK, scale=0.7, encoder=lambda images: images @ weights)
        return [made.encode(BANK), made.latents_of(BANK), made.whiten(BANK), *made.state_dict().values()]

    expected = asked()
    with SETTINGS[setting]():
        got = asked()
    assert same(got, expected)


class Listed(nn.Module):
    """Has its weights in a plain list, or nowhere to be seen."""

    def __init__(self, dtype: torch.dtype, *, is_hidden: bool) -> None:
        super().__init__()
        grid = [torch.arange(6, dtype=dtype).sin().view(3, 2), torch.arange(12, dtype=dtype).cos().view(4, 3)]
        self.weights = [] if is_hidden else grid
        self.run = lambda z: torch.relu(z @ grid[0].T) @ grid[1].T

    def forward(self, z: Tensor) -> Tensor:
        return self.run(z)


@pytest.mark.parametrize("is_hidden", [False, True])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_the_default_dtype_is_not_that_of_weights_outside_of_the_state_dict(
    default: torch.dtype, is_hidden: bool
) -> None:
    expected = Network(Listed(torch.float32, is_hidden=is_hidden), (2,)).generate(BANK)
    with default_dtype(default):
        got = Network(Listed(torch.float32, is_hidden=is_hidden), (2,)).generate(BANK)
        own = Network(Listed(default, is_hidden=is_hidden), (2,))
    assert same([got], [expected])
    assert own.dtype == default


def test_nothing_is_made_with_the_callers_random_numbers() -> None:
    state = torch.get_rng_state()
    egbas.load_model("dcgan-mnist")
    classifier = egbas.load_classifier("lenet-mnist")
    egbas.Decoder(nn.Identity().eval(), shape=(2,), bank=BANK)
    egbas.DecisionRegion(egbas.Classified(egbas.Pixels((1, 28, 28)), classifier), 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_tensor_is_made_with_a_dtype() -> None:
    bare = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] == "training":  # makes weights, and is run alone
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_made = isinstance(node, ast.Call) and ast.unparse(node.func) in {f"torch.{name}" for name in FLOATS}
            if is_made and all(keyword.arg != "dtype" for keyword in node.keywords):
                bare.append(f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)}")
    assert not bare, "the default dtype is the caller's: " + "; ".join(bare)
