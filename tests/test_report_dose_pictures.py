"""The pictures of the dose section: isodoses, beams, DVHs, causes, histograms, range maps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.record_files import read_cases, read_curves, read_measurements
from qa_suite.core.records import Evaluation
from qa_suite.core.volume import Volume
from reports.facts.dose import DoseReport, dose_report
from reports.facts.dose_cases import axis_end
from reports.facts.dose_plan import BeamFacts, plans_of
from reports.facts.dose_volumes import (
    DoseImages,
    centre_slice,
    read_at,
    read_range_map,
    section_points,
)
from reports.facts.slices import AXIS_OF, Plane
from reports.figures import dose_curves, range_maps
from reports.figures import dose_maps as dose_figures
from reports.html import dose as dose_views
from tests import dose_record_factory as factory
from tests.report_dose_cases import Made, kept
from tests.report_dose_cases import images as images
from tests.report_dose_cases import made as made
from tests.report_dose_cases import page as page
from tests.report_dose_cases import report as report
from tests.test_report import words


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
    assert "rays (% per 2 mm)" in histogram


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
