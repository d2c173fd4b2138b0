"""Every direction through evaluation, judge and report: units, windows, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import Criterion, Evaluation, ModelFacts, Profile, Verdict
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.io.cases import LoadedCase
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.judge import judge
from qa_suite.metrics.geometry.settings import GeometrySettings
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightSettings
from reports.facts.measures import cost_line
from reports.facts.pictures import captions, choose_pictures, windows_of
from reports.html.report import write_report
from tests.direction_cohorts import LESION_SUV, make_direction_cohort, picture

GAIN = 0.5
DIRECTIONS = ("CT->MR", "MR->MR", "MR->PT", "CBCT->CT")
UNITS = {"CT->MR": "% of P99", "MR->MR": "% of P99", "MR->PT": "SUVbw", "CBCT->CT": "HU"}


def translate(loaded: LoadedCase) -> Prediction:
    """Another scan of the same anatomy: an MR with another gain, a PET with half of the uptake."""
    reference = loaded.reference
    assert reference is not None
    number = int(loaded.case.case.removeprefix("case"))
    modality = {"HU": "CT", "SUVbw": "PT", "arbitrary": "MR"}[reference.quantity]
    second = loaded.source is not None and loaded.source.quantity == reference.quantity
    second &= modality == "MR"
    array = picture(modality, number, second=second, scan=1).array
    scale = {"HU": 20.0, "SUVbw": 0.05, "arbitrary": 10.0}[reference.quantity]
    if reference.quantity == "SUVbw":
        array = np.where(loaded.structures["GTV"], array / 2, array)
    if reference.quantity == "arbitrary":
        array = GAIN * array
    mean = reference.with_array(array.astype(np.float32))
    wide = mean.with_array(np.full(array.shape, 3 * scale, dtype=np.float32))
    return Prediction(
        mean=mean,
        std=wide,
        half_width=wide,
        interval=IntervalFacts(voxel_share=0.9, level=0.8, patients=12),
        cost={"network_evaluations": 24, "steps": 4},
    )


def examination(folder: Path, **settings) -> Examination:
    cohort = load_cohort(folder)
    settings.setdefault("preflight", PreflightSettings(estimate_alignment=False))
    settings.setdefault("measures", MeasureSettings())
    return Examination(
        cohort=cohort,
        folder=folder,
        translate=translate,
        model=ModelFacts(
            uri="test:half",
            name="half",
            family="test",
            direction=cohort.direction,
            training_sites=("A",),
        ),
        settings=EvaluationSettings(**settings),
    )


@dataclass(frozen=True)
class Made:
    folder: Path
    evaluation: Evaluation
    table: pd.DataFrame
    verdict: Verdict

    def rows(self, metric: str, region: str, variant: str = "default") -> pd.DataFrame:
        t = self.table
        return t[(t["metric"] == metric) & (t["region"] == region) & (t["variant"] == variant)]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory) -> dict[str, Path]:
    folders = {d: tmp_path_factory.mktemp(d.replace("->", "-")) for d in DIRECTIONS}
    for direction, folder in folders.items():
        make_direction_cohort(folder, direction)
    return folders


@pytest.fixture(scope="module")
def made(cohorts, tmp_path_factory) -> dict[str, Made]:
    found = {}
    quick = GeometrySettings(positioning={"cbct": False, "drr": False}, local_shift=False)
    for direction, cohort in cohorts.items():
        out = tmp_path_factory.mktemp("out")
        measures = MeasureSettings(geometry=quick)
        evaluate(examination(cohort, measures=measures), out)
        verdict = judge(out, load_profile("descriptive"))
        found[direction] = Made(out, read_evaluation(out), read_measurements(out), verdict)
    return found


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_case_is_measured_without_an_error(made, direction):
    this = made[direction]
    assert this.evaluation.case_counts["evaluated"] == 3
    assert not (this.table["status"] == "error").any()
    assert set(this.rows("mae", "body")["unit"]) == {UNITS[direction]}
    assert (this.rows("mae", "body")["value"] > 0).all()
    for metric in ("psnr", "ssim", "mutual_information"):
        assert (this.rows(metric, "body")["status"] == "ok").all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_was_left_out_is_recorded_once_and_left_no_row(made, direction):
    this = made[direction]
    lost = {one.family: one for one in this.evaluation.left_out if one.whole}
    assert lost.keys().isdisjoint(set(this.table["family"]))
    if direction == "CBCT->CT":
        assert set(lost) == {"pet"}
        return
    assert {"dose", "segmentation", "set_distance"} <= set(lost)
    assert (
        lost["dose"].why
        == f"dose is computed from HU, and the reference is in {_quantity(direction)}"
    )
    assert not {"bone", "fat", "seg:Bone"} & set(this.table["region"])
    assert "HU" not in set(this.table["unit"])


def _quantity(direction: str) -> str:
    return "SUVbw" if direction == "MR->PT" else "arbitrary"


@pytest.mark.parametrize("direction", ["CT->MR", "MR->MR"])
def test_another_gain_is_no_error_of_an_mr(made, direction):
    this = made[direction]
    assert this.rows("scale_ratio", "body")["value"].to_numpy() == pytest.approx(GAIN, rel=0.02)
    assert (this.rows("mae", "body")["value"] < 3).all()
    assert (this.rows("source_body_dice", "body")["value"] > 0.9).all()


def test_a_pet_has_its_lesions(made):
    this = made["MR->PT"]
    assert this.rows("suv_max_reference", "lesions")["value"].to_numpy() == pytest.approx(
        LESION_SUV, abs=0.3
    )
    for metric in ("suv_mean", "suv_peak"):
        found = this.rows(f"{metric}_difference_pct", "lesions")["value"].to_numpy()
        assert found == pytest.approx(-50, abs=1.5)
    assert this.rows("mtv_difference_pct", "lesions", "41pct")["value"].to_numpy() == pytest.approx(
        0
    )
    assert set(this.rows("suv_mean_difference", "structure:Muscle")["unit"]) == {"SUVbw"}
    assert "41pct" in this.evaluation.variants


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_direction_without_a_profile_is_described_and_not_judged(made, direction):
    verdict = made[direction].verdict
    assert (verdict.outcome, verdict.findings) == ("inconclusive", ())
    head = f"Described under descriptive {verdict.profile.version}, which sets no bounds"
    assert verdict.sentence.startswith(f"{head} (3 patients at 2 sites): not judged.")
    assert {gap.metric for gap in verdict.site_gaps} >= {"mae", "ssim", "translation_seconds"}


def test_the_profile_of_another_direction_is_refused(made):
    with pytest.raises(InputError, match=r"is for MR->CT, .* of MR->PT; .* or 'descriptive'"):
        judge(made["MR->PT"].folder, load_profile("mr-to-ct-pelvis"))


def test_a_bound_on_what_was_left_out_is_refused(made):
    criterion = Criterion(
        name="bone Dice",
        metric="dice",
        region="seg:Bone",
        bound=0.8,
        direction="at_least",
        unit="1",
        min_patients=1,
        source="test",
    )
    profile = Profile(
        name="p",
        version="1",
        direction="MR->PT",
        anatomy="any",
        intended_use="t",
        criteria=(criterion,),
    )
    with pytest.raises(InputError, match="'bone Dice' bounds dice, which was left out: body and"):
        judge(made["MR->PT"].folder, profile)


def test_a_profile_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="needs criteria, or measures to describe"):
        Profile(name="p", version="1", direction="any", anatomy="any", intended_use="t")


def test_a_plan_for_a_pet_is_refused(cohorts, tmp_path):
    clinic = {"case1": {"plan": "x"}}
    with pytest.raises(InputError, match=r"doses of the clinic need real images in HU, .* SUVbw"):
        evaluate(examination(cohorts["MR->PT"], clinic_files=clinic), tmp_path)
    with pytest.raises(InputError, match=r"asked for and have no meaning here: dose: dose is"):
        evaluate(examination(cohorts["MR->PT"], families=("image", "dose")), tmp_path)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------
# Reports


@pytest.fixture(scope="module")
def pages(made, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        direction: write_report(this.folder, this.verdict, folder / "page.html").read_text()
        for direction, this in made.items()
    }


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_page_says_direction_unit_cost_and_what_was_left_out(pages, direction):
    page = pages[direction]
    assert direction.replace("PT", "PET").replace("->", " → ") in page
    assert "Described, not judged" in page
    assert "24 network evaluations; 4 sampler steps" in page
    assert "measures that have no meaning for these images" in page
    assert f"{UNITS[direction]}</text>" in page  # axes and the colour bar
    if direction != "CBCT->CT":
        assert " HU<" not in page.split('id="provenance"')[0].replace("L 100 HU<", "")


def test_the_page_of_a_pet_shows_uptake_in_suv(pages):
    page = pages["MR->PT"]
    assert "PET: uptake of organs and lesions" in page
    assert "All lesions of a patient" in page
    assert "Reference PET" in page and "Synthetic PET" in page
    assert "0 (white) to 7 SUVbw (black)" in page
    assert "SUVpeak difference, relative in lesions" in page


@pytest.mark.parametrize(
    ("direction", "shown", "limit"),
    [
        ("MR->PT", ("a.u., 1st to 99.5th percentile", "0 (white) to 7 SUVbw (black)"), 3.5),
        ("CT->MR", ("W 1000 / L 100 HU", "0 to 100 % of P99"), 50),
        ("MR->MR", ("a.u., 1st to 99.5th percentile", "0 to 100 % of P99"), 50),
        ("CBCT->CT", ("W 1000 / L 100 HU", "W 1000 / L 100 HU"), 300),
    ],
)
def test_pictures_have_the_window_of_their_unit(made, direction, shown, limit):
    this = made[direction]
    pictures = choose_pictures(this.folder, this.table, read_cases(this.folder), this.evaluation)
    images = pictures[0].load()
    windows = windows_of(images)
    told = captions(images, windows)
    assert shown[0] in told[0] and told[1] == told[2] == shown[1]
    assert (windows.difference, windows.unit) == (limit, UNITS[direction])
    assert windows.value.inverted == (direction == "MR->PT")
    if windows.unit == "% of P99":  # the gain is taken off the picture as it was for the numbers
        inside = images.mask
        assert np.percentile(images.synthetic[inside], 99) == pytest.approx(100, rel=0.02)
        assert np.abs(images.difference[inside]).mean() < 3


def test_an_mr_that_could_not_be_measured_is_shown_in_its_own_scale(made):
    this = made["CT->MR"]
    table = this.table[this.table["metric"] != "reference_scale"]
    table = table[~((table["metric"] == "mae") & (table["case"] == "case2"))]
    pictures = choose_pictures(this.folder, table, read_cases(this.folder), this.evaluation)
    (lost,) = [p for p in pictures if p.case == "case2"]
    assert (lost.unit, lost.hundred) == ("a.u.", None)
    assert "percentile" in captions(lost.load(), windows_of(lost.load()))[1]


def test_a_cost_line_by_hand():
    rows = [
        ("translation_seconds", "default", 2.0),
        ("translation_seconds", "default", 4.0),
        ("translation_seconds", "default", 9.0),
        ("translation_memory", "cpu", 512.4),
        ("translation_memory", "cuda", 2048.0),
        ("network_evaluations", "default", 24.0),
        ("network_evaluations", "default", 30.0),
        ("sampler_steps", "default", 1.0),
    ]
    table = pd.DataFrame(rows, columns=["metric", "variant", "value"])
    table = table.assign(family="cost", status="ok")
    assert cost_line(table) == (
        "4.00 s a volume (median of 3 cases, 2.00 to 9.00); 512 MiB of memory of the process, on "
        "the CPU (of 1 case); 2048 MiB of memory on the GPU (of 1 case); 24 to 30 "
        "network evaluations; 1 sampler step"
    )
    assert cost_line(table.assign(status="undefined")) == ""
