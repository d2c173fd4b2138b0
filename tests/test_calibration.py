"""The interval: how many patients it takes, and that it keeps its promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.errors import InputError, Problems
from translators.answers import Inferred
from translators.calibration import Calibration, calibrate, patient_score


def _scores(count: int, seed: int = 0) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return {f"p{n}": float(value) for n, value in enumerate(rng.exponential(size=count))}


def test_ninety_five_per_cent_takes_nineteen_patients() -> None:
    few = calibrate(_scores(18), voxel_share=0.95, level=0.95, scaled_by="constant", least=0.0)
    assert few.level == pytest.approx(18 / 19) and few.wanted_level == 0.95
    assert few.factor == max(_scores(18).values()), "the widest there is"
    enough = calibrate(_scores(19), voxel_share=0.95, level=0.95, scaled_by="constant", least=0.0)
    assert enough.level == 0.95 and enough.factor == max(_scores(19).values())
    many = calibrate(_scores(39), voxel_share=0.95, level=0.95, scaled_by="constant", least=0.0)
    assert many.factor == sorted(_scores(39).values())[37], "the 38th of 39: ceil(40 · 0.95)"


def test_a_further_patient_is_covered_as_promised() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(2000):
        found = calibrate(
            _scores(19, seed=trial), voxel_share=0.9, level=0.9, scaled_by="constant", least=0.0
        )
        covered += rng.exponential() <= found.factor
    assert covered / 2000 >= 0.9 - 3 * np.sqrt(0.09 / 2000)
    assert covered / 2000 <= 0.9 + 1 / 20 + 3 * np.sqrt(0.09 / 2000), "and not far above"


def test_the_score_is_the_smallest_factor_that_holds_the_share() -> None:
    error = np.arange(-50, 50, dtype=np.float32)
    std = np.full(100, 2.0, np.float32)
    score = patient_score(error, std, share=0.9, least=0.01)
    assert np.mean(np.abs(error) <= score * 2.0) >= 0.9
    assert np.mean(np.abs(error) <= (score - 0.51) * 2.0) < 0.9
    assert patient_score(error, None, share=0.9, least=0.01) == pytest.approx(2 * score)
    flat = patient_score(error, np.zeros(100, np.float32), share=0.9, least=4.0)
    assert flat == pytest.approx(score / 2), "a σ of zero is held above the least"


def test_half_widths_follow_sigma_or_are_constant() -> None:
    mean, std = np.zeros((2, 2, 2), np.float32), np.full((2, 2, 2), 3.0, np.float32)
    scaled = calibrate({"a": 2.0}, voxel_share=0.9, level=0.5, scaled_by="std", least=1.0)
    np.testing.assert_array_equal(scaled.half_width(Inferred(mean=mean, std=std)), 6.0)
    np.testing.assert_array_equal(scaled.half_width(Inferred(mean=mean, std=0 * std)), 2.0)
    with pytest.raises(InputError, match="without one"):
        scaled.half_width(Inferred(mean=mean))
    constant = calibrate({"a": 2.0}, voxel_share=0.9, level=0.5, scaled_by="constant", least=1.0)
    np.testing.assert_array_equal(constant.half_width(Inferred(mean=mean)), 2.0)


def test_no_patient_no_promise_and_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no calibration patient"):
        calibrate({}, voxel_share=0.9, level=0.9, scaled_by="std", least=0.0)
    assert Calibration.read(tmp_path) is None
    (tmp_path / "calibration.json").write_text('{"factor": 1}')
    with pytest.raises(Problems, match=r"calibration.json has \d problem"):
        Calibration.read(tmp_path)
