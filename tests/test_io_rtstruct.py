"""Structure sets to masks: areas with known answers, holes, keyholes, gaps, oblique planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.images import read_image
from qa_suite.io.rt.structures import Structure, fill_even_odd, read_structure_set, structure_mask
from tests.dicom_factory import rectangle, uid, write_structures

GRID = Grid(shape=(20, 16, 10), spacing_mm=(1.0, 1.0, 2.0), origin_mm=(0.0, 0.0, 0.0))


def mask_of(tmp_path, contours, grid=GRID):
    path = write_structures(tmp_path / "rs.dcm", {"PTV": contours})
    structure = read_structure_set(path).structures["PTV"]
    return (*structure_mask(structure, grid), structure.notes)


def test_a_rectangle_has_its_area_in_one_slice(tmp_path):
    mask, notes, _ = mask_of(tmp_path, [rectangle((2.5, 9.5), (3.5, 7.5), 4.0)])
    assert mask.sum() == 7 * 4
    assert mask[3:10, 4:8, 2].all()
    assert notes == ()


def test_inner_contours_are_holes_and_islands_in_them_are_solid(tmp_path):
    contours = [
        rectangle((0.5, 12.5), (0.5, 12.5), 4.0),
        rectangle((2.5, 10.5), (2.5, 10.5), 4.0),
        rectangle((4.5, 6.5), (4.5, 6.5), 4.0),
    ]
    mask, _, _ = mask_of(tmp_path, contours)
    assert mask.sum() == 144 - 64 + 4
    assert not mask[3, 3, 2]
    assert mask[5, 5, 2]


def test_disjoint_contours_on_a_slice_add_up(tmp_path):
    contours = [rectangle((0.5, 3.5), (0.5, 3.5), 4.0), rectangle((8.5, 12.5), (8.5, 10.5), 4.0)]
    assert mask_of(tmp_path, contours)[0].sum() == 9 + 8


def test_a_keyhole_contour_encloses_its_ring_only(tmp_path):
    outer = [(0.5, 0.5), (12.5, 0.5), (12.5, 12.5), (0.5, 12.5)]
    inner = [(4.5, 4.5), (4.5, 8.5), (8.5, 8.5), (8.5, 4.5)]
    ring = [*outer, outer[0], *inner, inner[0]]  # along the channel and back to the start
    points = np.array([(x, y, 4.0) for x, y in ring])
    mask, _, _ = mask_of(tmp_path, [points])
    assert mask.sum() == 144 - 16


def test_a_contour_listed_twice_does_not_erase_itself(tmp_path):
    contour = rectangle((2.5, 9.5), (3.5, 7.5), 4.0)
    mask, _, notes = mask_of(tmp_path, [contour, contour])
    assert mask.sum() == 28
    assert notes == ("1 doubled contour left out",)


def test_points_and_open_contours_are_left_out_with_a_note(tmp_path):
    contours = [
        ("POINT", np.array([(1.0, 1.0, 4.0)])),
        ("OPEN_PLANAR", rectangle((2.5, 9.5), (3.5, 7.5), 6.0)),
        rectangle((2.5, 9.5), (3.5, 7.5), 4.0),
    ]
    mask, _, notes = mask_of(tmp_path, contours)
    assert mask.sum() == 28
    assert notes == ("1 OPEN_PLANAR contour left out", "1 POINT contour left out")


def test_a_slice_without_contour_is_reported_and_not_invented(tmp_path):
    contours = [rectangle((2.5, 9.5), (3.5, 7.5), z) for z in (2.0, 4.0, 8.0)]
    mask, notes, _ = mask_of(tmp_path, contours)
    assert mask.any(axis=(0, 1)).nonzero()[0].tolist() == [1, 2, 4]
    assert notes == ("1 slice between its contours without one, left empty",)


def test_a_plane_between_slices_goes_to_the_nearest(tmp_path):
    mask, _, _ = mask_of(tmp_path, [rectangle((2.5, 9.5), (3.5, 7.5), 4.8)])
    assert mask[:, :, 2].sum() == mask.sum() == 28


def test_planes_closer_than_the_slices_are_not_combined(tmp_path):
    contours = [rectangle((2.5, 9.5), (3.5, 7.5), 4.0), rectangle((2.5, 9.5), (3.5, 7.5), 4.8)]
    mask, notes, _ = mask_of(tmp_path, contours)  # even-odd over both would leave nothing
    assert mask.sum() == 28
    assert notes == ("1 plane closer together than the slices, left out",)


def test_contours_beyond_the_image_are_cut_and_told(tmp_path):
    contours = [rectangle((-5.0, 9.5), (3.5, 7.5), 4.0), rectangle((2.5, 9.5), (3.5, 7.5), 90.0)]
    mask, notes, _ = mask_of(tmp_path, contours)
    assert mask.sum() == 10 * 4
    assert notes == ("1 plane beyond the image, left out", "cut off at the edge of the image")


def test_an_oblique_image_gets_the_same_voxels(tmp_path):
    angle = np.radians(25)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    tip = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    grid = Grid(shape=GRID.shape, spacing_mm=GRID.spacing_mm, direction=tuple((tip @ turn).ravel()))
    contours = [rectangle((2.5, 9.5), (3.5, 7.5), z) @ (tip @ turn).T for z in (4.0, 6.0)]
    mask, notes, _ = mask_of(tmp_path, contours, grid)
    assert mask.sum() == 2 * 28
    assert notes == ()


def test_sagittal_contours_on_an_axial_image_keep_their_volume(tmp_path):
    contours = []
    for x in np.arange(3.0, 11.0):  # eight planes, 1 mm apart: a box of 8 × 6 × 8 mm
        contours.append(np.array([(x, 2.5, 2.9), (x, 8.5, 2.9), (x, 8.5, 11.1), (x, 2.5, 11.1)]))
    mask, notes, _ = mask_of(tmp_path, contours)
    assert mask.sum() == 8 * 6 * 4
    assert mask[3:11, 3:9, 2:6].all()
    assert "oblique" in notes[-1]


def test_a_damaged_coordinate_does_not_fill_the_memory():
    planes = [
        np.array([(x, 2.5, 2.9), (x, far, 2.9), (x, far, far), (x, 2.5, far)])
        for x, far in ((3.0, 8.5), (4.0, 4e6))
    ]
    mask, notes = structure_mask(Structure(name="x", kind="", contours=tuple(planes)), GRID)
    assert not mask.any()
    assert "contours span" in notes[0]


def test_contours_that_are_not_flat_are_refused_with_a_note():
    twisted = np.array([(2.0, 2.0, 0.0), (9.0, 2.0, 6.0), (9.0, 9.0, 0.0), (2.0, 9.0, 6.0)])
    mask, notes = structure_mask(Structure(name="x", kind="", contours=(twisted,)), GRID)
    assert not mask.any()
    assert "not flat" in notes[0]


def test_a_structure_without_contours_is_empty():
    mask, notes = structure_mask(Structure(name="x", kind="", contours=()), GRID)
    assert not mask.any()
    assert notes == ()


def test_references_kinds_and_names_are_read(tmp_path):
    contour = rectangle((2.5, 9.5), (3.5, 7.5), 4.0)
    path = write_structures(
        tmp_path / "rs.dcm",
        {"BODY": [contour], "GTV": [contour]},
        kinds={"BODY": "EXTERNAL", "GTV": "GTV"},
    )
    found = read_structure_set(path)
    assert found.structures["BODY"].kind == "EXTERNAL"
    assert found.frames_of_reference == {uid("frame", "MRN-4711-0815")}
    assert found.series_uids == {uid("series", "CT", "MRN-4711-0815")}


def test_a_damaged_structure_set_is_one_sentence(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"a": [np.zeros((4, 3))]})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"0.0\\0.0\\0.0", b"0.0\\x.y\\0.0", 1))
    with pytest.raises(InputError, match=r"rs\.dcm"):
        read_structure_set(path)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-3, 18), st.floats(-3, 14)), min_size=3, max_size=8),
    st.integers(0, 7),
)
def test_filling_agrees_with_a_winding_of_the_same_polygon(points, start):
    """A polygon's mask depends neither on its first point nor on its sense."""
    polygon = np.array(points)
    shape = (16, 12)
    mask = fill_even_odd([polygon], shape)
    assert np.array_equal(mask, fill_even_odd([np.roll(polygon, start, axis=0)], shape))
    assert np.array_equal(mask, fill_even_odd([polygon[::-1]], shape))
    assert not fill_even_odd([polygon, polygon], shape).any()


