"""What an import tells of a patient: manufacturer, band of age, body, implants."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.scanners import normalise_manufacturer
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.body import body_of, body_width_mm, shows_implant
from qa_suite.io.layouts.strata import age_band


@pytest.mark.parametrize(
    ("text", "modality", "expected"),
    [
        ("SIEMENS / MIM Software", "MR", "Siemens"),
        ("Siemens Healthineers", "CT", "Siemens"),
        ("GE MEDICAL SYSTEMS", "MR", "GE"),
        ("Philips Medical Systems", "MR", "Philips"),
        ("TOSHIBA_MEC", "CT", "Canon"),
        ("Varian Medical Systems", "MR", None),
        ("Varian Medical Systems", "CBCT", "Varian"),
        ("Acme Imaging", "MR", "Acme Imaging"),
        ("  ", "MR", None),
    ],
)
def test_manufacturers_have_one_name_each(text, modality, expected):
    assert normalise_manufacturer(text, modality) == expected


def test_age_bands():
    assert [age_band(years) for years in (0.2, 9.9, 10, 69.9, 90, 104)] == [
        *("0-9", "0-9", "10-19", "60-69", "90+", "90+")
    ]


def volume_of(array: np.ndarray) -> Volume:
    return Volume(
        array=array.astype(np.float32),
        grid=Grid(shape=array.shape, spacing_mm=(2.0, 2.0, 3.0)),
        quantity="HU",
    )


def test_the_body_is_filled_keeps_both_legs_and_drops_the_couch():
    hu = np.full((40, 30, 6), -1000.0)
    hu[3:15, 5:20] = 30
    hu[22:36, 5:20] = 30
    hu[27:30, 10:14] = -900  # gas
    hu[5:35, 25] = 100  # couch: one voxel thin
    body = body_of(volume_of(hu))
    assert body.sum() == (12 + 14) * 15 * 6
    hu[:, 25] = -1000
    assert body_width_mm(volume_of(hu)) == (36 - 3) * 2.0


def test_an_implant_is_a_cluster_of_dense_voxels():
    hu = np.zeros((20, 20, 20))
    hu[5, 5, 5] = 3071
    assert not shows_implant(volume_of(hu)), "one voxel of 0.012 cm³"
    hu[5:7, 5:7, 5:7] = 3071
    assert shows_implant(volume_of(hu))
