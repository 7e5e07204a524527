# SPDX-License-Identifier: MIT
"""Networks of other people, explored by the command line and checked by independent forward passes: the docs' table.

Run as ``python -m benchmarks.families OUT.json [NAME ...]``. Each row runs ``egbas layers`` and ``egbas explore`` as a
user types them, reads the run directory back, and asks the network itself, by plain hooks of torch: does every latent
lie where ``contains`` says, and is the image of the kept units alone the one that BerOpt's tail made? What is not
installed is left out. ``python -m benchmarks.families --table OUT.json`` prints the table.
"""

import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import egbas
from benchmarks import family_networks

FACES = "EGBAS_FACES"  # environment variable: the file weights.tar of gan_face_generate
PROMPT = "prompt.safetensors"
FEW = ("--iterations", "200", "--max-steps", "200")
EXACT = ("--samples", "10", "--max-evaluations", "2000")  # where weights are trained; else --samples 0
TRAINED = ("faces", "taef2", "lenet")
SPREADS = (0.02, 0.1, 0.3, 1.0)  # of the latents around the query that are asked about, beside those of the run
EACH = 40
CLOSE = 1e-4  # relative to the largest pre-activation: nearer to a boundary than that, rounding decides


@dataclass(frozen=True, kw_only=True)
class Family:
    """A row of the table.

    Attributes:
        name: of the function in ``family_networks``, or of the row.
        title: of the family.
        source: where it is from.
        layer: that is explored, as ``--layer`` takes it.
        place: the module to hook, whether its input or output is the layer, and which of its calls.
        options: further ones of the command line.
        beside: what forward gets beside n latents, by our own hand.
        file: environment variable of a weights file that is the model.
    """

    name: str
    title: str
    source: str
    layer: str
    place: tuple[str, str, int]
    options: tuple[str, ...] = ()
    beside: Callable[[int], dict[str, Any]] = lambda n: {}
    file: str | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """Options that keep a row short."""
        return (*FEW, *(EXACT if self.name in TRAINED else ("--samples", "0")))

    @property
    def model(self) -> str:
        """As ``--model`` takes it."""
        return os.environ[self.file] if self.file is not None else f"benchmarks.family_networks:{self.name}"

    def network(self) -> nn.Module:
        """The network, built by its own project's code."""
        return _faces() if self.file is not None else getattr(family_networks, self.name)()


def _one_hot(n: int) -> Tensor:
    return torch.eye(10)[torch.full((n,), 3)]


def _prompt() -> Tensor:
    return torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(1))


FAMILIES = (
    Family(
        name="faces",
        title="DCGAN, trained on faces",
        source="PyPI `gan_face_generate` 1.1.1",
        layer="2",
        place=("main.5", "input", 1),
        file=FACES,
    ),
    Family(
        name="taef2",
        title="TAEF2 decoder, trained",
        source="madebyollin/taesd",
        layer="4.fuse",
        place=("4.fuse", "input", 1),
    ),
    Family(
        name="lenet",
        title="LeNet, trained on digits",
        source="embedded `lenet-mnist`",
        layer="3",
        place=("relu3", "input", 1),
    ),
    Family(
        name="resnet",
        title="ResNet",
        source="`transformers`",
        layer="encoder.stages.0.layers.1.activation",
        place=("encoder.stages.0.layers.1.activation", "input", 1),
        options=("--output", "last_hidden_state"),
    ),
    Family(name="vit", title="ViT", source="`transformers`", layer="layers.1", place=("layers.1", "output", 1)),
    Family(
        name="mobilenet",
        title="MobileNetV2",
        source="`transformers`",
        layer="layer.3",
        place=("layer.3", "output", 1),
    ),
    Family(
        name="gpt2_block",
        title="GPT-2 blocks on embeddings",
        source="`transformers`",
        layer=".0",
        place=("0", "output", 1),
    ),
    Family(
        name="bert",
        title="BERT encoder on embeddings",
        source="`transformers`",
        layer="layer.1",
        place=("layer.1", "output", 1),
    ),
    Family(
        name="autoencoder_kl",
        title="AutoencoderKL decoder",
        source="`diffusers`",
        layer="up_blocks.0.resnets.1",
        place=("up_blocks.0.resnets.1", "output", 1),
    ),
    Family(
        name="autoencoder_tiny",
        title="AutoencoderTiny decoder",
        source="`diffusers`",
        layer="layers.4.fuse",
        place=("layers.4.fuse", "input", 1),
    ),
    Family(
        name="unet",
        title="UNet, one step with a prompt",
        source="`diffusers`",
        layer="up_blocks.1.resnets.1",
        place=("up_blocks.1.resnets.1", "output", 1),
        options=("--input", "timestep=500", "--input", f"encoder_hidden_states=@{PROMPT}"),
        beside=lambda n: {"timestep": 500, "encoder_hidden_states": _prompt().expand(n, -1, -1)},
    ),
    Family(
        name="biggan",
        title="BigGAN, one class",
        source="`pytorch-pretrained-biggan`",
        layer="generator.layers.1",
        place=("generator.layers.1", "output", 1),
        options=("--input", "class_label=3", "--input", "truncation=0.4"),
        beside=lambda n: {"class_label": _one_hot(n), "truncation": 0.4},
    ),
    Family(name="flow", title="Coupling flow", source="`nflows`", layer=".1", place=("1", "output", 1)),
    Family(
        name="siren",
        title="SIREN of places and a latent",
        source="`siren-pytorch`",
        layer="field.layers.1",
        place=("field.layers.1", "output", 1),
    ),
    Family(
        name="stylegan2",
        title="StyleGAN2 in z, one class",
        source="NVlabs/stylegan3",
        layer="mapping.fc1",
        place=("mapping.fc1", "output", 1),
        options=("--input", "c=3", "--input", "noise_mode=const"),
        beside=lambda n: {"c": _one_hot(n), "noise_mode": "const"},
    ),
    Family(
        name="stylegan2_w",
        title="StyleGAN2 in w",
        source="NVlabs/stylegan3",
        layer="synthesis.b8.conv1",
        place=("synthesis.b8.conv1", "output", 1),
    ),
    Family(
        name="stylegan2_w_plus",
        title="StyleGAN2 in w+",
        source="NVlabs/stylegan3",
        layer="b8.conv1",
        place=("b8.conv1", "output", 1),
        options=("--input", "noise_mode=const"),
        beside=lambda n: {"noise_mode": "const"},
    ),
    Family(
        name="stylegan3",
        title="StyleGAN3 in z",
        source="NVlabs/stylegan3",
        layer="mapping.fc1",
        place=("mapping.fc1", "output", 1),
        options=("--input", "c=none"),
        beside=lambda n: {"c": None},
    ),
)


