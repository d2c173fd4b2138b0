"""One cell: whether it can hold a better point, and which. Importing this module loads numba."""

from __future__ import annotations

from qa_suite.dose.gamma.cells import cell_coefficients, is_curved, minimum_in_box, minimum_in_parts
from qa_suite.dose.gamma.simplex import minimum_in_tetrahedra
from qa_suite.imaging.compiled import compiled

_LOW, _HIGH = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@compiled
def distance_from(p, first, last, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Squared distance, in mm², of position ``p`` from the cells ``first`` to ``last``."""
    off = max(0.0, first - p, p - (last + 1)) * step
    return off * off


@compiled
def visit(  # type: ignore[no-untyped-def]
    dose, cells, i, j, k, p, w, r, step, rho, d, dta, simplex, best, x
):  # pragma: no cover
    """Look for a better point in one cell; returns squared distance and point, better or not."""
    near = (
        distance_from(p[0], i, i, step[0])
        + distance_from(p[1], j, j, step[1])
        + distance_from(p[2], k, k, step[2])
    )
    if near >= best:
        return best, x
    gap = max(0.0, cells[i, j, k, 0] - d, d - cells[i, j, k, 1])
    if near + rho * gap * gap >= best:
        return best, x
    q = (p[0] - i, p[1] - j, p[2] - k)
    if simplex:
        value, u, v, t = minimum_in_tetrahedra(dose, i, j, k, q, w, rho, d, best)
        if value < best:
            return value, (u + i, v + j, t + k)
        return best, x
    return look_in_cell(cell_coefficients(dose, i, j, k), i, j, k, q, w, r, rho, d, dta, best, x)


@compiled(inline="always")
def look_in_cell(  # type: ignore[no-untyped-def]
    c, i, j, k, q, w, r, rho, d, dta, best, x
):  # pragma: no cover
    """Look for a better point in the cell of coefficients ``c``, starting next to ``x``."""
    value, u, v, t = minimum_in_box(
        c, _LOW, _HIGH, q, w, r, rho, d, x[0] - i, x[1] - j, x[2] - k, dta, best
    )
    if value < best:
        best, x = value, (u + i, v + j, t + k)
    if is_curved(c, r, rho, best, u, v, t):
        bound = best
        best, u, v, t = minimum_in_parts(c, q, w, r, rho, d, best, u, v, t, dta)
        if best < bound:
            x = (u + i, v + j, t + k)
    return best, x
