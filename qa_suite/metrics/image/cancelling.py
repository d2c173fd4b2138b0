"""Image measures of signed errors that cancel in the mean: ramps, halves, blocks, planes.

A coil's shading of ±60 HU from left to right has the mean 0 and lies deep below the mean
absolute error, but a lateral beam meets half of it on its whole way. Each measure here answers
to one shape of such a field; how many millimetres of water the whole of it is on the way of a
beam, whatever its shape, is told by the depth errors.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.imaging.robust import HUBER, MAD_TO_SD
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.facts import REFERENCE_UNIT, MetricFacts
from qa_suite.metrics.image.comparison import OF_BODY, Comparison
from qa_suite.metrics.image.error_field import ErrorField
from qa_suite.metrics.image.settings import ImageSettings

_DEFAULT = ImageSettings()
_BODY: dict[str, Any] = {"regions": "body"}
_EMPTY = "an empty mask is undefined; a voxel of the mask that is not finite is an error"
_FIELD = {
    **_BODY,
    "field_mm": _DEFAULT.field_mm,
    "tissue_low_hu": _DEFAULT.field_tissue["HU"][0],
    "tissue_high_hu": _DEFAULT.field_tissue["HU"][1],
    "tissue": "by the reference; images not in HU: the whole mask",
}
_FEWEST_BLOCKS = 60  # six for each of the ten terms of the fit
_ROUNDS = 30
_SETTLED_HU = 1e-4
_OCTANT_SHARE = 0.02  # of the body, below which an octant has no mean


@OF_BODY.add(
    "shading",
    MetricFacts(
        family="image",
        title="Shading: amplitude of the smooth field of the error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "largest |f - mean of f| over the blocks of even tissue; f: second-order polynomial "
            "in the patient's axes fitted to the blocks' mean signed errors by Huber's estimator"
        ),
        empty=f"{_EMPTY}; undefined with fewer than {_FEWEST_BLOCKS} blocks of even tissue",
        reference="Definition of this suite; Huber 1964, Ann Math Stat 35:73 (the estimator)",
        settings={**_FIELD, "order": 2, "huber": HUBER},
    ),
)
def shading(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Amplitude of the smooth part of the signed error; a bias alone is 0."""
    field = comparison.field
    chosen = field.has_tissue
    if np.count_nonzero(chosen) < _FEWEST_BLOCKS:
        return _too_few(field)
    terms = _polynomial(field, chosen)
    fitted = _robust_fit(terms, field.tissue[chosen].astype(np.float64)) @ terms
    return float(np.abs(fitted - fitted.mean()).max()), _coverage(field)


@OF_BODY.add(
    "octant_error",
    MetricFacts(
        family="image",
        title="Largest deviation of an octant's mean error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "largest |m - mean error of the body| over the octants about the body's centroid; m: "
            "mean (synthetic - reference) of the octant"
        ),
        empty=f"{_EMPTY}; undefined with fewer than two octants of {_OCTANT_SHARE:.0%} of the body",
        reference="Definition of this suite",
        settings={**_BODY, "field_mm": _DEFAULT.field_mm, "smallest_share": _OCTANT_SHARE},
    ),
)
def octant_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Largest deviation of an octant, right or left, front or back, up or down."""
    field = comparison.field
    weight = np.where(field.has_body, field.body_share, 0).astype(np.float64)
    total = weight.sum()
    if total == 0:
        return _too_few(field)
    mean = float((weight * field.body).sum() / total)
    found = []
    for sides in itertools.product((False, True), repeat=3):
        part = weight.copy()
        for side, place in zip(sides, field.places_mm, strict=True):
            # a block that the cut goes through belongs to both sides, half to each
            part *= np.where(place == 0, 0.5, (place > 0) == side)
        if part.sum() >= _OCTANT_SHARE * total:
            found.append(float((part * field.body).sum() / part.sum()))
    if len(found) < 2:
        return NoValue(
            why=f"only {len(found)} octants hold at least {_OCTANT_SHARE:.0%} of the body, and two "
            "are needed"
        )
    return max(abs(value - mean) for value in found), 1.0


@OF_BODY.add(
    "block_error",
    MetricFacts(
        family="image",
        title="Deviation of small cubes from the mean error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "95th percentile of |m - mean of all m| over the blocks of even tissue; m: mean signed "
            "error of the even tissue in a cube of at most cube_mm around the block"
        ),
        empty=f"{_EMPTY}; undefined with fewer than {_FEWEST_BLOCKS} blocks of even tissue",
        reference="Definition of this suite",
        settings={**_FIELD, "cube_mm": _DEFAULT.block_mm, "percentile": 95},
    ),
)
def block_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """How far cubes of a few centimetres lie off, seams and chequers of patches included."""
    from scipy import ndimage

    field = comparison.field
    chosen = field.has_tissue
    if np.count_nonzero(chosen) < _FEWEST_BLOCKS:
        return _too_few(field)
    edge = comparison.settings.block_mm
    size = [2 * int(max(edge / step - 1, 0) / 2 + 1e-6) + 1 for step in field.spacing_mm]
    weight = np.where(chosen, field.tissue_share, 0).astype(np.float32)
    total = ndimage.uniform_filter(weight * field.tissue, size, mode="constant")
    count = ndimage.uniform_filter(weight, size, mode="constant")
    means = total[chosen] / count[chosen]
    return float(np.percentile(np.abs(means - means.mean()), 95)), _coverage(field)


@OF_BODY.add(
    "plane_jitter",
    MetricFacts(
        family="image",
        title="Jitter from plane to plane",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "largest over the grid's three axes of sqrt(mean d²); d = (m_k - (m_(k-1) + m_(k+1)) / "
            "2) / 2 of the planes across the axis; m: mean (synthetic - reference) of the plane; "
            "planes that alternate by ±a give a"
        ),
        empty=f"{_EMPTY}; undefined where no axis has three large neighbouring planes",
        reference="Definition of this suite",
        settings={**_BODY, "plane_min_voxels": _DEFAULT.slice_min_voxels},
    ),
)
def plane_jitter(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Jitter of the planes' mean errors, as of a network that works slice by slice."""
    from qa_suite.metrics.image.kernels import plane_sums

    longest = max(comparison.mask.shape)  # of a shorter axis the last planes hold nothing
    numbers, totals = np.zeros((3, longest), dtype=np.int64), np.zeros((3, longest))
    plane_sums(comparison.reference, comparison.synthetic, comparison.mask, numbers, totals)
    fewest = comparison.settings.slice_min_voxels
    found = []
    for counts, sums in zip(numbers, totals, strict=True):
        means = sums / np.maximum(counts, 1)
        large = counts >= fewest
        whole = large[1:-1] & large[:-2] & large[2:]
        if whole.any():
            step = (means[1:-1] - (means[:-2] + means[2:]) / 2) / 2
            found.append(float(np.sqrt(np.square(step[whole]).mean())))
    if not found:
        return NoValue(
            why=f"no axis has three neighbouring planes of at least {fewest} voxels of the mask"
        )
    return max(found), 1.0


