# SPDX-License-Identifier: MIT
"""A decoder of latents that nobody drew from N(0, I), as a generator that takes such draws.

The latents of VAE and diffusion decoders come from an encoder. Their Gaussian, that of a bank of latents, is put in
front of the decoder as an affine map: what is explored is whitened, and every sampler meets the prior it is made for.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egbas.errors import ConfigError, NetworkError, ShapeError
from egbas.latent import Empirical, LatentSpace
from egbas.latent.empirical import held_out_shrinkage
from egbas.machine.settings import as_caller, settles
from egbas.network.given import Given, network_of
from egbas.network.image_range import checked_range

Encoder = Callable[[Tensor], Any]

LARGEST = 8192  # coordinates of a latent whose covariance is kept: a matrix of 268 MB


class _Outside:
    """Holds what belongs to a decoder and is no part of it: no copy, no weights of its own."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __deepcopy__(self, _: dict[int, Any]) -> "_Outside":
        return self


class Decoder(nn.Module):
    """G(e) = decoder(z / scale + shift) with z = mean + L e: e of N(0, I) are latents with the bank's moments.

    Attributes:
        decoder: the user's module.
        latent: the latent space of e: N(0, I), of the shape that the decoder takes.
        prior: the Gaussian of the bank, from which z are; None where there is no bank.
        image_range: pixel values that are black and white; None: told by the images.

    Example:
        >>> import egbas, torch
        >>> bank = 5 + 2 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> generator = egbas.Decoder(torch.nn.Linear(3, 4).eval(), shape=(3,), bank=bank)
        >>> bool(torch.allclose(generator.latents_of(generator.whiten(bank)), bank, atol=1e-4))
        True
    """

    weight: Tensor  # and bias: where there is no bank, what latents are multiplied by, and what is added
    bias: Tensor

    @settles
    def __init__(  # noqa: PLR0913
        self,
        decoder: Given,
        *,
        shape: tuple[int, ...],
        bank: Tensor | None = None,
        shrinkage: float | None = None,
        scale: float | Tensor = 1.0,
        shift: float | Tensor = 0.0,
        encoder: Encoder | None = None,
        image_range: tuple[float, float] | None = None,
    ) -> None:
        """Put the map from e to the decoder's own latents in front of it.

        Args:
            decoder: maps latents (n, *shape) to images; in eval mode.
            shape: of one latent.
            bank: (m, *shape) latents z, in the units before scale and shift; None: z = e.
            shrinkage: of the bank's covariance, 0 to 1, as ``egbas.Empirical`` has it; None: the one under
                which latents that are left out of the bank are most likely.
            scale: that latents z are divided by, as diffusers' ``scaling_factor``; a number, or a tensor that fits the
                shape. Not zero.
            shift: that is added then, as ``shift_factor``; likewise.
            encoder: maps images (n, c, h, w) to latents (n, *shape) that the decoder takes; for ``encode``.
            image_range: pixel values that are black and white.

        Raises:
            ConfigError: a setting is out of range, or the bank is of another shape or too large for its covariance.
            NetworkError: the decoder is no module in eval mode.
        """
        super().__init__()
        decoder = network_of(decoder)
        if encoder is not None and not callable(encoder):
            raise ConfigError(f"got {encoder!r} as the encoder; expected a callable that maps images to latents")
        self.latent = LatentSpace(shape=tuple(shape))
        self.image_range = None if image_range is None else checked_range(image_range)
        scale, shift = (_of_shape(value, tuple(shape), name) for value, name in ((scale, "scale"), (shift, "shift")))
        if not bool((scale != 0).all()):
            raise ConfigError("the latent scale holds zeros; expected what latents are divided by")
        self.prior = None if bank is None else _prior(bank, self.latent, shrinkage)
        if self.prior is None:
            self.register_buffer("weight", (1 / scale).float())
            self.register_buffer("bias", shift.float())
        else:
            # Scale and shift are folded into the map, which is one product of a matrix then.
            flat = scale.flatten()
            size = self.latent.size
            # No weights are drawn: that would move the caller's random numbers.
            self.unwhiten = nn.Linear(size, size, dtype=torch.float32, device="meta").to_empty(device="cpu")
            with torch.no_grad():
                self.unwhiten.weight.copy_(self.prior.factor / flat[:, None])
                self.unwhiten.bias.copy_(self.prior.mean / flat + shift.flatten())
            self.unwhiten.requires_grad_(False)
        self._scale, self._shift = scale, shift
        self._encoder = _Outside(encoder)
        self.decoder = decoder
        self.train(decoder.training)

    def forward(self, e: Tensor) -> Any:
        """Decode latents e (n, *shape)."""
        if self.prior is None:
            return self.decoder(e * self.weight + self.bias)
        return self.decoder(self.unwhiten(e.flatten(1)).reshape(e.shape))

    @property
    def has_encoder(self) -> bool:
        """Whether there is an encoder."""
        return self._encoder.held is not None

    def encode(self, images: Tensor, encoder: Encoder | None = None) -> Float[Tensor, "n d"]:
        """The latents e (n, d) of images, by an encoder.

        Args:
            images: (n, c, h, w).
            encoder: maps them to latents (n, *shape) that the decoder takes; None: the decoder's own.

        Raises:
            ConfigError: there is no encoder.
            NetworkError: it raised, or returned something else than one latent for each image.
        """
        encoder = self._encoder.held if encoder is None else encoder
        if encoder is None:
            raise ConfigError("this decoder has no encoder; give it one: egbas.Decoder(..., encoder=...)")
        encoded = encoded_by(encoder, images, self.latent.shape)
        return self.whiten((encoded.double() - self._shift.to(encoded.device)) * self._scale.to(encoded.device))

    def whiten(self, z: Float[Tensor, "n *latent"]) -> Float[Tensor, "n d"]:
        """The e (n, d), float32, of latents z in the units of the bank."""
        flat = z.reshape(len(z), self.latent.size)
        return (flat if self.prior is None else self.prior.whiten(flat)).float()

    def latents_of(self, e: Float[Tensor, "n *flat"]) -> Float[Tensor, "n *shape"]:
        """The latents z (n, *shape), float32, in the units of the bank, of e."""
        flat = e.reshape(len(e), self.latent.size)
        z = flat if self.prior is None else self.prior.unwhiten(flat)
        return z.float().reshape(len(e), *self.latent.shape)

    def record(self) -> dict[str, Any]:
        """What tells the map, fit for JSON."""
        return {
            "prior": None if self.prior is None else self.prior.record(),
            "scale": _told(self._scale),
            "shift": _told(self._shift),
        }


