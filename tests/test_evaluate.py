"""Evaluation: resumable, honest about what failed, the same on one worker and on several."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.cohort import load_cohort, save_cohort
from qa_suite.core.errors import InputError, LeakageError, Problems
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import (
    CASES_FILE,
    CURVES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    read_evaluation,
    read_measurements,
)
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.io.cases import LoadedCase
from qa_suite.io.images import read_image, write_image
from qa_suite.preflight import PreflightSettings
from tests.tiny_cohort import make_tiny_cohort

TABLES = (MEASUREMENTS_FILE, CASES_FILE, CURVES_FILE)
QUICK = PreflightSettings(estimate_alignment=False)
MODEL = ModelFacts(uri="test:noisy", name="noisy", family="test")


def noisy(loaded: LoadedCase) -> Prediction:
    """The reference with noise that depends on the case alone."""
    assert loaded.reference is not None
    rng = np.random.default_rng(int(loaded.case.case.removeprefix("case")))
    noise = rng.normal(0, 20, loaded.reference.array.shape).astype(np.float32)
    return Prediction(mean=loaded.reference.with_array(loaded.reference.array + noise))


def examination(folder: Path, translate=noisy, **settings) -> Examination:
    return Examination(
        cohort=load_cohort(folder),
        folder=folder,
        model=settings.pop("model", MODEL),
        translate=translate,
        settings=EvaluationSettings(preflight=QUICK, **settings),
    )


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(folder, "tvssss")
    return folder


@pytest.fixture(scope="module")
def undisturbed(cohort_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    evaluate(examination(cohort_folder), out)
    return out


def table_bytes(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


def essence(folder: Path) -> dict:
    data = json.loads((folder / EVALUATION_FILE).read_text())
    del data["when"]
    return data


def test_the_record_says_what_was_measured(undisturbed):
    evaluation = read_evaluation(undisturbed)
    assert evaluation.case_counts == {
        "imported": 6,
        "import_failed": 0,
        "held_out": 4,
        "refused": 0,
        "failed": 0,
        "evaluated": 4,
    }
    table = read_measurements(undisturbed)
    mae = table[(table["metric"] == "mae") & (table["region"] == "body")]
    # The mean of |N(0, 20)| is 20·√(2/π) = 15.96.
    assert mae["value"].to_numpy() == pytest.approx(15.96, abs=0.5)
    assert set(mae["unit"]) == {"HU"}


def test_a_second_run_gives_the_same_bytes(cohort_folder, undisturbed, tmp_path):
    evaluate(examination(cohort_folder), tmp_path)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)
    assert essence(tmp_path) == essence(undisturbed)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_evaluate import examination, noisy
from qa_suite.evaluation.evaluate import evaluate

def killed(loaded):
    if loaded.case.case == "case5":
        os.kill(os.getpid(), signal.SIGKILL)
    return noisy(loaded)

evaluate(examination(Path(sys.argv[1]), killed), Path(sys.argv[2]))
"""


def test_a_killed_run_carries_on_to_the_same_record(cohort_folder, undisturbed, tmp_path):
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(cohort_folder), str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (tmp_path / EVALUATION_FILE).exists()
    finished = {path.stem for path in (tmp_path / "journal").glob("case-*.json")}
    assert finished == {"case-case3", "case-case4"}

    repeated = []

    def watched(loaded: LoadedCase) -> Prediction:
        repeated.append(loaded.case.case)
        return noisy(loaded)

    evaluate(examination(cohort_folder, watched), tmp_path)
    assert repeated == ["case5", "case6"]
    assert table_bytes(tmp_path) == table_bytes(undisturbed)
    assert essence(tmp_path) == essence(undisturbed)


def test_half_a_journal_file_is_done_again(cohort_folder, undisturbed, tmp_path):
    evaluate(examination(cohort_folder), tmp_path)
    (tmp_path / EVALUATION_FILE).unlink()
    entry = tmp_path / "journal" / "case-case4.json"
    entry.write_text(entry.read_text()[:100])
    evaluate(examination(cohort_folder), tmp_path)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)


def test_another_evaluation_may_not_carry_on_in_the_folder(cohort_folder, tmp_path):
    evaluate(examination(cohort_folder), tmp_path)
    other = examination(cohort_folder, keep_volumes="none")
    with pytest.raises(InputError, match="another evaluation"):
        evaluate(other, tmp_path)


def test_a_case_that_raises_is_a_measurement_and_the_run_goes_on(cohort_folder, tmp_path):
    def fails_once(loaded: LoadedCase) -> Prediction:
        if loaded.case.case == "case4":
            raise RuntimeError("the network\nexploded")
        return noisy(loaded)

    evaluation = evaluate(examination(cohort_folder, fails_once), tmp_path)
    assert evaluation.case_counts["failed"] == 1
    assert evaluation.case_counts["evaluated"] == 3
    table = read_measurements(tmp_path)
    (row,) = table[table["case"] == "case4"].to_dict(orient="records")
    assert (row["metric"], row["status"]) == ("translation", "error")
    assert row["why"] == "RuntimeError: the network exploded"
    assert {r.case: r.status for r in read_cases(tmp_path)}["case4"] == "failed"


def test_nan_in_the_synthetic_image_never_becomes_a_number(cohort_folder, tmp_path):
    def holes(loaded: LoadedCase) -> Prediction:
        prediction = noisy(loaded)
        array = prediction.mean.array.copy()
        array[15:25, 12:20, 5] = np.nan
        return Prediction(mean=prediction.mean.with_array(array))

    evaluate(examination(cohort_folder, holes), tmp_path)
    table = read_measurements(tmp_path)
    mae = table[(table["metric"] == "mae") & (table["region"] == "body")]
    assert set(mae["status"]) == {"error"}
    assert mae["value"].isna().all()


