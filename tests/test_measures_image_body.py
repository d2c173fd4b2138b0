"""Scales, frequencies, slices, correlation and information: known answers and references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.depth import depth_in
from qa_suite.imaging.distance import distance_to
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.image.error_field import error_maps
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.settings import ImageSettings

SPACING = (1.0, 1.0, 2.0)


@pytest.fixture
def rng():
    return np.random.default_rng(20263)


@pytest.fixture(scope="module")
def patient():
    return make_patient("A", 1, seed=1, spacing_mm=(6, 6, 8))


@pytest.fixture(scope="module")
def twin(patient):
    return oracle_translate(patient.ct_noise_free, seed=5)


def pair_of(reference, synthetic, mask=None, *, spacing=SPACING, direction=None):
    reference = np.asarray(reference, dtype=np.float32)
    more = {} if direction is None else {"direction": direction}
    grid = Grid(shape=reference.shape, spacing_mm=spacing, **more)
    volumes = [
        Volume(array=np.asarray(a, dtype=np.float32), grid=grid, quantity="HU")
        for a in (reference, synthetic)
    ]
    if mask is None:
        mask = np.ones(reference.shape, dtype=bool)
    return Pair(reference=volumes[0], synthetic=volumes[1], mask=mask)


def of_patient(patient, synthetic) -> Pair:
    return Pair(
        reference=patient.ct, synthetic=synthetic, mask=patient.body, structures=patient.structures
    )


def measured(pair, **changes) -> dict[tuple[str, str], Value]:
    values = image(pair, ImageSettings(**changes))
    return {(v.metric, v.region): v for v in values if v.variant == "default"}


def white(rng, shape=(48, 48, 48)):
    """White noise that stays inside the spectra's window."""
    return rng.normal(0, 30, shape)


# --- planted faults, by their size


def test_blur_is_negative_and_noise_is_positive(patient, twin):
    clean = measured(of_patient(patient, twin))["high_frequency_ratio", "body"].value
    blurred = twin.with_array(ndimage.gaussian_filter(twin.array, 0.8))
    noise = np.random.default_rng(1).normal(0, 40, twin.array.shape).astype(np.float32)
    noisy = twin.with_array(twin.array + noise)
    found = {
        name: measured(of_patient(patient, volume))
        for name, volume in {"blurred": blurred, "noisy": noisy}.items()
    }
    assert abs(clean) < 0.3
    assert found["blurred"]["high_frequency_ratio", "body"].value < -3
    assert found["noisy"]["high_frequency_ratio", "body"].value > 1
    for values in found.values():
        assert values["spectral_error", "body"].value > 1


@pytest.mark.parametrize("jump", [-30.0, 45.0])
def test_one_slice_that_jumps(patient, jump):
    array = patient.ct.array + 7.0
    array[..., 11] += jump
    found = measured(of_patient(patient, patient.ct.with_array(array)))
    assert found["slice_error", "body"].value == pytest.approx(abs(jump), abs=1e-3)
    assert found["slice_error", "body"].coverage == 1


def test_axial_slices_are_found_on_a_turned_grid(rng):
    """A coronal scan: the patient's long axis is the grid's second."""
    reference = white(rng, (16, 12, 20))
    synthetic = reference.copy()
    synthetic[:, 5] += 25
    direction = (1, 0, 0, 0, 0, 1, 0, -1, 0)
    found = measured(pair_of(reference, synthetic, direction=direction))
    assert found["slice_error", "body"].value == pytest.approx(25, abs=1e-3)


def test_slices_with_few_voxels_are_left_out(rng):
    reference = white(rng, (16, 16, 10))
    synthetic = reference.copy()
    synthetic[..., 0] += 500
    mask = np.ones(reference.shape, dtype=bool)
    mask[..., 0] = False
    mask[:5, :5, 0] = True
    found = measured(pair_of(reference, synthetic, mask))["slice_error", "body"]
    assert found.value == pytest.approx(0, abs=1e-6)
    assert found.coverage == pytest.approx(9 * 256 / (9 * 256 + 25))


@pytest.mark.parametrize("slope", [0.95, 1.03])
def test_a_fault_of_the_hu_scale(patient, slope):
    found = measured(of_patient(patient, patient.ct.with_array(slope * patient.ct.array - 12)))
    for region in ("body", "fat", "bone", "shell:>20mm"):
        assert found["slope_error", region].value == pytest.approx(100 * (slope - 1), abs=1e-3)
        assert found["ncc", region].value == pytest.approx(1, abs=1e-6)


