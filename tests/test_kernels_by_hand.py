"""The compiled loops on arrays so small that each answer is had by hand or by trying everything.

They run without compiling too (``NUMBA_DISABLE_JIT=1``), which is how ``make mutants`` plants
faults in the loops.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import dvh_of
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma
from qa_suite.dose.gamma.search import _touching
from qa_suite.dose.range.raytrace_kernels import walk
from qa_suite.dose.structures.samples import MaskStructure
from qa_suite.imaging.distance import distance_to
from qa_suite.imaging.nearest import nearest_distances
from qa_suite.metrics.image.ssim import local_similarity

# --- rays: voxel i reaches from i − ½ to i + ½, and the whole segment has length 1

FIELD = np.zeros((4, 3, 2))
FIELD[:, 1, 0] = [1.0, 2.0, 4.0, 0.0]
FIELD[1, :, 1] = [8.0, 16.0, 32.0]


@pytest.mark.parametrize(
    ("start", "end", "integral", "left"),
    [
        ((-0.5, 1, 0), (3.5, 1, 0), 7 / 4, 3 / 4),  # four voxels, the last one empty
        ((3.5, 1, 0), (-0.5, 1, 0), 7 / 4, 1.0),
        ((-1.5, 1, 0), (2.5, 1, 0), 7 / 4, 1.0),  # a voxel's length outside
        ((0, 1, 0), (1, 1, 0), 1.5, 1.0),
        ((1, 1, 0), (0, 1, 0), 1.5, 1.0),
        ((0, 1, 0), (0.25, 1, 0), 1.0, 1.0),  # within one voxel
        ((1, -0.5, 1), (1, 2.5, 1), 56 / 3, 1.0),
        ((1, 2.5, 1), (1, -0.5, 1), 56 / 3, 1.0),
        ((1, 1, -0.5), (1, 1, 1.5), 9.0, 1.0),
        ((1, 1, 1.5), (1, 1, -0.5), 9.0, 1.0),
        ((3, 0, 0), (3, 2, 0), 0.0, -1.0),  # through nothing
        ((-0.6, -1, 0), (-0.6, 3, 0), 0.0, -1.0),  # beside the field
        ((0, 2.5, 0), (3, 2.5, 0), 0.0, -1.0),  # on its far face, which is outside
        ((5, 1, 0), (9, 1, 0), 0.0, -1.0),  # before it begins
        ((1.5, 1, 0), (3.5, 1, 0), 2.0, 0.5),  # from the face between two voxels
        ((1.5, 1, 0), (-0.5, 1, 0), 1.5, 1.0),
        ((3.5, 1, 1), (3.5, 1, 0), 0.0, -1.0),  # along the far face, which is outside
        ((1, 2.5, 1.25), (1, 2.5, 0.75), 0.0, -1.0),  # and beside a voxel that is not empty
        ((1, -0.5, 1.25), (1, -0.5, 0.75), 8.0, 1.0),  # along the near face, which is inside
        ((0, 0, 1), (2, 2, 1), 16 / 2, 3 / 4),  # diagonal: half of it in (1, 1, 1)
    ],
)
def test_rays_through_few_voxels(start, end, integral: float, left: float) -> None:
    assert walk(FIELD, *map(float, (*start, *end))) == pytest.approx((integral, left), abs=1e-12)


# --- distances


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_distances_are_those_of_trying_every_voxel(seed: int, spacing) -> None:
    mask = np.random.default_rng(seed).random((4, 5, 6)) < 0.08
    mask[3, 0, 2] = True
    places = np.argwhere(np.ones_like(mask)) * spacing
    marked = np.argwhere(mask) * spacing
    wanted = np.sqrt(((places[:, None] - marked) ** 2).sum(-1)).min(1).reshape(mask.shape)
    np.testing.assert_allclose(distance_to(mask, spacing), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("many", "edge", "spread"),
    [
        (12, 1.0, 4.0),
        (12, 0.3, 9.0),
        (40, 0.5, 1.0),
        (2, 0.2, 5.0),
        (300, 1.0, 6.0),
        (60, 1.0, 6.0),
    ],
)
def test_the_nearest_is_that_of_trying_every_point(many: int, edge: float, spread: float) -> None:
    rng = np.random.default_rng(many)
    points, queries = rng.random((many, 3)) * spread, rng.random((40, 3)) * spread
    queries[0] = points[-1]
    wanted = np.sqrt(((queries[:, None] - points) ** 2).sum(-1)).min(1)
    np.testing.assert_allclose(nearest_distances(queries, points, edge), wanted, atol=1e-12)


# --- structural similarity, by the definition


@pytest.mark.parametrize("unbiased", [True, False])
def test_similarity_is_its_definition(unbiased: bool) -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.random((5, 6, 4)).astype(np.float32) for _ in range(2))
    mask = rng.random(a.shape) < 0.4
    mask[2] = False
    mask[:, 3] = False
    found = local_similarity(a, b, mask, data_range=1.5, window=3, sample_covariance=unbiased)

    def mean(image: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(image.astype(float), 3, mode="constant")

    c1, c2, factor = (0.01 * 1.5) ** 2, (0.03 * 1.5) ** 2, 27 / 26 if unbiased else 1.0
    ux, uy = mean(a), mean(b)
    vx, vy, vxy = (factor * (mean(p * q) - mean(p) * mean(q)) for p, q in ((a, a), (b, b), (a, b)))
    luminance = (2 * ux * uy + c1) / (ux**2 + uy**2 + c1)
    structure = (2 * vxy + c2) / (vx + vy + c2)
    np.testing.assert_allclose(found.luminance, luminance[mask], rtol=1e-5)
    np.testing.assert_allclose(found.structure, structure[mask], rtol=1e-4, atol=1e-5)


# --- dose to volumes


SMALL = Grid(shape=(6, 5, 4), spacing_mm=(2.0, 2.0, 2.0))


def volume_of(array: np.ndarray) -> Volume:
    return Volume(array=array.astype(np.float32), grid=SMALL, quantity="Gy")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_in_a_ramp_holds_every_dose_alike(axis: int) -> None:
    """Dose i Gy at voxel i: a box of voxels 1 and 2 holds 0.5 to 2.5 Gy, evenly."""
    ramp = np.indices(SMALL.shape)[axis].astype(float)
    mask = np.zeros(SMALL.shape, dtype=bool)
    mask[tuple(slice(1, 3) for _ in range(3))] = True
    dvh = dvh_of(volume_of(ramp), MaskStructure(name="box", mask=mask, grid=SMALL))
    assert dvh.mean_gy == pytest.approx(1.5, abs=1e-6)
    assert (dvh.min_gy, dvh.max_gy) == pytest.approx((0.5, 2.5), abs=0.02)
    found = [dvh.dose_at_volume_pct(share) for share in (10, 25, 50, 75, 90)]
    assert found == pytest.approx([2.3, 2.0, 1.5, 1.0, 0.7], abs=0.02)
    assert dvh.volume_cc == pytest.approx(8 * 0.008)


def test_beyond_the_last_centre_is_the_last_voxels_dose() -> None:
    """Dose i Gy at voxel i: the inner half of voxel 5 holds 4.5 to 5 Gy, the outer half 5 Gy."""
    ramp = np.indices(SMALL.shape)[0].astype(float)
    mask = np.zeros(SMALL.shape, dtype=bool)
    mask[5, 1:3, 1:3] = True
    dvh = dvh_of(volume_of(ramp), MaskStructure(name="box", mask=mask, grid=SMALL))
    assert dvh.mean_gy == pytest.approx((4.75 + 5) / 2, abs=0.01)
    assert (dvh.min_gy, dvh.max_gy) == pytest.approx((4.5, 5.0), abs=0.1)


def test_a_step_of_dose_halves_a_box() -> None:
    step = np.zeros(SMALL.shape)
    step[3:] = 20.0
    mask = np.zeros(SMALL.shape, dtype=bool)
    mask[1:5, 1:3, 1:3] = True
    dvh = dvh_of(volume_of(step), MaskStructure(name="box", mask=mask, grid=SMALL))
    assert dvh.mean_gy == pytest.approx(10.0, abs=0.02)
    assert dvh.volume_at_dose_gy(10.0)[0] == pytest.approx(50, abs=1)
    assert (dvh.min_gy, dvh.max_gy) == pytest.approx((0, 20), abs=1e-3)


# --- gamma


@pytest.mark.parametrize(
    ("position", "cells"),
    [
        (0.0, (0, 0)), (1.0, (0, 1)), (2.0, (1, 2)), (3.0, (2, 2)),  # a voxel lies in two
        (-0.4, (0, 0)), (0.5, (0, 0)), (1.5, (1, 1)), (2.9, (2, 2)), (3.4, (2, 2)),
    ],
)  # fmt: skip
def test_the_cells_that_touch_a_position(position: float, cells: tuple[int, int]) -> None:
    """Of four voxels: cell n lies between voxels n and n + 1."""
    assert _touching(position, 4) == cells


@pytest.mark.parametrize("mode", ["trilinear", "simplex"])
@pytest.mark.parametrize("gradient", [(1.0, 0.0, 0.0), (0.0, -0.5, 0.0), (0.3, 0.4, -0.6)])
def test_gamma_of_a_ramp_is_the_distance_from_a_plane(mode: str, gradient) -> None:
    """|e| / sqrt(dose² + |grad|² distance²), with 1 Gy and 1 mm."""
    grid = Grid(shape=(5, 5, 5), spacing_mm=(2.0, 1.5, 2.5))
    index = np.indices(grid.shape).astype(float)
    ramp = 40 + sum(g * s * i for g, s, i in zip(gradient, grid.spacing_mm, index, strict=True))
    first, second = (
        Volume(array=(ramp + off).astype(np.float32), grid=grid, quantity="Gy") for off in (0, 0.6)
    )
    criterion = GammaCriterion(dose_pct=2, distance_mm=1)
    (found,) = gamma(first, second, [criterion], GammaSettings(mode=mode, normalisation=50.0))
    wanted = 0.6 / np.sqrt(1 + np.sum(np.square(gradient)))
    assert found.values[2, 2, 2] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_point_of_a_fine_grid_has_a_lower_gamma(seed: int) -> None:
    """The exact search is never above, and hardly below, the best of 21³ points a cell."""
    rng = np.random.default_rng(seed)
    grid = Grid(shape=(3, 3, 3), spacing_mm=(2.0, 2.5, 3.0))
    first, second = (20 + rng.normal(0, 0.5, grid.shape) for _ in range(2))
    volumes = [
        Volume(array=image.astype(np.float32), grid=grid, quantity="Gy")
        for image in (first, second)
    ]
    criterion = GammaCriterion(dose_pct=2, distance_mm=2)
    (found,) = gamma(*volumes, [criterion], GammaSettings(normalisation=20.0))
    fine = np.stack(np.meshgrid(*[np.linspace(0, 2, 41)] * 3, indexing="ij"))
    doses = ndimage.map_coordinates(volumes[1].array.astype(float), fine, order=1)
    spacing = np.array(grid.spacing_mm).reshape(3, 1, 1, 1)
    for place in np.ndindex(grid.shape):
        away = ((fine - np.reshape(place, (3, 1, 1, 1))) * spacing / 2) ** 2
        off = (doses - float(volumes[0].array[place])) / (0.02 * 20)
        best = float(np.sqrt(away.sum(0) + off**2).min())
        assert best - 0.05 <= found.values[place] <= best + 1e-4
