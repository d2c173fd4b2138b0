"""The nearest point of one cell: minima of gamma within a box of the trilinear dose surface.

All lengths are squared millimetres: for a reference voxel at ``q`` with dose ``d`` the sought
minimum is ``G(u) = rho (f(u) - d)^2 + sum w_i (u_i - q_i)^2`` with ``u`` in cell coordinates,
``w_i`` the squared cell size (``r_i`` its inverse) and ``rho`` the squared ratio of distance to
dose criterion; gamma is ``sqrt(G)`` over the distance criterion. Importing this module loads
numba.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

STEPS = 60
"""Most steps of one descent; three are usual."""

SUBDIVISION = 4
"""Into how many boxes an axis of a strongly curved cell is cut, each searched on its own."""


@compiled(inline="always")
def cell_coefficients(dose, i, j, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Coefficients of 1, u, v, t, uv, ut, vt, uvt of the trilinear function of a cell."""
    a = np.float64(dose[i, j, k])
    bx = np.float64(dose[i + 1, j, k])
    by = np.float64(dose[i, j + 1, k])
    bz = np.float64(dose[i, j, k + 1])
    bxy = np.float64(dose[i + 1, j + 1, k])
    bxz = np.float64(dose[i + 1, j, k + 1])
    byz = np.float64(dose[i, j + 1, k + 1])
    last = np.float64(dose[i + 1, j + 1, k + 1])
    return (
        a,
        bx - a,
        by - a,
        bz - a,
        bxy - bx - by + a,
        bxz - bx - bz + a,
        byz - by - bz + a,
        last - bxy - bxz - byz + bx + by + bz - a,
    )


