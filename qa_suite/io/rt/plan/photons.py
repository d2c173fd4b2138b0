"""One photon beam of an RTPLAN: limiters, control points, and what stands in the beam."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from qa_suite.core.tolerances import ENERGY, LENGTH_MM, distinct
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.rt.plan.accessories import check_accessories
from qa_suite.io.rt.plan.reading import (
    Carried,
    Findings,
    check_isocentre,
    check_points,
    numbers,
    shares_of,
)
from qa_suite.io.rt.plan.types import BeamLimiter, ControlPoint, FloatArray, PhotonBeam, Rotation

JAWS = {"X": "x", "ASYMX": "x", "Y": "y", "ASYMY": "y"}
LEAVES = {"MLCX": "x", "MLCX1": "x", "MLCX2": "x", "MLCY": "y"}

_ENERGY = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*(?:MV|X|FFF|-|_|$)", re.IGNORECASE)
_REQUIRED = {
    "gantry_deg": "GantryAngle",
    "collimator_deg": "BeamLimitingDeviceAngle",
    "couch_deg": "PatientSupportAngle",
}


def read_photon_beam(
    item: Any, name: str, meterset: float | None, about: Findings
) -> PhotonBeam | None:
    """Read one item of the Beam Sequence; None where ``about`` got a problem."""
    before = len(about.problems)
    radiation = text_of(item, "RadiationType").upper()
    if radiation != "PHOTON":
        about.problem(f"{radiation or 'no'} radiation, where PHOTON is needed")
        return None
    unit = text_of(item, "PrimaryDosimeterUnit").upper()
    if unit not in ("MU", ""):
        about.problem(f"a meterset in {unit}, where MU is needed")
    elif not unit:
        about.remark("no unit of its meterset (PrimaryDosimeterUnit), which is taken for MU")
    sad = number_of(item, "SourceAxisDistance")
    if sad is not None and sad <= 0:
        about.problem(f"a distance of {sad:g} mm from source to axis")
    told = len(about.problems)
    limiters = _limiters(item, about)
    sound = len(about.problems) == told
    items = list(item.get("ControlPointSequence") or ())
    points = _control_points(items, item, limiters, about) if sound else ()
    check_points(item, items, about)
    check_accessories(item, items, about)
    check_isocentre([point.isocentre_mm for point in points], about)
    energies = distinct((p.energy_mv for p in points if p.energy_mv is not None), ENERGY)
    if len(energies) > 1:
        about.cannot(f"energies that change during the beam: {list(energies)} MV")
    if len(about.problems) > before or meterset is None:
        return None
    return PhotonBeam(
        number=int(item.BeamNumber),
        name=name,
        machine=text_of(item, "TreatmentMachineName"),
        meterset_mu=meterset,
        sad_mm=sad,
        fluence_mode=_fluence_mode(item, about),
        limiters=limiters,
        control_points=points,
    )


def _limiters(item: Any, about: Findings) -> tuple[BeamLimiter, ...]:
    result = []
    for device in item.get("BeamLimitingDeviceSequence") or ():
        kind = text_of(device, "RTBeamLimitingDeviceType").upper()
        if kind not in JAWS and kind not in LEAVES:
            about.problem(f"a beam limiting device of unknown type {kind or '(none)'}")
            continue
        edges = None
        pairs = int(number_of(device, "NumberOfLeafJawPairs") or 1)  # of jaws there is one
        if kind in LEAVES:
            edges = np.array(numbers(device, "LeafPositionBoundaries"))
            pairs = int(number_of(device, "NumberOfLeafJawPairs") or len(edges) - 1)
            if pairs < 1 or len(edges) != pairs + 1 or (np.diff(edges) <= 0).any():
                about.problem(
                    f"{kind} with {count_of(pairs, 'pair')} and {len(edges)} leaf boundaries, "
                    f"which must be one more and ascend"
                )
                continue
        elif pairs != 1:
            about.problem(f"{count_of(pairs, 'pair')} of {kind} jaws, where 1 is needed")
            continue
        axis = JAWS.get(kind) or LEAVES[kind]
        result.append(
            BeamLimiter(kind=kind, axis=cast(Any, axis), pairs=pairs, boundaries_mm=edges)
        )
    kinds = [one.kind for one in result]
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        about.problem(f"{kinds.count(kind)} devices of type {kind}, whose positions are one")
    if not result:
        about.problem("neither jaws nor leaves, so its field is unknown")
    return tuple(result)


def _control_points(
    items: Sequence[Any], beam: Any, limiters: Sequence[BeamLimiter], about: Findings
) -> tuple[ControlPoint, ...]:
    shares = shares_of(items, beam, about)
    if not shares:
        return ()
    carried = Carried()
    said_mv = _energy_of_the_mode(beam, items, about)
    held: dict[str, FloatArray] = {}
    missing: set[str] = set()
    points = []
    for index, item in enumerate(items):
        facts = {name: carried.number(item, keyword) for name, keyword in _REQUIRED.items()}
        isocentre = carried.position(item, "IsocenterPosition")
        missing |= {_REQUIRED[name] for name, value in facts.items() if value is None}
        missing |= {"IsocenterPosition"} if isocentre is None else set()
        held = held | _positions(item, index, limiters, about)
        missing |= {f"positions of {one.kind}" for one in limiters if one.kind not in held}
        if missing or isocentre is None:
            break
        points.append(
            ControlPoint(
                index=index,
                weight=shares[index],
                gantry_rotation=_rotation(carried, item, "GantryRotationDirection"),
                collimator_rotation=_rotation(carried, item, "BeamLimitingDeviceRotationDirection"),
                couch_rotation=_rotation(carried, item, "PatientSupportRotationDirection"),
                isocentre_mm=isocentre,
                energy_mv=carried.number(item, "NominalBeamEnergy") or said_mv,
                ssd_mm=carried.number(item, "SourceToSurfaceDistance"),
                positions_mm=held,
                **{name: float(value or 0.0) for name, value in facts.items()},
            )
        )
    if missing:
        about.problem(f"control points without {', '.join(sorted(missing))}")
        return ()
    return tuple(points)


def _rotation(carried: Carried, item: Any, keyword: str) -> Rotation:
    said = carried.text(item, keyword)
    return cast(Rotation, said if said in ("CW", "CC") else "NONE")


def _positions(
    item: Any, index: int, limiters: Sequence[BeamLimiter], about: Findings
) -> dict[str, FloatArray]:
    """Return what a control point says of its jaws and leaves, by kind."""
    known = {one.kind: one for one in limiters}
    result = {}
    for device in item.get("BeamLimitingDevicePositionSequence") or ():
        kind = text_of(device, "RTBeamLimitingDeviceType").upper()
        if kind not in known:
            about.problem(
                f"control point {index} gives positions of {kind or 'a device without a type'}, "
                f"which is none of the beam's devices"
            )
            continue
        values = numbers(device, "LeafJawPositions")
        pairs = known[kind].pairs
        if len(values) != 2 * pairs:
            about.problem(
                f"control point {index} gives {count_of(len(values), 'position')} of {kind}, "
                f"{2 * pairs} needed"
            )
            continue
        edges = np.array(values).reshape(2, pairs)
        overlap = float((edges[0] - edges[1]).max())
        if overlap > LENGTH_MM:
            about.problem(f"control point {index}: {kind} overlap by {overlap:.1f} mm")
            continue
        edges[1] = np.maximum(edges[0], edges[1])
        result[kind] = edges
    return result


def _fluence_mode(item: Any, about: Findings) -> str:
    for mode in item.get("PrimaryFluenceModeSequence") or ():
        if text_of(mode, "FluenceMode").upper() == "NON_STANDARD":
            return text_of(mode, "FluenceModeID") or "NON_STANDARD"
        if text_of(mode, "FluenceModeID"):
            about.remark(
                f"a fluence mode called {text_of(mode, 'FluenceModeID')}, and taken as STANDARD"
            )
    return "STANDARD"


def _energy_of_the_mode(beam: Any, points: Sequence[Any], about: Findings) -> float | None:
    """Return the energy that a fluence mode says, such as ``6X-FFF``, where the points say none."""
    if any(number_of(point, "NominalBeamEnergy") for point in points):
        return None
    for mode in beam.get("PrimaryFluenceModeSequence") or ():
        said = text_of(mode, "FluenceModeID")
        found = _ENERGY.match(said)
        if found:
            about.remark(f"no NominalBeamEnergy; {found[1]} MV by its fluence mode {said}")
            return float(found[1])
    return None
