"""Small RTPLAN and RT Ion Plan files, for the tests of the dose room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.dose.clinic.apertures import PIXEL_MM, SHAPE, segment_fluences
from qa_suite.io.rt.plan.types import PhotonBeam
from tests.dicom_factory import new_file, set_tags, uid
from tests.rt_factory import item

ISOCENTRE = [12.0, -34.0, 56.0]
LEAF_EDGES = np.arange(-60.0, 61.0, 10.0)  # 12 pairs of 10 mm


def aperture_fluence(
    beam: PhotonBeam, shape: tuple[int, int] = SHAPE, pixel_mm: float = PIXEL_MM
) -> Any:
    """The fluence of a beam that stands still, in float32."""
    (one,) = segment_fluences(beam, shape, pixel_mm)
    return np.asarray(one.fluence, dtype=np.float32)


def jaws(kind: str, low: float, high: float) -> Dataset:
    return item(RTBeamLimitingDeviceType=kind, LeafJawPositions=[low, high])


def leaves(low: Sequence[float], high: Sequence[float], kind: str = "MLCX") -> Dataset:
    return item(RTBeamLimitingDeviceType=kind, LeafJawPositions=[*map(float, (*low, *high))])


def devices(*kinds: str) -> list[Dataset]:
    result = []
    for kind in kinds:
        device = item(RTBeamLimitingDeviceType=kind, NumberOfLeafJawPairs=1)
        if kind.startswith("MLC"):
            device.NumberOfLeafJawPairs = len(LEAF_EDGES) - 1
            device.LeafPositionBoundaries = [float(edge) for edge in LEAF_EDGES]
        result.append(device)
    return result


def first_point(positions: Sequence[Dataset], gantry: float = 0.0, **tags: Any) -> Dataset:
    return item(
        ControlPointIndex=0,
        NominalBeamEnergy=6,
        GantryAngle=gantry,
        GantryRotationDirection="NONE",
        BeamLimitingDeviceAngle=0,
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=0,
        PatientSupportRotationDirection="NONE",
        IsocenterPosition=list(ISOCENTRE),
        SourceToSurfaceDistance=905.5,
        BeamLimitingDevicePositionSequence=list(positions),
        CumulativeMetersetWeight=0,
        **tags,
    )


def photon_beam(
    number: int, points: Sequence[Dataset], kinds: Sequence[str], **tags: Any
) -> Dataset:
    for index, point in enumerate(points):
        point.ControlPointIndex = index
    final = float(points[-1].CumulativeMetersetWeight) if points else 1.0
    beam = item(
        BeamNumber=number,
        BeamName=f"field {number}",
        BeamType="DYNAMIC",
        RadiationType="PHOTON",
        TreatmentMachineName="LINAC1",
        PrimaryDosimeterUnit="MU",
        SourceAxisDistance=1000,
        TreatmentDeliveryType="TREATMENT",
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        FinalCumulativeMetersetWeight=final,
        NumberOfControlPoints=len(points),
        BeamLimitingDeviceSequence=devices(*kinds),
        ControlPointSequence=list(points),
    )
    set_tags(beam, tags)
    return beam


def square_beam(
    number: int = 1, half_mm: float = 50.0, gantry: float = 0.0, **tags: Any
) -> Dataset:
    """A static square field of jaws alone."""
    positions = [jaws("ASYMX", -half_mm, half_mm), jaws("ASYMY", -half_mm, half_mm)]
    points = [first_point(positions, gantry), item(CumulativeMetersetWeight=1)]
    return photon_beam(number, points, ("ASYMX", "ASYMY"), **tags)


def mlc_beam(number: int = 2, gantry: float = 90.0, **tags: Any) -> Dataset:
    """Two steps of equal opening area but different place, 3 : 1 in meterset."""
    frame = [jaws("ASYMX", -60, 60), jaws("ASYMY", -60, 60)]
    left, right = ([-40.0] * 12, [0.0] * 12), ([0.0] * 12, [40.0] * 12)
    points = [
        first_point([*frame, leaves(*left)], gantry),
        item(CumulativeMetersetWeight=0.75, BeamLimitingDevicePositionSequence=[leaves(*left)]),
        item(CumulativeMetersetWeight=0.75, BeamLimitingDevicePositionSequence=[leaves(*right)]),
        item(CumulativeMetersetWeight=1.0, BeamLimitingDevicePositionSequence=[leaves(*right)]),
    ]
    return photon_beam(number, points, ("ASYMX", "ASYMY", "MLCX"), **tags)


def _plan(
    kind: str, path: Path, beams: Sequence[Dataset], metersets: Sequence[float | None]
) -> FileDataset:
    dataset = new_file(kind, (path,))
    dataset.Modality = "RTPLAN"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("plan")
    dataset.RTPlanLabel, dataset.RTPlanGeometry = "pelvis 1a", "PATIENT"
    dataset.ApprovalStatus = "APPROVED"
    dataset.PatientSetupSequence = DicomSequence(
        [item(PatientSetupNumber=1, PatientPosition="HFS")]
    )
    target = item(
        DoseReferenceNumber=1,
        DoseReferenceStructureType="SITE",
        DoseReferenceType="TARGET",
        DoseReferenceDescription="PTV",
        TargetPrescriptionDose=60,
    )
    boost = item(
        DoseReferenceNumber=2,
        DoseReferenceStructureType="SITE",
        DoseReferenceType="TARGET",
        DoseReferenceDescription="PTV boost",
        TargetPrescriptionDose=66,
    )
    organ = item(
        DoseReferenceNumber=3,
        DoseReferenceStructureType="SITE",
        DoseReferenceType="ORGAN_AT_RISK",
        TargetPrescriptionDose=99,
    )
    dataset.DoseReferenceSequence = DicomSequence([target, boost, organ])
    references = []
    for beam, meterset in zip(beams, metersets, strict=True):
        reference = item(ReferencedBeamNumber=beam.BeamNumber)
        if meterset is not None:
            reference.BeamMeterset = meterset
        references.append(reference)
    dataset.FractionGroupSequence = DicomSequence(
        [
            item(
                FractionGroupNumber=1,
                NumberOfFractionsPlanned=30,
                NumberOfBeams=len(beams),
                NumberOfBrachyApplicationSetups=0,
                ReferencedBeamSequence=references,
            )
        ]
    )
    structures = item(ReferencedSOPInstanceUID=uid("structures"))
    dataset.ReferencedStructureSetSequence = DicomSequence([structures])
    return dataset


def write_plan(
    path: Path,
    beams: Sequence[Dataset] | None = None,
    metersets: Sequence[float | None] | None = None,
    **tags: Any,
) -> Path:
    """Write a photon plan; without beams, a square field and two steps of leaves."""
    beams = [square_beam(1), mlc_beam(2)] if beams is None else list(beams)
    dataset = _plan(
        "RTPLAN", path, beams, metersets or [100.0 * (n + 1) for n in range(len(beams))]
    )
    dataset.BeamSequence = DicomSequence(beams)
    set_tags(dataset, tags)
    dataset.save_as(path, enforce_file_format=True)
    return path


LAYERS = ((150.0, [(0.0, 0.0), (5.0, -5.0)], [3.0, 1.0]), (120.0, [(2.0, 7.0)], [4.0]))


def ion_beam(number: int = 1, layers: Sequence[Any] = LAYERS, **tags: Any) -> Dataset:
    points: list[Dataset] = []
    cumulative = 0.0
    for energy, spots, weights in layers:
        for shares in (weights, [0.0] * len(weights)):
            points.append(
                item(
                    ControlPointIndex=len(points),
                    NominalBeamEnergy=energy,
                    CumulativeMetersetWeight=cumulative,
                    NumberOfScanSpotPositions=len(weights),
                    ScanSpotPositionMap=[float(v) for spot in spots for v in spot],
                    ScanSpotMetersetWeights=[float(v) for v in shares],
                    ScanningSpotSize=[9.0, 10.0],
                    NumberOfPaintings=1,
                )
            )
            cumulative += sum(shares)
    first = points[0]
    first.GantryAngle, first.PatientSupportAngle, first.BeamLimitingDeviceAngle = 270, 0, 0
    first.IsocenterPosition, first.SnoutPosition = list(ISOCENTRE), 300
    shift = item(
        ReferencedRangeShifterNumber=1,
        RangeShifterSetting="IN",
        RangeShifterWaterEquivalentThickness=40,
    )
    first.RangeShifterSettingsSequence = DicomSequence([shift])
    beam = item(
        BeamNumber=number,
        BeamName=f"ion {number}",
        BeamType="STATIC",
        RadiationType="PROTON",
        ScanMode="MODULATED",
        TreatmentMachineName="GTR1",
        PrimaryDosimeterUnit="MU",
        TreatmentDeliveryType="TREATMENT",
        VirtualSourceAxisDistances=[2000, 1800],
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        NumberOfRangeShifters=1,
        NumberOfLateralSpreadingDevices=1,
        NumberOfRangeModulators=0,
        LateralSpreadingDeviceSequence=[
            item(
                LateralSpreadingDeviceNumber=1,
                LateralSpreadingDeviceID="MagnetX",
                LateralSpreadingDeviceType="MAGNET",
            )
        ],
        RangeShifterSequence=[
            item(RangeShifterNumber=1, RangeShifterID="RS40", RangeShifterType="BINARY")
        ],
        FinalCumulativeMetersetWeight=cumulative,
        NumberOfControlPoints=len(points),
        IonControlPointSequence=points,
    )
    set_tags(beam, tags)
    return beam


def write_ion_plan(
    path: Path, beams: Sequence[Dataset] | None = None, meterset: float = 160.0, **tags: Any
) -> Path:
    beams = [ion_beam()] if beams is None else list(beams)
    dataset = _plan("RTIONPLAN", path, beams, [meterset] * len(beams))
    dataset.IonBeamSequence = DicomSequence(beams)
    set_tags(dataset, tags)
    dataset.save_as(path, enforce_file_format=True)
    return path
