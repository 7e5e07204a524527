# SPDX-License-Identifier: MIT
"""From the options of ``explore`` to a task's run directory: what the workers of a sweep hold, and what they do."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from egbas.cli import settings
from egbas.errors import ConfigError
from egbas.exploration.estimate import estimate
from egbas.exploration.explore import explore
from egbas.exploration.path import level_within
from egbas.exploration.result import Exploration
from egbas.geometry import choose_geometry, geometry_around
from egbas.inputs.conditions import find_inputs
from egbas.inputs.devices import find_device
from egbas.inputs.focus import find_focus
from egbas.inputs.models import find_callable, find_model
from egbas.inputs.queries import find_query, find_rows, warnings_of
from egbas.network import Layer, Network
from egbas.network.boundary import Boundary
from egbas.region.precisions import keep_splits
from egbas.samplers.gbrrt import check_step_size
from egbas.storage import Store, key_of, load_run, run_files
from egbas.sweep.identity import decides_of
from egbas.sweep.plan import Part
from egbas.sweep.task import Task
from egbas.zoo.models import Model, is_path, load_classifier

# Options of commands, not of the explorations that they make.
_OF_COMMANDS = {
    "file", "model", "layer", "level", "seed", "queries", "out", "store", "engine", "address", "shared", "workers",
    "retry", "plan_only", "threads", "overwrite", "json", "quiet",
}  # fmt: skip
# Options that are told as what they mean, and those that change nothing but the last digits. All others are hashed as
# they are typed: an option that is new tells tasks apart before anybody has thought of it.
RESOLVED = {
    "latent_size",
    "latent",
    "layer",
    "seed",
    "level",
    "geometry",
    "focus",
    "judge",
    "features",
    "input",
    "boundary",
    "image",
    "encoder",
    "force",
} | {field.name for kind in settings.CONFIGS for field in dataclasses.fields(kind)}
# A model is what its network does, whatever it is called and wherever it was found.
UNDECIDING = {"model", "device", "threads", "key", "activation"}
_OF_FILES = "key", "activation"


def explore_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of a command those that the explorations have.

    Args:
        given: all options, by name.
    """
    return {name: value for name, value in given.items() if name not in _OF_COMMANDS}


