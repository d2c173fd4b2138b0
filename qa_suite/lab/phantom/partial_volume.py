"""What is painted of a patient so far, and what is left of each sample cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.lab.phantom.parts import LABELS, PARTS, STRUCTURES
from qa_suite.lab.phantom.shapes import REACH_MM, Box, Ellipsoid, Mesh, Points


class Canvas:
    """Shares of every voxel by part and by structure, painted from the front.

    Parameters
    ----------
    points
        The sample points of a block.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        shape = tuple(n // f for n, f in zip(points.shape, points.factor, strict=True))
        self.left = np.ones(points.shape, dtype=np.float32)
        self.shares = np.zeros((len(PARTS), *shape), dtype=np.float32)
        self.structures = {name: np.zeros(shape, dtype=np.float32) for name in STRUCTURES}

    def whole(self) -> Box:
        """Return the box of the whole block."""
        i, j, k = (slice(0, n) for n in self.points.shape)
        return (i, j, k)

    def box(self, *shapes: Mesh | Ellipsoid, margin_mm: float = REACH_MM) -> Box | None:
        """Return the box around some shapes, or None where they lie outside the block."""
        low = np.min([s.bounds[0] for s in shapes], axis=0)
        high = np.max([s.bounds[1] for s in shapes], axis=0)
        return self.points.box((low, high), margin_mm)

    def paint(
        self, box: Box, layers: Mapping[str, Float32Array], names: Sequence[str] = ()
    ) -> None:
        """Give each layer its share of what is left; the layers do not overlap."""
        left = self.left[box]
        coarse = self._coarse_box(box)
        total = np.zeros_like(left)
        for part, share in layers.items():
            taken = share * left
            total += taken
            self.shares[(LABELS[part], *coarse)] += self._mean(taken)
        if names:
            mean = self._mean(total)
            for name in names:
                self.structures[name][coarse] += mean
        left -= total

    def mark(self, box: Box, name: str, share: Float32Array) -> None:
        """Add to a structure without painting."""
        self.structures[name][self._coarse_box(box)] += self._mean(share)

    def _coarse_box(self, box: Box) -> Box:
        i, j, k = (
            slice(s.start // f, s.stop // f) for s, f in zip(box, self.points.factor, strict=True)
        )
        return (i, j, k)

    def _mean(self, fine: Float32Array) -> Float32Array:
        fx, fy, fz = self.points.factor
        if fx == fy == fz == 1:
            return fine
        for axis, f in enumerate((fx, fy, fz)):
            if f > 1:
                parts = [fine[(slice(None),) * axis + (slice(i, None, f),)] for i in range(f)]
                fine = sum(parts[1:], start=parts[0])
        return np.asarray(fine * np.float32(1 / (fx * fy * fz)))