@compiled(inline="always")
def cell_value(c, u, v, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Value of a cell's trilinear function."""
    return c[0] + u * (c[1] + v * (c[4] + t * c[7]) + t * c[5]) + v * (c[2] + t * c[6]) + t * c[3]


@compiled(inline="always")
def _clamp(x, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    return min(max(x, low), high)


@compiled(inline="always")
def _downhill(slope, x, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the part of a slope that can be followed downhill from inside a box."""
    if (x <= low and slope >= 0.0) or (x >= high and slope <= 0.0):
        return 0.0
    return slope


@compiled(inline="always")
def _nearest_on_tangent(  # type: ignore[no-untyped-def]
    e, gx, gy, gz, u, v, t, low, high, q, w, r, rho
):  # pragma: no cover
    """Minimum over the box of G with f replaced by its tangent at (u, v, t).

    The minimum is y_i = clamp(q_i - m g_i / w_i) with a scalar m = rho (residual at y), and the
    equation for m is piecewise linear and increasing: Newton's method, kept in a bracket.
    """
    qx, qy, qz = q
    ax, ay, az = gx * r[0], gy * r[1], gz * r[2]
    below, above = -np.inf, np.inf
    m = rho * (e + gx * (qx - u) + gy * (qy - v) + gz * (qz - t))
    m /= 1.0 + rho * (gx * ax + gy * ay + gz * az)  # the answer where no side is in the way
    yx, yy, yz = u, v, t
    for _ in range(30):
        fx, fy, fz = qx - m * ax, qy - m * ay, qz - m * az
        yx = _clamp(fx, low[0], high[0])
        yy = _clamp(fy, low[1], high[1])
        yz = _clamp(fz, low[2], high[2])
        off = m - rho * (e + gx * (yx - u) + gy * (yy - v) + gz * (yz - t))
        if abs(off) <= 1e-9 * abs(m) + 1e-300:
            break
        slope = 0.0
        if yx == fx:
            slope += gx * ax
        if yy == fy:
            slope += gy * ay
        if yz == fz:
            slope += gz * az
        if off > 0.0:
            above = m
        else:
            below = m
        m -= off / (1.0 + rho * slope)
        if m <= below or m >= above:
            if np.isinf(above) or np.isinf(below):
                break
            m = 0.5 * (below + above)
    return yx, yy, yz


@compiled
def minimum_in_box(  # type: ignore[no-untyped-def]
    c, low, high, q, w, r, rho, d, u, v, t, dta, best
):  # pragma: no cover
    """Descend to a minimum of G within a box of a cell, starting at its point next to (u, v, t).

    Gauss-Newton steps (the tangent's minimum over the box, exactly), halved where they do not
    descend. Returns G and the point; gamma is converged to about 1e-5. A box that cannot hold
    less than ``best`` is left after the first step: the surface is off its tangent by no more
    than the mixed terms, so sqrt(G) is at least that of the tangent less sqrt(rho) times these.
    """
    qx, qy, qz = q
    wx, wy, wz = w
    tiny = 1e-10 * dta * dta
    u, v, t = _clamp(u, low[0], high[0]), _clamp(v, low[1], high[1]), _clamp(t, low[2], high[2])
    e = cell_value(c, u, v, t) - d
    value = rho * e * e + wx * (u - qx) ** 2 + wy * (v - qy) ** 2 + wz * (t - qz) ** 2
    for step in range(STEPS):
        gx = c[1] + v * (c[4] + t * c[7]) + t * c[5]
        gy = c[2] + u * (c[4] + t * c[7]) + t * c[6]
        gz = c[3] + u * (c[5] + v * c[7]) + v * c[6]
        m = rho * e
        px = _downhill(m * gx + wx * (u - qx), u, low[0], high[0])
        py = _downhill(m * gy + wy * (v - qy), v, low[1], high[1])
        pz = _downhill(m * gz + wz * (t - qz), t, low[2], high[2])
        more = px * px * r[0] + py * py * r[1] + pz * pz * r[2]
        if more * more <= tiny * value:
            break
        nu, nv, nt = _nearest_on_tangent(e, gx, gy, gz, u, v, t, low, high, q, w, r, rho)
        du, dv, dt = nu - u, nv - v, nt - t
        if step == 0 and value > 1.000001 * best:
            linear = e + gx * du + gy * dv + gz * dt
            least = (
                rho * linear * linear
                + wx * (nu - qx) ** 2
                + wy * (nv - qy) ** 2
                + wz * (nt - qz) ** 2
            )
            off = (
                max(abs(c[4]), abs(c[4] + c[7]))
                + max(abs(c[5]), abs(c[5] + c[7]))
                + max(abs(c[6]), abs(c[6] + c[7]))
                + abs(c[7])
            )
            if least >= (np.sqrt(best) + np.sqrt(rho) * off) ** 2:
                break
        share = 1.0
        descended = False
        for _half in range(12):
            nu, nv, nt = u + share * du, v + share * dv, t + share * dt
            ne = cell_value(c, nu, nv, nt) - d
            new = rho * ne * ne + wx * (nu - qx) ** 2 + wy * (nv - qy) ** 2 + wz * (nt - qz) ** 2
            if new < value:
                descended = True
                break
            share *= 0.5
        if not descended:
            break
        gain = value - new
        u, v, t, e, value = nu, nv, nt, ne, new
        if 100.0 * gain * gain <= tiny * value:
            break
    return value, u, v, t


@compiled(inline="always")
def is_curved(c, r, rho, best, u, v, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether the dose surface of a cell may hold more than one minimum below ``best``.

    A ball that touches a surface only once has a radius below the surface's own radius of
    curvature, at most sqrt(1 + |grad f|^2) / |Hessian|; half of it is asked for.
    """
    hxy = max(abs(c[4]), abs(c[4] + c[7]))
    hxz = max(abs(c[5]), abs(c[5] + c[7]))
    hyz = max(abs(c[6]), abs(c[6] + c[7]))
    bend = hxy * hxy * r[0] * r[1] + hxz * hxz * r[0] * r[2] + hyz * hyz * r[1] * r[2]
    gx = c[1] + v * (c[4] + t * c[7]) + t * c[5]
    gy = c[2] + u * (c[4] + t * c[7]) + t * c[6]
    gz = c[3] + u * (c[5] + v * c[7]) + v * c[6]
    steep = 1.0 + rho * (gx * gx * r[0] + gy * gy * r[1] + gz * gz * r[2])
    return 8.0 * rho * best * bend > steep


@compiled
def minimum_in_parts(  # type: ignore[no-untyped-def]
    c, q, w, r, rho, d, best, bu, bv, bt, dta
):  # pragma: no cover
    """Search the boxes of a curved cell one by one; returns the best of them and ``best``.

    A trilinear function has its extremes over a box at the corners of the box, which bounds G.
    """
    qx, qy, qz = q
    size = 1.0 / SUBDIVISION
    for a in range(SUBDIVISION):
        for b in range(SUBDIVISION):
            for g in range(SUBDIVISION):
                low = (a * size, b * size, g * size)
                high = ((a + 1) * size, (b + 1) * size, (g + 1) * size)
                near = (
                    w[0] * (_clamp(qx, low[0], high[0]) - qx) ** 2
                    + w[1] * (_clamp(qy, low[1], high[1]) - qy) ** 2
                    + w[2] * (_clamp(qz, low[2], high[2]) - qz) ** 2
                )
                if near >= best:
                    continue
                least, most = np.inf, -np.inf
                for corner in range(8):
                    f = cell_value(
                        c,
                        high[0] if corner & 1 else low[0],
                        high[1] if corner & 2 else low[1],
                        high[2] if corner & 4 else low[2],
                    )
                    least, most = min(least, f), max(most, f)
                gap = max(0.0, least - d, d - most)
                if near + rho * gap * gap >= best:
                    continue
                value, u, v, t = minimum_in_box(
                    c,
                    low,
                    high,
                    q,
                    w,
                    r,
                    rho,
                    d,
                    low[0] + size / 2,
                    low[1] + size / 2,
                    low[2] + size / 2,
                    dta,
                    best,
                )
                if value < best:
                    best, bu, bv, bt = value, u, v, t
    return best, bu, bv, bt