def test_an_answer_on_another_grid_fails_its_case(cohort_folder, tmp_path):
    def shifted(loaded: LoadedCase) -> Prediction:
        from dataclasses import replace

        mean = noisy(loaded).mean
        grid = replace(mean.grid, origin_mm=(0.0, 0.0, 0.0))
        return Prediction(mean=replace(mean, grid=grid))

    evaluation = evaluate(examination(cohort_folder, shifted), tmp_path)
    assert evaluation.case_counts["failed"] == 4
    assert "grid" in read_cases(tmp_path)[0].reason


def test_refused_cases_stay_with_their_reason(tmp_path):
    folder = tmp_path / "cohort"
    cohort = make_tiny_cohort(folder, "tss")
    case = cohort.cases[1]
    mask = read_image(folder / case.mask, "label")
    write_image(mask.with_array(np.zeros_like(mask.array)), folder / case.mask)
    evaluation = evaluate(examination(folder), tmp_path / "out")
    assert evaluation.case_counts["refused"] == 1
    record = {r.case: r for r in read_cases(tmp_path / "out")}[case.case]
    assert record.status == "refused"
    assert "mask" in record.reason
    assert case.case not in set(read_measurements(tmp_path / "out")["case"])


def test_an_unreadable_file_refuses_its_case(tmp_path):
    folder = tmp_path / "cohort"
    cohort = make_tiny_cohort(folder, "tss")
    path = folder / cohort.cases[2].source
    path.write_bytes(path.read_bytes()[:200])
    evaluation = evaluate(examination(folder), tmp_path / "out")
    assert evaluation.case_counts["refused"] == 1
    reason = read_cases(tmp_path / "out")[1].reason
    assert "case3_source.nii.gz is cut off" in reason
    assert str(tmp_path) not in reason


def test_cases_that_were_not_imported_are_counted_and_named(tmp_path):
    folder = tmp_path / "cohort"
    cohort = make_tiny_cohort(folder, "tss")
    broken = cohort.cases[0].model_copy(
        update={"split": None, "import_problem": "its CT series is truncated"}
    )
    save_cohort(cohort.model_copy(update={"cases": (broken, *cohort.cases[1:])}), folder)
    evaluation = evaluate(examination(folder), tmp_path / "out")
    assert evaluation.case_counts["import_failed"] == 1
    assert "truncated" in read_cases(tmp_path / "out")[0].reason


@pytest.mark.parametrize(
    ("known", "of_case"),
    [
        ("training_patients", lambda case: case.patient),
        ("training_voxel_hashes", lambda case: case.voxel_hashes["reference"]),
        ("training_fingerprints", lambda case: case.fingerprints["source"]),
    ],
)
def test_examining_on_training_patients_is_refused_or_marked(
    cohort_folder, tmp_path, known, of_case
):
    (case,) = (c for c in load_cohort(cohort_folder).cases if c.case == "case4")
    model = MODEL.model_copy(update={known: (of_case(case),)})
    with pytest.raises(LeakageError, match="1 of the examined cases: case4;"):
        evaluate(examination(cohort_folder, model=model), tmp_path / "a")
    allowed = evaluate(examination(cohort_folder, model=model, allow_leakage=True), tmp_path / "b")
    assert "case4" in allowed.notices[0]
    assert "held-out" in allowed.notices[0]


@pytest.mark.parametrize(("policy", "cases"), [("none", 0), ("worst", 4), ("all", 4)])
def test_as_many_volumes_are_kept_as_were_asked_for(cohort_folder, tmp_path, policy, cases):
    evaluate(examination(cohort_folder, keep_volumes=policy), tmp_path)
    records = read_cases(tmp_path)
    kept = [record for record in records if record.volumes]
    named = {name for record in records for name in record.volumes.values()}
    there = {path.name for path in (tmp_path / "volumes").glob("*")}
    assert named == there
    assert (len(kept) == 0) == (cases == 0)
    assert len(kept) <= cases
    for record in kept:
        assert set(record.volumes) == {"source", "reference", "synthetic", "mask"}


def test_a_table_that_was_changed_is_noticed(cohort_folder, tmp_path):
    evaluate(examination(cohort_folder), tmp_path)
    table = read_measurements(tmp_path)
    table.loc[0, "value"] = 0.0
    table.to_parquet(tmp_path / MEASUREMENTS_FILE)
    with pytest.raises(Problems, match="changed after it was measured"):
        read_evaluation(tmp_path)


def test_an_empty_test_set_is_a_sentence(tmp_path):
    make_tiny_cohort(tmp_path / "cohort", "ttv")
    with pytest.raises(InputError, match="no case in the set 'test'"):
        evaluate(examination(tmp_path / "cohort"), tmp_path / "out")


def test_an_evaluation_does_not_carry_on_with_other_files_of_its_model(cohort_folder, tmp_path):
    of = [MODEL.model_copy(update={"digest": letter * 64}) for letter in "ab"]
    one, other = (examination(cohort_folder, families=("image",), model=model) for model in of)
    assert one.identifier == other.identifier
    evaluate(one, tmp_path / "out")
    evaluate(one, tmp_path / "out")
    with pytest.raises(InputError, match="other files of the model"):
        evaluate(other, tmp_path / "out")
