# SPDX-License-Identifier: MIT
"""Find a latent whose image is the given one: the best of many starts, Adam on some, L-BFGS on the nearest.

In: a generator, an image, a latent space, perhaps a bank of latents. Out: a latent of the support, and its error.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from egbas.errors import ConfigError, NetworkError, ShapeError
from egbas.geometry import choose_geometry
from egbas.inversion.support import Coordinates, coordinates_of
from egbas.latent import LatentSpace
from egbas.machine.settings import alone
from egbas.network import Network
from egbas.network.given import Given, Inputs
from egbas.network.images import images_at_once

Progress = Callable[[str, int, int, str], None]  # stage, done, total, text

_RATE = 0.1  # of Adam, as a share of the size of a coordinate
_LEAST_GRADIENT = 1e-12  # below it a start does not move: the origin of a network without biases
_MOST = 1_000_000  # of each setting


@dataclass(frozen=True, kw_only=True)
class InversionConfig:
    """Settings of an inversion.

    Attributes:
        draws: of the prior that are looked at, where there is no bank.
        starts: the nearest of them, which Adam moves, all at once.
        adam_steps: of each.
        polished: the nearest of those after Adam, which L-BFGS moves one by one.
        lbfgs_steps: of each, at most.
        enough: relative error at which no further start is polished, nor stepped.
    """

    draws: int = 1024
    starts: int = 16
    adam_steps: int = 100
    polished: int = 4
    lbfgs_steps: int = 400
    enough: float = 0.02

    def __post_init__(self) -> None:
        """Check the settings."""
        for field in fields(self):
            value = getattr(self, field.name)
            low = 0 if field.name in ("enough", "adam_steps", "lbfgs_steps") else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= _MOST:
                raise ConfigError(f"{field.name} of an inversion is {value!r}; it must be from {low} to {_MOST:,}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Inversion:
    """What an inversion found.

    Attributes:
        latent: (d,) in the support, float32.
        image: G(latent), of the generator's shape, on the CPU.
        error: ||G(latent) - x|| / ||x||.
        start_error: that of the nearest start.
        evaluations: latents that went through the generator, forth or forth and back.
        seconds: that it took.
    """

    latent: Float[Tensor, " d"]
    image: Tensor
    error: float
    start_error: float
    evaluations: int
    seconds: float


@alone
def invert(  # noqa: PLR0913
    generator: Given,
    image: Tensor,
    latent: LatentSpace | None = None,
    *,
    rng: torch.Generator | int = 0,
    bank: Tensor | None = None,
    output: int | str | None = None,
    inputs: Inputs | None = None,
    config: InversionConfig | None = None,
    progress: Progress | None = None,
) -> Inversion:
    """Find a latent whose image comes as near as possible to a given one, inside the support of the prior.

    A descent from the origin never moves where the generator has no biases, and one descent from anywhere may end in a
    valley of its own. So it begins with the nearest of many draws, or of a bank.

    Args:
        generator: G, in eval mode; it is left as it was found.
        image: x, of the shape and in the range of G's images.
        latent: the latent space; by default the generator's attribute ``latent``.
        rng: of the draws: a CPU generator, or a seed.
        bank: (m, d) latents to begin with, instead of draws of the prior.
        output: which output is the image, as ``egbas.explore`` says.
        inputs: what the network's forward takes beside the latent, by name, as ``egbas.explore`` says.
        config: settings.
        progress: called with (stage, done, total, text).

    Raises:
        ShapeError: the image or the bank has another shape, or values that are not finite.
        ConfigError: the image is zero everywhere, or there is no latent space.
        NetworkError: the network raised, or no gradient gets from the image to the latent.

    Example:
        >>> import egbas, torch
        >>> model = egbas.load_model("dcgan-mnist-2d")
        >>> z = model.latent.sample(1, rng=torch.Generator().manual_seed(7))
        >>> found = egbas.invert(model.generator, model.generator(z)[0], model.latent)
        >>> found.error < 0.05
        True
    """
    began, settings = time.monotonic(), config or InversionConfig()
    space = latent if latent is not None else getattr(generator, "latent", None)
    if not isinstance(space, LatentSpace):
        raise ConfigError("got no latent space; pass latent=egbas.LatentSpace(shape=...) of the generator")
    network = Network(generator, space.shape, output=output, inputs=inputs)
    space = choose_geometry(space, network)
    rng = torch.Generator().manual_seed(rng) if isinstance(rng, int) else rng
    descent = _Descent(network, coordinates_of(space), target_of(image, network).to(network.device), settings, progress)
    begin = descent.best(_starts(space, bank, settings, rng), settings.starts, space)
    start_error = float(begin.errors[0])
    found = begin
    if start_error > settings.enough:
        for count in (settings.starts, settings.polished):  # the nearest of the first go on
            found = descent.best(found.latents[:count], count, space)
            found = descent.best(torch.cat([found.latents, descent.adam(found.latents)]), settings.polished, space)
            if found.errors[0] <= settings.enough:
                break
    for z in found.latents:
        if found.errors[0] <= settings.enough:
            break
        found = descent.best(torch.cat([found.latents, descent.lbfgs(z)]), settings.polished, space)
    z = found.latents[0].float()
    nearest = network.generate(z[None])[0]
    return Inversion(
        latent=z.cpu(),
        image=nearest.cpu(),
        error=float(_errors(nearest[None], descent.target)),
        start_error=start_error,
        evaluations=descent.evaluations,
        seconds=time.monotonic() - began,
    )


def target_of(image: Tensor, network: Network) -> Tensor:
    """The image that is looked for, as the network's own are.

    Raises:
        ShapeError: it has another shape, or values that are not finite.
        ConfigError: it is zero everywhere, so that no error is relative to its norm.
    """
    shape = tuple(network.image_shape)
    if not isinstance(image, Tensor) or tuple(image.shape) not in {shape, (1, *shape)}:
        got = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ShapeError(f"got an image of {got}; expected a tensor of shape {shape}, as the generator's images")
    image = image.detach().reshape(shape).to(network.dtype)
    if not bool(torch.isfinite(image).all()):
        raise ShapeError("the image holds NaN or infinite values; expected finite ones")
    if not bool(image.any()):
        raise ConfigError("the image is zero everywhere, so that no error is relative to its norm; give another")
    return image


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Latents (n, d) and their errors (n,), the nearest first."""

    latents: Tensor
    errors: Tensor


