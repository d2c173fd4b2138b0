"""What the commands of dose are given: a small prostate, its plan, a cohort, and devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from qa_suite.core.cohort import Cohort, load_cohort, save_cohort
from qa_suite.core.volume import Volume
from qa_suite.dose.plan.template import load_template
from qa_suite.io.images import read_image, write_image
from tests.tiny_cohort import SHAPE, grid, make_tiny_cohort, pair


def prostate() -> Volume:
    place = np.stack(np.indices(SHAPE), axis=-1) - (np.array(SHAPE) - 1) / 2
    ball = np.linalg.norm(place * 8.0, axis=-1) <= 22
    return Volume(array=ball.astype(np.int32), grid=grid(), quantity="label")


def tiny_plan(path: Path, shipped: str = "photon-pelvis", **more: object) -> Path:
    """A shipped template with one beam, to be fast."""
    data = load_template(shipped).model_dump(mode="json")
    path.write_text(yaml.safe_dump(data | {"beams": [{"gantry_deg": 90}]} | more))
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A CT, its twin 30 HU higher, a target, plans, and much that cannot be used."""
    folder = tmp_path_factory.mktemp("dose")
    _, ct, mask = pair(1)
    write_image(ct, folder / "ct.nii.gz")
    write_image(ct.with_array(ct.array + 30 * (mask.array > 0)), folder / "made.nii.gz")
    write_image(prostate(), folder / "prostate.nii.gz")
    tiny_plan(folder / "photons.yaml", name="photons")
    tiny_plan(folder / "protons.yaml", "proton-pelvis", name="protons")
    tiny_plan(folder / "other.yaml", name="other", targets=[{"structures": ["PTV_1"]}])
    tiny_plan(folder / "mixed.yaml", name="mixed", engine="protons-range")
    tiny_plan(folder / "unknown.yaml", name="unknown", engine="photons-pydosrt")
    tiny_plan(folder / "machine.yaml", name="machine", machine="varian_10mv")
    table = {
        "name": "x",
        "quantity": "relative_electron_density",
        "source": "x",
        "points": [[-1000, 0], [0, 1], [100, 0.9]],
    }
    (folder / "falls.yaml").write_text(yaml.safe_dump(table))
    write_image(ct.with_array(np.full(SHAPE, 40.0, np.float32)), folder / "gy.nii.gz")
    write_image(ct.with_array(np.full(SHAPE, -1000.0, np.float32)), folder / "air.nii.gz")
    holes = ct.array.copy()
    holes[5, 5, 5] = np.nan
    write_image(ct.with_array(holes), folder / "holes.nii.gz")
    shorter = replace(grid(), shape=(SHAPE[0] - 1, *SHAPE[1:]))
    write_image(Volume(array=ct.array[:-1], grid=shorter, quantity="HU"), folder / "small.nii.gz")
    return folder


@pytest.fixture
def files(material, monkeypatch) -> Path:
    """The working folder, with all of that."""
    monkeypatch.chdir(material)
    return material


ONE = ("dose", "ct.nii.gz", "--structure", "Prostate=prostate.nii.gz", "--dose-grid-mm", "10")


def arguments(*more: str, plan: str = "photons.yaml", hlut: str = "thomas-1999") -> list[str]:
    return [*ONE, "--plan", plan, "--hlut", hlut, *more]


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in error)
    assert error[-1].startswith("qa-suite: ")
    return error[-1].removeprefix("qa-suite: ")


@pytest.fixture
def two_cards(monkeypatch) -> list[str]:
    """A machine with two GPUs, as far as anybody asks; says where photons are computed."""
    import torch

    from qa_suite.dose.photons import engine

    asked: list[str] = []

    class Elsewhere(engine.PhotonEngine):
        def __init__(self, machine: str, *, device: str = "cpu") -> None:
            asked.append(device)
            super().__init__(machine)

    monkeypatch.setattr(engine, "PhotonEngine", Elsewhere)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card of {device}")
    return asked


@pytest.fixture
def no_card(monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working folder; nothing is tracked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


NOISE_HU = {1: 20.0, 3: 65.0, 4: 68.0}  # by case; case 2 is 40 HU off on one side


def make_cohort(folder: Path, splits: str) -> Cohort:
    """Test cases of one kind, and a vendor's images of them."""
    made = make_tiny_cohort(folder / "tiny", splits)
    write_image(prostate(), folder / "tiny" / "volumes" / "prostate.nii.gz")
    cases = tuple(
        case.model_copy(update={"structures": {"Prostate": "volumes/prostate.nii.gz"}})
        for case in made.cases
    )
    save_cohort(made.model_copy(update={"cases": cases}), folder / "tiny")
    rng = np.random.default_rng(5)
    for number, case in enumerate(cases, 1):
        reference = read_image(folder / "tiny" / case.reference, "HU")
        error = rng.normal(0, NOISE_HU[number], SHAPE) if number in NOISE_HU else 40.0
        array = (reference.array + error * (reference.array > -400)).astype(np.float32)
        write_image(reference.with_array(array), folder / "box" / f"{case.case}.nii.gz")
    tiny_plan(folder / "photons.yaml", name="photons")
    return load_cohort(folder / "tiny")


EVALUATE = (
    "evaluate",
    "tiny",
    "--images",
    "box",
    "--name",
    "vendor",
    "--no-track",
    "--out",
    "out",
    "--plan",
    "photons.yaml",
    "--hlut",
    "thomas-1999",
    "--dose-grid-mm",
    "10",
    "--workers",
    "1",
)
