"""Numbers of one structure in both images: what is compared by the family ``pet``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import NoValue, Pair, Value, failed, ok, undefined
from qa_suite.metrics.hallucination.blobs import shell_of
from qa_suite.metrics.pet.facts import (
    ERRORS,
    LESION_QUANTITIES,
    LOST,
    ORGAN_QUANTITIES,
    SIDES,
    THRESHOLD_QUANTITIES,
)
from qa_suite.metrics.pet.peak import peak, spheres_in
from qa_suite.metrics.pet.settings import PetSettings

Number = float | NoValue
Both = tuple[Number, Number]
_Problem = tuple[Literal["undefined", "error"], str]


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One structure of a pair.

    Parameters
    ----------
    region
        As it stands in the measurements.
    mask
        Its voxels where it may be measured; bool, of the grid's shape.
    coverage
        Which share of the structure they are.
    parts
        Of a union: each lesion's own voxels; of one structure: itself.
    """

    region: str
    mask: Mask
    coverage: float | None
    parts: tuple[Mask, ...]


def measurable(pair: Pair) -> Mask:
    """Return where both images have values and may be measured."""
    return pair.mask if pair.coverage is None else pair.mask & pair.coverage


def structure_of(pair: Pair, region: str, *whole: Mask) -> Structure:
    """Cut one or several structures to where they may be measured."""
    inside = measurable(pair)
    parts = tuple(mask & inside for mask in whole)
    everything = np.logical_or.reduce(whole)
    mask = np.logical_or.reduce(parts)
    size = int(np.count_nonzero(everything))
    share = float(np.count_nonzero(mask) / size) if size else None
    return Structure(region=region, mask=mask, coverage=share, parts=parts)


def organ_values(pair: Pair, structure: Structure) -> list[Value]:
    """Measure bias and error of an organ."""
    problem = _problem(pair, structure)
    if problem is not None:
        return _all(problem, structure, organ_keys())
    return [*_errors(pair, structure), *_compared("suv_mean", _means(pair, structure), structure)]


def lesion_values(
    pair: Pair, structure: Structure, others: Mask, settings: PetSettings
) -> list[Value]:
    """Measure everything of a lesion, or of all lesions together.

    Parameters
    ----------
    pair
        In SUVbw.
    structure
        The lesion.
    others
        All lesions, which are no surroundings.
    settings
        Sphere, thresholds and shell.
    """
    problem = _problem(pair, structure)
    if problem is not None:
        return _all(problem, structure, lesion_keys(settings))
    images = _images(pair, structure)
    highest = (float(images[0].max()), float(images[1].max()))
    means = _means(pair, structure)
    shell = _shell(pair, structure, others, settings)
    peaks, share = _peaks(pair, structure, settings)
    return [
        *_errors(pair, structure),
        *_compared("suv_mean", means, structure),
        *_compared("suv_max", highest, structure),
        *_compared("suv_peak", peaks, structure, coverage=share),
        *_compared("lesion_to_background", _ratios(pair, means, shell), structure),
        *_volumes(pair, structure, settings),
        _lost(pair, structure, peaks, shell, settings),
    ]


def organ_keys() -> list[tuple[str, str]]:
    """Every (metric, variant) of an organ."""
    return [
        (m, "default") for m in (*ERRORS, *(f"{q}_{s}" for q in ORGAN_QUANTITIES for s in SIDES))
    ]


def lesion_keys(settings: PetSettings) -> list[tuple[str, str]]:
    """Every (metric, variant) of a lesion."""
    plain = (*ERRORS, *(f"{q}_{s}" for q in LESION_QUANTITIES for s in SIDES), LOST)
    return [(metric, "default") for metric in plain] + [
        (f"{quantity}_{side}", variant)
        for variant in settings.thresholds
        for quantity in THRESHOLD_QUANTITIES
        for side in SIDES
    ]