def options_for(model: str, given: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """The options of one of several models: what says how a checkpoint file is read is for files alone.

    Where no model is a file, they stay, and are refused with their reason.

    Args:
        model: as typed.
        given: options of ``explore``, by name.
        models: all of them, as typed.
    """
    if is_path(model) or not any(map(is_path, models)):
        return dict(given)
    return {name: None if name in _OF_FILES else value for name, value in given.items()}


class ModelWorkshop:
    """A model with its network, and the settings of all its tasks."""

    def __init__(
        self,
        options: Mapping[str, Any],
        model: str,
        device: str | None = None,
        *,
        loaded: Model | None = None,
    ) -> None:
        """Load the model and read the options.

        Args:
            options: of ``explore``, by name; None for one that was not given.
            model: as typed.
            device: where the network runs; None: as the options say.
            loaded: the model, where it was loaded before.

        Raises:
            EgbasError: as ``egbas explore`` does, for all that can be told before a task.
        """
        given = {name: value for name, value in options.items() if value is not None}
        self._options = given
        settings.check_one(**{name: given.get(name) for name in ("level", "delta", "sparsity")})
        self.model = loaded or find_model(
            model,
            given.get("latent_size"),
            given.get("latent"),
            key=given.get("key"),
            activation=given.get("activation"),
        )
        self._judges = [find_callable(name, "--judge") for name in given.get("judge") or ()]
        features = given.get("features")
        self._features = None if features is None else find_callable(features, "--features")
        self._focus = None if given.get("focus") is None else find_focus(given["focus"])
        levelled = {name: value for name, value in given.items() if name != "level"}
        self._beropt, self._gbrrt = settings.configs(**levelled)
        self._device = find_device(device or given.get("device", "cpu"))
        self.network = Network(
            self.model.generator.to(self._device),
            self.model.latent.shape,
            output=given.get("output"),
            inputs=find_inputs(given.get("input")),
            boundary=Boundary.of(given.get("boundary"), self.model.latent),
        )
        self.space = choose_geometry(self.model.latent, self.network, given.get("geometry", "auto"))
        self._samples = given.get("samples", 0)
        self._rows: Tensor | None = None
        if self._samples == 0 and given.get("delta") is not None:
            raise ConfigError("got --delta and --samples 0; a distance is told by exact samples: ask for some")

    def check_step_size(self, seed: int) -> None:
        """Refuse a step size that no tree can have around the queries of the file, or that of a seed; before any task.

        Raises:
            ConfigError: it is too small or too large.
        """
        if self._gbrrt.step_size is None:
            return
        rows = self._latents()
        queries = find_query(str(seed), self.model.latent)[None] if rows is None else rows
        for z0 in queries.to(self.network.dtype):
            check_step_size(self._gbrrt, geometry_around(self.space, z0), z0.dtype)

    def start_at(self, latents: Tensor) -> None:
        """Take the queries (n, d), where no file and no seed gives them; before any task."""
        self._rows = latents

    def layer(self, key: int | str) -> Layer:
        """A layer by its number or path.

        Raises:
            LayerNotFoundError: there is none.
        """
        return self.network.resolve(settings.layer_key(str(key)))

    @property
    def levels(self) -> Sequence[int | None]:
        """The levels where none was asked for."""
        return [self._beropt.level]

    @functools.cached_property
    def decides(self) -> dict[str, Any]:
        """All that determines the results of tasks beside their layer, level, query and seed, as JSON takes it."""
        has_classes = self.model.card is not None and self._samples
        return decides_of(
            self.network,
            self.space,
            self._beropt,
            self._gbrrt,
            options={
                **{name: value for name, value in self._options.items() if name not in RESOLVED | UNDECIDING},
                "inputs": self.network.conditions.record() or None,
                **self.network.boundary.record(),
            },
            focus=self._focus,
            judges=self._named_judges(),
            features=self._features,
            classifier=load_classifier(settings.CLASSIFIER) if has_classes else None,
        )

    @functools.cached_property
    def rows(self) -> list[str] | None:
        """What determines each query of the file of latents; None where seeds draw the queries."""
        latents = self._latents()
        if latents is None:
            return None
        return [key_of({"latent": row.double().tolist()}) for row in latents]

    def task(self, layer: int | str, level: int | None, seed: int, row: int | None = None) -> Task:
        """One task of this model, as a sweep has it."""
        part = Part(
            model=self.model.name,
            layers={layer: self.layer(layer).path},
            levels=[level],
            decides=self.decides,
            rows=self.rows if row is not None else None,
        )
        return part.task(layer, level, seed, row)

    def explored(self, task: Task, store: Store | None, progress: Any = None) -> Exploration:
        """Explore, or read what was explored before.

        Args:
            task: what to explore.
            store: where it is kept and found again; None: nowhere.
            progress: called with (stage, done, total, text).

        Raises:
            EgbasError: as ``egbas explore`` does.
        """
        if store is None:
            return self.explore(task, progress)
        made: list[Exploration] = []

        def make() -> dict[str, bytes]:
            made.append(self.explore(task, progress))
            return run_files(made[0])

        place, _ = store.get(task.key, make)
        return made[0] if made else load_run(place, self.network.generator, latent=self.space)

    def estimate(self, layer: int | str, levels: Sequence[int | None]) -> tuple[float, float, int]:
        """What a task at a layer takes: seconds at least and at most, and bytes of memory at the peak."""
        rows = self._latents()
        z0 = find_query("0", self.model.latent) if rows is None else rows[0]
        settled = dataclasses.replace(self._beropt, level=next(iter(levels)))
        told = estimate(
            self.network,
            z0,
            self.layer(layer).key,
            latent=self.space,
            geometry=self.space.geometry,
            beropt=settled,
            gbrrt=self._gbrrt,
            samples=self._samples,
            output=self._options.get("output"),
            inputs=find_inputs(self._options.get("input")),
            boundary=self._options.get("boundary"),
        )
        # Splitting is done once a layer, and pictures are not made.
        stages = [stage for stage in told.stages if stage.name not in ("cut", "images")]
        return sum(stage.low for stage in stages), sum(stage.high for stage in stages), told.peak_bytes

    def explore(self, task: Task, progress: Any = None) -> Exploration:
        """Explore a task's layer around its query.

        Raises:
            EgbasError: as ``egbas explore`` does.
        """
        z0, layer = self.query(task), self.layer(task.layer)
        keep_splits(self.network, [layer])
        beropt, within = dataclasses.replace(self._beropt, level=task.level), None
        judges = [*self._judges, *(settings.class_judges(self.model, z0) if self._samples else ())]
        common: dict[str, Any] = {
            "samples": self._samples,
            "max_evaluations": self._options.get("max_evaluations"),
            "focus": self._focus,
            "output": self._options.get("output"),
            "latent": self.space,
            "geometry": self.space.geometry,
            "progress": progress,
        }
        delta = self._options.get("delta")
        if delta is not None:
            within = level_within(
                self.network, z0.to(self._device), layer.key, delta, rng=task.seed, beropt=beropt, **common
            )
            beropt = dataclasses.replace(beropt, level=within.level)
        run = explore(
            self.network,
            z0.to(self._device),
            layer=layer.key,
            rng=task.seed,
            model_name=self.model.name,
            beropt=beropt,
            gbrrt=self._gbrrt,
            judges=judges,
            features=self._features,
            mass=self._options.get("mass") or None,
            repeats=self._options.get("repeats", 1),
            **common,
        )
        settings.refuse_empty(run)
        told = (*warnings_of(z0, self.space), *(() if within is None else within.warnings))
        return dataclasses.replace(run, within=within, warnings=(*told, *run.warnings))

    def files(self, task: Task) -> dict[str, bytes]:
        """Explore, and give the files of the run directory, by name."""
        return run_files(self.explore(task))

    def query(self, task: Task) -> Tensor:
        """The query (d,) of a task."""
        latents = self._latents()
        if latents is not None and task.row is not None:
            return latents[task.row]
        return find_query(str(task.seed), self.model.latent)

    def _latents(self) -> Tensor | None:
        """The queries (n, d) of the file of latents."""
        if self._rows is None and self._options.get("latent") is not None:
            self._rows = find_rows(self._options["latent"], self.model.latent)
        return self._rows

    def _named_judges(self) -> list[tuple[str, Any]]:
        return list(zip(self._options.get("judge") or (), self._judges, strict=True))


class SweepWorkshop:
    """The workshops of a sweep's models; one model at a time is held."""

    def __init__(self, options: Mapping[str, Any], device: str | None = None) -> None:
        """Take the options.

        Args:
            options: of ``explore``, by name, and ``models``, the names of all models, where there are several.
            device: where networks run; None: as the options say.
        """
        self._options = {name: value for name, value in options.items() if name != "models"}
        self._models, self._device = options.get("models") or (), device
        self._held: ModelWorkshop | None = None
        self._name, self._loaded = "", dict[str, Model]()

    def take(self, models: Mapping[str, Model]) -> None:
        """Take models that were loaded elsewhere, by name."""
        self._loaded = dict(models)

    def files(self, task: Task) -> dict[str, bytes]:
        """Do a task: the files of its run directory, by name."""
        return self.of(task.model).files(task)

    def of(self, model: str) -> ModelWorkshop:
        """The workshop of a model."""
        if self._held is None or self._name != model:
            loaded = self._loaded.get(model)
            given = options_for(model, self._options, self._models)
            self._held = ModelWorkshop(given, model, self._device, loaded=loaded)
            self._name = model
        return self._held


def open_workshop(options: Mapping[str, Any], number: int) -> SweepWorkshop:
    """Make the workshop of a worker.

    Args:
        options: of ``explore``, by name.
        number: of the worker; each has a GPU of its own where there are several.
    """
    device = str(options.get("device") or "cpu")
    if device == "cuda" and torch.cuda.device_count() > 1:
        device = f"cuda:{number % torch.cuda.device_count()}"
    return SweepWorkshop(options, device)
