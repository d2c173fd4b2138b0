"""Which cases are shown as pictures, and from which to which value.

Best, median, worst, and each site's worst. What has a unit of its own has a fixed window, so that
pictures of two cases can be compared; an image in arbitrary units without a known scale is shown
between percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.record_checks import is_what_it_was
from qa_suite.core.record_names import VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord, Evaluation
from qa_suite.core.wording import number
from reports.facts.slices import CaseImages, crop_to_mask, load_images
from reports.facts.wording import without_value

ARBITRARY: Final = "a.u."
PERCENT_OF: Final = "% of P"
"""How a unit begins whose arbitrary scale was removed: ``% of P99``."""

CT_WINDOW_HU: Final = (-400.0, 600.0)
"""Shown from black to white for CT: W 1000, L 100; soft tissue and bone both visible."""

PET_WINDOW_SUV: Final = (0.0, 7.0)
"""Shown from white to black, as PET is read: a choice of this suite."""

SOURCE_PERCENTILES: Final = (1.0, 99.5)


@dataclass(frozen=True, kw_only=True)
class Window:
    """How one kind of picture is shown.

    ``limits`` are its darkest and brightest value; of an ``inverted`` one high values are dark.
    ``told`` says the limits as people read them.
    """

    limits: tuple[float, float]
    told: str
    inverted: bool = False


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How each picture of a case is shown: source, reference and synthetic alike, difference."""

    source: Window | None
    value: Window
    difference: float
    unit: str

    def of(self, role: str) -> Window:
        """Return the window of 'source', 'reference' or 'synthetic'."""
        return self.source if role == "source" and self.source is not None else self.value


def windows_of(images: CaseImages) -> Windows:
    """Choose the display windows of a case: fixed where the unit is known, else percentiles."""
    source = None
    if images.source is not None:
        source = _fixed(images.source_unit) or _percentiles(
            images.source, images, images.source_unit
        )
    value = _fixed(images.unit) or _percentiles(images.reference, images, images.unit)
    low, high = value.limits
    limit = 300.0 if images.unit == "HU" else (high - low) / 2
    return Windows(source=source, value=value, difference=limit, unit=images.unit)


def captions(images: CaseImages, windows: Windows) -> tuple[str, ...]:
    """Say how each picture of a case is shown: source, reference, synthetic, difference."""
    told = [] if windows.source is None else [windows.source.told]
    outside = "faded outside the mask" if images.masked else "no mask was kept"
    return (*told, windows.value.told, windows.value.told, outside)


def _fixed(unit: str) -> Window | None:
    if unit == "HU":
        low, high = CT_WINDOW_HU
        told = f"W {high - low:.0f} / L {(high + low) / 2:.0f} HU"
        return Window(limits=CT_WINDOW_HU, told=told)
    if unit == "SUVbw":
        low, high = PET_WINDOW_SUV
        told = f"{low:g} (white) to {high:g} SUVbw (black)"
        return Window(limits=PET_WINDOW_SUV, told=told, inverted=True)
    if unit.startswith(PERCENT_OF):
        return Window(limits=(0.0, 100.0), told=f"0 to 100 {unit}")
    return None


def _percentiles(values: NDArray[Any], images: CaseImages, unit: str) -> Window:
    inside = images.mask if images.mask.any() else np.ones_like(images.mask)
    low, high = (float(v) for v in np.percentile(values[inside], SOURCE_PERCENTILES))
    if not high > low:
        high = low + 1.0
    share = f"{SOURCE_PERCENTILES[0]:g}st to {SOURCE_PERCENTILES[1]:g}th percentile"
    where = "in the mask" if images.masked else "of the image"
    told = f"{number(low)} to {number(high)} {unit}, {share} {where}"
    return Window(limits=(low, high), told=told)


# -------------------------------------------------------------------------------------------------
# Which pictures are shown


RANKED_BY = ("mae", "body")
"""The measure that says which case is the best, the median and the worst."""

SOURCE_UNITS = {"CT": "HU", "CBCT": "HU", "PT": "SUVbw"}
"""Unit of a source image by its modality; every other one is in arbitrary units."""

SCALED_BY = ("reference_scale", "scale_ratio")
"""Measures that say by which values images of an arbitrary scale were divided."""

MOST_UNMEASURED = 3
"""Cases without a value that are shown as pictures, at most."""


@dataclass(frozen=True, kw_only=True)
class PictureCase:
    """One case to be shown: why this one, its error and where its volumes lie."""

    case: str
    site: str
    roles: tuple[str, ...]
    rank: int | None
    ranked: int
    value: float | None
    unit: str
    why: str = ""
    source_unit: str = ARBITRARY
    hundred: tuple[float, float] | None = None
    volumes: dict[str, Path]

    @property
    def key(self) -> tuple[object, ...]:
        """What its pictures depend on: files named by their content, units and scales."""
        files = tuple(sorted(self.volumes.items()))
        return (files, self.unit, self.source_unit, self.hundred)

    def load(self) -> CaseImages:
        """Read its volumes, cut to the surroundings of the mask, in the unit they are shown in.

        Raises
        ------
        InputError, GeometryError
            As :func:`reports.facts.slices.load_images`, and if a file is not what it was.
        """
        for path in self.volumes.values():
            if path.is_file() and not is_what_it_was(path):
                raise InputError(f"{path} is not what it was: its content does not give its name.")
        return crop_to_mask(
            load_images(
                self.volumes, unit=self.unit, source_unit=self.source_unit, hundred=self.hundred
            )
        )


