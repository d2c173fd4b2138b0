"""What becomes of each element of an RTPLAN: the declaration that reading is held to.

Every element with a value is *used* (it decides the dose or by what it is judged), *checked* (it
is refused or told where it speaks against the plan), *told* (its value stands in a remark), or
*idle* (it cannot change the dose, for the reason that stands with it). What is declared nowhere,
private elements included, is told by its name: nothing is ignored in silence. Names are those of
DICOM PS3.3, C.8.8.8 to C.8.8.17, C.8.8.24, C.8.8.25 and C.8.8.16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fate = Literal["used", "checked", "told", "idle"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What becomes of some elements, and why."""

    fate: Fate
    why: str
    keywords: tuple[str, ...]


def _rule(fate: Fate, why: str, keywords: str) -> Rule:
    return Rule(fate=fate, why=why, keywords=tuple(keywords.split()))


_TABLE_TOP = "TableTopVerticalPosition TableTopLongitudinalPosition TableTopLateralPosition"
_DERIVED = "computed by the planning system from what is used"
_MAKER = (
    "Manufacturer InstitutionName InstitutionAddress InstitutionalDepartmentName "
    "InstitutionalDepartmentTypeCodeSequence ManufacturerModelName DeviceSerialNumber "
    "DateOfManufacture DateOfInstallation"
)
_OF_EVERY_BEAM = (
    _rule("used", "which beam it is", "BeamNumber BeamName"),
    _rule("used", "beams that do not treat are left out, and told", "TreatmentDeliveryType"),
    _rule("used", "in whose position the patient lies", "ReferencedPatientSetupNumber"),
    _rule("used", "the scale of the cumulative weights", "FinalCumulativeMetersetWeight"),
    _rule("checked", "other radiation is refused", "RadiationType"),
    _rule("checked", "another unit is refused", "PrimaryDosimeterUnit"),
    _rule("checked", "told where it is not the number of control points", "NumberOfControlPoints"),
    _rule("told", "beside the machine that stands in for it", "TreatmentMachineName"),
    _rule("checked", "refused unless it is set OUT", "NumberOfWedges"),
    _rule("checked", "refused by name",
          "NumberOfCompensators NumberOfBoli ReferencedBolusSequence NumberOfBlocks "
          "ApplicatorSequence"),
    _rule("checked", "what only shows a place is told, anything else refused",
          "GeneralAccessorySequence"),
    _rule("checked", "YES is refused: the collimator is described elsewhere",
          "EnhancedRTBeamLimitingDeviceDefinitionFlag EnhancedRTBeamLimitingDeviceSequence"),
    _rule("idle", "names and descriptions", "BeamDescription EntityLongLabel"),
    _rule("idle", "who made the machine, and when", _MAKER),
    _rule("idle", "the control points tell what moves", "BeamType"),
    _rule("idle", "what the beam was planned with, not what it does",
          "ReferencedReferenceImageSequence ReferencedDoseSequence DefinitionSourceSequence "
          "ReferencedToleranceTableNumber TableTopPositionAlignmentUID"),
)  # fmt: skip
_OF_EVERY_POINT = (
    _rule("used", "how much, of what, from where", "CumulativeMetersetWeight GantryAngle "
          "PatientSupportAngle IsocenterPosition NominalBeamEnergy"),
    _rule("checked", "control points out of order are refused", "ControlPointIndex"),
    _rule("checked", "another angle than 0 is refused",
          "TableTopPitchAngle TableTopRollAngle GantryPitchAngle"),
    _rule("idle", "which way an angle turns that has to be 0",
          "TableTopPitchRotationDirection TableTopRollRotationDirection "
          "GantryPitchRotationDirection"),
    _rule("idle", "a couch that turns while the beam is on is refused",
          "PatientSupportRotationDirection"),
    _rule("idle", "where the couch stands: the patient is placed by the isocentre", _TABLE_TOP),
    _rule("idle", _DERIVED, "SurfaceEntryPoint ExternalContourEntryPoint "
          "ReferencedDoseReferenceSequence ReferencedDoseSequence"),
)  # fmt: skip
_REFERENCE_GOALS = (
    "ConstraintWeight DeliveryWarningDose DeliveryMaximumDose TargetMinimumDose "
    "TargetMaximumDose TargetUnderdoseVolumeFraction OrganAtRiskFullVolumeDose "
    "OrganAtRiskLimitDose OrganAtRiskMaximumDose OrganAtRiskOverdoseVolumeFraction"
)

