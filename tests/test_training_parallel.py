"""Several processes, several batches a step: both are the same training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from qa_suite.core.cohort import load_cohort
from qa_suite.learning.prefetch import Feeder
from tests.test_translators import tiny_spec
from tests.tiny_cohort import make_tiny_cohort
from translators.base import WEIGHTS_FILE, create


def _spec(**changes: object):  # type: ignore[no-untyped-def]
    # instance norm: batch norm's statistics are of one process's patches, as anywhere
    return tiny_spec(
        network__norm="instance", training__iterations=6, training__validate_every=3, **changes
    )


def test_two_processes_train_as_two_batches_a_step_do(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path / "cohort")
    cohort = load_cohort(tmp_path / "cohort")
    torch.set_num_threads(1)
    alone = create(_spec(training__accumulate=2))
    summary = alone.fit(cohort, tmp_path / "cohort", workdir=tmp_path / "alone", device="cpu")
    alone.save(tmp_path / "alone" / "saved")
    (tmp_path / "spec.json").write_text(_spec().model_dump_json())
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "-m",
            "tests.train_worker",
            str(tmp_path / "spec.json"),
            str(tmp_path / "cohort"),
            str(tmp_path / "two"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_file(tmp_path / name / "saved" / WEIGHTS_FILE) for name in ("alone", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=2e-3, atol=2e-5, err_msg=name)
    assert summary.iterations == 6 and len(summary.curves["train_loss"]) == 6


def test_accumulation_is_not_the_same_as_one_batch(tmp_path: Path) -> None:
    make_tiny_cohort(tmp_path / "cohort")
    cohort = load_cohort(tmp_path / "cohort")
    weights = []
    for accumulate in (1, 2):
        translator = create(_spec(training__accumulate=accumulate))
        work = tmp_path / str(accumulate)
        translator.fit(cohort, tmp_path / "cohort", workdir=work, device="cpu", iterations=2)
        weights.append(translator.weights())
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0])


def test_batches_come_in_order_whichever_thread_is_first() -> None:
    import time

    made: list[int] = []

    def make(number: int):  # type: ignore[no-untyped-def]
        time.sleep(0.01 * (number % 3))
        made.append(number)
        return number

    with Feeder(make, first=3, last=12, device=torch.device("cuda")) as feeder:
        assert [feeder.take() for _ in range(10)] == list(range(3, 13))
    assert sorted(made) == list(range(3, 13)), "none is made twice, none beyond the last"


def test_an_error_in_a_thread_reaches_the_training() -> None:
    def make(number: int):  # type: ignore[no-untyped-def]
        raise ValueError(f"batch {number}")

    with (
        Feeder(make, first=0, last=3, device=torch.device("cpu")) as feeder,
        pytest.raises(ValueError, match="batch 0"),
    ):
        feeder.take()