@settles
def encoded_by(encoder: Encoder, images: Tensor, shape: tuple[int, ...]) -> Float[Tensor, "n ..."]:
    """The latents (n, *shape) that an encoder of the user's gives for images, without gradients.

    Raises:
        NetworkError: it raised, or returned something else.
    """
    try:
        with torch.no_grad(), as_caller(images.device):
            encoded = encoder(images.clone())
    except (Exception, SystemExit) as error:
        raise NetworkError(
            f"the encoder raised {type(error).__name__} on images of shape {tuple(images.shape)}: {error}"
        ) from error
    n, size = len(images), math.prod(shape)
    is_tensor = isinstance(encoded, Tensor) and encoded.is_floating_point()
    if not is_tensor or len(encoded) != n or encoded[0].numel() != size or not bool(encoded.isfinite().all()):
        got = f"{encoded.dtype} {tuple(encoded.shape)}" if isinstance(encoded, Tensor) else type(encoded).__name__
        raise NetworkError(
            f"the encoder returned {got} for {n} images; expected finite latents ({n}, {', '.join(map(str, shape))}): "
            "where it returns a distribution, wrap it in a function that returns its mean"
        )
    return encoded.detach().reshape(n, *shape)


def _prior(bank: Tensor, latent: LatentSpace, shrinkage: float | None) -> Empirical:
    if not isinstance(bank, Tensor) or bank.ndim < 2 or bank[0].numel() != latent.size or len(bank) < 2:
        got = tuple(bank.shape) if isinstance(bank, Tensor) else type(bank).__name__
        raise ConfigError(f"got a bank of {got}; expected latents (m, {', '.join(map(str, latent.shape))}), m > 1")
    if latent.size > LARGEST:
        raise ConfigError(
            f"the latents have {latent.size:,} coordinates, whose covariance is too large; {LARGEST:,} are the most: "
            "give smaller images, or no bank, with scale and shift of each channel"
        )
    if not bool(bank.isfinite().all()):
        raise ShapeError("the bank holds NaN or infinite values; expected finite latents")
    flat = bank.detach().reshape(len(bank), -1).float()
    return Empirical(flat, shrinkage=held_out_shrinkage(flat) if shrinkage is None else shrinkage)


def _of_shape(value: float | Tensor, shape: tuple[int, ...], name: str) -> Float[Tensor, "*shape"]:
    """A number, or a tensor that fits, for every coordinate; float64."""
    try:
        filled = torch.as_tensor(value, dtype=torch.float64, device="cpu").expand(shape).clone()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"the latent {name} does not fit the shape {shape}; give a number, or (c, 1, 1)") from error
    if not bool(filled.isfinite().all()):
        raise ConfigError(f"the latent {name} holds NaN or infinite values; expected finite numbers")
    return filled


def _told(values: Tensor) -> float | list[float]:
    """A number where all are the same, else one for each channel where these differ, else all."""
    if bool((values == values.flatten()[0]).all()):
        return float(values.flatten()[0])
    first = values.flatten(1)[:, 0] if values.ndim > 1 else values
    is_by_channel = values.ndim > 1 and bool((values.flatten(1) == first[:, None]).all())
    return (first if is_by_channel else values.flatten()).tolist()
