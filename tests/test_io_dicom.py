"""DICOM series to volumes: geometry, scales, SUV, and every kind of damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.dicom.suv import _mean_activity_s
from tests.dicom_factory import body_phantom, uid, write_series

HU = body_phantom()


def only(folder: Path):
    (series,) = scan_dicom(folder).series
    return series


def oblique() -> tuple[float, ...]:
    a, b = np.radians(20), np.radians(-15)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = turn_x @ turn_z
    return (*axes[:, 0], *axes[:, 1])


def test_hu_grid_and_order_survive_shuffled_names(tmp_path):
    order = np.random.default_rng(1).permutation(HU.shape[2])
    write_series(tmp_path, HU + 1024, order=order)
    volume = read_series(only(tmp_path))
    assert np.array_equal(volume.array, HU)
    assert volume.quantity == "HU"
    assert volume.grid.spacing_mm == pytest.approx((2, 3, 4))
    assert volume.grid.origin_mm == pytest.approx((-10, -20, -30))
    assert uid("frame", "MRN-4711-0815") not in str(volume)


def test_oblique_orientation_survives(tmp_path):
    orientation = oblique()
    write_series(tmp_path, HU + 1024, orientation=orientation)
    volume = read_series(only(tmp_path))
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    expected = np.array((-10, -20, -30)) + 5 * 2 * across + 6 * 3 * down
    expected = expected + 7 * 4 * np.cross(across, down)
    assert volume.grid.to_world((5, 6, 7)) == pytest.approx(expected, abs=1e-4)
    assert np.array_equal(volume.array, HU)


def test_stacking_against_the_axis_keeps_a_right_handed_grid(tmp_path):
    write_series(tmp_path, HU + 1024, orientation=(1, 0, 0, 0, -1, 0))
    volume = read_series(only(tmp_path))
    assert np.linalg.det(volume.grid.axes) == pytest.approx(1)
    assert np.array_equal(volume.array, HU)


def test_every_slice_has_its_own_slope(tmp_path):
    slopes = 0.5 + 0.1 * np.arange(HU.shape[2])
    write_series(tmp_path, HU + 1024, slopes=slopes)
    expected = (HU + 1024) * slopes - 1024
    assert read_series(only(tmp_path)).array == pytest.approx(expected, abs=1e-3)


def test_padding_outside_the_field_of_view_becomes_air(tmp_path):
    stored = HU.copy()
    stored[:2] = -2000
    write_series(tmp_path, stored, intercept=0, PixelPaddingValue=-2000)
    volume = read_series(only(tmp_path))
    assert (volume.array[:2] == -1024).all()
    assert np.array_equal(volume.array[2:], HU[2:])
    assert any("padding" in step for step in volume.history)


@pytest.mark.parametrize("keyword", ["RescaleIntercept", "RescaleSlope"])
def test_a_ct_without_rescale_is_refused(tmp_path, keyword):
    write_series(tmp_path, HU, **{keyword: None})
    with pytest.raises(InputError, match="RescaleIntercept or RescaleSlope in 10 slices"):
        read_series(only(tmp_path))


def test_a_ct_in_electron_density_is_refused(tmp_path):
    write_series(tmp_path, HU, RescaleType="ED")
    with pytest.raises(InputError, match="'ED', which are no HU"):
        read_series(only(tmp_path))


def test_a_missing_slice_is_named_with_its_place(tmp_path):
    write_series(tmp_path, HU + 1024, skip=(4,))
    with pytest.raises(InputError) as caught:
        read_series(only(tmp_path))
    sentence = "slice missing between z=-18.0 mm and z=-10.0 mm: 8.00 mm apart where 4.00 mm"
    assert sentence in str(caught.value)


def test_two_gaps_are_reported_together_even_of_three_slices(tmp_path):
    write_series(tmp_path / "a", HU + 1024, skip=(2, 3, 7))
    with pytest.raises(InputError) as caught:
        read_series(only(tmp_path / "a"))
    assert str(caught.value).count("slice missing") == 2
    write_series(tmp_path / "b", HU[:, :, :4] + 1024, skip=(2,))
    with pytest.raises(InputError, match="slice missing"):
        read_series(only(tmp_path / "b"))


def shift(k_shifted: int, vector: tuple[float, float, float]):
    def change(k, dataset):
        if k == k_shifted:
            position = np.array(dataset.ImagePositionPatient, dtype=float)
            dataset.ImagePositionPatient = list(position + vector)

    return change


def test_a_doubled_position_is_refused(tmp_path):
    write_series(tmp_path, HU + 1024, change=shift(3, (0, 0, 4)))
    with pytest.raises(InputError, match=r"1 position taken by two slices \(z=-14.0 mm\)"):
        read_series(only(tmp_path))


def test_irregular_distances_are_refused_and_rounding_is_not(tmp_path):
    write_series(tmp_path / "a", HU + 1024, change=shift(3, (0, 0, 1.0)))
    with pytest.raises(InputError, match=r"irregular distances, from 3\.00 to 5\.00 mm"):
        read_series(only(tmp_path / "a"))
    write_series(tmp_path / "b", HU + 1024, change=shift(3, (0, 0, 0.05)))
    assert read_series(only(tmp_path / "b")).grid.spacing_mm[2] == pytest.approx(4)


def test_gantry_tilt_is_refused_with_its_angle(tmp_path):
    def tilt(k, dataset):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + k * 4 * np.tan(np.radians(12)), z]

    write_series(tmp_path, HU + 1024, change=tilt)
    with pytest.raises(InputError, match=r"12\.0° as with a tilted gantry"):
        read_series(only(tmp_path))


def test_a_slice_with_another_orientation_spoils_the_series(tmp_path):
    def turn(k, dataset):
        if k == 9:  # at the end, where no gap would betray it
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]

    write_series(tmp_path, HU + 1024, change=turn)
    with pytest.raises(InputError, match="1 slice of the series with another orientation"):
        read_series(only(tmp_path))


def test_echoes_of_one_series_are_stacks_of_their_own(tmp_path):
    for echo in (2.3, 4.6):
        write_series(tmp_path / str(echo), HU + 1024 + int(echo), modality="MR", EchoTime=echo)
    first, second = scan_dicom(tmp_path).series
    assert first.series_uid == second.series_uid
    difference = read_series(second).array - read_series(first).array
    assert (difference == 2).all()


def test_localisers_and_other_files_are_left_alone(tmp_path):
    write_series(tmp_path / "ct", HU + 1024)
    write_series(tmp_path / "scout", HU[:, :, :1], ImageType=["DERIVED", "PRIMARY", "LOCALIZER"])
    (tmp_path / "notes.txt").write_text("not an image")
    found = scan_dicom(tmp_path)
    assert len(found.series) == 1
    assert not found.unreadable


def test_a_file_truncated_in_its_pixels_is_named(tmp_path):
    paths = write_series(tmp_path, HU + 1024)
    paths[5].write_bytes(paths[5].read_bytes()[:-100])
    with pytest.raises(InputError, match=r"IM0005\.dcm.*truncated"):
        read_series(only(tmp_path))


@pytest.mark.parametrize("length", [60, 131, 200, 400, 700, 900])
def test_a_file_truncated_in_its_header_spoils_the_series(tmp_path, length):
    paths = write_series(tmp_path, HU + 1024)
    paths[-1].write_bytes(paths[-1].read_bytes()[:length])  # the last slice leaves no gap
    found = scan_dicom(tmp_path)
    assert list(found.unreadable) == [paths[-1]]
    with pytest.raises(InputError):
        read_series(found.series[0])


def test_any_damage_is_an_input_error_or_no_damage(tmp_path):
    """Flip bytes anywhere in the header: pydicom raises many classes, the suite one."""
    rng = np.random.default_rng(7)
    original = HU[:, :, :3] + 1024
    paths = write_series(tmp_path, original)
    good = [path.read_bytes() for path in paths]
    header = good[1].rfind(b"\xe0\x7f\x10\x00") + 12
    refused = 0
    for _ in range(150):
        data = bytearray(good[1])
        for place in rng.integers(128, header, size=rng.integers(1, 6)):
            data[place] = rng.integers(256)
        paths[1].write_bytes(bytes(data))
        try:
            for series in scan_dicom(tmp_path).series:
                read_series(series)
        except InputError:
            refused += 1
    assert refused > 30


def test_a_compressed_series_without_decoder_is_refused_in_a_sentence(tmp_path):
    def compress(k, dataset):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
        dataset["PixelData"].VR = "OB"

    write_series(tmp_path, HU[:, :, :3] + 1024, change=compress)
    with pytest.raises(InputError, match=r"JPEG 2000|truncated or damaged"):
        read_series(only(tmp_path))


def test_a_multi_frame_file_reads_as_its_slices_do(tmp_path):
    write_series(tmp_path / "single", HU + 1024)
    expected = read_series(only(tmp_path / "single"))
    (tmp_path / "enhanced").mkdir()
    enhanced = pydicom.dcmread(tmp_path / "single" / "IM0000.dcm")
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = (
        "1.2.840.10008.5.1.4.1.1.2.1"
    )
    frames = np.random.default_rng(2).permutation(HU.shape[2])
    groups = []
    for k in frames:
        group = Dataset()
        position = Dataset()
        position.ImagePositionPatient = [-10, -20, -30 + 4 * float(k)]
        group.PlanePositionSequence = DicomSequence([position])
        groups.append(group)
    enhanced.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    shared, orientation, measures, values = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = enhanced.ImageOrientationPatient
    measures.PixelSpacing = enhanced.PixelSpacing
    values.RescaleIntercept, values.RescaleSlope = -1024, 1
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PixelValueTransformationSequence = DicomSequence([values])
    enhanced.SharedFunctionalGroupsSequence = DicomSequence([shared])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del enhanced[keyword]
    del enhanced.RescaleIntercept, enhanced.RescaleSlope
    enhanced.NumberOfFrames = len(frames)
    pixels = np.stack([(HU[:, :, k] + 1024).T for k in frames]).astype("<i2")
    enhanced.PixelData = pixels.tobytes()
    enhanced.save_as(tmp_path / "enhanced" / "all.dcm")
    volume = read_series(only(tmp_path / "enhanced"))
    assert np.array_equal(volume.array, expected.array)
    assert volume.grid.same_as(expected.grid)


# --- PET ---------------------------------------------------------------------------------

COUNTS = np.arange(4 * 3 * 3).reshape(4, 3, 3) * 100
HALF_LIFE_S = 6586.2


def drug(**tags):
    item = Dataset()
    item.RadionuclideTotalDose = 3.7e8
    item.RadionuclideHalfLife = HALF_LIFE_S
    item.RadiopharmaceuticalStartTime = "100000"
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return DicomSequence([item])


def write_pet(folder: Path, **tags):
    known = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"],
        "PatientWeight": 74,
        "SeriesTime": "110000",
        "AcquisitionTime": "110000",
        "FrameReferenceTime": 0,
        "ActualFrameDuration": 180000,
        "RadiopharmaceuticalInformationSequence": drug(),
    }
    write_series(folder, COUNTS, modality="PT", intercept=0, **(known | tags))


def suv_per_bqml(seconds: float) -> float:
    return 74_000 / (3.7e8 * 2 ** (-seconds / HALF_LIFE_S))


def test_suv_with_decay_to_the_start_of_the_series(tmp_path):
    write_pet(tmp_path)
    volume = read_series(only(tmp_path))
    assert volume.quantity == "SUVbw"
    # one hour after 370 MBq of F-18 into 74 kg: 1 Bq/ml is 2.9215e-4
    assert suv_per_bqml(3600) == pytest.approx(2.9215e-4, rel=1e-4)
    assert volume.array == pytest.approx(COUNTS * suv_per_bqml(3600), rel=1e-5)


def test_suv_when_injected_before_midnight(tmp_path):
    write_pet(
        tmp_path,
        SeriesTime="003000",
        AcquisitionTime="003000",
        RadiopharmaceuticalInformationSequence=drug(RadiopharmaceuticalStartTime="233000"),
    )
    assert read_series(only(tmp_path)).array == pytest.approx(COUNTS * suv_per_bqml(3600), rel=1e-5)


def test_suv_when_corrected_to_the_injection(tmp_path):
    write_pet(tmp_path, DecayCorrection="ADMIN", SeriesTime=None, AcquisitionTime=None)
    assert read_series(only(tmp_path)).array == pytest.approx(COUNTS * suv_per_bqml(0), rel=1e-5)


def test_suv_without_decay_correction_follows_each_slice(tmp_path):
    def later(k, dataset):
        dataset.AcquisitionTime = f"11{10 * k:02d}00"

    write_pet(tmp_path, DecayCorrection="NONE", change=later)
    middle = _mean_activity_s(180, HALF_LIFE_S)
    assert middle == pytest.approx(90, abs=0.3)
    factors = np.array([suv_per_bqml(3600 + 600 * k + middle) for k in range(3)])
    assert read_series(only(tmp_path)).array == pytest.approx(COUNTS * factors, rel=1e-5)


def test_suv_of_a_series_stamped_after_the_scan_goes_back_from_the_frame(tmp_path):
    write_pet(tmp_path, SeriesTime="150000", FrameReferenceTime=90000)
    volume = read_series(only(tmp_path))
    assert volume.array == pytest.approx(COUNTS * suv_per_bqml(3600), rel=1e-4)


def test_suv_as_stored_and_by_philips_factor(tmp_path):
    write_pet(tmp_path / "gml", Units="GML", RadiopharmaceuticalInformationSequence=None)
    assert np.array_equal(read_series(only(tmp_path / "gml")).array, COUNTS)

    def philips(k, dataset):
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.0005")

    write_pet(tmp_path / "cnts", Units="CNTS", change=philips)
    assert read_series(only(tmp_path / "cnts")).array == pytest.approx(COUNTS * 0.0005)


def test_every_missing_pet_tag_is_reported_together(tmp_path):
    write_pet(
        tmp_path,
        PatientWeight=None,
        RadiopharmaceuticalInformationSequence=drug(
            RadionuclideTotalDose=370, RadionuclideHalfLife=None
        ),
        CorrectedImage=["DECY"],
    )
    with pytest.raises(InputError) as caught:
        read_series(only(tmp_path))
    for part in (
        "no PatientWeight",
        "implausible RadionuclideTotalDose of 370 Bq",
        "no RadionuclideHalfLife",
        "no attenuation correction",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"Units": "PROPCPS"}, "units 'PROPCPS'"),
        ({"Units": None}, "units 'that are not stated'"),
        ({"Units": "GML", "SUVType": "LBM"}, "SUV normalised by LBM"),
        ({"Units": "CNTS"}, "counts without Philips"),
        ({"SeriesTime": "090000", "AcquisitionTime": "090000"}, "implausible time from injection"),
    ],
)
def test_pet_scales_are_never_guessed(tmp_path, tags, sentence):
    if "SeriesTime" in tags:  # exact date and time: an injection after the scan
        start = drug(RadiopharmaceuticalStartDateTime="20110314100000")
        tags = tags | {"RadiopharmaceuticalInformationSequence": start}
    write_pet(tmp_path, **tags)
    with pytest.raises(InputError, match=sentence):
        read_series(only(tmp_path))
