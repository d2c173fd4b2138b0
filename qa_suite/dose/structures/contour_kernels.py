"""The loops over pixels behind contours: signed distances and partial coverage.

``n`` and ``m`` number segments; ``i``, ``j`` and ``u``, ``v`` are a pixel and its neighbour;
``deepest`` is the largest distance inside that a segment is nearest to.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled

FAR = 1e30
_STEEPEST = 0.6  # half widths outside a contour; further out the level function is linear


@compiled
def _squared(segments, n, x, y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the squared distance of a point to segment ``n``."""
    ax, ay, bx, by = segments[n]
    ux, uy = bx - ax, by - ay
    length = ux * ux + uy * uy
    t = 0.0
    if length > 0.0:
        t = min(max(((x - ax) * ux + (y - ay) * uy) / length, 0.0), 1.0)
    ex, ey = x - ax - t * ux, y - ay - t * uy
    return ex * ex + ey * ey


@compiled
def nearest_segments(segments, nearest, squared):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Find for every pixel the segment that it lies nearest to.

    Exact beside the segments; further away a pixel chooses among the segments of its
    neighbours, in sweeps over the plane (Danielsson 1980).

    Parameters
    ----------
    segments : float64, shape (n, 4)
        x, y of both ends, in pixel indices.
    nearest : int32, shape (a, b)
        Gets the segment.
    squared : float64, shape (a, b)
        Gets the squared distance to it, in pixels².
    """
    width, height = nearest.shape
    nearest[:] = -1
    squared[:] = FAR
    for n in range(segments.shape[0]):
        ax, ay, bx, by = segments[n]
        steps = int(2 * max(abs(bx - ax), abs(by - ay))) + 1
        for s in range(steps + 1):
            x = int(np.floor(ax + (bx - ax) * s / steps + 0.5))
            y = int(np.floor(ay + (by - ay) * s / steps + 0.5))
            for i in range(max(x - 1, 0), min(x + 2, width)):
                for j in range(max(y - 1, 0), min(y + 2, height)):
                    found = _squared(segments, n, i, j)
                    if found < squared[i, j]:
                        squared[i, j] = found
                        nearest[i, j] = n
    for sweep in range(2):
        forward = sweep % 2 == 0
        step = 1 if forward else -1
        for p in range(width):
            i = p if forward else width - 1 - p
            for q in range(height):
                j = q if forward else height - 1 - q
                _ask(segments, nearest, squared, i, j, i - step, j - step)
                _ask(segments, nearest, squared, i, j, i - step, j)
                _ask(segments, nearest, squared, i, j, i - step, j + step)
                _ask(segments, nearest, squared, i, j, i, j - step)
            for q in range(height):  # and back along the row
                j = height - 1 - q if forward else q
                _ask(segments, nearest, squared, i, j, i, j + step)


@compiled(inline="always")
def _ask(segments, nearest, squared, i, j, u, v):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Take the neighbour's segment where it is nearer."""
    if u < 0 or v < 0 or u >= nearest.shape[0] or v >= nearest.shape[1]:
        return
    n = nearest[u, v]
    if n < 0 or n == nearest[i, j]:
        return
    found = _squared(segments, n, i, j)
    if found < squared[i, j]:
        squared[i, j] = found
        nearest[i, j] = n


@compiled
def level_function(  # type: ignore[no-untyped-def]
    segments, nearest, squared, inside, loop_of, lengths, radii, level, owner, core
):  # pragma: no cover
    """Turn distances into the level function that is interpolated from plane to plane.

    With the signed distance d (negative inside) and the local half width r it is
    (d + r)² − r², in pixels²: zero on the contour, and for a circle ρ² − r², which is quadratic
    across the planes of a sphere, an ellipsoid, a cylinder and a cone. The half width at a
    segment is the largest depth of what is nearest to it or to a segment beside it, along the
    contour as far as half that depth.

    Parameters
    ----------
    segments, nearest, squared
        See :func:`nearest_segments`.
    inside : bool, shape (a, b)
    loop_of : int32, shape (segments,)
        The loop of each segment; the segments of a loop follow each other.
    lengths : float64, shape (segments,)
        Length of each, in pixels.
    radii : float64, shape (segments,)
        Gets the half width at each, in pixels.
    level : float32, shape (a, b)
        Gets the function.
    owner : int16, shape (a, b)
        Gets the loop that a pixel lies in, or -1.
    core : bool, shape (a, b)
        Gets whether a pixel lies in the middle third of the local width.
    """
    width, height = nearest.shape
    deepest = np.full(radii.size, 0.5)
    for i in range(width):
        for j in range(height):
            if inside[i, j]:
                n = nearest[i, j]
                deepest[n] = max(deepest[n], np.sqrt(squared[i, j]))
                if i + 1 < width and nearest[i + 1, j] != n and inside[i + 1, j]:
                    _meet(segments, n, nearest[i + 1, j], i, j, i + 1, j, deepest)
                if j + 1 < height and nearest[i, j + 1] != n and inside[i, j + 1]:
                    _meet(segments, n, nearest[i, j + 1], i, j, i, j + 1, deepest)
    radii[:] = deepest
    first = 0
    while first < radii.size:
        last = first
        while last + 1 < radii.size and loop_of[last + 1] == loop_of[first]:
            last += 1
        _spread(deepest, lengths, radii, first, last)
        first = last + 1
    for i in range(width):
        for j in range(height):
            n = nearest[i, j]
            distance = np.sqrt(squared[i, j])
            if inside[i, j]:
                distance = -distance
                owner[i, j] = loop_of[n]
            else:
                owner[i, j] = -1
            core[i, j] = -distance > 2 / 3 * radii[n]
            level[i, j] = distance * (2 * radii[n] + min(distance, _STEEPEST * radii[n]))


