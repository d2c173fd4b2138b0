"""Dose-volume histograms with fractional voxel weights.

The dose is interpolated trilinearly at the sub-voxels of a structure, each spread over the range
of doses within it, and gathered in fine bins that keep their own mean dose, so that plateaus stay
exact. See
``docs/dose/dvh.md`` for every definition.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.volume import Volume, canonical
from qa_suite.dose.dvh.histogram import dose_histogram
from qa_suite.dose.structures.samples import StructureSamples
from qa_suite.dose.structures.structures import AnyStructure, sample_structure, sample_structures
from qa_suite.io.rt.dose.scale import prescription_doubt

LEAST_COVERAGE = 0.99
"""Metrics are undefined where less than this share of a structure lies in the dose grid."""

HIGHEST_PRESCRIPTION_GY = 200.0
_ROUNDING = 1e-6


class UndefinedDvh(QAError):
    """A metric that has no value, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Dvh:
    """The dose of one structure.

    Parameters
    ----------
    name
        The structure.
    doses_gy
        Doses that its sub-voxels get, ascending, in Gy, shape (n,): the mean of each bin.
    volumes_cc
        Volume that gets each of them, in cm³, shape (n,).
    lowest_gy, highest_gy
        Extremes of the sub-voxels; None where none lies in the dose grid.
    volume_cc
        Volume of the whole structure, in cm³.
    coverage
        Share of it that lies in the dose grid, 0 to 1; the rest has *no known* dose. The
        metrics speak of the covered part and are undefined below ``least_coverage``.
    notes
        What a user should know of the structure.
    problem
        Why the structure could not be laid out.
    """

    name: str
    doses_gy: FloatArray
    volumes_cc: FloatArray
    lowest_gy: float | None
    highest_gy: float | None
    volume_cc: float
    coverage: float
    least_coverage: float = LEAST_COVERAGE
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def covered_cc(self) -> float:
        """Volume that lies in the dose grid, in cm³."""
        return float(self.volumes_cc.sum())

    @property
    def why_undefined(self) -> str:
        """Why it has no metrics; empty where it has."""
        if self.problem:
            return self.problem
        if self.volume_cc <= 0:
            return f"{self.name} is empty"
        if self.coverage < self.least_coverage:
            return (
                f"only {100 * self.coverage:.1f} % of {self.name} lies in the dose grid, and "
                f"{100 * self.least_coverage:g} % must"
            )
        return ""

    def dose_at_volume_pct(self, volume_pct: float) -> float:
        """Return D_x in Gy: the least dose to the hottest x % of the volume.

        Raises
        ------
        UndefinedDvh
            If the DVH is undefined.
        InputError
            If the percentage is not in 0 to 100.
        """
        if not 0 <= volume_pct <= 100:
            raise InputError(f"D needs 0 to 100 % of the volume, got {volume_pct:g} %.")
        self._require()
        if volume_pct == 0:
            return self.max_gy
        return self.min_gy if volume_pct == 100 else self._dose_at(volume_pct / 100)

    def dose_at_volume_cc(self, volume_cc: float) -> float:
        """Return the least dose to the hottest ``volume_cc`` cm³, in Gy.

        Raises
        ------
        UndefinedDvh
            If the DVH is undefined, or the structure smaller than that.
        """
        self._require()
        covered = self.covered_cc
        if volume_cc > covered * (1 + _ROUNDING):
            raise UndefinedDvh(f"{self.name} has {covered:.3g} cc, less than {volume_cc:g} cc")
        return self._dose_at(volume_cc / covered)

    def volume_at_dose_gy(self, dose_gy: float) -> tuple[float, float]:
        """Return V_x, the volume that gets ``dose_gy`` or more, in % and in cm³.

        Raises
        ------
        UndefinedDvh
            If the DVH is undefined.
        """
        self._require()
        level = dose_gy - _ROUNDING * max(1.0, abs(dose_gy))
        cc = float(self.volumes_cc[np.searchsorted(self.doses_gy, level) :].sum())
        return 100 * cc / self.covered_cc, cc

    @property
    def mean_gy(self) -> float:
        """Mean dose, in Gy; raises ``UndefinedDvh`` like all of them."""
        self._require()
        return float(self.doses_gy @ self.volumes_cc) / self.covered_cc

    @property
    def max_gy(self) -> float:
        """Highest dose of any sub-voxel, in Gy.

        It is interpolated, so it may lie above the highest voxel whose centre is inside (a
        structure reaches half a voxel beyond it), and never above the highest voxel around. It
        depends on the grid; ``dose_at_volume_cc(0.03)`` or D2 says more.
        """
        self._require()
        assert self.highest_gy is not None
        return self.highest_gy

    @property
    def min_gy(self) -> float:
        """Lowest dose of any sub-voxel, in Gy."""
        self._require()
        assert self.lowest_gy is not None
        return self.lowest_gy

    @property
    def homogeneity_index(self) -> float:
        """(D2 − D98) / D50, 0 for a uniform dose (ICRU Report 83, 2010, equation 3.6)."""
        median = self.dose_at_volume_pct(50)
        if median <= 0:
            raise UndefinedDvh(f"the median dose of {self.name} is 0, so it has no homogeneity")
        return (self.dose_at_volume_pct(2) - self.dose_at_volume_pct(98)) / median

    def require_volume_cc(self) -> float:
        """Return the volume of the whole structure, in cm³; undefined where it is empty."""
        if self.volume_cc <= 0:
            raise UndefinedDvh(self.why_undefined)
        return self.volume_cc

    def curve(self, step_gy: float) -> tuple[FloatArray, FloatArray]:
        """Return the cumulative DVH: doses in Gy, and the % of volume at or above each.

        It begins at 0; where a difference of doses is negative, at the step below its minimum.

        Parameters
        ----------
        step_gy
            Distance of the points; the last one is the first above the maximum.
        """
        if step_gy <= 0:
            raise InputError(f"The step of a DVH curve must be positive, got {step_gy} Gy.")
        self._require()
        first = int(np.floor(min(self.min_gy, 0.0) / step_gy))
        last = int(np.floor(max(self.max_gy, 0.0) / step_gy)) + 2
        doses = np.arange(first, last) * step_gy
        levels = doses - _ROUNDING * np.maximum(1.0, doses)
        above = np.append(np.cumsum(self.volumes_cc[::-1])[::-1], 0.0)
        found = above[np.searchsorted(self.doses_gy, levels)]
        return np.asarray(doses, dtype=float), np.asarray(100 * found / above[0])

    def _require(self) -> None:
        why = self.why_undefined
        if why:
            raise UndefinedDvh(why)

    def _dose_at(self, share: float) -> float:
        """Return the highest dose that at least ``share`` of the covered volume gets."""
        above = np.cumsum(self.volumes_cc[::-1])
        wanted = share * above[-1] * (1 - 1e-9)
        n = min(int(np.searchsorted(above, wanted)), len(above) - 1)
        return float(self.doses_gy[::-1][n])