# --- known answers


def test_spectra_of_a_scaled_image(rng):
    reference = white(rng)
    found = measured(pair_of(reference, 1.25 * reference + 20))
    decibels = 20 * np.log10(1.25)
    assert found["high_frequency_ratio", "body"].value == pytest.approx(decibels, abs=1e-3)
    assert found["spectral_error", "body"].value == pytest.approx(decibels, abs=1e-3)
    assert found["gradient_error", "body"].value > 0


def test_spectra_of_a_known_blur(rng):
    """White noise through a Gaussian: |H|² = exp(-4 π² σ² f²), averaged over f >= Nyquist/2."""
    sigma_mm, spacing = 0.7, (1.0, 1.0, 1.5)
    reference = white(rng, (64, 60, 48))
    sigmas = [sigma_mm / h for h in spacing]
    blurred = np.fft.ifftn(ndimage.fourier_gaussian(np.fft.fftn(reference), sigmas)).real
    found = measured(pair_of(reference, blurred, spacing=spacing))
    cycles = np.meshgrid(*[(np.arange(80) + 0.5) / 160] * 3, indexing="ij")  # per voxel
    high = sum((2 * c) ** 2 for c in cycles) >= 0.25
    squares = sum((c / h) ** 2 for c, h in zip(cycles, spacing, strict=True))
    power = np.exp(-4 * np.pi**2 * sigma_mm**2 * squares)
    expected = 10 * np.log10(power[high].mean())
    assert found["high_frequency_ratio", "body"].value == pytest.approx(expected, abs=0.15)


def test_independent_noise_adds_its_power(rng):
    reference = white(rng)
    synthetic = reference + white(rng)
    found = measured(pair_of(reference, synthetic))
    decibels = 10 * np.log10(2)
    assert found["high_frequency_ratio", "body"].value == pytest.approx(decibels, abs=0.1)


def test_what_happens_in_the_skin_leaves_the_spectra_alone(patient, twin):
    depth = depth_in(patient.body, patient.ct.grid.spacing_mm, cap_mm=30)
    array = twin.array.copy()
    skin = patient.body & (depth <= 10)
    array[skin] = np.random.default_rng(3).normal(0, 300, skin.sum())
    before = measured(of_patient(patient, twin))
    after = measured(of_patient(patient, twin.with_array(array)))
    for metric in ("spectral_error", "high_frequency_ratio"):
        assert after[metric, "body"].value == before[metric, "body"].value
    assert after["mae", "shell:0-5mm"].value > 10 * before["mae", "shell:0-5mm"].value


def test_the_gradient_of_a_ramp():
    i, j, k = np.indices((12, 10, 9), dtype=float)
    reference = 3 * i + 4 * j  # 5 HU/mm at 1 mm
    synthetic = 2 * reference + 0 * k
    found = measured(pair_of(reference, synthetic))
    assert found["gradient_error", "body"].value == pytest.approx(5, abs=1e-5)
    assert found["gradient_error", "body"].coverage == pytest.approx(10 * 8 * 7 / (12 * 10 * 9))
    through = measured(pair_of(6 * k, 0 * k, spacing=(1, 1, 3)))
    assert through["gradient_error", "body"].value == pytest.approx(2, abs=1e-6)


def test_gradient_error_is_that_of_numpy_inside_a_mask(rng):
    reference, synthetic = white(rng, (20, 18, 16)), white(rng, (20, 18, 16))
    mask = ndimage.gaussian_filter(rng.normal(size=reference.shape), 2) > -0.02
    mask[0], mask[-1] = True, True
    inner = ndimage.binary_erosion(mask)
    sizes = [
        np.sqrt(sum(g**2 for g in np.gradient(np.float32(a).astype(float), *SPACING)))
        for a in (reference, synthetic)
    ]
    found = measured(pair_of(reference, synthetic, mask))["gradient_error", "body"]
    assert found.value == pytest.approx(np.abs(sizes[1] - sizes[0])[inner].mean(), rel=1e-6)
    assert found.coverage == pytest.approx(inner.sum() / mask.sum())


def test_percentile_is_numpys_nearest_rank(rng):
    reference, synthetic = white(rng, (13, 11, 9)), white(rng, (13, 11, 9))
    errors = np.abs(np.float32(synthetic) - np.float32(reference))
    found = measured(pair_of(reference, synthetic))["percentile_99_error", "body"].value
    assert found == np.percentile(errors, 99, method="inverted_cdf")


