"""Contours of an image: what two modalities have in common, and how far two sets lie apart.

Canny's detector (scikit-image) on axial slices. Everything that has a length is in mm and every
threshold is a height of a step, so that the same numbers mean the same at any voxel size.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import ndimage

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from translators.data import Bool
from translators.spec import Block

_SQUARE = 0.01  # relative difference up to which in-plane voxels count as square
_EIGHT = np.ones((3, 3), dtype=bool)


class ContoursSpec(Block):
    """How contours are taken from an image, and how slices are made to agree.

    A window and the heights of steps are in one unit: of the target, or of the normalised
    source, where ``source.low`` and ``source.high`` lie at -1 and 1.
    """

    source_window: tuple[float, float] = Field(description="fixed; values are held inside it")
    target_window: tuple[float, float] = Field(description="fixed; values are held inside it")
    source_steps: tuple[float, float] = Field(
        description="heights of a sharp step that carries a contour on, and that begins one"
    )
    target_steps: tuple[float, float] = Field(description="the same for the target")
    sigma_mm: float = Field(default=2.0, gt=0, description="of Canny's Gaussian")
    smallest_mm: float = Field(default=20.0, ge=0, description="shorter pieces are dropped")
    source_like: tuple[tuple[float, float, float], ...] = Field(
        default=(),
        description="how a source may show what has a value in the target: (value in the target's "
        "unit, darkest, brightest as the normalised source); between the values it is interpolated",
    )
    recoloured: int = Field(
        default=0,
        ge=0,
        description="sets of contours of each target in such made-up greys, beside its own",
    )
    condition: Literal["lines", "distance"] = Field(
        default="distance",
        description="lines: 1 on a contour, else 0; distance: to the nearest contour of the "
        "slice, negative outside the body",
    )
    reach_mm: float = Field(default=20.0, gt=0, description="distance that is told as 1")
    candidates: int = Field(
        default=1, ge=1, description="samples a slice; the one nearest to the contours is kept"
    )
    guidance: float = Field(
        default=0.5, ge=0, le=1, description="pull of a slice towards its finished neighbour"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ContoursSpec:
        for role in ("source", "target"):
            low, high = getattr(self, f"{role}_window")
            if low >= high:
                raise ValueError(f"{role}_window must rise, got {low:g} to {high:g}")
            small, large = getattr(self, f"{role}_steps")
            if not 0 < small <= large < high - low:
                raise ValueError(
                    f"{role}_steps must rise from above 0 to below the window's "
                    f"{high - low:g}, got {small:g} and {large:g}"
                )
        values = [value for value, _, _ in self.source_like]
        if self.recoloured and len(values) < 2:
            raise ValueError("recoloured needs two values or more in source_like")
        if any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"the values of source_like must rise, got {values}")
        if any(darkest > brightest for _, darkest, brightest in self.source_like):
            raise ValueError("source_like has a darkest grey above its brightest")
        return self


def find_contours(
    image: Float32Array,
    body: Bool,
    spacing_mm: tuple[float, float, float],
    settings: ContoursSpec,
    role: Literal["source", "target"],
) -> Bool:
    """Find the contours in every axial slice of an image.

    The values are held inside the window, what lies outside the body takes the window's lower
    end (so the outline of the body is always among the contours, and nothing beyond it), then
    Canny's detector is applied and pieces shorter than ``settings.smallest_mm`` are dropped.

    Parameters
    ----------
    image
        Shape (x, y, z): a target in its unit, or a normalised source.
    body
        Where there is a body, same shape.
    spacing_mm
        Voxel spacing; x and y must agree, for an edge has one width in all directions.
    settings
        Windows, heights of steps, smoothing and the shortest piece.
    role
        Whose window and steps are meant.

    Returns
    -------
    ndarray of bool, shape (x, y, z)
        Lines of one voxel.

    Raises
    ------
    InputError
        If the voxels are not square in the axial plane, or a value is not finite.
    """
    dx, dy, _ = spacing_mm
    if abs(dx / dy - 1) > _SQUARE:
        raise InputError(
            f"Contours need square voxels in the axial plane, got {dx:g} by {dy:g} mm; set "
            f"working_spacing_mm."
        )
    bad = int(np.count_nonzero(~np.isfinite(image)))
    if bad:
        raise InputError(f"Contours cannot be found: {bad} voxels are NaN or inf.")
    if role == "source":
        (low, high), steps = settings.source_window, settings.source_steps
    else:
        (low, high), steps = settings.target_window, settings.target_steps
    held = np.where(body, np.clip(image, low, high), np.float32(low))
    found = np.zeros(image.shape, dtype=bool)
    for k in range(image.shape[2]):
        edges = _canny(held[:, :, k], settings.sigma_mm / dx, steps)
        found[:, :, k] = drop_short(edges, dx, settings.smallest_mm)
    return found


def recoloured(
    image: Float32Array, settings: ContoursSpec, rng: np.random.Generator
) -> Float32Array:
    """Show a target in greys drawn at random, as a source of that patient might look.

    Which edges an image has depends on what its modality makes of the tissues: bone's shell is
    the brightest of a CT and the darkest of an MR. Contours of many made-up modalities teach what
    to make of those that the source will have (the idea of domain randomisation: Billot et al.
    2023, Med Image Anal 86:102789).

    Parameters
    ----------
    image
        A target in its unit.
    settings
        ``source_like``: the values that are given a grey, and between which.

    Returns
    -------
    ndarray of float32, same shape
        In the unit of the normalised source.
    """
    values, darkest, brightest = np.array(settings.source_like, dtype=float).T
    greys = rng.uniform(darkest, brightest)
    return np.interp(image, values, greys).astype(np.float32)


def _canny(values: Float32Array, sigma: float, steps: tuple[float, float]) -> Bool:
    """Apply Canny's detector with thresholds as heights of a step; ``sigma`` in voxels."""
    from skimage.feature import canny

    # The Sobel operator answers 8 times the slope in voxels: at a unit step that a Gaussian
    # has blurred, 4 times the difference between the two voxels beside it.
    unit = 4 * math.erf(1 / (math.sqrt(2) * sigma))
    # a margin, because the detector never marks the border, and the body may be cut by it
    padded = np.pad(values.astype(np.float64), 1, mode="edge")
    edges = canny(
        padded,
        sigma=sigma,
        low_threshold=steps[0] * unit,
        high_threshold=steps[1] * unit,
        mode="nearest",
    )
    return np.asarray(edges[1:-1, 1:-1], dtype=bool)


