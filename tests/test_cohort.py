"""The manifest: what it refuses, how patients are dealt, when sets overlap."""

from collections import Counter

import pytest
import yaml

from qa_suite.core.cohort import Case, Cohort, assign_splits, load_cohort, save_cohort
from qa_suite.core.errors import InputError, LeakageError, Problems


def make_case(number: int, **more) -> Case:
    known = {
        "case": f"c{number}",
        "patient": f"p{number}",
        "site": "one",
        "source": f"v/{number}.nii",
        "voxel_hashes": {"source": f"hash{number}"},
    }
    return Case(**{**known, **more})


def make_cohort(cases) -> Cohort:
    return Cohort(name="test", source_modality="MR", cases=tuple(cases))


HALVES = {"train": 0.5, "test": 0.5}


def test_a_manifest_comes_back_as_it_was(tmp_path):
    cohort = make_cohort([make_case(1, split="train"), make_case(2, split="test")])
    save_cohort(cohort, tmp_path)
    assert load_cohort(tmp_path, check_files=False) == cohort
    assert cohort.digest == load_cohort(tmp_path, check_files=False).digest


def test_every_problem_of_a_manifest_is_reported_at_once(tmp_path):
    data = make_cohort([make_case(1), make_case(2)]).model_dump(mode="json")
    data["colour"] = "blue"
    data["cases"][0]["split"] = "holdout"
    del data["cases"][1]["site"]
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(Problems) as caught:
        load_cohort(tmp_path)
    assert len(caught.value.problems) == 3
    assert "colour: unknown key" in str(caught.value)
    assert "cases.0.split" in str(caught.value)
    assert "cases.1.site" in str(caught.value)


def test_missing_files_are_all_named(tmp_path):
    save_cohort(make_cohort([make_case(1), make_case(2)]), tmp_path)
    with pytest.raises(Problems, match=r"2 problems.*v/1.nii.*v/2.nii"):
        load_cohort(tmp_path)


def test_a_case_listed_twice_is_refused(tmp_path):
    save_cohort(make_cohort([make_case(1), make_case(1)]), tmp_path)
    with pytest.raises(Problems, match="listed 2 times"):
        load_cohort(tmp_path, check_files=False)


@pytest.mark.parametrize("text", ["- just\n- a list", "cases: [", ""])
def test_what_is_no_manifest_is_one_sentence(tmp_path, text):
    (tmp_path / "manifest.yaml").write_text(text)
    with pytest.raises(InputError, match="manifest"):
        load_cohort(tmp_path)


def test_one_patient_in_two_sets_is_refused(tmp_path):
    cases = [make_case(1, split="train"), make_case(2, split="test", patient="p1")]
    save_cohort(make_cohort(cases), tmp_path)
    with pytest.raises(LeakageError, match="same patient"):
        load_cohort(tmp_path, check_files=False)


def test_one_scan_under_two_names_is_refused(tmp_path):
    cases = [
        make_case(1, split="train"),
        make_case(2, split="test", voxel_hashes={"source": "hash1"}),
    ]
    save_cohort(make_cohort(cases), tmp_path)
    with pytest.raises(LeakageError, match="same source voxels"):
        load_cohort(tmp_path, check_files=False)


def test_patients_are_dealt_by_site_and_alike_every_time():
    cases = [make_case(n, site="one" if n < 20 else "two") for n in range(30)]
    dealt = assign_splits(make_cohort(cases), fractions=HALVES, seed=3)
    assert dealt == assign_splits(make_cohort(cases), fractions=HALVES, seed=3)
    assert dealt != assign_splits(make_cohort(cases), fractions=HALVES, seed=4)
    counts = Counter((case.site, case.split) for case in dealt.cases)
    assert counts == {
        ("one", "train"): 10,
        ("one", "test"): 10,
        ("two", "train"): 5,
        ("two", "test"): 5,
    }


def test_all_examinations_of_a_patient_stay_together():
    cases = [
        make_case(n, patient=f"p{n % 5}", examination=1 + n // 5, site=f"s{n % 3}")
        for n in range(15)
    ]
    dealt = assign_splits(make_cohort(cases), fractions=HALVES, seed=1)
    sets = {case.patient: set() for case in dealt.cases}
    for case in dealt.cases:
        sets[case.patient].add(case.split)
    assert all(len(found) == 1 for found in sets.values())


def test_sites_that_are_not_trained_on_are_test_only():
    cases = [make_case(n, site="home" if n < 10 else "abroad") for n in range(20)]
    dealt = assign_splits(make_cohort(cases), fractions=HALVES, seed=1, train_sites=["home"])
    assert {case.split for case in dealt.cases if case.site == "abroad"} == {"test"}
    with pytest.raises(InputError, match="nowhere"):
        assign_splits(make_cohort(cases), fractions=HALVES, seed=1, train_sites=["nowhere"])


def test_a_case_that_could_not_be_read_is_in_no_set():
    cases = [make_case(1), make_case(2, import_problem="its CT series is truncated")]
    dealt = assign_splits(make_cohort(cases), fractions={"test": 1.0}, seed=1)
    assert [case.split for case in dealt.cases] == ["test", None]


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_fractions_must_add_up(fractions):
    with pytest.raises(InputError, match="add up"):
        assign_splits(make_cohort([make_case(1)]), fractions=fractions, seed=1)


def test_a_file_that_was_changed_after_the_import_is_noticed(tmp_path):
    from qa_suite.core.cohort import with_file_hashes
    from qa_suite.io.cases import load_case
    from qa_suite.io.images import read_image, write_image
    from tests.tiny_cohort import make_tiny_cohort

    cohort = with_file_hashes(make_tiny_cohort(tmp_path, "ts"), tmp_path)
    load_case(cohort, cohort.cases[0], tmp_path)
    path = tmp_path / cohort.cases[0].reference
    reference = read_image(path, "HU")
    write_image(reference.with_array(reference.array + 1), path)
    with pytest.raises(Problems, match=r"reference file .* was changed after the cohort was made"):
        load_case(cohort, cohort.cases[0], tmp_path)
