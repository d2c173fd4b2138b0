"""What stands in a beam and the surrogate does not model: each thing is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qa_suite.core.tolerances import same_angle, same_length, turn_deg
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.rt.plan.reading import Findings

_COUNTED = {
    "compensator": ("NumberOfCompensators", "CompensatorSequence", "IonRangeCompensatorSequence"),
    "block": ("NumberOfBlocks", "BlockSequence", "IonBlockSequence"),
    "range modulator": ("NumberOfRangeModulators", "RangeModulatorSequence"),
}
_SHOW_A_PLACE = ("GRATICULE", "IMAGE_DETECTOR", "RETICLE")
_TRAYS = (
    "TotalWedgeTrayWaterEquivalentThickness",
    "TotalBlockTrayWaterEquivalentThickness",
    "TotalCompensatorTrayWaterEquivalentThickness",
)
_ANGLES = {
    "TableTopPitchAngle": "a pitched couch",
    "TableTopRollAngle": "a rolled couch",
    "TableTopEccentricAngle": "a couch turned about its own column",
    "GantryPitchAngle": "a pitched gantry",
    "HeadFixationAngle": "a turned head fixation",
}


def check_accessories(item: Any, points: Sequence[Any], about: Findings) -> None:
    """Say what stands in a photon or ion beam that the surrogate does not know.

    Parameters
    ----------
    item
        Of the (Ion) Beam Sequence.
    points
        Its control points.
    """
    for noun, (count_keyword, *sequences) in _COUNTED.items():
        listed = sum(len(item.get(keyword) or ()) for keyword in sequences)
        count = max(int(number_of(item, count_keyword) or 0), listed)
        if count:
            about.cannot(count_of(count, noun))
    if (number_of(item, "NumberOfBoli") or 0) > 0 or item.get("ReferencedBolusSequence"):
        about.cannot("bolus")
    for applicator in item.get("ApplicatorSequence") or ():
        about.cannot(f"an applicator ({_named(applicator, 'Applicator')})")
    for thing in item.get("GeneralAccessorySequence") or ():
        kind = text_of(thing, "GeneralAccessoryType").upper()
        name = _named(thing, "GeneralAccessory")
        if kind in _SHOW_A_PLACE:
            about.remark(f"an accessory ({name}) that only shows a place is left out")
        else:
            about.cannot(f"an accessory ({name})")
    flag = text_of(item, "EnhancedRTBeamLimitingDeviceDefinitionFlag").upper()
    if flag == "YES" or item.get("EnhancedRTBeamLimitingDeviceSequence"):
        about.cannot("a collimator described by the Enhanced RT Beam Limiting Device Sequence")
    for keyword in _TRAYS:
        thickness = number_of(item, keyword) or 0.0
        if not same_length(thickness):
            about.cannot(f"a tray of {thickness:g} mm of water ({keyword})")
    _check_wedges(item, points, about)
    _check_angles(points, about)


def check_range_modifiers(item: Any, points: Sequence[Any], about: Findings) -> None:
    """Say what of an ion beam's own devices stands in the beam, range shifters aside."""
    for device in item.get("LateralSpreadingDeviceSequence") or ():
        kind = text_of(device, "LateralSpreadingDeviceType").upper()
        if kind != "MAGNET":
            name = text_of(device, "LateralSpreadingDeviceID") or "?"
            about.cannot(f"lateral spreading by a {kind or 'device of unknown type'} ({name})")
    thick = [
        number_of(setting, "LateralSpreadingDeviceWaterEquivalentThickness") or 0.0
        for setting in _settings(points, "LateralSpreadingDeviceSettingsSequence")
    ]
    if not same_length(max(thick, default=0.0)):
        about.cannot(f"a lateral spreading device of {max(thick):g} mm of water")
    if any(_settings(points, "RangeModulatorSettingsSequence")) and not (
        item.get("RangeModulatorSequence")
    ):
        about.cannot("a range modulator")
    shaped = any(_settings(points, "BeamLimitingDevicePositionSequence"))
    if item.get("IonBeamLimitingDeviceSequence") or shaped:
        about.cannot("a collimator that trims the spots")
    support = text_of(item, "PatientSupportType").upper()
    if support not in ("", "TABLE"):
        about.cannot(f"a patient on a {support}")


def _check_wedges(item: Any, points: Sequence[Any], about: Findings) -> None:
    wedges = [*(item.get("WedgeSequence") or ()), *(item.get("IonWedgeSequence") or ())]
    count = max(int(number_of(item, "NumberOfWedges") or 0), len(wedges))
    states = [
        text_of(state, "WedgePosition").upper()
        for keyword in ("WedgePositionSequence", "IonWedgePositionSequence")
        for state in _settings(points, keyword)
    ]
    used = any(state != "OUT" for state in states)
    if used or (count and not states):
        kinds = sorted(
            {text_of(wedge, "WedgeType").upper() or "of unknown type" for wedge in wedges}
        )
        about.cannot(f"a wedge ({', '.join(kinds) or 'of unknown type'})")


def _check_angles(points: Sequence[Any], about: Findings) -> None:
    """Say where couch, gantry or head do what the beam's eye view does not know."""
    for keyword, what in _ANGLES.items():
        angles = [abs(turn_deg(0.0, number_of(point, keyword) or 0.0)) for point in points]
        if not same_angle(max(angles, default=0.0)):
            about.cannot(f"{what} ({max(angles):g}°)")


def _settings(points: Sequence[Any], keyword: str) -> Iterator[Any]:
    for point in points:
        yield from point.get(keyword) or ()


def _named(item: Mapping[str, Any], start: str) -> str:
    words = (text_of(item, f"{start}Type"), text_of(item, f"{start}ID"))
    return " ".join(word for word in words if word) or "of unknown type"
