# SPDX-License-Identifier: MIT
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from egbas.beropt import BerOptConfig
from egbas.cli.app import app
from egbas.errors import ModelNotFoundError, RunDirectoryError
from egbas.exploration.explore import explore
from egbas.samplers.gbrrt import GbRrtConfig
from egbas.storage import load_run, save_run
from egbas.storage.reopen import lies_here, reopened
from egbas.zoo.models import load_model
from tests.zoo.formats.test_examples_dcgan import networks

SHORT, FEW = BerOptConfig(sparsity=0.01, anneal_steps=2, max_steps=3), GbRrtConfig(iterations=5)
QUERY = torch.linspace(-1, 1, 9).view(9, 1, 1)
SOURCE = """
import torch
from torch import nn

print("imported {name}")

def generator():
    torch.manual_seed({seed})
    return nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4)).eval()
"""


def run_of(path: Path | str, out: Path, **choices: str) -> Path:
    """A small run of a checkpoint file."""
    generator = load_model(path, **choices).generator
    return save_run(explore(generator, QUERY, layer=1, rng=0, beropt=SHORT, gbrrt=FEW, samples=0), out)


def command(*words: str) -> str:
    """What the command line prints."""
    short = ["--samples", "0", "--iterations", "5", "--sparsity", "0.01", "--max-steps", "3"]
    called = CliRunner().invoke(app, [*words, *short])
    assert called.exit_code == 0, called.output
    return called.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of one's own to work in; modules of it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path  # type: ignore[misc]
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def test_a_run_of_a_file_reopens_by_its_name(here: Path) -> None:
    torch.save(networks()[0].state_dict(), "g.pth")
    run_of("g.pth", here / "run")
    back = load_run("run")
    assert back.model_name == "g.pth"
    assert torch.equal(back.images(), load_run("run", generator=load_model("g.pth").generator).images())


def test_what_was_said_of_a_file_stands_in_the_run(here: Path) -> None:
    one, two = networks()[0].state_dict(), networks()[0].state_dict()
    torch.save({"G_A": one, "G_B": {name: value * 1.5 for name, value in two.items()}}, "g.pth")
    run_of("g.pth", here / "run", key="G_B")
    assert json.loads((here / "run/config.json").read_text())["model"]["key"] == "G_B"
    assert load_run("run").config()["model"]["key"] == "G_B"
    torch.save(nn.Sequential(nn.Linear(9, 5), nn.ELU(), nn.Linear(5, 64)).state_dict(), "m.pth")
    command("explore", "--model", "m.pth", "--activation", "elu,tanh", "--out", "told")
    assert json.loads((here / "told/config.json").read_text())["model"]["activation"] == "elu,tanh"
    back = load_run("told")
    assert [layer.kind for layer in back.network.layers] == ["ELU", "Tanh"]
    assert "--activation elu,tanh" in (here / "told/report.html").read_text()


def test_a_file_that_moved_or_changed_is_told_with_the_way_out(here: Path) -> None:
    generator, _ = networks()
    torch.save(generator.state_dict(), "g.pth")
    run_of("g.pth", here / "run")
    torch.save({name: value * 2 for name, value in generator.state_dict().items()}, "g.pth")
    with pytest.raises(RunDirectoryError, match=r"other weights of g\.pth.*the file has changed since.*generator="):
        load_run("run")
    Path("g.pth").unlink()
    with pytest.raises(ModelNotFoundError, match=r"'g\.pth' is neither.*seen from .*there is no file.*generator="):
        load_run("run")
    Path("g.pth").write_bytes(b"nothing")
    with pytest.raises(ModelNotFoundError, match=r"'g\.pth' is neither.*generator="):
        load_run("run")
    assert load_run("run", generator=load_model(saved(generator)).generator).images().shape[0] > 0


def saved(generator: nn.Module) -> Path:
    torch.save(generator.state_dict(), "again.pth")
    return Path("again.pth")


def test_a_callable_of_the_current_directory_reopens(here: Path) -> None:
    (here / "mine_a.py").write_text(SOURCE.format(seed=1, name="mine_a"))
    command("explore", "--model", "mine_a:generator", "--latent-size", "2", "--out", "run")
    back = load_run("run")
    assert back.model_name == "mine_a:generator"
    (here / "mine_a.py").write_text(SOURCE.format(seed=2, name="mine_a"))
    del sys.modules["mine_a"]
    with pytest.raises(RunDirectoryError, match=r"other weights of mine_a:generator.*draws its weights anew"):
        load_run("run")


def test_a_package_of_the_current_directory_reopens(here: Path) -> None:
    (here / "mine_p").mkdir()
    (here / "mine_p/nets.py").write_text(SOURCE.format(seed=1, name="mine_p"))
    command("explore", "--model", "mine_p.nets:generator", "--latent-size", "2", "--out", "run")
    sys.modules.pop("mine_p"), sys.modules.pop("mine_p.nets")
    assert load_run("run").model_name == "mine_p.nets:generator"


def test_code_from_elsewhere_is_not_imported_unless_it_is_allowed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "work").mkdir()
    (here / "work/mine_b.py").write_text(SOURCE.format(seed=1, name="mine_b"))
    monkeypatch.chdir(here / "work")
    command("explore", "--model", "mine_b:generator", "--latent-size", "2", "--out", str(here / "run"))
    del sys.modules["mine_b"]
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here / "work"))  # as installed packages are found
    capsys.readouterr()
    with pytest.raises(ModelNotFoundError, match=r"code 'mine_b:generator'.*allow_code=True.*generator="):
        load_run("run")
    assert "mine_b" not in sys.modules
    assert "imported" not in "".join(capsys.readouterr())
    assert load_run("run", allow_code=True).model_name == "mine_b:generator"


@pytest.mark.parametrize("name", ["os:abort", "antigravity:fly", "subprocess:run", "pytest:main", "x y:z", ":z"])
def test_a_strangers_run_cannot_have_anything_called(here: Path, name: str) -> None:
    (here / "os.py").write_text("raise SystemExit('run')")
    config = {"model": {"name": name}, "latent": {"shape": [2]}}
    with pytest.raises(ModelNotFoundError, match="run code that the run directory names"):
        reopened(config, here / "run", allow_code=False)


def test_code_within_the_run_directory_is_not_imported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mine_c.py").write_text(SOURCE.format(seed=1, name="mine_c"))
    command("explore", "--model", "mine_c:generator", "--latent-size", "2", "--out", "run")
    del sys.modules["mine_c"]
    (here / "run/mine_c.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(here / "run")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(here))])
    with pytest.raises(ModelNotFoundError, match="allow_code"):
        load_run(here / "run")


def test_a_callable_that_is_gone_is_told_with_the_way_out(here: Path) -> None:
    (here / "mine_d.py").write_text(SOURCE.format(seed=1, name="mine_d"))
    command("explore", "--model", "mine_d:generator", "--latent-size", "2", "--out", "run")
    (here / "mine_d.py").write_text("")
    del sys.modules["mine_d"]
    with pytest.raises(ModelNotFoundError, match=r"cannot be made again \(module mine_d has no callable.*generator="):
        load_run("run")


def test_where_a_module_lies_is_told_without_importing_it(here: Path) -> None:
    (here / "mine_e.py").write_text("raise SystemExit")
    (here / "mine_folder").mkdir()
    (here / "mine_folder/x.py").write_text("raise SystemExit")
    assert lies_here("mine_e")
    assert lies_here("mine_folder.x")
    for name in ("os", "sys", "torch", "torch.nn", "mine_nothing", "", "a-b", "egbas"):
        assert not lies_here(name), name
