"""Controls that an unpaired translator must beat: the mean image, and another patient's source.

A translator that ignores its source can still look right, for anatomies are alike. Two controls
that know nothing of the patient in hand show whether the source is used:

- **mean**: the voxelwise mean of the ``train`` patients' references, on their common grid;
- **shuffled**: the translator's own answer for *another* patient's source, of the same site
  where there is a second one.

Further controls may be given, such as the organ means of a PET (:mod:`benchmarks.organ_means`).

Every patient is his own control; the difference is averaged over the patients and stands with
its 95 % t interval. Any direction and any unit; Dice only where a threshold makes sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.cohort import Case, Cohort, Split
from qa_suite.core.errors import InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Volume, require_same_grid
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.judging.statistics import Interval, mean_interval, patient_means

Array = NDArray[np.floating]
ReferenceOf = Callable[[LoadedCase], Array]
TranslateSource = Callable[[Volume], Prediction]

BONE_HU = 200.0
CONTROLS = ("mean", "shuffled")


@dataclass(frozen=True, kw_only=True)
class Control:
    """One measure of the translator beside one control, patients alike.

    Parameters
    ----------
    measure, unit
        ``MAE`` in the unit of the target, ``Dice``, or ``mean of NAME``: how far the mean of a
        structure is off, in the unit of the target.
    control
        ``mean``, ``shuffled``, or the name of one that was given.
    translator, other
        Means over the patients.
    difference
        Translator minus control, paired by patient, with its 95 % t interval.
    """

    measure: str
    unit: str
    control: str
    translator: float
    other: float
    difference: Interval

    @property
    def beaten(self) -> bool:
        """Whether the whole interval lies on the better side of nought."""
        if self.difference.low is None or self.difference.high is None:
            return False
        return self.difference.low > 0 if self.measure == "Dice" else self.difference.high < 0


def masked_mae(found: Array, reference: Array, mask: Mask) -> float:
    """Mean absolute error inside a mask, in the unit of the images.

    Raises
    ------
    InputError
        If the mask is empty, the shapes differ or a voxel inside is not finite.
    """
    _check(found, reference, mask)
    return float(np.abs(found[mask].astype(np.float64) - reference[mask]).mean())


def threshold_dice(
    found: Array, reference: Array, mask: Mask, *, threshold: float = BONE_HU
) -> float:
    """Dice of the voxels at or above a threshold in both images, inside a mask.

    Raises
    ------
    InputError
        If the reference has no such voxel: there is nothing to agree on.
    """
    _check(found, reference, mask)
    a, b = (found >= threshold) & mask, (reference >= threshold) & mask
    if not b.any():
        raise InputError(f"The reference has no voxel at or above {threshold:g} inside the mask.")
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def mean_image(
    cohort: Cohort, folder: Path, *, split: Split = "train", reference_of: ReferenceOf | None = None
) -> Volume:
    """Average the references of a patient set voxel by voxel, patients' cases alike.

    Raises
    ------
    InputError
        If there is no case in the set, or one has no reference.
    GeometryError
        If they do not lie on one grid.
    """
    take = reference_of or _reference
    total: Array | None = None
    first: Volume | None = None
    cases = cohort.in_split(split)
    for case in cases:
        loaded = load_case(cohort, case, folder)
        if first is None:
            first = loaded.source
        require_same_grid({cases[0].case: first, case.case: loaded.source})
        array = np.asarray(take(loaded), dtype=np.float64)
        total = array if total is None else total + array
    if total is None or first is None:
        raise InputError(f"Cohort {cohort.name} has no {split} case to average.")
    mean = (total / len(cases)).astype(np.float32)
    return Volume(array=mean, grid=first.grid, quantity=cohort.reference_quantity)


def another_source(cases: Sequence[Case]) -> dict[str, str]:
    """Return for each case that of another patient: the next one of his site, else of any.

    Raises
    ------
    InputError
        If all cases are of one patient.
    """
    chosen = {}
    for place, case in enumerate(cases):
        following = [*cases[place + 1 :], *cases[:place]]
        others = [other for other in following if other.patient != case.patient]
        if not others:
            raise InputError(
                f"Shuffled sources need two patients; all cases are of {case.patient}."
            )
        at_home = [other for other in others if other.site == case.site]
        chosen[case.case] = (at_home or others)[0].case
    return chosen


def compare_with_controls(
    cohort: Cohort,
    folder: Path,
    translate: TranslateSource,
    *,
    split: Split = "test",
    dice_at: float | None = BONE_HU,
    reference_of: ReferenceOf | None = None,
    unit: str | None = None,
    mean: Volume | None = None,
    nulls: Mapping[str, ReferenceOf] | None = None,
    structures: Sequence[str] = (),
    on_one_grid: bool = True,
) -> tuple[Control, ...]:
    """Measure a translator and the controls on the same patients.

    Parameters
    ----------
    cohort, folder
        The manifest and where it lies.
    translate
        From a source image to the translator's answer, such as ``translator.predict``.
    split
        The patients that are measured; the mean image is of the ``train`` patients.
    dice_at
        Threshold of the Dice in the unit of the target; None leaves the Dice out.
    reference_of
        Takes the reference image from a case; by default as it is. A reference in arbitrary
        units is brought to the translator's scale here.
    unit
        For the table; by default the cohort's.
    mean
        The mean image, where it was made before.
    nulls
        Further controls: from a case to an image, by name.
    structures
        Whose mean is compared too; patients without one are left out of its rows.
    on_one_grid
        Whether all cases lie on one, as virtual patients do. Where not, neither the mean image
        nor another patient's answer means anything, and ``nulls`` alone are compared with.

    Returns
    -------
    tuple of Control
        Each measure against each control.
    """
    if not on_one_grid and (mean is not None or not nulls):
        raise InputError("Patients on no common grid need nulls, and can have no mean image.")
    take = reference_of or _reference
    loaded = {
        case.case: load_case(cohort, case, folder, truth=bool(nulls))
        for case in cohort.in_split(split)
    }
    if not loaded:
        raise InputError(f"Cohort {cohort.name} has no {split} case to measure.")
    answers = {name: translate(case.source).mean.array for name, case in loaded.items()}
    if on_one_grid:
        average = mean or mean_image(cohort, folder, reference_of=take)
        require_same_grid({"mean image": average, **{n: c.source for n, c in loaded.items()}})
        other = another_source([case.case for case in loaded.values()])
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name, case in loaded.items():
        reference = take(case)
        mask = np.ones(reference.shape, dtype=bool) if case.mask is None else case.mask
        images = {"translator": answers[name]}
        if on_one_grid:
            images |= {"mean": average.array, "shuffled": answers[other[name]]}
        images |= {null: make(case) for null, make in (nulls or {}).items()}
        inside = {n: case.structures[n] & mask for n in structures if n in case.structures}
        for answer, image in images.items():
            found = _measure(image, reference, mask, dice_at) | _means(image, reference, inside)
            for measure, value in found.items():
                patients = values.setdefault((measure, answer), {})
                patients.setdefault(case.case.patient, []).append(value)
    controls = [*(CONTROLS if on_one_grid else ()), *(nulls or {})]
    return _compare(values, controls, unit or cohort.reference_quantity)


def control_table(found: Mapping[str, Sequence[Control]]) -> str:
    """Write the comparisons of translators, by name, as one Markdown table.

    A line a translator and control, a column a measure: the translator's value against the
    control's, the difference with its 95 % interval, and whether the control is beaten.
    """
    measures = list(dict.fromkeys(c.measure for controls in found.values() for c in controls))
    lines = [
        f"| translator | control | patients | {' | '.join(measures)} |",
        "|---|---|--:|" + "---|" * len(measures),
    ]
    for name, controls in found.items():
        for control in dict.fromkeys(c.control for c in controls):
            some = {c.measure: c for c in controls if c.control == control}
            patients = ", ".join(dict.fromkeys(str(c.difference.n) for c in some.values()))
            cells = [_compared(some[m]) if m in some else "–" for m in measures]
            lines.append(f"| {name} | {control} | {patients} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _compared(c: Control) -> str:
    digits = 3 if c.measure == "Dice" or abs(c.other) < 10 else 1
    d = c.difference
    limits = (
        "no interval"
        if d.low is None or d.high is None
        else f"{d.low:+.{digits}f} to {d.high:+.{digits}f}"
    )
    unit = "" if c.unit == "1" else f" {c.unit}"
    return (
        f"{c.translator:.{digits}f} against {c.other:.{digits}f}{unit}: "
        f"{d.estimate:+.{digits}f} ({limits}), {'beaten' if c.beaten else '**not beaten**'}"
    )


def _measure(image: Array, reference: Array, mask: Mask, dice_at: float | None) -> dict[str, float]:
    found = {"MAE": masked_mae(image, reference, mask)}
    if dice_at is not None:
        found["Dice"] = threshold_dice(image, reference, mask, threshold=dice_at)
    return found


def _means(image: Array, reference: Array, inside: Mapping[str, Mask]) -> dict[str, float]:
    """How far the mean of each structure is off; one without a voxel in the mask has none."""
    found = {}
    for name, mask in inside.items():
        if mask.any():
            _check(image, reference, mask)
            found[f"mean of {name}"] = abs(float(image[mask].mean() - reference[mask].mean()))
    return found


def _compare(
    values: Mapping[tuple[str, str], Mapping[str, Sequence[float]]],
    controls: Sequence[str],
    unit: str,
) -> tuple[Control, ...]:
    compared = []
    for measure in dict.fromkeys(measure for measure, _ in values):
        mine = patient_means(values[measure, "translator"])
        for control in controls:
            theirs = patient_means(values[measure, control])
            compared.append(
                Control(
                    measure=measure,
                    unit="1" if measure == "Dice" else unit,
                    control=control,
                    translator=float(mine.mean()),
                    other=float(theirs.mean()),
                    difference=mean_interval((mine - theirs).to_numpy()),
                )
            )
    return tuple(compared)


def _reference(loaded: LoadedCase) -> Array:
    if loaded.reference is None:
        raise InputError(f"Case {loaded.case.case} has no reference image to compare with.")
    return loaded.reference.array


def _check(found: Array, reference: Array, mask: Mask) -> None:
    if not found.shape == reference.shape == mask.shape:
        raise InputError(
            f"Image, reference and mask must have one shape, got {found.shape}, "
            f"{reference.shape} and {mask.shape}."
        )
    if not mask.any():
        raise InputError("The mask is empty; there is nothing to measure.")
    for name, array in (("image", found), ("reference", reference)):
        bad = int(np.count_nonzero(~np.isfinite(array[mask])))
        if bad:
            raise InputError(f"The {name} has {bad} voxels inside the mask that are NaN or inf.")
