"""A failure of the run is no result: it is told, tried again, and leaves no trace in the record."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.cli import run
from qa_suite.core.errors import InputError, PassingFailure, Problems, Unfinished
from qa_suite.core.failures import is_of_the_run, why
from qa_suite.core.processes import TimedOut
from qa_suite.core.record_files import EVALUATION_FILE
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.io.images import read_image, write_image
from tests.test_evaluate import essence, examination, noisy, table_bytes
from tests.tiny_cohort import make_tiny_cohort


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number), "scan.nii.gz")


PASSING = {
    "memory": MemoryError("Unable to allocate 3.2 GiB for an array"),
    "numpy memory": np.exceptions.__dict__.get("_ArrayMemoryError", MemoryError)("too large"),
    "CUDA memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "CUDA": RuntimeError("CUDA error: unspecified launch failure"),
    "torch on the CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    "ITK": RuntimeError("Failed to allocate memory for image."),
    "time": TimeoutError("timed out"),
    "program": TimedOut(),
    "subprocess": subprocess.TimeoutExpired("vendor-sct", 3),
    "killed worker": BrokenProcessPool("a process was terminated abruptly"),
    "connection": ConnectionResetError(errno.ECONNRESET, "reset"),
    "said so": PassingFailure("the program was ended from outside"),
} | {
    name: of_system(getattr(errno, name))
    for name in ("ENOSPC", "EDQUOT", "EIO", "ENOENT", "EACCES", "EROFS", "EMFILE", "ENOMEM",
                 "ESTALE", "EBUSY", "ENOTCONN")
}  # fmt: skip

FINAL = {
    "a value": ValueError("no number"),
    "our own": InputError("the mask is empty"),
    "several": Problems("Case 1", ["its source was changed"]),
    "a damaged gzip": gzip.BadGzipFile("CRC check failed"),
    "a short file": EOFError("ended before the end-of-stream marker"),
    "a negative offset": of_system(errno.EINVAL),
    "a network": RuntimeError("size mismatch, m1: [3 x 4]"),
    "a division": ZeroDivisionError("division by zero"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_told_from_what_stays(name: str) -> None:
    error = PASSING[name]
    assert is_of_the_run(error)
    assert is_of_the_run(retold(error)), "an error made from it is of the run too"
    assert "\n" not in why(error)


@pytest.mark.parametrize("name", FINAL)
def test_a_verdict_about_data_is_final(name: str) -> None:
    assert not is_of_the_run(FINAL[name])
    assert not is_of_the_run(retold(FINAL[name]))


def retold(error: Exception) -> Exception:
    """What a reader makes of an error: one sentence of its own, ``from None``."""
    try:
        try:
            raise error
        except Exception as inner:
            raise InputError(f"scan.nii.gz cannot be read: {inner}") from None
    except InputError as outer:
        return outer


def test_an_error_that_merely_came_before_is_no_cause() -> None:
    def fallback() -> None:
        raise ValueError("no number")

    try:
        try:
            raise of_system(errno.ENOENT)
        except OSError:
            fallback()
    except ValueError as error:
        assert not is_of_the_run(error)


# ------------------------------------------------------------------ in an evaluation

PLACES = (
    "qa_suite.evaluation.case_run.load_case",
    "qa_suite.evaluation.case_run.preflight",
    "qa_suite.evaluation.case_run.measure_pair",
    "qa_suite.metrics.image.family.regions_of",
    "qa_suite.metrics.image.family.compare",
    "qa_suite.evaluation.case_run._features",
)


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(folder, "tvssss")
    return folder


@pytest.fixture(scope="module")
def undisturbed(cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    evaluate(examination(cohort_folder), out)
    return out


def failing_once(error: Exception, function, when: int = 2):
    """The function, but for its call of that number, which raises."""
    calls = 0

    def called(*arguments, **more):
        nonlocal calls
        calls += 1
        if calls == when:
            raise error
        return function(*arguments, **more)

    return called


@pytest.mark.parametrize("name", ["memory", "ENOSPC", "ENOENT", "killed worker", "CUDA memory"])
def test_after_the_repeat_the_record_is_the_undisturbed_one(
    cohort_folder: Path, undisturbed: Path, tmp_path: Path, name: str
) -> None:
    translate = failing_once(PASSING[name], noisy)
    with pytest.raises(Unfinished, match=r"1 of 4 cases failed .* case4 \(.*\)\. 3 are kept"):
        evaluate(examination(cohort_folder, translate), tmp_path)
    assert not (tmp_path / EVALUATION_FILE).exists()
    kept = {path.name for path in (tmp_path / "journal").glob("case-*")}
    assert kept == {"case-case3.json", "case-case5.json", "case-case6.json"}
    evaluate(examination(cohort_folder), tmp_path)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)
    assert essence(tmp_path) == essence(undisturbed)


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_strikes(
    cohort_folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch, place: str
) -> None:
    module, _, name = place.rpartition(".")
    target = import_module(module)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, failing_once(MemoryError("gave out"), getattr(target, name)))
        with pytest.raises(Unfinished, match="MemoryError: gave out"):
            evaluate(examination(cohort_folder), tmp_path)
    evaluate(examination(cohort_folder), tmp_path)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)
    assert essence(tmp_path) == essence(undisturbed)


def test_a_file_that_was_lost_for_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    cohort = make_tiny_cohort(folder, "tvss")
    lost = folder / cohort.cases[3].source
    away = lost.with_suffix(".away")

    def losing(loaded):
        if lost.exists():
            lost.rename(away)
        return noisy(loaded)

    with pytest.raises(Unfinished, match=f"{lost.name}"):
        evaluate(examination(folder, losing), tmp_path / "out")
    away.rename(lost)
    evaluate(examination(folder), tmp_path / "out")
    evaluate(examination(folder), tmp_path / "undisturbed")
    assert table_bytes(tmp_path / "out") == table_bytes(tmp_path / "undisturbed")


def test_what_cannot_be_kept_ends_the_run_at_once(
    cohort_folder: Path, undisturbed: Path, tmp_path: Path, monkeypatch
) -> None:
    seen = []

    def counted(loaded):
        seen.append(loaded.case.case)
        return noisy(loaded)

    with monkeypatch.context() as patch:
        patch.setattr(
            "qa_suite.evaluation.kept_volumes.write_image",
            failing_once(of_system(errno.ENOSPC), write_image, when=1),
        )
        with pytest.raises(OSError, match="No space left"):
            evaluate(examination(cohort_folder, counted), tmp_path)
    assert len(seen) <= 2, "nothing is begun any more that cannot be kept"
    evaluate(examination(cohort_folder), tmp_path)
    assert table_bytes(tmp_path) == table_bytes(undisturbed)


def test_the_command_says_which_and_how_and_has_a_status_of_its_own(
    own_store: Path, monkeypatch, capsys
) -> None:
    folder = own_store.parent
    cohort = make_tiny_cohort(folder / "tiny", "tsss")
    for case in cohort.in_split("test"):
        reference = read_image(folder / "tiny" / case.reference, "HU")
        write_image(reference.with_array(reference.array + 4), folder / f"box/{case.case}.nii.gz")
    command = ["evaluate", "tiny", "--images", "box", "--no-track", "--out", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "qa_suite.evaluation.models.read_image",
            failing_once(MemoryError("gave out"), read_image),
        )
        assert run([*command, "--workers", "1"]) == 5
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "qa-suite:" in line]
    assert "case3 (MemoryError: gave out)" in said
    assert "2 are kept in out" in said
    assert "the same command does these alone" in said
    assert run(command) == 0
