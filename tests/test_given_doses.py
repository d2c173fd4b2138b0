"""Doses as clinics export them: what every verb checks, and that its advice leads out."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import parse_clinic_request, read_clinic_case
from qa_suite.io.images import write_image
from tests.conftest import ROOT
from tests.dicom_factory import rectangle, uid, write_structures
from tests.plan_factory import square_beam, write_plan
from tests.rt_factory import write_dose

SHAPE = (12, 10, 8)
SPACING_MM = (2.0, 3.0, 4.0)
ORIGIN_MM = (-10.0, -20.0, -30.0)


def a_dose() -> np.ndarray:
    i, j, k = np.indices(SHAPE)
    return 60.0 * np.exp(-((i - 5) ** 2 + (j - 4) ** 2 + (k - 4) ** 2) / 30.0)


DOSE = a_dose()
Outcome = tuple[int, str]
Verb = Callable[..., Outcome]


@pytest.fixture
def said(capsys) -> Callable[[list[str]], Outcome]:
    """Run a command; its status, and what it says on both channels."""

    def ran(words: list[str]) -> Outcome:
        status = run(words)
        out, err = capsys.readouterr()
        return status, out + err

    return ran


def structures(folder: Path, **tags: object) -> Path:
    contours = [rectangle((-4, 6), (-14, -2), z) for z in (-22.0, -18.0, -14.0, -10.0)]
    write_structures(folder / "rs.dcm", {"PTV": contours}, **tags)
    return folder / "rs.dcm"


def volume(array: np.ndarray) -> Volume:
    grid = Grid(shape=array.shape, spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM)
    return Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")


# --- the verbs ------------------------------------------------------------------------------


def by_gamma(folder: Path, said, options: list[str]) -> Outcome:
    return said(["gamma", str(folder / "a"), str(folder / "b"), "--threads", "1", *options])


def by_dvh(folder: Path, said, options: list[str]) -> Outcome:
    where = folder / "b"
    tags = {}
    if (folder / "rs.tags").exists():
        tags = json.loads((folder / "rs.tags").read_text())
    return said(["dvh", str(where), str(structures(folder / "rs", **tags)), *options])


def by_clinic(folder: Path, said, options: list[str]) -> Outcome:
    """The doses of ``evaluate --clinic``, read as it reads them, with its option."""
    case = folder / "clinic" / "A-001"
    case.mkdir(parents=True, exist_ok=True)
    for name, role in (("a", "reference_dose"), ("b", "synthetic_dose")):
        place = folder / name
        for number, file in enumerate(sorted(place.iterdir())):
            ending = "".join(file.suffixes)
            (case / f"{role}{number or ''}{ending}").write_bytes(file.read_bytes())
    words = iter(options)
    texts = []
    for word in words:
        assert word == "--clinic-dose", f"evaluate has no {word} for doses"
        texts.append(next(words))
    try:
        found = read_clinic_case(folder / "clinic", "A-001", parse_clinic_request(texts))
    except QAError as error:
        return 2, str(error)
    return 0, "\n".join(found.history)


VERBS: dict[str, Verb] = {"gamma": by_gamma, "dvh": by_dvh, "evaluate --clinic": by_clinic}
PAIRS = ("gamma", "evaluate --clinic")


def write_pair(folder: Path, first: dict | None = None, second: dict | None = None) -> None:
    for name, tags in (("a", first or {}), ("b", second or {})):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tags = dict(tags)
        dose = tags.pop("dose", DOSE)
        write_dose(folder / name / "d.dcm", dose, **tags)


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
ADVICE = re.compile(r"--(?!any-scale)[a-z][\w-]* (?!any-scale)[\w=,.-]*\w")


def advised(text: str) -> list[str]:
    """The options that a refusal recommends, with the values that only the user knows filled in."""
    found = ADVICE.findall(text.replace("`", ""))
    assert found, f"no way out in: {text}"
    words = shlex.split(" ".join(found))
    return [re.sub(r"\bGY\b", "1", word) for word in words]


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
    assert "no plan was given to hold it against" in text


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


# --- planes ---------------------------------------------------------------------------------


def a_plane(orientation: tuple[float, ...], dose: np.ndarray, path: Path, **tags: object) -> None:
    write_dose(path, dose[:, :, None], orientation=orientation, **tags)


@pytest.mark.parametrize("mode", ["trilinear", "simplex", "pymedphys"])
@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_gamma_of_planes_is_searched_within_them(name, mode, tmp_path, said):
    """Known: a ramp of 1 Gy/mm raised by 1 Gy has gamma 1/√2 at 1 Gy and 1 mm."""
    turn = {
        "axial": (1, 0, 0, 0, 1, 0),
        "coronal": (1, 0, 0, 0, 0, -1),
        "sagittal": (0, 1, 0, 0, 0, -1),
    }[name]
    ramp = np.broadcast_to(30.0 + 2 * np.arange(15.0)[:, None], (15, 9))
    a_plane(turn, ramp, tmp_path / "a.dcm")
    a_plane(turn, ramp + 1, tmp_path / "b.dcm")
    words = [
        "gamma",
        str(tmp_path / "a.dcm"),
        str(tmp_path / "b.dcm"),
        "--plane-mm",
        "1",
        "--criteria",
        "2/1",
        "--normalisation",
        "50",
        "--mode",
        mode,
        "--threads",
        "1",
        "--json",
        "--interp-fraction",
        "200",
    ]
    status, text = said(words)
    assert status == 0, text
    told = json.loads(text)
    (result,) = told["results"]
    assert result["searched"] == "plane"
    assert told["doses"][0]["plane"] is True
    assert told["doses"][0]["asked"] == {"plane_mm": 1.0}
    assert "gamma was searched within the plane alone" in text
    region = result["regions"][0]
    assert region["judged"] == 15 * 9
    assert region["median"] == pytest.approx(1 / np.sqrt(2), abs=2e-3)


def test_the_mode_pymedphys_gives_its_numbers_on_planes(tmp_path):
    from pymedphys import gamma as theirs

    from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma

    rng = np.random.default_rng(5)
    x, y = np.arange(20) * 2.0, np.arange(16) * 2.5
    first = 50 * np.exp(-((x[:, None] - 18) ** 2 + (y - 19) ** 2) / 200)
    second = first * 1.02 + rng.normal(0, 0.4, first.shape)
    expected = theirs((y, x), first.T, (y, x), second.T, 2, 2).T
    grid = Grid(shape=(20, 16, 1), spacing_mm=(2.0, 2.5, 1.0))
    doses = [
        Volume(array=d[:, :, None].astype(np.float32), grid=grid, quantity="Gy")
        for d in (first, second)
    ]
    (found,) = gamma(
        *doses, [GammaCriterion(dose_pct=2, distance_mm=2)], GammaSettings(mode="pymedphys")
    )
    known = np.isfinite(expected)
    assert known.sum() > 50
    assert np.array_equal(found.judged[:, :, 0], known)
    assert np.abs(found.values[:, :, 0][known] - expected[known]).max() < 2e-5


def test_planes_apart_are_not_compared(tmp_path, said):
    plane = DOSE[:, :, 4]
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "a.dcm")
    words = ["gamma", str(tmp_path / "a.dcm"), str(tmp_path / "b.dcm"), "--plane-mm", "5"]
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "b.dcm", origin_mm=(-10, -20, -30.04))
    assert said([*words, "--threads", "1"])[0] == 0  # rounding in a header
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "b.dcm", origin_mm=(-10, -20, -31))
    status, text = said(words)
    assert status == 2
    assert "within 0.1 mm of it" in text


def test_a_plane_against_a_volume_is_searched_in_the_volume(tmp_path, said):
    """A measured plane against a computed volume: the nearest point may lie beside the plane."""
    ramp = np.broadcast_to(30.0 + 4 * np.arange(9.0), (15, 9, 9))
    write_dose(tmp_path / "v.dcm", ramp + 1)
    write_dose(tmp_path / "p.dcm", ramp[:, :, 4:5], origin_mm=(-10, -20, -14))
    words = [
        "gamma",
        str(tmp_path / "p.dcm"),
        str(tmp_path / "v.dcm"),
        "--plane-mm",
        "1",
        "--json",
        "--criteria",
        "2/1",
        "--normalisation",
        "50",
        "--threads",
        "1",
    ]
    status, text = said(words)
    assert status == 0
    (result,) = json.loads(text)["results"]
    assert result["searched"] == "volume"
    assert result["regions"][0]["median"] == pytest.approx(1 / np.sqrt(2), abs=1e-3)


# --- pass rates that rest on different voxels -------------------------------------------------


def test_pass_rates_of_different_voxels_are_not_shown_side_by_side_in_silence(tmp_path, said):
    write_pair(tmp_path, {}, {"dose": 1.01 * DOSE})
    status, text = by_gamma(tmp_path, said, ["--mode", "matrad", "--criteria", "3/3,1/1"])
    assert status == 0
    assert "voxels judged" in " ".join(text.split())
    assert "rest on different voxels and do not compare with each other" in " ".join(text.split())
    status, text = by_gamma(tmp_path, said, ["--criteria", "3/3,1/1"])
    assert "rest on different voxels" not in " ".join(text.split())


def test_a_search_of_pymedphys_without_end_is_refused_before_it_begins(tmp_path, said):
    """Doses far apart on a large grid: pymedphys would search on and on."""
    shape = (60, 60, 60)
    low = np.full(shape, 40.0)
    low[0, 0, 0] = 60.0
    high = np.full(shape, 55.0)
    for name, array in (("a", low), ("b", high)):
        grid = Grid(shape=shape, spacing_mm=(3.0,) * 3)
        made = Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")
        write_image(made, tmp_path / f"{name}.nii.gz")
    words = ["gamma", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--mode", "pymedphys"]
    words += ["--criteria", "1/1", "--threads", "1"]
    status, text = said(words)
    assert status == 2
    assert "without end" in text
    assert "--max-gamma 2" in text
    assert said([*words, "--max-gamma", "1.1"])[0] == 0


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