_NO_SLAB = (
    "an empty mask is undefined; a voxel of the mask that is not finite is an error; undefined "
    "where the body has no slab of more than a few blocks"
)
_WAY = (
    "water-equivalent depth error: ∫ (density of the synthetic image - density of the reference) "
    "from the body's surface to a target within the mask; density: electrons relative to "
    "water, by water_points; targets: the middle of an axial slab, its body shrunk to a "
    "third about its centroid; coplanar parallel beams"
)


def _beam_facts(title: str, formula: str) -> MetricFacts:
    return MetricFacts(
        family="image",
        title=title,
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=f"{formula}; {_WAY}",
        empty=_NO_SLAB,
        reference=(
            "Definition of this suite; Thomas 1999, Br J Radiol 72:781 (densities); 0.4 %/mm of a "
            "6 MV beam: IAEA TRS-398"
        ),
        settings={
            "regions": "body",
            "beams": _DEFAULT.beams,
            "slab_mm": _DEFAULT.slab_mm,
            "field_mm": _DEFAULT.field_mm,
            "water_points": ", ".join(f"{hu:g}: {rho:g}" for hu, rho in _DEFAULT.water_points),
        },
        quantities=("HU",),
        because="only HU say how much water a voxel is to a beam",
    )


@OF_BODY.add(
    "beam_depth_error",
    _beam_facts(
        "Water-equivalent depth error of the worst beam",
        "largest |mean over the slab's targets| over all slabs and beams",
    ),
)
def beam_depth_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Millimetres of water by which the worst beam errs on its way to the middle of the body."""
    depths = comparison.depth_errors_mm
    if isinstance(depths, NoValue):
        return depths
    return float(np.abs(depths).max()), 1.0


@OF_BODY.add(
    "arc_depth_error",
    _beam_facts(
        "Water-equivalent depth error in the mean over all beams",
        "largest |mean over the beams and the slab's targets| over all slabs",
    ),
)
def arc_depth_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Millimetres of water by which a full arc errs, in the worst slab."""
    depths = comparison.depth_errors_mm
    if isinstance(depths, NoValue):
        return depths
    return float(np.abs(depths.mean(axis=1)).max()), 1.0


# ---------------------------------------------------------------------------------------


def _too_few(field: ErrorField) -> NoValue:
    found = int(np.count_nonzero(field.has_tissue))
    return NoValue(
        why=f"only {found} blocks of the mask hold even tissue, and {_FEWEST_BLOCKS} are needed"
    )


def _coverage(field: ErrorField) -> float:
    used = float(field.tissue_share[field.has_tissue].sum(dtype=np.float64))
    return min(1.0, used / max(float(field.body_share.sum(dtype=np.float64)), 1e-12))


def _polynomial(field: ErrorField, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Terms up to second order, shape (10, chosen blocks); each axis in halves of the body."""
    axes = []
    for place in field.places_mm:
        here = np.broadcast_to(place, chosen.shape)[chosen]
        axes.append(here / max(float(np.abs(here).max()), 1e-6))
    terms = [np.ones_like(axes[0]), *axes]
    terms += [a * b for a, b in itertools.combinations_with_replacement(axes, 2)]
    return np.stack(terms)


def _robust_fit(terms: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Huber's estimate of the terms' factors, by iteratively reweighted least squares."""
    weight: NDArray[np.float64] = np.ones_like(errors)
    factors: NDArray[np.float64] = np.zeros(len(terms))
    for _ in range(_ROUNDS):
        # normal equations: ten terms within ±1, and lstsq takes what is degenerate among them
        weighted = terms * weight
        found = np.linalg.lstsq(weighted @ terms.T, weighted @ errors, rcond=1e-12)[0]
        settled = bool(np.abs(found - factors).max() < _SETTLED_HU)
        factors = np.asarray(found, dtype=np.float64)
        if settled:
            break
        rest = errors - factors @ terms
        scale = MAD_TO_SD * float(np.median(np.abs(rest - np.median(rest))))
        if scale < 1e-6:
            break
        weight = np.minimum(1.0, HUBER * scale / np.maximum(np.abs(rest), 1e-12))
    return factors
