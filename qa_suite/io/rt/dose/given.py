"""The one way in for doses that a user gives: read as asked for, and held against each other.

Every verb and function that takes doses from files takes them here, so that what one checks is
checked by all: one patient, one frame of reference, one unit, one scale, one dose type, and a sum
that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.core.wording import count
from qa_suite.io.images import is_image_file, read_image
from qa_suite.io.rt.dose.advice import (
    ANY_SCALE,
    Asked,
    advised,
    require_one_type,
    require_scale,
    require_units,
)
from qa_suite.io.rt.dose.parts import PlannedParts, read_planned_parts, sum_doses
from qa_suite.io.rt.dose.read import DoseFile, read_rtdose, rtdose_files, summation_in
from qa_suite.io.rt.dose.request import OPTIONS, SUMMABLE, DoseRequest, Need, NotAsked, spelled
from qa_suite.io.rt.dose.scale import GY_PER_UNIT, IMPLAUSIBLE_GY, checked_dose
from qa_suite.io.rt.same_patient import Identified, check_same_frame, check_same_patient


@dataclass(frozen=True, kw_only=True)
class GivenDose:
    """A dose as a user gave it.

    Parameters
    ----------
    path
        What was named: a file or a folder.
    volume
        In Gy, as asked for.
    request
        What it was said to be.
    source
        What its RTDOSE says, summed where there are several files; None for an image file, which
        says nothing.
    files
        Its RTDOSE files.
    plan
        The plan that the parts were held against.
    left_out
        Number of RTDOSE files of the same folder that are other sums than the one asked for.
    """

    path: Path
    volume: Volume
    request: DoseRequest
    source: DoseFile | None = None
    files: tuple[Path, ...] = ()
    plan: Path | None = None
    left_out: int = 0

    def told(self) -> dict[str, Any]:
        """Return what it is and was asked for as, for a record; no identifier of the patient."""
        said: dict[str, Any] = {"path": str(self.path), "asked": self.request.asked()}
        if self.source is not None:
            said |= {
                "files": [str(file) for file in self.files],
                "dose_units": self.source.dose_units,
                "dose_type": self.source.dose_type,
                "summation": self.source.summation,
                "parts": list(self.source.parts),
                "checked_against": None if self.plan is None else str(self.plan),
            }
        return said | {"plane": is_plane(self.volume), "history": list(self.volume.history)}

    def sentence(self) -> str:
        """Say what was taken beyond what is taken without a word; nothing where nothing was."""
        asked = self.request.asked()
        if not asked and not is_plane(self.volume):
            return ""
        said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in asked.items())
        steps = "; ".join(self.volume.history)
        return f"{self.path}: {f'asked for as {said}; ' if said else ''}{steps or 'one plane'}."


def read_given_doses(
    places: Sequence[Path | Sequence[Path]],
    requests: Sequence[DoseRequest],
    *,
    plans: Sequence[Path] = (),
    same_plan: bool = True,
    belongs: Sequence[Identified] = (),
    prescription_gy: float | None = None,
    signed: bool = False,
    any_scale: bool = False,
    spelling: str = OPTIONS,
    scale_option: str = ANY_SCALE,
) -> tuple[GivenDose, ...]:
    """Read doses that are used together, and refuse what does not belong together.

    Parameters
    ----------
    places
        Of each dose: an image file, an RTDOSE file, a folder with RTDOSE files, or the files
        themselves.
    requests
        What each is said to be.
    plans
        RTPLAN files that the doses of beams and fraction groups are held against.
    same_plan
        Whether the doses must refer to one of ``plans`` itself, and not to a copy.
    belongs
        What else is used with them: structures, a plan.
    prescription_gy
        Held against the scale of the doses.
    signed
        Whether a dose ERROR, a difference of doses, can be used.
    any_scale
        Take doses that look like cGy, or like a fraction and a course.
    spelling, scale_option
        How the caller's verb spells requests and ``any_scale``.

    Raises
    ------
    InputError
        Also as Problems or NotAsked: a dose is none, another than was asked for, of another
        patient, type or scale; its message advises what the verb takes.
    GeometryError
        If they lie in different frames of reference.
    """
    if len(places) != len(requests):
        need = count(len(places), "dose needs", "doses need")
        raise InputError(f"{need} as many requests, got {len(requests)}.")
    known = [read_planned_parts(path) for path in plans]
    asked = [Asked(request=r, dicom=_dicom(p)) for p, r in zip(places, requests, strict=True)]
    require_one_type(asked, signed=signed)
    require_units(asked, spelling)
    doses, refused = [], {}
    for number, (place, request) in enumerate(zip(places, requests, strict=True)):
        try:
            doses.append(_read(place, request, known, same_plan, spelling))
        except NotAsked as error:
            refused[number] = error
    if refused:
        raise advised(asked, refused, signed=signed, spelling=spelling)
    _require_use(doses, spelling)
    sources = [dose.source for dose in doses if dose.source is not None]
    check_same_patient([*sources, *belongs, *plans])
    check_same_frame([*sources, *belongs])
    if not any_scale and requests[0].dose_type != "error":
        volumes = {str(dose.path): dose.volume for dose in doses}
        require_scale(asked, volumes, prescription_gy, spelling, scale_option)
    return tuple(doses)


def is_plane(volume: Volume) -> bool:
    """Whether a dose is a single plane."""
    return min(volume.array.shape) == 1


def _dicom(place: Path | Sequence[Path]) -> bool:
    return not isinstance(place, Path) or place.is_dir() or not is_image_file(place)


def _read(
    place: Path | Sequence[Path],
    request: DoseRequest,
    plans: Sequence[PlannedParts],
    same_plan: bool,
    spelling: str,
) -> GivenDose:
    if isinstance(place, Path) and not _dicom(place):
        return _of_image(place, request, spelling)
    left_out = 0
    files = list(place) if not isinstance(place, Path) else [place]
    if isinstance(place, Path) and place.is_dir():
        files = rtdose_files(place)
        fitting = [f for f in files if summation_in(f).lower() == request.summation]
        left_out = len(files) - len(fitting) if fitting else 0
        files = fitting or files
    named = place if isinstance(place, Path) else (files[0] if len(files) == 1 else files[0].parent)
    if len(files) > 1 and request.summation not in SUMMABLE:
        raise _several(named, files, request, spelling)
    read = [read_rtdose(file, request, spelling=spelling) for file in files]
    plan = _plan_of(read, plans, same_plan)
    source = sum_doses(read, plan=plan, same_plan=same_plan)
    volume = _in_course(source.volume, request, named)
    return GivenDose(
        path=named,
        volume=volume,
        request=request,
        source=source,
        files=tuple(files),
        plan=None if plan is None else plan.path,
        left_out=left_out,
    )


def _several(named: Path, files: Sequence[Path], request: DoseRequest, spelling: str) -> InputError:
    """Say that several files are one dose only where they are parts of one plan."""
    kinds: set[str] = set()
    others: dict[str, Need] = {}
    for file in files:
        try:
            read_rtdose(file, request)
        except NotAsked as error:
            kinds |= {need.value for need in error.needs if need.option == "summation"}
            others |= {need.option: need for need in error.needs if need.option != "summation"}
        except InputError:
            continue
    if len(kinds) == 1 and (kind := kinds.pop()) in SUMMABLE:
        what = f"holds {count(len(files), 'dose')} of a {kind.upper()} each, to be summed"
        needs = [Need(option="summation", value=kind, what=what), *others.values()]
        return NotAsked(named, needs, spelling)
    return InputError(
        f"{named} holds {len(files)} RTDOSE files; name the one that is meant, for example "
        f"{files[0]}."
    )


def _plan_of(
    read: Sequence[DoseFile], plans: Sequence[PlannedParts], same_plan: bool
) -> PlannedParts | None:
    """Find the plan that doses refer to; of the only one it is left to the sum to say."""
    if not plans or not same_plan or len(plans) == 1:
        return plans[0] if plans else None
    fitting = [plan for plan in plans if (plan.uid,) == read[0].plan_uids]
    if not fitting:
        names = ", ".join(str(plan.path) for plan in plans)
        raise InputError(f"{read[0].path} belongs to none of the plans {names}.")
    return fitting[0]


def _of_image(path: Path, request: DoseRequest, spelling: str) -> GivenDose:
    volume = read_image(path, "Gy")
    array, history = volume.array, []
    if request.dose_unit != "Gy":
        factor = GY_PER_UNIT[request.dose_unit]
        array = array * np.float32(factor)
        history.append(f"multiplied by {factor:g}, from {request.dose_unit} to Gy")
    elif array.size and np.isfinite(array).all() and array.max() > IMPLAUSIBLE_GY:
        what = f"goes up to {array.max():.4g} Gy, which is no external beam dose, and may be cGy"
        raise NotAsked(path, [Need(option="dose_unit", value="cGy", what=what)], spelling)
    signed = request.dose_type == "error"
    array, done = checked_dose(array, path, signed=signed)
    volume = replace(volume, array=array, history=(*volume.history, *history, *done))
    return GivenDose(path=path, volume=_in_course(volume, request, path), request=request)


def _in_course(volume: Volume, request: DoseRequest, where: Path) -> Volume:
    """Multiply the dose of one fraction by the number of fractions that was asked for."""
    if request.fractions == 1:
        return volume
    signed = request.dose_type == "error"
    array, _ = checked_dose(
        volume.array * np.float32(request.fractions),
        where,
        signed=signed,
        too_high=f"it was multiplied by {count(request.fractions, 'fraction')}, so say fewer",
    )
    step = f"multiplied by {count(request.fractions, 'fraction')}"
    return replace(volume, array=array, history=(*volume.history, step))


def _require_use(doses: Sequence[GivenDose], spelling: str) -> None:
    """Refuse what was said of no dose: it would change nothing."""
    used = {
        "relative_unit_gy": any(d.source and d.source.dose_units != "GY" for d in doses),
        "plane_mm": any(d.source and is_plane(d.volume) for d in doses),
    }
    for option, needed in used.items():
        value = getattr(doses[0].request, option)
        if value is not None and not needed:
            what = {"relative_unit_gy": "in another unit than GY", "plane_mm": "a single plane"}
            raise InputError(
                f"No RTDOSE is {what[option]}; leave {spelled(option, f'{value:g}', spelling)} "
                f"away."
            )