@dataclass(eq=False)
class _Descent:
    """A descent towards one image, with the count of what it cost."""

    network: Network
    coordinates: Coordinates
    target: Tensor
    settings: InversionConfig
    progress: Progress | None
    evaluations: int = 0

    def best(self, latents: Float[Tensor, "n d"], count: int, space: LatentSpace) -> _Ranked:
        """The nearest of those that lie in the support; a start at which no gradient leads anywhere is none."""
        latents = latents[space.contains(latents) & (latents != 0).any(dim=1)]
        if not len(latents):
            raise ShapeError("no latent of the bank lies in the prior's support, or all are zero; give others")
        batches = self.network.image_batches(latents)
        errors = torch.cat([_errors(batch, self.target.cpu()) for batch in batches])
        self.evaluations += len(latents)
        order = errors.argsort()[:count].to(latents.device)
        return _Ranked(latents[order], errors[order.cpu()])

    def adam(self, latents: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Move all of them at once; each has gradients of its own."""
        u = self.coordinates.of(latents).requires_grad_()
        steps = self.settings.adam_steps
        optimiser = torch.optim.Adam([u], lr=_RATE * float(u.detach().square().mean().sqrt()))
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
        for step in range(steps):
            losses = self._backward(u)
            if step == 0 and not bool((u.grad.abs() > _LEAST_GRADIENT).any()):  # pyright: ignore[reportOptionalMemberAccess]
                break
            optimiser.step()
            falling.step()
            nearest = float(losses.min().sqrt())
            self._tell("adam", step + 1, steps, nearest)
            if nearest <= self.settings.enough:
                break
        return self.coordinates.latents(u.detach())

    def lbfgs(self, z: Float[Tensor, " d"]) -> Float[Tensor, "1 d"]:
        """Move one of them by second-order steps."""
        u = self.coordinates.of(z[None]).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [u], max_iter=self.settings.lbfgs_steps, line_search_fn="strong_wolfe", tolerance_change=1e-12
        )
        done = 0

        def closure() -> Tensor:
            nonlocal done
            loss = self._backward(u).sum()
            done = min(done + 1, self.settings.lbfgs_steps)
            self._tell("lbfgs", done, self.settings.lbfgs_steps, float(loss.sqrt()))
            return loss

        if self.settings.lbfgs_steps:
            optimiser.step(closure)
        return self.coordinates.latents(u.detach())

    def _backward(self, u: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Squared errors of coordinates; their gradient is left in ``u.grad``."""
        u.grad, losses = torch.zeros_like(u), []
        for rows in torch.arange(len(u)).split(images_at_once(self.network.image_size)):
            batch = u.detach()[rows].requires_grad_()
            images = self.network.images_with_gradients(self.coordinates.latents(batch))
            loss = _errors(images, self.target).square()
            try:
                (gradient,) = torch.autograd.grad(loss.sum(), batch)
            except RuntimeError as error:
                raise NetworkError(
                    f"a backward pass from the image to the latent fails ({str(error).splitlines()[0]}); an inversion "
                    "needs gradients: turn gradient checkpointing off, give every autograd function a backward"
                ) from error
            u.grad[rows] = gradient
            losses.append(loss.detach())
        self.evaluations += len(u)
        return torch.cat(losses)

    def _tell(self, stage: str, done: int, total: int, error: float) -> None:
        if self.progress is not None:
            self.progress(f"inversion: {stage}", done, total, f"relative error {error:.3f}")


def _starts(
    space: LatentSpace, bank: Tensor | None, settings: InversionConfig, rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """Where to begin: the rows of a bank, or draws of the prior."""
    if bank is None:
        return space.sample(settings.draws, rng)
    if bank.ndim < 2 or not len(bank) or bank[0].numel() != space.size or not bool(torch.isfinite(bank).all()):
        raise ShapeError(f"got a bank of shape {tuple(bank.shape)}; expected finite latents (m, {space.size})")
    return bank.reshape(len(bank), -1).float().cpu()


def _errors(images: Float[Tensor, "n ..."], target: Tensor) -> Float[Tensor, " n"]:
    """Distance of each image from the target, relative to the target's norm."""
    return (images - target).flatten(1).norm(dim=1) / target.norm()
