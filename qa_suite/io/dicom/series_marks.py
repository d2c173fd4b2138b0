"""What says that an exported image is synthetic: in every place that a person or a system reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import raise_problems
from qa_suite.io.dicom.exporting import LONG_STRING, coded, copied, text_problems
from qa_suite.io.dicom.headers import Series, Slice
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.dicom.series_values import Kind

MANUFACTURER = "qa-suite"

# PS3.16: context groups 7005 (equipment) and 7202 (source images)
_SYNTHESIZING = ("109100", "Synthesizing Equipment")
_ACQUISITION = ("109101", "Acquisition Equipment")
_SOURCE_IMAGE = ("121322", "Source image for image processing operation")
_EQUIPMENT = (
    "Manufacturer",
    "InstitutionName",
    "StationName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)


@dataclass(frozen=True, kw_only=True)
class SyntheticFacts:
    """Which model made a synthetic image.

    Parameters
    ----------
    model_uri
        Where the model is registered: ``models:/NAME/VERSION``.
    weights_sha256
        Of the model's weights, 64 hexadecimal digits.
    family
        Kind of translator, such as ``regression``.
    software_version
        Of the software that ran it.
    description
        Goes into the series description, behind ``SYNTHETIC CT:``.

    Raises
    ------
    Problems
        If one of them is empty, too long, or no text that DICOM can hold.
    """

    model_uri: str
    weights_sha256: str
    family: str
    software_version: str
    description: str = ""

    def __post_init__(self) -> None:
        problems = []
        # together with the words around them they fit into a short text (ST, 1024 characters)
        for name, room in (("model_uri", 512), ("family", 48), ("software_version", LONG_STRING)):
            value = getattr(self, name)
            problems += text_problems(f"its {name}", value, room=room)
            if not value.strip():
                problems.append(f"its {name} is empty")
        if not re.fullmatch(r"[0-9a-f]{64}", self.weights_sha256):
            problems.append(f"its weights_sha256 {self.weights_sha256!r} is no SHA-256")
        room = LONG_STRING - len("SYNTHETIC PET: ")
        problems += text_problems("its description", self.description, room=room)
        raise_problems("The synthetic image's origin", problems)


def title_of(kind: Kind, synthetic: SyntheticFacts) -> str:
    """Return the series description: ``SYNTHETIC CT: …``."""
    return f"SYNTHETIC {kind.title}: {synthetic.description}".rstrip(" :")


def add_marks(
    dataset: Dataset, kind: Kind, synthetic: SyntheticFacts, source: Any | None, when: datetime
) -> None:
    """Mark a data set as synthetic, and say by what and from what it was made.

    ``source`` is the header of the source series, or None.
    """
    versions = [synthetic.software_version, synthetic.weights_sha256]
    if len(synthetic.model_uri) < LONG_STRING:
        versions.append(synthetic.model_uri)
    made = (
        f"Computed by a translator of the family {synthetic.family}, model {synthetic.model_uri}, "
        f"weights SHA-256 {synthetic.weights_sha256}, {MANUFACTURER} {synthetic.software_version}."
    )
    dataset.SyntheticData = "YES"
    dataset.ImageType = ["DERIVED", *kind.image_type, "SYNTHETIC"]
    dataset.SeriesDescription = title_of(kind, synthetic)
    dataset.ImageComments = f"SYNTHETIC {kind.title}: predicted by a model, not acquired."
    dataset.DerivationDescription = f"SYNTHETIC {kind.title}, not acquired. {made}"
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = f"{MANUFACTURER} synthetic {kind.title}"
    dataset.SoftwareVersions = versions
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = coded(*_SYNTHESIZING)
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = f"translator: {synthetic.family}"
    item.SoftwareVersions = versions
    item.ContributionDateTime = f"{when:%Y%m%d%H%M%S}"
    item.ContributionDescription = f"Synthesized this {kind.title}. {made}"
    dataset.ContributingEquipmentSequence = DicomSequence([*_source_equipment(source), item])
    burned = source is not None and text_of(source, "BurnedInAnnotation") == "YES"
    dataset.BurnedInAnnotation = "YES" if burned else "NO"
    dataset.LossyImageCompression = "00"
    if source is not None and text_of(source, "LossyImageCompression") == "01":
        lossy = (
            "LossyImageCompression",
            "LossyImageCompressionRatio",
            "LossyImageCompressionMethod",
        )
        for keyword, value in copied(source, lossy).items():  # once lossy, for ever (C.7.6.1.1.5)
            setattr(dataset, keyword, value)


def _source_equipment(source: Any | None) -> list[Dataset]:
    """Return what the source names as its equipment, and the scanner that made the source."""
    if source is None:
        return []
    items = list(source.get("ContributingEquipmentSequence") or [])
    facts = copied(source, _EQUIPMENT)
    if "Manufacturer" in facts:
        scanner = Dataset()
        scanner.PurposeOfReferenceCodeSequence = coded(*_ACQUISITION)
        for keyword, value in facts.items():
            setattr(scanner, keyword, value)
        items.append(scanner)
    return items


def source_images(series: Series, slices: Sequence[Slice]) -> list[Dataset]:
    """Return one reference for each slice of a source series, in the given order."""
    headers: dict[Any, tuple[str, str, bool]] = {}
    items = []
    for one in slices:
        if one.path not in headers:
            header = open_dicom(one.path, pixels=False, force=True)
            many = "PerFrameFunctionalGroupsSequence" in header
            uids = (text_of(header, "SOPClassUID"), text_of(header, "SOPInstanceUID"))
            headers[one.path] = (*uids, many)
        sop_class, instance, many = headers[one.path]
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        if many:
            item.ReferencedFrameNumber = one.frame + 1
        item.PurposeOfReferenceCodeSequence = coded(*_SOURCE_IMAGE)
        items.append(item)
    return items
