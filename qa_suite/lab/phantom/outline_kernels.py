"""The inner loop of the skin, compiled: where a point lies on the scale of the outline."""

from __future__ import annotations

import numpy as np
from numba import njit

_F = np.float32


@njit(cache=True, error_model="numpy")
def skin(x, y, z, width, front, back, low, high, lobes, middle, u, v, radius, behind):  # type: ignore[no-untyped-def]
    """Fill the coordinates of every point in units of the outline's width and depth there.

    The outline is a superellipse with lobes over thighs and buttocks; all in single precision.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (points,)
        Where the points lie, in mm.
    width, front, back : ndarray of float32
        Polynomials, highest power first.
    low, high : float32
        Where they end.
    lobes : ndarray of float32, shape (2, 2)
        Front and back, left and right.
    middle : float32
        Where the axis of the body lies along y.
    u, v, radius : ndarray of float32, shape (points,)
        Filled for every point.
    behind : ndarray of bool, shape (points,)
        Filled for every point.
    """
    one = _F(1)
    for n in range(x.size):
        height = min(max(z[n] * _F(0.01), low), high)
        behind[n] = y[n] > middle
        half = width[0]
        for c in range(1, width.size):
            half = half * height + width[c]
        if behind[n]:
            depth = back[0]
            for c in range(1, back.size):
                depth = depth * height + back[c]
        else:
            depth = front[0]
            for c in range(1, front.size):
                depth = depth * height + front[c]
        lower = min(max((_F(30) - z[n]) * _F(1 / 90), _F(0)), one)
        lobe = lobes[1 if behind[n] else 0, 1 if x[n] < 0 else 0]
        side = (abs(x[n]) - _F(78)) * _F(1 / 60)
        side = one / (one + side * side)
        groove = x[n] * _F(1 / 22)
        groove = (one if behind[n] else _F(0)) / (one + groove * groove)
        depth += lobe * lower * (side - _F(0.8) * groove)
        away = y[n] - middle
        u[n] = abs(x[n]) / half
        v[n] = abs(away) / depth
        radius[n] = np.sqrt(x[n] * x[n] + away * away)
