"""RTDOSE to volumes in Gy: geometry in every variant, scales, sums, and every refusal."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from qa_suite.core.errors import GeometryError, InputError, Problems
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.images import write_image
from qa_suite.io.rt.dose.parts import PlannedParts, sum_doses
from qa_suite.io.rt.dose.read import read_rtdose
from qa_suite.io.rt.dose.request import DoseRequest, parse_requests
from qa_suite.io.rt.dose.scale import require_same_unit, scale_doubt
from tests.dicom_factory import PATIENT_ID, body_phantom, uid, write_series
from tests.rt_factory import read_dose, write_dose

SHAPE = (7, 6, 5)
BEAM = DoseRequest(summation="beam")
EFFECTIVE = DoseRequest(dose_type="effective")
CGY = DoseRequest(dose_unit="cGy")


def a_dose() -> np.ndarray:
    i, j, k = np.indices(SHAPE)
    return 60.0 * np.exp(-((i - 2) ** 2 + (j - 3) ** 2 + (k - 1) ** 2) / 12.0)


DOSE = a_dose()


def turned() -> tuple[float, ...]:
    a, b = np.radians(20), np.radians(-15)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = turn_x @ turn_z
    return (*axes[:, 0], *axes[:, 1])


ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "against the axis": (1, 0, 0, 0, -1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": turned(),
}


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_every_voxel_lies_where_it_should(tmp_path, name, backwards, bits):
    orientation = ORIENTATIONS[name]
    step = write_dose(
        tmp_path / "d.dcm", DOSE, orientation=orientation, backwards=backwards, bits=bits
    )
    volume = read_dose(tmp_path / "d.dcm")
    across, down = np.array(orientation[:3], float), np.array(orientation[3:], float)
    index = np.array((4, 2, 3))
    expected = np.array((-10, -20, -30)) + index[0] * 2 * across + index[1] * 3 * down
    expected = expected + index[2] * 4 * np.cross(across, down)
    assert volume.grid.to_world(index) == pytest.approx(expected, abs=1e-4)
    assert np.linalg.det(volume.grid.axes) == pytest.approx(1)
    assert np.abs(volume.array - DOSE).max() <= step / 2 + 4e-6
    assert volume.quantity == "Gy" and volume.array.dtype == np.float32


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", ["axial", "prone", "feet first", "against the axis"])
def test_absolute_offsets_give_the_same_grid_as_relative_ones(tmp_path, name, backwards):
    orientation = ORIENTATIONS[name]
    for offsets in ("relative", "absolute"):
        write_dose(
            tmp_path / offsets / "d.dcm",
            DOSE,
            orientation=orientation,
            offsets=offsets,
            backwards=backwards,
        )
    relative, absolute = (read_dose(tmp_path / o / "d.dcm") for o in ("relative", "absolute"))
    assert relative.grid.distance_mm(absolute.grid) < 1e-6
    assert np.array_equal(relative.array, absolute.array)


def test_planes_from_z_zero_are_read_alike_by_both_rules(tmp_path):
    write_dose(tmp_path / "d.dcm", DOSE, origin_mm=(0, 0, 0), offsets="absolute")
    assert read_dose(tmp_path / "d.dcm").grid.to_world((0, 0, 4))[2] == pytest.approx(16)


def test_a_vector_that_fits_neither_rule_is_refused(tmp_path):
    write_dose(tmp_path / "a.dcm", DOSE, GridFrameOffsetVector=[5, 9, 13, 17, 21])
    with pytest.raises(InputError, match="neither relative"):
        read_dose(tmp_path / "a.dcm")
    write_dose(
        tmp_path / "b.dcm",
        DOSE,
        orientation=turned(),
        GridFrameOffsetVector=[-30, -26, -22, -18, -14],
    )
    with pytest.raises(InputError, match="oblique planes"):
        read_dose(tmp_path / "b.dcm")


def test_a_dose_shares_the_frame_of_its_ct(tmp_path):
    write_series(tmp_path / "ct", body_phantom() + 1024)
    write_dose(tmp_path / "dose.dcm", DOSE)
    ct = read_series(scan_dicom(tmp_path / "ct").series[0])
    dose = read_dose(tmp_path / "dose.dcm")
    assert dose.grid.frame_of_reference == ct.grid.frame_of_reference
    assert uid("frame", PATIENT_ID) not in str(dose)


def test_header_facts_are_kept(tmp_path):
    write_dose(tmp_path / "d.dcm", DOSE, beams=[3])
    dose = read_rtdose(tmp_path / "d.dcm", BEAM)
    assert dose.plan_uids == (uid("plan"),)
    assert (dose.beam_numbers, dose.fraction_groups) == ((3,), (1,))
    assert (dose.dose_type, dose.summation) == ("PHYSICAL", "BEAM")
    assert "PHYSICAL dose of a BEAM" in dose.volume.history[0]


REFUSALS = {
    "relative unit": ({"DoseUnits": "RELATIVE"}, "DoseUnits RELATIVE.*--relative-unit-gy GY"),
    "no unit": ({"DoseUnits": None}, "DoseUnits none"),
    "error": ({"DoseType": "ERROR"}, "a difference of doses"),
    "no type": ({"DoseType": None}, "DoseType none"),
    "effective": ({"DoseType": "EFFECTIVE"}, "EFFECTIVE dose.*--dose-type effective"),
    "fraction": ({"DoseSummationType": "FRACTION"}, "--summation fraction"),
    "session": ({"DoseSummationType": "FRACTION_SESSION"}, "--summation fraction_session"),
    "no scaling": ({"DoseGridScaling": None}, "DoseGridScaling"),
    "scaling zero": ({"DoseGridScaling": 0}, "DoseGridScaling"),
    "no offsets": ({"GridFrameOffsetVector": None}, "GridFrameOffsetVector"),
    "too few offsets": ({"GridFrameOffsetVector": [0, 4, 8]}, "3 values, 5 needed"),
    "irregular": ({"GridFrameOffsetVector": [0, 4, 8, 13, 17]}, "irregular"),
    "unordered": ({"GridFrameOffsetVector": [0, 8, 4, 12, 16]}, "no order"),
    "doubled": ({"GridFrameOffsetVector": [0, 4, 4, 8, 12]}, "no order"),
    "sheared": ({"ImageOrientationPatient": [1, 0, 0, 0.2, 1, 0]}, "orthonormal"),
    "no spacing": ({"PixelSpacing": None}, "PixelSpacing"),
    "spacing zero": ({"PixelSpacing": [0, 2]}, "spacings"),
    "rows": ({"Rows": 60}, "truncated or damaged"),
    "one frame": ({"NumberOfFrames": 1}, "single plane.*--plane-mm 1"),
    "cGy": ({"DoseGridScaling": 1e-6}, "no external beam dose"),
    "nothing": ({"PixelData": bytes(4 * DOSE.size)}, "holds no dose"),
    "negative": (
        {"PixelRepresentation": 1, "PixelData": np.arange(-100, 110, dtype="<i4").tobytes()},
        "negative dose",
    ),
    "plan": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.5"}, "no RTDOSE"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_usable_dose_is_one_sentence(tmp_path, name):
    tags, words = REFUSALS[name]
    write_dose(tmp_path / "d.dcm", DOSE, **tags)
    with pytest.raises(InputError, match=words) as caught:
        read_dose(tmp_path / "d.dcm")
    assert str(caught.value).count("\n") == 0


def test_effective_dose_on_request_only_and_never_by_chance(tmp_path):
    write_dose(tmp_path / "e.dcm", DOSE, DoseType="EFFECTIVE")
    assert "EFFECTIVE" in read_dose(tmp_path / "e.dcm", EFFECTIVE).history[0]
    write_dose(tmp_path / "p.dcm", DOSE)
    with pytest.raises(InputError, match="PHYSICAL"):
        read_dose(tmp_path / "p.dcm", EFFECTIVE)


@pytest.mark.parametrize("cut", [10, 300, 700, 1200, 1500])
def test_a_cut_file_is_one_sentence(tmp_path, cut):
    write_dose(tmp_path / "d.dcm", DOSE)
    whole = (tmp_path / "d.dcm").read_bytes()
    (tmp_path / "c.dcm").write_bytes(whole[: min(cut, len(whole) - 10)])
    with pytest.raises(InputError):
        read_dose(tmp_path / "c.dcm")


def test_flipped_bytes_never_raise_anything_else(tmp_path):
    write_dose(tmp_path / "d.dcm", DOSE)
    whole = bytearray((tmp_path / "d.dcm").read_bytes())
    rng = np.random.default_rng(3)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(132, len(whole), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.dcm").write_bytes(damaged)
        with contextlib.suppress(InputError, GeometryError):
            read_dose(tmp_path / "x.dcm")


def test_a_folder_with_one_dose_and_with_several(tmp_path):
    write_series(tmp_path / "p" / "ct", body_phantom() + 1024)
    with pytest.raises(InputError, match="no RTDOSE"):
        read_dose(tmp_path / "p")
    write_dose(tmp_path / "p" / "a.dcm", DOSE)
    assert read_dose(tmp_path / "p").array.max() == pytest.approx(60)
    write_dose(tmp_path / "p" / "b.dcm", DOSE)
    with pytest.raises(InputError, match="2 RTDOSE files; name the one"):
        read_dose(tmp_path / "p")


def test_beam_doses_are_summed_on_request_only(tmp_path):
    write_dose(tmp_path / "1.dcm", 0.25 * DOSE, beams=[1])
    write_dose(tmp_path / "2.dcm", 0.75 * DOSE, beams=[2])
    with pytest.raises(InputError):
        read_dose(tmp_path)
    volume = read_dose(tmp_path, BEAM)
    assert volume.array == pytest.approx(DOSE, abs=1e-5)
    assert "sum of 2 beam doses (beam 1, beam 2)" in volume.history


def test_a_sum_of_beams_names_all_that_is_wrong(tmp_path):
    write_dose(tmp_path / "1.dcm", DOSE, beams=[1])
    write_dose(tmp_path / "2.dcm", DOSE, beams=[1], plan=uid("another plan"), PatientID="B")
    doses = [read_rtdose(tmp_path / f"{n}.dcm", BEAM) for n in (1, 2)]
    with pytest.raises(Problems) as caught:
        sum_doses(doses)
    text = str(caught.value)
    for words in (
        "different plans",
        "different patients",
        "beam 1 is there 2 times (1.dcm, 2.dcm)",
    ):
        assert words in text


def a_plan(**groups: tuple[int, ...]) -> PlannedParts:
    beams = {int(name[1:]): numbers for name, numbers in groups.items()}
    return PlannedParts(
        path=Path("plan.dcm"),
        uid=uid("plan"),
        patient_id=PATIENT_ID,
        frame_of_reference=None,
        beams=beams,
        idle=frozenset({9}),
    )


def test_a_sum_is_held_against_its_plan(tmp_path):
    for number in (1, 2):
        write_dose(tmp_path / f"{number}.dcm", DOSE, beams=[number])
    doses = [read_rtdose(tmp_path / f"{n}.dcm", BEAM) for n in (1, 2)]
    assert sum_doses(doses, plan=a_plan(g1=(1, 2, 9))).beam_numbers == (1, 2)  # 9 has no MU
    for plan, words in (
        (a_plan(g1=(1, 2, 3)), "dose of beam 3 of plan.dcm is missing"),
        (a_plan(g1=(1,)), "plan.dcm has no treatment beam 2"),
        (a_plan(g2=(1, 2)), "plan.dcm has no fraction group 1"),
        (replace(a_plan(g1=(1, 2)), uid="1.2"), "belong to another plan than plan.dcm"),
    ):
        with pytest.raises(Problems, match=words):
            sum_doses(doses, plan=plan)


def test_a_beam_without_dose_adds_nothing_and_stops_nothing(tmp_path):
    write_dose(tmp_path / "1.dcm", DOSE, beams=[1])
    write_dose(tmp_path / "2.dcm", DOSE, beams=[2], PixelData=bytes(4 * DOSE.size))
    write_dose(
        tmp_path / "3.dcm", DOSE, beams=[3], PixelData=bytes(4 * DOSE.size), DoseGridScaling=0
    )
    volume = read_dose(tmp_path, BEAM)
    assert volume.array == pytest.approx(DOSE, abs=1e-5)
    assert "of beam 2, beam 3 no dose at all" in volume.history[-1]
    (tmp_path / "1.dcm").unlink()
    with pytest.raises(InputError, match="no dose in any voxel"):
        read_dose(tmp_path, BEAM)


def test_copies_of_one_file_are_named(tmp_path):
    write_dose(tmp_path / "1.dcm", DOSE, beams=[1])
    (tmp_path / "2.dcm").write_bytes((tmp_path / "1.dcm").read_bytes())
    with pytest.raises(Problems, match=r"1.dcm and 2.dcm are copies of one file") as caught:
        read_dose(tmp_path, BEAM)
    assert "beam 1 is there 2 times (1.dcm, 2.dcm); keep one" in str(caught.value)


def test_beams_on_two_grids_are_not_summed(tmp_path):
    write_dose(tmp_path / "1.dcm", DOSE, beams=[1])
    write_dose(tmp_path / "2.dcm", DOSE, beams=[2], origin_mm=(-9, -20, -30))
    with pytest.raises(GeometryError):
        read_dose(tmp_path, BEAM)


def volume_of(array: np.ndarray) -> Volume:
    grid = Grid(shape=array.shape, spacing_mm=(2, 3, 4))
    return Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_images_are_read_in_their_unit(tmp_path, ending):
    write_image(volume_of(DOSE * 100), tmp_path / f"d{ending}")
    volume = read_dose(tmp_path / f"d{ending}", CGY)
    assert volume.array == pytest.approx(DOSE, abs=1e-4)
    assert "from cGy to Gy" in volume.history[-1]
    with pytest.raises(InputError, match="--dose-unit cGy"):
        read_dose(tmp_path / f"d{ending}")
    with pytest.raises(Problems, match=r"dose-unit.*'Sv'"):
        parse_requests({"dose-unit": "Sv"}, 1)


def test_dicom_takes_no_unit(tmp_path):
    write_dose(tmp_path / "d.dcm", DOSE)
    with pytest.raises(InputError, match="says its own unit"):
        read_dose(tmp_path / "d.dcm", CGY)
    with pytest.raises(InputError, match="no dose at"):
        read_dose(tmp_path / "none.dcm")


def test_values_that_are_no_dose(tmp_path):
    array = DOSE.copy()
    array[0, 0, 0] = np.nan
    write_image(volume_of(array), tmp_path / "nan.nii.gz")
    with pytest.raises(InputError, match="1 of 210 voxels"):
        read_dose(tmp_path / "nan.nii.gz")
    array[0, 0, 0] = -3
    write_image(volume_of(array), tmp_path / "neg.nii.gz")
    with pytest.raises(InputError, match="negative dose"):
        read_dose(tmp_path / "neg.nii.gz")
    array[0, 0, 0] = -0.01  # below a thousandth of the maximum: rounding
    write_image(volume_of(array), tmp_path / "tiny.nii.gz")
    volume = read_dose(tmp_path / "tiny.nii.gz")
    assert volume.array[0, 0, 0] == 0
    assert "1 negative value down" in volume.history[-1]


def test_gy_against_cgy_is_refused_with_both_maxima():
    dose = volume_of(DOSE)
    require_same_unit(dose, volume_of(DOSE * 1.4))
    require_same_unit(dose, volume_of(DOSE * 30))
    doubt = scale_doubt(dose, volume_of(DOSE / 30))
    assert doubt is not None and (doubt.kind, doubt.low, doubt.fractions) == ("fractions", 1, 30)
    assert scale_doubt(dose, volume_of(DOSE * 1.4)) is None
    for other in (DOSE * 100, DOSE / 100, DOSE * 55):
        with pytest.raises(InputError, match=r"60 Gy.*looks like cGy"):
            require_same_unit(dose, volume_of(other), ("a.nii", "b.nii"))
        with pytest.raises(InputError):
            require_same_unit(volume_of(other), dose)


def test_a_dose_of_a_treatment_planning_system(tmp_path):
    """One of pydicom's own test files: relative as it is, in Gy once it says so."""
    path = Path(str(get_testdata_file("rtdose.dcm", download=False)))
    with pytest.raises(InputError, match="DoseUnits RELATIVE"):
        read_dose(path)
    header = pydicom.dcmread(path)
    header.DoseUnits = "GY"
    header.save_as(tmp_path / "d.dcm")
    dose = read_rtdose(tmp_path / "d.dcm", BEAM)
    assert dose.volume.grid.spacing_mm == pytest.approx((10, 10, 5))
    assert dose.volume.array.max() == pytest.approx(1.254)
    assert np.abs(dose.volume.array.T - header.pixel_array * 1e-6).max() < 1e-6
    assert (dose.beam_numbers, dose.fraction_groups) == ((1,), (1,))
