"""The curves of a record, arranged for drawing: a line a patient, and their median."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

import pandas as pd

from qa_suite.core.records import Evaluation

ORACLE: Final = "_oracle"
"""A curve of this ending is the best that its namesake could be, and is drawn with it."""

_MOST_SITES: Final = 6
"""More bold lines than this cannot be told apart."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class CurveFacts:
    """How one kind of curve is drawn: names of its axes, and what it is held against.

    ``level`` is the height of a line (name, y); ``identity`` asks for y = x; ``setting`` is
    the place in the settings of the measures of an upright line, named ``setting_name``.
    """

    title: str
    x: str
    y: str
    note: str = ""
    from_zero: bool = False
    identity: bool = False
    level: tuple[str, float] | None = None
    setting: tuple[str, ...] = ()
    setting_name: str = ""


CURVES: Final[dict[str, CurveFacts]] = {
    "dice_by_threshold": CurveFacts(
        title="Dice by HU threshold",
        x="threshold, the same in both images",
        y="Dice",
        note="A curve that falls early says that dense bone is too soft in the synthetic image.",
        setting=("segmentation", "bone", "threshold_hu"),
        setting_name="standard threshold",
    ),
    "calibration": CurveFacts(
        title="Calibration of the predicted std",
        x="nominal coverage of ±z σ",
        y="share of voxels inside",
        note="Below the identity line the translator is over-confident, above it too modest.",
        from_zero=True,
        identity=True,
    ),
    "sparsification": CurveFacts(
        title="Sparsification by the predicted std",
        x="share of voxels taken away, largest σ first",
        y="mean |error| of the rest, over that of all",
        note="The nearer to the oracle (voxels taken away by the error itself), the better σ "
        "says where the errors are; a random order stays at 1.",
        from_zero=True,
        level=("random order", 1.0),
    ),
}


@dataclass(frozen=True, kw_only=True)
class CurveLine:
    """The curve of one patient, examinations averaged, by rising x."""

    cases: str
    site: str
    in_training: bool
    points: Points


@dataclass(frozen=True, kw_only=True)
class CurveFigure:
    """One kind of curve in one region: everything that its drawing shows.

    ``medians`` holds each site's median over its patients (site, points), at the x at which
    all of them have a point; of very many sites there is one median, named ``all sites``.
    ``oracle`` is the median over all patients of the curve's oracle. ``mark`` is an upright
    line (name, x) from the recorded settings.
    """

    facts: CurveFacts
    curve: str
    region: str
    variant: str
    x_unit: str
    y_unit: str
    lines: tuple[CurveLine, ...]
    medians: tuple[tuple[str, Points], ...]
    oracle: Points
    mark: tuple[str, float] | None


def curve_figures(table: pd.DataFrame, evaluation: Evaluation) -> tuple[CurveFigure, ...]:
    """Arrange every curve, one figure a kind, region and variant.

    Parameters
    ----------
    table
        Points as :func:`qa_suite.core.record_files.read_curves` returns them, excluded cases left
        out.
    evaluation
        Whose settings hold the marks, and which sites were trained on.
    """
    if table.empty:
        return ()
    keys = ["curve", "region", "variant"]
    found = {tuple(map(str, key)): rows for key, rows in table.groupby(keys, sort=True)}
    figures = []
    for (curve, region, variant), rows in found.items():
        whole = curve.removesuffix(ORACLE)
        if whole != curve and (whole, region, variant) in found:
            continue
        oracle = found.get((curve + ORACLE, region, variant))
        facts = CURVES.get(curve, _unknown(curve))
        lines = _lines(rows, evaluation)
        figures.append(
            CurveFigure(
                facts=facts,
                curve=curve,
                region=region,
                variant=variant,
                x_unit=str(rows["x_unit"].iloc[0]),
                y_unit=str(rows["y_unit"].iloc[0]),
                lines=lines,
                medians=site_medians(lines),
                oracle=() if oracle is None else median_line(_lines(oracle, evaluation)),
                mark=_mark(facts, evaluation.settings),
            )
        )
    return tuple(figures)


def _unknown(curve: str) -> CurveFacts:
    return CurveFacts(title=curve.replace("_", " ").capitalize(), x="x", y="y")


def _lines(rows: pd.DataFrame, evaluation: Evaluation) -> tuple[CurveLine, ...]:
    by_patient: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    cases: dict[str, set[str]] = defaultdict(set)
    sites: dict[str, str] = {}
    columns = (rows[name].tolist() for name in ("patient", "case", "site", "x", "y"))
    for patient, case, site, x, y in zip(*columns, strict=True):
        by_patient[patient][x].append(y)
        cases[patient].add(case)
        sites[patient] = site
    lines = [
        CurveLine(
            cases=", ".join(sorted(cases[patient])),
            site=sites[patient],
            in_training=sites[patient] in evaluation.model.training_sites,
            points=tuple((x, fmean(ys)) for x, ys in sorted(points.items())),
        )
        for patient, points in by_patient.items()
    ]
    return tuple(sorted(lines, key=lambda line: line.cases))


def site_medians(lines: tuple[CurveLine, ...]) -> tuple[tuple[str, Points], ...]:
    """Return the median of each site's patients; a median over unlike sites shows nobody."""
    sites = sorted({line.site for line in lines})
    if len(sites) > _MOST_SITES:
        return (("all sites", median_line(lines)),)
    return tuple((s, median_line(tuple(x for x in lines if x.site == s))) for s in sites)


def median_line(lines: tuple[CurveLine, ...]) -> Points:
    """Return the median over patients at every x at which all of them have a point."""
    at: dict[float, list[float]] = defaultdict(list)
    for line in lines:
        for x, y in line.points:
            at[x].append(y)
    return tuple((x, float(median(ys))) for x, ys in sorted(at.items()) if len(ys) == len(lines))


def _mark(facts: CurveFacts, settings: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return where the recorded settings put the upright line; None where they do not say."""
    found: Any = settings.get("measures", {}) if facts.setting else None
    for name in facts.setting:
        found = found.get(name) if isinstance(found, Mapping) else None
    return (facts.setting_name, float(found)) if isinstance(found, int | float) else None
