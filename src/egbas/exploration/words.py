# SPDX-License-Identifier: MIT
"""What is held and what is free, in a sentence: areas of the image by their freedom, then scores of judges."""

from collections.abc import Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from egbas.exploration.judges import FREE, HELD, Score
from egbas.network.kinds import kind_of

_ROWS, _COLUMNS = ("upper", "", "lower"), ("left", "middle", "right")
_WHOLE_ROWS = "the top", "the middle row", "the bottom"
_WHOLE_COLUMNS = "the left side", "", "the right side"
_LEAST = 0.02  # of all deviation over the prior; of an area with less nothing is said
_PARTS = 3  # of each side


def areas_of(deviation: Float[Tensor, "..."], prior: Float[Tensor, "..."]) -> dict[tuple[int, int], float]:
    """Freedom of each of nine areas of an image, by row and column; only of those that change over the prior.

    What has no sides of three pixels, such as a vector or a signal, is one area.

    Args:
        deviation: (c, h, w) or (h, w), of each pixel over the region.
        prior: the same over the prior.
    """
    if deviation.ndim < 2 or kind_of(tuple(deviation.shape)) == "signal" or min(deviation.shape[-2:]) < _PARTS:
        everything = float(prior.sum())
        return {(1, 1): float(deviation.sum()) / everything} if everything > 0 else {}
    height, width = deviation.shape[-2:]
    areas = {}
    for row in range(_PARTS):
        rows = slice(row * height // _PARTS, (row + 1) * height // _PARTS)
        for column in range(_PARTS):
            columns = slice(column * width // _PARTS, (column + 1) * width // _PARTS)
            there = float(prior[..., rows, columns].sum())
            if there >= _LEAST * float(prior.sum()) and there > 0:
                areas[row, column] = float(deviation[..., rows, columns].sum()) / there
    return areas


def sentence_of(areas: Mapping[tuple[int, int], float], scores: Mapping[str, Score], noun: str = "image") -> str:
    """Say which areas of the image stay and which move, and which scores.

    Args:
        areas: as ``areas_of`` gives them.
        scores: of the judges, by name.
        noun: what the areas are of, such as a signal.
    """
    return " ".join(text for text in (_of_areas(areas, noun), _of_scores(scores)) if text)


def _of_areas(areas: Mapping[tuple[int, int], float], noun: str) -> str:
    if not areas:
        return ""
    held = {place: value for place, value in areas.items() if value < HELD}
    free = {place: value for place, value in areas.items() if value > FREE}
    if len(held) == len(areas):
        return f"The whole {noun} stays ({_span(held.values())})."
    if len(free) == len(areas):
        return f"The whole {noun} moves ({_span(free.values())})."
    parts = []
    if held:
        parts.append(f"{_named(list(held))} {'stays' if _is_one(list(held)) else 'stay'} ({_span(held.values())})")
    if free:
        parts.append(f"{_named(list(free))} {'moves' if _is_one(list(free)) else 'move'} ({_span(free.values())})")
    if len(held) + len(free) < len(areas):
        between = [value for value in areas.values() if HELD <= value <= FREE]
        if len(areas) == 1:
            return f"The whole {noun} moves in part ({_span(between)})."
        if not parts:
            least, most = min(areas, key=areas.__getitem__), max(areas, key=areas.__getitem__)
            return (
                f"Every part of the {noun} moves in part, {_named([least])} least ({areas[least]:.2f}), "
                f"{_named([most])} most ({areas[most]:.2f})."
            )
        parts.append(f"the rest moves in part ({_span(between)})")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _of_scores(scores: Mapping[str, Score]) -> str:
    groups = {
        word: [f"{name} ({score.freedom:.2f})" for name, score in scores.items() if score.word == word]
        for word in ("held", "partly free", "free")
    }
    told = [f"{word}: {_listed(names)}" for word, names in groups.items() if names]
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _named(places: Sequence[tuple[int, int]]) -> str:
    """Areas in words; a whole row or column of them is named as one."""
    left, names = list(places), []
    for row, name in enumerate(_WHOLE_ROWS):
        whole = [(row, column) for column in range(_PARTS)]
        if all(place in left for place in whole):
            names.append(name)
            left = [place for place in left if place not in whole]
    for column, name in enumerate(_WHOLE_COLUMNS):
        whole = [(row, column) for row in range(_PARTS)]
        if name and all(place in left for place in whole):
            names.append(name)
            left = [place for place in left if place not in whole]
    names += [f"the {f'{_ROWS[row]} {_COLUMNS[column]}'.strip()}" for row, column in left]
    return _listed(names)


def _is_one(places: Sequence[tuple[int, int]]) -> bool:
    return " and " not in _named(places)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _span(values: Iterable[float]) -> str:
    numbers = sorted(values)
    low, high = f"{numbers[0]:.2f}", f"{numbers[-1]:.2f}"
    return f"freedom {low}" if low == high else f"freedom {low} to {high}"
