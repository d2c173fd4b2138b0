"""What a registered model answers, as the examiner reads it."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.evaluation.model_answers import prediction_of
from qa_suite.io.dicom.series import quantity_of_modality

SHAPE = (5, 4, 3)
SOURCE = Volume(
    array=np.zeros(SHAPE), grid=Grid(shape=SHAPE, spacing_mm=(2, 2, 3)), quantity="arbitrary"
)
PROMISE = {"voxel_share": 0.9, "level": 0.8, "patients": 12}


def full(value, *more):
    return np.full((*more, *SHAPE), value)


def test_everything_that_a_model_may_answer_arrives():
    answer = {
        "mean": full(1.0),
        "std": full(2.0),
        "samples": full(3.0, 4),
        "half_width": full(5.0),
        "interval": PROMISE,
        "cost": {"network_evaluations": np.float32(24), "steps": 4},
    }
    found = prediction_of(answer, SOURCE, "HU")
    assert found.mean.array.dtype == np.float32
    assert found.mean.grid == SOURCE.grid
    assert {v.quantity for v in (found.mean, found.std, found.half_width, *found.samples)} == {"HU"}
    assert [s.array.mean() for s in found.samples] == [3.0] * 4
    assert (found.interval.voxel_share, found.interval.level, found.interval.patients) == (
        0.9,
        0.8,
        12,
    )
    assert found.cost == {"network_evaluations": 24.0, "steps": 4.0}


def test_a_mean_is_enough():
    found = prediction_of({"mean": full(1.0)}, SOURCE, "SUVbw")
    assert (found.std, found.samples, found.half_width, found.interval) == (None, (), None, None)
    assert found.cost == {}


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({}, "no 'mean'"),
        ({"mean": np.zeros((5, 4, 2))}, r"'mean' of shape \(5, 4, 2\)"),
        ({"mean": full(0), "samples": np.zeros((2, 5, 4, 2))}, r"'samples' of shape \(5, 4, 2\)"),
        ({"mean": full(0), "half_width": full(1)}, "half_width alone"),
        (
            {"mean": full(0), "half_width": full(1), "interval": {"level": 0.9}},
            "wrong or missing: patients, voxel_share",
        ),
        ({"mean": full(0), "cost": {"seconds": 3}}, "Unknown cost 'seconds'"),
    ],
)
def test_what_cannot_be_read_is_named(answer, word):
    with pytest.raises(InputError, match=word):
        prediction_of(answer, SOURCE, "HU")


def test_a_modality_that_nobody_knows_is_refused_and_not_taken_for_an_mr():
    assert [quantity_of_modality(m) for m in ("CT", "CBCT", "MR", "PT")] == [
        "HU",
        "HU",
        "arbitrary",
        "SUVbw",
    ]
    with pytest.raises(InputError, match=r"Unknown modality 'US'; known: CT, CBCT, MR, PT"):
        quantity_of_modality("US")
