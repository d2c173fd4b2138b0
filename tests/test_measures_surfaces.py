"""Surface distances: known answers, properties, and agreement with scipy and MONAI."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import directed_hausdorff

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.imaging.distance import distance_to
from qa_suite.imaging.nearest import nearest_distances
from qa_suite.imaging.surface_elements import cell_table, surface_elements
from qa_suite.metrics.segmentation.structures import (
    centroid_shift,
    count_overlap,
    dice,
    volume_difference,
)
from qa_suite.metrics.segmentation.surfaces import (
    assd,
    directed_percentile,
    distances_between,
    hd,
    hd95,
    surface_dice,
    surface_distances,
    surface_distances_of,
)

SPACING = (0.9, 1.2, 2.5)


@pytest.fixture
def rng():
    return np.random.default_rng(20262)


def box(shape, low, high):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def ball(shape, centre_mm, radius_mm, spacing_mm=(1.0, 1.0, 1.0)):
    axes = [np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    a, b, c = centre_mm
    return (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 <= radius_mm**2


def blob(rng, shape=(18, 16, 14), threshold=0.15):
    return ndimage.gaussian_filter(rng.normal(size=shape), 2.0) > threshold * 0.2


# --- the distance transform


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 5)] * 3),
    share=st.sampled_from([0.002, 0.05, 0.5]),
)
def test_distance_is_that_of_scipy(seed, shape, spacing, share):
    mask = np.random.default_rng(seed).random(shape) < share
    mask.flat[seed % mask.size] = True
    expected = ndimage.distance_transform_edt(~mask, sampling=spacing)
    np.testing.assert_allclose(distance_to(mask, spacing), expected, rtol=1e-12, atol=1e-12)


def test_distance_to_nothing_is_infinite():
    assert np.isinf(distance_to(np.zeros((3, 4, 5), dtype=bool), SPACING)).all()


# --- areas


def test_area_of_a_box():
    n = np.array([6, 5, 4])
    mask = box((12, 12, 12), (3, 3, 3), 3 + n)
    a, b, c = (n - 1) * np.array(SPACING)  # faces reach from voxel centre to voxel centre
    x, y, z = np.array(SPACING) / 2
    faces = 2 * (a * b + b * c + a * c)
    bevels = 4 * (a * np.hypot(y, z) + b * np.hypot(x, z) + c * np.hypot(x, y))
    corners = 8 * 0.5 * np.sqrt((x * y) ** 2 + (y * z) ** 2 + (x * z) ** 2)
    area = surface_elements(mask, SPACING).area_mm2.sum()
    assert area == pytest.approx(faces + bevels + corners, rel=1e-6)


def test_area_of_a_ball_is_near_that_of_the_sphere():
    mask = ball((60, 60, 60), (29.6, 29.4, 29.5), 24)
    area = surface_elements(mask, (1.0, 1.0, 1.0)).area_mm2.sum()
    assert area == pytest.approx(4 * np.pi * 24**2, rel=0.1)  # a binary staircase is 9 % larger


def test_areas_do_not_depend_on_mirroring_or_on_what_is_inside():
    table = cell_table(SPACING).area_mm2
    assert table[0] == table[255] == 0
    assert (table[1:255] > 0).all()
    np.testing.assert_allclose(table, table[::-1])
    mirrored = [sum((c >> b & 1) << (b ^ 5) for b in range(8)) for c in range(256)]
    np.testing.assert_allclose(table, table[mirrored])


# --- known answers


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_box(axis):
    shape, voxels = (30, 30, 30), 3
    reference = box(shape, (8, 8, 8), (18, 18, 18))
    synthetic = np.roll(reference, voxels, axis)
    distances = surface_distances(reference, synthetic, SPACING)
    shift = voxels * SPACING[axis]
    assert hd(distances) == pytest.approx(shift)
    assert hd95(distances) == pytest.approx(shift)  # the leading face is more than 5 %
    assert 0 < assd(distances) < shift
    assert surface_dice(distances, tolerance_mm=shift) == 1
    assert surface_dice(distances, tolerance_mm=shift * 0.99) < 1
    overlap = count_overlap(reference, synthetic, Grid(shape=shape, spacing_mm=SPACING))
    assert centroid_shift(overlap) == pytest.approx(shift)
    assert dice(overlap) == pytest.approx(0.7)
    assert volume_difference(overlap) == 0


def test_moved_face():
    """A slab whose upper face moves: half of the area at 0, half at the step."""
    shape = (24, 24, 30)
    reference = box(shape, (0, 0, 10), (24, 24, 20))
    synthetic = box(shape, (0, 0, 10), (24, 24, 22))
    distances = surface_distances(reference, synthetic, SPACING)
    assert distances.reference_area_mm2.sum() == pytest.approx(2 * 23 * 23 * 0.9 * 1.2)
    assert hd(distances) == hd95(distances) == pytest.approx(5.0)
    assert assd(distances) == pytest.approx(2.5)
    assert surface_dice(distances, tolerance_mm=2) == pytest.approx(0.5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0)])
def test_concentric_balls(spacing):
    shape = (64, 64, int(64 / spacing[2]))
    small = ball(shape, (31.5, 31.5, 31.5), 18, spacing)
    large = ball(shape, (31.5, 31.5, 31.5), 24, spacing)
    distances = surface_distances(small, large, spacing)
    assert assd(distances) == pytest.approx(6, abs=0.2)  # nearest of a staircase: a bit short
    assert hd(distances) == pytest.approx(6, abs=max(spacing))
    assert surface_dice(distances, tolerance_mm=6 + max(spacing)) == 1
    assert surface_dice(distances, tolerance_mm=6 - max(spacing)) == pytest.approx(0, abs=0.03)
    overlap = count_overlap(small, large, Grid(shape=shape, spacing_mm=spacing))
    assert volume_difference(overlap) == pytest.approx(100 * ((24 / 18) ** 3 - 1), rel=0.02)


def test_shifted_ball():
    shape = (70, 64, 64)
    reference = ball(shape, (31, 32, 32), 22)
    synthetic = np.roll(reference, 4, axis=0)
    distances = surface_distances(reference, synthetic, (1.0, 1.0, 1.0))
    assert hd(distances) == pytest.approx(4, abs=0.3)
    assert centroid_shift(
        count_overlap(reference, synthetic, Grid(shape=shape, spacing_mm=(1, 1, 1)))
    ) == pytest.approx(4)
    # |cos θ| averages to 1/2 over a sphere, and is above 0.95 on 5 % of either side
    assert assd(distances) == pytest.approx(2, abs=0.1)
    assert hd95(distances) == pytest.approx(4 * 0.95, abs=0.3)
    assert surface_dice(distances, tolerance_mm=2) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shifted_ball_on_an_anisotropic_grid(axis):
    """The same answers as on cubes, whichever axis is the coarse one."""
    spacing = tuple(2.0 if a == axis else 1.0 for a in range(3))
    shape = tuple(int(72 / step) for step in spacing)
    for along in range(3):
        moved = np.full(3, 35.0)
        moved[along] += 4
        reference, synthetic = (ball(shape, c, 22, spacing) for c in ((35, 35, 35), moved))
        distances = surface_distances(reference, synthetic, spacing)
        assert hd(distances) == pytest.approx(4, abs=0.8)
        assert hd95(distances) == pytest.approx(3.8, abs=0.5)
        assert assd(distances) == pytest.approx(2, abs=0.12)
        assert surface_dice(distances, tolerance_mm=2) == pytest.approx(0.5, abs=0.1)


def test_a_single_layer_of_voxels_has_no_surface():
    flat = np.ones((1, 5, 5), dtype=bool)
    distances = surface_distances(flat, flat, SPACING)
    assert distances.reference_empty and distances.synthetic_empty


def test_identical_masks(rng):
    mask = blob(rng)
    distances = surface_distances(mask, mask, SPACING)
    assert hd(distances) == hd95(distances) == assd(distances) == 0
    assert surface_dice(distances, tolerance_mm=0) == 1


def test_weighted_percentile_by_hand():
    distances = np.array([0.0, 1.0, 2.0, 7.0])
    areas = np.array([80.0, 15.0, 4.0, 1.0])
    assert directed_percentile(distances, areas, 95) == 1
    assert directed_percentile(distances, areas, 95.1) == 2
    assert directed_percentile(distances, areas, 100) == 7


# --- where the image ends


def test_the_end_of_the_image_is_no_surface():
    shape = (20, 20, 10)
    through = box(shape, (5, 5, 0), (15, 15, 10))  # a limb, cut at both ends
    area = surface_elements(through, (1.0, 1.0, 1.0)).area_mm2.sum()
    assert area == pytest.approx((4 * 9 + 4 * np.sqrt(0.5)) * 9, rel=1e-6)
    everything = np.ones(shape, dtype=bool)
    assert surface_distances(everything, everything, (1.0, 1.0, 1.0)).reference_empty


def test_the_end_of_the_domain_is_no_surface():
    shape = (20, 20, 20)
    domain = box(shape, (0, 0, 0), (20, 20, 12))
    reference = box(shape, (5, 5, 5), (15, 15, 12))
    synthetic = box(shape, (5, 5, 5), (15, 15, 9))
    free = surface_distances(reference, synthetic, (1.0, 1.0, 1.0))
    cut = surface_distances(reference, synthetic, (1.0, 1.0, 1.0), domain=domain)
    assert free.reference_area_mm2.sum() > cut.reference_area_mm2.sum() + 80  # no lid
    assert cut.synthetic_area_mm2.sum() == pytest.approx(free.synthetic_area_mm2.sum())


def test_a_missing_surface_is_seen():
    mask = box((9, 9, 9), (3, 3, 3), (6, 6, 6))
    distances = surface_distances(mask, np.zeros_like(mask), SPACING)
    assert distances.synthetic_empty and not distances.reference_empty
    assert np.isinf(distances.from_reference_mm).all()


# --- properties and other implementations


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    factor=st.floats(0.5, 3),
)
def test_symmetry_and_scaling(seed, flips, factor):
    rng = np.random.default_rng(seed)
    a, b = blob(rng), blob(rng)
    axes = [axis for axis, flip in enumerate(flips) if flip]
    one = surface_distances(a, b, SPACING)
    swapped = surface_distances(b, a, SPACING)
    flipped = surface_distances(np.flip(a, axes), np.flip(b, axes), SPACING)
    scaled = surface_distances(a, b, tuple(factor * s for s in SPACING))
    for metric in (hd, hd95, assd):
        assert metric(swapped) == pytest.approx(metric(one))
        assert metric(flipped) == pytest.approx(metric(one))
        assert metric(scaled) == pytest.approx(factor * metric(one), rel=1e-5)
    assert hd(one) >= hd95(one) >= 0
    shares = [surface_dice(one, tolerance_mm=t) for t in (0, 1, 2, 4, hd(one))]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_an_exhaustive_search(seed):
    rng = np.random.default_rng(seed)
    mine, other = (surface_elements(blob(rng, (32, 30, 24)), SPACING) for _ in range(2))
    expected, _ = cKDTree(other.position_mm).query(mine.position_mm)
    np.testing.assert_allclose(distances_between(mine, other, SPACING), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    sizes=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    spread=st.tuples(*[st.sampled_from([0.0, 1.0, 30.0, 400.0])] * 3),
    apart=st.sampled_from([0.0, 5.0, 300.0]),
    edge=st.floats(0.7, 40),
)
def test_the_nearest_point_is_found_however_the_points_lie(seed, sizes, spread, apart, edge):
    rng = np.random.default_rng(seed)
    queries, points = (rng.random((n, 3)) * np.array(spread) for n in sizes)
    queries += apart
    expected, _ = cKDTree(points).query(queries)
    np.testing.assert_allclose(nearest_distances(queries, points, edge), expected, atol=1e-9)


def test_far_and_few_points_are_found_too(rng):
    """A speck far away from a whole surface: the search leaves its shells for the list."""
    ball_there = ball((60, 60, 60), (40, 40, 40), 14)
    speck = box((60, 60, 60), (2, 2, 2), (3, 3, 3))
    mine, other = (surface_elements(mask, (1.0, 1.0, 1.0)) for mask in (ball_there, speck))
    expected, _ = cKDTree(other.position_mm).query(mine.position_mm)
    np.testing.assert_allclose(distances_between(mine, other, (1.0, 1.0, 1.0)), expected)
    backward, _ = cKDTree(mine.position_mm).query(other.position_mm)
    np.testing.assert_allclose(distances_between(other, mine, (1.0, 1.0, 1.0)), backward)


def test_hausdorff_is_that_of_scipy_on_the_same_points(rng):
    a, b = blob(rng), blob(rng)
    points = [surface_elements(mask, SPACING).position_mm for mask in (a, b)]
    expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert hd(surface_distances(a, b, SPACING)) == pytest.approx(expected)


# --- many structures at once


def same_distances(one, other):
    for field in ("from_reference_mm", "from_synthetic_mm"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), atol=1e-9)
    assert hd95(one) == pytest.approx(hd95(other))
    assert assd(one) == pytest.approx(assd(other))


def test_many_structures_are_each_measured_as_alone(rng):
    shape = (30, 28, 26)
    reference = {f"s{n}": blob(rng, shape) for n in range(3)}
    synthetic = {name: np.roll(mask, 1, axis=0) for name, mask in reference.items()}
    domain = box(shape, (0, 0, 0), (30, 28, 20))
    found = surface_distances_of(reference, synthetic, SPACING, domain=domain)
    assert list(found) == list(reference)
    for name, distances in found.items():
        alone = surface_distances(reference[name], synthetic[name], SPACING, domain=domain)
        same_distances(distances, alone)


def test_label_maps_are_measured_like_their_masks(rng):
    shape = (24, 26, 28)
    reference = rng.integers(0, 2, (6, 13, 14)).repeat(4, 0).repeat(2, 1).repeat(2, 2)
    reference[4:20, 8:20, 8:20] = 7
    synthetic = np.roll(reference, 1, axis=2).astype(np.uint8)
    names = {7: "Bladder", 1: "Bone", 9: "Nowhere"}
    found = surface_distances_of(reference, synthetic, SPACING, names=names)
    assert list(found) == ["Bladder", "Bone", "Nowhere"]
    assert shape == reference.shape
    for label, name in names.items():
        alone = surface_distances(reference == label, synthetic == label, SPACING)
        if name == "Nowhere":
            assert found[name].reference_empty and found[name].synthetic_empty
        else:
            same_distances(found[name], alone)


def test_structures_that_do_not_match_are_refused():
    mask = box((9, 9, 9), (3, 3, 3), (6, 6, 6))
    with pytest.raises(InputError, match="Bone"):
        surface_distances_of({"Body": mask, "Bone": mask}, {"Body": mask}, SPACING)
    with pytest.raises(InputError, match="names"):
        surface_distances_of(mask.astype(int), mask.astype(int), SPACING)
    with pytest.raises(GeometryError, match="Label maps"):
        surface_distances_of(
            mask.astype(int), np.zeros((3, 3, 3), dtype=int), SPACING, names={1: "Bone"}
        )


def test_nothing_depends_on_the_order_of_the_memory(rng):
    a, b = blob(rng), blob(rng)
    plain = surface_distances(a, b, SPACING)
    other = surface_distances(np.asfortranarray(a), b[::-1][::-1], SPACING)
    same_distances(plain, other)
    far = np.pad(a, 9), np.pad(b, 9)
    grid = Grid(shape=far[0].shape, spacing_mm=SPACING)
    same = count_overlap(*far, grid)
    assert same.both == np.count_nonzero(a & b)
    centre = np.argwhere(far[0]).mean(axis=0) * SPACING
    np.testing.assert_allclose(same.reference_centre_mm, centre)


def test_hausdorff_95_is_that_of_monai_within_a_voxel(rng):
    """MONAI takes the centres of the outermost voxels, each counted once, and interpolates the
    percentile; here it is the area between voxels. They differ by less than a voxel."""
    import torch
    from monai.metrics import compute_hausdorff_distance

    shape = (48, 48, 32)
    reference = ball(shape, (22, 28, 40), 15, SPACING)
    synthetic = ball(shape, (25, 27, 42), 14, SPACING) | box(shape, (20, 20, 14), (24, 40, 20))
    distances = surface_distances(reference, synthetic, SPACING)
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in (reference, synthetic)]
    for percentile, ours in ((95, hd95(distances)), (100, hd(distances))):
        theirs = compute_hausdorff_distance(
            *tensors, include_background=True, percentile=percentile, spacing=SPACING
        )
        assert ours == pytest.approx(float(theirs), abs=max(SPACING))
