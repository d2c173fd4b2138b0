"""From a scan to what a network sees: orientation, spacing, body, normalisation; and back.

The same functions serve training and prediction, so that both see alike images. Nothing
here looks at a reference image to prepare a source image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Case, Cohort, Split
from qa_suite.core.errors import InputError, QAError, raise_problems
from qa_suite.core.orientation import Turn
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.masks import filled_slices
from qa_suite.io.cases import LoadedCase, load_case
from translators.spec import BodySpec, SourceSpec, TargetSpec, TranslatorSpec

if TYPE_CHECKING:
    import torch

Bool = NDArray[np.bool_]

SEEN_SPLITS: tuple[Split, ...] = ("train", "validation")
"""The patient sets that a translator may see; the others are the examiner's."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The way from a scan's own voxels to the working voxels, and back.

    The working array has x (left), y (posterior), z (head) as its axes, as nearly as the
    scan's axes allow without interpolation, and the working spacing.
    """

    turn: Turn
    scan_shape: tuple[int, int, int]
    turned_spacing_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]

    @property
    def turned_shape(self) -> tuple[int, int, int]:
        """Shape after turning, before any change of spacing."""
        return self.turn.of_axes(self.scan_shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the working array: the voxel centres of the scan lie within it."""
        i, j, k = (
            n if self._ratio[axis] == 1 else int(np.ceil((n - 1) / self._ratio[axis] - 1e-6)) + 1
            for axis, n in enumerate(self.turned_shape)
        )
        return (i, j, k)

    @property
    def _ratio(self) -> NDArray[np.float64]:
        """Working over turned spacing; 1 where they agree within a thousandth."""
        ratio = np.asarray(self.spacing_mm) / np.asarray(self.turned_spacing_mm)
        return np.where(np.abs(ratio - 1) < 1e-3, 1.0, ratio)

    def to_working(self, array: NDArray[np.generic]) -> Float32Array:
        """Turn and resample a scan's array linearly (smoothed first where it gets coarser)."""
        turned = self.turn.apply(np.asarray(array, dtype=np.float32))
        ratio = self._ratio
        if (ratio != 1).any():
            sigma = 0.5 * np.sqrt(np.clip(ratio**2 - 1, 0, None))
            turned = ndimage.gaussian_filter(turned, sigma, mode="nearest")
            turned = ndimage.affine_transform(
                turned, ratio, output_shape=self.shape, order=1, mode="nearest"
            )
        return np.ascontiguousarray(turned, dtype=np.float32)

    def to_scan(self, array: Float32Array) -> Float32Array:
        """Take a working array back to the scan's own voxels."""
        ratio = self._ratio
        if (ratio != 1).any():
            array = ndimage.affine_transform(
                array, 1 / ratio, output_shape=self.turned_shape, order=1, mode="nearest"
            )
        return np.asarray(self.turn.undo(array), dtype=np.float32)


def frame_of(grid: Grid, working_spacing_mm: tuple[float, float, float] | None) -> Frame:
    """Find the turn that brings a grid's axes closest to x, y, z of the patient."""
    spacing = grid.turn.of_axes(grid.spacing_mm)
    return Frame(
        turn=grid.turn,
        scan_shape=grid.shape,
        turned_spacing_mm=spacing,
        spacing_mm=working_spacing_mm or spacing,
    )


def body_mask(
    image: Float32Array, spacing_mm: tuple[float, float, float], settings: BodySpec | None = None
) -> Bool:
    """Find the body in a source image from its own intensities.

    Parameters
    ----------
    image
        Signal, shape (x, y, z), in working orientation.
    spacing_mm
        Voxel spacing along x, y, z.
    settings
        See :class:`translators.spec.BodySpec`.

    Returns
    -------
    ndarray of bool, shape (x, y, z)

    Raises
    ------
    InputError
        If the image is constant, so that there is no body in it.
    """
    settings = settings or BodySpec()
    spacing = np.asarray(spacing_mm)
    smooth = ndimage.gaussian_filter(image, settings.smoothing_mm / spacing, mode="nearest")
    low, high = np.percentile(smooth, [1, 99])
    if not high > low:
        raise InputError(f"The source image has one value only ({low:g}); no body can be found.")
    body = smooth > low + settings.threshold_fraction * (high - low)
    if settings.closing_mm > 0:
        body = _close(body, settings.closing_mm, spacing)
    labels, count = ndimage.label(body)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        body = (sizes >= settings.smallest_piece * sizes.max())[labels] & body
    return filled_slices(body, axis=2)