@compiled
def _meet(segments, n, m, i, j, u, v, deepest):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Measure the depth where the realms of two segments meet between neighbouring pixels."""
    here_n, there_n = np.sqrt(_squared(segments, n, i, j)), np.sqrt(_squared(segments, n, u, v))
    here_m, there_m = np.sqrt(_squared(segments, m, i, j)), np.sqrt(_squared(segments, m, u, v))
    turn = (there_n - here_n) - (there_m - here_m)
    if turn > 1e-9:
        depth = here_n + min(max((here_m - here_n) / turn, 0.0), 1.0) * (there_n - here_n)
        deepest[n] = max(deepest[n], depth)
        deepest[m] = max(deepest[m], depth)


@compiled
def _spread(deepest, lengths, radii, first, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Let each segment of a loop lend its depth to its neighbours, half that depth far."""
    count = last - first + 1
    for n in range(first, last + 1):
        for direction in (-1, 1):
            gone = lengths[n] / 2
            for m in range(1, count):
                o = first + (n - first + direction * m) % count
                if gone > 0.5 * deepest[n]:
                    break
                radii[o] = max(radii[o], deepest[n])
                gone += lengths[o]


@compiled
def between(  # type: ignore[no-untyped-def]
    before, lower, upper, after, places, z, known, bend, out
):  # pragma: no cover
    """Interpolate the level function between two planes.

    Linear between ``lower`` and ``upper``, plus the curvature that both sides agree on: of the
    second divided differences around either plane the smaller if their signs agree, else none
    (minmod; Harten 1983). Where only one side is known it is held to the curvature of a sphere.
    Exact for quadratic functions, and without overshoot at a step.

    Parameters
    ----------
    before, lower, upper, after : float32, shape (a, b)
        The function on four planes; the outer two count where ``known`` says so.
    places : float64, shape (4,)
        Where the planes lie.
    z : float
        Where it is wanted, between ``places[1]`` and ``places[2]``.
    known : int
        1: ``before`` exists, 2: ``after`` does, 3: both.
    bend : float
        The curvature of a sphere's level function: 1 / pixel².
    out : float32, shape (a, b)
        Gets it.
    """
    z0, z1, z2, z3 = places
    step = z2 - z1
    t = (z - z1) / step
    bow = (z - z1) * (z - z2)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            low, high = lower[i, j], upper[i, j]
            slope = (high - low) / step
            curve = first = second = 0.0
            if known & 1:
                first = (slope - (low - before[i, j]) / (z1 - z0)) / (z2 - z0)
                curve = first
            if known & 2:
                second = ((after[i, j] - high) / (z3 - z2) - slope) / (z3 - z1)
                curve = second
            if known == 3:
                if first * second <= 0.0:
                    curve = 0.0
                elif abs(first) < abs(second):
                    curve = first
            else:
                curve = min(max(curve, -bend), bend)
            out[i, j] = (1 - t) * low + t * high + bow * curve


@compiled
def beyond(last, second, third, places, known, z, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Extrapolate the level function past the last plane, and never let it fall.

    ``places`` are those of ``last``, ``second`` and ``third``; ``known`` says how many exist.
    ``out`` holds what was found for the layer before and is raised, so that a section only
    shrinks: a cone does not open again behind its tip, nor a cap grow past its last contour.
    """
    z1, z2, z3 = places
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            value = np.float64(last[i, j])
            if known >= 2:
                slope = (last[i, j] - second[i, j]) / (z1 - z2)
                value += slope * (z - z1)
                if known >= 3:
                    further = (second[i, j] - third[i, j]) / (z2 - z3)
                    value += (slope - further) / (z1 - z3) * (z - z1) * (z - z2)
            out[i, j] = max(out[i, j], value)


@compiled
def cover(level, share, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Raise ``out`` to the share of each pixel where the level function is negative.

    The edge in a pixel is taken as straight: its distance is the function over its slope.
    """
    width, height = level.shape
    for i in range(width):
        left, right = max(i - 1, 0), min(i + 1, width - 1)
        for j in range(height):
            low, high = max(j - 1, 0), min(j + 1, height - 1)
            value = level[i, j]
            dx = (level[right, j] - level[left, j]) / max(right - left, 1)
            dy = (level[i, high] - level[i, low]) / max(high - low, 1)
            slope = np.sqrt(dx * dx + dy * dy)
            if slope <= 0.0:
                part = 1.0 if value < 0.0 else 0.0
            else:
                part = min(max(0.5 - value / slope, 0.0), 1.0)
            out[i, j] = max(out[i, j], np.float32(part * share))
