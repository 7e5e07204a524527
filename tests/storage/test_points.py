# SPDX-License-Identifier: MIT
"""Points of a path that are kept: found again bit for bit, made once, whoever asks."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from egbas.beropt import BerOptConfig, BerOptResult
from egbas.errors import RunDirectoryError
from egbas.exploration import path
from egbas.exploration.path import LevelPath, explore_path
from egbas.latent import LatentSpace
from egbas.network import Network
from egbas.report.path_page import table_of, tensors_of
from egbas.storage import Store, load_run
from egbas.storage.points import POINT, PointStore
from egbas.storage.store import CELLS, SETS
from tests.problems import HALVES_QUERY, HalvesNet

SPACE, LEVELS = LatentSpace(shape=(2,)), [5, 8]  # without any unit level 5 is kept: its set is empty


@functools.cache
def network() -> Network:
    return Network(HalvesNet(backdrop=10.0), (2,))


def path_of(keeper: PointStore | None, levels: Sequence[int] = LEVELS) -> LevelPath:
    return explore_path(
        network(),
        HALVES_QUERY,
        [1],
        list(levels),
        rng=3,
        samples=5,
        max_evaluations=500,
        latent=SPACE,
        beropt=BerOptConfig(max_steps=60, anneal_steps=60),
        keeper=keeper,
    )


def keeper_of(folder: Path, seed: int = 3) -> PointStore:
    return PointStore(Store(folder), {"seed": seed}, network(), SPACE)


@functools.cache
def plain() -> LevelPath:
    return path_of(None)


def same(one: LevelPath, other: LevelPath) -> bool:
    tensors, others = tensors_of(one), tensors_of(other)
    pairs = [(tensors[name], others[name]) for name in tensors]
    return (
        one.rows() == other.rows()
        and table_of(one) == table_of(other)
        and tensors.keys() == others.keys()
        and all(torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0)) and a.dtype == b.dtype for a, b in pairs)
    )


class Counting:
    """How often sets were searched, and points made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> None:
        self.searched, self.made = list[list[int]](), list[int]()
        search, point = path.levels_of, path._point

        def searching(problem: object, config: object, levels: Sequence[int], *others: object) -> list[BerOptResult]:
            self.searched.append(list(levels))
            return search(problem, config, levels, *others)  # type: ignore[arg-type]

        def making(problem: object, result: object, level: int, *others: object) -> object:
            if level == stop_at:
                raise KeyboardInterrupt
            self.made.append(level)
            return point(problem, result, level, *others)  # type: ignore[arg-type]

        monkeypatch.setattr(path, "levels_of", searching)
        monkeypatch.setattr(path, "_point", making)


def test_what_was_stopped_goes_on_and_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        first = Counting(patch, stop_at=8)
        with pytest.raises(KeyboardInterrupt):
            path_of(keeper_of(tmp_path))
    assert (first.searched, first.made) == ([LEVELS], [5])
    with monkeypatch.context() as patch:
        rest = Counting(patch)
        found = path_of(keeper_of(tmp_path))
    assert (rest.searched, rest.made) == ([], [8])  # the sets are there, too
    assert same(found, plain())
    with monkeypatch.context() as patch:
        again = Counting(patch)
        assert same(path_of(keeper_of(tmp_path)), plain())
    assert (again.searched, again.made) == ([], [])
    assert (len(list(Store(tmp_path, CELLS).keys())), len(list(Store(tmp_path, SETS).keys()))) == (2, 2)


def test_other_levels_and_other_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_of(keeper_of(tmp_path), [5])
    with monkeypatch.context() as patch:
        more = Counting(patch)
        assert same(path_of(keeper_of(tmp_path)), plain())
    assert (more.searched, more.made) == ([[8]], [8])
    with monkeypatch.context() as patch:
        other = Counting(patch)
        path_of(keeper_of(tmp_path, seed=4), [5])
    assert (other.searched, other.made) == ([[5]], [5])


def test_a_point_is_a_run_directory(tmp_path: Path) -> None:
    path_of(keeper_of(tmp_path))
    places = [Store(tmp_path, CELLS).place(key) for key in Store(tmp_path, CELLS).keys()]
    (place,) = (place for place in places if not (place / POINT).exists())  # the other one's region is everything
    run = load_run(place, HalvesNet(backdrop=10.0))
    assert run.exact is not None and torch.equal(run.exact.latents, plain().points[1].latents)


def test_what_somebody_else_makes_is_left_to_them(tmp_path: Path) -> None:
    layer, keeper = plain().points[0].layer, keeper_of(tmp_path)
    with Store(tmp_path, CELLS).claim(keeper._key(layer, 5)) as granted:
        assert granted
        assert keeper.point(layer, 5, lambda: plain().points[0], is_patient=False) is None
    assert keeper.point(layer, 5, lambda: plain().points[0], is_patient=False) is plain().points[0]


@pytest.mark.parametrize("name", ["point.json", "region.safetensors"])
def test_a_damaged_point_is_told(tmp_path: Path, name: str) -> None:
    path_of(keeper_of(tmp_path), [5])
    (key,) = Store(tmp_path, CELLS).keys()
    (Store(tmp_path, CELLS).place(key) / name).write_bytes(b"{")
    with pytest.raises(RunDirectoryError, match=f"{re.escape(name)} is damaged"):
        path_of(keeper_of(tmp_path), [5])
