"""The canonical orientation: lossless, the same for every storage, undone exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qa_suite.core.errors import GeometryError
from qa_suite.core.orientation import Turn, nearest_turn
from qa_suite.core.volume import Grid, Volume, canonical, stored_like
from qa_suite.imaging.body import body_of, ct_body, signal_body
from qa_suite.imaging.masks import filled_slices
from qa_suite.imaging.threshold import body
from qa_suite.io.field_of_view import padding_in
from qa_suite.io.identity import fingerprint, voxel_hash
from qa_suite.io.images import read_image, write_image
from tests.storage import SOME_STORAGES, STORAGES, name_of

SHAPE, SPACING = (5, 7, 4), (1.0, 2.5, 4.0)
_STRAIGHT = np.eye(3)
_TURNED = Rotation.from_euler("zyx", [12, -8, 20], degrees=True).as_matrix()
_HALF_WAY = Rotation.from_euler("z", 45, degrees=True).as_matrix()
_DIAGONAL = np.eye(3) - 2 / 3 * np.ones((3, 3))  # every axis as near to x as to y and z


def a_volume(axes: np.ndarray = _STRAIGHT, shape=SHAPE) -> Volume:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    grid = Grid(
        shape=shape,
        spacing_mm=SPACING,
        origin_mm=(-3, 11, 40),
        direction=tuple(axes.ravel()),
        frame_of_reference="1.2.3",
    )
    return Volume(array=array, grid=grid, quantity="HU", history=("made",))


def test_there_are_48_storages_and_an_image_knows_its_place_in_all():
    image = a_volume()
    there = {name_of(turn): image.turned(turn) for turn in STORAGES}
    assert len({v.array.tobytes() + bytes(v.grid.shape) for v in there.values()}) == 48
    marked = np.array([2, 5, 1])
    for stored in there.values():
        (where,) = np.argwhere(stored.array == image.array[tuple(marked)])
        assert stored.grid.to_world(where) == pytest.approx(image.grid.to_world(marked))


@pytest.mark.parametrize("axes", [np.eye(3), _TURNED, _HALF_WAY, _DIAGONAL])
def test_every_storage_comes_to_one_canonical_form(axes):
    one = canonical(a_volume(axes))
    cosines = np.diag(one.grid.axes)
    assert (cosines > 0.45).all()
    assert np.linalg.det(one.grid.axes) == pytest.approx(1)
    for turn in STORAGES:
        other = canonical(a_volume(axes).turned(turn))
        assert np.array_equal(other.array, one.array)
        assert other.grid.distance_mm(one.grid) < 1e-9
        assert other.array.flags.c_contiguous
        assert (other.quantity, other.history) == (one.quantity, one.history)
        assert other.grid.frame_of_reference == "1.2.3"


def test_what_is_canonical_stays_the_same_object():
    image = a_volume()
    assert canonical(image) is image


def test_rounding_in_a_header_decides_no_tie():
    rng = np.random.default_rng(5)
    for axes in (_HALF_WAY, _DIAGONAL):
        exact = canonical(a_volume(axes)).grid.axes
        for turn in STORAGES:
            noisy = a_volume(axes).turned(turn).grid.axes + rng.uniform(-1e-6, 1e-6, (3, 3))
            found = nearest_turn(noisy)
            turned = noisy[:, list(found.order)] * np.where(found.flipped, -1, 1)
            assert turned == pytest.approx(exact, abs=1e-5)


def test_a_turn_is_undone_exactly_and_an_image_goes_back_to_its_storage():
    image = a_volume(_TURNED)
    for turn in STORAGES:
        assert np.array_equal(turn.undo(turn.apply(image.array)), image.array)
        stored = image.turned(turn)
        back = stored_like(canonical(stored), stored.grid)
        assert back.grid is stored.grid
        assert np.array_equal(back.array, stored.array)


def test_an_image_elsewhere_cannot_be_stored_like_another():
    with pytest.raises(GeometryError, match="resample it first"):
        stored_like(a_volume(), a_volume(_TURNED).grid)


def test_no_zero_has_a_sign():
    for turn in STORAGES:
        assert not any(str(v).startswith("-0") for v in a_volume().turned(turn).grid.direction)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_a_file_round_trip_keeps_the_canonical_form(tmp_path, ending):
    image = a_volume(_TURNED)
    for turn in SOME_STORAGES:
        path = tmp_path / f"{name_of(turn)}{ending}"
        write_image(image.turned(turn), path)
        back = canonical(read_image(path, "HU"))
        assert np.array_equal(back.array, image.array)
        assert back.grid.distance_mm(image.grid) < 1e-4  # a NIfTI header is single precision


# --- what is told from an image, wherever it is asked ---------------------------------------


def a_trunk() -> Volume:
    """A trunk whose lungs run through the stack to both ends: holes across z only."""
    x, y, _ = np.meshgrid(np.arange(28), np.arange(24), np.arange(20), indexing="ij")
    hu = np.full(x.shape, -1000.0, dtype=np.float32)
    hu[(x - 13) ** 2 / 144 + (y - 11) ** 2 / 100 < 1] = 40
    for centre in (8, 19):
        hu[(x - centre) ** 2 + (y - 11) ** 2 < 10] = -800
    hu[..., :3] = np.where(hu[..., :3] > -1000, hu[..., :3], -1000)
    grid = Grid(shape=hu.shape, spacing_mm=(4, 4, 5), origin_mm=(-50, -40, 0))
    return Volume(array=hu, grid=grid, quantity="HU")


BODIES = {
    "threshold segmenter": body,
    "outline": body_of,
    "preflight, CT": lambda volume: ct_body(volume.array, volume.grid),
    "preflight, signal": lambda volume: signal_body(volume.array, volume.grid),
}


@pytest.mark.parametrize("finder", BODIES)
def test_every_body_finder_fills_the_lungs_in_every_storage(finder):
    trunk = a_trunk()
    found = BODIES[finder](trunk)
    assert found[8, 11, 10]
    assert found[8, 11, 0]
    for turn in STORAGES:
        assert np.array_equal(turn.undo(BODIES[finder](trunk.turned(turn))), found), name_of(turn)


def test_holes_are_those_of_a_slice():
    ring = np.zeros((5, 5, 3), dtype=bool)
    ring[1:4, 1:4] = True
    ring[2, 2] = False
    for axis in range(3):
        across = np.moveaxis(ring, 2, axis)
        assert filled_slices(across, axis).sum() == 27
        assert filled_slices(across, (axis + 1) % 3).sum() == 24
    open_ = np.zeros_like(ring)
    open_[2, 2, 0] = True
    assert filled_slices(ring, 2, outside=open_).sum() == 26


def test_padding_and_identities_do_not_depend_on_the_storage():
    trunk = a_trunk()
    inside = body(trunk)
    cut = trunk.array.copy()
    cut[..., 16:] = cut.min()
    source = Volume(array=cut, grid=trunk.grid, quantity="arbitrary")
    padding = padding_in(source, inside)
    assert padding[..., 17:].sum() == inside[..., 17:].sum()
    for turn in STORAGES:
        there = source.turned(turn)
        assert np.array_equal(turn.undo(padding_in(there, turn.apply(inside))), padding)
        assert voxel_hash(there) == voxel_hash(source)
        assert fingerprint(there) == fingerprint(source)


def test_a_turn_names_the_axes_in_their_new_order():
    turn = Turn(order=(1, 2, 0), flipped=(False, False, False))
    assert turn.of_axes(SHAPE) == (7, 4, 5)
    assert a_volume().turned(turn).grid.long_axis == 1


def test_the_day_of_a_positioning_test_is_the_patients_not_the_files():
    """Its offset is drawn from the image; a helper may be handed any storage."""
    from qa_suite.metrics.geometry.cbct import make_day
    from qa_suite.metrics.geometry.images import Image
    from qa_suite.metrics.geometry.settings import PositioningSettings

    trunk = a_trunk()

    def day(volume: Volume):
        image = Image(values=volume.array, grid=volume.grid)
        return make_day(image, np.zeros(3), PositioningSettings())

    expected = day(trunk)
    for turn in STORAGES:
        found = day(trunk.turned(turn))
        assert found.seed == expected.seed
        assert np.array_equal(found.offset.shift, expected.offset.shift)
