"""The check-up: control limits, percentiles, the log over time, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qa_suite.checkup import check_up, control_limits
from qa_suite.checkup.charts import false_alarm_rate, mean_difference, widened_sigmas
from qa_suite.checkup.cohort import limits_of
from qa_suite.checkup.log import read_log
from qa_suite.cli import run
from qa_suite.cli.checkup import inverse_translator
from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.record_names import NORMS_FILE
from qa_suite.core.records import Measurement, ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import brought_along
from qa_suite.io.cases import LoadedCase
from qa_suite.io.images import read_image, write_image
from qa_suite.judging.patient_values import Measure
from qa_suite.preflight import PreflightSettings
from tests.dicom_factory import write_series
from tests.tiny_cohort import make_tiny_cohort, pair

TEN = (10.0, 12.0, 11.0, 9.0, 10.0, 14.0, 10.0, 11.0, 12.0, 10.0)


def row(metric: str, value: float | None, *, case: str = "new", region: str = "body", **more):
    facts = {"status": "ok"} if value is not None else {"status": "undefined", "why": "none here"}
    return Measurement.model_validate(
        {
            "case": case,
            "patient": more.pop("patient", case),
            "site": "s",
            "unit": "1",
            "family": "reference_free",
            "metric": metric,
            "region": region,
            "value": value,
        }
        | facts
        | more
    )


# ---------------------------------------------------------------------------------------
# Limits


def test_limits_are_three_of_the_mean_range_over_all_orders():
    # Of 1 … 10 the mean difference over all pairs is 11 / 3.
    limits = control_limits(range(1, 11))
    assert limits.centre == pytest.approx(5.5)
    assert limits.high - limits.centre == pytest.approx(2.66 * 11 / 3, rel=1e-3)
    assert limits.n == 10 and limits.provisional


def test_without_an_order_the_range_is_the_mean_over_all_orders():
    rng = np.random.default_rng(1)
    values = rng.normal(size=12)
    pairs = np.abs(values[:, None] - values[None, :]).sum() / (12 * 11)
    assert mean_difference(values) == pytest.approx(pairs)
    ranges = [np.abs(np.diff(rng.permutation(values))).mean() for _ in range(20_000)]
    assert mean_difference(values) == pytest.approx(np.mean(ranges), rel=0.01)
    one, other = control_limits(values), control_limits(rng.permutation(values))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_the_spread_of_normal_values_is_met():
    limits = control_limits(np.random.default_rng(2).normal(5, 2, 4000))
    assert limits.sigma == pytest.approx(2, rel=0.03)
    assert (limits.low, limits.high) == pytest.approx((-1, 11), abs=0.3)


def test_limits_scale_and_shift_with_the_values():
    limits = control_limits(TEN)
    moved = control_limits([3 * v - 7 for v in TEN])
    assert (moved.low, moved.high) == pytest.approx((3 * limits.low - 7, 3 * limits.high - 7))
    log = control_limits(TEN, scale="log")
    double = control_limits([2 * v for v in TEN], scale="log")
    assert (double.low, double.high) == pytest.approx((2 * log.low, 2 * log.high))


def test_values_that_are_all_one_have_exactly_that_limit():
    limits = control_limits([0.1 + 0.2] * 12)
    assert limits.low == limits.high == pytest.approx(0.3)
    assert limits.sigma == 0
    assert limits.sigmas(0.3) == 0
    assert limits.sigmas(0.31) == np.inf
    wider = control_limits([0.3] * 12, resolution=0.05)
    assert (wider.low, wider.high) == pytest.approx((0.25, 0.35))
    assert control_limits([0.0] * 12, resolution=1, lowest=0.0).low == 0


@pytest.mark.parametrize(
    ("values", "scale", "sentence"),
    [
        (TEN[:9], "linear", "need 10 patients, got 9"),
        ((*TEN, np.nan), "linear", "1 of 11 values are NaN"),
        ((*TEN, 0.0), "log", "needs positive values, got 0"),
    ],
)
def test_what_gives_no_limits_is_a_sentence(values, scale, sentence):
    with pytest.raises(InputError, match=sentence):
        control_limits(values, scale=scale)


def test_percentiles_are_ranks_and_never_certain():
    limits = control_limits(range(1, 20))
    assert limits.percentile(10) == pytest.approx(50)
    assert limits.percentile(-5) == pytest.approx(100 * 0.5 / 20)
    assert limits.percentile(99) == pytest.approx(100 * 19.5 / 20)
    assert limits.tail(99, "high") == pytest.approx(1 / 20)
    assert limits.tail(99, "both") == pytest.approx(2 / 20)
    assert limits.tail(10, "both") == 1


def test_false_alarm_rates():
    assert false_alarm_rate(10**9) == pytest.approx(0.0027, abs=1e-5)
    # One further normal value against limits of 20: simulated.
    rng = np.random.default_rng(3)
    sample = rng.normal(size=(40_000, 21))
    mean, sd = sample[:, :20].mean(axis=1), sample[:, :20].std(axis=1, ddof=1)
    rate = np.mean(np.abs(sample[:, 20] - mean) > 3 * sd)
    assert false_alarm_rate(20) == pytest.approx(rate, rel=0.15)
    assert false_alarm_rate(20, two_sided=False) == pytest.approx(false_alarm_rate(20) / 2)
    # At 1 % over 40 two-sided questions each has 0.0125 % on each side.
    assert widened_sigmas(10**9, 40, 0.01) == pytest.approx(stats.norm.isf(0.000125), abs=1e-3)


# ---------------------------------------------------------------------------------------
# One patient against limits


def cohort(metrics: dict[str, float], patients: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = [
        row(metric, float(rng.normal(middle, 1)), case=f"p{n:02d}")
        for n in range(patients)
        for metric, middle in metrics.items()
    ]
    return pd.DataFrame([r.model_dump() for r in rows])


def test_only_the_bad_side_counts():
    limits = limits_of(cohort({"cut_body": 50, "source_body_dice": 50, "air_error": 50}))
    for metric, value, outside in (
        ("cut_body", 90.0, True),
        ("cut_body", 10.0, False),
        ("source_body_dice", 10.0, True),
        ("source_body_dice", 90.0, False),
        ("air_error", 10.0, True),
        ("air_error", 90.0, True),
        ("air_error", 50.0, False),
    ):
        found = check_up([row(metric, value)], limits)
        assert found.findings[0].outside == outside, (metric, value)
        assert found.outcome == ("outside" if outside else "within")


def test_wide_limits_hold_for_all_measures_together():
    names = ("cut_body", *(f"other_{n}" for n in range(20)))
    limits = limits_of(cohort(dict.fromkeys(names, 50.0)))
    usual = limits[Measure(metric="cut_body", region="body")]
    others = [row(name, 50.0) for name in names[1:]]
    just = row("cut_body", usual.centre + 3.2 * usual.sigma)
    (finding,) = check_up([just, *others], limits).outside
    assert not finding.far_outside
    assert "outside its limits (at most" in finding.sentence
    (finding,) = check_up([row("cut_body", 99.0), *others], limits).outside
    assert finding.far_outside
    (finding,) = check_up([just], limits).outside
    assert finding.far_outside  # alone, three standard deviations are 1 % and less


def test_a_measure_without_a_value_never_passes():
    table = cohort({"cut_body": 50, "fat_level": -100})
    limits = limits_of(table)
    lost = check_up([row("cut_body", 50.0), row("fat_level", None)], limits)
    assert lost.outcome == "outside"  # every patient of the cohort has one
    some = table[~((table["metric"] == "fat_level") & (table["case"] < "p03"))]
    unsure = check_up([row("cut_body", 50.0), row("fat_level", None)], limits_of(some))
    assert unsure.outcome == "inconclusive"
    assert limits_of(some)[Measure(metric="fat_level", region="body")].missing == 3
    failed = row("fat_level", None, status="error", why="3 voxels are not finite")
    assert check_up([failed], limits_of(some)).outcome == "outside"


def test_too_few_patients_are_nothing_to_compare_with():
    found = check_up([row("cut_body", 50.0)], limits_of(cohort({"cut_body": 50}, patients=9)))
    assert (found.outcome, found.findings) == ("inconclusive", ())
    assert "cut_body in body" in found.not_compared


def test_a_patient_counts_once_and_a_rank_is_not_charted():
    rows = [row("cut_body", float(n), case=f"c{n:02d}", patient=f"p{n // 2}") for n in range(24)]
    rows += [
        row("ood_percentile", float(n), case=f"c{n:02d}", patient=f"p{n // 2}") for n in range(24)
    ]
    limits = limits_of(pd.DataFrame([r.model_dump() for r in rows]))
    (only,) = limits.values()
    assert only.values == tuple(float(n) for n in range(0, 24, 2))


def test_a_check_up_is_of_one_case():
    with pytest.raises(InputError, match="of one case, got a, b"):
        check_up([row("cut_body", 1.0, case="a"), row("cut_body", 1.0, case="b")], {})


# ---------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """An evaluation of twelve held-out patients with norms of ten, and a cohort folder."""
    folder = tmp_path_factory.mktemp("checkup")
    make_tiny_cohort(folder / "cohort", "t" * 10 + "s" * 12)
    material = load_cohort(folder / "cohort")

    def twin(loaded: LoadedCase) -> Prediction:
        assert loaded.reference is not None
        rng = np.random.default_rng(int(loaded.case.case.removeprefix("case")))
        noise = rng.normal(0, 10, loaded.reference.array.shape).astype(np.float32)
        return Prediction(mean=loaded.reference.with_array(loaded.reference.array + noise))

    examination = Examination(
        cohort=material,
        folder=folder / "cohort",
        model=ModelFacts(uri="test:twin", name="twin", family="test"),
        translate=twin,
        settings=EvaluationSettings(
            preflight=PreflightSettings(estimate_alignment=False), families=("reference_free",)
        ),
        instruments=brought_along(material, folder / "cohort", None),
    )
    evaluate(examination, folder / "evaluation")
    case = material.in_split("test")[0]
    real = read_image(folder / "cohort" / case.reference, "HU")
    synthetic = twin(LoadedCase(case=case, source=real, reference=real))
    write_image(synthetic.mean, folder / "synthetic.nii.gz")
    write_image(synthetic.mean.with_array(synthetic.mean.array + 100), folder / "biased.mha")
    (folder / "source.txt").write_text(str(folder / "cohort" / case.source))
    return folder


def checked(place: Path, image: str, *more: str) -> int:
    source = (place / "source.txt").read_text()
    return run(
        ["checkup", source, str(place / image), "--against", str(place / "evaluation"), *more]
    )


def test_norms_are_part_of_the_record(place):
    record = read_evaluation(place / "evaluation")
    assert NORMS_FILE in record.tables_sha256
    path = place / "evaluation" / NORMS_FILE
    text = path.read_text()
    path.write_text(text.replace("0.", "1.", 1))
    with pytest.raises(Problems, match="changed after it was measured"):
        read_evaluation(place / "evaluation")
    path.write_text(text)


def test_a_good_image_is_within_and_a_biased_one_is_named(place, capsys):
    assert checked(place, "synthetic.nii.gz") == 0
    assert capsys.readouterr().out.startswith("✔ WITHIN")
    assert checked(place, "biased.mha", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    outside = {f["metric"] for f in found["findings"] if f["outside"]}
    assert {"air_error", "muscle_level", "fat_level"} <= outside
    assert found["patients"] == 12
    assert set(found["not_compared"]) >= {"cycle_error in body", "sample_disagreement in body"}
    assert checked(place, "biased.mha", "--family-wise") == 1


def test_the_log_of_the_command(place, capsys):
    log = place / "log.csv"
    page = place / "charts.html"
    assert checked(place, "synthetic.nii.gz", "--charts", str(page)) == 2
    assert "give the log with --log" in capsys.readouterr().err and not page.exists()
    assert checked(place, "synthetic.nii.gz", "--log", str(log), "--charts", str(page)) == 0
    assert "charts over time begin after 20" in capsys.readouterr().out
    assert "1 of 20 values to learn from" in page.read_text(encoding="utf-8")
    assert {r.case[:6] for r in read_log(log)} == {"image-"}
    assert checked(place, "synthetic.nii.gz", "--log", str(log)) == 2
    assert "log.csv" in capsys.readouterr().err
    assert len({r.case for r in read_log(log)}) == 1


def test_bad_input_is_a_sentence(place, capsys, tmp_path):
    assert checked(place, "missing.nii.gz") == 2
    assert run(["checkup", "a", "b", "--against", str(tmp_path)]) == 2
    capsys.readouterr()


def test_a_dicom_series_is_read_like_a_file(place, capsys, tmp_path):
    image = read_image(place / "synthetic.nii.gz", "HU")
    stored = np.clip(np.round(image.array) + 1024, 0, None).astype(np.int16)
    series = tmp_path / "series"
    write_series(series, stored, spacing_mm=image.grid.spacing_mm, origin_mm=image.grid.origin_mm)
    source = (place / "source.txt").read_text()
    against = ["--against", str(place / "evaluation"), "--json"]
    assert run(["checkup", source, str(series), *against]) == 0
    of_series = json.loads(capsys.readouterr().out)["findings"]
    run(["checkup", source, str(place / "synthetic.nii.gz"), *against])
    of_file = json.loads(capsys.readouterr().out)["findings"]
    level = [
        [f["value"] for f in found if f["metric"] == "muscle_level"]
        for found in (of_series, of_file)
    ]
    assert level[0] == pytest.approx(level[1], abs=1)
    assert run(["checkup", str(series), str(series), *against]) == 2
    told = capsys.readouterr().err
    assert "HU" in told and "arbitrary" in told


def test_the_way_back_must_go_back(monkeypatch):
    facts = ModelFacts(
        uri="models:/back/1", name="back", family="f", direction="CT->MR", weights_sha256="ab" * 32
    )
    monkeypatch.setattr(
        "qa_suite.evaluation.registered.load_translator",
        lambda uri, trust=(): (facts, lambda loaded: Prediction(mean=loaded.source)),
    )
    back, named = inverse_translator("models:/back/1", "MR->CT")
    _, image, _ = pair(1)
    assert back(image) is image
    assert named == f"models:/back/1 {'ab' * 32}"
    with pytest.raises(InputError, match="the way back of CT->MR is MR->CT"):
        inverse_translator("models:/back/1", "CT->MR")
