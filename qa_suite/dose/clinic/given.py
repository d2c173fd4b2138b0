"""What the clinic's own planning system gave for a case: its doses, its plan.

A folder holds a folder of each case's name, with ``reference_dose`` and ``synthetic_dose``
(RTDOSE, NIfTI, MHA or NRRD), the two doses of one plan, and ``plan.dcm`` (RTPLAN) where the
surrogate is to be driven by the real beams. A dose of several RTDOSE files (its beams) is a folder
``reference_dose/``, or ``reference_dose*.dcm``; what the files are is said by a
:class:`ClinicRequest`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.volume import Volume, canonical
from qa_suite.io.rt.dose.given import read_given_doses
from qa_suite.io.rt.dose.request import DoseRequest, parse_requests
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.plan.types import ImportedPlan

DOSE_NAMES = ("reference_dose", "synthetic_dose")
PLAN_NAME = "plan.dcm"
SPELLING = "--clinic-dose {option}={value}"
"""How ``evaluate`` takes what is said of the clinic's doses."""
SCALE_OPTION = "--clinic-dose any-scale=yes"
_SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd")


class ClinicRequest(BaseModel):
    """What the clinic's doses are said to be, for every case.

    Parameters
    ----------
    reference, synthetic
        Of the two doses.
    any_scale
        Take doses that look like cGy, or like a fraction and a course.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: DoseRequest = DoseRequest()
    synthetic: DoseRequest = DoseRequest()
    any_scale: bool = False

    def asked(self) -> str:
        """Say in words what was asked for; nothing where nothing was."""
        sides = {"reference": self.reference.asked(), "synthetic": self.synthetic.asked()}
        if sides["reference"] == sides["synthetic"]:
            sides = {"": sides["reference"]}
        said = [
            f"{side} {key.replace('_', ' ')} {value}".strip()
            for side, values in sides.items()
            for key, value in values.items()
        ]
        return ", ".join([*said, *(["any scale"] if self.any_scale else [])])


def parse_clinic_request(texts: Sequence[str]) -> ClinicRequest:
    """Read ``dose-type=effective`` and the like, one text each.

    Raises
    ------
    InputError
        If a text has no ``=``, a name is given twice, or what is said is unknown.
    """
    said: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("_", "-")
        if not equals or not value.strip():
            raise InputError(
                f"--clinic-dose reads NAME=VALUE, such as dose-type=effective, not {text!r}."
            )
        if name in said:
            raise InputError(f"--clinic-dose says {name} twice; once is enough.")
        said[name] = value.strip()
    scale = said.pop("any-scale", "no")
    if scale not in ("yes", "no"):
        raise InputError(f"--clinic-dose any-scale is yes or no, not {scale!r}.")
    reference, synthetic = parse_requests(said, 2)
    return ClinicRequest(reference=reference, synthetic=synthetic, any_scale=scale == "yes")


@dataclass(frozen=True, kw_only=True)
class ClinicCase:
    """Doses and plan of one case; each may be absent.

    Parameters
    ----------
    reference, synthetic
        Dose of the clinic's plan on the real and on the synthetic CT, in Gy of the course.
    plan
        The plan itself.

    history
        How the doses were read, for the record; no path and no identifier.
    of_patients
        DICOM files of the doses, and the patient identifier of each; it never leaves the machine.

    The doses are held in canonical orientation, whichever way they are stored.
    """

    reference: Volume | None = None
    synthetic: Volume | None = None
    plan: ImportedPlan | None = None
    history: tuple[str, ...] = ()
    of_patients: tuple[tuple[Path, str], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, dose in (("reference", self.reference), ("synthetic", self.synthetic)):
            if dose is not None:
                object.__setattr__(self, name, canonical(dose))


def clinic_files(folder: Path, case: str) -> dict[str, tuple[Path, ...]]:
    """Find the files of a case by their role; what is absent is not named.

    Raises
    ------
    InputError
        If there is no such folder, or a dose lies there twice.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder of clinic doses at {folder}.")
    found: dict[str, tuple[Path, ...]] = {}
    for role in DOSE_NAMES:
        place = folder / case
        images = [p for suffix in _SUFFIXES if (p := place / f"{role}{suffix}").is_file()]
        dicom = [*sorted(place.glob(f"{role}*.dcm")), *sorted((place / role).glob("*.dcm"))]
        if len(images) + bool(dicom) > 1:
            names = ", ".join(file.name for file in (*images, *dicom))
            raise InputError(f"{place} holds {role} more than once: {names}; keep one.")
        if images or dicom:
            found[role] = (*images, *dicom)
    if (folder / case / PLAN_NAME).is_file():
        found["plan"] = (folder / case / PLAN_NAME,)
    return found


def clinic_hashes(folder: Path, case: str) -> dict[str, str]:
    """Return the SHA-256 of the files of each role; of several, that of theirs in order."""
    hashes = {}
    for role, files in clinic_files(folder, case).items():
        each = [sha256_of(file) for file in files]
        hashes[role] = (
            each[0] if len(each) == 1 else hashlib.sha256(" ".join(each).encode()).hexdigest()
        )
    return hashes


def read_clinic_case(folder: Path, case: str, request: ClinicRequest | None = None) -> ClinicCase:
    """Read what the clinic's planning system gave for a case.

    Raises
    ------
    InputError
        If one dose of the two is missing, files are of different patients, a dose is another than
        was said, or the doses differ in scale.
    GeometryError
        If the files lie in different frames of reference.
    """
    request = request or ClinicRequest()
    files = clinic_files(folder, case)
    there = [role for role in DOSE_NAMES if role in files]
    if len(there) == 1:
        missing = next(role for role in DOSE_NAMES if role not in files)
        raise InputError(f"{folder / case} holds {there[0]} and no {missing}; give both.")
    plan = None
    if "plan" in files:
        plan = read_plan(files["plan"][0])
    if not there:
        return ClinicCase(plan=plan)
    places = [one[0] if len(one := files[role]) == 1 else one for role in DOSE_NAMES]
    doses = read_given_doses(
        places,
        (request.reference, request.synthetic),
        plans=files.get("plan", ()),
        same_plan=False,
        belongs=[] if plan is None else [plan],
        any_scale=request.any_scale,
        spelling=SPELLING,
        scale_option=SCALE_OPTION,
    )
    sides = ("reference", "synthetic")
    history = tuple(
        f"clinic's dose on the {side}: {step}"
        for side, dose in zip(sides, doses, strict=True)
        for step in dose.volume.history
    )
    sources = [dose.source for dose in doses if dose.source is not None]
    return ClinicCase(
        reference=doses[0].volume,
        synthetic=doses[1].volume,
        plan=plan,
        history=history,
        of_patients=tuple((one.path, one.patient_id) for one in sources),
    )