def dvh_of(
    dose: Volume,
    structure: AnyStructure,
    *,
    prescription_gy: float | None = None,
    least_coverage: float = LEAST_COVERAGE,
) -> Dvh:
    """Return the DVH of one structure.

    Parameters
    ----------
    dose
        In Gy; how it is stored does not matter.
    structure
        Samples from :func:`qa_suite.dose.structures.structures.sample_structure` (made once,
        they serve every dose), or a mask, shape or contours.
    prescription_gy
        Where given, a dose in another unit is refused.
    least_coverage
        See :class:`Dvh`.

    Raises
    ------
    InputError
        If the dose is not in Gy, or not finite or negative in the structure.
    GeometryError
        If structure and dose lie in different frames of reference.
    """
    require_gy(dose, prescription_gy)
    dose = canonical(dose)
    return _dvh(dose, _array_of(dose), sample_structure(structure, dose.grid), least_coverage)


def dvhs_of(
    dose: Volume,
    structures: Iterable[AnyStructure],
    *,
    prescription_gy: float | None = None,
    least_coverage: float = LEAST_COVERAGE,
    any_scale: bool = False,
    threads: int = 1,
) -> dict[str, Dvh]:
    """Return the DVHs of many structures, by name; see :func:`dvh_of`.

    ``any_scale`` takes a dose that looks like cGy beside its prescription.
    """
    require_gy(dose, prescription_gy, any_scale=any_scale)
    dose = canonical(dose)
    array = _array_of(dose)
    samples = list(sample_structures(structures, dose.grid).values())

    def one(structure: StructureSamples) -> Dvh:
        return _dvh(dose, array, structure, least_coverage)

    if threads <= 1:
        return {structure.name: one(structure) for structure in samples}
    with ThreadPoolExecutor(threads) as pool:
        return {dvh.name: dvh for dvh in pool.map(one, samples)}


def require_gy(dose: Volume, prescription_gy: float | None, *, any_scale: bool = False) -> None:
    """Refuse what cannot be a dose in Gy.

    Raises
    ------
    InputError
        If the volume is none, or dose and prescription do not fit together.
    """
    if dose.quantity != "Gy":
        raise InputError(f"A DVH needs a dose in Gy, and this volume holds {dose.quantity}.")
    if prescription_gy is None:
        return
    if not 0 < prescription_gy <= HIGHEST_PRESCRIPTION_GY:
        raise InputError(
            f"A prescription lies between 0 and {HIGHEST_PRESCRIPTION_GY:g} Gy, got "
            f"{prescription_gy:g}; give it in Gy."
        )
    doubt = None if any_scale else prescription_doubt(dose, prescription_gy)
    if doubt is not None and doubt.low == 1:  # a low one may be that of a beam
        raise InputError(f"Of a DVH, {doubt.what}; bring both to Gy.")


def _array_of(dose: Volume) -> NDArray[np.float32]:
    return np.ascontiguousarray(dose.array, dtype=np.float32)


def _dvh(
    dose: Volume, array: NDArray[np.float32], structure: StructureSamples, least_coverage: float
) -> Dvh:
    found = dose_histogram(array, dose.grid, structure)
    cc = structure.grid.voxel_volume_cc
    whole = found.inside + found.outside
    return Dvh(
        name=structure.name,
        doses_gy=found.doses_gy,
        volumes_cc=found.cells * cc,
        lowest_gy=found.lowest_gy,
        highest_gy=found.highest_gy,
        volume_cc=whole * cc,
        coverage=min(found.inside / whole, 1.0) if whole > 0 else 0.0,
        least_coverage=least_coverage,
        notes=structure.notes,
        problem=structure.problem,
    )
