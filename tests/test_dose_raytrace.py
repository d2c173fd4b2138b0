"""Exact integrals along rays, and where beams come from."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import BeamFrame, beam_frame, depth_map, path_integral

BOX = Grid(shape=(40, 30, 20), spacing_mm=(2.0, 3.0, 4.0), origin_mm=(-39.0, -43.5, -38.0))
"""80 × 90 × 80 mm around the origin."""

TILTED = Grid(
    shape=(21, 17, 11),
    spacing_mm=(2.0, 3.0, 4.0),
    origin_mm=(5.0, -9.0, 12.0),
    direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
)


def frame(gantry: float, couch: float = 0.0, *, sad: float | None = 1000.0) -> BeamFrame:
    return beam_frame(BeamTemplate(gantry_deg=gantry, couch_deg=couch), (0.0, 0.0, 0.0), sad_mm=sad)


@pytest.mark.parametrize(
    ("gantry", "couch", "source"),
    [
        (0, 0, (0, -1000, 0)),  # above the patient, who lies on his back
        (90, 0, (1000, 0, 0)),  # at his left
        (180, 0, (0, 1000, 0)),
        (270, 0, (-1000, 0, 0)),
        (90, 90, (0, 0, -1000)),  # the couch turned counter-clockwise: the gantry is at his feet
        (0, 37, (0, -1000, 0)),
    ],
)
def test_the_source_stands_where_iec_61217_says(
    gantry: float, couch: float, source: tuple[float, ...]
) -> None:
    assert frame(gantry, couch).source_mm == pytest.approx(source, abs=1e-9)


def test_the_beam_limiting_device_turns_with_the_collimator() -> None:
    beam = BeamTemplate(gantry_deg=90, collimator_deg=90)
    turned = beam_frame(beam, (0.0, 0.0, 0.0), sad_mm=1000.0)
    straight = frame(90)
    np.testing.assert_allclose(straight.axes[:, 1], (0, 0, 1), atol=1e-12)  # y to the gantry
    np.testing.assert_allclose(turned.axes[:, 0], straight.axes[:, 1], atol=1e-12)
    assert np.linalg.det(turned.axes) == pytest.approx(1)


def test_projection_and_its_inverse_agree() -> None:
    plane = np.array([[3.0, -7.0], [0.0, 0.0], [40.0, 11.0]])
    for sad in (1000.0, None):
        view = frame(33, 12, sad=sad)
        for height in (0.0, 120.0, -80.0):
            back = view.project(view.unproject(plane, height))
            np.testing.assert_allclose(back, plane, atol=1e-9)


def test_a_ray_through_a_box_is_as_long_as_geometry_says() -> None:
    ones = np.ones(BOX.shape)
    straight = path_integral(ones, BOX, (-200, 1, 1), (200, 1, 1))
    oblique = path_integral(ones, BOX, (-100, -100, 0.5), (100, 100, 0.5))
    assert straight == pytest.approx(80, abs=1e-9)
    assert oblique == pytest.approx(80 * np.sqrt(2), abs=1e-9)  # x leaves first
    assert path_integral(ones, BOX, (-100, 60, 0), (100, 60, 0)) == 0.0
    assert path_integral(ones, BOX, (-10, 0, 0), (10, 0, 0)) == pytest.approx(20)
    assert path_integral(ones, BOX, (3, 4, 5), (3, 4, 5)) == 0.0


def test_a_slab_counts_with_its_density_at_any_angle() -> None:
    field = np.ones(BOX.shape)
    field[10:15] = 1.5  # x from -20 to -10
    rng = np.random.default_rng(0)
    ends = np.stack([np.full(200, 30.0), *rng.uniform(-30, 30, (2, 200))], axis=-1)
    starts = np.stack([np.full(200, -35.0), *rng.uniform(-30, 30, (2, 200))], axis=-1)
    stretch = np.linalg.norm(ends - starts, axis=1) / 65
    np.testing.assert_allclose(
        path_integral(field, BOX, starts, ends), 70 * stretch, rtol=0, atol=1e-9
    )


def test_random_voxels_against_sorted_crossings() -> None:
    """Against the plain form of Siddon's method: all crossings, sorted, midpoints looked up."""
    rng = np.random.default_rng(1)
    field = rng.random(TILTED.shape).astype(np.float32)
    starts, ends = rng.uniform(-60, 80, (2, 200, 3))
    found = path_integral(field, TILTED, starts, ends)
    for start, end, value in zip(starts, ends, found, strict=True):
        a, b = TILTED.to_index(start), TILTED.to_index(end)
        cuts = [
            (np.arange(n + 1) - 0.5 - p) / (q - p)
            for n, p, q in zip(TILTED.shape, a, b, strict=True)
        ]
        at = np.unique(np.clip(np.concatenate([*cuts, [0, 1]]), 0, 1))
        middle = a + (at[1:] + at[:-1])[:, None] / 2 * (b - a)
        voxel = np.floor(middle + 0.5).astype(int)
        inside = ((voxel >= 0) & (voxel < TILTED.shape)).all(axis=1)
        here = np.where(inside, field[tuple(np.where(inside[:, None], voxel, 0).T)], 0)
        assert value == pytest.approx(
            (here * np.diff(at)).sum() * np.linalg.norm(end - start), abs=1e-9
        )


