"""Measures and curves: patients as unit, nothing vanishes, drawings say what they show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qa_suite.core.records import CurvePoint, Evaluation, Measurement, Verdict
from reports.facts import wording
from reports.facts.curves import CurveFigure, CurveLine, curve_figures, median_line, site_medians
from reports.facts.measures import FamilyTable, MeasureRow, family_tables, region_group
from reports.facts.patients import PatientValue, worst_patient
from reports.facts.readiness import gather
from reports.figures import curve_plots
from reports.html.report import render
from tests.record_factory import make_record
from tests.record_facts import SEGMENTER, STANDARD_THRESHOLD_HU
from tests.test_report import words

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("record")
    return folder, *make_record(folder, keep=False)


@pytest.fixture(scope="module")
def said(made: Made) -> str:
    folder, _, verdict = made
    return words(render(gather(folder, verdict)))


def measured(metric: str, *values: tuple[str, str, float | None], **more: str) -> pd.DataFrame:
    """Return the rows of one metric: (case, patient, value), None being undefined."""
    facts = {"site": "A", "family": "image", "metric": metric, "region": "body", "unit": "HU"}
    rows = [
        Measurement.model_validate(
            facts
            | {"case": case, "patient": patient, "value": value}
            | ({} if value is not None else {"status": "undefined", "why": "planted"})
            | more
        )
        for case, patient, value in values
    ]
    return pd.DataFrame([row.model_dump() for row in rows])


def only_row(tables: tuple[FamilyTable, ...]) -> MeasureRow:
    ((row,),) = ([row for group in table.groups for row in group.rows] for table in tables)
    return row


# ---------------------------------------------------------------------------------------
# Measures


def test_the_patient_is_the_unit(made: Made) -> None:
    table = measured("mae", ("p1", "p", 10.0), ("p2", "p", 30.0), ("q1", "q", 50.0))
    row = only_row(family_tables(table, made[1]))
    assert (row.patients, row.mean) == (2, 35.0)
    assert row.sd == pytest.approx(np.std([20.0, 50.0], ddof=1))
    assert (row.worst, row.worst_text) == ("q1", "50.0\N{NO-BREAK SPACE}HU")


@pytest.mark.parametrize(
    ("direction", "values", "worst"),
    [
        ("lower", [("a", 1.0), ("b", 3.0)], "b"),
        ("higher", [("a", 1.0), ("b", 3.0)], "a"),
        ("zero", [("a", -4.0), ("b", 3.0)], "a"),
        ("lower", [("b", 3.0), ("a", 3.0), ("c", 1.0)], "a"),
        ("lower", [("a", 3.0)], "a"),
        ("lower", [("a", 3.0), ("b", 3.0)], None),
        ("none", [("a", 1.0), ("b", 3.0)], None),
    ],
)
def test_the_worst_lies_on_the_bad_side(
    direction: str, values: list[tuple[str, float]], worst: str | None
) -> None:
    patients = [PatientValue(cases=name, low=value, high=value) for name, value in values]
    found = worst_patient(patients, direction)
    assert (found.cases if found else None) == worst
    flipped = worst_patient(patients[::-1], direction)
    assert flipped == found


def test_missing_values_are_counted_with_their_reason(made: Made) -> None:
    table = measured("mae", ("a", "a", 10.0), ("b", "b", None), ("c", "c", None))
    table.loc[2, ["status", "why"]] = ["error", "another"]
    row = only_row(family_tables(table, made[1]))
    assert (row.patients, row.undefined, row.errors) == (1, 1, 1)
    assert (row.why, row.other_reasons) == ("another", 1)
    assert row.sd is None


def test_a_measure_without_any_value_is_named_once_with_its_reason(made: Made) -> None:
    table = measured("mae", ("a", "a", None), ("b", "b", None))
    (family,) = family_tables(table, made[1])
    assert family.groups == ()
    (lost,) = family.without
    assert (lost.status, lost.why, lost.measures) == ("undefined", "planted", "mae (body)")


def test_every_measure_of_the_record_stands_in_one_table(made: Made) -> None:
    folder, evaluation, verdict = made
    readiness = gather(folder, verdict)
    table = pd.read_parquet(folder / "measurements.parquet")
    keys = table[["metric", "region", "variant"]].drop_duplicates()
    rows = [row for f in readiness.families for group in f.groups for row in group.rows]
    assert len(keys) == sum(family.count for family in readiness.families)
    assert len(keys) == len(rows) + 1  # the cycle error has no value
    bounded = {(c.metric, c.region, c.variant) for c in verdict.profile.criteria}
    assert {(r.metric, r.region, r.variant) for r in rows if r.judged} == bounded
    assert max(row.patients for row in rows) == 18  # the excluded case is not among them
    assert {row.title for row in rows} <= {d["title"] for d in evaluation.definitions.values()}


def test_failed_translations_are_no_measure(made: Made) -> None:
    table = measured("translation", ("a", "a", None), family="run")
    assert family_tables(table, made[1]) == ()


def test_regions_are_grouped_by_kind() -> None:
    kinds = {
        region_group(region, variant, {SEGMENTER})
        for region, variant in (
            ("body", "default"),
            ("seg:Bone", "tol2mm"),
            ("bone", "default"),
            ("structure:Bladder", "default"),
            ("shell:0-5mm", "default"),
            ("seg:Bladder", SEGMENTER),
        )
    }
    assert len(kinds) == 6
    assert region_group("seg:Bladder", f"tol2mm:{SEGMENTER}", {SEGMENTER})[1].endswith(SEGMENTER)


def test_a_closed_group_says_what_it_holds(made: Made) -> None:
    rows = [
        measured("mae", ("a", "a", 1.0), ("b", "b", None), region=f"part{n}") for n in range(30)
    ]
    (family,) = family_tables(pd.concat(rows), made[1])
    (group,) = family.groups
    assert not group.opened
    assert group.remarks == ("30 measures", "30 undefined in some cases")
    rows[0].loc[1, ["status", "why"]] = ["error", "broken"]
    (family,) = family_tables(pd.concat(rows), made[1])
    (group,) = family.groups
    assert group.opened  # something is wrong in it
    assert group.remarks == ("30 measures", "29 undefined in some cases", "1 with errors")


def test_the_page_tells_measures_sets_and_instruments(said: str) -> None:
    for must in (
        "Mean absolute error § mae body ↓ lower 18",
        "1 undefined: the reference has <no> bone above 250 HU",
        "undefined: no inverse translator was given cycle_error (body)",
        f"Structures found by the segmenter {SEGMENTER}",
        "0.0312 ± 0.00410",
        "floor: real against real",
        "undefined: 6 patients are fewer than the 10 required",
        "Bladder 0.934, Bone 0.951",
        "below an instrument's noise floor means nothing",
        "undefined: the instrument does not say",
    ):
        assert must in said, must


def test_a_value_without_an_error_says_so() -> None:
    assert wording.with_error(2.0, None, "HU").endswith("(no standard error)")


# ---------------------------------------------------------------------------------------
# Curves


def figure(made: Made, curve: str) -> CurveFigure:
    folder, _, verdict = made
    return next(f for f in gather(folder, verdict).curves if f.curve == curve)


def test_each_kind_of_curve_is_one_figure_and_the_oracle_rides_along(made: Made) -> None:
    folder, _, verdict = made
    figures = gather(folder, verdict).curves
    assert [f.curve for f in figures] == ["calibration", "dice_by_threshold", "sparsification"]
    assert all(len(f.lines) == 18 for f in figures)
    assert [bool(f.oracle) for f in figures] == [False, False, True]
    assert figures[1].mark == ("standard threshold", STANDARD_THRESHOLD_HU)


def test_the_median_is_drawn_where_every_patient_has_a_point(made: Made) -> None:
    found = figure(made, "dice_by_threshold")
    assert max(x for line in found.lines for x, _ in line.points) == 600.0
    ends = {site: points[-1][0] for site, points in found.medians}
    assert ends == {"A": 575.0, "B": 600.0, "C": 600.0}  # patient A01 ends at 575
    caption = curve_plots.curve_caption(found)
    assert re.search(r"18 patients; median at the standard threshold: A 0\.\d+, B ", caption)


def test_the_median_of_known_curves() -> None:
    lines = [
        CurveLine(cases=name, site="A", in_training=True, points=tuple(enumerate(ys)))
        for name, ys in (("a", [0.0, 1.0]), ("b", [2.0, 5.0]), ("c", [4.0, 3.0, 9.0]))
    ]
    assert median_line(tuple(lines)) == ((0, 2.0), (1, 3.0))
    apart = CurveLine(cases="d", site="B", in_training=True, points=((7.0, 1.0),))
    assert median_line((*lines, apart)) == ()
    assert dict(site_medians((*lines, apart))) == {"A": ((0, 2.0), (1, 3.0)), "B": ((7.0, 1.0),)}


def test_of_very_many_sites_there_is_one_median() -> None:
    lines = tuple(
        CurveLine(cases=str(n), site=str(n), in_training=False, points=((0.0, n), (1.0, n)))
        for n in range(9)
    )
    assert site_medians(lines) == (("all sites", ((0.0, 4.0), (1.0, 4.0))),)


def test_examinations_of_a_patient_are_one_line(made: Made) -> None:
    points = [
        CurvePoint(
            case=case,
            patient="p",
            site="A",
            family="dose",
            curve="dvh",
            region="seg:Bladder",
            x=x,
            x_unit="Gy",
            y=y,
            y_unit="%",
        )
        for case, ys in (("p1", (100.0, 50.0)), ("p2", (80.0, 30.0)))
        for x, y in enumerate(ys)
    ]
    table = pd.DataFrame([point.model_dump() for point in points])
    (found,) = curve_figures(table, made[1])
    (line,) = found.lines
    assert (line.cases, line.points) == ("p1, p2", ((0.0, 90.0), (1.0, 40.0)))
    svg = curve_plots.curve_plot(found)
    assert "x (Gy)" in svg
    assert "y (%)" in svg


def test_the_drawing_shows_what_curves_are_held_against(made: Made) -> None:
    assert "standard threshold 250 HU" in curve_plots.curve_plot(figure(made, "dice_by_threshold"))
    assert "identity" in curve_plots.curve_plot(figure(made, "calibration"))
    sparsification = curve_plots.curve_plot(figure(made, "sparsification"))
    assert "random order" in sparsification
    assert "oracle" in sparsification


def test_patients_of_other_sites_are_dashed_and_named(made: Made) -> None:
    svg = curve_plots.curve_plot(figure(made, "calibration"))
    assert svg.count('stroke-dasharray="5 2"') == 5  # site C
    assert "<title>C01</title>" in svg


def test_a_curve_stays_inside_its_frame(made: Made) -> None:
    for found in gather(made[0], made[2]).curves:
        svg = curve_plots.curve_plot(found)
        places = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)(?=[L\"])", svg)
        assert len(places) > 100
        assert all(0 <= float(x) <= 520 and 0 <= float(y) <= 330 for x, y in places)


def test_very_many_points_are_thinned_to_what_the_eye_needs(made: Made) -> None:
    found = figure(made, "calibration")
    many = tuple((x, x) for x in np.linspace(0, 1, 5000))
    line = CurveLine(cases="a", site="A", in_training=True, points=many)
    svg = curve_plots.curve_plot(
        CurveFigure(**{**vars(found), "lines": (line,), "medians": (("A", many),), "oracle": ()})
    )
    assert len(svg) < 11000
    assert svg.count(" 26.0") >= 2  # the last point is kept: y = 1 is the frame's top


def test_a_setting_that_was_not_recorded_marks_nothing(made: Made) -> None:
    folder, evaluation, _ = made
    bare = evaluation.model_copy(update={"settings": {}})
    table = pd.read_parquet(folder / "curves.parquet")
    assert all(f.mark is None for f in curve_figures(table, bare))
    assert curve_figures(table.iloc[:0], bare) == ()


def test_figures_come_in_one_order_whatever_that_of_the_rows(made: Made) -> None:
    folder, evaluation, _ = made
    table = pd.read_parquet(folder / "curves.parquet")
    mixed = table.sample(frac=1.0, random_state=3)
    assert curve_figures(mixed, evaluation) == curve_figures(table, evaluation)
