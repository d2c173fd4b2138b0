"""Doses as clinics export them: what every verb checks, and that its advice leads out."""

from __future__ import annotations

import ast
import json
import re

import numpy as np
import pytest

from qa_suite.io.images import write_image
from tests.conftest import ROOT
from tests.dicom_factory import uid
from tests.given_dose_cases import (
    DOSE,
    SHAPE,
    VERBS,
    advised,
    by_gamma,
    structures,
    volume,
    write_pair,
)
from tests.given_dose_cases import said as said
from tests.rt_factory import write_dose

# --- what every verb checks -----------------------------------------------------------------


STRANGER = {"PatientID": "B-2"}
ELSEWHERE = {"FrameOfReferenceUID": uid("elsewhere")}
CHECKS: dict[str, tuple[dict, dict, tuple[str, ...]]] = {
    "patient": (STRANGER, {}, ("another patient",)),
    "frame of reference": (ELSEWHERE, {}, ("another frame of reference",)),
    "unit": ({"DoseUnits": "RELATIVE"}, {}, ("DoseUnits RELATIVE",)),
    "dose type": ({"DoseType": "EFFECTIVE"}, {}, ("EFFECTIVE",)),
    "summation": ({"DoseSummationType": "BEAM"}, {}, ("dose of a BEAM",)),
    "plane": ({"dose": DOSE[:, :, 4:5]}, {}, ("single plane",)),
    "hundredfold": ({"dose": DOSE / 100}, {}, ("looks like cGy",)),
    "one fraction": ({"dose": DOSE / 30}, {}, ("one fraction of 30",)),
}
NOT_OF_ONE_DOSE = ("hundredfold", "one fraction")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("verb", VERBS)
def test_what_one_verb_checks_is_checked_by_all(verb, check, tmp_path, said):
    """A dose that is wrong in one way is refused by each, in words that name it."""
    wrong, right, words = CHECKS[check]
    write_pair(tmp_path, right, wrong)
    options: list[str] = []
    if verb == "dvh" and check in NOT_OF_ONE_DOSE:
        if check == "one fraction":
            pytest.skip("the dose of a fraction beside no other dose is the dose of a fraction")
        options = ["--prescription-gy", "60"]
    status, text = VERBS[verb](tmp_path, said, options)
    assert status == 2, text
    assert all(word in text for word in words), text
    write_pair(tmp_path, right, right)
    for file in (tmp_path / "clinic").rglob("*.dcm"):
        file.unlink()
    status, text = VERBS[verb](tmp_path, said, options)
    assert status in (0, 3), text


def test_every_dose_of_a_user_comes_in_by_one_door():
    """No verb and no other function reads a dose past the checks."""
    allowed = {
        "read_rtdose": {"qa_suite/io/rt/dose/given.py", "qa_suite/cli/rtdose.py"},  # reads back
        "rtdose_files": {"qa_suite/io/rt/dose/given.py"},
    }
    for path in (ROOT / "qa_suite").rglob("*.py"):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    assert name in allowed.get(alias.name, {name}), f"{name} reads doses itself"
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "read_image"
                and any(isinstance(a, ast.Constant) and a.value == "Gy" for a in node.args)
            ):
                assert name == "qa_suite/io/rt/dose/given.py", f"{name} reads doses itself"


# --- every refusal leads out ----------------------------------------------------------------


