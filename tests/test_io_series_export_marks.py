"""What the headers of an exported series say: accepted by a validator, marked as synthetic."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.rt.dose.export import write_dose
from tests import series_export_cases
from tests.dicom_validator import SYNTHETIC_DATA, errors_of
from tests.series_export_cases import (
    FACTS,
    KINDS,
    ME,
    OF_KIND,
    export,
    headers_in,
    synthetic,
    write_mr,
)

# Fixtures, by the names that the tests ask for.
mr = series_export_cases.mr


@pytest.mark.parametrize("modality", list(KINDS))
@pytest.mark.parametrize("like", ["series", "identity"])
def test_the_validator_accepts_it(tmp_path, mr, modality, like):
    owner = mr if like == "series" else ME
    volume = synthetic(mr, modality)
    if like == "identity":
        volume = replace(volume, grid=replace(volume.grid, frame_of_reference=None))
    done = export(volume, tmp_path / "out", owner, modality)
    for path in (done.files[0], done.files[-1]):
        assert errors_of(path, OF_KIND[modality], unknown=SYNTHETIC_DATA) == []


@pytest.mark.parametrize("modality", list(KINDS))
def test_it_says_everywhere_that_it_is_synthetic(tmp_path, mr, modality):
    name = {"PT": "PET"}.get(modality, modality)
    done = export(synthetic(mr, modality), tmp_path / "out", mr, modality)
    for header in headers_in(done.folder):
        assert header.SyntheticData == "YES"
        assert header.ImageType[0] == "DERIVED" and header.ImageType[-1] == "SYNTHETIC"
        assert header.SeriesDescription == f"SYNTHETIC {name}: pelvis-mr-to-ct/7"
        assert header.ImageComments.startswith(f"SYNTHETIC {name}")
        assert header.Manufacturer == "qa-suite"
        assert header.ManufacturerModelName == f"qa-suite synthetic {name}"
        assert header.BurnedInAnnotation == "NO" and header.LossyImageCompression == "00"
        scanner, software = header.ContributingEquipmentSequence
        assert scanner.Manufacturer == "SIEMENS"
        assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
        assert software.Manufacturer == "qa-suite"
        assert software.PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert software.ContributionDateTime == "20260131140509"
        for texts in (
            [header.DerivationDescription],
            [software.ContributionDescription],
            header.SoftwareVersions,
            software.SoftwareVersions,
        ):
            told = " ".join(texts)
            assert FACTS.model_uri in told and FACTS.weights_sha256 in told and "0.1.0" in told
        assert header.SourceImageSequence[0].SpatialLocationsPreserved == "YES"
        purpose = header.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121322", "DCM")


def test_patient_study_and_frame_are_the_sources_and_the_series_is_its_own(tmp_path, mr):
    done = export(synthetic(mr), tmp_path / "out", mr)
    source = mr.header
    uids = set()
    for header in headers_in(done.folder):
        for keyword in (
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "StudyDate",
            "StudyTime",
            "StudyID",
            "FrameOfReferenceUID",
            "PatientPosition",
            "BodyPartExamined",
        ):
            assert header[keyword].value == source[keyword].value, keyword
        assert (header.SeriesDate, header.SeriesTime) == ("20260131", "140509")
        assert header.SeriesInstanceUID == done.series_uid != mr.series_uid
        assert "AcquisitionDate" not in header  # nothing was acquired
        assert header.SeriesNumber == 1004
        uids |= {header.SOPInstanceUID, header.file_meta.MediaStorageSOPInstanceUID}
    assert len(uids) == len(done.files)
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    assert [h.InstanceNumber for h in headers_in(done.folder)] == list(range(1, 11))


def test_names_in_any_alphabet_and_overlong_study_ids_are_kept(tmp_path):
    tags = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg", "StudyID": "X" * 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = write_mr(tmp_path / "mr", **tags)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of pydicom's on the user's screen
        done = export(synthetic(series), tmp_path / "out", series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = headers_in(done.folder)[0]
        assert (str(header.PatientName), header.StudyID) == ("Müller^Jörg", "X" * 20)


def test_explicit_identifiers_are_used_and_the_rest_stays_empty(tmp_path):
    grid = Grid(shape=(5, 4, 3), spacing_mm=(1, 2, 3))
    owner = replace(ME, patient_name="A^B", deidentification="pseudonym")
    for header in headers_in(export(synthetic(None, grid=grid), tmp_path / "out", owner).folder):
        assert (header.PatientID, header.PatientName) == ("X1", "A^B")
        assert (header.StudyInstanceUID, header.FrameOfReferenceUID) == ("1.2.3", "1.2.4")
        assert header.PatientPosition == "HFS" and header.PatientIdentityRemoved == "YES"
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            assert keyword in header and not header[keyword].value
        assert "SourceImageSequence" not in header
        (software,) = header.ContributingEquipmentSequence
        assert software.Manufacturer == "qa-suite"


def test_a_pet_says_the_unit_and_how_the_patient_lay_and_nothing_of_a_tracer(tmp_path, mr):
    for header in headers_in(export(synthetic(mr, "PT"), tmp_path / "out", mr, "PT").folder):
        assert (header.Units, header.SUVType, header.RescaleIntercept) == ("GML", "BW", 0)
        assert len(header.RadiopharmaceuticalInformationSequence) == 0
        assert header.AcquisitionDate is None or header.AcquisitionDate == ""
        assert header.NumberOfSlices == 10
        lying = header.PatientOrientationCodeSequence[0]
        assert lying.CodeMeaning == "recumbent"
        assert lying.PatientOrientationModifierCodeSequence[0].CodeMeaning == "supine"
        assert header.PatientGantryRelationshipCodeSequence[0].CodeMeaning == "headfirst"


def test_what_a_source_has_gone_through_goes_on(tmp_path):
    older = Dataset()
    older.Manufacturer = "archive"
    series = write_mr(
        tmp_path / "mr",
        LossyImageCompression="01",
        LossyImageCompressionRatio="8",
        BurnedInAnnotation="YES",
        PatientIdentityRemoved="YES",
        DeidentificationMethod=["basic", "dates"],
        ContributingEquipmentSequence=DicomSequence([older]),
    )
    header = headers_in(export(synthetic(series), tmp_path / "out", series).folder)[0]
    assert (header.LossyImageCompression, header.BurnedInAnnotation) == ("01", "YES")
    assert list(header.DeidentificationMethod) == ["basic", "dates"]
    makers = [item.Manufacturer for item in header.ContributingEquipmentSequence]
    assert makers == ["archive", "SIEMENS", "qa-suite"]


def test_a_dose_exported_like_it_carries_the_mark_on(tmp_path, mr):
    done = export(synthetic(mr), tmp_path / "out", mr)
    (series,) = scan_dicom(done.folder).series
    assert series.synthetic and not mr.synthetic
    grid = Grid(shape=(4, 4, 3), spacing_mm=(2, 2, 2), origin_mm=(-5, -10, -20))
    dose = Volume(array=np.ones((4, 4, 3)), grid=grid, quantity="Gy")
    for template, expected in ((series, "YES"), (mr, None)):
        header = pydicom.dcmread(write_dose(dose, tmp_path / "d.dcm", template=template))
        assert header.get("SyntheticData") == expected
