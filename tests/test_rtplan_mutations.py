"""Every attribute of a plan is used, refused, or named: one that does none of the three fails.

Plans are mutated attribute by attribute, over all of the standard's modules of plans
(``data/rtplan_attributes.txt``), and driven through the engines. The outcome of a plan is what
the engines would compute (the digest of the plan, which holds all that decides the dose, and
what it is judged by), its remarks, or why it is refused. A mutation must change the outcome,
but for the elements that are declared idle with a reason in ``io/rtplan_elements.py``; and those
must not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.template import imported_template
from qa_suite.dose.engines import engine_of
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.io.rt.plan import types as rtplan_types
from qa_suite.io.rt.plan.account import elements_page
from qa_suite.io.rt.plan.elements import PLAN, RULES, rule_of
from qa_suite.io.rt.plan.read import read_plan
from tests.plan_mutations import (
    BASES,
    CASES,
    attributes,
    bases_of,
    idle,
    mutated,
    outcome,
    write_photons,
)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, Any]:
    found = {}
    for name, write in BASES.items():
        found[name] = outcome(write(tmp_path_factory.getbasetemp() / "plan.dcm"))
    assert all(one[0] != "refused" for one in found.values()), found
    return found


def test_the_list_is_that_of_the_standard():
    known = {keyword for _, keyword in attributes()}
    assert len(CASES) > 600
    for keyword in known:
        assert keyword_for_tag(tag_for_keyword(keyword)) == keyword


@pytest.mark.parametrize("place", sorted({".".join(where) for where, _ in CASES}))
def test_every_attribute_is_used_refused_or_named(tmp_path_factory, expected, place):
    silent, untrue = [], []
    path = tmp_path_factory.getbasetemp() / "plan.dcm"
    for where, keyword in CASES:
        if ".".join(where) != place:
            continue
        changes = False
        for base in bases_of(where, keyword):
            mutated(BASES[base](path), where, keyword)
            changes = changes or outcome(path) != expected[base]
        if idle(where, keyword) == changes:
            (untrue if changes else silent).append(keyword)
    assert not silent, f"{place}: changes nothing, and nobody is told"
    assert not untrue, f"{place}: declared idle, and yet it does something"


def test_an_element_that_nobody_thought_of_is_named(tmp_path):
    path = write_photons(tmp_path / "p.dcm")
    before = outcome(path)
    dataset = pydicom.dcmread(path)
    point = dataset.BeamSequence[0].ControlPointSequence[0]
    point.private_block(0x3253, "VENDOR OF LINACS", create=True).add_new(0x10, "LO", "a secret")
    point.add_new(0x300A7F01, "LO", "of a later edition")
    dataset.BeamSequence[1].HighDoseTechniqueType = "TBI"
    dataset.save_as(path, enforce_file_format=True)
    (remark,) = set(outcome(path)[2]) - set(before[2])
    for words in (
        "private elements of VENDOR OF LINACS in ControlPointSequence",
        "ControlPointSequence.(300A,7F01)",
        "BeamSequence.HighDoseTechniqueType",
    ):
        assert words in remark
    assert "secret" not in remark
    assert outcome(path)[0] == before[0]


def test_an_empty_element_says_nothing(tmp_path):
    path = write_photons(tmp_path / "p.dcm")
    before = outcome(path)
    dataset = pydicom.dcmread(path)
    dataset.BeamSequence[0].HighDoseTechniqueType = ""
    dataset.BeamSequence[0].BlockSequence = DicomSequence([])
    dataset.save_as(path, enforce_file_format=True)
    assert outcome(path) == before


WITHOUT = {
    "FluenceMode": "STANDARD without it",
    "PrimaryFluenceModeSequence": "STANDARD without it",
    "TreatmentDeliveryType": "TREATMENT without it",
    "NumberOfLeafJawPairs": "one pair of jaws, of leaves as many as their boundaries say",
    "FinalCumulativeMetersetWeight": "that of the last control point",
    "CumulativeMetersetWeight": "0 at the first control point, the final one at the last",
    "GantryRotationDirection": "the short way without it, which is that of the plan",
    "BeamLimitingDeviceRotationDirection": "as above",
    "DoseReferenceNumber": "a name of targets that have none",
    "DoseReferenceType": "that of the organ that is no target",
    "TargetPrescriptionDose": "that of the organ that is no target",
    "ReferencedDoseReferenceSequence": "where the prescription module names no dose",
    "PatientPosition": "that of the set-up in which no beam is",
    "PatientSetupNumber": "as above",
}
"""Elements that are used and may be missing, and what holds without them in the plans here."""


@pytest.mark.parametrize("base", ["photons", "protons"])
def test_an_element_that_is_missing_is_never_missed_in_silence(tmp_path_factory, expected, base):
    path = tmp_path_factory.getbasetemp() / "plan.dcm"
    whole = pydicom.dcmread(BASES[base](path))
    silent, unclear = [], []
    for trail, keyword in elements(whole):
        dataset = pydicom.dcmread(BASES[base](path))
        inner = dataset
        for name, index in trail:
            inner = inner[name].value[index]
        delattr(inner, keyword)
        dataset.save_as(path, enforce_file_format=True)
        found = outcome(path)
        place = ".".join(name for name, _ in trail)
        rule = rule_of(trail[-1][0] if trail else PLAN, keyword)
        if found[0] == "refused" and "damaged" in found[1]:
            unclear.append(f"{place}: {keyword}: {found[1]}")
        idle_here = idle(tuple(name for name, _ in trail), keyword)
        if idle_here and found != expected[base]:
            unclear.append(f"{place}: {keyword} is idle, and yet needed")
        closing = any(name == "IonControlPointSequence" and n % 2 for name, n in trail)
        used = rule is not None and rule.fate == "used" and not idle_here
        if used and keyword not in WITHOUT and not closing and found == expected[base]:
            silent.append(f"{place}: {keyword}")
    assert not unclear
    assert not silent


def elements(dataset: Dataset, trail: tuple[tuple[str, int], ...] = ()) -> Iterator[Any]:
    """Every element of a plan that may be taken out, and the sequence items that it lies in."""
    for element in dataset:
        if element.keyword not in ("SOPClassUID", "SOPInstanceUID"):
            yield trail, element.keyword
        if element.VR == "SQ" and element.keyword in RULES:
            for index, one in enumerate(element.value):
                yield from elements(one, (*trail, (element.keyword, index)))


IDENTIFIES = "identifies it; compared with the other files of the case, or written into an export"
FIELDS = {
    "BeamLimiter": {
        "kind": "RTBeamLimitingDeviceType",
        "axis": "RTBeamLimitingDeviceType",
        "pairs": "NumberOfLeafJawPairs",
        "boundaries_mm": "LeafPositionBoundaries",
    },
    "ControlPoint": {
        "index": "ControlPointIndex",
        "weight": "CumulativeMetersetWeight",
        "gantry_deg": "GantryAngle",
        "gantry_rotation": "GantryRotationDirection",
        "collimator_deg": "BeamLimitingDeviceAngle",
        "collimator_rotation": "BeamLimitingDeviceRotationDirection",
        "couch_deg": "PatientSupportAngle",
        "couch_rotation": "PatientSupportRotationDirection",
        "isocentre_mm": "IsocenterPosition",
        "energy_mv": "NominalBeamEnergy",
        "ssd_mm": "SourceToSurfaceDistance",
        "positions_mm": "LeafJawPositions",
    },
    "PhotonBeam": {
        "number": "BeamNumber",
        "name": "BeamName",
        "machine": "TreatmentMachineName",
        "meterset_mu": "BeamMeterset",
        "sad_mm": "SourceAxisDistance",
        "fluence_mode": "FluenceMode",
        "limiters": "BeamLimitingDeviceSequence",
        "control_points": "ControlPointSequence",
    },
    "RangeShifter": dict.fromkeys(("identifier", "kind", "thickness_mm"), "RangeShifterSequence"),
    "IonLayer": {
        "energy_mev": "NominalBeamEnergy",
        "spots_mm": "ScanSpotPositionMap",
        "spot_weights": "ScanSpotMetersetWeights",
        "spot_fwhm_mm": "ScanningSpotSize",
    },
    "IonBeam": {
        "number": "BeamNumber",
        "name": "BeamName",
        "machine": "TreatmentMachineName",
        "meterset": "BeamMeterset",
        "meterset_unit": "PrimaryDosimeterUnit",
        "virtual_sad_mm": "VirtualSourceAxisDistances",
        "gantry_deg": "GantryAngle",
        "couch_deg": "PatientSupportAngle",
        "collimator_deg": "BeamLimitingDeviceAngle",
        "isocentre_mm": "IsocenterPosition",
        "snout": "SnoutID",
        "snout_mm": "SnoutPosition",
        "lateral_spreading": "LateralSpreadingDeviceType",
        "range_shifters": "RangeShifterSequence",
        "layers": "IonControlPointSequence",
    },
    "TargetDose": {
        "name": "DoseReferenceDescription",
        "dose_gy": "TargetPrescriptionDose",
        "roi_number": "ReferencedROINumber",
        "structure": "ReferencedROINumber",
        "at_a_point": "DoseReferenceStructureType",
    },
    "ImportedPlan": {
        "path": IDENTIFIES,
        "uid": IDENTIFIES,
        "study_uid": IDENTIFIES,
        "label": IDENTIFIES,
        "sop_class": "SOPClassUID",
        "modality": "SOPClassUID",
        "beams": "BeamSequence",
        "target_doses": "DoseReferenceSequence",
        "fractions": "NumberOfFractionsPlanned",
        "patient_position": "PatientPosition",
        "approval": "ApprovalStatus",
        "patient_id": "PatientID",
        "frame_of_reference": "FrameOfReferenceUID",
        "structure_set_uid": "ReferencedSOPInstanceUID",
        "unsupported": "refuses the plan",
        "remarks": "are told",
    },
}
"""Each field of the types that a plan is read into, and the element that it comes from."""


def test_every_field_that_is_carried_comes_from_an_element_of_the_account():
    carried = {
        name: {field.name for field in dataclasses.fields(kind)}
        for name, kind in vars(rtplan_types).items()
        if dataclasses.is_dataclass(kind) and kind.__module__ == rtplan_types.__name__
    }
    assert {name: set(fields) for name, fields in FIELDS.items()} == carried
    declared = {keyword for rules in RULES.values() for rule in rules for keyword in rule.keywords}
    for name, fields in FIELDS.items():
        for field, element in fields.items():
            assert element in declared or " " in element, f"{name}.{field}"


def test_nothing_is_declared_twice_or_misspelled():
    for place, rules in RULES.items():
        keywords = [keyword for rule in rules for keyword in rule.keywords]
        assert len(keywords) == len(set(keywords)), place
        for keyword in keywords:
            assert tag_for_keyword(keyword) is not None, keyword
        assert place == PLAN or dictionary_VR(place) == "SQ"


def test_the_page_of_elements_is_that_of_the_rules():
    page = Path(__file__).parent.parent / "docs" / "dose" / "plan-elements.md"
    assert page.read_text() == elements_page(), (
        "make it anew: python -c 'from qa_suite.io.rt.plan.account import elements_page; "
        'print(elements_page(), end="")\' > docs/dose/plan-elements.md'
    )


DECIDES = {
    "photons": (
        (("FractionGroupSequence",), "NumberOfFractionsPlanned", 20),
        (("FractionGroupSequence", "ReferencedBeamSequence"), "BeamMeterset", 130.0),
        (("PatientSetupSequence",), "PatientPosition", "HFP"),
        (("BeamSequence", "ControlPointSequence"), "GantryAngle", 20.0),
        (("BeamSequence", "ControlPointSequence"), "GantryRotationDirection", "CC"),
        (("BeamSequence", "ControlPointSequence"), "BeamLimitingDeviceAngle", 300.0),
        (("BeamSequence", "ControlPointSequence"), "NominalBeamEnergy", 10.0),
    ),
    "protons": (
        (("FractionGroupSequence",), "NumberOfFractionsPlanned", 20),
        (("FractionGroupSequence", "ReferencedBeamSequence"), "BeamMeterset", 2e9),
        (("IonBeamSequence", "IonControlPointSequence"), "GantryAngle", 20.0),
        (("IonBeamSequence", "IonControlPointSequence"), "PatientSupportAngle", 20.0),
        (("IonBeamSequence", "IonControlPointSequence"), "NominalBeamEnergy", 100.0),
        (("IonBeamSequence", "IonControlPointSequence"), "ScanningSpotSize", [20.0, 20.0]),
        (
            ("IonBeamSequence", "IonControlPointSequence"),
            "ScanSpotPositionMap",
            [0.0, 0.0, 40.0, 0.0],
        ),
    ),
}


@pytest.mark.parametrize("base", DECIDES)
def test_what_decides_the_plan_decides_the_dose(tmp_path, base):
    """The digest stands for the dose: here the dose itself is computed."""
    grid = Grid(shape=(15, 15, 15), spacing_mm=(10.0,) * 3, origin_mm=(-58.0, -104.0, -14.0))
    density = np.ones(grid.shape, np.float32)

    def dose(change: tuple[tuple[str, ...], str, Any] | None) -> np.ndarray:
        path = BASES[base](tmp_path / "p.dcm")
        if change is not None:
            dataset = pydicom.dcmread(path)
            inner = dataset
            for name in change[0]:
                inner = inner[name].value[0]
            setattr(inner, change[1], change[2])
            dataset.save_as(path, enforce_file_format=True)
        plan = read_plan(path)
        template = imported_template(plan.modality, targets=("PTV",))
        hlut = load_hlut("thomas-1999" if base == "photons" else "stoichiometric-schneider")
        engine = engine_of(template)
        made = engine.imported(
            plan,
            grid,
            target=np.ones(grid.shape, bool),
            target_name="PTV",
            template=template,
            hlut=hlut,
        )
        return np.asarray(engine.recalculate(density, made).array)

    usual = dose(None)
    assert usual.max() > 0.1
    for change in DECIDES[base]:
        assert np.abs(dose(change) - usual).max() > 0.02 * usual.max(), change
