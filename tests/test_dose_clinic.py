"""Doses and plans of the clinic's planning system, judged and driven by the suite's own code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError, QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import clinic_files, read_clinic_case
from qa_suite.dose.clinic.trust import doses_of_case
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import TargetRule, load_template
from qa_suite.io.identity import KEY_VARIABLE, patient_hash
from qa_suite.io.images import write_image
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose import dose
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from tests.dicom_factory import PATIENT_ID
from tests.plan_factory import ISOCENTRE, square_beam, write_plan
from tests.rt_factory import write_dose

GRID = Grid(shape=(25, 25, 21), spacing_mm=(10.0, 10.0, 10.0), origin_mm=(-120.0, -120.0, -100.0))
TEMPLATE = load_template("photon-pelvis").model_copy(
    update={"targets": (TargetRule(structures=("PTV",)),), "goals": ()}
)


def pair(bias_hu: float = 0.0) -> Pair:
    place = GRID.to_world(np.stack(np.indices(GRID.shape), axis=-1))
    body = np.hypot(place[..., 0], place[..., 1]) < 100
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    target = np.linalg.norm(place - np.asarray(ISOCENTRE), axis=-1) < 25
    reference = Volume(array=hu, grid=GRID, quantity="HU")
    synthetic = reference.with_array(np.where(body, hu + np.float32(bias_hu), hu))
    return Pair(
        reference=reference, synthetic=synthetic, mask=body, structures={"PTV": target & body}
    )


def flat_dose(gy: float, grid: Grid = GRID) -> Volume:
    return Volume(array=np.full(grid.shape, gy, dtype=np.float32), grid=grid, quantity="Gy")


def write_case(folder: Path, **doses: Volume) -> Path:
    for name, volume in doses.items():
        write_image(volume, folder / "A-001" / f"{name}.nii.gz")
    return folder


def judged(folder: Path, **changes: object) -> dict[tuple[str, str], float | None]:
    case = read_clinic_case(folder, "A-001")
    settings = DoseSettings(clinic=TEMPLATE, **changes)  # type: ignore[arg-type]
    found = dose(replace(pair(), clinic=case), settings)
    return {(v.metric, v.region): v.value for v in found if hasattr(v, "metric")}


def test_doses_of_the_clinic_are_judged_like_the_surrogates(tmp_path):
    write_case(tmp_path, reference_dose=flat_dose(70.0), synthetic_dose=flat_dose(71.4))
    found = judged(tmp_path)
    assert found["dmean_reference", "target"] == pytest.approx(70.0, abs=1e-3)
    assert found["dmean_difference", "target"] == pytest.approx(1.4, abs=1e-3)
    assert found["dmean_difference_pct", "target"] == pytest.approx(100 * 1.4 / 78, abs=1e-3)
    assert found["gamma_pass_rate", "target"] == 0.0  # the strictest criterion comes last: 1 %


def test_a_synthetic_dose_on_another_grid_is_brought_onto_the_references(tmp_path):
    finer = Grid(shape=(49, 49, 41), spacing_mm=(5.0, 5.0, 5.0), origin_mm=GRID.origin_mm)
    write_case(tmp_path, reference_dose=flat_dose(70.0), synthetic_dose=flat_dose(70.0, finer))
    assert judged(tmp_path)["dmean_difference", "target"] == pytest.approx(0.0, abs=1e-3)


def test_one_dose_alone_is_refused(tmp_path):
    write_case(tmp_path, reference_dose=flat_dose(70.0))
    with pytest.raises(InputError, match="no synthetic_dose; give both"):
        read_clinic_case(tmp_path, "A-001")


def test_gray_against_centigray_is_refused(tmp_path):
    write_case(tmp_path, reference_dose=flat_dose(0.7), synthetic_dose=flat_dose(70.0))
    with pytest.raises(QAError, match="Gy"):
        read_clinic_case(tmp_path, "A-001")


def test_a_dose_that_is_there_twice_is_refused(tmp_path):
    write_case(tmp_path, reference_dose=flat_dose(70.0), synthetic_dose=flat_dose(70.0))
    write_image(flat_dose(70.0), tmp_path / "A-001" / "reference_dose.mha")
    with pytest.raises(InputError, match="more than once"):
        clinic_files(tmp_path, "A-001")


def test_a_dose_beside_the_patient_is_an_error_and_never_a_number(tmp_path):
    away = Grid(shape=(5, 5, 5), spacing_mm=(10.0,) * 3, origin_mm=(5000.0, 0.0, 0.0))
    write_case(tmp_path, reference_dose=flat_dose(70.0, away), synthetic_dose=flat_dose(70.0, away))
    case = read_clinic_case(tmp_path, "A-001")
    found = dose(replace(pair(), clinic=case), DoseSettings(clinic=TEMPLATE))
    assert found
    assert all(v.status == "error" and "do not overlap" in v.why for v in found)  # type: ignore[union-attr]


def test_a_case_without_doses_is_an_error(tmp_path):
    found = dose(pair(), DoseSettings(clinic=TEMPLATE))
    assert all(v.status == "error" and "no doses" in v.why for v in found)  # type: ignore[union-attr]


def test_other_frames_of_reference_are_refused():
    from qa_suite.dose.scene.gridding import require_overlap

    one = replace(GRID, frame_of_reference="1.2.3")
    with pytest.raises(GeometryError, match="different frames"):
        require_overlap(one, replace(GRID, frame_of_reference="1.2.4"), "The dose", "the images")


def test_doses_in_the_folder_of_another_patient_are_refused(tmp_path, monkeypatch):
    key = b"k" * 32
    (tmp_path / "key").write_bytes(key)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))
    for role in ("reference_dose", "synthetic_dose"):
        write_dose(tmp_path / "A-001" / f"{role}.dcm", np.full((4, 4, 4), 60.0))
    case = read_clinic_case(tmp_path, "A-001")
    mine = patient_hash(PATIENT_ID, key)
    assert doses_of_case(case, mine, {mine, "p0"}) is case
    with pytest.raises(InputError, match="a dose of another patient of the cohort"):
        doses_of_case(case, "p0", {mine, "p0"})
    assert "taken on trust" in doses_of_case(case, "p0", {"p0"}).history[-1]
    assert PATIENT_ID not in repr(case)


def test_a_plan_of_the_clinic_drives_the_surrogate(tmp_path):
    """Two square fields from front and left; a bias of HU weakens what lies behind."""
    (tmp_path / "A-001").mkdir()
    write_plan(tmp_path / "A-001" / "plan.dcm", [square_beam(1), square_beam(2, gantry=90)])
    case = read_clinic_case(tmp_path, "A-001")
    assert case.plan is not None
    assert case.reference is None
    choice = PlanChoice(template=TEMPLATE, hlut=load_hlut("thomas-1999"))
    settings = DoseSettings(plans=(choice,), rtplans=True, grid_mm=10, causes=False, bulk=False)
    found = {
        (v.metric, v.region): v.value
        for v in dose(replace(pair(50.0), clinic=case), settings)
        if hasattr(v, "metric")
    }
    reference, change = found["dmean_reference", "target"], found["dmean_difference", "target"]
    assert reference is not None
    assert reference > 0
    assert change is not None
    assert -0.05 < change / reference < -0.005
    assert found["prescribed_dose", "target"] == 60  # of its target 'PTV', not the boost's 66
    assert found["dmean_difference_pct", "target"] == pytest.approx(100 * change / 60)


def test_a_plan_that_is_not_there_is_an_error():
    choice = PlanChoice(template=TEMPLATE, hlut=load_hlut("thomas-1999"))
    found = dose(pair(), DoseSettings(plans=(choice,), rtplans=True, grid_mm=10))
    assert found
    assert all(v.status == "error" and "plan.dcm" in v.why for v in found)  # type: ignore[union-attr]


def test_a_plan_of_the_clinic_needs_no_template(tmp_path):
    from qa_suite.dose.clinic.template import IMPORTED, imported_template

    (tmp_path / "A-001").mkdir()
    write_plan(tmp_path / "A-001" / "plan.dcm", [square_beam(1)])
    case = read_clinic_case(tmp_path, "A-001")
    choice = PlanChoice(
        template=imported_template("photons", targets=["PTV"]), hlut=load_hlut("thomas-1999")
    )
    settings = DoseSettings(plans=(choice,), rtplans=True, grid_mm=10, causes=False, bulk=False)
    rows = [v for v in dose(replace(pair(), clinic=case), settings) if hasattr(v, "metric")]
    assert {row.variant.split(":")[0] for row in rows} == {IMPORTED}
    asked = next(row for row in rows if row.metric == "prescribed_dose")
    assert (asked.value, asked.why) == (60, "plan.dcm: PTV")
    with pytest.raises(ValueError, match="needs RTPLANs"):
        DoseSettings(plans=(choice,))


def test_the_fractions_that_are_stated_are_delivered(tmp_path):
    from qa_suite.dose.clinic.template import imported_template

    (tmp_path / "A-001").mkdir()
    write_plan(tmp_path / "A-001" / "plan.dcm", [square_beam(1)])
    case = read_clinic_case(tmp_path, "A-001")
    choice = PlanChoice(
        template=imported_template("photons", targets=["PTV"]), hlut=load_hlut("thomas-1999")
    )
    means = {}
    for fractions in (30, 15):
        settings = DoseSettings(
            plans=(choice,),
            rtplans=True,
            grid_mm=10,
            causes=False,
            bulk=False,
            prescription_gy=2.0 * fractions,
            fractions=fractions,
        )
        rows = [v for v in dose(replace(pair(), clinic=case), settings) if hasattr(v, "metric")]
        means[fractions] = next(
            r.value for r in rows if (r.metric, r.region) == ("dmean_reference", "target")
        )
    assert means[15] == pytest.approx(means[30] / 2)


def test_a_plan_that_the_surrogate_cannot_compute_still_gives_its_prescription(tmp_path):
    """Doses of the clinic are judged by it; only to drive the surrogate is it refused."""
    write_case(tmp_path, reference_dose=flat_dose(58.0), synthetic_dose=flat_dose(58.6))
    write_plan(tmp_path / "A-001" / "plan.dcm", [square_beam(1, NumberOfWedges=1)])
    assert judged(tmp_path)["prescribed_dose", "target"] == 60
    case = read_clinic_case(tmp_path, "A-001")
    choice = PlanChoice(template=TEMPLATE, hlut=load_hlut("thomas-1999"))
    found = dose(
        replace(pair(), clinic=case), DoseSettings(plans=(choice,), rtplans=True, grid_mm=10)
    )
    assert all(v.status == "error" and "wedge" in v.why for v in found)  # type: ignore[union-attr]
