"""The dose section: what it says, what it draws, and that nothing of it is invented or lost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.record_files import read_cases, read_curves, read_measurements
from qa_suite.core.records import Criterion, Evaluation, Verdict
from qa_suite.core.volume import Volume
from reports.facts.dose import DosePlan, DoseReport, dose_report
from reports.facts.dose_cases import axis_end
from reports.facts.dose_goals import at_dose
from reports.facts.dose_plan import BeamFacts, plans_of
from reports.facts.dose_volumes import (
    DoseImages,
    centre_slice,
    load_dose_images,
    read_at,
    read_range_map,
    section_points,
)
from reports.facts.readiness import gather
from reports.facts.slices import AXIS_OF, Plane
from reports.facts.wording import dose_quantity, dose_range
from reports.figures import dose_curves, range_maps
from reports.figures import dose_maps as dose_figures
from reports.html import dose as dose_views
from reports.html.report import render
from tests import dose_record_factory as factory
from tests.record_factory import make_record
from tests.test_report import read, words

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("dose")
    return folder, *factory.make_dose_record(folder)


@pytest.fixture(scope="module")
def report(made: Made) -> DoseReport:
    return gathered(made)


@pytest.fixture(scope="module")
def page(made: Made) -> str:
    folder, _, verdict = made
    return render(gather(folder, verdict))


@pytest.fixture(scope="module")
def images(report: DoseReport) -> DoseImages:
    return load_dose_images(kept(report.plans[0]).volumes)


def gathered(made: Made, criteria: tuple[Criterion, ...] = ()) -> DoseReport:
    folder, evaluation, _ = made
    found = dose_report(
        folder,
        read_measurements(folder),
        read_curves(folder),
        evaluation,
        read_cases(folder),
        criteria,
    )
    assert found is not None
    return found


def kept(plan: DosePlan) -> object:
    return next(case for case in plan.case_views if case.case == factory.KEPT)


# ---------------------------------------------------------------------------------------
# The page


def test_without_a_dose_there_is_no_section(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    readiness = gather(tmp_path, verdict)
    assert readiness.dose is None
    page = render(readiness)
    assert 'id="dose"' not in page
    assert 'href="#dose"' not in page


def test_the_section_says_what_was_planned(page: str) -> None:
    said = words(page)
    for must in (
        "Neither dose is renormalised",
        "synthetic − reference",
        "A surrogate, not the clinic's planning system",
        "photon-drawn: photons, conformal, pelvis; made and optimised on the reference CT",
        "60 Gy in 30 fractions; 95 % of the target is to get 95 % of it (57 Gy)",
        "3 beams, gantry 0°, 120° and 240°, couch and collimator 0° (IEC 61217)",
        "physical dose without RBE",
        "the first that the case has: PTV; GTV + 10 mm",
        "line, HU to relative electron density. one straight line",
        "not to be believed anywhere",
        "4 cases of 18 evaluated",
        "The clinic's own doses",
        "both doses are its own, read from files",
    ):
        assert must in said, must


def test_pass_rates_of_different_voxels_say_so(made: Made, page: str) -> None:
    case, plan, _ = factory.DIFFERENTLY_JUDGED
    said = words(page)
    assert "Voxels judged, body" in said
    sentence = f"judged on different voxels in {case}: their pass rates do not compare"
    assert said.count(sentence) == 1
    plans = {one.facts.key: one for one in gathered(made).plans}
    assert plans[plan].differently_judged == (case,)
    assert all(not one.differently_judged for key, one in plans.items() if key != plan)
    assert plans[plan].gammas[0].voxels.mean == 4000


def test_markup_of_the_record_is_escaped_and_the_page_is_well_formed(page: str) -> None:
    assert factory.MARKUP not in page
    assert "pictures &amp; &lt;b&gt;Rectum" in page
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert not re.search(r"\b(nan|None|inf)\b", words(page.replace("&lt;NaN&gt;", "")))


def test_the_same_record_gives_the_same_bytes(made: Made, page: str, tmp_path: Path) -> None:
    _, verdict = factory.make_dose_record(tmp_path)
    assert render(gather(tmp_path, verdict)) == page


def test_dose_stands_in_its_own_section_only(made: Made, page: str) -> None:
    folder, _, verdict = made
    readiness = gather(folder, verdict)
    assert "dose" not in [family.family for family in readiness.families]
    assert not [c for c in readiness.curves if c.curve.startswith("dvh")]
    start = page.index('<section id="dose">')
    elsewhere = page[:start] + page[page.index("</section>", start) :]
    assert "gamma_pass_rate" not in re.sub(r"<details.*", "", elsewhere, flags=re.DOTALL)
    assert "Every measure of the dose" in page


def test_a_plan_that_failed_is_named_with_its_reason(report: DoseReport, page: str) -> None:
    (failed,) = report.plans[0].failed
    assert failed == (factory.FAILED, "A", f"the case has no target: {factory.MARKUP}")
    said = words(page)
    assert said.count("For comparison: bulk densities, body") == 2  # the clinic's doses have none
    assert "A02 site A error: the case has no target" in said
    assert "1 case could not be computed" in words(page)


def test_a_family_that_failed_as_a_whole_is_said(made: Made) -> None:
    folder, evaluation, _ = made
    table = read_measurements(folder)
    broken = (
        table[table["family"] == "dose"]
        .iloc[:1]
        .assign(
            metric="family",
            variant="default",
            region="all",
            status="error",
            value=np.nan,
            why="bang",
        )
    )
    found = dose_report(folder, broken, read_curves(folder), evaluation, read_cases(folder))
    assert found is not None
    assert [(p.status, p.why, p.count) for p in found.unassigned] == [("error", "bang", 1)]
    assert all(not plan.cases for plan in found.plans)


def test_what_no_image_vouches_for_is_warned_of(report: DoseReport) -> None:
    photons, protons, clinic = report.plans
    assert photons.warnings == ()
    assert clinic.warnings == ()
    (said,) = protons.warnings
    assert "G090 3.12 %, up to 12.5 % in C01" in said
    assert "not seen by the source image" in said


# ---------------------------------------------------------------------------------------
# Numbers


def test_the_target_is_told_by_case_and_over_the_patients(report: DoseReport) -> None:
    plan = report.plans[0]
    rows = {row.case: row.values for row in plan.patients}
    d98 = rows["C01"][0]
    assert (d98.reference, d98.synthetic) == (56.0, 57.5)
    assert d98.difference_pct == pytest.approx(2.5)
    mean = plan.metrics[0].difference
    assert mean.mean == pytest.approx((0.6 - 0.3 + 1.5 + 0.0) / 4)
    assert (mean.low, mean.high, mean.worst) == (pytest.approx(-0.3), 1.5, "C01")


def test_many_cases_are_summarised(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.facts.dose.MOST_ROWS", 2)
    folder, _, verdict = made
    assert gathered(made).plans[0].patients == ()
    quick = replace(gather(folder, verdict), pictures=(), distributions=(), curves=())
    assert "Mean over 4 patients, and range" in words(render(quick))


def test_goals_are_read_and_flips_named(report: DoseReport, page: str) -> None:
    plan = report.plans[0]
    volume, dose, small, nowhere = plan.goals
    assert volume.values("reference") == (30.0, 45.0, 49.0)
    assert volume.named("lost") == ("C01",)
    assert volume.named("met") == ("A01", "B01")
    assert volume.named("undecided") == (factory.OUTSIDE,)
    assert volume.why == "undefined: only 48 % of Rectum lies in the dose grid, and 99 % must"
    assert dose.named("met") == ("A01", "A03", "B01", "C01")
    assert small.why == "undefined: the record holds no D0.03cc"
    assert nowhere.why == "undefined: no case has a structure Nowhere"
    assert plan.unnamed == (0, 0)
    assert "1 goal lost" in words(page)


@pytest.mark.parametrize(
    ("dose", "volume"), [(0, 100.0), (10, 80.0), (15, 70.0), (20, 60.0), (25, 0.0)]
)
def test_a_dvh_is_read_between_its_points_and_beyond_its_end(dose: float, volume: float) -> None:
    points = ((0.0, 100.0), (10.0, 80.0), (20.0, 60.0))
    assert at_dose(points, dose) == pytest.approx(volume)


def test_what_the_profile_bounds_is_marked(made: Made) -> None:
    criterion = Criterion(
        name="g",
        metric="gamma_pass_rate",
        region="body",
        variant="photon-drawn:2pct2mm",
        bound=90.0,
        direction="at_least",
        unit="%",
        min_patients=1,
        source="here",
    )
    photons, protons, _ = gathered(made, (criterion,)).plans
    assert [gamma.judged for gamma in photons.gammas] == [False, True]
    assert [gamma.judged for gamma in protons.gammas] == [False, False]


def test_a_clinics_plan_has_the_prescription_of_its_rows(report: DoseReport) -> None:
    clinic = report.plans[2]
    assert clinic.facts.by_case
    assert kept(clinic).facts.prescription_gy == pytest.approx(factory.PRESCRIPTION_GY)


def test_cases_to_draw_are_each_sites_lowest_gamma_and_what_was_kept(report: DoseReport) -> None:
    plan = report.plans[0]
    assert [case.case for case in plan.case_views] == ["C01", "A01", "B01", "A03"]
    assert [case.lowest for case in plan.case_views] == [True, True, True, False]
    assert {case.case for case in plan.shown} == {"A01", "B01", "C01"}
    assert plan.case_views[0].limit_pct == 5.0  # 1.5 times the largest 95th percentile, 2.5 %


@pytest.mark.parametrize(
    ("value", "unit", "sign", "text"),
    [
        (71.228, "Gy", False, "71.23 Gy"),
        (-0.0342, "Gy", True, "−0.03 Gy"),
        (0.004, "%", True, "0.00 %"),
        (-0.004, "%", True, "0.00 %"),
        (1.0, "%", True, "+1.00 %"),
        (100.0, "%", False, "100 %"),
        (99.996, "%", False, "100.00 %"),
        (0.00123, "1", True, "+0.00123"),
    ],
)
def test_numbers_of_a_table(value: float, unit: str, sign: bool, text: str) -> None:
    assert dose_quantity(value, unit, sign=sign).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_range_names_its_unit_once() -> None:
    assert (
        dose_range(-1, 2, "%", sign=True).replace("\N{NO-BREAK SPACE}", " ") == "−1.00 to +2.00 %"
    )
    assert dose_range(0.5, 0.25, "1") == "0.500 to 0.250"


# ---------------------------------------------------------------------------------------
# Pictures


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_dose_is_read_where_the_picture_shows_it(images: DoseImages, plane: Plane) -> None:
    """A dose that is x + 10 y + 100 z must come out as such, flipped and stretched as hung."""
    grid = images.reference.grid
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    ramp = Volume(
        array=(grid.to_world(index) @ (1.0, 10.0, 100.0)).astype(np.float64),
        grid=grid,
        quantity="arbitrary",
    )
    points = section_points(images.images, plane, centre_slice(images, plane))
    found = read_at(ramp, points)
    expected = points.places_mm @ (1.0, 10.0, 100.0)
    inside = np.isfinite(found)
    deep = np.all((np.abs(points.places_mm - grid.centre_mm) < 45), axis=-1)
    assert inside[deep].all()
    np.testing.assert_allclose(found[deep], expected[deep], atol=1e-6)
    down = np.diff(points.places_mm[:, 0], axis=0)[0]
    assert (down[1] > 0) if plane == "axial" else (down[2] < 0)  # anterior, or the head, on top


def test_the_slices_pass_through_the_targets_centre(images: DoseImages) -> None:
    for plane, axis in AXIS_OF.items():
        place = np.zeros(3)
        place[axis] = centre_slice(images, plane)
        found = images.images.grid.to_world(place)[axis]
        assert abs(found - factory.CENTRE_MM[axis]) <= images.images.spacing_mm[axis] / 2 + 1e-6


def drawn(images: DoseImages, role: str, **more: object) -> str:
    facts = {"prescription_gy": 60.0, "limit_pct": 5.0, "title": "t"} | more
    return dose_figures.dose_panel(images, role, "axial", centre_slice(images, "axial"), **facts)


def widths_mm(path: str) -> tuple[float, float]:
    x = [float(n) for n in re.findall(r"[ML]([\d.]+) ", path)]
    y = [float(n) for n in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    return max(x) - min(x), max(y) - min(y)


def test_isodose_lines_lie_where_the_dose_is(images: DoseImages) -> None:
    svg = drawn(images, "reference")
    label = dose_figures.level_text(50.0, 60.0)
    path = re.search(rf'd="([^"]+)"[^>]*><title>{re.escape(label)}', svg)
    assert path is not None
    off = images.images.grid.to_world((0, 0, centre_slice(images, "axial")))[2] - 6.0
    radius = 60.0 * np.sqrt(np.log(63.0 / 30.0) - (off / 60.0) ** 2)
    assert widths_mm(path[1]) == (
        pytest.approx(2 * radius, abs=2),
        pytest.approx(2 * radius, abs=2),
    )
    assert dose_figures.level_text(105.0, 60.0) not in svg or 63.0 > 1.05 * 60.0
    assert "<title>target</title>" in svg


def test_both_images_carry_their_own_dose(images: DoseImages) -> None:
    hotter = replace(images, synthetic=images.synthetic.with_array(2 * images.reference.array))
    assert drawn(hotter, "reference") == drawn(images, "reference")
    assert drawn(hotter, "synthetic") != drawn(images, "synthetic")


def test_beams_are_marked_where_they_come_from(images: DoseImages) -> None:
    def mark(angle: float) -> tuple[float, float]:
        beam = BeamFacts(label="B", gantry_deg=angle, couch_deg=0.0, collimator_deg=0.0)
        svg = drawn(images, "reference", beams=(beam,))
        found = re.search(
            r'd="M[-\d.]+ [-\d.]+L([-\d.]+) ([-\d.]+)L[^"]+Z"[^>]*><title>beam B', svg
        )
        assert found is not None
        return float(found[1]), float(found[2])

    plane = section_points(images.images, "axial", 0).size_mm
    assert mark(0.0)[1] < plane[1] / 3  # from the front, on top
    assert mark(180.0)[1] > plane[1] / 2
    assert mark(90.0)[0] > 2 * plane[0] / 3  # from the patient's left, on the right
    assert mark(270.0)[0] < plane[0] / 3
    turned = BeamFacts(label="B", gantry_deg=0.0, couch_deg=90.0, collimator_deg=0.0)
    assert "beam B" not in drawn(images, "reference", beams=(turned,))


def test_gamma_jumps_in_colour_above_one_only() -> None:
    colours = dose_figures.gamma_colours(np.array([0.0, 1.0, 1.00005, 1.001, 2.0, 9.0])).astype(int)
    blue = colours[:, 2] > colours[:, 0]
    assert blue.tolist() == [True, True, True, False, False, False]
    assert (colours[4] == colours[5]).all()


def test_legends_have_levels_and_units() -> None:
    legend = dose_figures.isodose_legend(60.0, 61.0).replace("\N{NO-BREAK SPACE}", " ")
    assert "95 % = 57.0 Gy" in legend
    assert "105 % = 63.0 Gy, not reached" in legend
    assert legend.count("not reached") == 1
    assert "+5 % (3.00 Gy)" in dose_figures.difference_legend(5.0, 60.0, "k")
    assert "not judged" in dose_figures.gamma_legend("k")


def test_a_dose_that_was_not_kept_is_said_and_its_dvh_still_drawn(report: DoseReport) -> None:
    plan = report.plans[0]
    view = dose_views.case_view(plan, plan.case_views[0])
    assert view.rows == ()
    assert "not kept" in view.problem
    assert "volume at or above (%)" in view.dvh


def test_a_dvh_has_axes_goals_and_both_images(report: DoseReport) -> None:
    plan = report.plans[0]
    svg = dose_curves.dvh_plot(plan.case_views[0])  # C01, whose rectum flips
    assert "dose of the course (Gy)" in svg
    assert "prescribed 60 Gy" in svg
    for side, dash in (("reference", False), ("synthetic", True)):
        line = re.search(rf"<path[^>]*><title>Rectum, {side}", svg)
        assert line is not None
        assert ("dasharray" in line[0]) is dash
    assert "Rectum: V50Gy" in svg
    assert svg.count("<circle") == 1  # the goal that flips is ringed
    assert dose_curves.dvh_plot(kept(plan)).count("<circle") == 0
    assert "no DVH of this case" in dose_curves.dvh_plot(replace(plan.case_views[0], dvhs=()))


def test_causes_are_bars_with_a_dot_a_case(report: DoseReport) -> None:
    plan = report.plans[0]
    svg = dose_curves.cause_bars(plan.causes)
    assert svg.count("<circle") == 5 * 4
    assert "% of prescription" in svg
    assert report.plans[2].causes == ()  # nothing is computed from the clinic's doses


def test_the_samples_envelope_is_shaded_and_their_number_said(report: DoseReport) -> None:
    case = kept(report.plans[0])
    svg = dose_curves.dvh_plot(case)
    (band,) = re.findall(r'<path class="band" d="M([^"]+)Z"[^>]*><title>([^<]+)', svg)
    assert band[1] == f"target, envelope of {factory.SAMPLES} samples"
    assert f">envelope of {factory.SAMPLES} samples,</text>" in svg
    assert ">no confidence interval</text>" in svg
    corners = [tuple(map(float, pair.split(" "))) for pair in band[0].split("L")]
    half = len(corners) // 2
    there, back = np.array(corners[:half]), np.array(corners[half:])[::-1]
    np.testing.assert_array_equal(there[:, 0], back[:, 0])
    assert (there[:, 1] >= back[:, 1]).all()  # less volume lies lower on the page
    wide = (there[:, 1] - back[:, 1]).max() / (there[:, 1].max() - back[:, 1].min())
    assert wide == pytest.approx(0.4, abs=0.01)  # 4 Gy apart, falling by 10 % of volume a Gy
    assert svg.index('class="band"') < svg.index("<title>Rectum, reference")


def test_without_samples_no_band_is_drawn_or_named(report: DoseReport) -> None:
    for case in (report.plans[0].case_views[0], kept(report.plans[1]), kept(report.plans[2])):
        svg = dose_curves.dvh_plot(case)
        assert "band" not in svg
        assert "envelope" not in svg
    nameless = dose_curves.dvh_plot(replace(kept(report.plans[0]), samples=None))
    assert ">envelope of the samples,</text>" in nameless


def test_the_difference_is_drawn_as_a_histogram_in_body_and_target(
    report: DoseReport, page: str
) -> None:
    plan = report.plans[0]
    views = dose_views.histogram_views(plan, kept(plan))
    assert [view.region for view in views] == ["body", "target"]
    assert views[0].voxels == "voxels at 10 % of the prescription or more"
    for view in views:
        assert view.problem == ""
        bars = re.findall(
            r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"', view.drawing
        )
        (x0, w0, h0), (x1, w1, h1) = (tuple(map(float, bar)) for bar in bars)
        assert h1 / h0 == pytest.approx(25 / 75, abs=0.01)
        assert (w0, w1) == (pytest.approx(424 * 0.1 / 10.1, abs=0.06),) * 2  # of −5 to +5 %
        assert x1 - x0 == pytest.approx(424 / 10.1, abs=0.11)
        assert "dose, synthetic − reference (% of prescription)" in view.drawing
        assert "voxels (% per 0.1 %)" in view.drawing
        assert "mean +0.60" in view.drawing
        assert "above" not in view.drawing  # nothing lies beyond
    assert words(page).count("Dose difference in the body") == len(plan.shown) * 3


def test_the_tail_beyond_the_axis_of_a_histogram_is_said(report: DoseReport) -> None:
    plan = report.plans[0]
    views = dose_views.histogram_views(plan, plan.case_views[0])  # C01: 0.5 % at +40 %
    assert all(">0.50 % above +5.05 %<" in view.drawing for view in views)
    assert all("below" not in view.drawing for view in views)


def test_a_histogram_far_from_zero_gets_an_axis_that_holds_it(report: DoseReport) -> None:
    (found, _) = kept(report.plans[0]).histograms
    assert axis_end((found,), 5.0) == 5.0
    assert axis_end((found, replace(found, bars=((-12.0, 99.0), (0.0, 1.0)))), 5.0) == 15.0
    assert axis_end((replace(found, bars=((0.0, 50.0), (250.0, 50.0))),), 5.0) == 250.0
    assert axis_end((), 2.0) == 2.0


def test_a_region_without_a_histogram_says_why(report: DoseReport) -> None:
    plan = report.plans[0]
    case = next(c for c in plan.case_views if c.case == factory.NO_HISTOGRAM)
    body, target = dose_views.histogram_views(plan, case)
    assert (body.problem, target.problem) == ("", f"undefined: {factory.NO_VOXEL}")
    assert target.drawing == ""


def test_a_record_without_histograms_says_so(made: Made) -> None:
    folder, evaluation, _ = made
    curves = read_curves(folder)
    curves = curves[curves["curve"] != "dose_difference_histogram"]
    found = dose_report(
        folder, read_measurements(folder), curves, evaluation, read_cases(folder), ()
    )
    assert found is not None
    views = dose_views.histogram_views(found.plans[0], kept(found.plans[0]))
    assert {v.problem for v in views} == {
        "undefined: the record holds no histogram of the dose difference"
    }


@pytest.mark.parametrize(
    ("gantry", "couch", "letters"),
    [
        (0.0, 0.0, ("R", "L", "H", "F")),
        (90.0, 0.0, ("A", "P", "H", "F")),
        (180.0, 0.0, ("L", "R", "H", "F")),
        (270.0, 0.0, ("P", "A", "H", "F")),
        (30.0, 0.0, ("RA", "LP", "H", "F")),
        (0.0, 90.0, ("H", "F", "L", "R")),
    ],
)
def test_a_beams_eye_view_is_lettered(
    gantry: float, couch: float, letters: tuple[str, ...]
) -> None:
    beam = BeamFacts(label="B", gantry_deg=gantry, couch_deg=couch, collimator_deg=0.0)
    assert range_maps.beam_letters(beam) == letters


def test_letters_agree_with_the_planner() -> None:
    """The same axes as the dose engines use."""
    from qa_suite.dose.plan.template import BeamTemplate
    from qa_suite.dose.range.raytrace import beam_axes

    for gantry in range(0, 360, 15):
        for couch in (0, 30, 90, 315):
            x, y, _ = beam_axes(BeamTemplate(gantry_deg=gantry, couch_deg=couch))
            beam = BeamFacts(label="B", gantry_deg=gantry, couch_deg=couch, collimator_deg=0.0)
            _, right, top, _ = range_maps.beam_letters(beam)
            assert right[0] == range_maps._letters(x)[0]
            assert top[0] == range_maps._letters(y)[0]


def test_a_range_map_keeps_its_rays_and_units(report: DoseReport) -> None:
    path = kept(report.plans[1]).ranges["G090"]
    volume = read_range_map(path)
    known = np.isfinite(volume.array)
    expected = factory.range_map().array > factory.NO_RAY
    np.testing.assert_array_equal(known, expected)
    beam = plans_of(gathered_evaluation(path))[1].beams[0]
    svg = range_maps.range_map(volume, beam, 5.0, title="t")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None
    assert tuple(map(float, box.groups())) == ((12 + 4) * 6.0, (9 + 4) * 6.0)
    histogram = range_maps.range_histogram(volume, 5.0, "G090")
    assert f"{known.sum()} rays" in histogram
    assert "(mm)" in histogram
    assert "rays (%)" in histogram


def gathered_evaluation(path: Path) -> Evaluation:
    from qa_suite.core.record_files import read_evaluation

    return read_evaluation(path.parent.parent)


def test_a_range_map_without_a_ray_is_one_sentence(tmp_path: Path, report: DoseReport) -> None:
    from qa_suite.io.images import write_image

    plan = report.plans[1]
    empty = factory.range_map()
    path = tmp_path / "empty.nii.gz"
    write_image(empty.with_array(np.full_like(empty.array, factory.NO_RAY)), path)
    (view,) = dose_views.range_views(plan, replace(kept(plan), ranges={"G090": path}))
    assert "holds no ray" in view.problem
