"""A report as a DICOM Encapsulated PDF (PS3.3 A.45.1), for archives that keep nothing else.

It is of no patient: patient and study are named after the evaluation.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

import qa_suite
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.io.dicom.exporting import new_file, save, text_problems

_TITLE = 1024
"""Characters of a document's title (value representation ST)."""


def write_encapsulated_pdf(
    content: bytes,
    path: Path,
    *,
    title: str,
    evaluation: str,
    verdict: str,
    at: datetime,
    study: str = "Readiness report of an image translator",
) -> Path:
    """Write a PDF as a DICOM file, all at once or not at all; the same content, the same bytes.

    Parameters
    ----------
    content
        The PDF.
    path
        The new file.
    title
        Of the document.
    evaluation, verdict
        Their identifiers, from which those of the study, the series and the object are made.
    at
        When the verdict was reached.
    study
        What the study is, in at most 64 characters.

    Raises
    ------
    InputError
        If the content is no PDF.
    Problems
        If a text cannot stand in its element.
    """
    if not content.startswith(b"%PDF-"):
        raise InputError("What is to be encapsulated is no PDF.")
    raise_problems("The report's title", text_problems("the title", title, room=_TITLE))
    day, hour = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    dataset = new_file(
        EncapsulatedPDFStorage,
        generate_uid(entropy_srcs=["pdf", evaluation, verdict, sha256(content).hexdigest()]),
        {
            "PatientID": f"QA-{evaluation}",
            "PatientName": "QA^Evaluation of a model",
            "PatientBirthDate": "",
            "PatientSex": "",
            "StudyInstanceUID": generate_uid(entropy_srcs=["study", evaluation]),
            "StudyDate": day,
            "StudyTime": hour,
            "StudyID": "",
            "StudyDescription": study,
            "AccessionNumber": "",
            "ReferringPhysicianName": "",
            "Modality": "DOC",
            "SeriesInstanceUID": generate_uid(entropy_srcs=["series", evaluation, verdict]),
            "SeriesNumber": "1",
            "SeriesDescription": title[:64],
            "Manufacturer": "qa-suite",
            "ManufacturerModelName": "qa-suite",
            "SoftwareVersions": qa_suite.__version__,
            "ConversionType": "WSD",
            "InstanceNumber": "1",
            "ContentDate": day,
            "ContentTime": hour,
            "AcquisitionDateTime": "",
            "BurnedInAnnotation": "NO",
            "DocumentTitle": title,
            "ConceptNameCodeSequence": DicomSequence(),
            "MIMETypeOfEncapsulatedDocument": "application/pdf",
            "EncapsulatedDocumentLength": len(content),
            "EncapsulatedDocument": content + b"\0" * (len(content) % 2),
        },
    )
    save(dataset, path)
    return Path(path)
