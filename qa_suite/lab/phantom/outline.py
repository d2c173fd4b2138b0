"""The skin: a lofted outline with the cleft between the buttocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.lab.phantom.shapes import FAR_MM, Box, Mesh, Points

# height, half width, depth to the front and to the back of the lean body, in mm
_LEAN = np.array(
    [
        (-125, 166, 98, 82),
        (-100, 166, 95, 87),
        (-70, 167, 91, 95),
        (-40, 167, 86, 101),
        (0, 165, 84, 107),
        (40, 160, 90, 110),
        (80, 157, 98, 109),
        (110, 155, 101, 108),
        (135, 153, 103, 108),
    ],
    dtype=float,
)
_MIDDLE_Y_MM = 6.0
_DEGREE = 6
_NEAR = (0.85, 1.15)
"""The superellipse's norm lies between the larger coordinate and the Euclidean length. Where that
length is below 0.85 a point lies a centimetre inside, and where a coordinate is above 1.15 as
far outside: whole tissue or whole air, whatever the powers are."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The body surface.

    Parameters
    ----------
    width, front, back
        Polynomials in z/100 mm of the half width and the two depths, highest power first.
    ends
        Lowest and highest z/100 mm that the polynomials were fitted to; beyond, the outline goes
        on as it ends.
    power_front, power_back
        Exponents of the superellipse: 2 is an ellipse, more is squarer.
    lobes
        Depth added over each thigh and buttock and taken away in the middle, in mm:
        front and back, left and right.
    cleft
        The air between the buttocks.
    """

    width: NDArray[np.float64]
    front: NDArray[np.float64]
    back: NDArray[np.float64]
    ends: tuple[float, float]
    power_front: float
    power_back: float
    lobes: NDArray[np.float64]
    cleft: Mesh

    def distance(self, points: Points, box: Box) -> Float32Array:
        """Signed distance to the skin in mm, along the ray from the middle of the body.

        Known within a centimetre of the skin; beyond, it is only as far on its side.
        """
        x, y, z = (np.ascontiguousarray(v[box]) for v in (points.x, points.y, points.z))
        distance = self._along_ray(x.ravel(), y.ravel(), z.ravel()).reshape(x.shape)
        inside = points.box(self.cleft.bounds)
        if inside is not None:
            groove = self.cleft.distance(points, inside)
            distance[inside] = np.maximum(distance[inside], -groove)
        return distance

    def _along_ray(self, x: Float32Array, y: Float32Array, z: Float32Array) -> Float32Array:
        from qa_suite.lab.phantom.kernels import skin

        u, v, radius = (np.empty_like(x) for _ in range(3))
        behind = np.empty(x.size, dtype=bool)
        single = (np.asarray(p, dtype=np.float32) for p in (self.width, self.front, self.back))
        low, high = (np.float32(end) for end in self.ends)
        skin(
            x,
            y,
            z,
            *single,
            low,
            high,
            self.lobes.astype(np.float32),
            np.float32(_MIDDLE_Y_MM),
            u,
            v,
            radius,
            behind,
        )
        inside = u * u + v * v <= np.float32(_NEAR[0] ** 2)
        near = np.flatnonzero(~inside & (np.maximum(u, v) <= np.float32(_NEAR[1])))
        distance = np.where(inside, -FAR_MM, FAR_MM)
        power = np.where(behind[near], np.float32(self.power_back), np.float32(self.power_front))
        tiny = np.float32(1e-6)
        reach = np.exp(np.log(u[near] + tiny) * power) + np.exp(np.log(v[near] + tiny) * power)
        reach = np.exp(np.log(reach) / power)
        distance[near] = radius[near] * (1 - 1 / np.maximum(reach, np.float32(1e-3)))
        return distance


def make_outline(
    rng: np.random.Generator, *, size: tuple[float, float, float], fat_mm: float, visceral_mm: float
) -> Outline:
    """Build a patient's outline around his lean body.

    Parameters
    ----------
    rng
        For what is his own.
    size
        Scale of the skeleton along x, y, z.
    fat_mm
        Lateral subcutaneous fat.
    visceral_mm
        How far the abdominal wall is pushed forward.
    """
    z, width, front, back = _LEAN.T
    high = np.clip((z - 10) / 70, 0, 1)
    belly = high**2 * (3 - 2 * high)
    fat_front = fat_mm * (0.55 + 0.35 * belly) + rng.normal(0, 1.5)
    fat_back = 10 + fat_mm * (0.45 - 0.10 * belly) + rng.normal(0, 1.5)
    height = z * size[2] / 100
    width = width * size[0] + fat_mm
    front = front * size[1] + fat_front + visceral_mm * belly + _MIDDLE_Y_MM
    back = back * size[1] + fat_back - _MIDDLE_Y_MM
    lobes = np.array([[7.0, 7.0], [9.0, 9.0]]) + rng.normal(0, 1.2, size=(2, 2))
    return Outline(
        width=np.polyfit(height, width, _DEGREE),
        front=np.polyfit(height, front, _DEGREE),
        back=np.polyfit(height, back, _DEGREE),
        ends=(float(height[0]), float(height[-1])),
        power_front=float(np.clip(rng.normal(2.45, 0.1), 2.2, 2.7)),
        power_back=float(np.clip(rng.normal(2.55, 0.1), 2.3, 2.8)),
        lobes=lobes,
        cleft=_cleft(np.polyfit(height, back, _DEGREE), size, float(rng.normal(0, 1.5))),
    )


def _cleft(back: NDArray[np.float64], size: tuple[float, float, float], shift: float) -> Mesh:
    """Build a narrow wedge of air in the middle, deeper and wider towards the perineum."""
    nodes = []
    for z, depth, inner, outer in (
        (38, 1, 0.4, 0.8),
        (8, 12, 0.5, 2.0),
        (-30, 32, 0.6, 4.0),
        (-70, 52, 0.7, 6.0),
        (-125, 60, 0.9, 9.0),
    ):
        skin = float(np.polyval(back, z * size[2] / 100)) + _MIDDLE_Y_MM
        nodes.append((shift, skin - depth - 6, z * size[2], inner))
        nodes.append((shift, skin + 8, z * size[2], outer))
    faces = []
    for level in range(len(nodes) // 2 - 1):
        a, b, c, d = (2 * level + i for i in range(4))
        faces += [(a, b, c), (b, c, d)]
    return Mesh(nodes=np.array(nodes, dtype=float), faces=faces)