BEAM = {"beams": [1]}
KINDS: dict[str, tuple[dict, dict]] = {
    "effective": ({"DoseType": "EFFECTIVE"}, {"DoseType": "EFFECTIVE"}),
    "relative": ({"DoseUnits": "RELATIVE"}, {"DoseUnits": "RELATIVE"}),
    "one relative": ({}, {"DoseUnits": "RELATIVE"}),
    "no units": ({"DoseUnits": None}, {"DoseUnits": None}),
    "planes": ({"dose": DOSE[:, :, 4:5]}, {"dose": DOSE[:, :, 4:5]}),
    "planes without offsets": (
        {"dose": DOSE[:, :, 4:5], "GridFrameOffsetVector": None, "NumberOfFrames": None},
        {"dose": DOSE[:, :, 4:5], "GridFrameOffsetVector": None, "NumberOfFrames": None},
    ),
    "all at once": (
        {"DoseType": "EFFECTIVE", "DoseUnits": "RELATIVE", "DoseSummationType": "FRACTION_SESSION"},
        {"DoseType": "EFFECTIVE", "DoseUnits": "RELATIVE", "DoseSummationType": "FRACTION_SESSION"},
    ),
    "one fraction": ({}, {"dose": DOSE / 30}),
    "a course against one fraction": ({"dose": DOSE / 4}, {}),
    "no summation": ({"DoseSummationType": None}, {"DoseSummationType": None}),
    "a vendor's own summation": ({}, {"DoseSummationType": "PLAN_SUM"}),
    "a plan and a beam": ({}, BEAM),
} | {
    term.lower(): ({"DoseSummationType": term}, {"DoseSummationType": term})
    for term in (
        "MULTI_PLAN",
        "PLAN_OVERVIEW",
        "FRACTION",
        "BEAM",
        "BRACHY",
        "FRACTION_SESSION",
        "BEAM_SESSION",
        "BRACHY_SESSION",
        "CONTROL_POINT",
        "RECORD",
    )
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_advice_followed_is_taken_by_the_verb_that_gave_it(verb, kind, tmp_path, said):
    """Each refusal names options of its own verb, and with them the same files are read."""
    first, second = KINDS[kind]
    write_pair(tmp_path, first, second)
    if verb == "dvh" and "fraction" in kind.split(" ") and "dose" in {**first, **second}:
        pytest.skip("one dose has no other beside it")
    options: list[str] = []
    for _ in range(3):
        status, text = VERBS[verb](tmp_path, said, options)
        if status != 2:
            break
        refusal = text
        options += advised(text)
    assert status in (0, 3), text
    if options:
        assert "Traceback" not in refusal
    else:  # PLAN_OVERVIEW of no plan is of several
        pytest.fail("taken without a word")


def test_units_lead_out_without_a_circle(tmp_path, said):
    """Gy against cGy: whatever is wrong, following the advice ends."""
    for name, array in (("gy", DOSE), ("cgy", 100 * DOSE), ("low", 0.01 * DOSE)):
        write_image(volume(array), tmp_path / f"{name}.nii.gz")
    (tmp_path / "d").mkdir()
    write_dose(tmp_path / "d" / "d.dcm", DOSE)
    for first, second, expected in (
        ("gy.nii.gz", "cgy.nii.gz", ["--dose-unit", "Gy,cGy"]),
        ("cgy.nii.gz", "gy.nii.gz", ["--dose-unit", "cGy,Gy"]),
        ("cgy.nii.gz", "cgy.nii.gz", ["--dose-unit", "cGy"]),
        ("d", "cgy.nii.gz", ["--dose-unit", "cGy"]),
        ("gy.nii.gz", "low.nii.gz", ["--dose-unit", "cGy,Gy"]),
    ):
        words = ["gamma", str(tmp_path / first), str(tmp_path / second), "--threads", "1"]
        status, text = said(words)
        assert status == 2
        assert advised(text) == expected, text
        assert said([*words, *expected])[0] == 0
        # and the wrong unit for both is led back
        status, text = said([*words, "--dose-unit", "cGy"])
        if status == 2 and "away" not in text:
            assert said([*words, *advised(text)])[0] == 0


def test_dvh_leads_out_of_a_wrong_unit(tmp_path, said):
    write_image(volume(DOSE), tmp_path / "gy.nii.gz")
    write_image(volume(DOSE).with_array(np.ones(SHAPE, np.float32)), tmp_path / "all.nii.gz")
    words = ["dvh", str(tmp_path / "gy.nii.gz"), f"all={tmp_path / 'all.nii.gz'}"]
    words += ["--prescription-gy", "60"]
    assert said(words)[0] == 0
    status, text = said([*words, "--dose-unit", "cGy"])
    assert status == 2
    assert advised(text) == ["--dose-unit", "Gy"]
    write_dose(tmp_path / "d.dcm", 8 * DOSE)
    words[1] = str(tmp_path / "d.dcm")
    status, text = said([*words[:3], "--prescription-gy", "4"])
    assert status == 2
    assert "export it again in Gy, or --any-scale if not" in text
    assert said([*words[:3], "--prescription-gy", "4", "--any-scale"])[0] == 0


def test_doses_weighted_differently_are_never_compared(tmp_path, said):
    write_pair(tmp_path, {"DoseType": "EFFECTIVE"}, {})
    for options in ([], ["--dose-type", "effective"]):
        status, text = by_gamma(tmp_path, said, options)
        assert status == 2
        assert "cannot be used together; export them alike" in text


def test_a_difference_of_doses_has_a_dvh_and_no_gamma(tmp_path, said):
    difference = np.where(np.indices(SHAPE)[0] < 5, 1.0, 0.5)
    write_pair(tmp_path, {"DoseType": "ERROR"}, {"DoseType": "ERROR", "dose": difference})
    status, text = by_gamma(tmp_path, said, [])
    assert status == 2
    command = re.search(r"'qa-suite (dvh [^']*)'", text)
    assert command is not None
    rs = str(structures(tmp_path / "rs"))
    words = command[1].replace("STRUCTURES", rs).split()
    status, text = said([*words, "--json"])
    assert status == 0
    assert json.loads(text)["given"]["dose_type"] == "ERROR"
