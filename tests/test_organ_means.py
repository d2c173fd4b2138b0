"""The organ-mean null of a PET: known answers, and a translator that is held against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.controls import compare_with_controls
from benchmarks.organ_means import TISSUES, labels_of, organ_means, structures_of, tissues_of
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Volume
from qa_suite.io.cases import load_case
from qa_suite.io.images import read_image
from tests.direction_cohorts import lesion, make_direction_cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    """Two train patients, three test patients."""
    made = make_direction_cohort(folder, "MR->PT", patients=5)
    cases = tuple(
        case.model_copy(update={"split": "train" if number < 2 else "test"})
        for number, case in enumerate(made.cases)
    )
    return made.model_copy(update={"cases": cases})


@pytest.mark.parametrize("divide", [structures_of, tissues_of])
def test_every_voxel_has_one_part_and_the_smaller_structure_wins(
    divide, folder: Path, cohort: Cohort
) -> None:
    loaded = load_case(cohort, cohort.cases[0], folder)
    parts = divide(loaded)
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in parts.values()), 1)
    np.testing.assert_array_equal(parts["GTV"], lesion())
    np.testing.assert_array_equal(parts["outside"], ~loaded.mask)  # type: ignore[operator]


def test_tissues_are_thirds_of_the_body_by_signal(folder: Path, cohort: Cohort) -> None:
    loaded = load_case(cohort, cohort.cases[0], folder)
    bare = type(loaded)(case=loaded.case, source=loaded.source, mask=loaded.mask)
    thirds = [tissues_of(bare)[name] for name in TISSUES]
    sizes = [mask.sum() for mask in thirds]
    assert max(sizes) - min(sizes) <= 2
    highest = [loaded.source.array[mask].max() for mask in thirds]
    assert highest == sorted(highest)


def test_means_are_of_patients_alike_and_painted_where_the_organ_is(
    folder: Path, cohort: Cohort
) -> None:
    null = organ_means(cohort, folder)
    pets = [read_image(folder / str(c.reference), "SUVbw").array for c in cohort.cases[:2]]
    expected = np.mean([pet[lesion()].mean() for pet in pets])
    assert null.means["GTV"] == pytest.approx(expected, rel=1e-6)
    test = load_case(cohort, cohort.cases[2], folder)
    image = null.image(test)
    assert set(np.unique(image[lesion()])) == {np.float32(expected)}
    assert len(np.unique(image)) == len(null.means) == 4


def test_structures_that_only_the_pet_shows_are_not_told(folder: Path, cohort: Cohort) -> None:
    loaded = load_case(cohort, cohort.cases[0], folder)
    assert "GTV" not in structures_of(loaded, without=("GTV",))


def test_a_null_cannot_beat_one_who_knows_and_is_not_beaten_by_itself(
    folder: Path, cohort: Cohort
) -> None:
    null = organ_means(cohort, folder)
    by_source = {
        read_image(folder / case.source, "arbitrary").array.tobytes(): case for case in cohort.cases
    }

    def knows(source: Volume) -> Prediction:
        case = by_source[source.array.tobytes()]
        return Prediction(mean=read_image(folder / str(case.reference), "SUVbw"))

    def guesses(source: Volume) -> Prediction:
        loaded = load_case(cohort, by_source[source.array.tobytes()], folder)
        image = null.image(loaded)
        return Prediction(mean=Volume(array=image, grid=source.grid, quantity="SUVbw"))

    settings = {
        "dice_at": None,
        "nulls": {"organ means": null.image},
        "structures": ("GTV", "Bladder"),
    }
    found = compare_with_controls(cohort, folder, knows, **settings)  # type: ignore[arg-type]
    rows = {(c.measure, c.control): c for c in found}
    assert {c.measure for c in found} == {"MAE", "mean of GTV"}, "nobody has a bladder here"
    assert all(c.unit == "SUVbw" and c.translator == 0 and c.difference.n == 3 for c in found)
    assert rows["MAE", "organ means"].beaten
    itself = compare_with_controls(cohort, folder, guesses, **settings)  # type: ignore[arg-type]
    rows = {(c.measure, c.control): c for c in itself}
    for measure in ("MAE", "mean of GTV"):
        assert rows[measure, "organ means"].difference.estimate == 0
        assert not rows[measure, "organ means"].beaten


def test_what_cannot_be_known_is_said(folder: Path, cohort: Cohort) -> None:
    loaded = load_case(cohort, cohort.cases[2], folder)
    with pytest.raises(InputError, match="no true labels"):
        labels_of(loaded)
    with pytest.raises(InputError, match="no calibration case with a reference"):
        organ_means(cohort, folder, split="calibration")
    bare = tuple(c.model_copy(update={"structures": {}}) for c in cohort.cases)
    null = organ_means(cohort.model_copy(update={"cases": bare}), folder)
    with pytest.raises(InputError, match="has Muscle, and no training patient had it"):
        null.image(loaded)
