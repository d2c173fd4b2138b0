"""Who a scan belongs to: keyed hashes, voxel hashes and fingerprints."""

from __future__ import annotations

import itertools
import stat
from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.identity import (
    FINGERPRINT_BITS,
    SAME_SCAN_BITS,
    default_key_file,
    fingerprint,
    fingerprint_distance,
    load_key,
    patient_hash,
    voxel_hash,
)
from qa_suite.io.images import read_image

KEY = b"0123456789abcdef0123456789abcdef"


def blobs(seed: int, quantity: str = "HU") -> Volume:
    """A body with organs at random places."""
    rng = np.random.default_rng(seed)
    shape = (40, 32, 24)
    grid = Grid(shape=shape, spacing_mm=(2.0, 2.0, 3.0), origin_mm=(-5.0, 7.0, 11.0))
    i, j, k = np.indices(shape)
    radius = ((i - 19.5) / rng.uniform(15, 19)) ** 2 + ((j - 15.5) / rng.uniform(11, 15)) ** 2
    array = np.where(radius < 1, rng.normal(30, 15, shape), -1000.0)
    for _ in range(12):
        centre = rng.uniform((8, 8, 2), (32, 24, 22))
        size = rng.uniform(3, 7)
        away = (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (1.5 * (k - centre[2])) ** 2
        array = np.where((away < size**2) & (radius < 1), rng.uniform(-150, 900), array)
    if quantity == "arbitrary":
        array = (array + 1000) * 0.731
    return Volume(array=np.rint(array).astype(np.float32), grid=grid, quantity=quantity)


def test_the_pseudonym_is_reproducible_and_hangs_on_the_key():
    assert patient_hash("MRN-1", KEY) == patient_hash(" mrn-1 ", KEY)
    assert patient_hash("MRN-1", KEY) != patient_hash("MRN-1", KEY[::-1])
    assert patient_hash("MRN-1", KEY) != patient_hash("MRN-2", KEY)
    assert len(patient_hash("MRN-1", KEY)) == 13
    assert patient_hash("MRN-1", KEY).startswith("p")


def test_the_key_is_made_once_private_and_found_again(tmp_path, monkeypatch):
    path = tmp_path / "settings" / "patient.key"
    monkeypatch.setenv("QA_SUITE_KEY_FILE", str(path))
    assert default_key_file() == path
    key = load_key()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key() == key == load_key(path)
    assert len(key) >= 32


def test_the_key_lies_in_the_users_settings_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("QA_SUITE_KEY_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_key_file() == tmp_path / ".config" / "qa-suite" / "patient.key"


def test_a_key_that_cannot_be_made_or_is_short_is_refused(tmp_path):
    (tmp_path / "short").write_text("secret")
    with pytest.raises(InputError, match="6 bytes and needs at least 16"):
        load_key(tmp_path / "short")
    with pytest.raises(InputError, match="No key can be made"):
        load_key(tmp_path / "short" / "patient.key")
    with pytest.raises(InputError, match="cannot be read"):
        load_key(tmp_path)


@pytest.mark.parametrize("quantity", ["HU", "arbitrary"])
def test_storage_order_header_and_type_do_not_change_the_voxel_hash(quantity):
    volume = blobs(1, quantity)
    grid = volume.grid
    axes = grid.axes
    flipped = Volume(
        array=volume.array[::-1].astype(np.float64),
        grid=replace(
            grid,
            direction=tuple((axes * [-1, 1, 1]).ravel()),
            origin_mm=tuple(grid.to_world((grid.shape[0] - 1, 0, 0))),
        ),
        quantity=quantity,
    )
    turned = Volume(
        array=volume.array.transpose(2, 0, 1),
        grid=Grid(
            shape=(24, 40, 32),
            spacing_mm=(3.0, 2.0, 2.0),
            direction=tuple(axes[:, [2, 0, 1]].ravel()),
        ),
        quantity=quantity,
    )
    for other in (flipped, turned):
        assert voxel_hash(other) == voxel_hash(volume)
        assert fingerprint(other) == fingerprint(volume)


def test_one_changed_voxel_changes_the_voxel_hash():
    volume = blobs(1)
    array = volume.array.copy()
    array[3, 4, 5] += 1
    assert voxel_hash(volume.with_array(array)) != voxel_hash(volume)
    assert voxel_hash(volume.with_array(volume.array + 0.2)) == voxel_hash(volume)


def test_mr_signal_hashes_alike_on_another_scale():
    volume = blobs(2, "arbitrary")
    other = volume.with_array((volume.array * 0.0371 + 12).astype(np.float32))
    assert voxel_hash(other) == voxel_hash(volume)


def test_nan_and_inf_can_be_hashed():
    volume = blobs(1)
    array = volume.array.copy()
    array[:3] = np.nan
    array[5, 5, 5] = np.inf
    broken = volume.with_array(array)
    assert voxel_hash(broken) != voxel_hash(volume)
    assert len(fingerprint(broken)) == FINGERPRINT_BITS // 4
    empty = volume.with_array(np.full_like(array, np.nan))
    assert len(fingerprint(empty)) == FINGERPRINT_BITS // 4
    assert len(voxel_hash(replace(empty, quantity="arbitrary"))) == 64


@pytest.mark.parametrize("quantity", ["HU", "arbitrary"])
def test_copies_are_one_scan_and_patients_are_not(quantity):
    patients = [blobs(seed, quantity) for seed in range(6)]
    prints = [fingerprint(volume) for volume in patients]
    rng = np.random.default_rng(0)
    for volume, known in zip(patients, prints, strict=True):
        grid = volume.grid
        finer = replace(grid, shape=(53, 42, 47), spacing_mm=(1.5, 1.5, 1.5))
        outside = float(volume.array.min())
        copies = [
            volume.with_array(volume.array + rng.normal(0, 2, grid.shape)),
            resample(volume, finer, interpolation="linear", outside=outside),
        ]
        if quantity == "HU":
            copies.append(volume.with_array(np.where(volume.array < -400, -1024, volume.array)))
        for copy in copies:
            assert fingerprint_distance(fingerprint(copy), known) <= SAME_SCAN_BITS
    for a, b in itertools.combinations(prints, 2):
        assert fingerprint_distance(a, b) > SAME_SCAN_BITS


def test_a_distance_needs_two_fingerprints():
    known = fingerprint(blobs(0))
    assert fingerprint_distance(known, known) == 0
    with pytest.raises(InputError, match="no hexadecimal digit"):
        fingerprint_distance(known, "xyz")
    with pytest.raises(InputError, match="got 8"):
        fingerprint_distance(known, "ff")


@pytest.mark.parametrize(("stem", "quantity"), [("CT_image", "HU"), ("MR_T1_image", "arbitrary")])
def test_all_pairs_of_real_patients_are_told_apart(shared_data, stem, quantity):
    folders = sorted((shared_data / "sts" / "nifti").iterdir())
    volumes = [read_image(folder / f"{stem}.nii.gz", quantity) for folder in folders]
    prints = [fingerprint(volume) for volume in volumes]
    distances = [fingerprint_distance(a, b) for a, b in itertools.combinations(prints, 2)]
    assert len(distances) == 24 * 23 / 2
    assert min(distances) > 3 * SAME_SCAN_BITS
    assert len({voxel_hash(volume) for volume in volumes}) == 24


def test_virtual_patients_are_told_apart():
    """Patients of one hospital are alike, and still no copies of each other."""
    from qa_suite.lab.phantom import make_patient

    prints: dict[str, list[str]] = {"mr": [], "ct": []}
    for number in range(1, 5):
        patient = make_patient("A", number, seed=3, spacing_mm=(4.0, 4.0, 4.0))
        prints["mr"].append(fingerprint(patient.mr))
        prints["ct"].append(fingerprint(patient.ct))
    for known in prints.values():
        for a, b in itertools.combinations(known, 2):
            assert fingerprint_distance(a, b) > SAME_SCAN_BITS