def choose_pictures(
    folder: Path, table: pd.DataFrame, cases: tuple[CaseRecord, ...], evaluation: Evaluation
) -> tuple[PictureCase, ...]:
    """Choose the best, the median, the worst and each site's worst case among those kept.

    Evaluated cases without a value come last: what could not be measured wants to be seen.
    """
    source_unit = source_unit_of(evaluation)
    scales = _scales(table, evaluation)
    metric, region = RANKED_BY
    rows = table[(table["metric"] == metric) & (table["region"] == region)]
    rows = rows[rows["variant"] == rows["variant"].min()]
    unranked = {
        str(row.case): without_value(row)
        for row in rows[rows["status"] != "ok"].itertuples(index=False)
    }
    censored = set(rows.loc[rows["status"] == "censored", "case"])
    unit = str(rows["unit"].iloc[0]) if len(rows) else ""
    rows = rows[rows["status"] == "ok"].sort_values(["value", "case"])
    ranked = list(rows[["case", "site", "value"]].itertuples(index=False, name=None))
    kept = {c.case: c.volumes for c in cases if {"reference", "synthetic"} <= set(c.volumes)}
    roles = _picture_roles([(case, site) for case, site, _ in ranked])
    chosen = [
        PictureCase(
            case=case,
            site=site,
            roles=tuple(roles[case]),
            rank=rank,
            ranked=len(ranked),
            value=float(value),
            unit=unit,
            source_unit=source_unit,
            hundred=scales.get(case),
            volumes=_volume_files(folder, kept[case]),
        )
        for rank, (case, site, value) in enumerate(ranked, start=1)
        if case in kept and case in roles
    ]
    lost = [c for c in cases if c.case in kept and c.case not in {name for name, _, _ in ranked}]
    chosen += [
        PictureCase(
            case=record.case,
            site=record.site,
            roles=(
                "known by a bound only" if record.case in censored else "could not be measured",
            ),
            rank=None,
            ranked=len(ranked),
            value=None,
            unit=unit if record.case in scales or not unit.startswith(PERCENT_OF) else ARBITRARY,
            source_unit=source_unit,
            hundred=scales.get(record.case),
            why=unranked.get(record.case, "undefined: no such measurement was recorded"),
            volumes=_volume_files(folder, record.volumes),
        )
        for record in lost[:MOST_UNMEASURED]
    ]
    return tuple(chosen)


def source_unit_of(evaluation: Evaluation) -> str:
    """Return the unit of the source images, by their modality."""
    return SOURCE_UNITS.get(evaluation.cohort.direction.partition("->")[0], ARBITRARY)


def unit_of(
    table: pd.DataFrame, evaluation: Evaluation, case: str
) -> tuple[str, tuple[float, float] | None]:
    """Return the unit that a case is shown in, and which values are shown as 100.

    Parameters
    ----------
    table
        With the rows of :data:`RANKED_BY` and :data:`SCALED_BY` at least.
    """
    metric, region = RANKED_BY
    rows = table[(table["metric"] == metric) & (table["region"] == region)]
    unit = str(rows["unit"].iloc[0]) if len(rows) else ARBITRARY
    hundred = _scales(table, evaluation).get(case)
    return (unit if hundred or not unit.startswith(PERCENT_OF) else ARBITRARY), hundred


def _scales(table: pd.DataFrame, evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """Return by which values the images of each case were scaled, where they were."""
    rows = table[(table["metric"].isin(SCALED_BY)) & (table["status"] == "ok")]
    found = rows.pivot_table(index="case", columns="metric", values="value")
    if not set(SCALED_BY) <= set(found.columns):
        return {}
    each = evaluation.settings.get("measures", {}).get("scale", {}).get("of") == "each"
    return {
        str(case): (scale, scale * ratio if each else scale)
        for case, scale, ratio in found[list(SCALED_BY)].dropna().itertuples(name=None)
    }


def _volume_files(folder: Path, names: dict[str, str]) -> dict[str, Path]:
    return {role: Path(folder) / VOLUMES_FOLDER / name for role, name in names.items()}


def _picture_roles(ranked: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Name the cases worth a picture; ``ranked`` holds (case, site) from best to worst."""
    roles: dict[str, list[str]] = {}
    if ranked:
        roles.setdefault(ranked[0][0], []).append("best")
        roles.setdefault(ranked[len(ranked) // 2][0], []).append("median")
        roles.setdefault(ranked[-1][0], []).append("worst")
    for site, case in {site: case for case, site in ranked}.items():
        roles.setdefault(case, []).append(f"worst of site {site}")
    return roles
