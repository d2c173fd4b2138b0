"""What the clinic's own planning system gave for a case: its doses, its plan.

A folder holds a folder of each case's name, with ``reference_dose`` and ``synthetic_dose``
(RTDOSE, NIfTI, MHA or NRRD), the two doses of one plan, and ``plan.dcm`` (RTPLAN) where the
surrogate is to be driven by the real beams.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qa_suite.errors import InputError
from qa_suite.io.rtdose import read_dose_file, require_same_scale
from qa_suite.io.rtplan import read_plan, require_supported
from qa_suite.io.rtplan_types import ImportedPlan
from qa_suite.io.same_patient import check_same_patient
from qa_suite.volume import Volume, canonical

DOSE_NAMES = ("reference_dose", "synthetic_dose")
PLAN_NAME = "plan.dcm"
_SUFFIXES = (".dcm", ".nii.gz", ".nii", ".mha", ".nrrd")


@dataclass(frozen=True, kw_only=True)
class ClinicCase:
    """Doses and plan of one case; each may be absent.

    Parameters
    ----------
    reference, synthetic
        Dose of the clinic's plan on the real and on the synthetic CT, in Gy of the course.
    plan
        The plan itself.

    The doses are held in canonical orientation, whichever way they are stored.
    """

    reference: Volume | None = None
    synthetic: Volume | None = None
    plan: ImportedPlan | None = None

    def __post_init__(self) -> None:
        for name, dose in (("reference", self.reference), ("synthetic", self.synthetic)):
            if dose is not None:
                object.__setattr__(self, name, canonical(dose))


def clinic_files(folder: Path, case: str) -> dict[str, Path]:
    """Find the files of a case by their role; what is absent is not named.

    Raises
    ------
    InputError
        If there is no such folder, or a dose lies there twice.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder of clinic doses at {folder}.")
    found: dict[str, Path] = {}
    for role in DOSE_NAMES:
        files = [p for suffix in _SUFFIXES if (p := folder / case / f"{role}{suffix}").is_file()]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise InputError(f"{folder / case} holds {role} more than once: {names}; keep one.")
        if files:
            found[role] = files[0]
    if (folder / case / PLAN_NAME).is_file():
        found["plan"] = folder / case / PLAN_NAME
    return found


def read_clinic_case(folder: Path, case: str) -> ClinicCase:
    """Read what the clinic's planning system gave for a case.

    Raises
    ------
    InputError
        If one dose of the two is missing, files are of different patients, the doses differ a
        hundredfold, or the plan holds what the surrogate cannot represent.
    """
    files = clinic_files(folder, case)
    there = [role for role in DOSE_NAMES if role in files]
    if len(there) == 1:
        missing = next(role for role in DOSE_NAMES if role not in files)
        raise InputError(f"{folder / case} holds {there[0]} and no {missing}; give both.")
    dicom = [path for path in files.values() if path.suffix == ".dcm"]
    if len(dicom) > 1:
        check_same_patient(dicom)
    plan = None
    if "plan" in files:
        plan = read_plan(files["plan"])
        require_supported(plan)
    if not there:
        return ClinicCase(plan=plan)
    first, second = (read_dose_file(files[role]) for role in DOSE_NAMES)
    require_same_scale(first, second, (str(files[DOSE_NAMES[0]]), str(files[DOSE_NAMES[1]])))
    return ClinicCase(reference=first, synthetic=second, plan=plan)