def _close(mask: Bool, radius_mm: float, spacing: NDArray[np.float64]) -> Bool:
    """Close gaps up to ``radius_mm``; the border does not eat into a body that is cut by it."""
    width = [(int(np.ceil(radius_mm / s)) + 1,) * 2 for s in spacing]
    padded = np.pad(mask, width, mode="edge")
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= radius_mm
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > radius_mm
    inner = tuple(slice(w, n - w) for (w, _), n in zip(width, padded.shape, strict=True))
    return np.asarray(closed[inner] | mask)


def normalise(image: Float32Array, body: Bool, settings: SourceSpec) -> Float32Array:
    """Remove the scale of a source image; see :class:`translators.spec.SourceSpec`."""
    if settings.normalisation == "window":
        low, high = settings.low, settings.high
    else:
        if not body.any():
            raise InputError("No body was found in the source image; it cannot be normalised.")
        inside = image[body]
        if settings.normalisation == "percentile":
            low, high = np.percentile(inside, [settings.low, settings.high])
        else:
            mean, sd = inside.mean(dtype=np.float64), inside.std(dtype=np.float64)
            low, high = mean - sd, mean + sd
        if not high > low:
            raise InputError(f"The source image has one value inside the body ({low:g}).")
    scaled = (image - np.float32(low)) * np.float32(2 / (high - low)) - 1
    return np.clip(scaled, *settings.clip, dtype=np.float32)


def to_unit(values: Float32Array, target: TargetSpec) -> Float32Array:
    """Map the target's window to [-1, 1] by its transform; what lies outside it is clipped."""
    clipped = np.clip(values, target.low, target.high)
    if target.transform == "sqrt":
        share = (clipped - target.low) / (target.high - target.low)
        return np.asarray(2 * np.sqrt(share) - 1, np.float32)
    return np.asarray((clipped - target.low) * (2 / (target.high - target.low)) - 1, np.float32)


def from_unit(values: Float32Array, target: TargetSpec) -> Float32Array:
    """Map [-1, 1] back to the target's unit, clipped to its window."""
    back = valued(np.maximum(np.asarray(values, dtype=np.float32), -1), target)
    return np.asarray(np.clip(back, target.low, target.high), dtype=np.float32)


Scaled = TypeVar("Scaled", Float32Array, "torch.Tensor")


