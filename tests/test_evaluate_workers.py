"""The record is the same whoever measures; nothing that happens to a worker gets into it.

Each worker imports the measures anew, a second or two of a processor: three tests, no more.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from qa_suite.core.errors import InputError, Unfinished
from qa_suite.core.executors.crew import Crew
from qa_suite.core.record_files import EVALUATION_FILE
from qa_suite.core.records import Evaluation
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.evaluation.journal import CaseEntry
from tests.evaluation_workers import Deadly, noisy
from tests.test_evaluate import essence, examination, table_bytes
from tests.tiny_cohort import make_tiny_cohort

QUICK = {"families": ("image",), "keep_volumes": "all"}


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(folder, "tvssss")
    return folder


@pytest.fixture(scope="module")
def undisturbed(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    evaluate(examination(cohort_folder, noisy, **QUICK), out)
    return out


@pytest.mark.parametrize("crew", [{"workers": 2}, {"dask_local": 2}], ids=["processes", "dask"])
def test_two_workers_that_are_killed_give_the_same_record(
    cohort_folder: Path, undisturbed: Path, tmp_path: Path, crew: dict[str, int]
) -> None:
    if "dask_local" in crew:
        pytest.importorskip("distributed", reason="dask is not installed ('qa-suite[dask]')")
    (tmp_path / "notes").mkdir()
    deadly = Deadly(tmp_path / "notes", deaths=(("case4", 1), ("case6", 1)))
    told: list[tuple[int, int, str]] = []
    evaluate(
        examination(cohort_folder, deadly, **QUICK),
        tmp_path / "out",
        crew=Crew(**crew),
        progress=lambda *words: told.append(words),
    )
    assert table_bytes(tmp_path / "out") == table_bytes(undisturbed)
    assert essence(tmp_path / "out") == essence(undisturbed)
    tries = sorted(path.name.partition("-")[0] for path in (tmp_path / "notes").iterdir())
    assert tries == ["case3", "case4", "case4", "case5", "case6", "case6"]
    assert [done for done, *_ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}
    assert sorted(case for *_, case in told) == ["case3", "case4", "case5", "case6"]
    kept = {path.name for path in (tmp_path / "out" / "volumes").iterdir()}
    assert kept == {path.name for path in (undisturbed / "volumes").iterdir()}


def test_a_case_that_ends_every_worker_is_a_failure_of_the_run_and_takes_no_other_along(
    cohort_folder: Path, undisturbed: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    deadly = examination(cohort_folder, Deadly(tmp_path / "notes", deaths=(("case5", 3),)), **QUICK)
    said = (
        r"1 of 4 cases failed for a reason of the run and not of the data: case5 \(the worker that "
        r"did it was ended 3 times, the last time with nothing else beside it \(signal 9\)\)\. "
        r"3 are kept"
    )
    with pytest.raises(Unfinished, match=said):
        evaluate(deadly, tmp_path / "out", crew=Crew(workers=2))
    assert not (tmp_path / "out" / EVALUATION_FILE).exists()
    kept = {path.name for path in (tmp_path / "out" / "journal").glob("case-*")}
    assert kept == {"case-case3.json", "case-case4.json", "case-case6.json"}
    evaluate(deadly, tmp_path / "out")
    assert table_bytes(tmp_path / "out") == table_bytes(undisturbed)
    assert essence(tmp_path / "out") == essence(undisturbed)


def test_a_translator_that_exists_here_alone_is_refused_before_any_case(
    cohort_folder: Path, tmp_path: Path
) -> None:
    here = examination(cohort_folder, lambda loaded: noisy(loaded), **QUICK)
    with pytest.raises(InputError, match="exists in this process alone"):
        evaluate(here, tmp_path, crew=Crew(workers=2))
    assert isinstance(evaluate(here, tmp_path), Evaluation)


def test_what_a_case_gave_is_the_same_after_a_journey(undisturbed: Path) -> None:
    """What comes back from a worker is what the journal would have been given here."""
    for path in (undisturbed / "journal").glob("case-*"):
        entry = CaseEntry.model_validate_json(path.read_text(encoding="utf-8"))
        assert pickle.loads(pickle.dumps(entry)) == entry
