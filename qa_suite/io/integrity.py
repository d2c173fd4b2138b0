"""Is the file whole? Readers that fill a truncated image with zeros are not asked.

SimpleITK reads a truncated NIfTI file, and a compressed MetaImage with a damaged byte, without
an error: the missing voxels become zeros or rubbish. So the checksum that the compression
carries and the number of bytes that the header promises are checked first.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from qa_suite.core.errors import InputError

_BLOCK = 1 << 22


def require_whole(path: Path) -> None:
    """Check a NIfTI, MetaImage or NRRD file against its own checksum and size.

    Raises
    ------
    InputError
        If the file is cut off or damaged.
    """
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            _check_nifti(path)
        elif name.endswith(".mha"):
            _check_metaimage(path)
        elif name.endswith(".nrrd"):
            _check_nrrd(path)
    except (EOFError, gzip.BadGzipFile, zlib.error, HeaderDataError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is cut off or damaged ({reason}); copy it again.") from None


def _check_nifti(path: Path) -> None:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        head = stream.read(540)
        header_type = nib.Nifti2Header if head[:4] in _NIFTI2_SIZES else nib.Nifti1Header
        size = header_type.sizeof_hdr
        if len(head) < size:
            raise InputError(f"{path} is cut off within its header; copy it again.")
        header = header_type(head[:size], check=False)
        voxels = int(np.prod(header["dim"][1 : 1 + max(int(header["dim"][0]), 0)], dtype=np.int64))
        promised = int(header["vox_offset"]) + voxels * int(header["bitpix"]) // 8
        found = len(head)
        while block := stream.read(_BLOCK):
            found += len(block)
    _compare(path, found, promised)


_NIFTI2_SIZES = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")


def _check_metaimage(path: Path) -> None:
    data = path.read_bytes()
    marker = data.find(b"ElementDataFile")
    start = data.find(b"\n", marker) + 1
    if marker < 0 or start == 0:
        raise InputError(f"{path} has no whole MetaImage header; copy it again.")
    lines = (line.partition("=") for line in data[:start].decode("latin-1").splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    if fields.get("CompressedData", "False").lower() == "true":
        zlib.decompress(data[start:])
        return
    size = _METAIMAGE_BYTES.get(fields.get("ElementType", ""))
    if size is not None and fields.get("ElementDataFile") == "LOCAL":
        voxels = int(np.prod([int(n) for n in fields.get("DimSize", "0").split()], dtype=np.int64))
        _compare(path, len(data), start + voxels * size)


_METAIMAGE_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
}


def _check_nrrd(path: Path) -> None:
    data = path.read_bytes()
    end = data.find(b"\n\n")
    if b"encoding: gz" in data[: max(end, 0)]:
        gzip.decompress(data[end + 2 :])


def _compare(path: Path, found: int, promised: int) -> None:
    if found < promised:
        raise InputError(
            f"{path} is cut off: its header promises {promised} bytes and {found} are there; "
            f"copy it again."
        )
