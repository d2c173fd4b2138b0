"""Images written as the layouts of cohorts have them, pseudonymised by a key of the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import write_image
from tests.dicom_factory import body_phantom

HU = body_phantom()
GRID = Grid(shape=HU.shape, spacing_mm=(2.0, 3.0, 4.0), origin_mm=(-10.0, -20.0, -30.0))
MR = np.maximum(HU + 400, 0)


@pytest.fixture(autouse=True)
def own_key(tmp_path, monkeypatch):
    (tmp_path / "patient.key").write_text("only for these tests")
    monkeypatch.setenv("QA_SUITE_KEY_FILE", str(tmp_path / "patient.key"))


def write(path: Path, array: np.ndarray, quantity: str = "HU", grid: Grid = GRID) -> Path:
    write_image(Volume(array=array, grid=grid, quantity=quantity), path)
    return path


def write_pair(folder: Path, ending: str, source: str = "mr", *, mask: bool = True) -> None:
    write(folder / f"{source}{ending}", MR if source == "mr" else HU, "arbitrary")
    write(folder / f"ct{ending}", HU)
    if mask:
        write(folder / f"mask{ending}", HU > -500, "label")


def write_sts(folder: Path) -> None:
    write(folder / "MR_T1_image.nii.gz", MR, "arbitrary")
    write(folder / "MR_T1_mask.nii.gz", HU > 600, "label")
    write(folder / "CT_image.nii.gz", HU)
    write(folder / "PET_image.nii.gz", np.maximum(HU, 0) / 100, "SUVbw")


def files_text(out: Path) -> str:
    """Everything that may leave the machine, in one text: the manifest and the file names."""
    names = "\n".join(str(path.relative_to(out)) for path in out.rglob("*"))
    return (out / "manifest.yaml").read_text() + names
