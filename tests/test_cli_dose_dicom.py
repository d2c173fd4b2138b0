"""``qa-suite dose`` on DICOM: CT folders and structure sets, of one patient and one frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.volume import Volume
from qa_suite.io.images import write_image
from tests.cli_dose_cases import one_sentence, prostate, tiny_plan
from tests.dicom_factory import rectangle, uid, write_series, write_structures
from tests.plan_factory import square_beam, write_plan
from tests.rt_factory import write_dose
from tests.tiny_cohort import SHAPE, SPACING_MM, grid, pair

OTHER = "MRN-0000-0001"


def ball(radius_mm: float = 22.0) -> list[np.ndarray]:
    """Contours of the ball that :func:`prostate` fills, a hair larger than it."""
    centre = np.array(grid().centre_mm)
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    contours = []
    for z in grid().to_world(np.stack([np.zeros(SHAPE[2])] * 2 + [np.arange(SHAPE[2])], -1))[:, 2]:
        reach = radius_mm**2 - (z - centre[2]) ** 2
        if reach > 0:
            ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * (np.sqrt(reach) + 0.1)
            contours.append(ring + np.array([centre[0], centre[1], z]))
    return contours


def write_ct(folder: Path, hu: np.ndarray, **tags: object) -> None:
    stored = np.rint(hu).astype(np.int16) + 1024
    write_series(folder, stored, spacing_mm=SPACING_MM, origin_mm=grid().origin_mm, **tags)


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """The same patient as DICOM and as NIfTI, and others that must not be mixed with him."""
    folder = tmp_path_factory.mktemp("dicom")
    mr, ct, mask = pair(1)
    hu = np.rint(ct.array).astype(np.float32)
    made = hu + 30 * (mask.array > 0)
    write_ct(folder / "ct", hu)
    write_ct(folder / "made", made, SeriesInstanceUID=uid("made"))
    write_ct(folder / "two", hu)
    write_ct(folder / "two" / "more", made, SeriesInstanceUID=uid("made"))
    write_ct(folder / "stranger", hu, PatientID=OTHER)
    write_ct(
        folder / "elsewhere",
        made,
        FrameOfReferenceUID=uid("elsewhere"),
        SeriesInstanceUID=uid("made"),
    )
    write_series(
        folder / "mr",
        np.rint(mr.array).astype(np.int16),
        modality="MR",
        spacing_mm=SPACING_MM,
        origin_mm=grid().origin_mm,
    )
    gap = np.rint(hu).astype(np.int16) + 1024
    write_series(folder / "gap", gap, spacing_mm=SPACING_MM, origin_mm=grid().origin_mm, skip=[5])
    write_image(Volume(array=hu, grid=grid(), quantity="HU"), folder / "ct.nii.gz")
    write_image(Volume(array=made, grid=grid(), quantity="HU"), folder / "made.nii.gz")
    write_image(prostate(), folder / "prostate.nii.gz")
    write_image(prostate().with_array(0 * prostate().array), folder / "empty.nii.gz")
    x, y, _ = grid().centre_mm
    bladder = [rectangle((x - 12, x + 12), (y - 40, y - 24), z) for z in (40.0, 48.0)]
    drawn = {
        "Prostate": ball(),
        "Bladder": bladder,
        "Skin": ball(60.0),
        "Isocentre": [],
        "Far": [rectangle((x, x + 9), (y, y + 9), 900.0)],
        "CTV: 78 Gy": ball(),
    }
    write_structures(folder / "rs.dcm", drawn, kinds={"Skin": "EXTERNAL"})
    write_structures(folder / "own" / "rs.dcm", {"CTV": ball(), "Bladder": bladder})
    write_structures(folder / "stranger.dcm", drawn, PatientID=OTHER)
    write_structures(folder / "elsewhere.dcm", drawn, FrameOfReferenceUID=uid("elsewhere"))
    write_structures(folder / "nobody.dcm", drawn, PatientID="", FrameOfReferenceUID=uid("nobody"))
    write_plan(folder / "stranger-plan.dcm", [square_beam()], PatientID=OTHER)
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    (folder / "empty").mkdir()
    tiny_plan(folder / "photons.yaml", name="photons")
    return folder


@pytest.fixture
def files(material, monkeypatch) -> Path:
    monkeypatch.chdir(material)
    return material


PLAN = ("--plan", "photons.yaml", "--hlut", "thomas-1999", "--dose-grid-mm", "10")


def given(*structures: str, image: str = "ct", more: tuple[str, ...] = ()) -> list[str]:
    named = [word for text in structures for word in ("--structure", text)]
    return ["dose", image, *named, *PLAN, *more]


def rows_of(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[dict, str]:
    assert run([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    return {(r["metric"], r["region"], r["variant"]): r["value"] for r in rows}, printed.err


def test_dicom_gives_the_dose_of_the_same_nifti_files(files, capsys):
    synthetic = ("--synthetic", "made.nii.gz")
    expected, _ = rows_of(
        capsys, given("Prostate=prostate.nii.gz", image="ct.nii.gz", more=synthetic)
    )
    found, told = rows_of(capsys, given("Prostate=rs.dcm", more=("--synthetic", "made")))
    assert set(found) == set(expected)
    for key, value in expected.items():
        same = None if value is None else pytest.approx(value, rel=1e-4, abs=1e-4)
        assert found[key] == same, key
    assert found["dmean_difference_pct", "target", "photons"] < -0.3
    assert "Target of photons: Prostate + 7 mm\n" in told
    assert "trust" not in told


def test_a_whole_structure_set_says_what_it_leaves_out(files, capsys):
    found, told = rows_of(capsys, given("rs.dcm", "Mine=prostate.nii.gz"))
    regions = {region for metric, region, _ in found if metric == "dmean_reference"}
    assert regions - {"target"} == {
        f"structure:{n}" for n in ("Prostate", "Bladder", "CTV: 78 Gy", "Mine")
    }
    assert "rs.dcm: Skin left out, the patient's outline.\n" in told
    assert "rs.dcm: Isocentre left out, it fills no voxel of the CT (it has no closed" in told
    assert "rs.dcm: Far left out, it fills no voxel of the CT (1 plane beyond the image" in told


@pytest.mark.parametrize(
    ("structures", "more", "target"),
    [
        (("Prostate=rs.dcm:CTV: 78 Gy",), (), "Prostate + 7 mm"),
        (("own",), ("--target", "CTV"), "CTV"),
        (("Prostate=rs.dcm", "PTV=own:CTV"), (), "PTV"),
        (("Skin=rs.dcm", "Prostate=rs.dcm"), ("--target", "Prostate"), "Prostate"),
    ],
)
def test_the_target_is_named_or_found_by_the_rules(files, capsys, structures, more, target):
    _, told = rows_of(capsys, given(*structures, more=more))
    assert f"Target of photons: {target}\n" in told


def test_an_image_that_does_not_say_whose_it_is_is_taken_on_trust(files, capsys):
    _, told = rows_of(capsys, given("Prostate=rs.dcm", image="ct.nii.gz"))
    assert "Taken on trust: ct.nii.gz does not say whose it is.\n" in told


BAD = {
    "no target by the rules": (
        given("own"),
        "it looks for PTV, PTV_High, Prostate, GTV and it has Bladder, CTV; name "
        "yours with --target.",
    ),
    "an unknown target": (
        given("own", more=("--target", "CTVs")),
        "--target: Unknown structure 'CTVs'; did you mean CTV?",
    ),
    "an empty target": (
        given("Nothing=empty.nii.gz", more=("--target", "Nothing")),
        "it looks for Nothing and it has Nothing (Nothing is empty).",
    ),
    "an unknown structure": (
        given("Prostat=rs.dcm"),
        "rs.dcm: Unknown structure 'Prostat'; did you mean Prostate?",
    ),
    "an unknown structure behind a colon": (
        given("Prostate=rs.dcm:CTV 78"),
        "rs.dcm: Unknown structure 'CTV 78'; did you mean CTV: 78",
    ),
    "twice": (given("rs.dcm", "Prostate=own:CTV"), "--structure names Prostate twice"),
    "a point": (
        given("rs.dcm", "Point=rs.dcm:Isocentre"),
        "rs.dcm: Isocentre fills no voxel of the CT (it has no closed contour).",
    ),
    "far away": (
        given("Prostate=rs.dcm:Far"),
        "Far fills no voxel of the CT (1 plane beyond the image",
    ),
    "structures of another patient": (
        given("Prostate=stranger.dcm"),
        "stranger.dcm is a structure set of another patient than the image ct; use files of one",
    ),
    "a synthetic image of another patient": (
        given("Prostate=rs.dcm", more=("--synthetic", "stranger")),
        "stranger is an image of another patient than the image ct",
    ),
    "a plan of another patient": (
        given("Prostate=rs.dcm", more=("--rtplan", "stranger-plan.dcm")),
        "stranger-plan.dcm is a plan of another patient than the image ct",
    ),
    "a plan of another patient for a file": (
        given("Prostate=rs.dcm", image="ct.nii.gz", more=("--rtplan", "stranger-plan.dcm")),
        "stranger-plan.dcm is a plan of another patient than the structure set rs.dcm",
    ),
    "nobody's structures": (
        given("Prostate=nobody.dcm"),
        "nobody.dcm carries no patient identifier and shares no",
    ),
    "structures in another frame": (
        given("Prostate=elsewhere.dcm"),
        "elsewhere.dcm is a structure set in another frame of reference than the image ct",
    ),
    "a synthetic image in another frame": (
        given("Prostate=rs.dcm", more=("--synthetic", "elsewhere")),
        "elsewhere is an image in another frame of reference than the image ct; register them",
    ),
    "an MR for the CT": (given("Prostate=rs.dcm", image="mr"), "mr holds no DICOM CT series."),
    "no series": (given("Prostate=rs.dcm", image="empty"), "empty holds no DICOM CT series."),
    "two series": (
        given("Prostate=rs.dcm", image="two"),
        "two holds 2 DICOM CT series; name a folder with",
    ),
    "a slice missing": (given("Prostate=rs.dcm", image="gap"), "missing"),
    "no structure set in the folder": (given("Prostate=ct"), "ct holds 0 RTSTRUCT files"),
    "no such structure set": (given("Prostate=none.dcm"), "There are no structures at none.dcm"),
    "a broken structure set": (given("Prostate=broken.dcm"), "broken.dcm"),
    "a CT slice for the structures": (given("Prostate=ct/IM0000.dcm"), "a file is no RTSTRUCT"),
    "a mask without a name": (given("prostate.nii.gz"), "--structure reads NAME=FILE for a mask"),
    "no name": (given("=rs.dcm"), "--structure reads NAME=FILE, not '=rs.dcm'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_sentence(files, capsys, what):
    arguments, sentence = BAD[what]
    assert run(arguments) == 2
    assert sentence in one_sentence(capsys)


def test_one_folder_may_hold_the_ct_and_its_structures(files, capsys, tmp_path, monkeypatch):
    for file in [*(files / "ct").iterdir(), files / "own" / "rs.dcm", files / "photons.yaml"]:
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    found, _ = rows_of(capsys, given(".", image=".", more=("--target", "CTV")))
    assert ("dmean_reference", "structure:Bladder", "photons") in found


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("structures", "sentence"),
    [
        ("stranger.dcm", "is a structure set of another patient than the dose"),
        ("elsewhere.dcm", "is a structure set in another frame of reference than the dose"),
    ],
)
def test_dvh_takes_structures_of_the_dose_only(
    files, capsys, tmp_path, folder, structures, sentence
):
    corner = np.subtract(grid().centre_mm, 60.0)
    write_dose(tmp_path / "rd.dcm", np.full((61, 41, 31), 50.0), origin_mm=corner)
    place = str(tmp_path if folder else tmp_path / "rd.dcm")
    assert run(["dvh", place, structures]) == 2
    assert sentence in one_sentence(capsys)
    assert run(["dvh", place, "rs.dcm", "--structure", "Prostate"]) == 0


def test_the_source_may_be_a_folder_too(files, capsys):
    found, _ = rows_of(
        capsys, given("Prostate=rs.dcm", more=("--synthetic", "made", "--source", "mr"))
    )
    assert found["path_unseen", "beam:G090", "photons"] == pytest.approx(0, abs=1e-6)


def test_real_dicom_folders(shared_data, capsys, tmp_path, monkeypatch):
    """A limb's CT with its structure set, whose references to single images lead nowhere."""
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "sts" / "dicom" / "STS_035"
    tiny_plan(tmp_path / "photons.yaml", "photon-extremity", name="photons")
    ct, structures = str(folder / "CT" / "image"), str(folder / "CT" / "mask" / "RS.dcm")
    assert run(given(structures, image=ct)) == 2
    assert "and it has GTV_Mass_CT; name yours with --target." in one_sentence(capsys)
    found, told = rows_of(capsys, given(f"GTV={structures}:GTV_Mass_CT", image=ct))
    assert "Target of photons: GTV + 15 mm\n" in told
    assert found["d95_reference", "target", "photons"] > 47.5  # 95 % of 50 Gy
