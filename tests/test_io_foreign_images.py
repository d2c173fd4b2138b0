"""Image files that others wrote: read as SimpleITK and nibabel do, or refused in a sentence."""

from __future__ import annotations

import gzip
import itertools
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.plain_files import files_of_image, sha256_of
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image, write_image

TYPES = {
    "MET_CHAR": sitk.sitkInt8,
    "MET_UCHAR": sitk.sitkUInt8,
    "MET_SHORT": sitk.sitkInt16,
    "MET_USHORT": sitk.sitkUInt16,
    "MET_INT": sitk.sitkInt32,
    "MET_UINT": sitk.sitkUInt32,
    "MET_LONG_LONG": sitk.sitkInt64,
    "MET_FLOAT": sitk.sitkFloat32,
    "MET_DOUBLE": sitk.sitkFloat64,
}
SHAPE = (5, 4, 3)
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "0 1 0 -1 0 0 0 0 1",
    "Offset": "-10.5 20 30.25",
    "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI",
    "ElementSpacing": "0.5 1.5 3",
    "DimSize": "5 4 3",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
VOXELS = np.arange(60, dtype="<i2") - 7
PACKED = zlib.compress(VOXELS.tobytes())


def mha(path: Path, voxels: bytes = VOXELS.tobytes(), **changed: str | None) -> Path:
    fields = {key: value for key, value in (HEADER | changed).items() if value is not None}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # the last line
    head = "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
    path.write_bytes(head + voxels)
    return path


def same_as_itk(path: Path) -> None:
    image = sitk.ReadImage(str(path))
    read = read_image(path, "arbitrary")
    assert np.array_equal(read.array, sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    assert np.allclose(read.grid.spacing_mm, image.GetSpacing(), atol=1e-9)
    assert np.allclose(read.grid.origin_mm, image.GetOrigin(), atol=1e-9)
    assert np.allclose(read.grid.direction, image.GetDirection(), atol=1e-9)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr", ".nii", ".nii.gz"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", TYPES)
