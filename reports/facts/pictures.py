"""Which cases a report shows as pictures: best, median, worst, and each site's worst."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qa_suite.core.record_files import VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord, Evaluation
from reports.facts.slices import CaseImages, crop_to_mask, load_images
from reports.facts.windows import ARBITRARY, PERCENT_OF
from reports.facts.wording import without_value

RANKED_BY = ("mae", "body")
"""The measure that says which case is the best, the median and the worst."""

SOURCE_UNITS = {"CT": "HU", "CBCT": "HU", "PT": "SUVbw"}
"""Unit of a source image by its modality; every other one is in arbitrary units."""

_SCALE = ("reference_scale", "scale_ratio")

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
            As :func:`reports.facts.slices.load_images`.
        """
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
    source_unit = SOURCE_UNITS.get(evaluation.cohort.direction.partition("->")[0], ARBITRARY)
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


def _scales(table: pd.DataFrame, evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """Return by which values the images of each case were scaled, where they were."""
    rows = table[(table["metric"].isin(_SCALE)) & (table["status"] == "ok")]
    found = rows.pivot_table(index="case", columns="metric", values="value")
    if not set(_SCALE) <= set(found.columns):
        return {}
    each = evaluation.settings.get("measures", {}).get("scale", {}).get("of") == "each"
    return {
        str(case): (scale, scale * ratio if each else scale)
        for case, scale, ratio in found[list(_SCALE)].dropna().itertuples(name=None)
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