def test_correlation_is_scipys(rng):
    reference = white(rng) + 1e4  # far from zero: naive sums of squares would cancel
    synthetic = 0.3 * reference + white(rng)
    found = measured(pair_of(reference, synthetic))
    line = stats.linregress(np.float32(reference).ravel(), np.float32(synthetic).ravel())
    assert found["ncc", "body"].value == pytest.approx(line.rvalue, abs=1e-6)
    assert found["slope_error", "body"].value == pytest.approx(100 * (line.slope - 1), abs=1e-6)


@pytest.mark.parametrize("bins", [16, 128])
def test_mutual_information_is_that_of_scipys_entropies(patient, twin, bins):
    found = measured(of_patient(patient, twin), information_bins=bins)
    bone = patient.body & (patient.ct.array >= 250)
    for region, chosen in {"body": patient.body, "bone": bone}.items():
        values = [np.clip(v.array[chosen], -1024, 2999.99) for v in (patient.ct, twin)]
        joint, _, _ = np.histogram2d(*values, bins=bins, range=[(-1024, 3000)] * 2)
        parts = [stats.entropy(p, base=2) for p in (joint.sum(1), joint.sum(0), joint.ravel())]
        expected = parts[0] + parts[1] - parts[2]
        assert found["mutual_information", region].value == pytest.approx(expected, abs=1e-6)


def test_mutual_information_survives_any_relabelling(rng):
    reference = rng.integers(0, 4, (20, 20, 20)) * 500.0
    found = measured(pair_of(reference, 1800 - reference))
    assert found["mutual_information", "body"].value == pytest.approx(2, abs=0.01)  # log2 of 4
    assert found["ncc", "body"].value == pytest.approx(-1)


# --- outside the mask


def test_what_lies_outside_the_mask_changes_nothing(patient, twin):
    other = twin.with_array(np.where(patient.body, twin.array, 400).astype(np.float32))
    before, after = (image(of_patient(patient, v), ImageSettings()) for v in (twin, other))
    assert before == after


def test_nothing_outside_the_mask_need_be_a_number(patient, twin):
    other = twin.with_array(np.where(patient.body, twin.array, np.nan).astype(np.float32))
    before, after = (image(of_patient(patient, v), ImageSettings()) for v in (twin, other))
    assert before == after


def test_a_bias_is_no_blur(patient, twin):
    before = measured(of_patient(patient, twin))
    after = measured(of_patient(patient, twin.with_array(twin.array + 80)))
    for metric in ("high_frequency_ratio", "spectral_error"):
        assert after[metric, "body"].value == pytest.approx(before[metric, "body"].value, abs=1e-3)


# --- SynthRAD


def variants(pair, **changes):
    values = image(pair, ImageSettings(**changes))
    return {(v.variant, v.metric): v for v in values if v.variant != "default"}


def test_the_modes_give_their_challenges_measures(patient, twin):
    found = variants(of_patient(patient, twin))
    assert set(found) == {
        ("synthrad2023", "mae"),
        ("synthrad2023", "psnr"),
        ("synthrad2023", "ssim"),
        ("synthrad2025", "mae"),
        ("synthrad2025", "psnr"),
        ("synthrad2025", "ms_ssim"),
    }
    assert {v.region for v in found.values()} == {"body"}
    assert variants(of_patient(patient, twin), synthrad_modes=()) == {}


def test_psnr_of_the_modes_clips(rng):
    reference, synthetic = np.zeros((9, 9, 9)), np.full((9, 9, 9), 10.0)
    reference[0], synthetic[0] = 2990, 9000  # 81 voxels of metal
    errors = {"synthrad2023": 3000 - 2990, "synthrad2025": 3071 - 2990}
    found = variants(pair_of(reference, synthetic))
    for mode, q in (("synthrad2023", 4024), ("synthrad2025", 4095)):
        square = (648 * 100 + 81 * errors[mode] ** 2) / 729
        assert found[mode, "psnr"].value == pytest.approx(10 * np.log10(q**2 / square), abs=1e-6)
        assert found[mode, "mae"].value == pytest.approx((648 * 10 + 81 * 6010) / 729, rel=1e-6)


