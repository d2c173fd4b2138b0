"""Contours with known answers: where they lie, what is dropped, what they do not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from tests.tiny_cohort import SPACING_MM, pair
from translators.data import prepare
from translators.networks.contours import (
    ContoursSpec,
    disagreement,
    distance_to,
    drop_short,
    find_contours,
)
from translators.spec import load_spec

WINDOW = (-200.0, 300.0)


def settings(**changes: object) -> ContoursSpec:
    plain: dict[str, object] = {
        "source_window": (-1.0, 1.0),
        "target_window": WINDOW,
        "smallest_mm": 0.0,
        "source_steps": (0.12, 0.3),
        "target_steps": (25.0, 75.0),
    }
    return ContoursSpec.model_validate(plain | changes)


def disc(radius_mm: float, voxel_mm: float, *, inside: float, outside: float) -> np.ndarray:
    """A disc in an empty slice, its partial volumes sampled finely; shape (x, y, 1)."""
    n, fine = int(np.ceil(200 / voxel_mm)), 8
    place = ((np.arange(n * fine) + 0.5) / fine - n / 2) * voxel_mm
    inner = np.hypot(*np.meshgrid(place, place, indexing="ij")) <= radius_mm
    share = inner.reshape(n, fine, n, fine).mean(axis=(1, 3))
    return (outside + (inside - outside) * share).astype(np.float32)[..., None]


@pytest.mark.parametrize("voxel_mm", [1.0, 4.0])
@pytest.mark.parametrize("radius_mm", [30.0, 60.0])
def test_the_contour_of_a_disc_lies_on_its_edge(voxel_mm: float, radius_mm: float) -> None:
    image = disc(radius_mm, voxel_mm, inside=250.0, outside=-100.0)
    body = np.ones(image.shape, dtype=bool)
    found = find_contours(image, body, (voxel_mm, voxel_mm, 3.0), settings(), "target")
    n = image.shape[0]
    where = (np.argwhere(found[:, :, 0]) + 0.5 - n / 2) * voxel_mm
    away = np.hypot(*where.T) - radius_mm
    assert np.abs(away).max() <= voxel_mm
    angles = np.degrees(np.arctan2(*where.T))
    assert len(np.unique(angles // 10)) == 36, "it runs all the way round"


@pytest.mark.parametrize("voxel_mm", [1.0, 2.0, 4.0])
def test_a_threshold_is_the_height_of_a_step_at_any_voxel_size(voxel_mm: float) -> None:
    n = int(160 / voxel_mm)
    body = np.ones((n, n, 1), dtype=bool)
    for height, noticed in ((65.0, False), (85.0, True)):
        image = np.zeros((n, n, 1), dtype=np.float32)
        image[n // 2 :] = height
        found = find_contours(
            image, body, (voxel_mm, voxel_mm, 3), settings(target_steps=(25.0, 75.0)), "target"
        )
        assert found.any() == noticed


def test_short_pieces_are_dropped_by_their_length_in_mm() -> None:
    edges = np.zeros((40, 40), dtype=bool)
    edges[2, 2:8] = True  # 6 voxels in a row
    edges[np.arange(10, 16), np.arange(10, 16)] = True  # 6 on a diagonal: 1 + 5 √2
    edges[20:26, 20] = edges[25, 20:26] = True  # an L of 11
    diagonal = 1 + 5 * np.sqrt(2)
    for voxel_mm in (1.0, 2.5):
        for limit, pieces in ((6.0, 3), (6.1, 2), (diagonal + 0.1, 1), (11.0, 1), (11.1, 0)):
            kept = drop_short(edges, voxel_mm, limit * voxel_mm)
            present = (kept[2, 4], kept[12, 12], kept[25, 22])
            assert sum(present) == pieces and not (kept & ~edges).any()
    np.testing.assert_array_equal(drop_short(edges, 1.0, 0.0), edges)


def test_a_gain_of_the_source_changes_no_contour() -> None:
    spec = load_spec("regression-demo")
    found = []
    for gain in (1.0, 7.0):
        prepared = prepare(pair(3, gain=gain)[0], spec)
        found.append(find_contours(prepared.image, prepared.body, SPACING_MM, settings(), "source"))
    assert found[0].any()
    np.testing.assert_array_equal(*found)


def test_values_outside_the_window_and_beyond_the_body_draw_no_contour() -> None:
    image = disc(40.0, 2.0, inside=2000.0, outside=400.0)  # both above the window
    whole = np.ones(image.shape, dtype=bool)
    assert not find_contours(image, whole, (2, 2, 3), settings(), "target").any()
    body = disc(60.0, 2.0, inside=1.0, outside=0.0) >= 0.5
    image[~body] = np.random.default_rng(0).choice([-1000.0, 3000.0], (~body).sum())
    found = find_contours(image, body, (2, 2, 3), settings(), "target")
    n = image.shape[0]
    radius = np.hypot(*((np.argwhere(found[:, :, 0]) + 0.5 - n / 2) * 2.0).T)
    assert found.any() and np.abs(radius - 60).max() <= 2, "only the outline is left"


def test_contours_do_not_tell_which_side_is_brighter() -> None:
    spacing, body = (2.0, 2.0, 3.0), np.ones((100, 100, 1), dtype=bool)
    bright = disc(40.0, 2.0, inside=300.0, outside=-200.0)
    dark = disc(40.0, 2.0, inside=-200.0, outside=300.0)
    np.testing.assert_array_equal(
        find_contours(bright, body, spacing, settings(), "target"),
        find_contours(dark, body, spacing, settings(), "target"),
    )


def test_distances_and_disagreement_are_in_mm() -> None:
    a = np.zeros((30, 20, 2), dtype=bool)
    a[10, :, 0] = True
    distance = distance_to(a, (2.0, 2.0, 5.0), 12.0)
    np.testing.assert_allclose(distance[:, 5, 0], np.minimum(np.abs(np.arange(30) - 10) * 2, 12))
    assert (distance[:, :, 1] == 12).all(), "a slice without a contour"
    b = np.roll(a, 3, axis=0)
    assert disagreement(b[:, :, 0], a[:, :, 0], 2.0, 50.0) == pytest.approx(6.0)
    assert disagreement(b[:, :, 0], a[:, :, 0], 2.0, 4.0) == pytest.approx(4.0)
    nothing = a[:, :, 1]
    assert disagreement(nothing, a[:, :, 0], 2.0, 50.0) == 50.0
    assert disagreement(nothing, nothing, 2.0, 50.0) == 0.0


def test_what_cannot_be_contoured_is_said() -> None:
    image, body = np.zeros((8, 8, 1), np.float32), np.ones((8, 8, 1), dtype=bool)
    with pytest.raises(InputError, match=r"square voxels in the axial plane, got 1 by 2 mm"):
        find_contours(image, body, (1.0, 2.0, 3.0), settings(), "target")
    image[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 voxels are NaN or inf"):
        find_contours(image, body, (1.0, 1.0, 3.0), settings(), "target")
