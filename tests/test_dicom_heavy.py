"""A DICOM file of a MiB asks for seconds at most, whatever it is made of; a large one is read."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from qa_suite.core.volume import Grid
from qa_suite.io.dicom.elements import MOST_CHARACTER_SETS
from qa_suite.io.dicom.opening import decode_pixels, open_dicom
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt import structures
from qa_suite.io.rt.structures import fill_even_odd, read_structure_set, structure_mask
from tests.dicom_factory import write_structures
from tests.fuzz.heavy import (
    DEFLATED,
    IMPLICIT,
    KINDS,
    MOST_BYTES,
    Kind,
    element,
    file,
    head,
    heavy,
    private,
)

SECONDS = 5.0
"""The promise, of computing; other processes may have the machine."""
SMALL = MOST_BYTES // 8  # what is linear is tried on an eighth of a MiB


def opened(path: Path, content: bytes) -> str:
    """Return what is said of a file, read whole, and hold it to the promise."""
    path.write_bytes(content)
    assert len(content) <= MOST_BYTES
    began = time.process_time()
    try:
        decode_pixels(path, open_dicom(path, pixels=True, force=True))
        return "read"
    except ReadProblem as error:
        return str(error)
    finally:
        assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_file_takes_longer_than_it_may(kind: Kind, tmp_path: Path) -> None:
    for seed in range(2):
        opened(tmp_path / "a.dcm", heavy(kind, np.random.default_rng([seed, 5]), SMALL))


def test_a_list_of_character_sets_has_an_end(tmp_path: Path) -> None:
    """Every text is tried with each of them: a MiB of both took half a minute and more."""
    texts = element(0x00081080, "", b"\x1b$B\\" * 130_000)
    for count in (30_000, MOST_CHARACTER_SETS + 1):
        named = element(0x00080005, "", b"\\".join([b"ISO 2022 IR 87"] * count))
        said = opened(tmp_path / "a.dcm", file(head(vr=False) + named + texts, IMPLICIT))
        assert f"names {count} character sets" in said
    named = element(0x00080005, "CS", b"\\ISO 2022 IR 87\\ISO 2022 IR 159")
    path = tmp_path / "b.dcm"
    path.write_bytes(file(named + element(0x00081080, "LO", b"\x1b$B0!\x1b(B ")))
    assert open_dicom(path, pixels=False).AdmittingDiagnosesDescription == "亜"


@pytest.mark.parametrize(("vr", "value"), [("PN", b"A^B\\" * 10), ("LO", b"")])
def test_a_deflated_file_asks_for_no_more_than_a_plain_one(
    vr: str, value: bytes, tmp_path: Path
) -> None:
    content = head() + b"".join(element(tag, vr, value) for tag in private(160_000))
    said = opened(tmp_path / "a.dcm", file(content, DEFLATED))
    assert "elements" in said and "more" in said
    fewer = head() + b"".join(element(tag, vr, value) for tag in private(5_000))
    path = tmp_path / "b.dcm"
    path.write_bytes(file(fewer, DEFLATED))
    assert len(open_dicom(path, pixels=False)) == 5_004


# ------------------------------------------------------------------ large ones that are meant

GRID = Grid(shape=(40, 40, 4), spacing_mm=(1.0, 1.0, 4.0), origin_mm=(-20.0, -20.0, -30.0))


def circle(count: int, *, tilt: float = 0.0) -> np.ndarray:
    """A circle of 15 mm around the origin, turned out of the slice at z = −26 mm."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = 15 * np.cos(angle), 15 * np.sin(angle)
    return np.stack([x * np.cos(tilt), y, -26 + x * np.sin(tilt)], axis=1).round(3)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_contour_of_more_than_64_kib_is_read_as_it_was_written(
    deflated: bool, tmp_path: Path
) -> None:
    """Its length does not fit its kind, so it is written as of unknown kind (PS3.5, 6.2.2)."""
    path, points = tmp_path / "a.dcm", circle(20_000)
    write_structures(path, {"BODY": [points]})
    if deflated:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    (structure,) = read_structure_set(path).structures.values()
    (contour,) = structure.contours
    np.testing.assert_array_equal(contour, points)
    mask, _ = structure_mask(structure, GRID)
    assert mask.sum() == pytest.approx(np.pi * 15**2, rel=0.01) and not mask[:, :, (0, 2, 3)].any()


def test_a_long_oblique_contour_takes_no_memory_of_its_square(tmp_path: Path) -> None:
    write_structures(tmp_path / "a.dcm", {"BODY": [circle(20_000, tilt=0.2)]})
    (structure,) = read_structure_set(tmp_path / "a.dcm").structures.values()
    mask, notes = structure_mask(structure, GRID)
    assert mask.any() and "drawn oblique" in notes[-1]


def test_a_contour_is_filled_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(3).uniform(-3, 33, (200, 2))
    whole = fill_even_odd([points], (30, 30))
    monkeypatch.setattr(structures, "_CROSSINGS_AT_ONCE", 40)
    np.testing.assert_array_equal(fill_even_odd([points], (30, 30)), whole)
    assert 0 < whole.sum() < whole.size
