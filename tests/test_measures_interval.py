"""The promised interval: coverage by hand, the promise kept or not, and every empty case."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.uncertainty.family import uncertainty
from qa_suite.metrics.uncertainty.interval import BY_REGION, NO_INTERVAL, OF_BODY
from qa_suite.metrics.uncertainty.settings import UncertaintySettings

SHAPE = (10, 10, 10)
GRID = Grid(shape=SHAPE, spacing_mm=(2, 2, 3))
PROMISE = IntervalFacts(voxel_share=0.9, level=0.8, patients=12)


def volume(array, quantity="HU", grid=GRID) -> Volume:
    return Volume(array=np.asarray(array, dtype=np.float32), grid=grid, quantity=quantity)


def measured(error, half_width, *, reference=0.0, mask=None, promise=PROMISE, **more) -> dict:
    reference = np.broadcast_to(np.asarray(reference, dtype=float), SHAPE)
    synthetic = volume(reference + error)
    wide = None if half_width is None else volume(np.broadcast_to(half_width, SHAPE), **more)
    pair = Pair(
        reference=volume(reference),
        synthetic=synthetic,
        mask=np.ones(SHAPE, dtype=bool) if mask is None else mask,
        prediction=Prediction(
            mean=synthetic, half_width=wide, interval=None if wide is None else promise
        ),
    )
    rows = uncertainty(pair, UncertaintySettings())
    names = (*BY_REGION, *OF_BODY)
    return {(v.metric, v.region): v for v in rows if isinstance(v, Value) and v.metric in names}


@pytest.mark.parametrize(("inside", "kept"), [(899, 0.0), (900, 1.0), (1000, 1.0)])
def test_coverage_and_promise_by_hand(inside, kept):
    error = np.full(1000, 51.0)
    error[:inside] = -50.0  # the limit itself counts, on either side
    rows = measured(error.reshape(SHAPE), 50.0)
    assert rows["interval_coverage", "body"].value == pytest.approx(inside / 1000)
    assert rows["interval_kept", "body"].value == kept
    assert rows["interval_width", "body"].value == 100
    promised = [rows[f"interval_{n}", "body"].value for n in ("voxel_share", "level", "patients")]
    assert promised == [0.9, 0.8, 12]


def test_a_tissue_that_is_not_held_is_named():
    reference = np.full(SHAPE, 30.0)
    reference[:3] = 700
    error = np.where(reference > 250, 200.0, 10.0)
    half_width = np.where(reference > 250, 100.0, 20.0)
    rows = measured(error, half_width, reference=reference)
    assert rows["interval_coverage", "bone"].value == 0
    assert rows["interval_coverage", "soft"].value == 1
    assert rows["interval_coverage", "body"].value == pytest.approx(0.7)
    assert rows["interval_width", "bone"].value == 200
    assert rows["interval_width", "body"].value == pytest.approx(0.3 * 200 + 0.7 * 40)
    assert rows["interval_width", "air"].status == "undefined"
    assert ("interval_kept", "bone") not in rows


def test_scaling_errors_and_interval_alike_changes_no_coverage():
    rng = np.random.default_rng(3)
    error, half_width = rng.normal(0, 30, SHAPE), rng.uniform(5, 60, SHAPE)
    one, four = (measured(f * error, f * half_width) for f in (1, 4))
    assert one["interval_coverage", "body"].value == four["interval_coverage", "body"].value
    widths = [rows["interval_width", "body"].value for rows in (one, four)]
    assert widths[1] == pytest.approx(4 * widths[0])


def test_only_the_body_counts():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:5] = True
    error = np.where(mask, 10.0, 900.0)
    assert measured(error, 20.0, mask=mask)["interval_coverage", "body"].value == 1


def test_without_an_interval_every_row_says_so():
    rows = measured(np.zeros(SHAPE), None)
    assert len(rows) == 2 * 4 + 4
    assert {(v.status, v.why) for v in rows.values()} == {("undefined", NO_INTERVAL)}


@pytest.mark.parametrize(
    ("error", "half_width", "status", "why"),
    [
        (0.0, -1.0, "error", "half width of 1 of 1000 voxels is no number from 0"),
        (0.0, np.nan, "error", "half width of 1 of 1000"),
        (0.0, np.inf, "error", "half width of 1 of 1000"),
        (np.nan, 5.0, "error", "1 of 1000 voxels are not finite"),
    ],
)
def test_what_is_no_number_is_an_error(error, half_width, status, why):
    errors, widths = np.zeros(SHAPE), np.ones(SHAPE)
    errors[0, 0, 0], widths[0, 0, 0] = error, half_width
    for metric in (*BY_REGION, *OF_BODY):
        row = measured(errors, widths)[metric, "body"]
        assert row.status == status and why in row.why


def test_a_half_width_of_nothing_holds_what_is_exact():
    rows = measured(np.zeros(SHAPE), 0.0)
    assert rows["interval_coverage", "body"].value == 1
    assert rows["interval_width", "body"].value == 0


def test_an_empty_mask_is_undefined():
    rows = measured(np.zeros(SHAPE), 5.0, mask=np.zeros(SHAPE, dtype=bool))
    assert {v.status for v in rows.values()} == {"undefined"}


def test_a_half_width_elsewhere_or_in_another_unit_is_refused():
    with pytest.raises(InputError, match=r"the half width in SUVbw .* errors in HU"):
        measured(np.zeros(SHAPE), 5.0, quantity="SUVbw")
    other = Grid(shape=SHAPE, spacing_mm=(2, 2, 3), origin_mm=(9, 0, 0))
    with pytest.raises(GeometryError, match="the half width"):
        measured(np.zeros(SHAPE), 5.0, grid=other)
