# SPDX-License-Identifier: MIT
"""The diffusion decoder of docs/photographs.md has the architecture of its weights."""

import pytest
import torch

import egbas
from benchmarks import taef2


def test_a_photograph_comes_back() -> None:
    if not (taef2.FOLDER / "taef2_decoder.pth").is_file():
        pytest.skip("needs the weights of TAEF2: set EGBAS_TAEF2 to their folder")
    photo = taef2.crop(taef2.portrait(), 100, 20, 330)[None]
    with torch.no_grad():
        z = taef2.encoder()(photo)
        again = taef2.decoder()(z)
    assert z.shape == (1, *taef2.LATENT)
    assert float((again - photo).norm() / photo.norm()) < 0.15


def test_fewer_photographs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taef2.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(egbas.MissingExtraError, match="pip install scikit-learn"):
        taef2.crops(2)


def test_crops_are_squares_of_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taef2, "photographs", lambda: {"a": taef2.portrait(), "b": taef2.portrait().flip(1)})
    some = taef2.crops(4)
    assert some.shape == (4, 3, taef2.SIDE, taef2.SIDE)
    assert 0 <= float(some.min()) < float(some.max()) <= 1
    assert torch.equal(taef2.crops(2), some[:2])


def test_a_patch_varies_its_own_positions_alone() -> None:
    whole = torch.nn.Identity().eval()
    latent, some = torch.arange(32 * 64.0).reshape(32, 8, 8), -torch.ones(2, 32, 2, 3)
    full = taef2.Patch(whole, latent, (4, 5, 7, 7))(some)
    expected = latent.repeat(2, 1, 1, 1)
    expected[:, :, 5:7, 4:7] = -1
    assert torch.equal(full, expected)
