"""Pairs that are hard to align: what lies far off is never ok, what lies alike is not refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.virtual_limb import limb_grid, make_limb, scan_limb
from qa_suite.imaging.body import signal_body
from qa_suite.imaging.registration.rigid import Level, rotation_matrix
from qa_suite.imaging.registration.shading import flattened
from qa_suite.preflight import PreflightSettings, preflight
from tests.ellipsoid_patient import loaded, scan

SETTINGS = PreflightSettings()
FAR = {
    "shift": {"shift_mm": (12, -9, 8)},
    "turn": {"rotation_deg": (7, 6, -5)},
    "both": {"shift_mm": (-6, 10, 4), "rotation_deg": (0, -10, 0)},
}
RNG_SEED = 17


def noisy_mr(mr, ct):
    rng = np.random.default_rng(RNG_SEED)
    return np.hypot(mr + rng.normal(0, 200, mr.shape), rng.normal(0, 200, mr.shape)), ct


def half_the_ct(mr, ct):
    ct[20:] = -1000
    return mr, ct


def half_the_mr(mr, ct):
    mr[:, 16:] = 0
    return mr, ct


def empty_rim(mr, ct):
    for image, filling in ((mr, 0), (ct, -1000)):
        kept = image[6:-6, 5:-5, 5:-5].copy()
        image[:] = filling
        image[6:-6, 5:-5, 5:-5] = kept
    return mr, ct


def small_field(mr, ct):
    return mr[8:32, 6:26, 6:22], ct[8:32, 6:26, 6:22]


def shaded_mr(mr, ct):
    return mr * np.linspace(0.6, 1.4, mr.shape[2]), ct


def reversed_mr(mr, ct):
    """What is dark in the one is bright in the other wherever there is tissue."""
    return np.where(mr > 60, 1000 - mr, mr), ct


VIEWS = (noisy_mr, half_the_ct, half_the_mr, empty_rim, small_field, shaded_mr, reversed_mr)


def seen(view, **motion):
    scans = scan(seed=3, **motion)
    mr, ct = view(scans.mr.array.astype(float), scans.ct.array.astype(float))
    grid = replace(scans.mr.grid, shape=mr.shape)
    source, reference = (
        replace(volume, array=array.astype(np.float32), grid=grid)
        for volume, array in ((scans.mr, mr), (scans.ct, ct))
    )
    return preflight(*loaded(source, reference, ct > -400), SETTINGS)


@pytest.mark.parametrize(
    ("view", "motion"),
    [
        (noisy_mr, "both"),
        (half_the_ct, "turn"),
        (half_the_mr, "shift"),
        (empty_rim, "turn"),
        (small_field, "both"),
        (shaded_mr, "shift"),
        (reversed_mr, "turn"),
    ],
)
def test_what_lies_far_off_is_refused_or_undetermined(view, motion):
    result = seen(view, **FAR[motion])
    assert result.status in ("refused", "undetermined")
    found = result.values["alignment_displacement_95"]
    assert found.status in ("refused", "undetermined") and found.why


def test_noise_is_no_body():
    scans = scan(seed=3)
    mr, _ = noisy_mr(scans.mr.array.astype(float), scans.ct.array)
    found = signal_body(mr, scans.mr.grid)
    assert 2 * (found & scans.body).sum() / (found.sum() + scans.body.sum()) > 0.9


@pytest.mark.parametrize("view", VIEWS)
def test_what_lies_alike_is_not_refused(view):
    assert not seen(view).refused


def coaxial(spin_deg: float, along_mm: float):
    """A tilted limb of coaxial cylinders, moved along and about its own axis: nothing changes."""
    rng = np.random.default_rng(5)
    muscle = np.array([[0.0, 0.0, 0.0, 1e3, 1e3, 1e9]])
    limb = replace(
        make_limb(rng),
        taper=0.0,
        roundness=1.0,
        fat=1e-6,
        fat_wave=(0.0, 0.0),
        cortex=0.0,
        flare=0.0,
        bow=(0.0, 0.0),
        bone_at=(0.0, 0.0),
        second_bone=False,
        muscles=muscle,
        vessels=np.zeros((0, 5)),
        tumour=np.array([0, 0, 1e4, 1, 1, 1.0]),
        tilt=np.radians([4.0, -3.0, 0.0]),
    )
    axis = rotation_matrix(limb.tilt) @ np.array([0.0, 0.0, 1.0])
    grid = limb_grid((2.3 * limb.radius, 2.3 * limb.radius, 140.0), (3.0, 3.0, 4.0))
    mr, ct, _ = scan_limb(limb, grid, "T2", rng, along_mm * axis, spin_deg * axis, np.zeros(3))
    return preflight(*loaded(mr, ct, ct.array > -400), SETTINGS)


@pytest.mark.parametrize(("spin_deg", "along_mm"), [(10, 0), (-14, 18)])
def test_a_limb_that_looks_alike_from_all_sides_is_undetermined(spin_deg, along_mm):
    result = coaxial(spin_deg, along_mm)
    assert result.status == "undetermined"
    assert "no structure" in result.sentence.lower()


def test_a_smooth_shading_within_the_tissues_is_taken_out():
    rng = np.random.default_rng(1)
    shape = (20, 20, 20)
    tissue = rng.integers(0, 3, shape)
    moving = np.array([5.0, 12.0, 20.0])[tissue]
    points = np.argwhere(np.ones(shape)) - 9.5
    x = points / 9.5
    shading = np.exp(0.25 * x[:, 2] - 0.15 * x[:, 0] * x[:, 1] + 0.1 * x[:, 1] ** 3)
    signal = np.array([18.0, 6.0, 11.0])[tissue].ravel()
    level = Level(
        points_mm=points,
        bins=signal * shading,
        moving=moving.astype(np.float32),
        to_index=np.eye(3),
        offset=np.full(3, 9.5),
        radius_mm=16.0,
        rotation_sd_deg=12.0,
    )
    flat = flattened(level, np.zeros(6)).bins
    for number in range(3):
        within = flat[tissue.ravel() == number]
        assert within.std() < 0.01 * within.mean()
    ratio = [flat[tissue.ravel() == n].mean() / flat[tissue.ravel() == 0].mean() for n in (1, 2)]
    np.testing.assert_allclose(ratio, [6 / 18, 11 / 18], rtol=0.01)
