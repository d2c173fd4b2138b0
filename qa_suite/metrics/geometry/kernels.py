"""The inner loops of the family: profiles across a surface, blocks, and rays.

Importing this module loads numba, so it is imported where it is used.

``fixed`` and ``moving`` are two images on one grid of ``spacing`` mm, ``fixed_coarse`` and
``moving_coarse`` the same, smoother; a block runs from index ``low`` to ``high`` (``lows`` and
``highs`` of all) and counts where ``inside``. ``shifts``, ``correlations`` and ``variances`` take
what was found of each, in at most ``rounds`` steps and ``limit`` mm. Rays run from ``sources``
along ``directions``, from ``entry`` to ``exit_`` mm, in steps of ``step``; ``to_index`` and
``offset`` bring mm to indices.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled
from qa_suite.imaging.registration.motion_kernels import _inside, _linear

# ---------------------------------------------------------------------------------------
# Where profiles across a surface cross a threshold


@compiled
def outward_normals(mask, cells, spacing, normals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Direction from the mask outwards at every cell of eight voxels, as a unit vector in mm.

    From the centre of gravity of the 4×4×4 voxels around the cell; zero where they say nothing.
    """
    shape = mask.shape
    for n in range(cells.shape[0]):
        total = np.zeros(3)
        for a in range(-1, 3):
            i = min(max(cells[n, 0] + a, 0), shape[0] - 1)
            for b in range(-1, 3):
                j = min(max(cells[n, 1] + b, 0), shape[1] - 1)
                for c in range(-1, 3):
                    k = min(max(cells[n, 2] + c, 0), shape[2] - 1)
                    if mask[i, j, k]:
                        total[0] -= a - 0.5
                        total[1] -= b - 0.5
                        total[2] -= c - 0.5
        for axis in range(3):
            total[axis] /= spacing[axis]
        length = np.sqrt((total**2).sum())
        for axis in range(3):
            normals[n, axis] = total[axis] / length if length > 0 else 0.0


@compiled
def nearest_crossing(image, at, along, step, count, threshold, wanted, found, ends):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Where profiles fall below a threshold on their way outwards, nearest to a wanted place.

    Parameters
    ----------
    at, along
        Index of the middle of each profile, and the change of index by 1 mm outwards.
    step, count
        Of the samples: ``count`` to either side, ``step`` mm apart.
    wanted
        Place on the profile, in mm.
    found
        Filled with the place in mm; +inf where the profile never falls and is high at its
        middle (the surface lies farther out), −inf where it is low, NaN where it leaves the image.
    ends
        Filled with the first and the last place of each profile inside the image, in mm, shape
        (n, 2); NaN where there is none.
    """
    gradient = np.empty(3)
    for n in range(at.shape[0]):
        best, before, middle = np.nan, np.nan, np.nan
        ends[n, 0], ends[n, 1] = np.nan, np.nan
        for s in range(-count, count + 1):
            t = s * step
            x = at[n, 0] + t * along[n, 0]
            y = at[n, 1] + t * along[n, 1]
            z = at[n, 2] + t * along[n, 2]
            if not _inside(image.shape, x, y, z):
                before = np.nan
                continue
            value = _linear(image, x, y, z, gradient) - threshold
            if not ends[n, 0] <= t:
                ends[n, 0] = t
            ends[n, 1] = t
            if s == 0:
                middle = value
            if before >= 0.0 and value < 0.0:
                place = t - step + step * before / (before - value)
                if not (abs(place - wanted[n]) >= abs(best - wanted[n])):
                    best = place
            before = value
        if best == best:
            found[n] = best
        elif middle != middle:
            found[n] = np.nan
        else:
            found[n] = np.inf if middle >= 0.0 else -np.inf


# ---------------------------------------------------------------------------------------
# Matching of single blocks: a shift, a gain and an offset each


@compiled
def structure(image, lows, highs, inside, spacing, tensors, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Structure tensor of every block (sum of outer products of the gradient by mm), and voxels."""
    g = np.empty(3)
    last = np.array(image.shape) - 1
    for n in range(lows.shape[0]):
        tensors[n] = 0.0
        counts[n] = 0
        for i in range(lows[n, 0], highs[n, 0]):
            for j in range(lows[n, 1], highs[n, 1]):
                for k in range(lows[n, 2], highs[n, 2]):
                    if not inside[i, j, k]:
                        continue
                    counts[n] += 1
                    if min(i, j, k) < 1 or i >= last[0] or j >= last[1] or k >= last[2]:
                        continue
                    g[0] = (image[i + 1, j, k] - image[i - 1, j, k]) / (2 * spacing[0])
                    g[1] = (image[i, j + 1, k] - image[i, j - 1, k]) / (2 * spacing[1])
                    g[2] = (image[i, j, k + 1] - image[i, j, k - 1]) / (2 * spacing[2])
                    for a in range(3):
                        for b in range(3):
                            tensors[n, a, b] += g[a] * g[b]


