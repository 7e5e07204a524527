# SPDX-License-Identifier: MIT
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import egbas
from egbas.beropt import BerOptConfig
from egbas.errors import ConfigError, EgbasError, NetworkError
from egbas.latent import Normal
from egbas.network.decoder import Decoder, encoded_by
from tests.problems import linear

SHAPE = (2, 1, 2)
BANK = torch.randn(200, *SHAPE, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 0.2]) + 5.0
QUICK = BerOptConfig(sparsity=0.3, anneal_steps=20, max_steps=40)


class Inner(nn.Module):
    """relu of 4 latents, then 4 pixels that are the same in reverse order."""

    def forward(self, y: Tensor) -> Tensor:
        return (y.flatten(1).relu() + 0.1 * y.flatten(1)).flip(1).reshape(-1, 1, 2, 2)


def whitened(**settings: object) -> Decoder:
    return Decoder(Inner(), shape=SHAPE, bank=BANK, **settings).eval()  # pyright: ignore[reportArgumentType]


def test_draws_have_the_moments_of_the_bank() -> None:
    generator = whitened(shrinkage=0.0)
    assert generator.latent.prior == Normal()
    z = generator.latents_of(generator.latent.sample(20_000, torch.Generator().manual_seed(1))).flatten(1)
    torch.testing.assert_close(z.mean(0), BANK.flatten(1).mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(z.T.cov(), BANK.flatten(1).T.cov(), atol=0.3, rtol=0)


def test_the_decoder_gets_latents_in_its_own_scale() -> None:
    scale, shift = torch.tensor([2.0, 4.0])[:, None, None], 0.5
    generator = whitened(scale=scale, shift=shift)
    e = generator.whiten(BANK)
    torch.testing.assert_close(generator(e.reshape(-1, *SHAPE)), Inner()(BANK / scale + shift), atol=1e-4, rtol=1e-4)
    told = generator.record()
    assert told["scale"] == [2.0, 4.0]  # one for each channel
    assert told["shift"] == 0.5


def test_without_a_bank_latents_are_scaled_and_shifted_alone() -> None:
    generator = Decoder(Inner(), shape=SHAPE, scale=0.5, shift=-1.0).eval()
    z = BANK[:3]
    torch.testing.assert_close(generator(z), Inner()(2 * z - 1))
    torch.testing.assert_close(generator.latents_of(generator.whiten(z)), z)
    assert generator.record() == {"prior": None, "scale": 0.5, "shift": -1.0}


def test_an_encoder_leads_back_to_the_whitened_latent() -> None:
    scale, shift = 2.0, 0.5
    generator = whitened(scale=scale, shift=shift, encoder=lambda images: BANK[:3] / scale + shift)
    torch.testing.assert_close(generator.encode(torch.zeros(3, 1, 2, 2)), generator.whiten(BANK[:3]))
    other = generator.encode(torch.zeros(1, 1, 2, 2), lambda images: BANK[5:6] / scale + shift)
    torch.testing.assert_close(other, generator.whiten(BANK[5:6]))


def test_an_encoder_is_no_part_of_the_generator() -> None:
    generator = whitened(encoder=nn.Linear(4, 4))
    assert not any("encoder" in name for name in generator.state_dict())
    assert len(list(generator.modules())) == 3  # itself, the map, the decoder


def test_a_run_tells_its_bank_scale_and_range_and_is_read_back(tmp_path: Path) -> None:
    generator = whitened(scale=2.0, image_range=(-1.0, 1.0))
    z0 = generator.latent.sample(1, torch.Generator().manual_seed(0))[0]
    run = egbas.explore(generator, z0, 1, rng=0, beropt=QUICK, samples=20, max_evaluations=3000)
    config = run.config()
    assert config["latent"]["prior"] == "normal"
    assert config["decoder"]["scale"] == 2.0
    assert config["decoder"]["prior"]["n"] == 200
    assert config["image"]["range"] == {"low": -1.0, "high": 1.0, "source": "generator"}
    folder = run.save(tmp_path / "run")
    assert egbas.load_run(folder, generator=generator).config() == config
    with pytest.raises(EgbasError):  # another bank: other weights of the map
        egbas.load_run(folder, generator=Decoder(Inner(), shape=SHAPE, bank=BANK[:100], scale=2.0).eval())
    with pytest.raises(egbas.RunDirectoryError, match=r"image\.range"):
        egbas.load_run(folder, generator=whitened(scale=2.0, image_range=(0.0, 1.0)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Decoder(Inner(), shape=SHAPE, scale=0.0), ConfigError, "scale holds zeros"),
        (lambda: Decoder(Inner(), shape=SHAPE, scale=torch.ones(3)), ConfigError, "scale does not fit"),
        (lambda: Decoder(Inner(), shape=SHAPE, shift=float("nan")), ConfigError, "shift holds NaN"),
        (lambda: Decoder(Inner(), shape=SHAPE, bank=torch.ones(9, 3)), ConfigError, r"bank of \(9, 3\)"),
        (lambda: Decoder(Inner(), shape=SHAPE, bank=BANK[:2]), ConfigError, "bank of 2 latents"),
        (lambda: Decoder(Inner(), shape=(9000,), bank=torch.zeros(2, 9000)), ConfigError, "8,192 are the most"),
        (lambda: Decoder(Inner(), shape=SHAPE, image_range=(1.0, 0.0)), ConfigError, "black and white"),
        (lambda: Decoder(Inner(), shape=SHAPE).encode(torch.ones(1, 1, 2, 2)), ConfigError, "no encoder"),
        (lambda: Decoder(linear, shape=SHAPE), NetworkError, "got the function linear"),
    ],
)
def test_what_cannot_be_a_decoder_is_told(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: torch.zeros(2, 4), r"returned torch\.float32 \(2, 4\) for 1 images; expected .* \(1, 2, 1, 2\)"),
        (lambda x: (torch.zeros(1, 4), torch.zeros(1, 4)), "returned tuple.*returns its mean"),
        (lambda x: SimpleNamespace(latent_dist=None), "returned SimpleNamespace"),
        (lambda x: torch.full((1, 4), torch.nan), "expected finite latents"),
        (lambda x: x[7], "raised IndexError on images of shape"),
    ],
)
def test_an_encoder_that_answers_otherwise_is_told(answer: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        encoded_by(answer, torch.ones(1, 1, 2, 2), SHAPE)
