"""Plans whose attributes are mutated one by one, over all of the standard's modules of plans.

The attributes are those of ``data/rtplan_attributes.txt``; :func:`outcome` says what the engines
would make of a plan.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.template import imported_template
from qa_suite.dose.engines import engine_of
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.io.rt.plan import types as rtplan_types
from qa_suite.io.rt.plan.elements import PLAN, RULES, WHO_AND_WHEN, rule_of
from qa_suite.io.rt.plan.read import read_plan, require_supported
from tests.dicom_factory import uid
from tests.plan_factory import (
    first_point,
    ion_beam,
    jaws,
    leaves,
    photon_beam,
    square_beam,
    write_ion_plan,
    write_plan,
)
from tests.rt_factory import item

GRID = Grid(shape=(5, 5, 5), spacing_mm=(50.0,) * 3, origin_mm=(-88.0, -134.0, -44.0))
LIST = Path(__file__).parent / "data" / "rtplan_attributes.txt"
ION_ONLY = ("IonBeamSequence", "IonToleranceTableSequence")
PHOTON_ONLY = ("BeamSequence", "ToleranceTableSequence")


def attributes() -> Iterator[tuple[tuple[str, ...], str]]:
    """The standard's attributes: the path of sequences, and the keyword."""
    lines = LIST.read_text().replace("\n    ", " ").splitlines()
    for line in lines:
        if not line.startswith("#"):
            place, keywords = line.split(": ")
            path = () if place == "-" else tuple(place.split("."))
            for keyword in keywords.split():
                yield path, keyword


def turning_beam() -> Dataset:
    """Gantry and collimator turn, leaves move, and every direction is said."""
    frame = [jaws("ASYMX", -60, 60), jaws("ASYMY", -60, 60)]
    first = first_point([*frame, leaves([-40.0] * 12, [0.0] * 12)], 30.0)
    first.BeamLimitingDeviceAngle = 350
    first.GantryRotationDirection, first.BeamLimitingDeviceRotationDirection = "CW", "CC"
    last = item(
        CumulativeMetersetWeight=1,
        GantryAngle=40,
        BeamLimitingDeviceAngle=10,
        BeamLimitingDevicePositionSequence=[leaves([0.0] * 12, [40.0] * 12)],
    )
    return photon_beam(1, [first, last], ("ASYMX", "ASYMY", "MLCX"), ReferencedPatientSetupNumber=1)


SETUPS = {
    "PatientSetupSequence": DicomSequence(
        [
            item(PatientSetupNumber=1, PatientPosition="HFS"),
            item(PatientSetupNumber=2, PatientPosition="FFS"),
        ]
    )
}


def write_photons(path: Path, **tags: Any) -> Path:
    fluence = {"PrimaryFluenceModeSequence": DicomSequence([item(FluenceMode="STANDARD")])}
    second = square_beam(2, ReferencedPatientSetupNumber=1, **fluence)
    return write_plan(
        path,
        [turning_beam(), second],
        [100.0, 150.0],
        **{"FrameOfReferenceUID": uid("frame"), **SETUPS, **tags},
    )


def write_prescribed_by_the_fractions(path: Path) -> Path:
    """A plan whose targets are named by number only, their doses by the fraction group."""
    target = item(
        DoseReferenceNumber=1, DoseReferenceStructureType="SITE", DoseReferenceType="TARGET"
    )
    write_photons(path, DoseReferenceSequence=DicomSequence([target]))
    dataset = pydicom.dcmread(path)
    dose = item(ReferencedDoseReferenceNumber=1, TargetPrescriptionDose=44)
    dataset.FractionGroupSequence[0].ReferencedDoseReferenceSequence = DicomSequence([dose])
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_ions(path: Path) -> Path:
    beam = ion_beam(1, PrimaryDosimeterUnit="NP", ReferencedPatientSetupNumber=1)
    del beam.RangeShifterSequence, beam.NumberOfRangeShifters
    del beam.IonControlPointSequence[0].RangeShifterSettingsSequence
    return write_ion_plan(path, [beam], 1.6e9, FrameOfReferenceUID=uid("frame"), **SETUPS)


def outcome(path: Path) -> tuple[Any, ...]:
    """What a user gets of a plan: a dose and what it is judged by, remarks, or a refusal."""
    try:
        plan = read_plan(path)
        require_supported(plan)
        return _computed(pickle.dumps(plan))
    except QAError as error:
        return ("refused", str(error))


@cache
def _computed(pickled: bytes) -> tuple[Any, ...]:
    plan = pickle.loads(pickled)
    template = imported_template(plan.modality, targets=("PTV",))
    hlut = load_hlut("thomas-1999" if plan.modality == "photons" else "stoichiometric-schneider")
    made = engine_of(template).imported(
        plan,
        GRID,
        target=np.ones(GRID.shape, bool),
        target_name="PTV",
        template=template,
        hlut=hlut,
    )
    surface = [
        beam.control_points[0].ssd_mm
        for beam in plan.beams
        if isinstance(beam, rtplan_types.PhotonBeam)  # held to the image, where there is one
    ]
    identity = (plan.patient_id, plan.frame_of_reference, plan.structure_set_uid)
    judged = (plan.target_doses, plan.fractions)
    return (made.digest, judged, made.remarks, surface, identity)


