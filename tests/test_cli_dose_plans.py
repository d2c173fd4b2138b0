"""RTPLANs on the command line: what is told of them on the terminal and in the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from qa_suite.cli import run
from qa_suite.core.record_files import read_cases, read_evaluation
from tests.cli_dose_cases import EVALUATE, make_cohort, one_sentence, tiny_plan
from tests.cli_dose_cases import here as here
from tests.dicom_factory import write_series, write_structures
from tests.plan_factory import ion_beam, square_beam, write_ion_plan, write_plan
from tests.test_cli_dose_dicom import ball
from tests.tiny_cohort import SPACING_MM, grid, pair


def centred(beam: pydicom.Dataset) -> pydicom.Dataset:
    """A beam at the middle of the tiny patient."""
    points = beam.get("ControlPointSequence") or beam.get("IonControlPointSequence")
    points[0].IsocenterPosition = [float(value) for value in grid().centre_mm]
    points[0].SourceToSurfaceDistance = None
    return beam


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A CT and its structures in DICOM, and plans of the same patient."""
    monkeypatch.chdir(tmp_path)
    _, ct, _ = pair(1)
    stored = np.rint(ct.array).astype(np.int16) + 1024
    write_series(tmp_path / "ct", stored, spacing_mm=SPACING_MM, origin_mm=grid().origin_mm)
    write_structures(tmp_path / "rs.dcm", {"Prostate": ball()})
    tiny_plan(tmp_path / "photons.yaml", name="photons")
    tiny_plan(tmp_path / "protons.yaml", "proton-pelvis", name="protons")
    return tmp_path


ASKED = (
    "--structure",
    "Prostate=rs.dcm",
    "--dose-grid-mm",
    "10",
    "--prescription-gy",
    "60",
    "--fractions",
    "30",
    "--json",
)
PHOTONS = ("dose", "ct", *ASKED, "--plan", "photons.yaml", "--hlut", "thomas-1999")
PROTONS = ("dose", "ct", *ASKED, "--plan", "protons.yaml", "--hlut", "stoichiometric-schneider")


def remarks(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("! ")]


def test_a_plan_in_order_says_what_computes_it_alone(files, capsys):
    structures = pydicom.dcmread("rs.dcm").SOPInstanceUID
    path = write_plan(files / "plan.dcm", [centred(square_beam(1))])
    dataset = pydicom.dcmread(path)
    dataset.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = structures
    dataset.save_as(path)
    assert run([*PHOTONS, "--rtplan", "plan.dcm"]) == 0
    (said,) = remarks(capsys)
    assert said == "! photons: the treatment machine LINAC1 is computed as elekta_6MV."


def test_what_casts_doubt_on_a_plan_stands_on_the_terminal(files, capsys):
    beam = centred(square_beam(1, HighDoseTechniqueType="TBI"))
    beam.ControlPointSequence[0].SourceToSurfaceDistance = 700
    write_plan(files / "plan.dcm", [beam], ApprovalStatus="REJECTED", PlanIntent="VERIFICATION")
    assert run([*PHOTONS, "--rtplan", "plan.dcm"]) == 0
    said = "\n".join(remarks(capsys))
    for words in (
        "it is REJECTED (ApprovalStatus)",
        "it is a plan of VERIFICATION and not one to treat by",
        "ignored, for nothing here knows what it does to dose: BeamSequence.HighDoseTechniqueType",
        "it was made on another structure set than rs.dcm",
        "source-to-surface distances differ from the reference image's by more than 10 mm: field 1",
    ):
        assert words in said


