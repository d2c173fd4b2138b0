"""What a translation costs: rows of the evaluation, and in no way of its repeatable tables."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qa_suite.core.errors import Problems
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import (
    COSTS_FILE,
    MEASUREMENTS_FILE,
    read_evaluation,
    read_measurements,
)
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.io.cases import LoadedCase
from qa_suite.metrics.cost import MEMORY, SECONDS, measured_rows, resident_mib, watched
from tests.test_evaluate import examination, noisy
from tests.tiny_cohort import make_tiny_cohort

WHO = {"case": "c", "patient": "p", "site": "s"}
linux = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="only Linux tells the resident memory"
)


def stating(loaded: LoadedCase) -> Prediction:
    plain = noisy(loaded)
    return Prediction(mean=plain.mean, cost={"network_evaluations": 24, "steps": 4})


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(folder, "tvssss")
    return folder


def costs_of(folder: Path) -> pd.DataFrame:
    table = read_measurements(folder)
    return table[table["family"] == "cost"]


def test_every_case_has_its_time_its_memory_and_what_the_translator_states(cohort_folder, tmp_path):
    evaluation = evaluate(examination(cohort_folder, stating, families=("image",)), tmp_path)
    table = costs_of(tmp_path)
    assert set(table["case"]) == {"case3", "case4", "case5", "case6"}
    by_metric = table.groupby("metric")
    assert (by_metric.get_group(SECONDS)["value"] > 0).all()
    assert set(by_metric.get_group(SECONDS)["unit"]) == {"s"}
    assert (by_metric.get_group("network_evaluations")["value"] == 24).all()
    assert (by_metric.get_group("sampler_steps")["value"] == 4).all()
    memory = by_metric.get_group(MEMORY)
    assert set(memory["variant"]) == {"cpu"} and set(memory["unit"]) == {"MiB"}
    assert "resident" in evaluation.variants["cpu"]["memory"]
    assert {SECONDS, MEMORY, "sampler_steps"} <= set(evaluation.definitions)


def test_a_translator_that_says_nothing_has_no_steps(cohort_folder, tmp_path):
    evaluate(examination(cohort_folder, families=("image",)), tmp_path)
    table = costs_of(tmp_path)
    stated = table[table["metric"].isin(["network_evaluations", "sampler_steps"])]
    assert set(stated["status"]) == {"undefined"}
    assert set(stated["why"]) == {"the translator does not say"}


def test_time_and_memory_are_in_no_table_that_two_runs_share(cohort_folder, tmp_path):
    evaluate(examination(cohort_folder, stating, families=("image",)), tmp_path)
    shared = pd.read_parquet(tmp_path / MEASUREMENTS_FILE)
    assert not set(shared["metric"]) & {SECONDS, MEMORY}
    record = read_evaluation(tmp_path)
    assert COSTS_FILE not in record.tables_sha256
    assert record.when.costs_sha256
    frame = pd.read_parquet(tmp_path / COSTS_FILE)
    frame.loc[0, "value"] = 0.0
    frame.to_parquet(tmp_path / COSTS_FILE)
    with pytest.raises(Problems, match=r"costs\.parquet was changed after it was measured"):
        read_evaluation(tmp_path)


def test_a_translation_that_fails_has_no_cost(cohort_folder, tmp_path):
    def fails(loaded: LoadedCase) -> Prediction:
        raise RuntimeError("no")

    evaluate(examination(cohort_folder, fails, families=("image",)), tmp_path)
    assert costs_of(tmp_path).empty


@linux
def test_the_memory_of_a_translation_is_what_it_held_at_most():
    def held() -> int:
        block = np.ones(256 * 2**20 // 8)  # 256 MiB, written to
        return int(block.size)

    gc.collect()  # what earlier tests left may be given back meanwhile, and would be missing
    before = resident_mib()
    size, cost = watched(held)
    assert size == 256 * 2**20 // 8
    assert before > 0
    assert 240 < cost.cpu_mib < 292
    assert cost.seconds > 0
    assert cost.cuda_mib is None or cost.cuda_mib >= 0


class FakeCuda:
    """What torch tells of a GPU that holds 96 MiB of weights."""

    def __init__(self) -> None:
        self.allocated = self.peak = 96 * 2**20

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def reset_peak_memory_stats(self, device: int) -> None:
        self.peak = self.allocated

    def max_memory_allocated(self, device: int) -> int:
        return self.peak


def test_the_memory_of_a_gpu_is_its_peak_while_translating(monkeypatch):
    cuda = FakeCuda()
    cuda.peak = 10_000 * 2**20  # of an earlier case
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))

    def held() -> None:
        cuda.peak = max(cuda.peak, 256 * 2**20)

    _, cost = watched(held)
    rows = {(r.metric, r.variant): r for r in measured_rows(cost, WHO)}
    assert rows[MEMORY, "cuda"].value == 256
    assert [r.metric for r in measured_rows(watched(held)[1], WHO)].count(MEMORY) == 2


def test_what_a_translation_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        watched(lambda: 1 / 0)
