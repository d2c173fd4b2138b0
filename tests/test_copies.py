"""Images that were copied and not made: however they are stored, they are known."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.cohort import Case
from qa_suite.core.errors import LeakageError
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.identity import FINGERPRINT_BITS, SAME_SCAN_BITS, voxel_hash
from qa_suite.lab.phantom import make_patient, oracle_twin
from qa_suite.metrics.base import Pair
from qa_suite.metrics.copies import Scans, copied_share, refuse_copies, refuse_others

OTHER = Grid(shape=(60, 50, 40), spacing_mm=(5.5, 5.5, 5.5))


@pytest.fixture(scope="module")
def patient():
    return make_patient("A", 1, seed=4, spacing_mm=(6, 6, 6))


def moved(array, *steps):
    """Move an array by whole voxels; what comes in is air."""
    result = np.full_like(array, -1000)
    spans = [
        (slice(max(s, 0), n + min(s, 0)), slice(max(-s, 0), n + min(-s, 0)))
        for s, n in zip(steps, array.shape, strict=True)
    ]
    result[tuple(to for to, _ in spans)] = array[tuple(of for _, of in spans)]
    return result


COPIES = {
    "as it is": lambda ct, body: ct,
    "int16, rounded": lambda ct, body: np.rint(ct).astype(np.int16),
    "int16, cut off": lambda ct, body: ct.astype(np.int16),
    "float64": lambda ct, body: ct.astype(np.float64),
    "without its background": lambda ct, body: np.where(body, ct, -1000),
    "its lower half": lambda ct, body: np.where(np.arange(ct.shape[2]) < ct.shape[2] / 2, ct, 0),
    "flipped": lambda ct, body: ct[::-1],
    "turned": lambda ct, body: ct[:, ::-1, ::-1],
    "moved": lambda ct, body: moved(ct, 1, 0, 0),
    "moved far": lambda ct, body: moved(ct, -3, 5, 2),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_reference_is_refused(patient, name):
    array = COPIES[name](patient.ct.array.astype(np.float32), patient.body)
    synthetic = patient.ct.with_array(np.ascontiguousarray(array))
    with pytest.raises(LeakageError, match="the voxels of the reference"):
        refuse_copies(Pair(reference=patient.ct, synthetic=synthetic, mask=patient.body))


def test_a_copy_in_another_order_of_axes_is_known(patient):
    ct = patient.ct.array.astype(np.float32)
    turned = np.ascontiguousarray(ct.transpose(1, 2, 0)[:, ::-1])
    grid = Grid(shape=turned.shape, spacing_mm=(6, 6, 6))
    image = Volume(array=turned, grid=grid, quantity="HU")
    assert copied_share(patient.ct, image, patient.body) > 0.9


def test_the_reference_on_the_grid_of_the_source_is_known(patient):
    here = resample(patient.ct, OTHER, interpolation="linear", outside=-1000)
    again = resample(patient.ct, OTHER, interpolation="linear", outside=-1000)
    mask = here.array > -300
    near = again.with_array(again.array + np.float32(1e-3))  # other code, other rounding
    assert copied_share(here, near, mask) > 0.5


def test_what_was_made_is_no_copy(patient):
    truth = patient.ct_noise_free
    rng = np.random.default_rng(1)
    bulk = np.select([truth.array < -400, truth.array > 200], [-1000, 700], 30).astype(np.float32)
    honest = {
        "twin": oracle_twin(truth, seed=2).array,
        "truth": truth.array,
        "bulk": bulk,
        "noise": patient.ct.array + rng.normal(0, 3, bulk.shape),  # the measures answer to this
    }
    for name, array in honest.items():
        synthetic = patient.ct.with_array(np.asarray(array, dtype=np.float32))
        assert copied_share(patient.ct, synthetic, patient.body) == 0, name


def test_smooth_images_without_noise_are_no_copies_of_each_other():
    """Two denoised images agree in many voxels, and in few runs that change."""
    grid = Grid(shape=(64, 64, 40), spacing_mm=(2, 2, 2))
    waves = 40 + 3 * np.sin(np.indices(grid.shape).sum(axis=0) / 7)
    one, two = (
        Volume(
            array=(waves + np.random.default_rng(s).normal(0, 1, grid.shape)).astype(np.float32),
            grid=grid,
            quantity="HU",
        )
        for s in (1, 2)
    )
    assert copied_share(one, two, np.ones(grid.shape, dtype=bool)) == 0


def test_piecewise_constant_images_say_nothing():
    """An image without any run that changes cannot be told from its equal: bulk densities."""
    grid = Grid(shape=(30, 30, 30), spacing_mm=(4, 4, 4))
    array = np.full(grid.shape, -1000.0, dtype=np.float32)
    array[5:25, 5:25] = 40
    volume = Volume(array=array, grid=grid, quantity="HU")
    assert copied_share(volume, volume, array > 0) == 0


def test_the_source_is_no_translation_unless_it_is_of_the_same_kind(patient):
    source = patient.mr
    as_ct = patient.ct.with_array(source.array.astype(np.float32))
    pair = Pair(reference=patient.ct, synthetic=as_ct, mask=patient.body, source=source)
    with pytest.raises(LeakageError, match="voxels of the source"):
        refuse_copies(pair)
    cone_beam = oracle_twin(patient.ct_noise_free, seed=8)
    refuse_copies(
        Pair(reference=patient.ct, synthetic=cone_beam, mask=patient.body, source=cone_beam)
    )


def test_other_quantities_are_known_alike(patient):
    uptake = patient.ct.with_array(np.abs(patient.ct.array) / 100)
    reference = Volume(array=uptake.array, grid=uptake.grid, quantity="SUVbw")
    assert copied_share(reference, reference, patient.body) > 0.9
    fresh = reference.with_array(
        np.abs(oracle_twin(patient.ct_noise_free, seed=3).array) / np.float32(100)
    )
    assert copied_share(reference, fresh, patient.body) == 0


def test_scans_of_other_patients_are_found_as_one_by_one(monkeypatch):
    """Against the distances taken singly, over fingerprints near and far, and patients with two."""
    rng = np.random.default_rng(4)
    base = rng.integers(0, 256, FINGERPRINT_BITS // 8, dtype=np.uint8)

    def near(bits: int) -> str:
        flips = np.zeros(FINGERPRINT_BITS, dtype=np.uint8)
        flips[rng.choice(FINGERPRINT_BITS, bits, replace=False)] = 1
        return (base ^ np.packbits(flips)).tobytes().hex()

    half = SAME_SCAN_BITS // 2
    distances = {"c1": half - 3, "c2": half - 9, "c3": half, "c4": half + 1, "c5": 300, "c6": 2}
    patients = {"c1": "p1", "c2": "p2", "c3": "p3", "c4": "p4", "c5": "p5", "c6": "p1"}
    cases = [
        Case(case=c, patient=patients[c], site="A", source="s", fingerprints={"source": near(n)})
        for c, n in distances.items()
    ]
    monkeypatch.setattr("qa_suite.metrics.copies.fingerprint", lambda image: base.tobytes().hex())
    for case in cases:
        own = min(distances[c] for c in distances if patients[c] == case.patient)
        expected = sorted(
            (n, (c, "source"))
            for c, n in distances.items()
            if patients[c] != case.patient and n <= half and n < own
        )
        found = Scans(cases).resembling(None, case.case)
        assert found == [key for _, key in expected], case.case
    assert Scans(cases).resembling(None, "c5")[0] == ("c6", "source")
    plain = [case.model_copy(update={"fingerprints": {}}) for case in cases]
    assert Scans(plain).resembling(None, "c5") == []


def test_the_very_scan_of_another_case_is_refused_and_ones_own_is_for_others_to_judge(patient):
    image = patient.ct
    mine, other = (
        Case(case=name, patient=name, site="A", source="s", voxel_hashes=hashes)
        for name, hashes in (("c1", {"reference": "0" * 64}), ("c2", {"source": voxel_hash(image)}))
    )
    with pytest.raises(LeakageError, match="has the voxels of the source of c2"):
        refuse_others(image, "c1", Scans([mine, other]))
    refuse_others(image, "c2", Scans([mine, other]))
    refuse_others(image, "c1", Scans([mine]))