@compiled
def match_block(  # type: ignore[no-untyped-def]
    fixed, moving, low, high, inside, spacing, shift, rounds, limit
):  # pragma: no cover
    """Shift (mm, along the grid's axes) that makes a block of ``moving`` look like ``fixed``.

    Gauss–Newton on ``fixed(p) = gain · moving(p + shift) + offset``; ``shift`` is the start and
    is changed. Returns the correlation (NaN where the block left the image or the limit) and
    the largest variance of a component of the shift, in mm², if residuals were independent.
    """
    g = np.empty(3)
    row = np.empty(5)
    correlation, variance = np.nan, np.inf
    gain = 1.0
    for _ in range(rounds):
        left = np.zeros((5, 5))
        right = np.zeros(5)
        n = 0
        sm = sf = smm = sff = smf = 0.0
        for i in range(low[0], high[0]):
            for j in range(low[1], high[1]):
                for k in range(low[2], high[2]):
                    if not inside[i, j, k]:
                        continue
                    x = i + shift[0] / spacing[0]
                    y = j + shift[1] / spacing[1]
                    z = k + shift[2] / spacing[2]
                    if not _inside(moving.shape, x, y, z):
                        continue
                    value = _linear(moving, x, y, z, g)
                    target = fixed[i, j, k]
                    n += 1
                    sm += value
                    sf += target
                    smm += value * value
                    sff += target * target
                    smf += value * target
                    for a in range(3):
                        row[a] = g[a] / spacing[a]
                    row[3], row[4] = value, 1.0
                    for a in range(5):
                        right[a] += row[a] * target
                        for b in range(a + 1):
                            left[a, b] += row[a] * row[b]
        if n < 30:
            return np.nan, np.inf
        vm, vf = smm / n - (sm / n) ** 2, sff / n - (sf / n) ** 2
        if vm <= 1.0 or vf <= 1.0:  # less than 1 HU of structure: padding, nothing to match
            return np.nan, np.inf
        correlation = (smf / n - sm / n * sf / n) / np.sqrt(vm * vf)
        for a in range(5):
            for b in range(a + 1, 5):
                left[a, b] = left[b, a]
        # the unknowns are gain·shift, gain and offset: the solution is linear
        for a in range(3):
            left[a, a] += 1e-6 * (left[0, 0] + left[1, 1] + left[2, 2]) + 1e-9
        left[3, 3] *= 1.0 + 1e-9
        inverse = np.linalg.inv(left)
        solution = inverse @ right
        gain = solution[3]
        if gain <= 0.05:
            return np.nan, np.inf
        noise = vf * (1.0 - correlation * correlation) / (gain * gain)
        variance = noise * max(inverse[0, 0], inverse[1, 1], inverse[2, 2])
        size = 0.0
        for a in range(3):
            step = min(max(solution[a] / gain, -4.0), 4.0)
            shift[a] += step
            size += step * step
        if shift[0] ** 2 + shift[1] ** 2 + shift[2] ** 2 > limit * limit:
            return np.nan, np.inf
        if size < 1e-4:
            break
    return correlation, variance


