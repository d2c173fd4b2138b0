"""Cohorts of virtual patients for every direction of translation, and their oracles."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.volume import Volume
from qa_suite.io.cases import load_case
from qa_suite.lab.oracles import oracle
from qa_suite.lab.phantom import DIRECTIONS, make_phantom_cohort, oracle_translate, oracle_twin

COARSE = (8.0, 8.0, 8.0)
SETTINGS = {"hospitals": ("B", "C"), "patients_per_hospital": 1, "spacing_mm": COARSE, "seed": 5}
QUANTITY = {"MR": "arbitrary", "CT": "HU", "CBCT": "HU", "PT": "SUVbw"}
EXPECTED = {
    "MR->CT": ("MR", "CT"),
    "CT->MR": ("CT", "MR"),
    "MR->PET": ("MR", "PT"),
    "CBCT->CT": ("CBCT", "CT"),
    "MR->MR": ("MR", "MR"),
}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("directions")
    made = {}
    for number, name in enumerate(DIRECTIONS):
        path = folder / str(number)
        made[name] = (make_phantom_cohort(path, direction=name, **SETTINGS), path)
    return made


def _case(cohorts, name, number=0):
    cohort, folder = cohorts[name]
    return load_case(cohort, cohort.cases[number], folder, truth=True)


def test_every_direction_of_the_project_is_there():
    assert set(DIRECTIONS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_cohort_says_what_its_images_are(cohorts, name):
    cohort, folder = cohorts[name]
    source, reference = EXPECTED[name]
    assert (cohort.source_modality, cohort.reference_modality) == (source, reference)
    assert cohort.source_quantity == QUANTITY[source]
    assert cohort.reference_quantity == QUANTITY[reference]
    assert load_cohort(folder) == cohort
    assert [case.patient for case in cohort.cases] == [
        case.patient for case in cohorts["MR->CT"][0].cases
    ], "the same people in every direction"
    for number in range(2):
        loaded = _case(cohorts, name, number)
        assert loaded.source.quantity == QUANTITY[source]
        assert loaded.reference.quantity == QUANTITY[reference]
        assert loaded.mask.any() and loaded.structures["Prostate"].any()
        assert "labels" in loaded.truth
        assert loaded.truth["noise_free_reference"].quantity == QUANTITY[reference]
        assert ("distortion_mm" in loaded.truth) == (name not in ("CBCT->CT", "MR->MR"))
        assert (loaded.coverage is not None) == (name == "CBCT->CT")
        assert len(set(loaded.case.voxel_hashes.values())) == 2


def test_names_tell_the_directions_apart(cohorts):
    assert len({cohort.name for cohort, _ in cohorts.values()}) == len(cohorts)


def test_scans_that_directions_share_are_the_same_bytes(cohorts):
    first, back = _case(cohorts, "MR->CT"), _case(cohorts, "CT->MR")
    assert np.array_equal(first.source.array, back.reference.array)
    assert np.array_equal(first.reference.array, back.source.array)
    pet, cone = _case(cohorts, "MR->PET"), _case(cohorts, "CBCT->CT")
    assert np.array_equal(first.source.array, pet.source.array)
    assert np.array_equal(first.reference.array, cone.reference.array)


def test_strata_name_the_scanners_of_the_direction(cohorts):
    def strata(name: str):
        return cohorts[name][0].cases[0].strata

    mr, ct = "Beta 3T", "Gamma CT 20"
    assert (strata("CT->MR").source_model, strata("CT->MR").reference_model) == (ct, mr)
    assert strata("MR->PET").reference_model == "Gamma PET/CT"
    assert strata("MR->PET").ct_kernel is None and strata("MR->PET").field_strength_t == 3.0
    assert strata("CBCT->CT").source_model == "Zeta linac"
    assert strata("CBCT->CT").field_strength_t is None
    assert any("FDG" in step for step in cohorts["MR->PET"][0].cases[0].history)


def test_both_sequences_go_from_t1_to_t2_at_every_hospital(cohorts):
    sequences = {case.site: case.strata.sequence for case in cohorts["MR->MR"][0].cases}
    assert sequences == {"hospital-B": "Dixon in-phase", "hospital-C": "T1w spoiled GRE"}
    kept = _case(cohorts, "MR->MR", 1).reference.array  # C's own scan is the T2-weighted one
    assert np.array_equal(kept, _case(cohorts, "MR->CT", 1).source.array)


def test_coverage_is_the_field_of_view_of_the_cone_beam_ct(cohorts):
    for number in range(2):
        loaded = _case(cohorts, "CBCT->CT", number)
        assert (loaded.source.array[~loaded.coverage] == -1000).all()
        assert 0.3 < loaded.coverage.mean() < 0.95
        assert loaded.source.array[loaded.coverage & loaded.mask].mean() > -300


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_mr_to_ct_is_the_default_and_keeps_its_files(cohorts, tmp_path):
    make_phantom_cohort(tmp_path, **SETTINGS)
    assert _digests(tmp_path) == _digests(cohorts["MR->CT"][1])
    case = cohorts["MR->CT"][0].cases[0]
    assert set(case.file_sha256) == {
        "source",
        "reference",
        "mask",
        "truth noise_free_reference",
        "truth distortion_mm",
        "truth labels",
        *(f"structure {name}" for name in case.structures),
    }
    assert "GTV_Bone" not in case.structures
    assert cohorts["MR->CT"][0].name == "virtual-pelvis-5"


def test_the_scans_of_a_seed_stay_as_they_are(cohorts):
    """Mean and spread of the MR and CT before PET and cone-beam CT were added."""
    pinned = {
        "source": (463.2930508831, 446.4194517631),
        "reference": (-466.1190943070, 501.1467166548),
    }
    loaded = _case(cohorts, "MR->CT")
    for role, (mean, spread) in pinned.items():
        array = getattr(loaded, role).array.astype(float)
        assert array.mean() == pytest.approx(mean, rel=1e-5)
        assert array.std() == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_oracles_know_every_modality(cohorts, name):
    loaded = _case(cohorts, name)
    truth, twin = (oracle(f"oracle:{kind}")[1](loaded).mean for kind in ("truth", "twin"))
    assert truth.quantity == twin.quantity == loaded.reference.quantity
    assert np.array_equal(truth.array, loaded.truth["noise_free_reference"].array)
    body = loaded.mask if loaded.coverage is None else loaded.mask & loaded.coverage
    exact, near, far = (
        np.abs(image - loaded.reference.array)[body].mean()
        for image in (truth.array, twin.array, np.median(loaded.reference.array[body]))
    )
    assert 0 < exact < near < 0.6 * far, "truth is the floor, the twin close above it"
    assert np.array_equal(oracle("oracle:twin")[1](loaded).mean.array, twin.array)
    assert np.isfinite(twin.array).all()
    assert "oracle" in twin.history[-1]
    bias = (twin.array - truth.array)[body].mean()
    assert abs(bias) < 0.05 * np.abs(truth.array[body]).mean() + 2 * (name.endswith("CT"))


def test_twins_of_pet_and_mr_have_fresh_noise_of_their_kind(cohorts):
    pet = _case(cohorts, "MR->PET").truth["noise_free_reference"]
    one, two = oracle_twin(pet, seed=1), oracle_twin(pet, seed=2)
    assert not np.array_equal(one.array, two.array)
    assert one.array.min() >= 0 and one.array[pet.array == 0].max(initial=0) == 0
    noise = (one.array - two.array) / np.sqrt(2)
    low, high = ((pet.array > a) & (pet.array < b) for a, b in ((0.3, 0.5), (1.2, 4.0)))
    assert noise[high].std() > 1.3 * noise[low].std(), "it grows with the counts"
    mr = _case(cohorts, "CT->MR").truth["noise_free_reference"]
    dark = mr.array < 0.001 * mr.array.max()
    assert oracle_twin(mr, seed=1).array[dark].mean() > 0, "Rician noise has a floor in air"


def test_oracle_twin_of_a_ct_is_the_oracle_translator(cohorts):
    ct = _case(cohorts, "MR->CT").truth["noise_free_reference"]
    assert np.array_equal(oracle_twin(ct, seed=4).array, oracle_translate(ct, seed=4).array)
    with pytest.raises(InputError, match="Gy"):
        oracle_twin(Volume(array=ct.array, grid=ct.grid, quantity="Gy"), seed=1)


def test_unknown_direction_is_refused_with_its_close_matches(tmp_path):
    with pytest.raises(UnknownName, match=r"'MR->PTE'.*MR->PET"):
        make_phantom_cohort(tmp_path, direction="MR->PTE", **SETTINGS)
    assert not list(tmp_path.iterdir()), "nothing may be written"


def test_the_manifest_name_of_pet_is_understood(cohorts, tmp_path):
    cohort = make_phantom_cohort(tmp_path, direction="MR->PT", **(SETTINGS | {"hospitals": ("B",)}))
    assert cohort.direction == "MR->PT"
    assert cohort.cases[0] == cohorts["MR->PET"][0].cases[0]


def test_command_takes_the_direction(tmp_path, capsys):
    arguments = [
        "phantom",
        str(tmp_path / "c"),
        "--patients",
        "1",
        "--hospitals",
        "A",
        "--spacing-mm",
        "12,12,12",
        "--split",
        "test=1",
    ]
    assert run([*arguments, "--direction", "CBCT->CT"]) == 0
    assert load_cohort(tmp_path / "c").direction == "CBCT->CT"
    capsys.readouterr()
    assert run([*arguments, "--direction", "CBCT"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error == ["qa-suite: Unknown direction 'CBCT'; did you mean CBCT->CT?"]
