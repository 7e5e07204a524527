# SPDX-License-Identifier: MIT
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from egbas.errors import CheckpointError, ConfigError, ModelNotFoundError, ShapeError
from egbas.inputs.models import (
    find_device,
    find_model,
    find_query,
    parse_shape,
    read_latent,
    seeded,
    warnings_of,
)
from egbas.latent import LatentSpace, Uniform
from egbas.zoo.models import Model

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


@pytest.mark.parametrize(("text", "shape"), [("64", (64,)), ("512x1x1", (512, 1, 1)), ("4X2", (4, 2))])
def test_shapes(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "x", "-3", "0", "1.5", "many"])
def test_shapes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--latent-size"):
        parse_shape(text)


@pytest.mark.parametrize(("scale", "is_warned"), [(1.0, False), (1.6, True), (0.1, True)])
def test_norms_of_the_normal_prior(scale: float, is_warned: bool) -> None:
    z0 = scale * torch.ones(64)  # norm 8 * scale; the chi distribution has mean 7.97 and deviation 0.71
    assert bool(warnings_of(z0, LatentSpace(shape=(64,)))) == is_warned


def test_on_a_sphere_the_norm_means_nothing() -> None:
    assert warnings_of(100 * torch.ones(64), LatentSpace(shape=(64,), geometry="sphere")) == []


def test_the_uniform_prior_is_left_to_explore() -> None:
    assert warnings_of(torch.full((2,), 9.0), LatentSpace(shape=(2,), prior="uniform")) == []


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cpu"):
        find_device("warp")


def test_zoo_models_and_their_nearest_names() -> None:
    assert find_model("dcgan-mnist-2d", None).latent.size == 2
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        find_model("dcgan-minst", None)


def test_paths_are_checkpoints(here: Path) -> None:
    (here / "weights.pth").touch()
    for name, message in {
        "weights.pth": "is empty",
        "other.pth": "no file",
        "./x": "no file",
        ".": "directory",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            find_model(name, None)


def test_a_network_may_bring_its_latent_or_be_a_model(here: Path) -> None:
    (here / "user_models.py").write_text(
        "from torch import nn\nfrom egbas.latent import LatentSpace, Uniform\nfrom egbas.zoo.models import Model\n"
        "def carries():\n    net = nn.Linear(4, 4)\n"
        "    net.latent = LatentSpace(shape=(4,), prior='uniform')\n    return net\n"
        "def whole():\n    return Model(name='mine', generator=nn.Linear(4, 4), discriminator=None,\n"
        "                 latent=LatentSpace(shape=(4,)))\n"
        "plain = nn.Linear(4, 4)\n"
    )
    assert find_model("user_models:carries", None).latent.prior == Uniform(1.0)
    assert find_model("user_models:carries", "2x2").latent.shape == (2, 2)
    assert find_model("user_models:whole", None).name == "mine"
    assert isinstance(find_model("user_models:plain", "4"), Model)
    np.save("z.npy", np.zeros((1, 4)))
    assert find_model("user_models:plain", None, "z.npy").latent.shape == (4,)


@pytest.mark.parametrize("spec", [":make", "module:"])
def test_half_a_callable(spec: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no package\.module:callable"):
        find_model(spec, None)