def test_chords_of_a_sphere() -> None:
    """A voxel sphere has the chords of its voxels; the finer it is, the nearer to 2√(R²−b²)."""
    errors = []
    for spacing in (2.0, 1.0):
        n = int(64 / spacing)
        grid = Grid(shape=(n,) * 3, spacing_mm=(spacing,) * 3, origin_mm=(-32 + spacing / 2,) * 3)
        r = np.linalg.norm(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), axis=-1)
        rng = np.random.default_rng(2)
        away, along = rng.normal(size=(2, 400, 3))
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        away -= (away * along).sum(axis=1, keepdims=True) * along
        away *= rng.uniform(0, 20, (400, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
        chord = path_integral(r <= 25, grid, away - 60 * along, away + 60 * along)
        errors.append(np.abs(chord - 2 * np.sqrt(625 - (away**2).sum(axis=1))).mean())
    assert errors[0] < 1.0 and errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("sad", [1000.0, None])
def test_the_depth_map_is_the_path_to_each_centre(sad: float | None) -> None:
    rng = np.random.default_rng(3)
    field = rng.random(TILTED.shape)
    view = beam_frame(BeamTemplate(gantry_deg=25, couch_deg=15), TILTED.centre_mm, sad_mm=sad)
    depth = depth_map(field, TILTED, view)
    centres = TILTED.to_world(np.moveaxis(np.indices(TILTED.shape), 0, -1))
    starts = centres + 500 * view.axes[:, 2] if sad is None else np.asarray(view.source_mm)
    np.testing.assert_allclose(
        depth, path_integral(field, TILTED, starts, centres), rtol=1e-6, atol=1e-6
    )
    where = field > 0.5
    some = depth_map(field, TILTED, view, where=where)
    assert (some[where] == depth[where]).all() and not some[~where].any()


def test_depth_in_water_is_the_distance_from_the_surface() -> None:
    depth = depth_map(np.ones(BOX.shape), BOX, frame(0, sad=None))
    np.testing.assert_allclose(depth[7, :, 5], 1.5 + 3 * np.arange(30), atol=1e-5)
    depth = depth_map(np.ones(BOX.shape), BOX, frame(270, sad=None))
    np.testing.assert_allclose(depth[:, 3, 5], 1 + 2 * np.arange(40), atol=1e-5)


def test_opposed_parallel_depths_add_up_to_the_whole_path() -> None:
    field = np.random.default_rng(4).random(BOX.shape)
    there, back = (
        depth_map(field, BOX, frame(0, sad=None)),
        depth_map(field, BOX, frame(180, sad=None)),
    )
    whole = np.broadcast_to(3 * field.sum(axis=1, keepdims=True), BOX.shape)
    np.testing.assert_allclose(there + back, whole, rtol=1e-5)


def test_a_mask_times_density_gives_the_share_of_the_path() -> None:
    outside = np.zeros(BOX.shape)
    outside[:, :10] = 1.0  # 30 of 90 mm
    ones = np.ones(BOX.shape)
    ends = np.array([[1.0, -200.0, 1.0], [1.0, 200.0, 1.0]])
    share = path_integral(outside, BOX, *ends) / path_integral(ones, BOX, *ends)
    assert share == pytest.approx(1 / 3)


def test_the_source_may_stand_inside_the_grid() -> None:
    view = beam_frame(BeamTemplate(gantry_deg=0), (0.0, 0.0, 0.0), sad_mm=20.0)
    depth = depth_map(np.ones(BOX.shape), BOX, view)
    centres = BOX.to_world(np.moveaxis(np.indices(BOX.shape), 0, -1))
    np.testing.assert_allclose(
        depth, np.linalg.norm(centres - np.asarray(view.source_mm), axis=-1), rtol=1e-5, atol=1e-5
    )


def test_bad_input_is_one_sentence() -> None:
    ones = np.ones(BOX.shape)
    with pytest.raises(GeometryError, match="shape"):
        path_integral(ones[1:], BOX, (0, 0, 0), (1, 1, 1))
    with pytest.raises(InputError, match="no number"):
        path_integral(ones, BOX, (0, 0, np.nan), (1, 1, 1))
    ones[3, 3, 3] = np.nan
    with pytest.raises(InputError, match="1 voxels"):
        depth_map(ones, BOX, frame(0))
    with pytest.raises(InputError, match="source"):
        frame(0, sad=-5.0)
