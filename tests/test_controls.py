"""Controls of the unpaired families: known answers, and a translator that ignores its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.controls import (
    another_source,
    compare_with_controls,
    control_table,
    masked_mae,
    mean_image,
    threshold_dice,
)
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image
from tests.tiny_cohort import make_tiny_cohort, pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    return make_tiny_cohort(folder, "tttsssss")


def _knows(folder: Path, cohort: Cohort):
    """A translator that recognises the source and answers with its own reference."""
    known = [
        (read_image(folder / case.source, "arbitrary").array, folder / str(case.reference))
        for case in cohort.cases
    ]

    def translate(source: Volume) -> Prediction:
        reference = next(file for array, file in known if np.array_equal(array, source.array))
        return Prediction(mean=read_image(reference, "HU"))

    return translate


def test_error_and_dice_of_arrays_known_by_hand() -> None:
    reference = np.array([0.0, 300.0, 300.0, 900.0, 5000.0])
    found = np.array([10.0, 200.0, 100.0, 900.0, -5000.0])
    mask = np.array([True, True, True, True, False])
    assert masked_mae(found, reference, mask) == pytest.approx((10 + 100 + 200) / 4)
    assert threshold_dice(found, reference, mask) == pytest.approx(2 * 2 / (2 + 3))


def test_a_translator_that_knows_the_truth_beats_both_controls(
    folder: Path, cohort: Cohort
) -> None:
    found = compare_with_controls(cohort, folder, _knows(folder, cohort))
    assert [(c.measure, c.control) for c in found] == [
        ("MAE", "mean"),
        ("MAE", "shuffled"),
        ("Dice", "mean"),
        ("Dice", "shuffled"),
    ]
    assert all(c.beaten and c.difference.n == 5 for c in found)
    assert found[0].translator == 0 and found[2].translator == 1
    assert found[0].difference.estimate == pytest.approx(-found[0].other)
    table = control_table({"knows": found})
    assert table.count("\n") == 4 and "| knows | mean | 5 | 0.0 against " in table
    assert table.count(" beaten ") == 4


def test_a_translator_that_ignores_its_source_beats_neither(folder: Path, cohort: Cohort) -> None:
    mean = mean_image(cohort, folder)
    found = compare_with_controls(
        cohort, folder, lambda source: Prediction(mean=mean), mean=mean, dice_at=None
    )
    assert [c.measure for c in found] == ["MAE", "MAE"]
    assert all(c.difference.estimate == 0 and not c.beaten for c in found)


def test_the_mean_image_is_the_mean_of_the_training_references(
    folder: Path, cohort: Cohort
) -> None:
    expected = np.mean([pair(number)[1].array for number in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(mean_image(cohort, folder).array, expected, atol=0.01)
    halved = mean_image(
        cohort,
        folder,
        reference_of=lambda loaded: loaded.reference.array / 2,  # type: ignore[union-attr]
    )
    np.testing.assert_allclose(halved.array, expected / 2, atol=0.01)


def test_sources_are_exchanged_within_the_site_and_never_within_a_patient(cohort: Cohort) -> None:
    cases = cohort.in_split("test")
    by_name = {case.case: case for case in cases}
    chosen = another_source(cases)
    assert set(chosen) == set(by_name)
    for name, other in chosen.items():
        assert by_name[name].patient != by_name[other].patient
        assert by_name[name].site == by_name[other].site
    same = [case.model_copy(update={"patient": "one"}) for case in cases]
    with pytest.raises(InputError, match="two patients; all cases are of one"):
        another_source(same)


def test_what_cannot_be_measured_is_said(folder: Path, cohort: Cohort) -> None:
    one, mask = np.zeros(3), np.ones(3, dtype=bool)
    with pytest.raises(InputError, match="mask is empty"):
        masked_mae(one, one, ~mask)
    with pytest.raises(InputError, match="image has 1 voxels inside the mask that are NaN"):
        masked_mae(np.array([0, np.nan, 0]), one, mask)
    with pytest.raises(InputError, match="no voxel at or above 200"):
        threshold_dice(one, one, mask)
    with pytest.raises(InputError, match="one shape"):
        masked_mae(np.zeros(2), one, mask)
    with pytest.raises(InputError, match="no calibration case"):
        mean_image(cohort, folder, split="calibration")
    small = Grid(shape=(4, 4, 4), spacing_mm=(8.0, 8.0, 8.0))
    elsewhere = Volume(array=np.zeros(small.shape, np.float32), grid=small, quantity="HU")
    with pytest.raises(GeometryError):
        compare_with_controls(cohort, folder, _knows(folder, cohort), mean=elsewhere)


def test_where_patients_lie_on_no_common_grid_only_nulls_are_compared_with(
    folder: Path, cohort: Cohort
) -> None:
    found = compare_with_controls(
        cohort,
        folder,
        _knows(folder, cohort),
        nulls={"air": lambda loaded: np.full(loaded.source.array.shape, -1000.0)},
        on_one_grid=False,
    )
    assert [(c.measure, c.control) for c in found] == [("MAE", "air"), ("Dice", "air")]
    assert all(c.beaten for c in found)
    with pytest.raises(InputError, match="no common grid need nulls"):
        compare_with_controls(cohort, folder, _knows(folder, cohort), on_one_grid=False)
