"""One beam of an RT Ion Plan: scanned proton spots, energy by energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qa_suite.core.tolerances import WEIGHT, same_angle, turn_deg
from qa_suite.core.volume import Triple
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.rt.plan.accessories import check_accessories, check_range_modifiers
from qa_suite.io.rt.plan.reading import (
    Carried,
    Findings,
    check_isocentre,
    check_points,
    final_weight,
    numbers,
    shares_of,
)
from qa_suite.io.rt.plan.types import IonBeam, IonLayer, RangeShifter

SCANNED = ("MODULATED", "MODULATED_SPEC")
_SPOT_SUM = 0.01  # of a layer's weight, that its spots may differ from it in all
_REQUIRED = {"gantry_deg": "GantryAngle", "couch_deg": "PatientSupportAngle"}


def read_ion_beam(item: Any, name: str, meterset: float | None, about: Findings) -> IonBeam | None:
    """Read one item of the Ion Beam Sequence; None where ``about`` got a problem."""
    before = len(about.problems)
    radiation = text_of(item, "RadiationType").upper()
    if radiation != "PROTON":
        about.problem(f"{radiation or 'no'} radiation, where PROTON is needed")
        return None
    mode = text_of(item, "ScanMode").upper()
    if mode not in SCANNED:
        about.problem(f"scan mode {mode or 'none'}; only scanned spots (MODULATED) are read")
        return None
    unit = text_of(item, "PrimaryDosimeterUnit").upper()
    if unit not in ("MU", "NP"):
        about.problem(f"a meterset in {unit or 'no unit'}, where MU or NP is needed")
    distances = numbers(item, "VirtualSourceAxisDistances")
    if distances and (len(distances) != 2 or min(distances) <= 0):
        said = ", ".join(f"{value:g}" for value in distances)
        about.problem(f"virtual distances of {said} mm from source to axis, where two are needed")
    items = list(item.get("IonControlPointSequence") or ())
    angles, isocentre, snout = _geometry(items, about)
    layers = _layers(items, item, meterset, about)
    _check_protons(item, items, about)
    check_points(item, items, about)
    check_accessories(item, items, about)
    check_range_modifiers(item, items, about)
    if len(about.problems) > before or meterset is None or isocentre is None:
        return None
    return IonBeam(
        number=int(item.BeamNumber),
        name=name,
        machine=text_of(item, "TreatmentMachineName"),
        meterset=meterset,
        meterset_unit=unit,
        virtual_sad_mm=(distances[0], distances[1]) if distances else None,
        isocentre_mm=isocentre,
        snout=" ".join(text_of(one, "SnoutID") for one in item.get("SnoutSequence") or ()),
        snout_mm=snout,
        lateral_spreading=_lateral_spreading(item),
        range_shifters=_range_shifters(item, items, about),
        layers=layers,
        collimator_deg=number_of(items[0], "BeamLimitingDeviceAngle") or 0.0,
        **angles,
    )


def _check_protons(item: Any, points: Sequence[Any], about: Findings) -> None:
    """Refuse particles that are called protons and are none."""
    for keyword in ("RadiationMassNumber", "RadiationAtomicNumber", "RadiationChargeState"):
        said = [number_of(one, keyword) for one in (item, *points)]
        other = [value for value in said if value is not None and round(value) != 1]
        if other:
            about.problem(f"{keyword} {other[0]:g}, where a proton has 1")
    mode = text_of(item, "ModulatedScanModeType").upper()
    if mode not in ("", "STATIONARY"):
        about.remark(f"spots are scanned by {mode}, and computed as standing still")


def _geometry(
    items: Sequence[Any], about: Findings
) -> tuple[dict[str, float], Triple | None, float | None]:
    """Return angles and isocentre, which stay while the spots are scanned."""
    carried = Carried()
    states: list[list[float]] = []
    places: list[Triple] = []
    snout = None
    for item in items:
        facts = [carried.number(item, keyword) for keyword in _REQUIRED.values()]
        place = carried.position(item, "IsocenterPosition")
        snout = carried.number(item, "SnoutPosition")
        missing = [k for k, v in zip(_REQUIRED.values(), facts, strict=True) if v is None]
        missing += ["IsocenterPosition"] if place is None else []
        if missing or place is None:
            about.problem(f"control points without {', '.join(missing)}")
            return {}, None, None
        states.append([float(value or 0.0) for value in facts])
        places.append(place)
    if not states:
        return {}, None, None
    for name, angles in zip(_REQUIRED, zip(*states, strict=True), strict=True):
        change = max(abs(turn_deg(angles[0], angle)) for angle in angles)
        if not same_angle(change):
            about.cannot(f"a {name.removesuffix('_deg')} angle that changes by {change:.1f}°")
    check_isocentre(places, about)
    return dict(zip(_REQUIRED, states[0], strict=True)), places[0], snout


def _layers(
    items: Sequence[Any], beam: Any, meterset: float | None, about: Findings
) -> tuple[IonLayer, ...]:
    """Return the energies with their spots.

    The spots of a control point are delivered between it and the next; a map without any
    meterset (that of the closing control point) is no layer. The weights are those of all
    paintings of a layer together (PS3.3, RT Ion Beams: they add up to the rise of the cumulative
    weight).
    """
    final = final_weight(items, beam)
    steps = np.diff(shares_of(items, beam, about), append=1.0) * (final or 0.0)
    if len(steps) != len(items):
        return ()
    carried = Carried()
    layers = []
    for index, item in enumerate(items):
        energy = carried.number(item, "NominalBeamEnergy")
        spots = numbers(item, "ScanSpotPositionMap")
        shares = np.array(numbers(item, "ScanSpotMetersetWeights"))
        count = number_of(item, "NumberOfScanSpotPositions")
        step = float(steps[index])
        if not shares.sum() > 0:
            if step > WEIGHT * (final or 0.0):
                about.problem(
                    f"control point {index} has no spots, and the cumulative weight rises by "
                    f"{step:g}"
                )
                return ()
            continue
        if energy is None or energy <= 0:
            about.problem(f"control point {index} has no energy")
            return ()
        if len(spots) != 2 * len(shares) or (count is not None and count != len(shares)):
            about.problem(
                f"control point {index} has {count_of(len(spots) // 2, 'spot position')} and "
                f"{count_of(len(shares), 'weight')}"
            )
            return ()
        if (shares < 0).any():
            about.problem(f"control point {index} has a negative spot weight")
            return ()
        if abs(shares.sum() - step) > _SPOT_SUM * step + _SPOT_SUM * WEIGHT * (final or 0.0):
            about.problem(
                f"control point {index}: spot weights add up to {shares.sum():g}, and the "
                f"cumulative weight rises by {step:g}"
            )
            return ()
        size = numbers(item, "ScanningSpotSize")
        layers.append(
            IonLayer(
                energy_mev=energy,
                spots_mm=np.array(spots).reshape(-1, 2),
                spot_weights=shares * ((meterset or 0.0) / float(final or 1.0)),
                spot_fwhm_mm=(size[0], size[1]) if len(size) == 2 and min(size) > 0 else None,
            )
        )
    if not layers:
        about.problem("no spots with any meterset")
    return tuple(layers)


def _lateral_spreading(item: Any) -> tuple[str, ...]:
    return tuple(
        f"{text_of(device, 'LateralSpreadingDeviceType') or 'device'} "
        f"{text_of(device, 'LateralSpreadingDeviceID')}".strip()
        for device in item.get("LateralSpreadingDeviceSequence") or ()
    )


def _range_shifters(item: Any, points: Sequence[Any], about: Findings) -> tuple[RangeShifter, ...]:
    """Return the range shifters that are in the beam; binary ones may be set OUT."""
    settings: dict[str, list[Any]] = {}
    for point in points:
        for setting in point.get("RangeShifterSettingsSequence") or ():
            settings.setdefault(text_of(setting, "ReferencedRangeShifterNumber"), []).append(
                setting
            )
    devices = {
        text_of(device, "RangeShifterNumber"): device
        for device in item.get("RangeShifterSequence") or ()
    }
    result = []
    for number in dict.fromkeys((*devices, *settings)):
        states = settings.get(number, [])
        used = [one for one in states if text_of(one, "RangeShifterSetting").upper() != "OUT"]
        if states and not used:
            continue
        shifter = _range_shifter(devices.get(number, {}), used)
        size = "unknown thickness"
        if shifter.thickness_mm is not None:
            size = f"{shifter.thickness_mm:g} mm of water"
        about.cannot(f"range shifter {shifter.identifier or number or '?'} ({size})")
        result.append(shifter)
    said = int(number_of(item, "NumberOfRangeShifters") or 0)
    if said > len(devices):
        about.cannot(f"{said} range shifters, {len(devices)} of them described")
    return tuple(result)


def _range_shifter(device: Any, used: Sequence[Any]) -> RangeShifter:
    thick = [number_of(one, "RangeShifterWaterEquivalentThickness") for one in used]
    return RangeShifter(
        identifier=text_of(device, "RangeShifterID"),
        kind=text_of(device, "RangeShifterType"),
        thickness_mm=next((value for value in thick if value is not None), None),
    )
