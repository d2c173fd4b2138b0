"""Hospitals that were expected: declared at the door, and a failed scope where nothing came."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from qa_suite.cli import run
from qa_suite.core.cohort import Case, Cohort, load_cohort
from qa_suite.core.errors import Problems
from qa_suite.core.records import Finding
from qa_suite.core.sites import not_come, require_distinct
from qa_suite.core.verdict_files import read_verdicts
from qa_suite.io.images import write_image
from tests.tiny_cohort import pair

SITES = {"North": 3, "South": 3, "East": 2}
LOST = "East"
PROFILE = """\
schema_version: 1
name: sites
version: "1"
direction: MR->CT
anatomy: pelvis
intended_use: Tests.
criteria:
  - {name: body ME at each site, metric: me, region: body, bound: 50, direction: within, unit: HU,
     scope: each_site, min_patients: 2, source: Made up for this test.}
  - {name: body ME over all, metric: me, region: body, bound: 50, direction: within, unit: HU,
     scope: pooled, min_patients: 2, source: Made up for this test.}
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pairs of three hospitals, the files of one of them damaged; images beside it."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "synthetic").mkdir()
    rows = ["source,reference,mask,patient,site,anatomy"]
    number = 0
    for site, patients in SITES.items():
        for _ in range(patients):
            number += 1
            names = [f"{number}_{role}.nii.gz" for role in ("source", "reference", "mask")]
            for name, volume in zip(names, pair(number, gain=number), strict=True):
                write_image(volume, folder / name)
                if site == LOST:
                    (folder / name).write_bytes((folder / name).read_bytes()[:200])
            rows.append(f"{','.join(names)},P{number},{site},pelvis")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "sites.yaml").write_text(PROFILE, encoding="utf-8")
    return folder


def imported(scans: Path, out: Path, *more: str) -> int:
    key = ["--key-file", str(out.parent / "key")]
    words = ["import", str(scans / "pairs.csv"), str(out), "--split", "test=1", *key]
    return run([*words, "--workers", "1", *more])


def judged(scans: Path, cohort: Path, images: Path) -> tuple[int, list[Finding], str]:
    """Evaluate images that are the references with other noise, and judge them by site."""
    images.mkdir(exist_ok=True)
    for case in load_cohort(cohort).cases:
        if case.import_problem is None and case.reference is not None:
            number = int((cohort / case.reference).resolve().name.partition("_")[0])
            _, reference, _ = pair(number, scan=99)
            noise = np.random.default_rng(number).normal(3, 12, reference.array.shape)
            array = (reference.array + noise).astype(np.float32)
            write_image(reference.with_array(array, step="noise"), images / f"{case.case}.nii.gz")
    words = ["evaluate", str(cohort), "--images", str(images), "--families", "image", "--no-track"]
    out = cohort.parent / "record"
    shutil.rmtree(out, ignore_errors=True)
    words += ["--profile", str(scans / "sites.yaml"), "--out", str(out), "--workers", "1"]
    status = run(words)
    (written,) = read_verdicts(out)
    return status, list(written.findings), written.sentence


def test_a_hospital_that_was_declared_and_did_not_come_fails(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = tmp_path / "cohort"
    assert imported(scans, cohort, "--expected-sites", "North,South,East,West") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "! West is expected, and no scan is of it: a verdict fails there." in said
    assert "! East is expected, and none of its 2 cases could be imported" in said
    assert load_cohort(cohort).expected_sites == ("East", "North", "South", "West")

    status, findings, sentence = judged(scans, cohort, tmp_path / "images")
    outcomes = {f.sites[0]: f for f in findings if f.criterion.scope == "each_site"}
    assert status == 1
    assert {site: one.outcome for site, one in outcomes.items()} == {
        "North": "pass", "South": "pass", "East": "fail", "West": "fail",
    }  # fmt: skip
    for site in ("East", "West"):
        assert outcomes[site].reasons[0].code == "site_missing" and site in sentence
    (pooled,) = [f for f in findings if f.criterion.scope == "pooled"]
    assert pooled.outcome == "inconclusive" and "West" in pooled.sentence


def test_one_that_nobody_declared_leaves_no_trace_and_a_broken_one_does(
    scans: Path, tmp_path: Path
) -> None:
    """What the door is for: West is in no file, so that nothing else could know of it."""
    cohort = tmp_path / "cohort"
    assert imported(scans, cohort) == 0
    text = (cohort / "manifest.yaml").read_text(encoding="utf-8")
    assert "expected_sites" not in text, "a manifest without any stays as it was"
    status, findings, _ = judged(scans, cohort, tmp_path / "images")
    outcomes = {f.sites[0]: f.outcome for f in findings if f.criterion.scope == "each_site"}
    assert (status, outcomes) == (1, {"North": "pass", "South": "pass", "East": "fail"})


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("north,South", "'North' and 'north' differ by their spelling alone"),
        ("North,North", "'North' is named twice"),
        ("West,West-", "'West' and 'West-' differ by their spelling alone"),
    ],
)
def test_a_name_that_would_be_expected_for_ever_is_refused_before_reading(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], expected: str, said: str
) -> None:
    assert imported(scans, tmp_path / "cohort", "--expected-sites", expected) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "cohort" / "manifest.yaml").exists()


def test_every_wrong_name_is_told_at_once() -> None:
    with pytest.raises(Problems) as caught:
        require_distinct(["A", "A", "b b"], ["B-B", "C"])
    assert "'A' is named twice" in str(caught.value) and "'B-B' and 'b b'" in str(caught.value)
    assert require_distinct(["C", "A"], ["C"]) == ("A", "C")


def test_the_phantom_has_the_door_too(own_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["phantom", "cohort", "--patients", "1", "--hospitals", "A", "--spacing-mm", "16,16,16"]
    assert run([*words, "--split", "test=1", "--expected-sites", "hospital-A,hospital-B"]) == 0
    assert "hospital-B is expected, and no scan is of it" in " ".join(
        capsys.readouterr().err.split()
    )
    assert yaml.safe_load(Path("cohort/manifest.yaml").read_text())["expected_sites"] == [
        "hospital-A", "hospital-B",
    ]  # fmt: skip


def test_one_whose_patients_are_all_in_another_set_is_told() -> None:
    case = Case(case="1", patient="1", site="A", split="train", source="s")
    cohort = Cohort(name="c", source_modality="MR", cases=(case,), expected_sites=("A",))
    assert list(not_come(cohort)) == [
        "A is expected, and none of its patients is in the set 'test': a verdict fails there."
    ]
    said = json.loads(cohort.model_dump_json())
    assert Cohort.model_validate(said) == cohort
    with pytest.raises(ValueError, match="separate folders"):
        Cohort.model_validate(said | {"expected_sites": ["A/B"]})
