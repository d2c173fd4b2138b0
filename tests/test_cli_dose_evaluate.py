"""Dose within ``evaluate``: its record, the choice of cases, the device, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from qa_suite.cli import run
from qa_suite.cli.dose_settings import DoseOptions, dose_settings
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.evaluation.eligibility import cases_with_dose
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.io.images import read_image, write_image
from qa_suite.judging import criteria
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightSettings
from tests.cli_dose_cases import EVALUATE, make_cohort, one_sentence
from tests.cli_dose_cases import here as here
from tests.cli_dose_cases import two_cards as two_cards

CRITERIA = Path(criteria.__file__).parent


def test_evaluate_computes_dose_and_keeps_the_volumes_of_the_lowest_gamma(here):
    cohort = make_cohort(here, "ssss")
    assert run(list(EVALUATE)) == 0
    out = here / "out"
    rows = pd.read_parquet(out / "measurements.parquet")
    mine = rows[rows.family == "dose"]
    assert set(mine.case) == {case.case for case in cohort.cases}
    assert not (mine.status == "error").any()
    gamma = mine[(mine.metric == "gamma_pass_rate") & (mine.region == "body")]
    for site, of_site in gamma.groupby("site"):
        lowest = of_site.sort_values("value").iloc[0].case
        record = _record(out, lowest)
        assert {
            "dose_reference@photons",
            "dose_synthetic@photons",
            "gamma@photons",
            "target@photons",
            "synthetic",
            "reference",
        } <= set(record), site
        for name in record.values():
            assert (out / "volumes" / name).is_file()
    by_error = (
        rows[(rows.metric == "mae") & (rows.region == "body") & (rows.variant == "default")]
        .sort_values("value")
        .case.tolist()
    )
    assert by_error == [f"case{n}" for n in (1, 2, 3, 4)]
    # neither best, median nor worst, nor the worst of its site: kept for its dose alone
    assert gamma.sort_values("value").iloc[0].case == "case2"
    evaluation = json.loads((out / "evaluation.json").read_text())
    dose = evaluation["settings"]["measures"]["dose"]
    assert dose["plans"][0]["hlut"]["points"] and dose["grid_mm"] == 10
    assert set(mine.variant) <= set(evaluation["variants"])


def _record(out: Path, case: str) -> dict[str, str]:
    cases = pd.read_parquet(out / "cases.parquet").set_index("case")
    volumes = cases.loc[case, "volumes"]
    return json.loads(volumes) if isinstance(volumes, str) else dict(volumes)


def test_one_case_of_each_site(here):
    cohort = make_cohort(here, "sss")
    evaluate(quick_examination(here, cohort, ("segmentation", "dose")), here / "out")
    rows = pd.read_parquet(here / "out" / "measurements.parquet")
    mine = rows[rows.family == "dose"]
    first = {case.site: case.case for case in reversed(cohort.cases)}
    assert set(mine.case) == set(first.values()) and len(first) == 2
    assert set(rows.case) == {case.case for case in cohort.cases}


def test_the_choice_of_cases_reaches_the_evaluation(here, monkeypatch):
    make_cohort(here, "s")
    asked: list[Examination] = []

    def stop(examination: Examination, *_: object, **__: object) -> None:
        asked.append(examination)
        raise InputError("far enough")

    monkeypatch.setattr("qa_suite.evaluation.evaluate.evaluate", stop)
    assert run([*EVALUATE, "--dose-cases", "one_per_site"]) == 2
    assert run([*EVALUATE]) == 2
    assert [one.settings.dose_cases for one in asked] == ["one_per_site", "all"]


def quick_examination(
    here: Path, cohort: Cohort, families: tuple[str, ...] = ("dose",)
) -> Examination:
    """Dose of one plan, and of other families those asked for, for one case of each site."""
    facts, translate = finished_images(here / "box", "vendor")
    one = DoseOptions(plans=["photons.yaml"], hluts=["thomas-1999"], grid_mm=10, device="cpu")
    dose = dose_settings(one)
    quick = dose.model_copy(update={"causes": False, "bulk": False, "gamma": dose.gamma[:1]})
    settings = EvaluationSettings(
        families=families,
        keep_volumes="none",
        dose_cases="one_per_site",
        preflight=PreflightSettings(estimate_alignment=False),
        measures=MeasureSettings(dose=quick),
    )
    return Examination(
        cohort=cohort, folder=here / "tiny", model=facts, translate=translate, settings=settings
    )


def test_a_refused_case_is_not_the_one_of_its_site(here):
    """Site B: case 1 lost its intercept, so case 3 is the first that may be measured."""
    cohort = make_cohort(here, "sss")
    path = here / "tiny" / cohort.cases[0].reference
    image = read_image(path, "HU")
    write_image(image.with_array(image.array + 1024), path)
    examination, out = quick_examination(here, cohort), here / "out"
    record = evaluate(examination, out)
    assert record.case_counts["refused"] == 1 and record.case_counts["evaluated"] == 2
    assert set(pd.read_parquet(out / "measurements.parquet").case) == {"case2", "case3"}
    # killed after case 1, and carried on: the same cases, the same bytes
    before = (out / "measurements.parquet").read_bytes()
    (out / "evaluation.json").unlink()
    for case in ("case2", "case3"):
        (out / "journal" / f"case-{case}.json").unlink()
    evaluate(examination, out)
    assert (out / "measurements.parquet").read_bytes() == before


def test_the_device_is_recorded_beside_the_timings_and_changes_no_record(here, two_cards):
    cohort = make_cohort(here, "s")
    quick = quick_examination(here, cohort)
    measures = quick.settings.measures
    dose = measures.dose.model_copy(update={"device": "cuda"})
    settings = quick.settings.model_copy(
        update={"measures": measures.model_copy(update={"dose": dose})}
    )
    records = {
        "cpu": evaluate(quick, here / "cpu"),
        "cuda (card of cuda)": evaluate(replace(quick, settings=settings), here / "gpu"),
    }
    assert two_cards == ["cpu", "cuda"]
    for device, record in records.items():
        assert record.when.dose_device_by_case == {"case1": device}
    one, other = (r.model_dump(mode="json", exclude={"when", "code"}) for r in records.values())
    assert one == other
    assert '"device"' not in json.dumps(one)


def test_where_no_dose_is_computed_no_device_is_recorded(here):
    cohort = make_cohort(here, "s")
    quick = quick_examination(here, cohort)
    settings = quick.settings.model_copy(update={"families": ("segmentation",)})
    assert evaluate(replace(quick, settings=settings), here / "out").when.dose_device_by_case == {}


def test_a_site_without_a_case_that_may_be_measured_has_no_dose(here):
    cohort = make_cohort(here, "ss")
    (here / "tiny" / cohort.cases[0].reference).write_bytes(b"no image")
    examination = quick_examination(here, cohort)
    assert cases_with_dose(examination, cohort.cases) == {"case2"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--hlut", "matrad-default-rsp"], "No plan takes the HLUT matrad-default-rsp"),
        (["--plan", "proton-pelvis"], "needs an HLUT that gives relative_stopping_power"),
        (["--plan", "photon-pelvi"], "did you mean photon-pelvis"),
        (["--dose-cases", "some"], "some"),
        (["--profile", "thorax.yaml"], "The profile thorax is for the anatomy 'thorax'"),
        (["--dose-grid-mm", "0"], "grid_mm"),
        (["--device", "gpu"], "Unknown device 'gpu'"),
    ],
)
def test_evaluate_refuses_before_it_measures(here, capsys, change, sentence):
    make_cohort(here, "s")
    profile = (CRITERIA / "demo-pelvis.yaml").read_text()
    for old, new in (("name: demo-pelvis", "name: thorax"), ("anatomy: pelvis", "anatomy: thorax")):
        assert old in profile
        profile = profile.replace(old, new)
    (here / "thorax.yaml").write_text(profile)
    assert run([*EVALUATE, *change]) == 2
    assert sentence in one_sentence(capsys)
    assert not (here / "out").exists()


@pytest.mark.parametrize("option", [("--hlut", "thomas-1999"), ("--device", "cuda")])
def test_an_option_without_a_plan_is_one_sentence(here, capsys, option):
    assert run(["evaluate", "tiny", "--images", "box", *option]) == 2
    assert f"{option[0]} " in (sentence := one_sentence(capsys))
    assert "needs a --plan or an RTPLAN" in sentence