PLAN = ""
"""The place of what lies in the plan itself, and in no sequence."""

RULES: Mapping[str, tuple[Rule, ...]] = {
    PLAN: (
        _rule("used", "what is delivered", "BeamSequence IonBeamSequence FractionGroupSequence "
              "PatientSetupSequence"),
        _rule("used", "by what the dose is judged", "DoseReferenceSequence"),
        _rule("used", "which kind of plan it is", "SOPClassUID"),
        _rule("checked", "against the other files of the case", "PatientID FrameOfReferenceUID"),
        _rule("checked", "against the structure set of the case; told where it is another",
              "ReferencedStructureSetSequence"),
        _rule("checked", "told unless APPROVED", "ApprovalStatus"),
        _rule("checked", "told where it is not to treat (VERIFICATION, MACHINE_QA, RESEARCH, "
              "SERVICE)", "PlanIntent"),
        _rule("checked", "told, or refused without a structure set, where it is not PATIENT",
              "RTPlanGeometry"),
        _rule("checked", "told where it is not a PRODUCT", "ContentQualification"),
        _rule("checked", "told where YES", "SyntheticData"),
        _rule("checked", "told where another plan belongs to this one",
              "ReferencedRTPlanSequence"),
        _rule("idle", "names, dates and free text",
              "RTPlanLabel RTPlanName RTPlanDescription RTPlanDate RTPlanTime TreatmentProtocols "
              "TreatmentSite TreatmentSiteCodeSequence PrescriptionDescription ReviewDate "
              "ReviewTime ReviewerName InstanceNumber"),
        _rule("idle", "limits of the record-and-verify system",
              "ToleranceTableSequence IonToleranceTableSequence"),
        _rule("idle", "a dose that was computed elsewhere", "ReferencedDoseSequence"),
        _rule("idle", "how the equipment was made",
              "DeviceSerialNumber SoftwareVersions DateOfLastCalibration TimeOfLastCalibration "
              "GantryID UDISequence SpatialResolution DeviceUID DateOfManufacture "
              "DateOfInstallation"),
    ),
    "DoseReferenceSequence": (
        _rule("used", "which target is prescribed what",
              "DoseReferenceNumber DoseReferenceType DoseReferenceDescription "
              "TargetPrescriptionDose ReferencedROINumber"),
        _rule("idle", "goals of the planning system; the suite's come from its template",
              _REFERENCE_GOALS),
        _rule("idle", "identifies", "DoseReferenceUID"),
        _rule("checked", "told where a point is prescribed to and no volume",
              "DoseReferenceStructureType"),
        _rule("idle", "where that point lies", "DoseReferencePointCoordinates"),
    ),
    "PatientSetupSequence": (
        _rule("used", "how the patient lies", "PatientPosition PatientSetupNumber"),
        _rule("checked", "TBI and SKIN_APPOSITION are told", "SetupTechnique"),
        _rule("idle", "names and free text", "PatientSetupLabel SetupTechniqueDescription"),
        _rule("idle", "moves the patient to the isocentre, which is used",
              "TableTopVerticalSetupDisplacement TableTopLongitudinalSetupDisplacement "
              "TableTopLateralSetupDisplacement SetupDeviceSequence ReferencedSetupImageSequence"),
    ),
    "FractionGroupSequence": (
        _rule("used", "how much is delivered", "NumberOfFractionsPlanned ReferencedBeamSequence"),
        _rule("used", "where the prescription module names no dose",
              "ReferencedDoseReferenceSequence"),
        _rule("checked", "told where it is not the number of beams that it names", "NumberOfBeams"),
        _rule("checked", "brachytherapy beside the beams is refused",
              "NumberOfBrachyApplicationSetups ReferencedBrachyApplicationSetupSequence"),
        _rule("idle", "names and free text", "FractionGroupNumber FractionGroupDescription"),
        _rule("idle", "when it is delivered: the dose is that of all fractions",
              "NumberOfFractionPatternDigitsPerDay RepeatFractionCycleLength FractionPattern"),
        _rule("idle", _DERIVED, "BeamDoseMeaning ReferencedDoseSequence DefinitionSourceSequence"),
    ),
    "ReferencedBeamSequence": (
        _rule("used", "monitor units of each beam", "ReferencedBeamNumber BeamMeterset"),
        _rule("idle", _DERIVED, "BeamDose BeamDoseType AlternateBeamDose AlternateBeamDoseType "
              "BeamDoseSpecificationPoint BeamDosePointDepth BeamDosePointEquivalentDepth "
              "BeamDosePointSSD ReferencedDoseReferenceUID"),
        _rule("idle", "how long it may take", "BeamDeliveryDurationLimit"),
    ),
    "ReferencedDoseReferenceSequence": (
        _rule("used", "where the prescription module names no dose",
              "ReferencedDoseReferenceNumber TargetPrescriptionDose"),
        _rule("idle", "goals of the planning system; the suite's come from its template",
              _REFERENCE_GOALS),
    ),
    "BeamSequence": (
        *_OF_EVERY_BEAM,
        _rule("used", "which machine, where the source stands, what shapes the field",
              "PrimaryFluenceModeSequence SourceAxisDistance BeamLimitingDeviceSequence "
              "ControlPointSequence"),
        _rule("checked", "refused unless it is set OUT", "WedgeSequence"),
        _rule("checked", "refused by name", "CompensatorSequence BlockSequence"),
        _rule("idle", "images are no part of the plan's dose", "PlannedVerificationImageSequence"),
        _rule("idle", _DERIVED, "ReferencedDoseReferenceSequence"),
        _rule("idle", "a name of what the control points tell", "RTTreatmentTechniqueCodeSequence"),
    ),
    "PrimaryFluenceModeSequence": (
        _rule("used", "whether the beam is flattened", "FluenceMode"),
        _rule("checked", "told where it names a mode that the beam does not have",
              "FluenceModeID"),
    ),
    "BeamLimitingDeviceSequence": (
        _rule("used", "what shapes the field", "RTBeamLimitingDeviceType NumberOfLeafJawPairs "
              "LeafPositionBoundaries"),
        _rule("idle", "positions are those in the isocentre plane, wherever the device stands",
              "SourceToBeamLimitingDeviceDistance"),
    ),
    "ControlPointSequence": (
        *_OF_EVERY_POINT,
        _rule("used", "what shapes the field, and how it lies",
              "BeamLimitingDevicePositionSequence BeamLimitingDeviceAngle"),
        _rule("used", "which way an arc goes",
              "GantryRotationDirection BeamLimitingDeviceRotationDirection"),
        _rule("checked", "against the reference image; told where it differs",
              "SourceToSurfaceDistance"),
        _rule("checked", "refused unless it is OUT", "WedgePositionSequence"),
        _rule("checked", "another angle than 0 is refused", "TableTopEccentricAngle"),
        _rule("idle", "of an angle that has to be 0",
              "TableTopEccentricAxisDistance TableTopEccentricRotationDirection"),
        _rule("idle", "dose goes by monitor units, not by time", "DoseRateSet"),
        _rule("idle", _DERIVED, "SourceToExternalContourDistance"),
    ),
    "BeamLimitingDevicePositionSequence": (
        _rule("used", "what shapes the field", "RTBeamLimitingDeviceType LeafJawPositions"),
    ),
    "IonBeamSequence": (
        *_OF_EVERY_BEAM,
        _rule("used", "where the spots come from, and which there are",
              "VirtualSourceAxisDistances IonControlPointSequence"),
        _rule("checked", "only scanned spots are taken", "ScanMode"),
        _rule("checked", "told unless STATIONARY", "ModulatedScanModeType"),
        _rule("checked", "refused unless those of a proton",
              "RadiationMassNumber RadiationAtomicNumber RadiationChargeState"),
        _rule("checked", "refused by name, unless it is set OUT",
              "NumberOfRangeShifters RangeShifterSequence IonWedgeSequence"),
        _rule("checked", "refused by name",
              "NumberOfRangeModulators RangeModulatorSequence IonRangeCompensatorSequence "
              "IonBlockSequence IonBeamLimitingDeviceSequence"),
        _rule("checked", "anything but magnets is refused",
              "LateralSpreadingDeviceSequence"),
        _rule("idle", "the devices themselves are looked at", "NumberOfLateralSpreadingDevices"),
        _rule("checked", "a tray that the beam goes through is refused",
              "TotalWedgeTrayWaterEquivalentThickness TotalBlockTrayWaterEquivalentThickness "
              "TotalCompensatorTrayWaterEquivalentThickness"),
        _rule("checked", "CHAIR is refused", "PatientSupportType"),
        _rule("idle", "names", "PatientSupportID PatientSupportAccessoryCode"),
        _rule("told", "no part of the machine model", "SnoutSequence"),
    ),
    "IonControlPointSequence": (
        *_OF_EVERY_POINT,
        _rule("idle", "spots lie in the gantry's axes", "BeamLimitingDeviceAngle"),
        _rule("idle", "an angle that turns while the beam is on is refused",
              "GantryRotationDirection BeamLimitingDeviceRotationDirection"),
        _rule("used", "which spots there are", "ScanSpotPositionMap ScanSpotMetersetWeights "
              "ScanningSpotSize"),
        _rule("checked", "against the spots that are there", "NumberOfScanSpotPositions"),
        _rule("told", "no part of the machine model", "SnoutPosition"),
        _rule("checked", "refused unless OUT",
              "RangeShifterSettingsSequence IonWedgePositionSequence"),
        _rule("checked", "refused where something stands in the beam",
              "LateralSpreadingDeviceSettingsSequence RangeModulatorSettingsSequence"),
        _rule("checked", "refused unless those of a proton",
              "RadiationMassNumber RadiationAtomicNumber RadiationChargeState"),
        _rule("checked", "refused where it shapes the beam", "BeamLimitingDevicePositionSequence"),
        _rule("checked", "another angle than 0 is refused", "HeadFixationAngle"),
        _rule("idle", "a name of the machine's; its widths are Scanning Spot Size",
              "ScanSpotTuneID"),
        _rule("idle", "dose goes by meterset, not by time or order",
              "MetersetRate ScanSpotReorderingAllowed NumberOfPaintings"),
    ),
    "ReferencedStructureSetSequence": (
        _rule("checked", "against the structure set of the case; told where it is another",
              "ReferencedSOPInstanceUID"),
        _rule("idle", "of what kind it is", "ReferencedSOPClassUID"),
    ),
    "SnoutSequence": (
        _rule("told", "no part of the machine model", "SnoutID"),
        _rule("idle", "identifies", "AccessoryCode"),
    ),
    "LateralSpreadingDeviceSequence": (
        _rule("checked", "anything but magnets is refused", "LateralSpreadingDeviceType"),
        _rule("idle", "names", "LateralSpreadingDeviceNumber LateralSpreadingDeviceID "
              "LateralSpreadingDeviceDescription AccessoryCode"),
    ),
    "LateralSpreadingDeviceSettingsSequence": (
        _rule("checked", "refused unless 0", "LateralSpreadingDeviceWaterEquivalentThickness"),
        _rule("idle", "of magnets: where their spots lie is used",
              "LateralSpreadingDeviceSetting IsocenterToLateralSpreadingDeviceDistance "
              "ReferencedLateralSpreadingDeviceNumber"),
    ),
}  # fmt: skip
"""Rules of each place: the keyword of the sequence that elements lie in. A sequence that is a
place itself is looked into; any other goes by its own rule as a whole."""

WHO_AND_WHEN = (0x0002, 0x0008, 0x0010, 0x0012, 0x0020, 0x0032, 0x0038, 0x0040, 0x0400)
"""Groups of the plan itself that identify file, patient, study, trial and order: idle unless a
rule names the element."""


def rule_of(place: str, keyword: str) -> Rule | None:
    """Return what becomes of an element in its place, or None where nothing is declared."""
    return next((rule for rule in RULES[place] if keyword in rule.keywords), None)
