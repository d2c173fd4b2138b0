"""Matching of single blocks: a shift, a gain and an offset each.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled
from qa_suite.imaging.registration.motion_kernels import _inside, _linear


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
