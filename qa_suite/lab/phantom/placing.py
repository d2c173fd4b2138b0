"""From the template to the patient: mirrored, jittered, tilted and scaled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.lab.phantom import skeleton, softparts
from qa_suite.lab.phantom.shapes import Mesh
from qa_suite.lab.phantom.traits import Traits


@dataclass(frozen=True, kw_only=True)
class Placer:
    """Puts template rows into the patient: mirrors, jitters, tilts and scales them."""

    rng: np.random.Generator
    traits: Traits

    def points(self, xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tilt and scale anatomical positions, shape (n, 3)."""
        angle = np.deg2rad(self.traits.tilt_deg)
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        return np.asarray(xyz @ turn.T * np.asarray(self.traits.size))

    def rows(
        self, rows: Iterable[skeleton.Row], *, side: int = 1, jitter_mm: float, spread: float
    ) -> NDArray[np.float64]:
        """Return rows of one side with their own small differences."""
        table = np.array(list(rows), dtype=float)
        middle = table[:, 0] == 0
        table[:, :3] += self.rng.normal(0, jitter_mm, size=(len(table), 3))
        table[:, 3] *= np.clip(self.rng.normal(1, spread, size=len(table)), 0.75, 1.25)
        table[middle, 0] *= 0.3  # what stands in the middle stays near it
        table[:, 0] *= side
        table[:, :3] = self.points(table[:, :3])
        return table


def place_part(
    place: Placer,
    part: softparts.Part,
    side: int,
    scale: float,
    jitter: float,
    growth_mm: float = 0.0,
) -> Mesh:
    """Build a template part on one side of the patient, its balls grown and scaled."""
    rows = place.rows(part.rows, side=side, jitter_mm=jitter, spread=0.06)
    rows[:, 3] = (rows[:, 3] + growth_mm) * scale
    return Mesh(nodes=rows, edges=part.edges, faces=part.faces, reach_mm=3.5)
