"""A stack of loops on planes, filled layer by layer: which loops go on, and how the ends close."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.io.rt.structures import fill_even_odd

Points = NDArray[np.float64]
Chosen = frozenset[int]
Level = NDArray[np.float32]

_PIECE = 3.0  # pixels

_CLOSED_SHARE = 0.5
"""An end is round if this share of the middle of its last section, or less, is left one step on."""

_GONE_SHARE = 0.05
"""A round end is over where less than this share of that middle is left."""


@dataclass(frozen=True, kw_only=True)
class _Field:
    level: Level
    owner: NDArray[np.int16]
    core: NDArray[np.bool_]


class Stack:
    """The loops of one depth (outlines, or holes) on all planes.

    Parameters
    ----------
    places_mm
        Of the planes, ascending.
    loops
        Of each plane, possibly none, in indices of the pixels.
    shape
        Pixels of a plane.
    pixel_mm
        Width of a pixel.
    step_mm
        Usual distance of the planes.
    largest_gap_mm
        Planes further apart are not joined.
    """

    def __init__(
        self,
        *,
        places_mm: Sequence[float],
        loops: Sequence[list[Points]],
        shape: tuple[int, int],
        pixel_mm: float,
        step_mm: float,
        largest_gap_mm: float,
    ) -> None:
        self.places_mm = list(places_mm)
        self.loops = loops
        self.shape = shape
        self.pixel_mm = pixel_mm
        self.step_mm = step_mm
        self.largest_gap_mm = largest_gap_mm
        self._fields: dict[tuple[int, Chosen], _Field] = {}
        self._links: dict[int, set[tuple[int, int]]] = {}

    def fill(self, layers_mm: NDArray[np.float64], thickness_mm: float) -> NDArray[np.float32]:
        """Return the share of every pixel inside, shape (layers, *shape)."""
        found = np.zeros((len(layers_mm), *self.shape), dtype=np.float32)
        count = len(self.places_mm)
        for n in range(count):
            every = frozenset(range(len(self.loops[n])))
            upwards = frozenset(low for low, _ in self._overlaps(n))
            downwards = frozenset(high for _, high in self._overlaps(n - 1))
            if upwards:
                self._join(n, upwards, layers_mm, found)
            self._close(n, every - upwards, 1, layers_mm, thickness_mm, found)
            self._close(n, every - downwards, -1, layers_mm, thickness_mm, found)
            self._forget(n - 3)
        return found

    def _field(self, n: int, chosen: Chosen) -> _Field:
        """Level function and owner of the chosen loops of a plane."""
        key = (n, chosen)
        if key not in self._fields:
            self._fields[key] = _field_of(self.loops[n], sorted(chosen), self.shape)
        return self._fields[key]

    def _forget(self, n: int) -> None:
        for key in [key for key in self._fields if key[0] == n]:
            del self._fields[key]

    def _overlaps(self, n: int) -> set[tuple[int, int]]:
        """Pairs of loops of planes n and n + 1 that lie over each other."""
        if n not in self._links:
            self._links[n] = self._find_overlaps(n)
        return self._links[n]

    def _find_overlaps(self, n: int) -> set[tuple[int, int]]:
        if not 0 <= n < len(self.loops) - 1 or not self.loops[n] or not self.loops[n + 1]:
            return set()
        if self.places_mm[n + 1] - self.places_mm[n] > self.largest_gap_mm:
            return set()
        fields = [self._field(m, frozenset(range(len(self.loops[m])))) for m in (n, n + 1)]
        lower, upper = (field.owner.astype(np.int64) for field in fields)
        both = (lower >= 0) & (upper >= 0)
        pairs = np.unique(lower[both] * 32768 + upper[both])
        return {(int(pair) // 32768, int(pair) % 32768) for pair in pairs}

    def _linked(self, n: int, chosen: Chosen, direction: int) -> Chosen:
        """Return the loops of the next plane in a direction that lie over the chosen ones."""
        m = n + direction
        if not 0 <= m < len(self.places_mm):
            return Chosen()
        if direction > 0:
            return frozenset(high for low, high in self._overlaps(n) if low in chosen)
        return frozenset(low for low, high in self._overlaps(m) if high in chosen)

    def _join(
        self, n: int, lower: Chosen, layers_mm: NDArray[np.float64], found: NDArray[np.float32]
    ) -> None:
        """Fill the layers between planes n and n + 1 where loops go on."""
        from qa_suite.dose.structures.contour_kernels import between, cover

        upper = frozenset(high for _, high in self._overlaps(n))
        before, after = self._linked(n, lower, -1), self._linked(n + 1, upper, 1)
        low, high = self._field(n, lower).level, self._field(n + 1, upper).level
        outer = (
            self._field(n - 1, before).level if before else low,
            self._field(n + 2, after).level if after else high,
        )
        places = np.array(
            [
                self.places_mm[n - 1] if before else self.places_mm[n] - 1,
                *self.places_mm[n : n + 2],
                self.places_mm[n + 2] if after else self.places_mm[n + 1] + 1,
            ]
        )
        known = (1 if before else 0) + (2 if after else 0)
        bend = 1 / self.pixel_mm**2
        level = np.empty(self.shape, dtype=np.float32)
        for layer in _between(layers_mm, places[1], places[2]):
            between(outer[0], low, high, outer[1], places, layers_mm[layer], known, bend, level)
            cover(level, 1.0, found[layer])

    def _close(
        self,
        n: int,
        ending: Chosen,
        direction: int,
        layers_mm: NDArray[np.float64],
        thickness_mm: float,
        found: NDArray[np.float32],
    ) -> None:
        """Cap loops that do not go on in a direction."""
        from qa_suite.dose.structures.contour_kernels import beyond, cover

        if not ending:
            return
        second = self._linked(n, ending, -direction)
        third = self._linked(n - direction, second, -direction) if second else Chosen()
        known = 3 if third else 2 if second else 1
        field = self._field(n, ending)
        last = field.level
        levels = [last, last, last]
        if second:
            levels[1] = self._field(n - direction, second).level
        if third:
            levels[2] = self._field(n - 2 * direction, third).level
        places = np.array(
            [
                self.places_mm[m] if 0 <= m < len(self.places_mm) else 0.0
                for m in (n, n - direction, n - 2 * direction)
            ]
        )
        reach = self._reach_mm(n, direction)
        end = places[0] + direction * reach
        layers = _between(layers_mm, min(places[0], end), max(places[0], end))
        layers = sorted(layers, reverse=direction < 0)
        level, sections = last.copy(), []
        for layer in layers:
            beyond(*levels, places, known, layers_mm[layer], level)
            sections.append(level.copy())
        beyond(*levels, places, known, end, level)
        is_round = _left(level, field.core) <= _CLOSED_SHARE
        for layer, section in zip(layers, sections, strict=True):
            share = 1.0
            if is_round and _left(section, field.core) < _GONE_SHARE:
                break
            if not is_round:  # a flat end: half a step thick
                inner = abs(layers_mm[layer] - places[0]) - thickness_mm / 2
                share = min((min(self.step_mm, reach) / 2 - inner) / thickness_mm, 1.0)
            if share > 0:
                cover(section, share, found[layer])

    def _reach_mm(self, n: int, direction: int) -> float:
        """How far a cap may go: one step, and not past the next plane."""
        m = n + direction
        if not 0 <= m < len(self.places_mm):
            return self.step_mm
        return min(self.step_mm, abs(self.places_mm[m] - self.places_mm[n]))


def _left(level: Level, core: NDArray[np.bool_]) -> float:
    """Return the share of the middle of a section that is still inside."""
    count = np.count_nonzero(core)
    return float(np.count_nonzero(level[core] < 0)) / count if count else 0.0


def _between(layers_mm: NDArray[np.float64], low: float, high: float) -> Iterable[int]:
    return range(int(np.searchsorted(layers_mm, low)), int(np.searchsorted(layers_mm, high)))


def _field_of(loops: Sequence[Points], chosen: Sequence[int], shape: tuple[int, int]) -> _Field:
    from qa_suite.dose.structures.contour_kernels import level_function, nearest_segments

    wanted = [loops[n] for n in chosen]
    pieces = [_short_segments(loop) for loop in wanted]
    segments = np.concatenate(pieces)
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    loop_of = np.repeat(np.arange(len(wanted), dtype=np.int32), [len(p) for p in pieces])
    inside = fill_even_odd(wanted, shape)
    nearest = np.empty(shape, dtype=np.int32)
    squared = np.empty(shape)
    nearest_segments(segments, nearest, squared)
    level = np.empty(shape, dtype=np.float32)
    owner = np.empty(shape, dtype=np.int16)
    radii = np.empty(len(segments))
    core = np.empty(shape, dtype=bool)
    level_function(segments, nearest, squared, inside, loop_of, lengths, radii, level, owner, core)
    numbers = np.array([*chosen, -1], dtype=np.int16)  # the last stands for outside
    return _Field(level=level, owner=numbers[owner], core=core)


def _short_segments(loop: Points) -> NDArray[np.float64]:
    """Return x, y of both ends of the edges of a loop, cut into pieces of a few pixels."""
    following = np.roll(loop, -1, axis=0)
    cuts = np.maximum(np.ceil(np.hypot(*(following - loop).T) / _PIECE), 1).astype(int)
    edge = np.repeat(np.arange(len(loop)), cuts)
    number = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    shares = np.stack([number, number + 1]) / cuts[edge]
    ends = [loop[edge] + share[:, None] * (following - loop)[edge] for share in shares]
    return np.hstack(ends)
