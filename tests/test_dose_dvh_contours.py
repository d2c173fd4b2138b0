"""DVHs of contours: caps, holes and keyholes, branches, gaps, single and oblique planes."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.curve import dvh_of, dvhs_of
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.structures.contour_loops import cut_keyholes, nesting
from qa_suite.dose.structures.structures import sample_structure, sample_structures
from qa_suite.io.rt.structures import Structure
from tests.dose_solids import DRAWN, circle, drawn, place_at_share, sphere
from tests.dvh_cases import BASE_GY, GRID, ball, linear


@pytest.mark.parametrize("solid", sorted(DRAWN))
@pytest.mark.parametrize(("radius", "bound"), [(5.0, 0.03), (15.0, 0.01), (24.0, 0.01)])
@pytest.mark.parametrize("step", [2.0, 2.5, 3.0])
def test_contours_with_caps_have_their_volume(solid, radius, bound, step):
    for offset in np.arange(0, 1, 0.25) * step:
        structure, volume = drawn(solid, radius, step, offset)
        found = sample_structure(structure, GRID).volume_cc * 1000
        assert found == pytest.approx(volume, rel=bound), offset


@pytest.mark.parametrize("solid", ["sphere", "cylinder across", "cylinder within"])
@pytest.mark.parametrize("step", [2.0, 3.0])
def test_contours_have_their_d95_across_the_gradient(solid, step):
    structure, _ = drawn(solid, 5.0, step, 0.4)
    axis = "z" if solid == "sphere" else "y"
    kind = solid.split()[0]
    exact = BASE_GY + place_at_share(kind, 5.0, 0.95, "z" if kind == "sphere" else "x")
    assert dvh_of(linear(axis), structure).dose_at_volume_pct(95) == pytest.approx(exact, abs=0.2)


def test_a_flat_ellipsoid_keeps_its_volume():
    contours = []
    for z in np.arange(-7, 8) * 2.0:
        share = 1 - (z / 15) ** 2
        contours.append(circle(1, z) * (30 * np.sqrt(share), 12 * np.sqrt(share), 1))
    structure = Structure(name="e", kind="", contours=tuple(contours))
    volume = 4 / 3 * np.pi * 30 * 12 * 15 / 1000
    assert sample_structure(structure, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def test_a_step_does_not_overshoot():
    contours = [circle(5.0, z) for z in range(0, 12, 3)]
    contours += [circle(20.0, z) for z in range(12, 24, 3)]
    structure = Structure(name="mushroom", kind="", contours=tuple(contours))
    samples = sample_structure(structure, GRID)
    where = samples.grid.to_world(np.argwhere(samples.weights > 0.5))
    assert np.hypot(where[:, 0], where[:, 1]).max() < 20.6
    assert where[:, 2].min() > -2.0
    assert where[:, 2].max() < 23.0


def test_holes_and_keyholes_are_empty_and_hollow_balls_closed():
    outer, _ = sphere(20.0, 2.0, 0.3)
    inner, _ = sphere(10.0, 2.0, 0.3)
    shell = Structure(name="shell", kind="", contours=tuple(outer + inner))
    volume = 4 / 3 * np.pi * (20**3 - 10**3) / 1000
    assert sample_structure(shell, GRID).volume_cc == pytest.approx(volume, rel=0.01)
    keyed = [_keyhole(a, next((b for b in inner if b[0, 2] == a[0, 2]), None)) for a in outer]
    keyhole = Structure(name="shell", kind="", contours=tuple(keyed))
    assert sample_structure(keyhole, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def _keyhole(outer, inner):
    if inner is None:
        return outer
    return np.concatenate([outer, outer[:1], inner[:1], inner[:0:-1], inner[:1]])


def test_keyholes_are_cut_into_outline_and_hole():
    outer = np.array([(0, 0), (9, 0), (9, 9), (0, 9)], dtype=float)
    inner = np.array([(3, 3), (3, 6), (6, 6), (6, 3)], dtype=float)
    loops = cut_keyholes(np.concatenate([outer, outer[:1], inner, inner[:1]]))
    assert sorted(len(loop) for loop in loops) == [4, 4]
    assert sorted(nesting(loops)) == [0, 1]
    assert cut_keyholes(outer)[0] is outer
    assert cut_keyholes(np.array([(0, 0), (5, 0), (0, 0), (5, 0)], dtype=float)) == []


def test_branches_end_one_by_one():
    contours = [circle(6.0, z, (x, 0.0)) for x in (-15.0, 15.0) for z in range(0, 15, 3)]
    contours += [circle(6.0, z, (15.0, 0.0)) for z in range(15, 30, 3)]
    structure = Structure(name="kidneys", kind="", contours=tuple(contours))
    volume = np.pi * 36 * (15 + 30) / 1000  # flat ends, half a slice beyond
    assert sample_structure(structure, GRID).volume_cc == pytest.approx(volume, rel=0.01)


def test_wide_gaps_are_left_and_single_ones_bridged():
    def of(places):
        contours = tuple(circle(8.0, float(z)) for z in places)
        return sample_structure(Structure(name="s", kind="", contours=contours), GRID)

    area = np.pi * 64 / 1000
    bridged = of([0, 3, 6, 12, 15])
    assert bridged.volume_cc == pytest.approx(area * 18, rel=0.01)
    assert bridged.notes == ("1 gap between its planes interpolated",)
    parted = of([0, 3, 6, 15, 18])
    assert parted.volume_cc == pytest.approx(area * 15, rel=0.01)
    assert parted.notes == ("1 gap between its planes too wide, left empty",)


def test_a_single_plane_needs_a_thickness():
    one = Structure(name="node", kind="", contours=(circle(8.0, 0.0),))
    with pytest.raises(InputError, match="one plane only"):
        sample_structure(one, GRID)
    assert sample_structure(one, GRID, slice_mm=3.0).volume_cc == pytest.approx(
        np.pi * 64 * 3 / 1000, rel=0.01
    )
    other, _ = drawn("sphere", 12.0, 2.5, 0.0)
    found = sample_structures([one, other], GRID)["node"]
    assert found.volume_cc == pytest.approx(np.pi * 64 * 2.5 / 1000, rel=0.01)


def test_contours_oblique_to_the_patient_are_filled_in_their_own_planes():
    structure, volume = drawn("sphere", 15.0, 2.5, 0.5)
    turn = np.deg2rad(30)
    axes = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    tilted = Structure(name="s", kind="", contours=tuple(c @ axes.T for c in structure.contours))
    dvh = dvh_of(linear(), tilted)
    assert dvh.volume_cc * 1000 == pytest.approx(volume, rel=0.01)
    exact = BASE_GY + place_at_share("sphere", 15.0, 0.95)
    assert dvh.dose_at_volume_pct(95) == pytest.approx(exact, abs=0.1)


def test_contours_that_are_not_flat_are_refused():
    bent = circle(8.0, 0.0) + np.array([0, 0, 1]) * np.linspace(0, 9, 96)[:, None]
    structure = Structure(name="s", kind="", contours=(bent,))
    with pytest.raises(InputError, match="not flat"):
        sample_structure(structure, GRID)
    found = dvhs_of(linear(), [structure, ball(9.0)])  # and stop no other
    assert "not flat" in read_metric(found["s"], "volume").why
    assert found["ball"].mean_gy > 0
