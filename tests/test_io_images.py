"""Single-file images: what comes back, and that a damaged file is never a silent number."""

import numpy as np
import pytest

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image, write_image

OBLIQUE = tuple(
    np.array([[0.936, -0.352, 0.0], [0.344, 0.915, -0.211], [0.074, 0.197, 0.977]]).ravel()
)
FORMATS = (".nii.gz", ".nii", ".mha", ".nrrd")


def volume() -> Volume:
    rng = np.random.default_rng(1)
    matrix, _ = np.linalg.qr(np.array(OBLIQUE).reshape(3, 3))
    grid = Grid(
        shape=(11, 9, 7),
        spacing_mm=(0.977, 1.2, 3.27),
        origin_mm=(-110.25, 15.5, -840.125),
        direction=tuple(matrix.ravel()),
    )
    return Volume(array=rng.normal(0, 300, grid.shape).astype(np.float32), grid=grid, quantity="HU")


@pytest.mark.parametrize("ending", FORMATS)
def test_an_oblique_volume_comes_back(tmp_path, ending):
    written = volume()
    write_image(written, tmp_path / f"a{ending}")
    read = read_image(tmp_path / f"a{ending}", "HU")
    assert np.array_equal(read.array, written.array)
    assert read.grid.distance_mm(written.grid) < 1e-3


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_volume_gives_the_same_bytes(tmp_path, ending):
    write_image(volume(), tmp_path / f"a{ending}")
    write_image(volume(), tmp_path / f"b{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, ending, share):
    path = tmp_path / f"a{ending}"
    write_image(volume(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.(nii|mha|nrrd)"):
        read_image(path, "HU")


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_a_damaged_compressed_file_is_refused(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_image(volume(), path)
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(path, "HU")


@pytest.mark.parametrize("ending", FORMATS)
def test_nan_and_inf_are_kept_for_preflight_to_judge(tmp_path, ending):
    spoiled = volume().array.copy()
    spoiled[3, 4, 5], spoiled[1, 1, 1] = np.nan, np.inf
    write_image(volume().with_array(spoiled), tmp_path / f"a{ending}")
    read = read_image(tmp_path / f"a{ending}", "HU").array
    assert np.isnan(read[3, 4, 5])
    assert np.isinf(read[1, 1, 1])


def nifti(path, *, sform=1, qform=1, shift=0.0, unit="mm"):
    import nibabel as nib

    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    image = nib.Nifti1Image(np.zeros((4, 5, 6), dtype=np.int16), None)
    image.header.set_sform(affine, code=sform)
    moved = affine.copy()
    moved[0, 3] += shift
    image.header.set_qform(moved, code=qform)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sform": 0, "qform": 0}, "does not say how it lies"),
        ({"shift": 4.0}, "4.0 mm apart"),
        ({"unit": "meter"}, "lengths in meter"),
    ],
)
def test_a_nifti_without_one_geometry_is_refused(tmp_path, more, words):
    nifti(tmp_path / "a.nii", **more)
    with pytest.raises(QAError, match=words):
        read_image(tmp_path / "a.nii", "HU")


@pytest.mark.parametrize("codes", [{"sform": 0}, {"qform": 0}, {}])
def test_a_nifti_geometry_is_the_one_that_simpleitk_reads(tmp_path, codes):
    import SimpleITK as sitk

    nifti(tmp_path / "a.nii", **codes)
    image = sitk.ReadImage(str(tmp_path / "a.nii"))
    grid = read_image(tmp_path / "a.nii", "HU").grid
    assert np.allclose(grid.spacing_mm, image.GetSpacing())
    assert np.allclose(grid.origin_mm, image.GetOrigin())
    assert np.allclose(grid.direction, image.GetDirection())


def test_labels_stay_integers_and_fractions_are_refused(tmp_path):
    grid = Grid(shape=(4, 4, 4), spacing_mm=(1, 1, 1))
    labels = Volume(array=np.arange(64).reshape(4, 4, 4), grid=grid, quantity="label")
    write_image(labels, tmp_path / "l.nii.gz")
    assert np.array_equal(read_image(tmp_path / "l.nii.gz", "label").array, labels.array)
    write_image(
        Volume(array=np.full((4, 4, 4), 0.5), grid=grid, quantity="HU"), tmp_path / "f.nii.gz"
    )
    with pytest.raises(InputError, match="no integers"):
        read_image(tmp_path / "f.nii.gz", "label")


def test_what_is_no_image_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no image at"):
        read_image(tmp_path / "none.nii.gz", "HU")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(InputError, match="known endings"):
        read_image(tmp_path / "text.txt", "HU")
    (tmp_path / "text.nii").write_text("hello")
    with pytest.raises(InputError, match="cut off"):
        read_image(tmp_path / "text.nii", "HU")


def test_two_images_in_one_file_are_refused(tmp_path):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), dtype=np.float32), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "four.nii.gz"))
    with pytest.raises(InputError, match="one 3-D image"):
        read_image(tmp_path / "four.nii.gz", "HU")