def _all(problem: _Problem, structure: Structure, keys: list[tuple[str, str]]) -> list[Value]:
    status, why = problem
    empty = structure.coverage is None
    return [
        failed(metric, structure.region, why, variant=variant, coverage=structure.coverage)
        if status == "error"
        else undefined(
            metric,
            structure.region,
            why,
            variant=variant,
            coverage=structure.coverage,
            absent_in_reference=empty,
        )
        for metric, variant in keys
    ]


def _problem(pair: Pair, structure: Structure) -> _Problem | None:
    """Say why nothing of a structure can be measured, if nothing can."""
    if not structure.mask.any():
        lost = structure.coverage is not None
        where = "lies outside the mask" if lost else "is empty"
        return "undefined", f"{structure.region} {where}"
    wrong = sum(int(np.count_nonzero(~np.isfinite(v))) for v in _images(pair, structure))
    if wrong:
        return "error", f"{wrong} voxels of {structure.region} are not finite"
    return None


def _images(pair: Pair, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """Values of reference and synthetic image in a structure, shape (voxels,) each."""
    return (
        pair.reference.array[structure.mask].astype(np.float64),
        pair.synthetic.array[structure.mask].astype(np.float64),
    )


def _means(pair: Pair, structure: Structure) -> tuple[float, float]:
    reference, synthetic = _images(pair, structure)
    return float(reference.mean()), float(synthetic.mean())


def _errors(pair: Pair, structure: Structure) -> Iterator[Value]:
    reference, synthetic = _images(pair, structure)
    error = float(np.abs(synthetic - reference).mean())
    mean = float(reference.mean())
    relative: Number = 100 * error / mean if mean > 0 else _not_positive(mean)
    yield _value("suv_mae", error, structure)
    yield _value("suv_mae_pct", relative, structure)


def _compared(
    name: str,
    both: Both,
    structure: Structure,
    *,
    variant: str = "default",
    coverage: float | None = None,
) -> Iterator[Value]:
    """Yield a number of each image, their difference and its share of the reference's."""
    reference, synthetic = both
    missing = next((n for n in both if isinstance(n, NoValue)), None)
    difference: Number = missing or 0.0
    relative: Number = missing or 0.0
    if not isinstance(reference, NoValue) and not isinstance(synthetic, NoValue):
        difference = synthetic - reference
        relative = 100 * difference / reference if reference > 0 else _not_positive(reference)
    share = structure.coverage if coverage is None else coverage
    for side, number in zip(SIDES, (reference, synthetic, difference, relative), strict=True):
        yield _value(f"{name}_{side}", number, structure, variant=variant, coverage=share)


def _not_positive(value: float) -> NoValue:
    return NoValue(why=f"the reference's value is {value:.4g}, and no share of it can be taken")


def _value(
    metric: str,
    number: Number,
    structure: Structure,
    *,
    variant: str = "default",
    coverage: float | None = None,
) -> Value:
    share = structure.coverage if coverage is None else coverage
    if isinstance(number, NoValue):
        return undefined(metric, structure.region, number.why, variant=variant, coverage=share)
    return ok(metric, structure.region, number, variant=variant, coverage=share)


# ---------------------------------------------------------------------------------------
# Of lesions


def _peaks(pair: Pair, structure: Structure, settings: PetSettings) -> tuple[Both, float]:
    """SUVpeak of both images, and the share of the lesion where the sphere was placed."""
    scanned = np.ones(pair.grid.shape, dtype=bool) if pair.coverage is None else pair.coverage
    spheres = spheres_in(structure.mask, scanned, pair.grid.spacing_mm, settings.peak_cc)
    assert spheres is not None  # the structure has voxels
    both = (peak(pair.reference.array, spheres), peak(pair.synthetic.array, spheres))
    return both, spheres.share * (structure.coverage or 1.0)


def _shell(
    pair: Pair, structure: Structure, others: Mask, settings: PetSettings
) -> tuple[FloatArray, FloatArray] | NoValue:
    """Values of both images around a lesion, or why there are none."""
    spacing = pair.grid.spacing_mm
    reach = settings.shell_gap_mm + settings.shell_mm
    box = bounding_box(structure.mask, margin=int(reach / min(spacing)) + 2)
    assert box is not None
    shell = shell_of(
        structure.mask[box],
        spacing,
        gap_mm=settings.shell_gap_mm,
        thickness_mm=settings.shell_mm,
        within=measurable(pair)[box] & ~others[box],
    )
    count = int(np.count_nonzero(shell))
    if count < settings.fewest_voxels:
        return NoValue(
            why=f"the shell around it has {count} voxels, fewer than {settings.fewest_voxels}"
        )
    found = [v.array[box][shell].astype(np.float64) for v in (pair.reference, pair.synthetic)]
    if not all(np.isfinite(values).all() for values in found):
        raise ArithmeticError(f"the shell around {structure.region} holds voxels not finite")
    return found[0], found[1]


def _ratios(
    pair: Pair, means: tuple[float, float], shell: tuple[FloatArray, FloatArray] | NoValue
) -> Both:
    if isinstance(shell, NoValue):
        return shell, shell

    def ratio(mean: float, around: float) -> Number:
        if around <= 0:
            return NoValue(why=f"the mean around it is {around:.4g}: nothing to contrast with")
        return mean / around

    return ratio(means[0], float(shell[0].mean())), ratio(means[1], float(shell[1].mean()))


def _volumes(pair: Pair, structure: Structure, settings: PetSettings) -> Iterator[Value]:
    """MTV and TLG at every threshold; of a union each lesion has its own SUVmax."""
    voxel_cc = pair.grid.voxel_volume_cc
    for variant, (threshold, unit) in settings.thresholds.items():
        volumes: list[Number] = []
        glycolysis: list[Number] = []
        for image in (pair.reference.array, pair.synthetic.array):
            above = _above(image, structure, threshold, relative=unit == "%")
            if isinstance(above, NoValue):
                volumes.append(above)
                glycolysis.append(above)
                continue
            volumes.append(float(np.count_nonzero(above)) * voxel_cc)
            glycolysis.append(float(image[above].sum(dtype=np.float64)) * voxel_cc)
        yield from _compared("mtv", (volumes[0], volumes[1]), structure, variant=variant)
        yield from _compared("tlg", (glycolysis[0], glycolysis[1]), structure, variant=variant)


def _above(
    image: NDArray[np.floating], structure: Structure, threshold: float, *, relative: bool
) -> Mask | NoValue:
    found = np.zeros(structure.mask.shape, dtype=bool)
    for part in structure.parts:
        inside = image[part]
        if inside.size == 0:
            continue
        limit = threshold
        if relative:
            highest = float(inside.max())
            if highest <= 0:
                return NoValue(why=f"SUVmax is {highest:.4g}: no share of it is a threshold")
            limit = threshold / 100 * highest
        found[part] |= inside >= limit
    return found


def _lost(
    pair: Pair,
    structure: Structure,
    peaks: Both,
    shell: tuple[FloatArray, FloatArray] | NoValue,
    settings: PetSettings,
) -> Value:
    missing = next((n for n in (*peaks, shell) if isinstance(n, NoValue)), None)
    if missing is not None or isinstance(shell, NoValue):
        why = missing.why if missing is not None else ""
        return undefined(LOST, structure.region, why, coverage=structure.coverage)
    seen = [
        isinstance(height, float)
        and height > settings.visible_factor * around.mean() + settings.visible_sd * around.std()
        for height, around in zip(peaks, shell, strict=True)
    ]
    if not seen[0]:
        why = "the reference does not show it above its surroundings"
        return undefined(
            LOST, structure.region, why, coverage=structure.coverage, absent_in_reference=True
        )
    return ok(LOST, structure.region, float(not seen[1]), coverage=structure.coverage)
