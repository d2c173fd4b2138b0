"""Arcs: long steps are cut, short ones joined, and angles go the short way round the circle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qa_suite.core.tolerances import ANGLE_DEG, turn_deg
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.apertures import segment_fluences
from qa_suite.dose.clinic.arcs import STEP_DEG, still_parts
from qa_suite.dose.clinic.beams import imported_fields, supine_angles
from qa_suite.dose.photons.engine import photon_engine
from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.io.rt.plan.read import read_plan
from tests.plan_factory import aperture_fluence, first_point, photon_beam, square_beam, write_plan
from tests.plan_factory import jaws as plan_jaws
from tests.rt_factory import item
from tests.test_dose_apertures import JAWS, MLC, a_beam, jaws, pair


def turning(*gantry: float, rotation: str = "NONE", weights=None, collimator=None):
    """A square field at gantry angles, equal monitor units between them unless told."""
    weights = np.linspace(0, 1, len(gantry)) if weights is None else weights
    states = [(float(w), jaws()) for w in weights]
    return a_beam(JAWS, states, gantry=gantry, rotation=rotation, collimator=collimator)


def angles(beam) -> list[float]:
    return [part.gantry_deg for part in segment_fluences(beam, (4, 4), 60.0)]


def test_a_long_step_is_cut_and_its_monitor_units_shared():
    parts = segment_fluences(turning(350, 2, rotation="CW"), (4, 4), 60.0)
    assert [part.gantry_deg for part in parts] == [352, 356, 0]
    assert [part.weight for part in parts] == pytest.approx([1 / 3] * 3)


def test_a_conformal_arc_of_two_control_points_goes_all_the_way_round():
    found = angles(turning(181, 179, rotation="CW"))
    assert len(found) == 89  # 358° by 4° and the tolerance of angles
    assert found[0] == pytest.approx(181 + 358 / 89 / 2)
    steps = [turn_deg(a, b) for a, b in pairwise(found)]
    assert steps == pytest.approx([358 / 89] * 88)


def test_leaves_move_on_within_a_cut():
    states = [(0.0, jaws(x=(-50, -50))), (1.0, jaws(x=(-50, 50)))]
    beam = a_beam(JAWS, states, gantry=(0, 8), rotation="CW")
    first, second = segment_fluences(beam, (10, 100), 10.0)
    assert first.fluence.sum() * 100 == pytest.approx(25 * 100, rel=1e-3)
    assert second.fluence.sum() * 100 == pytest.approx(75 * 100, rel=1e-3)


def test_short_steps_are_joined_up_to_the_step():
    dense = turning(*np.linspace(10, 50, 81), rotation="CW")
    assert angles(dense) == pytest.approx(np.arange(12, 50, 4))
    parts = still_parts(dense)
    assert sum(part.weight for part in parts) == pytest.approx(1)
    wide = turning(10, 50, rotation="CW")
    assert angles(dense) == pytest.approx(angles(wide))


def test_a_part_is_the_mean_of_what_it_joins():
    states = [
        (0.0, jaws(x=(-40, 0))),
        (0.75, jaws(x=(-40, 0))),
        (0.75, jaws(x=(0, 40))),
        (1.0, jaws(x=(0, 40))),
    ]
    beam = a_beam(JAWS, states, gantry=(90, 91, 91, 92))
    (part,) = segment_fluences(beam, (10, 10), 10.0)
    assert part.fluence[5].tolist() == [0, 0.75, 0.75, 0.75, 0.75, 0.25, 0.25, 0.25, 0.25, 0]
    assert part.gantry_deg == pytest.approx(0.75 * 90.5 + 0.25 * 91.5)


def test_jitter_makes_no_fields():
    """Two directions of 95 control points each; an encoder's noise made 380 fields of 4."""
    rng = np.random.default_rng(4)
    gantry = np.repeat([0.0, 90.0], 95) + rng.uniform(-1e-5, 1e-5, 190)
    weights = np.repeat(np.linspace(0, 1, 96), 2)[1:-1]  # none while it turns
    weights = np.concatenate([np.linspace(0, 0.5, 95), np.linspace(0.5, 1, 95)])
    for rotation in ("NONE", "CW", "CC"):
        found = angles(turning(*(gantry % 360), rotation=rotation, weights=weights))
        assert [round(turn_deg(0, angle), 4) for angle in found] == pytest.approx([0, 90])


@pytest.mark.parametrize("rotation", ["CW", "CC", "NONE"])
@pytest.mark.parametrize(
    ("start", "end"), [(90, 89.9999999), (89.9999999, 90), (0, 359.9999999), (359.9999999, 0.0)]
)
def test_a_rounding_is_no_turn_round_the_circle(start, end, rotation):
    (found,) = angles(turning(start, end, rotation=rotation))
    assert abs(turn_deg(found, start)) < 1e-6
    assert 0 <= found < 360
    assert not turning(start, end, rotation=rotation).is_arc
    aperture_fluence(turning(start, end, rotation=rotation), (4, 4), 60.0)


@pytest.mark.parametrize(
    ("start", "end", "rotation", "turn"),
    [
        (10, 350, "CW", 340),
        (10, 350, "CC", -20),
        (10, 350, "NONE", -20),
        (350, 10, "CW", 20),
        (350, 10, "CC", -340),
        (350, 10, "NONE", 20),
        (179, 181, "CC", -358),
        (0, 180, "CW", 180),
        (0, 180, "CC", -180),
    ],
)
def test_the_direction_of_rotation_decides_the_way(start, end, rotation, turn):
    parts = still_parts(turning(start, end, rotation=rotation))
    assert sum(float((m.end_deg - m.start_deg)[0]) for p in parts for m in p.motions) == (
        pytest.approx(turn)
    )
    assert len(parts) == np.ceil(abs(turn) / (STEP_DEG + ANGLE_DEG))