@pytest.mark.parametrize("changes", [{}, {"ssim_window": 5}, {"data_range": {"HU": (-1000, 2000)}}])
def test_ssim_of_2023_is_scikit_images_whatever_our_own_settings(patient, twin, changes):
    from skimage.metrics import structural_similarity

    mask = patient.body
    prepared = [
        np.where(mask, np.clip(v.array, -1024, 3000), -1024).astype(float) + 1024
        for v in (patient.ct, twin)
    ]
    _, full = structural_similarity(*prepared, data_range=4024, full=True)
    crop = (slice(3, -3),) * 3
    expected = full[crop][mask[crop]].mean()
    found = variants(of_patient(patient, twin), **changes)["synthrad2023", "ssim"]
    assert found.value == pytest.approx(expected, abs=1e-6)


# --- shells


def test_depth_is_the_distance_to_the_faces_of_the_voxels_outside(rng):
    mask = ndimage.gaussian_filter(rng.normal(size=(20, 18, 15)), 2) > -0.05
    spacing = (1.5, 1.0, 3.0)
    outside = np.argwhere(~mask)
    expected = np.zeros(mask.shape)
    for voxel in np.argwhere(mask):
        steps = np.maximum(np.abs(outside - voxel) - 0.5, 0) * spacing
        expected[tuple(voxel)] = min(7.0, np.sqrt((steps**2).sum(axis=1)).min())
    found = depth_in(mask, spacing, cap_mm=7)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    centres = distance_to(~mask, spacing)
    assert (found <= centres + 1e-5).all()
    assert (depth_in(np.ones((4, 4, 4), dtype=bool), spacing, cap_mm=9) == 9).all()


def test_shells_part_the_body_by_depth(patient):
    array = patient.ct.array + 3
    depth = depth_in(patient.body, patient.ct.grid.spacing_mm, cap_mm=50)
    array[patient.body & (depth <= 5)] += 4
    found = measured(of_patient(patient, patient.ct.with_array(array)))
    names = [region for metric, region in found if metric == "me" and region.startswith("shell")]
    assert names == ["shell:0-5mm", "shell:5-20mm", "shell:>20mm"]
    assert found["me", "shell:0-5mm"].value == pytest.approx(7, abs=1e-3)
    assert found["me", "shell:5-20mm"].value == pytest.approx(3, abs=1e-3)
    without = measured(of_patient(patient, patient.ct), shells_mm=(), structures=False, bands={})
    assert {region for _, region in without} == {"body"}


# --- maps of the error


def test_error_maps(patient, twin):
    maps = error_maps(of_patient(patient, twin))
    assert set(maps) == {"signed", "absolute"}
    expected = (twin.array.astype(float) - patient.ct.array)[patient.body]
    np.testing.assert_allclose(maps["signed"].array[patient.body], expected, atol=1e-3)
    np.testing.assert_array_equal(maps["absolute"].array, np.abs(maps["signed"].array))
    assert not maps["signed"].array[~patient.body].any()
    assert maps["signed"].grid is patient.ct.grid
    mae = measured(of_patient(patient, twin))["mae", "body"].value
    assert maps["absolute"].array[patient.body].mean(dtype=float) == pytest.approx(mae, rel=1e-6)


def test_no_error_map_of_what_is_no_number(patient, twin):
    from qa_suite.core.errors import InputError

    array = twin.array.copy()
    array[tuple(np.argwhere(patient.body)[5])] = np.nan
    with pytest.raises(InputError, match="1 voxels of the mask"):
        error_maps(of_patient(patient, twin.with_array(array)))


def test_the_command_writes_error_maps(tmp_path, capsys, patient, twin):
    from qa_suite.cli import run
    from qa_suite.io.images import read_image, write_image

    mask = Volume(array=patient.body.astype(np.int32), grid=patient.ct.grid, quantity="label")
    for name, volume in {"ct": patient.ct, "sct": twin, "mask": mask}.items():
        write_image(volume, tmp_path / f"{name}.nii.gz")
    files = [str(tmp_path / f"{name}.nii.gz") for name in ("ct", "sct")]
    options = ["--mask", str(tmp_path / "mask.nii.gz"), "--families", "image", "--json"]
    assert run(["measure", *files, *options, "--error-maps", str(tmp_path / "maps")]) == 0
    signed = read_image(tmp_path / "maps" / "signed_error.nii.gz", "HU")
    expected = np.where(patient.body, twin.array - patient.ct.array, 0)
    np.testing.assert_allclose(signed.array, expected, atol=1e-3)
    assert signed.grid.same_as(patient.ct.grid)
    assert {p.name for p in (tmp_path / "maps").iterdir()} == {
        "signed_error.nii.gz",
        "absolute_error.nii.gz",
        "mask.nii.gz",
    }
