"""The values of an exported series: what each modality may hold, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Quantity, Volume
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.exporting import PATIENT_POSITIONS, coded, decimal

ExportModality = Literal["CT", "MR", "PT"]

_STORAGE = "1.2.840.10008.5.1.4.1.1"
# PS3.16, context groups 19 to 21: the same as Patient Position, in codes
_LYING = {
    "S": ("40199007", "supine"),
    "P": ("1240000", "prone"),
    "DR": ("102535000", "right lateral decubitus"),
    "DL": ("102536004", "left lateral decubitus"),
}
_ENTERING = {"HF": ("102540008", "headfirst"), "FF": ("102541007", "feet-first")}
_MOST = 32767  # stored values are signed and of 16 bits, symmetric about 0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of image that can be exported.

    Parameters
    ----------
    title
        Its name for people.
    sop_class
        Storage class of its files.
    quantity, unit
        What its values must be, and the unit in words.
    image_type
        Its second and third value of Image Type; an empty one says nothing.
    window
        Centre and width of a viewer's first look. MR has none: viewers differ in whether they
        apply a rescale to MR, and so in what its window would mean.
    add
        Sets the elements that only this modality has; given the data set, the number of the
        image (from 1) and the number of images.
    """

    title: str
    sop_class: str
    quantity: Quantity
    unit: str
    image_type: tuple[str, str]
    window: tuple[float, float] | None
    add: Callable[[Dataset, int, int], None]


@dataclass(frozen=True, kw_only=True)
class StoredValues:
    """Whole numbers as they are stored: ``value = slope · stored``.

    ``planes`` has the shape (slices, rows, columns); ``slope`` is a decimal string, so that it
    is exactly the one that a reader multiplies by. ``window`` is a centre and a width, or None.
    """

    planes: NDArray[np.int16]
    slope: str
    window: tuple[float, float] | None


def kind_of(modality: str) -> Kind:
    """Return what is known of a modality.

    Raises
    ------
    InputError
        If images of it are not exported.
    """
    if modality not in KINDS:
        known = ", ".join(get_args(ExportModality))
        raise InputError(f"Images of modality {modality!r} are not exported; known: {known}.")
    return KINDS[modality]


def stored_values(volume: Volume, modality: str) -> StoredValues:
    """Return the values of a volume as they are stored.

    A CT is rounded to whole HU. MR and PET use all of 16 bits: the largest magnitude becomes
    32 767, nought stays nought. Nothing is clipped.

    Raises
    ------
    InputError
        If the quantity is not the modality's, a value is not finite, or HU exceed 16 bits.
    """
    kind = kind_of(modality)
    if volume.quantity != kind.quantity:
        raise InputError(
            f"A synthetic {kind.title} holds {kind.quantity} values, and this volume holds "
            f"{volume.quantity}."
        )
    array = volume.array.astype(np.float64).transpose(2, 1, 0)
    wrong = int(np.count_nonzero(~np.isfinite(array)))
    if wrong:
        raise InputError(
            f"The synthetic {kind.title} has {wrong} of {count_of(array.size, 'value')} that "
            "are not finite, "
            f"which no DICOM image can hold."
        )
    peak = float(np.abs(array).max())
    if modality == "CT":
        slope = "1"
        if np.rint(peak) > _MOST:
            raise InputError(
                f"The synthetic CT reaches from {array.min():g} to {array.max():g} HU, and 16 bits "
                f"hold {-_MOST} to {_MOST}; it is not clipped."
            )
    else:
        slope = f"{peak / _MOST:.10e}" if peak else "1"
    planes = np.rint(array / float(slope)).astype(np.int16)
    return StoredValues(planes=planes, slope=slope, window=kind.window)


def _add_ct(dataset: Dataset, number: int, count: int) -> None:
    dataset.RescaleType = "HU"
    dataset.KVP = dataset.AcquisitionNumber = None  # nothing was irradiated or acquired


def _add_mr(dataset: Dataset, number: int, count: int) -> None:
    """Research mode and no variant: no sequence was run, and both must be said (C.8.3.1)."""
    dataset.RescaleType = "US"
    dataset.ScanningSequence, dataset.SequenceVariant = "RM", "NONE"
    dataset.ScanOptions = dataset.MRAcquisitionType = None
    dataset.RepetitionTime = dataset.EchoTime = dataset.EchoTrainLength = None
    dataset.SpacingBetweenSlices = dataset.SliceThickness


def _add_pt(dataset: Dataset, number: int, count: int) -> None:
    """SUVbw is final as stored: Units GML; what belongs to a tracer or a scan stays empty.

    Decay correction ADMIN, because SUV relates uptake and dose at one moment, and a reader
    must not decay it again; the factor of 1 says that nothing was multiplied here.
    """
    dataset.Units, dataset.SUVType = "GML", "BW"
    dataset.CountsSource, dataset.SeriesType = "EMISSION", ["STATIC", "IMAGE"]
    dataset.NumberOfSlices, dataset.ImageIndex = count, number
    dataset.DecayCorrection, dataset.DecayFactor = "ADMIN", "1"
    dataset.FrameReferenceTime = "0"
    dataset.CorrectedImage = dataset.CollimatorType = dataset.ActualFrameDuration = None
    dataset.AcquisitionDate = dataset.AcquisitionTime = None
    dataset.RadiopharmaceuticalInformationSequence = DicomSequence()
    _say_position_in_codes(dataset)


def _say_position_in_codes(dataset: Dataset) -> None:
    """Say in codes how the patient lay: for PET they stand in place of Patient Position."""
    position = dataset.pop("PatientPosition").value or ""
    lying, entering = Dataset(), DicomSequence()
    known = position in PATIENT_POSITIONS  # others, such as those of animals, have no code here
    if known:
        lying = coded("102538003", "recumbent", "SCT")[0]
        modifier = coded(*_LYING[position[2:]], "SCT")
        lying.PatientOrientationModifierCodeSequence = modifier
        entering = coded(*_ENTERING[position[:2]], "SCT")
    dataset.PatientOrientationCodeSequence = DicomSequence([lying] if known else [])
    dataset.PatientGantryRelationshipCodeSequence = entering


KINDS: dict[str, Kind] = {
    "CT": Kind(
        title="CT",
        sop_class=f"{_STORAGE}.2",
        quantity="HU",
        unit="HU",
        image_type=("SECONDARY", "AXIAL"),
        window=(40.0, 400.0),
        add=_add_ct,
    ),
    "MR": Kind(
        title="MR",
        sop_class=f"{_STORAGE}.4",
        quantity="arbitrary",
        unit="arbitrary units",
        image_type=("SECONDARY", "OTHER"),
        window=None,
        add=_add_mr,
    ),
    "PT": Kind(
        title="PET",
        sop_class=f"{_STORAGE}.128",
        quantity="SUVbw",
        unit="SUVbw",
        image_type=("PRIMARY", ""),
        window=(5.0, 10.0),
        add=_add_pt,
    ),
}
"""What can be exported.

``AXIAL`` means any cross-section, sagittal ones too (C.8.2.1.1.1). The second value of a PET is
``PRIMARY`` also where the first is ``DERIVED`` (C.8.9.4.1.1).
"""


def add_pixels(dataset: Dataset, plane: NDArray[Any], stored: StoredValues) -> None:
    """Add one plane of stored values and what turns them back into values."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", stored.slope
    if stored.window is not None:
        dataset.WindowCenter, dataset.WindowWidth = (decimal(value) for value in stored.window)
    dataset.PixelData = np.ascontiguousarray(plane, dtype="<i2").tobytes()
