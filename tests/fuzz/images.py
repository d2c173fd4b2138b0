"""What is spoilt of images: NIfTI, MetaImage, NRRD, DICOM of every kind that is read."""

from __future__ import annotations

import functools
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from qa_suite.core.cohort import load_cohort, save_cohort, with_file_hashes
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.cases import load_case
from qa_suite.io.dicom.headers import scan_dicom
from qa_suite.io.dicom.opening import decode_pixels, open_dicom
from qa_suite.io.dicom.series import read_series
from qa_suite.io.images import read_image, write_image
from qa_suite.io.rt.dose.parts import read_planned_parts
from qa_suite.io.rt.dose.read import read_rtdose
from qa_suite.io.rt.dose.request import DoseRequest
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.structures import read_structure_set, structure_mask
from tests.dicom_factory import rectangle, write_series, write_structures
from tests.fuzz.heavy import any_heavy
from tests.fuzz.mutations import either, spoilt_bytes, spoilt_dicom, spoilt_lines, within
from tests.fuzz.subject import Subject
from tests.plan_factory import write_ion_plan, write_plan
from tests.rt_factory import write_dose
from tests.tiny_cohort import make_tiny_cohort

GRID = Grid(shape=(6, 5, 4), spacing_mm=(2.0, 3.0, 4.0), origin_mm=(-10.0, -20.0, -30.0))


def image_subjects() -> Iterator[Subject]:
    """Yield single-file images, and those of a cohort whose manifest knows their digests."""
    packed = within(spoilt_bytes, gzip.decompress, gzip.compress)
    header = either(spoilt_bytes, spoilt_lines)
    fields = either(spoilt_bytes, functools.partial(spoilt_lines, parted_by=b":"))
    for ending, spoil in {
        ".nii": spoilt_bytes,
        ".nii.gz": packed,
        ".mha": header,
        ".mhd": header,
        ".nrrd": fields,
        ".nhdr": fields,
    }.items():
        for quantity in ("HU", "label"):
            yield Subject(
                name=f"{ending[1:]} ({quantity})",
                make=functools.partial(_write, ending, quantity),
                file=f"a{ending}",
                spoil=spoil,
                read=functools.partial(_read, ending, quantity),
            )
    yield Subject(
        name="nii.gz of a cohort",
        make=_cohort,
        file="volumes/case1_source.nii.gz",
        spoil=packed,
        read=_first_case,
        digested=True,
    )


def _write(ending: str, quantity: Any, folder: Path) -> None:
    values = np.arange(120).reshape(GRID.shape) % 7
    write_image(Volume(array=values, grid=GRID, quantity=quantity), folder / f"a{ending}")


def _read(ending: str, quantity: Any, folder: Path) -> object:
    return read_image(folder / f"a{ending}", quantity)


def _cohort(folder: Path) -> None:
    save_cohort(with_file_hashes(make_tiny_cohort(folder, "s"), folder), folder)


def _first_case(folder: Path) -> object:
    cohort = load_cohort(folder)
    loaded = load_case(cohort, cohort.cases[0], folder)
    return hashlib.sha256(loaded.source.array.tobytes()).hexdigest(), loaded.source.grid


def dicom_subjects() -> Iterator[Subject]:
    """Yield images, structures, doses and plans of DICOM."""
    deflated = within(spoilt_dicom, _inflated, _deflated)
    series: dict[str, tuple[dict[str, Any], Callable[[Path], None] | None, Any]] = {
        "CT": ({}, None, spoilt_dicom),
        "MR": ({"modality": "MR", "EchoTime": 2.3}, None, spoilt_dicom),
        "PET": ({"modality": "PT", **PET}, None, spoilt_dicom),
        "CT, RLE": ({}, _compress, spoilt_bytes),
        "CT, deflated": ({}, _deflate, deflated),
    }
    for name, (tags, then, spoil) in series.items():
        yield Subject(
            name=name,
            make=functools.partial(_series, tags, then),
            file="IM0001.dcm",
            spoil=spoil,
            read=_scanned,
        )
    yield Subject(
        name="DICOM, heavy",
        make=functools.partial(_series, {}, None),
        file="IM0001.dcm",
        spoil=any_heavy,
        read=_decoded,
    )
    yield Subject(name="RTSTRUCT", make=_structures, file="a.dcm", spoil=spoilt_dicom, read=_masks)
    yield Subject(
        name="RTDOSE",
        make=lambda folder: void(write_dose(folder / "a.dcm", np.ones((4, 3, 2)))),
        file="a.dcm",
        spoil=spoilt_dicom,
        read=lambda folder: read_rtdose(folder / "a.dcm", DoseRequest(summation="any")),
    )
    for name, write in {"RTPLAN": write_plan, "RT Ion Plan": write_ion_plan}.items():
        yield Subject(
            name=name,
            make=functools.partial(_plan, write),
            file="a.dcm",
            spoil=spoilt_dicom,
            read=_read_plan,
        )


PET = {
    "Units": "GML",
    "SUVType": "BW",
    "SeriesTime": "120000",
    "AcquisitionTime": "120000",
    "CorrectedImage": ["ATTN", "DECY"],
}


def void(_: object) -> None:
    """Return nothing of what a writer returns."""


def _series(tags: dict[str, Any], then: Callable[[Path], None] | None, folder: Path) -> None:
    stored = np.arange(7 * 6 * 4).reshape(7, 6, 4)
    for path in write_series(folder, stored, **tags):
        if then is not None:
            then(path)


def _compress(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    dataset.save_as(path)


def _deflate(path: Path) -> None:
    path.write_bytes(_deflated(path.read_bytes()))


_PLAIN, _PACKED = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"


def _deflated(data: bytes) -> bytes:
    """Pack the data set of a file of explicit VR, little endian."""
    start = 144 + int.from_bytes(data[140:144], "little")
    head = data[:start].replace(b"\x14\0" + _PLAIN, b"\x16\0" + _PACKED)
    head = head[:140] + max(len(head) - 144, 0).to_bytes(4, "little") + head[144:]
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return head + packing.compress(data[start:]) + packing.flush()


def _inflated(data: bytes) -> bytes:
    start = 144 + int.from_bytes(data[140:144], "little")
    head = data[:start].replace(b"\x16\0" + _PACKED, b"\x14\0" + _PLAIN)
    head = head[:140] + (len(head) - 144).to_bytes(4, "little") + head[144:]
    return head + zlib.decompress(data[start:], -zlib.MAX_WBITS)


def _scanned(folder: Path) -> object:
    return [read_series(series) for series in scan_dicom(folder).series]


def _decoded(folder: Path) -> object:
    path = folder / "IM0001.dcm"
    return decode_pixels(path, open_dicom(path, pixels=True, force=True)), _scanned(folder)


def _structures(folder: Path) -> None:
    square = [rectangle((-8.0, 0.0), (-18.0, -8.0), z) for z in (-30.0, -26.0)]
    write_structures(folder / "a.dcm", {"BODY": square, "PTV": square[:1]})


def _masks(folder: Path) -> object:
    found = read_structure_set(folder / "a.dcm")
    return [structure_mask(one, GRID) for one in found.structures.values()]


def _plan(write: Callable[[Path], Path], folder: Path) -> None:
    write(folder / "a.dcm")


def _read_plan(folder: Path) -> object:
    return read_plan(folder / "a.dcm"), read_planned_parts(folder / "a.dcm")
