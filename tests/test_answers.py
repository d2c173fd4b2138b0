"""Where an answer lies and what it holds: a shape is not a grid."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.answers import checked, place
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume

GRID = Grid(shape=(5, 4, 3), spacing_mm=(2.0, 2.5, 3.0), origin_mm=(-10.0, 20.0, 30.0))
OBLIQUE = replace(
    GRID,
    direction=tuple(
        np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]]).ravel()
    ),
)
CUBE = Grid(shape=(4, 4, 4), spacing_mm=(2.0, 2.0, 2.0), origin_mm=(-10.0, 20.0, 30.0))
STORAGES = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
)


def numbers(grid: Grid) -> Volume:
    array = np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape)
    return Volume(array=array, grid=grid, quantity="HU")


def stored(volume: Volume, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """Store an image in another order of its axes; the affine follows, the patient stays."""
    array = volume.array.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    corner = np.zeros(3)
    for axis, sign in zip(order, signs, strict=True):
        corner[axis] = volume.grid.shape[axis] - 1 if sign < 0 else 0
    grid = Grid(
        shape=array.shape,
        spacing_mm=tuple(np.array(volume.grid.spacing_mm)[list(order)]),
        origin_mm=tuple(volume.grid.to_world(corner)),
        direction=tuple((volume.grid.axes[:, list(order)] * signs).ravel()),
    )
    return Volume(array=array, grid=grid, quantity="HU")


@pytest.mark.parametrize("grid", [GRID, OBLIQUE, CUBE], ids=["axial", "oblique", "cube"])
@pytest.mark.parametrize(("order", "signs"), STORAGES)
def test_the_same_voxels_in_any_storage_order_are_the_same_answer(grid, order, signs) -> None:
    image = numbers(grid)
    found = checked(stored(image, order, signs), grid, who="x")
    assert found.grid is grid
    np.testing.assert_array_equal(found.array, image.array)
    assert found.history == ()


def moved(grid: Grid, **mm: float) -> Grid:
    x, y, z = grid.origin_mm
    return replace(grid, origin_mm=(x + mm.get("x", 0), y + mm.get("y", 0), z + mm.get("z", 0)))


@pytest.mark.parametrize("other_grid", ["refuse", "resample"])
@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("distance", [-16.0, 0.5, 2.0, 16.0])
def test_a_header_that_moved_is_refused_whatever_is_allowed(other_grid, axis, distance) -> None:
    answer = replace(numbers(GRID), grid=moved(GRID, **{axis: distance}))
    with pytest.raises(GeometryError, match=f"moved by {abs(distance):g} mm") as caught:
        checked(answer, GRID, who="a.nii.gz", other_grid=other_grid, outside=-1000.0)
    assert place(answer.grid) in str(caught.value) and place(GRID) in str(caught.value)


def test_a_header_that_is_turned_about_is_refused() -> None:
    answer = replace(numbers(CUBE), grid=replace(CUBE, direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)))
    with pytest.raises(GeometryError, match=r"axes \(-1, 0, 0\) \(0, -1, 0\)"):
        checked(answer, CUBE, who="x", other_grid="resample", outside=0.0)


def test_a_crop_is_refused_and_both_grids_are_named() -> None:
    image = numbers(GRID)
    crop = Volume(
        array=image.array[2:], grid=replace(moved(GRID, x=4), shape=(3, 4, 3)), quantity="HU"
    )
    with pytest.raises(GeometryError) as caught:
        checked(crop, GRID, who="vendor")
    told = str(caught.value)
    assert told.startswith("vendor answered on another grid")
    assert "3×4×3 at 2×2.5×3 mm from (-6, 20, 30) mm" in told
    assert "5×4×3 at 2×2.5×3 mm from (-10, 20, 30) mm" in told


def test_a_crop_lies_where_its_header_says_where_resampling_is_allowed() -> None:
    image = numbers(GRID)
    crop = Volume(
        array=image.array[2:], grid=replace(moved(GRID, x=4), shape=(3, 4, 3)), quantity="HU"
    )
    found = checked(crop, GRID, who="x", other_grid="resample", outside=-1000.0)
    np.testing.assert_allclose(found.array[2:], image.array[2:], atol=1e-4)
    assert (found.array[:2] == -1000).all()
    assert "resampled linear" in found.history[-1]


def test_another_frame_of_reference_is_refused() -> None:
    asked = replace(GRID, frame_of_reference="1.2.3")
    answer = replace(numbers(GRID), grid=replace(GRID, frame_of_reference="1.2.4"))
    with pytest.raises(GeometryError, match=r"frame 1\.2\.4.*frame 1\.2\.3.*frames of reference"):
        checked(answer, asked, who="x", other_grid="resample", outside=0.0)
    assert checked(numbers(GRID), asked, who="x").grid is asked  # an unknown frame contradicts none


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [1, 60])
def test_one_voxel_without_a_number_is_enough(bad, count) -> None:
    image = numbers(GRID)
    image.array.ravel()[:count] = bad
    with pytest.raises(InputError, match=f"{count} of 60 voxels that are NaN or inf"):
        checked(image, GRID, who="x")