def test_every_kind_of_voxel_is_read_as_itk_reads_it(tmp_path, ending, compressed, kind):
    if ending.startswith(".nii") and kind == "MET_LONG_LONG":
        pytest.skip("ITK writes no such NIfTI")
    rng = np.random.default_rng(3)
    image = sitk.Cast(sitk.GetImageFromArray(rng.integers(0, 100, SHAPE)), TYPES[kind])
    image.SetSpacing((0.5, 1.5, 3))
    image.SetOrigin((-10.5, 20, 30.25))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    image.SetDirection((turn * np.sign(np.linalg.det(turn))).ravel())
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"), useCompression=compressed)
    if ending.startswith(".nii"):
        read = read_image(tmp_path / f"a{ending}", "arbitrary")
        assert np.array_equal(read.array, sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    else:
        same_as_itk(tmp_path / f"a{ending}")


@pytest.mark.parametrize(
    ("voxels", "changed"),
    [
        (VOXELS.astype(">i2").tobytes(), {"BinaryDataByteOrderMSB": "True"}),
        (
            VOXELS.astype(">i2").tobytes(),
            {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"},
        ),
        (PACKED, {"CompressedData": "True", "CompressedDataSize": str(len(PACKED))}),
        (VOXELS.astype("<i4").tobytes(), {"ElementType": "MET_LONG"}),
        (VOXELS.tobytes(), {"Offset": None, "Position": "1 2 3"}),
        (VOXELS.tobytes(), {"TransformMatrix": None, "Rotation": "0 1 0 1 0 0 0 0 -1"}),
        (VOXELS.tobytes(), {"TransformMatrix": None, "Offset": None}),
        (VOXELS.tobytes(), {"Comment": "anything = else", "Modality": "MET_MOD_CT"}),
    ],
)
def test_a_metaimage_header_means_what_itk_takes_it_for(tmp_path, voxels, changed):
    same_as_itk(mha(tmp_path / "a.mha", voxels, **changed))


def test_scaled_nifti_values_are_those_of_nibabel(tmp_path):
    import nibabel as nib

    for number, (kind, slope) in enumerate(
        itertools.product(("u1", ">i2", "<i4", "f4", "f8"), ((1, 0), (2.5, -1000), (0.1, 0.3)))
    ):
        header = nib.Nifti1Header(endianness=">" if kind[0] == ">" else "<")
        header.set_data_dtype(kind)
        values = np.arange(60).reshape(SHAPE).astype(kind)
        image = nib.Nifti1Image(values, np.diag([-1, -1, 2, 1]), header)
        image.header.set_slope_inter(*slope)
        path = tmp_path / f"{number}.nii.gz"
        nib.save(image, path)
        expected = np.asanyarray(nib.load(path).dataobj).astype(np.float32)
        assert np.array_equal(read_image(path, "HU").array, expected), (kind, slope)


WRONG: dict[str, dict[str, Any]] = {
    "NDims": {"NDims": "-1"},
    "DimSize": {"DimSize": "5 4 -3"},
    "at most": {"DimSize": "50000 50000 50000"},
    "cut off": {"DimSize": "5 4 4"},
    "do not belong together": {"DimSize": "5 4 2"},
    "ElementType": {"ElementType": "MET_OTHER"},
    "no ElementSpacing": {"ElementSpacing": None},
    "ElementSpacing = 1 1": {"ElementSpacing": "1 1"},
    "ElementSpacing = 1 nan 1": {"ElementSpacing": "1 nan 1"},
    "positive spacings": {"ElementSpacing": "1 0 1"},
    "not orthonormal": {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
    "as text": {"BinaryData": "False"},
    "one 3-D image": {"ElementNumberOfChannels": "3"},
    "beside its values": {"ElementToIntensityFunctionOffset": "-1024"},
    "lengths in cm": {"DistanceUnits": "cm"},
    "several files": {"ElementDataFile": "LIST"},
    "only a file in its own folder": {"ElementDataFile": "/dev/zero"},
    "own folder is read": {"ElementDataFile": "../secret.raw"},
    "no file at": {"ElementDataFile": "absent.raw"},
    "damaged": {"CompressedData": "True"},
    "both orders of bytes": {"ElementByteOrderMSB": "True"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_metaimage_header_is_one_sentence(tmp_path, words):
    path = mha(tmp_path / "a.mha", **WRONG[words])
    with pytest.raises(QAError, match=words):
        read_image(path, "arbitrary")


def test_what_is_compressed_beyond_its_promise_is_not_unpacked(tmp_path):
    bomb = zlib.compress(bytes(300 << 20), 9)
    path = mha(tmp_path / "a.mha", bomb, CompressedData="True")
    with pytest.raises(InputError, match="do not belong together"):
        read_image(path, "arbitrary")
    write_image(Volume(array=np.zeros(SHAPE), grid=Grid(shape=SHAPE, spacing_mm=(1, 1, 1)),
                       quantity="HU"), tmp_path / "b.nii.gz")  # fmt: skip
    whole = gzip.decompress((tmp_path / "b.nii.gz").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole + bytes(300 << 20)))
    with pytest.raises(InputError, match="do not belong together"):
        read_image(tmp_path / "b.nii.gz", "HU")


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_an_image_in_two_files_is_hashed_with_its_voxels(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_image(Volume(array=VOXELS.reshape(SHAPE), grid=Grid(shape=SHAPE, spacing_mm=(1, 1, 1)),
                       quantity="arbitrary"), path)  # fmt: skip
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        file.name for file in files_of_image(path)
    )
    before, voxels = sha256_of(path), files_of_image(path)[1]
    changed = bytearray(voxels.read_bytes())
    changed[len(changed) // 2] ^= 1
    voxels.write_bytes(changed)
    assert sha256_of(path) != before


def test_an_mha_whose_voxels_lie_beside_it_is_hashed_with_them(tmp_path):
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    path = mha(tmp_path / "a.mha", b"", ElementDataFile="a.raw")
    same_as_itk(path)
    before = sha256_of(path)
    (tmp_path / "a.raw").write_bytes((VOXELS + 1).tobytes())
    assert sha256_of(path) != before


NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 4 3",
    "space directions": "(0.5,0,0) (0,1.5,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-10.5,20,30.25)",
}


def nrrd(path: Path, voxels: bytes = VOXELS.tobytes(), **changed: str | None) -> Path:
    said = NRRD | {key.replace("_", " "): value for key, value in changed.items()}
    lines = [f"{key}: {value}\n" for key, value in said.items() if value is not None]
    path.write_bytes(f"NRRD0004\n# a remark\n{''.join(lines)}a:=b\n\n".encode() + voxels)
    return path


@pytest.mark.parametrize(
    ("voxels", "changed"),
    [
        (VOXELS.tobytes(), {}),
        (VOXELS.astype(">i2").tobytes(), {"endian": "big"}),
        (gzip.compress(VOXELS.tobytes()), {"encoding": "gzip"}),
        (VOXELS.tobytes(), {"space": "right-anterior-superior"}),
        (VOXELS.tobytes(), {"space": "left-anterior-superior"}),
        (VOXELS.tobytes(), {"space_directions": "(0,0.5,0) (0,0,1.5) (3,0,0)"}),
        (b"one line\n" + VOXELS.tobytes(), {"line_skip": "1"}),
        (b"abc" + VOXELS.tobytes(), {"byte_skip": "3"}),
        (b"abc" + VOXELS.tobytes(), {"byte_skip": "-1"}),
    ],
)
def test_an_nrrd_header_means_what_itk_takes_it_for(tmp_path, voxels, changed):
    same_as_itk(nrrd(tmp_path / "a.nrrd", voxels, **changed))


def test_an_nrrd_of_bzip2_is_read(tmp_path):
    import bz2

    path = nrrd(tmp_path / "a.nrrd", bz2.compress(VOXELS.tobytes()), encoding="bzip2")
    assert np.array_equal(
        read_image(path, "arbitrary").array, VOXELS.reshape(SHAPE, order="F").astype(np.float32)
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dimension": "4"}, "sizes"),
        ({"sizes": "5 4"}, "sizes"),
        ({"sizes": "5 4 2"}, "do not belong together"),
        ({"sizes": "5 4 9"}, "cut off"),
        ({"type": "block"}, "type"),
        ({"endian": None}, "endian"),
        ({"encoding": "txt"}, "encoding"),
        ({"space": None}, "how it lies"),
        ({"space_origin": None}, "how it lies"),
        ({"space_directions": "(1,0,0) (0,1,0) none"}, "space directions"),
        ({"space_units": '"cm" "cm" "cm"'}, "lengths in"),
        ({"data_file": "x%03d.raw 1 3 1"}, "several files"),
        ({"data_file": "/dev/zero"}, "own folder"),
    ],
)
def test_a_wrong_nrrd_header_is_one_sentence(tmp_path, changed, words):
    with pytest.raises(QAError, match=words):
        read_image(nrrd(tmp_path / "a.nrrd", **changed), "arbitrary")


def test_labels_beyond_what_integers_hold_are_refused(tmp_path):
    path = mha(
        tmp_path / "a.mha", (VOXELS + 2.0**40).astype("<f8").tobytes(), ElementType="MET_DOUBLE"
    )
    with pytest.raises(InputError, match="beyond"):
        read_image(path, "label")


def test_large_labels_are_written_as_they_are(tmp_path):
    array = np.full(SHAPE, 70_000, dtype=np.int32)
    grid = Grid(shape=SHAPE, spacing_mm=(1, 1, 1))
    write_image(Volume(array=array, grid=grid, quantity="label"), tmp_path / "a.nii.gz")
    assert np.array_equal(read_image(tmp_path / "a.nii.gz", "label").array, array)
