"""Rigid motions: applied one after the other, inverted, and read in degrees."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.imaging.registration.rigid import rotation_matrix


@dataclass(frozen=True, kw_only=True)
class RigidMotion:
    """A rigid motion about a centre: ``T p = centre + turn (p − centre) + shift``.

    Parameters
    ----------
    shift
        In mm, LPS, shape (3,).
    turn
        Rotation matrix.
    """

    shift: FloatArray = field(default_factory=lambda: np.zeros(3))
    turn: FloatArray = field(default_factory=lambda: np.eye(3))

    def after(self, other: RigidMotion) -> RigidMotion:
        """Return the motion that first moves as ``other`` and then as this one."""
        return RigidMotion(shift=self.turn @ other.shift + self.shift, turn=self.turn @ other.turn)

    def inverse(self) -> RigidMotion:
        """Return the motion back."""
        return RigidMotion(shift=-self.turn.T @ self.shift, turn=self.turn.T)

    def stepped(self, shift: FloatArray, turn_rad: FloatArray) -> RigidMotion:
        """Return the motion with a small step added: turned further about the moved centre."""
        return RigidMotion(shift=self.shift + shift, turn=rotation_matrix(turn_rad) @ self.turn)

    @property
    def vector_deg(self) -> FloatArray:
        """Rotation vector, in degrees."""
        skew = self.turn - self.turn.T
        sine = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / 2
        length = float(np.linalg.norm(sine))
        if length < 1e-12:
            return np.zeros(3)
        angle = float(np.arctan2(length, (np.trace(self.turn) - 1) / 2))
        return np.degrees(sine * (angle / length))
