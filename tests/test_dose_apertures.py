"""Fluence maps of imported beams: known open areas, edges within a pixel, weights, motion."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError
from qa_suite.dose.clinic.apertures import segment_fluences
from qa_suite.dose.clinic.beams import (
    common_isocentre,
    imported_fields,
    imported_spots,
    supine_angles,
)
from qa_suite.dose.machines.of_beams import in_protons
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import beam_axes
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.plan.types import BeamLimiter, ControlPoint, PhotonBeam
from tests.plan_factory import (
    ISOCENTRE,
    LEAF_EDGES,
    aperture_fluence,
    ion_beam,
    mlc_beam,
    square_beam,
    write_ion_plan,
    write_plan,
)
from tests.rt_factory import item

JAWS = (BeamLimiter(kind="ASYMX", axis="x", pairs=1), BeamLimiter(kind="ASYMY", axis="y", pairs=1))
MLC = BeamLimiter(kind="MLCX", axis="x", pairs=12, boundaries_mm=LEAF_EDGES)
INLINE_MLC = BeamLimiter(kind="MLCY", axis="y", pairs=12, boundaries_mm=LEAF_EDGES)


def pair(low, high):
    return np.array([np.atleast_1d(low), np.atleast_1d(high)], dtype=float)


def a_beam(limiters, states, *, gantry=None, rotation="NONE", collimator=None):
    """A beam of (weight, positions by kind); angles by control point where given."""
    count = len(states)
    points = tuple(
        ControlPoint(
            index=n,
            weight=weight,
            gantry_deg=0.0 if gantry is None else gantry[n],
            gantry_rotation=rotation,
            collimator_deg=0.0 if collimator is None else collimator[n],
            couch_deg=0.0,
            isocentre_mm=(0, 0, 0),
            energy_mv=6.0,
            ssd_mm=None,
            positions_mm=positions,
        )
        for n, (weight, positions) in enumerate(states)
    )
    assert count == len(points)
    return PhotonBeam(
        number=1,
        name="b",
        machine="m",
        meterset_mu=100.0,
        sad_mm=1000.0,
        fluence_mode="STANDARD",
        limiters=tuple(limiters),
        control_points=points,
    )


def jaws(x=(-50, 50), y=(-50, 50)):
    return {"ASYMX": pair(*x), "ASYMY": pair(*y)}


def full(x1, x2):
    return {"MLCX": pair([x1] * 12, [x2] * 12)}


def still(limiters, positions):
    return a_beam(limiters, [(0.0, positions), (1.0, positions)])


def test_ten_by_ten_is_ten_by_ten():
    fluence = aperture_fluence(still(JAWS, jaws()))
    assert fluence.shape == (400, 400) and fluence.dtype == np.float32
    assert (fluence[150:250, 150:250] == 1).all()
    assert fluence.sum() == 100 * 100


def test_axes_are_inline_and_crossline_with_plus_x_to_the_right():
    fluence = aperture_fluence(still(JAWS, jaws(x=(10, 30), y=(-40, -35))))
    rows, columns = np.nonzero(fluence)
    assert (rows.min(), rows.max() + 1) == (160, 165)
    assert (columns.min(), columns.max() + 1) == (210, 230)


def test_an_edge_within_a_pixel_opens_its_part():
    fluence = aperture_fluence(still(JAWS, jaws(x=(-0.25, 10.4), y=(-50, 50))))
    row = fluence[200]
    assert row[199] == pytest.approx(0.25)
    assert row[200:210] == pytest.approx(np.ones(10))
    assert row[210] == pytest.approx(0.4, abs=1e-6)
    corner = aperture_fluence(still(JAWS, jaws(x=(0, 0.5), y=(0, 0.5))))
    assert corner[200, 200] == pytest.approx(0.25)


@pytest.mark.parametrize("pixel_mm", [0.5, 1.0, 2.5, 3.0])
def test_the_open_area_does_not_depend_on_the_pixels(pixel_mm):
    rng = np.random.default_rng(4)
    low = rng.uniform(-40, 0, 12)
    high = low + rng.uniform(0, 45, 12)
    positions = jaws(x=(-31.3, 33.3), y=(-47.7, 52.1)) | {"MLCX": pair(low, high)}
    inside = np.clip(high, -31.3, 33.3) - np.clip(low, -31.3, 33.3)
    sides = np.clip(LEAF_EDGES[1:], -47.7, 52.1) - np.clip(LEAF_EDGES[:-1], -47.7, 52.1)
    size = int(200 / pixel_mm) + 1
    fluence = aperture_fluence(still((*JAWS, MLC), positions), (size, size + 2), pixel_mm)
    assert fluence.sum(dtype=float) * pixel_mm**2 == pytest.approx((inside * sides).sum(), rel=1e-6)


def test_leaves_lie_where_their_boundaries_say():
    low, high = np.zeros(12), np.zeros(12)
    low[3], high[3] = -5.5, 20.0  # inline -30 to -20
    fluence = aperture_fluence(still((*JAWS, MLC), jaws() | {"MLCX": pair(low, high)}))
    assert fluence.sum(dtype=float) == pytest.approx(25.5 * 10)
    assert np.nonzero(fluence.any(axis=1))[0].tolist() == list(range(170, 180))
    turned = aperture_fluence(still((*JAWS, INLINE_MLC), jaws() | {"MLCY": pair(low, high)}))
    assert np.array_equal(turned, fluence.T)


def test_two_leaf_layers_open_what_both_leave():
    left = {"MLCX": pair([-50.0] * 12, [10.0] * 12)}
    up = {"MLCY": pair([-20.0] * 12, [50.0] * 12)}
    fluence = aperture_fluence(still((*JAWS, MLC, INLINE_MLC), jaws() | left | up))
    assert fluence.sum(dtype=float) == pytest.approx(60 * 70)
    assert fluence[185, 205] == 1 and fluence[175, 205] == 0 and fluence[185, 215] == 0


def test_steps_are_weighted_by_their_monitor_units(tmp_path):
    plan = read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1), mlc_beam(2)]))
    fluence = aperture_fluence(plan.beams[1])
    assert fluence[200, 165:195] == pytest.approx(np.full(30, 0.75))
    assert fluence[200, 205:235] == pytest.approx(np.full(30, 0.25))
    (segment,) = segment_fluences(plan.beams[1])
    assert (segment.gantry_deg, segment.weight) == (90, 1)
    mu = fluence.sum(dtype=float) * plan.beams[1].meterset_mu
    assert mu == pytest.approx(200 * 40 * 120, rel=1e-6)


def brute_force(beam, shape, pixel_mm, steps=4000):
    """The mean of still apertures along the motion."""
    total = np.zeros(shape)
    first, second = beam.control_points
    for t in (np.arange(steps) + 0.5) / steps:
        positions = {
            k: (1 - t) * first.positions_mm[k] + t * second.positions_mm[k]
            for k in first.positions_mm
        }
        total += aperture_fluence(still(beam.limiters, positions), shape, pixel_mm)
    return total / steps


def test_a_sliding_window_is_exact():
    rng = np.random.default_rng(7)
    low = rng.uniform(-25, -5, 12)
    start = jaws(x=(-22.2, 30), y=(-47.5, 50)) | {"MLCX": pair(low, low + 7)}
    end = dict(start) | {"MLCX": pair(low + rng.uniform(0, 30, 12), low + 40)}
    beam = a_beam((*JAWS, MLC), [(0.0, start), (1.0, end)])
    exact = aperture_fluence(beam, (60, 40), 2.0)
    assert np.abs(exact - brute_force(beam, (60, 40), 2.0, 2000)).max() < 1e-3


def test_a_window_that_opens_evenly_makes_a_ramp():
    start, end = jaws() | full(-50, -50), jaws() | full(-50, 50)
    beam = a_beam((*JAWS, MLC), [(0.0, start), (1.0, end)])
    row = aperture_fluence(beam)[200, 150:250]
    assert row == pytest.approx(1 - (np.arange(100) + 0.5) / 100, abs=1e-6)


@pytest.mark.parametrize("leaves_too", [False, True])
def test_jaws_that_move_are_followed(leaves_too):
    start, end = jaws(x=(-20, -10), y=(-20, 20)), jaws(x=(-10, 20), y=(-20, 5))
    limiters = JAWS
    if leaves_too:
        limiters = (*JAWS, MLC)
        start, end = start | full(-25, 0), end | full(-5, 15)
    beam = a_beam(limiters, [(0.0, start), (1.0, end)])
    exact = aperture_fluence(beam, (60, 60), 1.0)
    assert np.abs(exact - brute_force(beam, (60, 60), 1.0, 1000)).max() < 0.02
    assert exact.sum(dtype=float) == pytest.approx(
        brute_force(beam, (60, 60), 1.0, 1000).sum(), rel=1e-3
    )


def test_two_layers_that_move_are_followed():
    start = jaws() | full(-30, 0) | {"MLCY": pair([-30.0] * 12, [0.0] * 12)}
    end = jaws() | full(0, 30) | {"MLCY": pair([0.0] * 12, [30.0] * 12)}
    beam = a_beam((*JAWS, MLC, INLINE_MLC), [(0.0, start), (1.0, end)])
    exact = aperture_fluence(beam, (80, 80), 2.0)
    assert exact.sum(dtype=float) * 4 == pytest.approx(30 * 30, rel=1e-6)
    assert np.abs(exact - brute_force(beam, (80, 80), 2.0, 400)).max() < 0.02


def test_motion_backwards_gives_the_same_map():
    start, end = jaws() | full(-40, -20), jaws() | full(10, 45)
    forth = a_beam((*JAWS, MLC), [(0.0, start), (1.0, end)])
    back = a_beam((*JAWS, MLC), [(0.0, end), (1.0, start)])
    assert aperture_fluence(forth) == pytest.approx(aperture_fluence(back), abs=1e-6)


def test_a_field_beyond_the_map_is_refused_and_not_cut():
    with pytest.raises(InputError, match="210 mm along x"):
        aperture_fluence(still(JAWS, jaws(x=(-210, 50))))
    assert aperture_fluence(still(JAWS, jaws(x=(-200, 200), y=(-200, 200)))).min() == 1


def test_a_closed_field_is_nothing():
    assert not aperture_fluence(still((*JAWS, MLC), jaws() | full(3, 3))).any()


TO_FIXED = {  # rows: fixed x, y, z in L, P, S: what lies to the left, towards the gantry, on top
    "HFS": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float),
    "HFP": np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]], float),
    "FFS": np.array([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], float),
    "FFP": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float),
}


@pytest.mark.parametrize("position", TO_FIXED)
@pytest.mark.parametrize(("gantry", "couch"), [(0, 0), (90, 0), (35, 0), (130, 20), (300, 180)])
def test_another_patient_position_is_another_angle(position, gantry, couch):
    g, c = np.deg2rad([gantry, couch])
    in_fixed = np.array([[np.cos(g), 0, -np.sin(g)], [0, 1, 0], [np.sin(g), 0, np.cos(g)]])
    couched = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    expected = in_fixed @ couched @ TO_FIXED[position]
    assert np.linalg.det(TO_FIXED[position]) == pytest.approx(1)
    angles = supine_angles(position, gantry, couch)
    template = BeamTemplate(gantry_deg=angles[0], couch_deg=angles[1])
    turn = np.deg2rad(angles[2])
    turned = np.array(
        [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    assert turned @ beam_axes(template) == pytest.approx(expected, abs=1e-12)
    assert angles[1] != 180  # engines without a turning couch take feet first too


def test_an_imported_plan_becomes_fields(tmp_path):
    tags = {"PatientSetupSequence": DicomSequence([item(PatientPosition="HFP")])}
    plan = read_plan(write_plan(tmp_path / "p.dcm", **tags))
    assert common_isocentre(plan) == tuple(ISOCENTRE)
    first, second = imported_fields(plan)
    assert (second.geometry.gantry_deg, second.geometry.couch_deg) == (270, 0)
    assert (first.geometry.label, second.geometry.label) == ("field 1", "field 2")
    assert (first.monitor_units, second.monitor_units) == (100 * 30, 200 * 30)
    assert first.aperture.sum() == 100 * 100


def test_an_imported_ion_plan_becomes_spots(tmp_path):
    plan = read_plan(write_ion_plan(tmp_path / "p.dcm"))
    with pytest.raises(InputError, match="depends on the machine"):
        imported_spots(plan)
    (beam,) = imported_spots(in_protons(plan, 5e6, "test"))
    spots = beam.delivery
    assert spots.energy_mev.tolist() == [150, 150, 120]
    assert spots.x_mm.tolist() == [0, 5, 2] and spots.y_mm.tolist() == [0, -5, 7]
    assert spots.weight == pytest.approx(np.array([60, 20, 80]) * 30 * 5)
    counted = read_plan(
        write_ion_plan(tmp_path / "n.dcm", [ion_beam(PrimaryDosimeterUnit="NP")], 8e8)
    )
    (beam,) = imported_spots(counted)
    assert beam.delivery.weight.sum() == pytest.approx(800 * 30)
    with pytest.raises(InputError, match="plan of protons"):
        imported_fields(plan)
    with pytest.raises(InputError, match="plan of photons"):
        imported_spots(read_plan(write_plan(tmp_path / "x.dcm")))


def test_two_isocentres_are_two_plans(tmp_path):
    far = square_beam(2)
    for point in far.ControlPointSequence:
        point.IsocenterPosition = [12, -34, 86]
    plan = read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1), far]))
    with pytest.raises(InputError, match=r"30\.0 mm apart"):
        common_isocentre(plan)