def valued(unit: Scaled, target: TargetSpec) -> Scaled:
    """Map values from -1 to 1 to the target's unit, arrays or tensors."""
    half = (target.high - target.low) / 2
    if target.transform == "sqrt":
        return (unit + 1) ** 2 * (half / 2) + target.low
    return (unit + 1) * half + target.low


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A source image as a translator sees it, in working voxels (x, y, z); ``scan`` as it came."""

    image: Float32Array
    body: Bool
    frame: Frame
    scan: Volume | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedPair:
    """A training pair in working voxels: the target in its own unit, and the loss mask."""

    case: Case
    prepared: Prepared
    target: Float32Array
    mask: Bool

    @property
    def scan(self) -> Volume:
        """The source image as it came."""
        assert self.prepared.scan is not None
        return self.prepared.scan

    @property
    def image(self) -> Float32Array:
        """The normalised source."""
        return self.prepared.image

    @property
    def body(self) -> Bool:
        """The body as found in the source."""
        return self.prepared.body


def prepare(source: Volume, spec: TranslatorSpec, *, mask: Bool | None = None) -> Prepared:
    """Turn, resample and normalise a source image.

    Parameters
    ----------
    source
        The image to translate.
    spec
        Whose source settings are applied.
    mask
        The body where a caller knows it better, shape ``source.grid.shape``; by default it
        is found in the source image itself, as it must be where no reference exists.

    Raises
    ------
    InputError
        If the quantity is another one, a voxel is not finite, or the image is constant.
    """
    if source.quantity != spec.source.quantity:
        raise InputError(
            f"Translator {spec.name} takes {spec.source.modality} in {spec.source.quantity}, and "
            f"the source image is in {source.quantity}."
        )
    bad = int(np.count_nonzero(~np.isfinite(source.array)))
    if bad:
        raise InputError(f"The source image has {bad} voxels that are NaN or inf.")
    if mask is not None and mask.shape != source.grid.shape:
        raise InputError(f"The mask has shape {mask.shape}, the image {source.grid.shape}.")
    frame = frame_of(source.grid, spec.working_spacing_mm)
    image = frame.to_working(source.array)
    if mask is None:
        body = body_mask(image, frame.spacing_mm, spec.source.body)
    else:
        body = frame.to_working(mask) >= 0.5
    normal = normalise(image, body, spec.source)
    return Prepared(image=normal, body=body, frame=frame, scan=source)


def load_pairs(
    cohort: Cohort, folder: Path, spec: TranslatorSpec, split: Split
) -> tuple[PreparedPair, ...]:
    """Read and prepare every pair of one patient set.

    Raises
    ------
    Problems
        With one sentence for every case that has no reference, cannot be read, or holds NaN.
    """
    pairs: list[PreparedPair] = []
    problems: list[str] = []
    for case in cohort.in_split(split):
        try:
            pairs.append(_load_pair(cohort, case, folder, spec))
        except QAError as error:
            problems.append(f"case {case.case}: {error}")
    raise_problems(f"The {split} set of cohort {cohort.name}", problems)
    return tuple(pairs)


def _load_pair(cohort: Cohort, case: Case, folder: Path, spec: TranslatorSpec) -> PreparedPair:
    if case.reference is None:
        raise InputError("it has no reference image, and a paired translator needs one.")
    loaded = load_case(cohort, case, folder)
    prepared = prepare(loaded.source, spec)
    target, mask = prepared_target(loaded, prepared.frame, spec.target)
    return PreparedPair(case=case, prepared=prepared, target=target, mask=mask)


def prepared_target(
    loaded: LoadedCase, frame: Frame, target: TargetSpec
) -> tuple[Float32Array, Bool]:
    """Turn and scale the reference of a case; return it with the mask of its loss.

    Raises
    ------
    InputError
        If there is no reference, a voxel of it is not finite, or the mask is empty.
    """
    if loaded.reference is None:
        raise InputError("its reference image could not be read.")
    bad = int(np.count_nonzero(~np.isfinite(loaded.reference.array)))
    if bad:
        raise InputError(f"its reference image has {bad} voxels that are NaN or inf.")
    if loaded.mask is None:
        mask = np.ones(frame.shape, dtype=bool)
    else:
        mask = frame.to_working(loaded.mask) >= 0.5
    if not mask.any():
        raise InputError("its mask is empty, so there is nothing to learn from.")
    return scaled_target(frame.to_working(loaded.reference.array), mask, target), mask


def scaled_target(image: Float32Array, mask: Bool, target: TargetSpec) -> Float32Array:
    """Give a target image in arbitrary units the scale of the specification, where it has one.

    Raises
    ------
    InputError
        If the image has one value only inside the mask.
    """
    if target.scale == "absolute":
        return image
    low, high = np.percentile(image[mask], target.percentiles)
    if not high > low:
        raise InputError(f"its reference image has one value inside the mask ({low:g}).")
    scaled = (image - low) * ((target.high - target.low) / (high - low)) + target.low
    return np.asarray(scaled, dtype=np.float32)


def check_cohort(cohort: Cohort, spec: TranslatorSpec, *, learns: bool = True) -> None:
    """Refuse a cohort that a translator cannot be trained on, with every reason.

    Parameters
    ----------
    learns
        Whether it learns from patients; one that does not needs none of the ``train`` set.

    Raises
    ------
    Problems
        If direction or quantities differ, or fewer than two patients may be trained on.
    """
    problems = []
    if cohort.direction != spec.direction:
        problems.append(f"it is {cohort.direction} and {spec.name} translates {spec.direction}")
    for role, have, need in (
        ("source", cohort.source_quantity, spec.source.quantity),
        ("reference", cohort.reference_quantity, spec.target.quantity),
    ):
        if have != need:
            problems.append(f"its {role} is in {have} and {spec.name} needs {need}")
    patients = {case.patient for case in cohort.in_split("train")}
    if learns and len(patients) < 2:
        problems.append(
            f"its train set has {len(patients)} patient{'s' if len(patients) != 1 else ''} and "
            f"training needs two or more"
        )
    raise_problems(f"Cohort {cohort.name}", problems)
