"""Range errors: the water-equivalent path to the target on the synthetic and the real image.

Along every ray of a beam that meets the target, the path runs from the source, so from the
skin of each image, to the target's last surface; both ends stay where the reference has them.
A proton that stopped there in the reference stops this much too early (positive) or too late
(negative) in a patient who is what the synthetic image says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.range.raytrace import BeamFrame, in_threads, path_integral


@dataclass(frozen=True, kw_only=True)
class RangeComparison:
    """Water-equivalent path lengths of one beam's rays on two images.

    Parameters
    ----------
    beam
        Its label.
    x_mm, y_mm
        Positions of the rays in the isocentre plane (IEC 61217 beam limiting device).
    hit
        Rays that meet the target, bool, shape (y, x).
    reference_mm, synthetic_mm
        Path lengths to the target's distal surface, shape (y, x); 0 where not ``hit``.
    """

    beam: str
    x_mm: FloatArray
    y_mm: FloatArray
    hit: NDArray[np.bool_]
    reference_mm: FloatArray
    synthetic_mm: FloatArray

    @property
    def map_mm(self) -> FloatArray:
        """Return synthetic − reference, shape (y, x); 0 where not ``hit``."""
        return self.synthetic_mm - self.reference_mm

    @property
    def errors_mm(self) -> FloatArray:
        """Synthetic − reference of the rays that meet the target, shape (rays,)."""
        return np.asarray(self.map_mm[self.hit])

    @property
    def errors_pct(self) -> FloatArray:
        """The same in percent of the reference's path, shape (rays,)."""
        return np.asarray(100 * self.errors_mm / self.reference_mm[self.hit])

    @property
    def mean_mm(self) -> float:
        """Mean error."""
        return float(self.errors_mm.mean())

    @property
    def p95_abs_mm(self) -> float:
        """95th percentile of the errors' absolute values."""
        return float(np.percentile(np.abs(self.errors_mm), 95))

    @property
    def max_abs_mm(self) -> float:
        """Largest absolute error."""
        return float(np.abs(self.errors_mm).max())

    @property
    def mean_pct(self) -> float:
        """Mean error in percent of the path."""
        return float(self.errors_pct.mean())

    def share_beyond_margin(self, margin_pct: float = 3.0, margin_mm: float = 1.0) -> float:
        """Return the share of rays whose error is larger than a range margin, 0 to 1.

        Parameters
        ----------
        margin_pct, margin_mm
            The margin is ``margin_pct`` of the reference's path plus ``margin_mm``. Margins in
            use are 2.5 to 3.5 % plus 1 to 3 mm (Paganetti H 2012, Phys Med Biol 57:R99).
        """
        margin = margin_pct / 100 * self.reference_mm[self.hit] + margin_mm
        return float((np.abs(self.errors_mm) > margin).mean())


@dataclass(frozen=True, kw_only=True)
class TargetRays:
    """Rays of one beam through a target.

    Parameters
    ----------
    x_mm, y_mm
        Lattice in the isocentre plane.
    hit
        Rays that meet the target, shape (y, x).
    starts_mm, ends_mm
        LPS positions before the grid and on the target's distal surface, shape (hits, 3).
    """

    x_mm: FloatArray
    y_mm: FloatArray
    hit: NDArray[np.bool_]
    starts_mm: FloatArray
    ends_mm: FloatArray


def target_rays(grid: Grid, target: Mask, frame: BeamFrame, *, spacing_mm: float) -> TargetRays:
    """Cast a lattice of rays through a target and find its distal surface, exact to the voxel.

    Raises
    ------
    GeometryError
        If the target is not of the grid's shape.
    InputError
        If the target is empty.
    """
    from qa_suite.dose.range.raytrace_kernels import last_exit

    if target.shape != grid.shape:
        raise GeometryError(f"The target has shape {target.shape} and the grid {grid.shape}.")
    voxels = np.argwhere(target)
    if voxels.size == 0:
        raise InputError("The target is empty; there is no ray to follow.")
    half = 0.5 * np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(-1, 3)
    box = np.stack([voxels.min(axis=0) - 0.5, voxels.max(axis=0) + 0.5])
    corners = box.mean(axis=0) + half * (box[1] - box[0])
    plane = frame.project(grid.to_world(corners))
    low, high = plane.min(axis=0), plane.max(axis=0)
    x, y = (
        np.arange(np.floor(a / spacing_mm), np.ceil(b / spacing_mm) + 1) * spacing_mm
        for a, b in zip(low, high, strict=True)
    )
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    reach = np.abs(frame.to_beam(grid.to_world(_box_corners(grid)))[:, 2]).max() + 1.0
    top = reach if frame.sad_mm is None else min(reach, frame.sad_mm - 1e-3)
    starts, ends = frame.unproject(points, top), frame.unproject(points, -reach)
    first = np.ascontiguousarray(grid.to_index(starts))
    last = np.ascontiguousarray(grid.to_index(ends))
    share = np.empty(points.shape[0])
    field = np.ascontiguousarray(target, dtype=np.float32)
    in_threads(lambda a, b: last_exit(field, first, last, a, b, share), share.size, chunk=512)
    hit = share >= 0
    distal = starts[hit] + share[hit, None] * (ends[hit] - starts[hit])
    return TargetRays(
        x_mm=x, y_mm=y, hit=hit.reshape(y.size, x.size), starts_mm=starts[hit], ends_mm=distal
    )


def compare_ranges(
    reference: NDArray[np.float32],
    synthetic: NDArray[np.float32],
    grid: Grid,
    *,
    target: Mask,
    frame: BeamFrame,
    label: str,
    spacing_mm: float | None = None,
) -> RangeComparison:
    """Compare the water-equivalent paths to the target's distal surface along one beam.

    Parameters
    ----------
    reference, synthetic
        Relative stopping power on ``grid``, each with its own body, 0 outside it.
    grid
        Their voxels.
    target
        On ``grid``, of the reference.
    frame
        Of the beam.
    label
        Of the beam.
    spacing_mm
        Distance of the rays in the isocentre plane; the smallest voxel by default.

    Returns
    -------
    RangeComparison
        Rays whose reference path holds nothing (target outside the body) do not count as hit.

    Raises
    ------
    InputError
        If the target is empty, or no ray to it passes through the reference's body.
    """
    rays = target_rays(grid, target, frame, spacing_mm=spacing_mm or min(grid.spacing_mm))
    real = path_integral(reference, grid, rays.starts_mm, rays.ends_mm)
    made = path_integral(synthetic, grid, rays.starts_mm, rays.ends_mm)
    hit = rays.hit.copy()
    hit[rays.hit] = real > 0
    if not hit.any():
        raise InputError(f"No ray of the beam {label} meets the target inside the body.")
    return RangeComparison(
        beam=label,
        x_mm=rays.x_mm,
        y_mm=rays.y_mm,
        hit=hit,
        reference_mm=_spread(hit, real[real > 0]),
        synthetic_mm=_spread(hit, made[real > 0]),
    )


def _box_corners(grid: Grid) -> FloatArray:
    ends = [(-0.5, n - 0.5) for n in grid.shape]
    return np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)


def _spread(hit: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    out = np.zeros(hit.shape)
    out[hit] = values
    return out
