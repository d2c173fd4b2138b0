"""The fluence of photon fields (leaves, jaws, leakage, collimator), and apertures of targets."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid
from qa_suite.dose.photons.fluence import PIXELS, machine_fluence, target_aperture, turned
from qa_suite.dose.plan.template import BeamTemplate
from tests.photon_cases import CENTRE, ENGINE, MACHINE, opening, square


@pytest.mark.parametrize(("x", "y"), [((-50, 50), (-50, 50)), ((-30, 60), (-100, 40))])
def test_fluence_is_that_of_pydosert_for_a_field_of_leaves(x, y) -> None:
    ours, theirs, inside = both_fluences(x, y, jaws=False)
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0.01)


@pytest.mark.parametrize(
    ("x", "y"), [((-50, 50), (-50, 50)), ((-20, 20), (-20, 20)), ((-30, 60), (-100, 40))]
)
def test_fluence_is_that_of_pydosert_for_leaves_and_jaws(x, y) -> None:
    """But for the output factor: with jaws PyDoseRT always takes that of its whole map."""
    ours, theirs, inside = both_fluences(x, y, jaws=True)
    size, factor = np.asarray(ENGINE.machine.output_factors).T
    ours = ours / np.interp([x[1] - x[0], y[1] - y[0]], size, factor).mean()
    theirs = theirs / factor[-1]
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0.01)
    column = 200 + (x[0] + x[1]) // 2  # behind the jaws; its leaves have none beside them
    shut = np.r_[0 : 200 + y[0] - 3, 200 + y[1] + 3 : PIXELS]
    np.testing.assert_allclose(ours[shut, column], theirs[shut, column], atol=0.001)


def both_fluences(x, y, *, jaws: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our map of a rectangle, PyDoseRT's, and where it is open, less the penumbra."""
    import torch
    from pydosert.data import MachineConfig
    from pydosert.layers.FluenceMapLayer import FluenceMapLayer

    machine = MachineConfig(preset=MACHINE)
    layer = FluenceMapLayer(machine, field_size=(PIXELS, PIXELS), device="cpu")
    edges = np.concatenate([[0], np.cumsum(machine.leaf_widths)]) - PIXELS / 2
    moved = (edges[:-1] >= y[0]) & (edges[1:] <= y[1])
    leaves = np.where(moved[:, None] | jaws, [x], [[-190.0, -190.0]]).astype(np.float32)
    with torch.no_grad():
        theirs = layer(
            torch.from_numpy(leaves)[None, None],
            torch.tensor([[[float(y[0]), float(y[1])]]]) if jaws else None,
        )[0].numpy()
    inside = np.zeros((PIXELS, PIXELS), bool)
    inside[200 + y[0] + 4 : 200 + y[1] - 4, 200 + x[0] + 4 : 200 + x[1] - 4] = True
    return machine_fluence(opening(x, y), ENGINE.machine), theirs, inside


def test_no_opening_no_fluence() -> None:
    assert (machine_fluence(np.zeros((PIXELS, PIXELS)), ENGINE.machine) == 0).all()


def test_leakage_passes_the_leaves_but_not_the_jaws() -> None:
    aperture = square(100)
    aperture[:, 200:] = 0.0
    aperture[240, 249] = 1.0  # the jaws frame it
    fluence = machine_fluence(aperture, ENGINE.machine)
    assert fluence[170, 180] > 0.9
    assert 0.01 < fluence[170, 230] < 0.06  # leaves
    assert fluence[100, 180] < fluence[170, 230] / 2  # jaws: scatter from the head only


def test_a_collimator_turns_the_opening_from_x_towards_y() -> None:
    """IEC 61217: positive about the axis to the source; at 90° what lies at +x comes to +y."""
    aperture = opening((20, 60), (-10, 10))
    quarter = turned(aperture, 90.0)
    np.testing.assert_allclose(quarter, opening((-10, 10), (20, 60)), atol=1e-6)
    eighth = turned(aperture, 45.0)
    row, column = (
        np.average(np.arange(PIXELS) - 199.5, weights=eighth.sum(axis=a)) for a in (1, 0)
    )
    assert (column, row) == pytest.approx((40 / 2**0.5, 40 / 2**0.5), abs=0.2)
    assert eighth.sum() == pytest.approx(aperture.sum(), rel=0.01)
    assert turned(aperture, 0.0) is aperture


@pytest.mark.parametrize("spacing", [2.0, 4.0])
@pytest.mark.parametrize("gantry", [0.0, 90.0, 200.0])
def test_an_aperture_shows_a_sphere_with_its_margin(spacing, gantry) -> None:
    radius, margin = 24.0, 7.0
    grid = Grid(shape=(41, 41, 41), spacing_mm=(spacing,) * 3, origin_mm=(-20 * spacing,) * 3)
    world = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    ball = np.linalg.norm(world, axis=-1) <= radius
    beam = BeamTemplate(gantry_deg=gantry)
    aperture = target_aperture(ball, grid, CENTRE, beam, margin_mm=margin, sad_mm=1000.0)
    assert np.sqrt(aperture.sum() / np.pi) == pytest.approx(radius + margin, abs=spacing / 2 + 0.5)
    for rows in (aperture, aperture.T):
        low, high = np.flatnonzero(rows.any(axis=0))[[0, -1]] - 199.5
        assert -low == pytest.approx(high, abs=1.0)


def test_an_aperture_keeps_the_side_of_its_target() -> None:
    grid = Grid(shape=(41, 41, 41), spacing_mm=(4.0,) * 3, origin_mm=(-80.0,) * 3)
    target = np.zeros(grid.shape, bool)
    target[25:30, 18:23, 30:33] = True  # to the left, to the head
    beam = BeamTemplate(gantry_deg=0)
    aperture = target_aperture(target, grid, CENTRE, beam, margin_mm=5, sad_mm=1000.0)
    row, column = np.argwhere(aperture).mean(axis=0) - 199.5
    assert (column, row) == pytest.approx((28.0, 44.0), abs=1.0)
