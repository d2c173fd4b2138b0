"""Checks without a reference: what must not matter to them, and what has no value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError
from qa_suite.core.volume import Grid, Volume, canonical
from qa_suite.metrics.base import Pair
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.reference_free import CHECKS, FAMILY, Patient, reference_free
from tests.reference_free_cases import (
    GRID,
    SETTINGS,
    SHAPE,
    hu,
    measured,
    mr_of,
    signal,
    tissue,
    value,
)


def test_nothing_of_the_reference_is_looked_at():
    rng = np.random.default_rng(2)
    image, source = hu(tissue()), signal(mr_of(tissue()))
    mask = np.ones(SHAPE, dtype=bool)
    one = Pair(reference=image, synthetic=image, mask=mask, source=source)
    other = Pair(
        reference=hu(rng.normal(0, 500, SHAPE)),
        synthetic=image,
        source=source,
        mask=rng.random(SHAPE) > 0.9,
        structures={"Rectum": rng.random(SHAPE) > 0.5},
        coverage=rng.random(SHAPE) > 0.5,
    )
    assert reference_free(one, SETTINGS) == reference_free(other, SETTINGS)


def test_the_order_of_the_arrays_axes_does_not_matter():
    image, source = hu(tissue()), signal(mr_of(tissue()))

    def turned(volume: Volume) -> Volume:
        """The same patient, stored with k along x from right to left, and so on."""
        array = np.ascontiguousarray(volume.array.transpose(2, 0, 1)[:, ::-1, :])
        axes = np.stack([GRID.axes[:, 2], -GRID.axes[:, 0], GRID.axes[:, 1]], axis=1)
        x, y, z = GRID.spacing_mm
        corner = GRID.to_world([SHAPE[0] - 1, 0, 0])
        grid = Grid(
            shape=array.shape,
            spacing_mm=(z, x, y),
            origin_mm=tuple(corner),
            direction=tuple(axes.ravel()),
        )
        return replace(volume, array=array, grid=grid)

    back = canonical(turned(image))
    assert back.grid.same_as(GRID)
    assert np.array_equal(back.array, image.array)
    one, other = measured(image, source), measured(turned(image), turned(source))
    for key, found in one.items():
        if found.value is not None:
            assert other[key].value == pytest.approx(found.value), key


def test_every_metric_has_a_row_for_every_region():
    rows = measured(hu(tissue()), signal(mr_of(tissue())))
    assert set(rows) == {(c.metric, region) for c in CHECKS.values() for region in c.regions}
    assert {c.metric for c in CHECKS.values()} == {
        entry.name for entry in METRICS if entry.facts.family == FAMILY
    }


def test_a_voxel_that_is_no_number():
    array = tissue()
    array[20, 15, 8], array[1, 1, 1] = np.nan, np.inf
    found = measured(hu(array), signal(mr_of(tissue())))
    assert value(found, "nonfinite_voxels", "all") == 2
    rest = [v for (metric, _), v in found.items() if "finite" in CHECKS[metric].needs]
    assert {v.status for v in rest} == {"error"}
    assert all("2 voxels of the synthetic image are not finite" in v.why for v in rest)
    source = mr_of(tissue())
    source[0, 0, 0] = np.nan
    found = measured(hu(tissue()), signal(source))
    assert found["source_body_dice", "body"].status == "error"
    assert found["muscle_level", "soft"].status == "ok"


@pytest.mark.parametrize(
    ("synthetic", "source", "metric", "why"),
    [
        (hu(tissue()), None, "source_body_dice", "there is no source"),
        (hu(tissue()), None, "slice_lag", "there is no source"),
        (hu(np.full(SHAPE, -1000.0)), None, "hu_range_99_9", "shows no body"),
        (hu(tissue()), signal(np.zeros(SHAPE)), "source_body_dice", "the source shows no body"),
        (hu(tissue()), None, "histogram_distance", "no norms"),
        (hu(tissue()), signal(mr_of(tissue())), "cycle_error", "no inverse"),
        (hu(tissue()), None, "sample_disagreement", "neither a std nor two samples"),
    ],
)
def test_what_is_not_there_is_undefined_with_its_reason(synthetic, source, metric, why):
    found = measured(synthetic, source)[metric, "body"]
    assert (found.status, found.value) == ("undefined", None)
    assert why in found.why


def test_a_body_without_air_around_it_has_no_air_error():
    found = measured(hu(np.full(SHAPE, 40.0)))["air_error", "air"]
    assert found.status == "undefined" and "fills the image" in found.why


def test_a_source_on_another_grid_is_refused():
    other = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 6.0))
    with pytest.raises(GeometryError, match="resample it first"):
        Patient(synthetic=hu(tissue()), source=signal(mr_of(tissue()), other))