def drop_short(edges: Bool, voxel_mm: float, smallest_mm: float) -> Bool:
    """Drop connected pieces of a slice's lines that are shorter than ``smallest_mm``.

    A piece of n voxels in a row is n voxels long; diagonal steps count √2.
    """
    labels, count = ndimage.label(edges, structure=_EIGHT)
    if not count or smallest_mm <= 0:
        return edges
    length = np.ones(count + 1)
    for weight, links in _links(edges):
        length += weight * np.bincount(labels[links], minlength=count + 1)
    keep = length * voxel_mm >= smallest_mm - 1e-9
    keep[0] = False
    return np.asarray(keep[labels])


def _links(edges: Bool) -> list[tuple[float, Bool]]:
    """Mark the steps from voxel to voxel where they begin, each kind with its length.

    A diagonal step counts only where no way around the corner leads.
    """
    right, down = np.zeros_like(edges), np.zeros_like(edges)
    falling, rising = np.zeros_like(edges), np.zeros_like(edges)
    right[:-1] = edges[:-1] & edges[1:]
    down[:, :-1] = edges[:, :-1] & edges[:, 1:]
    a, b = edges[:-1, :-1], edges[1:, 1:]
    c, d = edges[1:, :-1], edges[:-1, 1:]
    falling[:-1, :-1] = a & b & ~c & ~d
    rising[1:, :-1] = c & d & ~a & ~b
    return [(1.0, right), (1.0, down), (math.sqrt(2), falling), (math.sqrt(2), rising)]


def distance_to(
    contours: Bool, spacing_mm: tuple[float, float, float], limit_mm: float
) -> Float32Array:
    """Distance of every voxel to the nearest contour of its slice, in mm, up to a limit.

    Parameters
    ----------
    contours
        Shape (x, y, z).
    limit_mm
        Larger distances, and slices without a contour, take this value.
    """
    distance = np.full(contours.shape, limit_mm, dtype=np.float32)
    for k in range(contours.shape[2]):
        if contours[:, :, k].any():
            found = ndimage.distance_transform_edt(~contours[:, :, k], sampling=spacing_mm[:2])
            distance[:, :, k] = np.minimum(found, limit_mm)
    return distance


def disagreement(found: Bool, wanted: Bool, voxel_mm: float, limit_mm: float) -> float:
    """Mean distance between the contours of two slices, both ways, in mm.

    The mean of (mean distance from ``found`` to the nearest of ``wanted``) and the reverse, each
    distance up to ``limit_mm``; the limit where one of them has no contour, 0 where neither has.
    """
    if not found.any() or not wanted.any():
        return 0.0 if not found.any() and not wanted.any() else limit_mm
    ways = []
    for a, b in ((found, wanted), (wanted, found)):
        distance = ndimage.distance_transform_edt(~b) * voxel_mm
        ways.append(float(np.minimum(distance[a], limit_mm).mean()))
    return sum(ways) / 2
