"""What tests of exported DICOM series share: a source series, volumes on its grid, the export."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.exporting import ExportIdentity
from qa_suite.io.dicom.headers import Series, scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.dicom.series_export import ExportedSeries, export_series
from qa_suite.io.dicom.series_marks import SyntheticFacts
from tests.dicom_factory import body_phantom, write_series

WHEN = datetime(2026, 1, 31, 14, 5, 9)
FACTS = SyntheticFacts(
    model_uri="models:/pelvis-mr-to-ct/7",
    weights_sha256="0a" * 32,
    family="regression",
    software_version="0.1.0",
    description="pelvis-mr-to-ct/7",
)
ME = ExportIdentity(
    patient_id="X1", study_uid="1.2.3", frame_of_reference="1.2.4", patient_position="HFS"
)
KINDS = {"CT": ("HU", 1.0), "MR": ("arbitrary", 3.7), "PT": ("SUVbw", 0.01)}
OF_KIND = {"CT": "CTImage", "MR": "MRImage", "PT": "PETImage"}
AXIAL = (1, 0, 0, 0, 1, 0)


def write_mr(folder: Path, *, orientation=AXIAL, **tags) -> Series:
    signal = np.maximum(body_phantom() + 400, 0)
    tags = {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Avanto",
        "PatientPosition": "HFS",
        "SeriesNumber": 4,
        "StudyTime": "101500",
        "StudyID": "S1",
        "BodyPartExamined": "PELVIS",
    } | tags
    write_series(
        folder, signal, modality="MR", orientation=orientation, order=range(9, -1, -1), **tags
    )
    return scan_dicom(folder).series[0]


@pytest.fixture(scope="module")
def mr(tmp_path_factory) -> Series:
    return write_mr(tmp_path_factory.mktemp("mr"))


def synthetic(series: Series | None, modality: str = "CT", grid: Grid | None = None) -> Volume:
    """A different value in every voxel, negative ones too, on the grid of a series."""
    quantity, scale = KINDS[modality]
    grid = grid or read_series(series).grid
    rng = np.random.default_rng(3)
    array = rng.uniform(-900, 1500, grid.shape) * scale
    return Volume(array=array.astype(np.float32), grid=grid, quantity=quantity)


def export(volume: Volume, out: Path, like=ME, modality: str = "CT", **more) -> ExportedSeries:
    settings = {"synthetic": FACTS, "when": WHEN} | more
    return export_series(volume, like=like, modality=modality, out_dir=out, **settings)


def headers_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