VALUES: dict[str, Any] = {
    "ApprovalStatus": "REJECTED",
    "PlanIntent": "VERIFICATION",
    "RTPlanGeometry": "TREATMENT_DEVICE",
    "PatientPosition": "HFP",
    "TreatmentDeliveryType": "SETUP",
    "FluenceMode": "NON_STANDARD",
    "SetupTechnique": "TBI",
    "PatientSupportType": "CHAIR",
    "EnhancedRTBeamLimitingDeviceDefinitionFlag": "YES",
    "GantryRotationDirection": "CC",
    "BeamLimitingDeviceRotationDirection": "CW",
    "DoseReferenceStructureType": "COORDINATES",
    "LeafJawPositions": [-50.0, 50.0],
    "ScanMode": "UNIFORM",
    "ModulatedScanModeType": "LEVEL",
    "ReferencedRTPlanSequence": [item(RTPlanRelationship="CONCURRENT")],
    "ScanSpotMetersetWeights": [2.0, 2.0],
    "ScanSpotPositionMap": [0.0, 0.0, 5.0, 5.0],
    "GeneralAccessorySequence": [item(GeneralAccessoryID="G", GeneralAccessoryType="GRATICULE")],
    "RTPlanRelationship": "CONCURRENT",
    "BeamMeterset": 130.0,
    "NumberOfFractionsPlanned": 20,
    "IsocenterPosition": [14.0, -34.0, 56.0],
    "TargetPrescriptionDose": 50.0,
    "ReferencedPatientSetupNumber": 2,
    "PatientSetupNumber": 3,
    "NominalBeamEnergy": 149.0,
    "BeamNumber": 9,
    "ReferencedBeamNumber": 9,
    "RTBeamLimitingDeviceType": "ASYMY",
}
"""Values of those attributes whose other values are no arbitrary ones."""
BY_KIND: dict[str, Any] = {
    "CS": "OTHER",
    "SH": "other",
    "LO": "other",
    "ST": "other",
    "LT": "other",
    "UT": "other",
    "UI": "1.2.3.4",
    "DA": "20200101",
    "TM": "101010",
    "DT": "20200101101010",
    "PN": "Other^One",
    "UR": "http://other",
    "UC": "other",
    "AE": "OTHER",
    "AS": "040Y",
}


def another(keyword: str, old: Any) -> Any:
    """Another value for an attribute, of the same kind."""
    if keyword in VALUES:
        return VALUES[keyword]
    kind = dictionary_VR(keyword)
    if kind == "SQ":
        return DicomSequence([item(CodeMeaning="other")])
    if kind in BY_KIND:
        return BY_KIND[kind]
    if kind in ("OB", "OW", "UN", "OF", "OD"):
        return b"\1\2\3\4\5\6\7\10"
    if old is not None and not isinstance(old, (str, bytes)) and np.size(old) > 1:
        return [float(value) + 2 for value in old]
    count = int(dictionary_VM(keyword).split("-")[0]) if dictionary_VM(keyword)[0].isdigit() else 1
    number = 7 if old is None or old == "" else int(float(old)) + 7
    return number if count == 1 else [float(number + n) for n in range(count)]


def mutated(path: Path, where: tuple[str, ...], keyword: str) -> None:
    """Give one attribute of a written plan another value; its sequences are made where absent."""
    dataset = pydicom.dcmread(path)
    inner = dataset
    for name in where:
        if not inner.get(name):
            setattr(inner, name, DicomSequence([Dataset()]))
        items = inner.get(name)
        inner = next((one for one in items if keyword in one), items[0])
    setattr(inner, keyword, another(keyword, inner.get(keyword)))
    dataset.save_as(path, enforce_file_format=True)


def idle(where: tuple[str, ...], keyword: str) -> bool:
    """Whether an attribute, or a sequence that it lies in, is declared to be of no matter."""
    for depth, name in enumerate((*where, keyword)):
        place = where[depth - 1] if depth else PLAN
        if place not in RULES:
            return False  # of a sequence that goes by its rule as a whole
        rule = rule_of(place, name)
        if rule is None:
            return place == PLAN and tag_for_keyword(name) >> 16 in WHO_AND_WHEN
        if rule.fate == "idle":
            return True
    return False


BASES: dict[str, Callable[[Path], Path]] = {
    "photons": write_photons,
    "photons, prescribed by the fraction group": write_prescribed_by_the_fractions,
    "protons": write_ions,
}


def bases_of(where: tuple[str, ...], keyword: str) -> list[str]:
    """The plans that may hold an attribute."""
    first = where[0] if where else keyword
    return [name for name in BASES if first not in (PHOTON_ONLY if name == "protons" else ION_ONLY)]


CASES = list(attributes())