def _faces() -> nn.Module:
    from gan_face_generate.models import Generator  # pyright: ignore[reportMissingImports]

    path = os.environ[FACES]
    network = Generator(0, 3, 100, 64).eval().requires_grad_(False)
    network.load_state_dict(_generator_in(torch.load(path, weights_only=True, map_location="cpu")))
    network.latent = egbas.LatentSpace(shape=(100, 1, 1))
    return network


def _generator_in(content: Any) -> dict[str, Tensor]:
    """The state dict of a generator, wherever a training file has it."""
    if "main.0.weight" in content and content["main.0.weight"].shape[0] == 100:
        return content
    inside = [value for value in content.values() if isinstance(value, dict)]
    return next(found for value in inside if (found := _generator_in(value))) if inside else {}


def plain(family: Family, network: nn.Module, z: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One forward pass by torch alone.

    Args:
        family: whose layer is watched.
        network: as its project builds it.
        z: (n, d) latents.
        keep: (units,) 0 or 1, by which the layer's output is multiplied.

    Returns:
        The layer's values (n, units), before the activation where it is one, and the images.
    """
    path, side, call = family.place
    seen: list[Tensor] = []
    module = network.get_submodule(path)

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0].detach().clone())

    def after(_: nn.Module, args: tuple[Any, ...], returned: Any) -> Any:
        tensor = returned if isinstance(returned, Tensor) else returned[0]
        if side == "output":
            seen.append(tensor.detach().clone())
        if keep is None or len(seen) != call:
            return None
        masked = (tensor.flatten(1) * keep).view_as(tensor)
        return masked if isinstance(returned, Tensor) else (masked, *returned[1:])

    handles = [module.register_forward_hook(after)]
    if side == "input":
        handles.append(module.register_forward_pre_hook(before))
    try:
        with torch.no_grad():
            shape = network.latent.shape  # pyright: ignore[reportAttributeAccessIssue]
            returned = network(z.reshape(-1, *shape), **family.beside(len(z)))
    finally:
        for handle in handles:
            handle.remove()
    image = returned if isinstance(returned, Tensor) else next(iter(returned.values()))
    return seen[call - 1].flatten(1), image


def check(family: Family, run: egbas.Exploration, network: nn.Module) -> dict[str, Any]:
    """Compare a run with plain passes of the network."""
    region, query = run.support.region, run.query
    rng = torch.Generator().manual_seed(5)
    around = [query + spread * torch.randn(EACH, len(query), generator=rng) for spread in SPREADS]
    z = torch.cat([run.tree.latents[:EACH] if run.tree is not None else query[None], *around])
    values, _ = plain(family, network, z)
    sides = values[:, region.units] * region.signs
    margin = sides.amin(dim=1)
    is_clear = margin.abs() > CLOSE * values.abs().max()
    expected, got = margin >= 0, region.contains(z)
    keep = torch.zeros(values.shape[1])
    keep[region.units] = 1
    _, image = plain(family, network, query[None])
    _, masked = plain(family, network, query[None], keep)
    tail = run.network.split(run.layer).at(query)
    ours = tail((keep * tail.a)[None])
    scale = float(image.abs().max())
    return {
        "asked": int(is_clear.sum()),
        "asked_inside": int((expected & is_clear).sum()),
        "agree": int(((expected == got) & is_clear).sum()),
        "tail_error": float((masked.reshape(ours.shape) - ours).abs().max()) / scale,
        "fidelity_by_hooks": float((masked - image).norm() / image.norm()),
        "fidelity": run.support.beropt.fidelity,
        "route": tail.route,
    }


def measure(family: Family, folder: Path) -> dict[str, Any]:
    """Run a row."""
    network = family.network()
    inputs = list(family.options)
    save_file({"encoder_hidden_states": _prompt()}, folder / PROMPT)
    listing = ["layers", family.model, *inputs]
    began = time.perf_counter()
    layers = json.loads(_egbas([*listing, "--json"], folder))
    seconds_layers = time.perf_counter() - began
    out = folder / family.name
    words = ["explore", "--model", family.model, "--layer", family.layer, *inputs]
    began = time.perf_counter(), _cpu()
    _egbas([*words, *family.settings, "--out", str(out), "--quiet"], folder)
    seconds, cpu_seconds = time.perf_counter() - began[0], _cpu() - began[1]
    latent: egbas.LatentSpace = network.latent  # pyright: ignore[reportAssignmentType]
    run = egbas.load_run(out, generator=None if family.file is not None else network, latent=latent)
    assert run.layer is not None
    return {
        "family": family.name,
        "title": family.title,
        "source": family.source,
        "command": shlex.join(["egbas", *words]).replace(family.model, "weights.tar" if family.file else family.model),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "seconds_layers": seconds_layers,
        "layers": len(layers),
        "bypassed": sum((layer["past"] or 0) > 0.5 for layer in layers),
        "layer": run.layer.path,
        "past": run.network.past(run.layer),
        "units": run.layer.units,
        "kept": len(run.support.region.units),
        "nodes": len(run.grown.latents),
        "exact": 0 if run.exact is None else len(run.exact.latents),
        "freedom": None if run.facts is None else run.facts.mean,
        "inside": run.certificate.n_inside,
        "samples": run.certificate.n_samples,
        **check(family, run, network),
    }


def _cpu() -> float:
    """Seconds of the processor that commands have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _egbas(words: Sequence[str], folder: Path) -> str:
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "egbas", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"egbas {shlex.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| family | from | command | seconds | what was seen |", "|---|---|---|---|---|"]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['title']} | {row['source']} | | | {row['failed']} |")
            continue
        bypassed = f", {row['bypassed']} of them bypassed" if row["bypassed"] else ""
        past = "" if not row["past"] or row["past"] < 0.01 else f" ({row['past']:.0%} flows past it)"
        seen = (
            f"{row['layers']} non-linearities{bypassed}. `{row['layer']}`{past}: {row['kept']:,} of {row['units']:,} "
            f"units kept, error {row['fidelity']:.3f}; {row['inside']} of {row['samples']} samples inside. "
            f"Hooks agree for {row['agree']} of {row['asked']} latents, {row['asked_inside']} of them inside; "
            f"the image of the kept units is {row['tail_error']:.0e} apart"
        )
        seconds = f"{row['cpu_seconds']:.0f}" if "cpu_seconds" in row else ""
        lines.append(f"| {row['title']} | {row['source']} | `{row['command']}` | {seconds} | {seen} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> None:
    """Measure the rows that are asked for, and keep those that the file has."""
    if words[:1] == ["--table"]:
        sys.stdout.write(table(json.loads(Path(words[1]).read_text())))
        return
    path, names = Path(words[0]), words[1:] or [family.name for family in FAMILIES]
    rows = {row["family"]: row for row in (json.loads(path.read_text()) if path.exists() else [])}
    with tempfile.TemporaryDirectory() as folder:
        for family in FAMILIES:
            if family.name not in names:
                continue
            try:
                rows[family.name] = measure(family, Path(folder))
            except (ImportError, KeyError, FileNotFoundError) as error:
                sys.stderr.write(f"{family.name}: left out, {error}\n")
                continue
            except RuntimeError as error:
                rows[family.name] = {
                    "family": family.name,
                    "title": family.title,
                    "source": family.source,
                    "failed": str(error),
                }
            sys.stderr.write(f"{family.name}: {json.dumps(rows[family.name])}\n")
            order = [one.name for one in FAMILIES if one.name in rows]
            path.write_text(json.dumps([rows[name] for name in order], indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