@compiled
def match_blocks(  # type: ignore[no-untyped-def]
    fixed_coarse, moving_coarse, fixed, moving, lows, highs, inside, spacing, limit,
    shifts, correlations, variances,
):  # fmt: skip  # pragma: no cover
    """Match every block, on the smoother images first."""
    for n in range(lows.shape[0]):
        shift = shifts[n]
        first, _ = match_block(
            fixed_coarse, moving_coarse, lows[n], highs[n], inside, spacing, shift, 12, 2.0 * limit
        )
        if first != first:
            shift[:] = 0.0
        correlations[n], variances[n] = match_block(
            fixed, moving, lows[n], highs[n], inside, spacing, shift, 12, 2.0 * limit
        )


# ---------------------------------------------------------------------------------------
# Ray casting: line integrals through a moved volume, and their derivative by the motion


@compiled
def cast(  # type: ignore[no-untyped-def]
    sources, directions, entry, exit_, step, turn, shift, volume, to_index, offset, value, rows
):  # pragma: no cover
    """Sum a volume along rays, and fill the derivative of the sums by the motion.

    Parameters are relative to the isocentre, in mm. A point p of a ray is read at
    ``turn p + shift``; beyond the volume there is nothing. ``rows`` of shape (0, 6) asks for
    values alone; else ``rows[n]`` is d value / d (shift, rotation vector).
    """
    gradient = np.empty(3)
    wanted = rows.shape[0] > 0
    matrix = to_index @ turn
    base = to_index @ shift + offset
    for n in range(directions.shape[0]):
        count = max(1, int(np.ceil((exit_[n] - entry[n]) / step)))
        length = (exit_[n] - entry[n]) / count
        along = directions[n]
        source = sources[n]
        d = matrix @ along
        total = 0.0
        t0 = t1 = t2 = m00 = m01 = m02 = 0.0
        near0 = near1 = near2 = 0.0
        first = entry[n] + 0.5 * length
        a = matrix @ source + base
        for s in range(count):
            t = first + s * length
            x, y, z = a[0] + t * d[0], a[1] + t * d[1], a[2] + t * d[2]
            if not _inside(volume.shape, x, y, z):
                continue
            total += _linear(volume, x, y, z, gradient)
            if wanted:
                t0 += gradient[0]
                t1 += gradient[1]
                t2 += gradient[2]
                m00 += t * gradient[0]
                m01 += t * gradient[1]
                m02 += t * gradient[2]
        value[n] = total * length
        if not wanted:
            continue
        # gradient by mm, summed, and summed weighted with the place along the ray
        for axis in range(3):
            g = to_index[0, axis] * t0 + to_index[1, axis] * t1 + to_index[2, axis] * t2
            rows[n, axis] = g * length
        near0, near1, near2 = turn @ source
        far = turn @ along
        w0 = to_index[0, 0] * m00 + to_index[1, 0] * m01 + to_index[2, 0] * m02
        w1 = to_index[0, 1] * m00 + to_index[1, 1] * m01 + to_index[2, 1] * m02
        w2 = to_index[0, 2] * m00 + to_index[1, 2] * m01 + to_index[2, 2] * m02
        g0, g1, g2 = rows[n, 0], rows[n, 1], rows[n, 2]
        w0, w1, w2 = w0 * length, w1 * length, w2 * length
        rows[n, 3] = near1 * g2 - near2 * g1 + far[1] * w2 - far[2] * w1
        rows[n, 4] = near2 * g0 - near0 * g2 + far[2] * w0 - far[0] * w2
        rows[n, 5] = near0 * g1 - near1 * g0 + far[0] * w1 - far[1] * w0
