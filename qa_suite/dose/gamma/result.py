"""What gamma gives back: the map, where it was judged, and what it was judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.errors import GeometryError
from qa_suite.core.tolerances import distinct
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma.prepare import Bases, cutoff_gy_of, is_plane
from qa_suite.dose.gamma.settings import GammaCriterion, GammaSettings

NOT_JUDGED = -1.0
"""Value of voxels without gamma in a written map; no gamma is negative."""

SAME_CUTOFF_GY = 1e-6
"""Cut-offs no further apart are one."""

LOCAL_RULE = "reference dose of each voxel"

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PassRate(NamedTuple):
    """Share of the judged voxels of a region that pass.

    ``share_pct`` is None where nothing was judged, and ``why`` says why; ``coverage`` is the
    judged share of the voxels above the cut-off, None where there are none.
    """

    share_pct: float | None
    judged: int
    above_cutoff: int
    coverage: float | None
    passed: int = 0
    why: str = ""


class RegionGamma(BaseModel):
    """Gamma of one region in numbers; None where nothing was judged."""

    model_config = _STRICT

    region: str
    pass_pct: float | None
    passed: int
    judged: int
    above_cutoff: int
    coverage: float | None = Field(description="judged share of the voxels above the cut-off")
    why: str = ""
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    max: float | None = None
    capped: int = Field(default=0, description="voxels whose gamma is at least max_gamma")
    at_least: tuple[str, ...] = Field(
        default=(), description="which of mean, median, p95 and max are only known to be at least"
    )


class GammaSummary(BaseModel):
    """One criterion in numbers: what was judged, by what, and how it came out."""

    model_config = _STRICT

    criterion: GammaCriterion
    key: str
    settings: GammaSettings
    normalisation_gy: float | None
    normalisation_rule: str
    cutoff_gy: float
    cutoff_pct: float
    cutoff_rule: str
    pass_rule: str
    reference_grid: str
    evaluated_grid: str
    searched: Literal["volume", "plane"] = Field(
        default="volume", description="where gamma was searched: of one plane within it alone"
    )
    regions: tuple[RegionGamma, ...]


@dataclass(frozen=True, kw_only=True)
class GammaResult:
    """Gamma of one criterion on the grid of the reference dose.

    Parameters
    ----------
    criterion, settings
        What was asked for.
    values
        ``float32``, of the reference's shape. NaN outside ``judged``, so that a voxel that was
        not judged cannot be counted as a pass by mistake.
    judged
        Voxels with a gamma, bool.
    passes
        Voxels that pass; a voxel that was not judged does not.
    above_cutoff
        Voxels that ought to have one: reference dose at or above the cut-off (in matRad's
        convention either dose above it).
    grid, evaluated_grid
        Of the reference and of the evaluated dose.
    normalisation_gy, normalisation_rule
        What the dose criterion is a percentage of; no single dose (None) where it is local.
    cutoff_gy, cutoff_pct, cutoff_rule
        The cut-off, as dose and as percentage, and of what.
    pass_rule
        When a voxel passes: ``gamma <= 1.0001``.
    """

    criterion: GammaCriterion
    settings: GammaSettings
    values: NDArray[np.float32]
    judged: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    above_cutoff: NDArray[np.bool_]
    grid: Grid
    evaluated_grid: Grid
    normalisation_gy: float | None
    normalisation_rule: str
    cutoff_gy: float
    cutoff_pct: float
    cutoff_rule: str
    pass_rule: str

    def pass_rate(self, mask: NDArray[np.bool_] | None = None) -> PassRate:
        """Return the share of voxels that pass, in percent, among those judged.

        Parameters
        ----------
        mask
            Region, bool, of the reference's shape; None is everywhere.

        Raises
        ------
        GeometryError
            If the mask has another shape or type.
        """
        wanted = self._within(self.above_cutoff, mask)
        judged = self._within(self.judged, mask)
        above, count = int(wanted.sum()), int(judged.sum())
        if not above:
            empty = mask is not None and not mask.any()
            why = "the region is empty" if empty else f"no dose above {self._cutoff_said()}"
            return PassRate(None, 0, 0, None, 0, why)
        if not count:
            why = f"none of {above} voxels above the cut-off lies on the evaluated dose grid"
            return PassRate(None, 0, above, 0.0, 0, why)
        passed = int(self._within(self.passes, mask).sum())
        return PassRate(100.0 * passed / count, count, above, count / above, passed)

    def region(self, name: str, mask: NDArray[np.bool_] | None = None) -> RegionGamma:
        """Return pass rate and statistics of gamma in a region (all judged voxels)."""
        rate = self.pass_rate(mask)
        said = RegionGamma(
            region=name,
            pass_pct=rate.share_pct,
            passed=rate.passed,
            judged=rate.judged,
            above_cutoff=rate.above_cutoff,
            coverage=rate.coverage,
            why=rate.why,
        )
        if not rate.judged:
            return said
        values = self.values[self._within(self.judged, mask)].astype(np.float64)
        cap = self.settings.max_gamma
        values.sort()
        numbers = {
            "mean": float(values.mean()),
            "median": float(np.percentile(values, 50)),
            "p95": float(np.percentile(values, 95)),
            "max": float(values[-1]),
        }
        capped = 0 if cap is None else int((values >= np.float32(cap)).sum())
        bounds = [n for n, v in numbers.items() if capped and (n == "mean" or v >= np.float32(cap))]
        # matRad's local gamma of a voxel without reference dose is infinite: no number to write.
        found = {k: v for k, v in numbers.items() if np.isfinite(v)}
        return said.model_copy(update={**found, "capped": capped, "at_least": tuple(bounds)})

    def summary(self, structures: dict[str, NDArray[np.bool_]] | None = None) -> GammaSummary:
        """Return everything in numbers, for the whole dose and each structure."""
        regions = [self.region("all")]
        regions += [self.region(name, mask) for name, mask in (structures or {}).items()]
        return GammaSummary(
            criterion=self.criterion,
            key=self.criterion.key,
            settings=self.settings,
            normalisation_gy=self.normalisation_gy,
            normalisation_rule=self.normalisation_rule,
            cutoff_gy=self.cutoff_gy,
            cutoff_pct=self.cutoff_pct,
            cutoff_rule=self.cutoff_rule,
            pass_rule=self.pass_rule,
            reference_grid=self.grid.describe(),
            evaluated_grid=self.evaluated_grid.describe(),
            searched="plane" if is_plane(self.evaluated_grid) else "volume",
            regions=tuple(regions),
        )

    def stored_on(self, grid: Grid, evaluated_grid: Grid) -> GammaResult:
        """Return a result of canonical doses as the doses themselves are stored."""
        return replace(
            self,
            values=grid.turn.undo(self.values),
            judged=grid.turn.undo(self.judged),
            passes=grid.turn.undo(self.passes),
            above_cutoff=grid.turn.undo(self.above_cutoff),
            grid=grid,
            evaluated_grid=evaluated_grid,
        )

    def volume(self) -> Volume:
        """Return the map to be written; -1 where nothing was judged."""
        array = np.where(self.judged, self.values, np.float32(NOT_JUDGED))
        step = f"gamma {self.criterion.title}, {self.settings.mode}; {NOT_JUDGED:g} is not judged"
        return Volume(array=array, grid=self.grid, quantity="arbitrary", history=(step,))

    def _within(
        self, voxels: NDArray[np.bool_], mask: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_]:
        if mask is None:
            return voxels
        if mask.shape != self.values.shape or mask.dtype != np.bool_:
            raise GeometryError(
                f"A region must be a bool array of shape {self.values.shape}, got {mask.dtype} of "
                f"shape {mask.shape}."
            )
        return voxels & mask

    def _cutoff_said(self) -> str:
        return f"the cut-off of {self.cutoff_gy:.3g} Gy"


def rest_on(summaries: Sequence[GammaSummary]) -> str:
    """Say where the pass rates of several criteria rest on different voxels; else nothing.

    A stricter criterion may then pass a larger share, of fewer or of other voxels.
    """
    said = []
    regions = {region.region for summary in summaries for region in summary.regions}
    for name in sorted(regions, key=lambda n: (n != "all", n)):
        counts = {
            summary.criterion.title: one.judged
            for summary in summaries
            for one in summary.regions
            if one.region == name
        }
        cutoffs = distinct((summary.cutoff_gy for summary in summaries), SAME_CUTOFF_GY)
        if len(set(counts.values())) > 1 or len(cutoffs) > 1:
            listed = ", ".join(f"{title} on {count}" for title, count in counts.items())
            said.append(f"{name}: {listed}")
    if not said:
        return ""
    return (
        "These pass rates rest on different voxels and do not compare with each other: "
        + "; ".join(said)
        + "."
    )


def assemble(
    found: NDArray[np.floating],
    passes: NDArray[np.bool_],
    *,
    criterion: GammaCriterion,
    settings: GammaSettings,
    judged: NDArray[np.bool_],
    above_cutoff: NDArray[np.bool_],
    grid: Grid,
    evaluated_grid: Grid,
    pass_rule: str,
    bases: Bases,
) -> GammaResult:
    """Make a result of the gammas ``found`` in the ``judged`` voxels, in their order."""
    values = np.full(grid.shape, np.nan, dtype=np.float32)
    values[judged] = found
    passed = np.zeros(grid.shape, dtype=bool)
    passed[judged] = passes
    return GammaResult(
        criterion=criterion,
        settings=settings,
        values=values,
        judged=judged,
        passes=passed,
        above_cutoff=above_cutoff,
        grid=grid,
        evaluated_grid=evaluated_grid,
        normalisation_gy=None if criterion.local else bases.normalisation_gy,
        normalisation_rule=LOCAL_RULE if criterion.local else bases.normalisation_rule,
        cutoff_gy=cutoff_gy_of(criterion, settings, bases),
        cutoff_pct=settings.cutoff_pct_for(criterion),
        cutoff_rule=bases.cutoff_rule,
        pass_rule=pass_rule,
    )
