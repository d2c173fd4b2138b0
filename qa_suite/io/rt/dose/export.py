"""A dose of the surrogate as an RTDOSE file: marked as such, and never with a plan of its own.

DoseSummationType PLAN demands a referenced plan, and the surrogate's plan exists in no treatment
system. Its dose is therefore exported as PLAN_OVERVIEW, the sum that is described by a Plan
Overview Sequence and needs no plan (PS3.3, C.8.8.3); only the dose of an imported RTPLAN is
exported as PLAN and refers to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid

import qa_suite
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.exporting import (
    LONG_STRING,
    ExportIdentity,
    decimal,
    identity_of,
    new_file,
    right_handed,
    save,
)
from qa_suite.io.dicom.headers import Series
from qa_suite.io.rt.dose.read import RTDOSE_CLASS, SURROGATE_MODEL
from qa_suite.io.rt.dose.scale import checked_dose
from qa_suite.io.rt.plan.types import ImportedPlan
from qa_suite.io.rt.same_patient import check_same_patient

COMMENT = "NOT FOR TREATMENT. Surrogate dose for QA of a synthetic CT."
_PREFIX = "SURROGATE DOSE: "


def write_dose(
    volume: Volume,
    path: Path,
    *,
    template: Series | ExportIdentity,
    description: str = "",
    plan: ImportedPlan | None = None,
    fractions: int | None = None,
    effective: bool = False,
    heterogeneity: Sequence[str] = ("IMAGE",),
    bits: Literal[16, 32] = 16,
) -> Path:
    """Write a dose of the surrogate as RTDOSE, all at once or not at all.

    The same dose for the same patient gives the same bytes.

    Parameters
    ----------
    volume
        Dose in Gy on any regular grid.
    path
        The new file.
    template
        The CT series that the dose was computed on, or explicit identifiers.
    description
        Goes into the series description, behind ``SURROGATE DOSE:``.
    plan
        The imported plan that drove the surrogate, if one did; then the dose refers to it.
    fractions
        Of the course that the dose is for, where no plan says it.
    effective
        Whether the dose is weighted by biological effect.
    heterogeneity
        What the densities came from: ``IMAGE``, ``ROI_OVERRIDE`` or ``WATER``.
    bits
        Of a stored value. 16 resolve the maximum into 65 535 steps (1 mGy of 70 Gy).

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the values are no dose, the description is too long, or the plan is of another patient.
    GeometryError
        If the dose is a single plane, in another frame of reference than the template, or does
        not overlap its images.
    """
    path = Path(path)
    if volume.quantity != "Gy":
        raise InputError(f"Only a dose in Gy can be exported as RTDOSE, not {volume.quantity}.")
    title = f"{_PREFIX}{description}".rstrip(" :")
    if len(title) > LONG_STRING:
        room = LONG_STRING - len(_PREFIX)
        raise InputError(f"The description has {len(description)} characters; {room} fit.")
    array, _ = checked_dose(volume.array, "The dose")
    if volume.grid.shape[2] < 2:
        raise GeometryError("The dose is a single plane, and an RTDOSE volume needs two.")
    turned = right_handed(replace(volume, array=array))
    array, grid = turned.array, turned.grid
    identity = identity_of(template, grid, "dose")
    if plan is not None and isinstance(template, Series):
        check_same_patient([template, plan])
    stored, scaling = _stored(array, bits)
    dataset = _new_file(identity, title, stored)
    _add_image(dataset, grid, stored, scaling, bits)
    _add_dose(dataset, plan, fractions, effective, heterogeneity)
    save(dataset, path)
    return path


def _stored(array: NDArray[Any], bits: int) -> tuple[NDArray[Any], str]:
    """Return whole numbers as frames, rows, columns, and the Gy of one step as it is written."""
    most = 2**bits - 1
    scaling = f"{float(array.max()) / most:.10e}"
    values = np.rint(array.astype(np.float64).transpose(2, 1, 0) / float(scaling))
    return np.minimum(values, most).astype(f"<u{bits // 8}"), scaling


def _new_file(identity: dict[str, Any], title: str, stored: NDArray[Any]) -> FileDataset:
    """Start a file whose UIDs depend on what it holds."""
    digest = hashlib.sha256(stored.tobytes()).hexdigest()
    words = ["qa-suite dose", identity["StudyInstanceUID"], title, digest]
    instance = generate_uid(entropy_srcs=[*words, "instance"])
    dataset = new_file(RTDOSE_CLASS, instance, identity)
    dataset.Modality = "RTDOSE"
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*words, "series"])
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.SeriesDescription = title
    dataset.OperatorsName = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "qa-suite", SURROGATE_MODEL
    dataset.SoftwareVersions = qa_suite.__version__
    return dataset


def _add_image(dataset: Dataset, grid: Grid, stored: NDArray[Any], scaling: str, bits: int) -> None:
    axes = grid.axes
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ImagePositionPatient = [decimal(v) for v in grid.origin_mm]
    dataset.ImageOrientationPatient = [decimal(v) for v in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [decimal(grid.spacing_mm[1]), decimal(grid.spacing_mm[0])]
    dataset.SliceThickness = decimal(grid.spacing_mm[2])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.FrameIncrementPointer = 0x3004000C
    offsets = np.arange(grid.shape[2]) * grid.spacing_mm[2]
    dataset.GridFrameOffsetVector = [decimal(v) for v in offsets]  # relative: the first is 0
    dataset.DoseGridScaling = scaling
    dataset.PixelData = stored.tobytes()


def _add_dose(
    dataset: Dataset,
    plan: ImportedPlan | None,
    fractions: int | None,
    effective: bool,
    heterogeneity: Sequence[str],
) -> None:
    dataset.DoseUnits = "GY"
    dataset.DoseType = "EFFECTIVE" if effective else "PHYSICAL"
    dataset.DoseComment = COMMENT
    dataset.TissueHeterogeneityCorrection = list(heterogeneity)
    if plan is not None:
        reference = Dataset()
        reference.ReferencedSOPClassUID = plan.sop_class
        reference.ReferencedSOPInstanceUID = plan.uid
        dataset.DoseSummationType = "PLAN"
        dataset.ReferencedRTPlanSequence = DicomSequence([reference])
        return
    overview = Dataset()
    overview.PlanOverviewIndex = 1
    overview.RTPlanLabel = "SURROGATE"
    if fractions is not None:
        overview.NumberOfFractionsIncluded = fractions
    overview.TreatmentSite = ""
    overview.TreatmentSiteCodeSequence = DicomSequence()
    overview.PrescriptionOverviewSequence = DicomSequence()
    dataset.DoseSummationType = "PLAN_OVERVIEW"
    dataset.PlanOverviewSequence = DicomSequence([overview])