@pytest.mark.parametrize(
    ("tag", "place", "sign"),
    [
        ("GantryRotationDirection", "gantry_deg", 1),
        ("BeamLimitingDeviceRotationDirection", "collimator_deg", -1),
        ("PatientSupportRotationDirection", "couch_deg", -1),
    ],
)
def test_clockwise_is_seen_from_where_dicom_looks(tmp_path, tag, place, sign):
    """From the isocentre for the gantry; from the source and above, where IEC turns the other way.

    10° to 130° clockwise is upwards for the gantry (through 70°), downwards for the others
    (through 250°).
    """
    angle = {
        "gantry_deg": "GantryAngle",
        "collimator_deg": "BeamLimitingDeviceAngle",
        "couch_deg": "PatientSupportAngle",
    }[place]
    beam = square_beam(1)
    first, last = beam.ControlPointSequence
    setattr(first, angle, 10)
    setattr(first, tag, "CW")
    setattr(last, angle, 130)
    (read,) = read_plan(write_plan(tmp_path / "p.dcm", [beam])).beams
    parts = segment_fluences(read, (4, 4), 60.0)
    middle = float(getattr(parts[len(parts) // 2], place))
    assert abs(turn_deg(middle, 70 if sign > 0 else 250)) < 5


def test_steps_without_monitor_units_are_left_out():
    parts = segment_fluences(turning(0, 60, 62, rotation="CW", weights=(0, 0, 1)), (4, 4), 60.0)
    assert [part.gantry_deg for part in parts] == [61]


def test_an_arc_becomes_fields(tmp_path):
    positions = [plan_jaws("ASYMX", -50, 50), plan_jaws("ASYMY", -50, 50)]
    points = [
        first_point(positions, 170.0),
        item(CumulativeMetersetWeight=1, GantryAngle=174),
        item(CumulativeMetersetWeight=4, GantryAngle=178),
    ]
    points[0].GantryRotationDirection = "CW"
    beam = photon_beam(1, points, ("ASYMX", "ASYMY"))
    fields = imported_fields(read_plan(write_plan(tmp_path / "p.dcm", [beam])))
    assert [one.geometry.gantry_deg for one in fields] == [172, 176]
    assert [one.monitor_units for one in fields] == [750, 2250]
    assert [one.geometry.label for one in fields] == ["field 1 1/2", "field 1 2/2"]


@pytest.mark.parametrize("couch", [8e-10, 359.9999999, -1e-12, 0.0, 360.0, 0.04])
@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_a_couch_that_stands_straight_but_for_rounding_stands_straight(position, couch):
    assert supine_angles(position, 30.0, couch)[1] == 0
    assert supine_angles(position, 30.0, couch + 180)[1] == 0
    assert supine_angles(position, 30.0, couch + 5)[1] != 0


def test_what_steps_of_four_degrees_do_to_dose():
    """A full arc in water: the target's mean, every voxel, and the difference to a twin."""
    import torch

    grid = Grid(shape=(31, 31, 11), spacing_mm=(10.0,) * 3, origin_mm=(-150.0, -150.0, -50.0))
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    water = (np.hypot(place[..., 0], place[..., 1]) < 145).astype(np.float32)
    twin = water.copy()
    twin[16:] *= np.float32(1.03)
    isocentre = (30.0, 20.0, 0.0)
    target = np.linalg.norm(place - isocentre, axis=-1) < 25
    rng = np.random.default_rng(3)
    states = []
    for share in np.linspace(0, 1, 90):
        middle = 20 * np.sin(4 * np.pi * share)
        low, high = (middle + side + rng.uniform(-8, 8, 12) for side in (-25, 25))
        states.append((float(share), jaws((-60, 60), (-60, 60)) | {"MLCX": pair(low, high)}))
    gantry = (182 + 356 * np.linspace(0, 1, 90)) % 360
    beam = a_beam((*JAWS, MLC), states, gantry=gantry, rotation="CW")
    engine = photon_engine("varian_10MV")

    def doses(step_deg: float) -> list[np.ndarray]:
        parts = segment_fluences(beam, (PIXELS, PIXELS), PIXEL_MM, step_deg=step_deg)
        maps = np.stack([p.weight * machine_fluence(p.fluence, engine.machine) for p in parts])
        beams = [BeamTemplate(gantry_deg=part.gantry_deg) for part in parts]
        with torch.no_grad():
            return [
                sum(
                    engine.dose_of(density, grid, isocentre, [one], torch.from_numpy(map_[None]))
                    for one, map_ in zip(beams, maps, strict=True)
                ).numpy()
                * water
                for density in (water, twin)
            ]

    (fine, fine_twin), (coarse, coarse_twin) = doses(2.0), doses(STEP_DEG)
    off = np.abs(coarse - fine) / fine.max()
    assert coarse[target].mean() == pytest.approx(fine[target].mean(), rel=5e-4)
    assert np.percentile(off[fine > 0.1 * fine.max()], 99) < 0.006
    assert off.max() < 0.015
    change = (coarse_twin - coarse) - (fine_twin - fine)
    assert np.abs(change).max() < 0.001 * fine.max()
    assert np.abs(fine_twin - fine).max() > 0.005 * fine.max()  # there is a difference to see
    (rough, rough_twin) = doses(2 * STEP_DEG)
    assert rough[target].mean() == pytest.approx(fine[target].mean(), rel=1e-3)
    assert np.abs(rough - fine).max() < 0.03 * fine.max()
    change = (rough_twin - rough) - (fine_twin - fine)
    assert np.abs(change).max() < 0.003 * fine.max()
