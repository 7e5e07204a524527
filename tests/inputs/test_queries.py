# SPDX-License-Identifier: MIT
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import CheckpointError, ConfigError, ShapeError
from egbas.inputs.queries import find_bank, find_query, read_latent, seeded, warnings_of
from egbas.latent import LatentSpace

NORMAL = LatentSpace(shape=(3,))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("suffix", ["safetensors", "npy", "npz"])
@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_files_of_every_kind(suffix: str, shape: tuple[int, ...]) -> None:
    values = np.arange(3.0).reshape(shape)
    {
        "safetensors": lambda: save_file({"anything": torch.from_numpy(values)}, "z.safetensors"),
        "npy": lambda: np.save("z.npy", values),
        "npz": lambda: np.savez("z.npz", values),
    }[suffix]()
    z0 = find_query(f"z.{suffix}", NORMAL)
    assert z0.tolist() == [0, 1, 2]
    assert z0.dtype == torch.float32


def test_a_run_directory_gives_its_query() -> None:
    save_file({"query": torch.ones(3), "latents": torch.zeros(5, 3)}, "samples.safetensors")
    assert find_query("samples.safetensors", NORMAL).tolist() == [1, 1, 1]


def test_a_seed_draws_from_the_prior() -> None:
    assert torch.equal(find_query("7", NORMAL), NORMAL.sample(1, rng=seeded(7))[0])


@pytest.mark.parametrize("given", ["9" * 30, str(2**63)])
def test_seeds_out_of_range(given: str) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        find_query(given, NORMAL)


@pytest.mark.parametrize("values", [[[0.0] * 3] * 2, [0.0] * 4, 0.0])
def test_wrong_sizes(values: object) -> None:
    np.save("z.npy", np.array(values))
    with pytest.raises(ShapeError, match=r"takes one of \(3,\)"):
        find_query("z.npy", NORMAL)


@pytest.mark.parametrize("values", [[0.0, np.inf, 0.0], [1e300, 0.0, 0.0]])  # the latter overflows float32
def test_values_that_are_not_finite(values: list[float]) -> None:
    np.save("z.npy", np.array(values))
    with pytest.raises(ShapeError, match="1 values that are NaN or infinite"):
        find_query("z.npy", NORMAL)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("z.npy", b""),
        ("z.npy", b"\x93NUMPY\x01\x00"),
        ("z.npz", b"PK\x03\x04"),
        ("z.safetensors", b"\xff" * 20),
    ],
)
def test_damaged_files(here: Path, name: str, content: bytes) -> None:
    (here / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_latent(Path(name))


@pytest.mark.parametrize("values", [["a", "b"], [1j, 2j], [True, False]])
def test_arrays_that_are_no_real_numbers(values: list[object]) -> None:
    np.save("z.npy", np.array(values))
    with pytest.raises(CheckpointError, match=r"z\.npy"):
        read_latent(Path("z.npy"))


def test_folders_and_unknown_kinds(here: Path) -> None:
    (here / "folder.npy").mkdir()
    for name in ("folder.npy", "z.pt"):
        with pytest.raises(CheckpointError, match=name):
            read_latent(Path(name))


@pytest.mark.parametrize(("scale", "is_warned"), [(1.0, False), (1.6, True), (0.1, True)])
def test_norms_of_the_normal_prior(scale: float, is_warned: bool) -> None:
    z0 = scale * torch.ones(64)  # norm 8 * scale; the chi distribution has mean 7.97 and deviation 0.71
    assert bool(warnings_of(z0, LatentSpace(shape=(64,)))) == is_warned


def test_on_a_sphere_the_norm_means_nothing() -> None:
    assert warnings_of(100 * torch.ones(64), LatentSpace(shape=(64,), geometry="sphere")) == []


def test_the_uniform_prior_is_left_to_explore() -> None:
    assert warnings_of(torch.full((2,), 9.0), LatentSpace(shape=(2,), prior="uniform")) == []


def test_a_bank_with_nan_says_so(tmp_path: Path) -> None:
    bank = np.zeros((5, 2), np.float32)
    bank[3, 1] = np.nan
    np.save(tmp_path / "bank.npy", bank)
    with pytest.raises(ShapeError, match="NaN or infinite values in 1 of 5 latents"):
        find_bank(str(tmp_path / "bank.npy"), LatentSpace(shape=(2,)), seeded(0))


def test_a_bank_that_memory_is_not_meant_to_hold_is_refused_before_it_is_made() -> None:
    for given in ("100000000", "9" * 5000):
        with pytest.raises(ConfigError, match=r"--bank .* out of range; expected 1 to 4,194,304"):
            find_bank(given, LatentSpace(shape=(64,)), seeded(0))


def test_an_empty_bank_is_told_as_typed() -> None:
    with pytest.raises(CheckpointError, match="--bank '' is neither a number nor"):
        find_bank("", LatentSpace(shape=(2,)), seeded(0))


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", ">i4"])
def test_arrays_of_either_byte_order(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.array([1, -2], dtype))
    np.savez(tmp_path / "z.npz", z=np.array([1, -2], dtype))
    for name in ("z.npy", "z.npz"):
        assert find_query(str(tmp_path / name), LatentSpace(shape=(2,))).tolist() == [1, -2]
