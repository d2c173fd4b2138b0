"""How a patient lies in the scanner: shifted and turned against the frame of his own skeleton.

By default all virtual patients lie with the midpoint of their femoral heads at one place of the
grid, and straight. Real ones do not: where the field of view is laid and how somebody lies on the
couch differ by centimetres and degrees. The spreads here are assumptions, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Triple


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where one patient lies; by default straight, the origin of his skeleton at that of LPS.

    Parameters
    ----------
    shift_mm
        Where the origin of his skeleton lies, LPS.
    turn_deg
        Turned about the x, then the y, then the z axis of the scanner, right-handed.
    """

    shift_mm: Triple = (0.0, 0.0, 0.0)
    turn_deg: Triple = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 4×4 matrix from his own frame to the scanner's, mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_euler("xyz", self.turn_deg, degrees=True).as_matrix()
        matrix[:3, 3] = self.shift_mm
        return matrix

    def to_patient(
        self, x: Float32Array, y: Float32Array, z: Float32Array
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Express positions in the scanner in the patient's own frame, mm; they broadcast."""
        if self == STRAIGHT:  # positions along the axes stay as small as they are
            return x, y, z
        back = np.linalg.inv(self.matrix).astype(np.float32)
        a, b, c = (row[0] * x + row[1] * y + row[2] * z + row[3] for row in back[:3])
        return a, b, c

    def to_scanner(self, point_mm: NDArray[np.floating]) -> Triple:
        """Express a point of the patient's own frame in the scanner's, mm."""
        x, y, z = self.matrix[:3, :3] @ np.asarray(point_mm, dtype=float) + self.matrix[:3, 3]
        return (float(x), float(y), float(z))


STRAIGHT = Pose()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How differently the patients of a cohort lie: standard deviations of a normal law.

    Parameters
    ----------
    shift_mm
        Left-right, front-back and head-foot; the last is where the field of view is laid. The
        anatomy ends 125 mm below and 135 mm above the femoral heads; beyond, only its outline
        goes on.
    turn_deg
        About each axis.

    Raises
    ------
    InputError
        If a spread is negative or not finite.
    """

    shift_mm: Triple = (5.0, 6.0, 8.0)
    turn_deg: float = 2.0

    def __post_init__(self) -> None:
        spreads = np.array([*self.shift_mm, self.turn_deg])
        if not (np.isfinite(spreads) & (spreads >= 0)).all():
            raise InputError(
                f"The spreads of a setup must be numbers from 0, got {self.shift_mm} mm and "
                f"{self.turn_deg}°."
            )

    def draw(self, rng: np.random.Generator) -> Pose:
        """Draw how one patient lies; nobody farther than 2.5 standard deviations."""
        x, y, z, *turn = np.clip(rng.standard_normal(6), -2.5, 2.5)
        sx, sy, sz = self.shift_mm
        a, b, c = (float(t) * self.turn_deg for t in turn)
        return Pose(shift_mm=(float(x) * sx, float(y) * sy, float(z) * sz), turn_deg=(a, b, c))
