"""What is asked of given doses is done and said: sums, fractions, scales, pass rates, status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import parse_clinic_request, read_clinic_case
from qa_suite.io.images import write_image
from tests.dicom_factory import uid
from tests.given_dose_cases import DOSE, SHAPE, SPACING_MM, by_dvh, by_gamma, volume, write_pair
from tests.given_dose_cases import said as said
from tests.plan_factory import square_beam, write_plan
from tests.rt_factory import write_dose

# --- what is asked for is recorded, and right ------------------------------------------------


def test_a_sum_of_beams_against_its_plan(tmp_path, said):
    write_pair(tmp_path)
    for number, share in ((1, 0.3), (2, 0.7)):
        write_dose(tmp_path / "beams" / f"{number}.dcm", share * DOSE, beams=[number])
    plan = write_plan(
        tmp_path / "plan.dcm", [square_beam(1), square_beam(2)], SOPInstanceUID=uid("plan")
    )
    words = [
        "gamma",
        str(tmp_path / "a"),
        str(tmp_path / "beams"),
        "--summation",
        "plan,beam",
        "--rtplan",
        str(plan),
        "--threads",
        "1",
        "--json",
    ]
    status, text = said(words)
    assert status == 0, text
    told = json.loads(text)
    assert told["doses"][1]["asked"] == {"summation": "beam"}
    assert told["doses"][1]["parts"] == ["beam 1", "beam 2"]
    assert told["doses"][1]["checked_against"] == str(plan)
    assert told["results"][0]["regions"][0]["pass_pct"] == 100
    (tmp_path / "beams" / "2.dcm").unlink()
    status, text = said(words)
    assert status == 2
    assert "the dose of beam 2 of" in text
    status, text = said([*words[:5], *words[7:]])  # without the plan nobody can know
    assert status == 0
    assert json.loads(text)["doses"][1]["checked_against"] in ("", None)


def test_a_folder_with_the_plan_and_its_beams_holds_what_is_asked_for(tmp_path, said):
    """As systems export them together; what is left out is told."""
    for name in ("a", "b"):
        write_dose(tmp_path / name / "plan.dcm", DOSE)
        for number, share in ((1, 0.3), (2, 0.7)):
            write_dose(tmp_path / name / f"{number}.dcm", share * DOSE, beams=[number])
    for options, left_out in (([], 2), (["--summation", "beam"], 1)):
        status, text = by_gamma(tmp_path, said, [*options, "--json"])
        assert status == 0, text
        assert f"{left_out} RTDOSE file" in text
        assert json.loads(text)["results"][0]["normalisation_gy"] == pytest.approx(60, abs=1e-3)


def test_one_fraction_becomes_a_course_as_asked(tmp_path, said):
    write_pair(tmp_path, {}, {"dose": DOSE / 30, "DoseSummationType": "FRACTION_SESSION"})
    words = ["--summation", "plan,fraction_session", "--fractions", "1,30", "--json"]
    status, text = by_gamma(tmp_path, said, words)
    assert status == 0, text
    told = json.loads(text)
    assert told["doses"][1]["asked"] == {"summation": "fraction_session", "fractions": 30}
    assert told["results"][0]["regions"][0]["pass_pct"] == 100
    assert told["doses"][1]["history"][-1] == "multiplied by 30 fractions"
    status, text = by_gamma(tmp_path, said, [*words[:2], "--any-scale"])
    assert status == 0
    assert " 0.00 %" in text


def test_a_relative_dose_is_scaled_as_said(tmp_path, said):
    write_pair(tmp_path, {}, {"dose": DOSE / 60, "DoseUnits": "RELATIVE"})
    status, text = by_gamma(tmp_path, said, ["--relative-unit-gy", "60", "--json"])
    assert status == 0, text
    told = json.loads(text)
    assert told["results"][0]["regions"][0]["pass_pct"] == 100
    assert "the value 1 of its DoseUnits RELATIVE taken as 60 Gy" in told["doses"][1]["history"][0]
    write_pair(tmp_path)
    status, text = by_gamma(tmp_path, said, ["--relative-unit-gy", "60"])
    assert status == 2
    assert "leave --relative-unit-gy 60 away" in text


def test_the_clinics_doses_of_several_files(tmp_path):
    case = tmp_path / "A-001"
    for role in ("reference_dose", "synthetic_dose"):
        for number, share in ((1, 0.3), (2, 0.7)):
            place = case / role / f"{number}.dcm"
            if role == "synthetic_dose":
                place = case / f"{role}_beam{number}.dcm"
            write_dose(place, share * DOSE, beams=[number], plan=uid(role))
    write_plan(case / "plan.dcm", [square_beam(1), square_beam(2)])
    with pytest.raises(QAError, match="--clinic-dose summation=beam"):
        read_clinic_case(tmp_path, "A-001")
    request = parse_clinic_request(["summation=beam"])
    found = read_clinic_case(tmp_path, "A-001", request)
    assert found.reference is not None and found.synthetic is not None
    assert float(found.reference.array.max()) == pytest.approx(60, abs=1e-3)
    assert any("sum of 2 beam doses (beam 1, beam 2)" in step for step in found.history)
    assert request.asked() == "summation beam"
    (case / "synthetic_dose_beam2.dcm").unlink()
    with pytest.raises(QAError, match=r"the dose of beam 2 of .* is missing"):
        read_clinic_case(tmp_path, "A-001", request)


# --- pass rates that rest on different voxels -------------------------------------------------


def test_pass_rates_of_different_voxels_are_not_shown_side_by_side_in_silence(tmp_path, said):
    write_pair(tmp_path, {}, {"dose": 1.01 * DOSE})
    status, text = by_gamma(tmp_path, said, ["--mode", "matrad", "--criteria", "3/3,1/1"])
    assert status == 0
    assert "voxels judged" in " ".join(text.split())
    assert "rest on different voxels and do not compare with each other" in " ".join(text.split())
    status, text = by_gamma(tmp_path, said, ["--criteria", "3/3,1/1"])
    assert "rest on different voxels" not in " ".join(text.split())


def test_a_search_of_pymedphys_without_end_is_refused_before_it_begins(tmp_path, said, monkeypatch):
    """Doses far apart on a large grid: pymedphys would search on and on."""
    words = far_apart(tmp_path / "large", (60, 60, 60))
    status, text = said(words)
    assert status == 2
    assert "--max-gamma 2" in text
    monkeypatch.setattr("qa_suite.dose.gamma.shells.MOST_SAMPLES", 1e6)
    words = far_apart(tmp_path / "small", (12, 12, 12))
    assert said(words)[0] == 2
    assert said([*words, "--max-gamma", "1.1"])[0] == 0


def far_apart(folder: Path, shape: tuple[int, int, int]) -> list[str]:
    """Write two doses of which no point of one is near the other; return the command."""
    low = np.full(shape, 40.0)
    low[0, 0, 0] = 60.0
    grid = Grid(shape=shape, spacing_mm=(3.0,) * 3)
    paths = []
    for name, array in (("a", low), ("b", np.full(shape, 55.0))):
        made = Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")
        paths.append(str(folder / f"{name}.nii.gz"))
        write_image(made, folder / f"{name}.nii.gz")
    return ["gamma", *paths, "--mode", "pymedphys", "--criteria", "1/1", "--threads", "1"]


def test_one_fraction_beside_a_prescription_is_hinted_at(tmp_path, said):
    write_pair(tmp_path, {}, {"dose": DOSE / 30})
    status, text = by_dvh(tmp_path, said, ["--prescription-gy", "60"])
    assert status == 0
    assert "a 30th of the prescription of 60 Gy" in " ".join(text.split())
    status, text = by_dvh(tmp_path, said, ["--prescription-gy", "60", "--fractions", "30"])
    assert status == 0
    assert "th of the prescription" not in " ".join(text.split())


def test_a_ratio_that_may_be_cgy_or_many_fractions_names_both(tmp_path, said):
    write_image(volume(DOSE), tmp_path / "a.nii.gz")
    write_image(volume(DOSE / 60), tmp_path / "b.nii.gz")
    words = ["gamma", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--threads", "1"]
    status, text = said(words)
    assert status == 2
    assert "--dose-unit cGy,Gy" in text
    assert "--fractions 1,60" in text
    assert said([*words, "--fractions", "1,60"])[0] == 0


# --- exit status ------------------------------------------------------------------------------


def test_dvh_without_any_value_is_inconclusive(tmp_path, said):
    write_image(volume(DOSE), tmp_path / "dose.nii.gz")
    ones = np.zeros(SHAPE, np.int32)
    ones[4:7, 3:6, 3:6] = 1
    inside = Volume(array=ones, grid=volume(DOSE).grid, quantity="label")
    far = Volume(
        array=ones,
        grid=Grid(shape=SHAPE, spacing_mm=SPACING_MM, origin_mm=(900.0, 0.0, 0.0)),
        quantity="label",
    )
    write_image(inside, tmp_path / "in.nii.gz")
    write_image(far, tmp_path / "far.nii.gz")
    dose, into, away = (str(tmp_path / f"{n}.nii.gz") for n in ("dose", "in", "far"))
    assert said(["dvh", dose, into])[0] == 0
    assert said(["dvh", dose, away])[0] == 3
    assert said(["dvh", dose, into, away])[0] == 3
    assert said(["dvh", dose, into, "--metrics", "V95%"])[0] == 3
    assert said(["dvh", dose, into, "--metrics", "V95%,D95"])[0] == 0
