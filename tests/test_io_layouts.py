"""From folders and tables to a cohort: layouts, pairing, links, one grid, problems."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.io.cases import load_case
from qa_suite.io.identity import load_key, patient_hash
from qa_suite.io.layouts.importing import import_cohort
from qa_suite.io.layouts.layouts import detect_layout
from tests.dicom_factory import write_patient
from tests.layout_cases import GRID, HU, MR, files_text, write, write_pair, write_sts
from tests.layout_cases import own_key as own_key

# --- SynthRAD ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "layout", "names", "anatomy"),
    [
        (".nii.gz", "synthrad2023", ("1BA001", "1BC032"), "brain"),
        (".mha", "synthrad2025", ("1HNA001", "1HNC014"), "head and neck"),
    ],
)
def test_synthrad_is_recognised_and_linked(tmp_path, ending, layout, names, anatomy):
    for name in names:
        write_pair(tmp_path / "data" / "Task1" / "X" / name, ending)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    assert cohort.import_settings["layout"] == layout
    assert cohort.anatomy == anatomy
    assert cohort.sites == ("A", "C")
    for case in load_cohort(tmp_path / "out").cases:
        files = [tmp_path / "out" / f for f in (case.source, case.reference, case.mask)]
        assert all(path.is_symlink() for path in files), "nothing had to be converted"
        assert all(path.name.endswith(ending) for path in files)
        loaded = load_case(cohort, case, tmp_path / "out")
        assert np.array_equal(loaded.mask, HU > -500)
    assert not any(name in files_text(tmp_path / "out") for name in names)


def test_synthrad_task_2_is_cone_beam(tmp_path):
    write_pair(tmp_path / "data" / "2PA001", ".nii.gz", source="cbct")
    with pytest.raises(InputError, match="holds CBCT and no MR; state the source modality CBCT"):
        import_cohort(tmp_path / "data", tmp_path / "out")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", source_modality="CBCT")
    assert (cohort.direction, cohort.source_quantity) == ("CBCT->CT", "HU")
    assert cohort.anatomy == "pelvis"


def test_a_patient_without_ct_stays_with_the_reason(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    write_pair(tmp_path / "data" / "1PA002", ".nii.gz")
    (tmp_path / "data" / "1PA002" / "ct.nii.gz").unlink()
    said: list[str] = []
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", report=said.append)
    (problem,) = [case for case in cohort.cases if case.import_problem]
    assert problem.import_problem == "Its CT file is missing."
    assert len(said) == 1
    assert "1PA002" in said[0]
    assert "1PA002" not in files_text(tmp_path / "out")
    assert len(load_cohort(tmp_path / "out").cases) == 2


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_damaged_file_is_a_problem_of_its_case(tmp_path, content):
    for name in ("1PA001", "1PA002"):
        write_pair(tmp_path / "data" / name, ".nii.gz")
    broken = tmp_path / "data" / "1PA002" / "mr.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300] if content is None else content)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (problem,) = [case.import_problem for case in cohort.cases if case.import_problem]
    assert re.match("Its MR file (cannot be read as an image|is cut off)", problem)
    assert str(tmp_path) not in problem


# --- STS ---------------------------------------------------------------------------------


def test_sts_layout_takes_site_and_sex_from_the_table_beside(tmp_path):
    makers = {
        "STS_001": "SIEMENS,Avanto,M",
        "STS_002": "GE MEDICAL SYSTEMS,SIGNA,F",
        "STS_003": "Varian Medical Systems,ARIA RadOnc,F",
    }
    for name in makers:
        write_sts(tmp_path / "sts" / "nifti" / name)
    rows = ["patient,mr_manufacturer,mr_model,sex", *(f"{k},{v}" for k, v in makers.items())]
    (tmp_path / "sts" / "patients.csv").write_text("\n".join(rows))
    cohort = import_cohort(tmp_path / "sts" / "nifti", tmp_path / "out")
    assert cohort.sites == ("GE", "Siemens", "unknown")
    by_site = {case.site: case for case in cohort.cases}
    assert by_site["Siemens"].strata.source_model == "Avanto"
    assert by_site["unknown"].strata.source_manufacturer is None
    assert by_site["unknown"].strata.source_model is None
    assert by_site["GE"].strata.sex == "F"
    case = by_site["GE"]
    loaded = load_case(cohort, case, tmp_path / "out")
    assert np.array_equal(loaded.structures["GTV"], HU > 600)
    assert np.array_equal(loaded.mask, HU > -400), "the tumour is no body mask"
    by_model = import_cohort(tmp_path / "sts" / "nifti", tmp_path / "by", site_by="model")
    assert by_model.sites == ("Avanto", "SIGNA", "unknown")
    with pytest.raises(InputError, match="cannot be told by 'colour'"):
        import_cohort(tmp_path / "sts" / "nifti", tmp_path / "colour", site_by="colour")


def test_sts_to_pet(tmp_path):
    write_sts(tmp_path / "data" / "STS_001")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out", reference_modality="PT")
    assert cohort.reference_quantity == "SUVbw"
    (case,) = cohort.cases
    assert any("body from the source: above" in step for step in case.history)


# --- tables ------------------------------------------------------------------------------


def test_a_table_of_pairs_with_all_it_may_say(tmp_path):
    data = tmp_path / "data"
    write(data / "a" / "mr.mhd", MR, "arbitrary")
    write(data / "a" / "ct.nii.gz", HU)
    write(data / "a" / "body.nii.gz", HU > -500, "label")
    write(data / "a" / "gtv.nii.gz", HU > 600, "label")
    (data / "pairs.csv").write_text(
        "source;reference;mask;patient;site;structures;sex;implant;field_strength_t;examination;x\n"
        "a/mr.mhd;a/ct.nii.gz;a/body.nii.gz;P-77;North/East;GTV=a/gtv.nii.gz;M;yes;1.5;10;1\n"
        "a/mr.mhd;a/ct.nii.gz;a/body.nii.gz;P-77;North/East;;M;;3;9;1\n"
    )
    said: list[str] = []
    cohort = import_cohort(data / "pairs.csv", tmp_path / "out", report=said.append)
    assert said == [f"{data / 'pairs.csv'}: the columns x are not used."]
    second, first = sorted(cohort.cases, key=lambda case: -case.examination)
    assert (first.examination, second.examination) == (1, 2)
    assert first.patient == second.patient == patient_hash("P-77", load_key())
    assert first.strata.field_strength_t == 3, "examination 9 precedes examination 10"
    assert second.site == "North East"
    assert second.strata.implant == "yes"
    assert second.structures.keys() == {"GTV"}
    assert import_cohort(data, tmp_path / "two").cases == cohort.cases, "found in its folder too"


def test_a_table_may_say_that_a_patient_has_no_reference(tmp_path):
    data = tmp_path / "data"
    write(data / "mr.nii.gz", MR, "arbitrary")
    write(data / "ct.nii.gz", HU)
    (data / "pairs.csv").write_text(
        "source,reference,patient\nmr.nii.gz,ct.nii.gz,1\nmr.nii.gz,,2\nmr.nii.gz,gone.nii.gz,3\n"
    )
    cohort = import_cohort(data / "pairs.csv", tmp_path / "out")
    by_patient = {case.patient: case for case in cohort.cases}
    pair, alone, broken = (by_patient[patient_hash(n, load_key())] for n in "123")
    assert pair.reference is not None and pair.voxel_hashes.keys() == {"source", "reference"}
    assert alone.reference is None and alone.import_problem is None
    assert alone.voxel_hashes == {"source": pair.voxel_hashes["source"]}
    assert broken.import_problem is not None, "a file that is missing is no statement"
    loaded = load_case(cohort, alone, tmp_path / "out")
    assert loaded.reference is None and loaded.mask is not None and loaded.mask.any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("source,ct\na,b\n", "lacks the column reference"),
        ("source,reference\n", "lists no pairs"),
        ("source,reference\na\n", "another number of cells in line 2"),
        ("", "is empty"),
        ("source,reference,structures\na,b,GTV\n", "NAME=file"),
        (
            "source,reference\nno.nii.gz,no.nii.gz\n",
            r"can be read \(1 tried\): Its MR file is missing",
        ),
    ],
)
def test_faulty_tables_are_one_sentence(tmp_path, text, sentence):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        import_cohort(tmp_path / "pairs.csv", tmp_path / "out")


def test_strata_that_are_not_as_they_should_be_are_a_problem_of_the_case(tmp_path):
    write_pair(tmp_path, ".nii.gz")
    (tmp_path / "pairs.csv").write_text(
        "source,reference,sex,patient\nmr.nii.gz,ct.nii.gz,X,1\nmr.nii.gz,ct.nii.gz,F,2\n"
    )
    cohort = import_cohort(tmp_path / "pairs.csv", tmp_path / "out")
    (problem,) = [case.import_problem for case in cohort.cases if case.import_problem]
    assert "sex" in problem


# --- one grid ----------------------------------------------------------------------------


def test_a_reference_elsewhere_is_resampled_and_the_mask_ends_with_it(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    smaller = Grid(
        shape=(18, 14, 8), spacing_mm=GRID.spacing_mm, origin_mm=tuple(GRID.to_world((1, 1, 1)))
    )
    write(tmp_path / "data" / "1PA001" / "ct.nii.gz", HU[1:-1, 1:-1, 1:-1], "HU", smaller)
    write(tmp_path / "data" / "1PA001" / "mask.nii.gz", np.ones(HU.shape), "label")
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (case,) = cohort.cases
    loaded = load_case(cohort, case, tmp_path / "out")
    assert loaded.mask.sum() == 18 * 14 * 8
    assert loaded.mask[1:-1, 1:-1, 1:-1].all()
    assert loaded.reference.array[1:-1, 1:-1, 1:-1] == pytest.approx(HU[1:-1, 1:-1, 1:-1])
    assert (loaded.reference.array[0] == -1000).all()
    assert any("resampled linear" in step for step in case.history)
    assert any("covers 63.0 %" in step for step in case.history)
    assert (tmp_path / "out" / case.source).is_symlink()
    assert not (tmp_path / "out" / case.reference).is_symlink()


def test_no_overlap_leaves_an_empty_mask_for_preflight(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    away = Grid(shape=HU.shape, spacing_mm=GRID.spacing_mm, origin_mm=(900.0, 0.0, 0.0))
    write(tmp_path / "data" / "1PA001" / "ct.nii.gz", HU, "HU", away)
    cohort = import_cohort(tmp_path / "data", tmp_path / "out")
    (case,) = cohort.cases
    assert case.import_problem is None
    assert not load_case(cohort, case, tmp_path / "out").mask.any()


def test_importing_again_overwrites_links_and_never_the_originals(tmp_path):
    write_pair(tmp_path / "data" / "1PA001", ".nii.gz")
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.nii.gz")}
    first = import_cohort(tmp_path / "data", tmp_path / "out")
    with pytest.raises(InputError, match=r"holds a cohort already \(synthrad2023, 1 case\)"):
        import_cohort(tmp_path / "data", tmp_path / "out")
    assert import_cohort(tmp_path / "data", tmp_path / "out", replace=True) == first
    assert {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.nii.gz")} == before


def test_several_workers_make_the_same_cohort(tmp_path):
    for number in range(3):
        write_pair(tmp_path / "data" / f"1PA00{number}", ".nii.gz")
    calls: list[tuple[int, int, str]] = []
    one = import_cohort(tmp_path / "data", tmp_path / "out")
    two = import_cohort(
        tmp_path / "data", tmp_path / "two", workers=2, progress=lambda *call: calls.append(call)
    )
    assert one.digest == two.digest
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]


# --- what is no cohort -------------------------------------------------------------------


def test_what_is_no_cohort_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("hello")
    write_sts(tmp_path / "both" / "nifti" / "STS_001")
    write_patient(tmp_path / "both" / "dicom")
    for folder, sentence in (
        ("absent", "no folder or table at"),
        ("empty", "holds no files"),
        ("notes", "holds no known layout"),
        ("both", r"several layouts \(sts, dicom\)"),
    ):
        with pytest.raises(InputError, match=sentence):
            import_cohort(tmp_path / folder, tmp_path / "out")
    with pytest.raises(InputError, match="Unknown layout 'bids'"):
        import_cohort(tmp_path / "both", tmp_path / "out", layout="bids")
    with pytest.raises(InputError, match="Unknown modality 'US'"):
        import_cohort(tmp_path / "both", tmp_path / "out", source_modality="US")
    assert detect_layout(tmp_path / "both" / "nifti") == "sts"


# --- real patients -----------------------------------------------------------------------


def test_the_manifest_is_plain_yaml(tmp_path):
    write_patient(tmp_path / "data")
    import_cohort(tmp_path / "data", tmp_path / "out")
    data = yaml.safe_load((tmp_path / "out" / "manifest.yaml").read_text())
    assert re.fullmatch(r"p[0-9a-f]{12}-1", data["cases"][0]["case"])