def test_a_circle_has_its_area():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([50.2 + 30 * np.cos(angle), 49.7 + 30 * np.sin(angle)], axis=1)
    assert fill_even_odd([circle], (100, 100)).sum() == pytest.approx(np.pi * 900, rel=0.003)


def test_neighbours_share_no_pixel_and_leave_none_out():
    corners = [(0, 0), (5, 0), (10, 0), (0, 7), (5, 7), (10, 7)]
    left = np.array([corners[n] for n in (0, 1, 4, 3)], dtype=float)
    right = np.array([corners[n] for n in (1, 2, 5, 4)], dtype=float)
    masks = [fill_even_odd([p], (12, 9)) for p in (left, right)]
    assert (masks[0].astype(int) + masks[1]).max() == 1
    assert sum(mask.sum() for mask in masks) == 10 * 7


def test_real_structure_sets_give_the_voxels_of_the_nifti_masks(shared_data):
    root = shared_data / "sts"
    folder = scan_dicom(root / "dicom" / "STS_035")
    series = {one.series_uid: one for one in folder.series}
    assert len(folder.structure_sets) == 3
    for path in folder.structure_sets:
        found = read_structure_set(path)
        (uid_drawn_on,) = found.series_uids
        volume = read_series(series[uid_drawn_on])
        (structure,) = found.structures.values()
        mask, notes = structure_mask(structure, volume.grid)
        stem = path.parent.parent.name
        expected = read_image(root / "nifti" / "STS_035" / f"{stem}_mask.nii.gz", "label")
        assert np.array_equal(mask, expected.array > 0)
        assert notes == ()