def test_an_ion_plan_in_monitor_units_needs_their_size(files, capsys):
    beam = centred(ion_beam(1))
    del beam.RangeShifterSequence, beam.NumberOfRangeShifters
    del beam.IonControlPointSequence[0].RangeShifterSettingsSequence
    write_ion_plan(files / "ions.dcm", [beam])
    given = [*PROTONS, "--rtplan", "ions.dcm"]
    assert run(given) == 2
    assert "say it with --protons-per-mu" in one_sentence(capsys)
    doses = {}
    for size in ("4e6", "8e6"):
        assert run([*given, "--protons-per-mu", size]) == 0
        printed = capsys.readouterr()
        rows = {(r["metric"], r["region"]): r["value"] for r in json.loads(printed.out)}
        doses[size] = rows["dmean_reference", "target"]
        assert f"a monitor unit is taken for {float(size):g} protons (as stated)" in printed.err
    assert doses["8e6"] == pytest.approx(2 * doses["4e6"], rel=1e-5)
    assert doses["4e6"] > 0
    assert run([*PHOTONS, "--protons-per-mu", "4e6"]) == 2
    assert "--protons-per-mu needs an RTPLAN of ions" in one_sentence(capsys)


def test_the_step_of_an_arc_may_be_chosen(files, capsys):
    beam = centred(square_beam(1, gantry=90))
    beam.ControlPointSequence[1].GantryAngle = 106
    write_plan(files / "arc.dcm", [beam])
    given = [*PHOTONS, "--rtplan", "arc.dcm"]
    for more, fields in (((), 4), (("--arc-step-deg", "8"), 2)):
        assert run([*given, *more]) == 0
        step = more[1] if more else "4"
        said = f"arcs are computed as fields of at most {step}°: field 1 (1 step, {fields} fields)"
        assert any(said in line for line in remarks(capsys))
    assert run([*given, "--arc-step-deg", "20"]) == 2
    assert "--arc-step-deg is 1 to 10 degrees, not 20" in one_sentence(capsys)
    assert run([*PHOTONS, "--arc-step-deg", "5"]) == 2
    assert "--arc-step-deg needs an RTPLAN of photons" in one_sentence(capsys)


def test_a_plan_in_another_frame_than_the_images_is_refused(files, capsys):
    write_plan(files / "plan.dcm", [centred(square_beam(1))], FrameOfReferenceUID="1.2.3.4")
    assert run([*PHOTONS, "--rtplan", "plan.dcm"]) == 2
    assert "plan in another frame of reference than" in one_sentence(capsys)


def test_remarks_stand_in_the_record_and_in_its_notices(here, capsys):
    cohort = make_cohort(here, "ss")
    for case, status in zip(cohort.cases, ("APPROVED", "UNAPPROVED"), strict=True):
        folder = here / "clinic" / case.case
        folder.mkdir(parents=True)
        write_plan(folder / "plan.dcm", [centred(square_beam(1))], ApprovalStatus=status)
    more = ("--clinic", "clinic", "--rtplans", "--prescription-gy", "60", "--fractions", "30")
    assert run([*EVALUATE, *more]) == 0
    out = here / "out"
    first, second = read_cases(out)
    machine = "photons: the treatment machine LINAC1 is computed as elekta_6MV"
    doubt = "photons: it is UNAPPROVED (ApprovalStatus)"
    assert machine in first.remarks and machine in second.remarks
    assert doubt not in first.remarks and doubt in second.remarks
    for words in ("patient cannot be compared", "structure set they are of", "frame of reference"):
        assert any(words in remark for remark in first.remarks), words
    notices = read_evaluation(out).notices
    assert f"case1 and case2: {machine}." in notices
    assert f"case2: {doubt}." in notices
    assert f"! case2: {doubt}." in remarks(capsys)


def test_plans_of_which_none_can_be_read_are_not_called_missing(tmp_path):
    from qa_suite.cli.flows import clinic_plans
    from qa_suite.core.errors import Problems
    from tests.tiny_cohort import make_tiny_cohort

    make_tiny_cohort(tmp_path / "tiny", "s")
    (tmp_path / "clinic" / "case1").mkdir(parents=True)
    (tmp_path / "clinic" / "case1" / "plan.dcm").write_bytes(b"no DICOM at all")
    with pytest.raises(Problems, match=r"plan\.dcm"):
        clinic_plans(tmp_path / "tiny", tmp_path / "clinic")
