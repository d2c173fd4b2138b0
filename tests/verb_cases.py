"""Every verb that writes with a small command that it can do, and where that writes."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from qa_suite.bundles.bundle import facts_of, pack, prepare, write_bundle
from qa_suite.core.signing.keys import make_key
from qa_suite.core.signing.signatures import signed_with
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image, write_image
from tests.cli_dose_cases import prostate, tiny_plan
from tests.dicom_factory import body_phantom, write_series
from tests.record_factory import make_record
from tests.tiny_cohort import make_tiny_cohort, pair

OUT = "OUT"
"""Stands in a command for the folder or file that it writes."""

IMAGES = ("tiny", "--images", "box", "--name", "vendor")
COMMANDS: dict[str, tuple[str, ...]] = {
    "demo": ("--out", OUT, "--iterations", "1"),
    "phantom": (OUT, "--patients", "1", "--hospitals", "A", "--spacing-mm", "12,12,12"),
    "import": ("pairs.csv", OUT, "--workers", "1", "--key-file", "key"),
    "train": ("intensity", "tiny", "--work", OUT, "--no-preflight"),
    "translate": ("models:/m/1", "tiny", OUT),
    "lock": (*IMAGES, "--profile", "descriptive", "--no-track", "--out", OUT),
    "evaluate": (*IMAGES, "--no-track", "--workers", "1", "--out", OUT),
    "measure": ("ct.nii.gz", "made.nii.gz", "--error-maps", OUT),
    "judge": (OUT, "--profile", "descriptive", "--no-track"),
    "report": (OUT, "--profile", "descriptive", "--no-track"),
    "key": (OUT, "--name", "Ben", "--role", "physicist", "--passphrase-file", "phrase"),
    "sign": (OUT, "--key", "ada.pem", "--passphrase-file", "phrase", "--meaning", "reviewed"),
    "bundle": ("record", OUT, "--key", "ada.pem", "--passphrase-file", "phrase", "--replace"),
    "merge": ("one.qabundle", "--unconfirmed", "--unlocked", "--no-track", "--out", OUT),
    "audit": ("record", "--no-track", "--out", OUT),
    "compare": ("record", "old", "--no-track", "--out", OUT),
    "checkup": ("ct.nii.gz", "made.nii.gz", "--against", "record", "--log", OUT),
    "dose": (
        "ct.nii.gz", "--synthetic", "made.nii.gz", "--structure", "Prostate=prostate.nii.gz",
        "--plan", "photons.yaml", "--hlut", "thomas-1999", "--dose-grid-mm", "10", "--out", OUT,
    ),
    "dvh": ("gy.nii.gz", "prostate.nii.gz", "--curves", OUT),
    "gamma": ("gy.nii.gz", "gy.nii.gz", "--any-scale", "--out", f"{OUT}.nii.gz"),
    "export-dose": ("surrogate.nii.gz", "--like", "dicom", "--out", OUT),
    "exam": ("--out", OUT, "--faults", "shift", "--candidates", "twin", "--workers", "1"),
    "instrument": ("segmenter", "tiny", "--iterations", "1", "--work", OUT),
    "utility": (*IMAGES, "--iterations", "1", "--out", OUT),
}  # fmt: skip

WRITES_NOTHING = {
    "preflight",
    "dashboard",
    "fmea",
    "power",
    "verify",
    "list",
    "sync",  # it empties outboxes, which have a lock of their own
    "promote",  # it and the next move an alias of the registry; see test_release.py
    "withdraw",
}
ONE_FILE = {"checkup", "dvh", "gamma", "export-dose", "key", "bundle"}
IN_A_RECORD = {"judge", "report", "sign"}


def command(verb: str, out: Path) -> list[str]:
    """The command of a verb that writes to that place."""
    return [verb, *(word.replace(OUT, str(out)) for word in COMMANDS[verb])]


def written_by(verb: str, out: Path) -> Path:
    """The folder or file that the command of a verb writes."""
    return out.with_name(f"{out.name}.nii.gz") if verb == "gamma" else out


def make_material(folder: Path) -> None:
    """Write what the commands read."""
    cohort = make_tiny_cohort(folder / "tiny", "ttvss")
    for case in cohort.in_split("test"):
        reference = read_image(folder / "tiny" / str(case.reference), "HU")
        write_image(reference.with_array(reference.array + 4), folder / f"box/{case.case}.nii.gz")
    _, ct, mask = pair(1)
    write_image(ct, folder / "ct.nii.gz")
    write_image(ct.with_array(ct.array + 30 * (mask.array > 0)), folder / "made.nii.gz")
    write_image(prostate(), folder / "prostate.nii.gz")
    dose = 60.0 * (prostate().array > 0).astype(np.float32) + 1
    write_image(Volume(array=dose, grid=ct.grid, quantity="Gy"), folder / "gy.nii.gz")
    tiny_plan(folder / "photons.yaml", name="photons")
    make_record(folder / "record", keep=False)
    make_record(folder / "old", keep=False, kind="baseline")
    files = [
        f"tiny/volumes/case{n}_{role}.nii.gz" for n in (1, 2) for role in ("source", "reference")
    ]
    rows = [f"{files[0]},{files[1]},one,A", f"{files[2]},{files[3]},two,B"]
    (folder / "pairs.csv").write_text("\n".join(["source,reference,patient,site", *rows]) + "\n")
    (folder / "key").write_bytes(b"0" * 64)
    write_series(folder / "dicom", body_phantom() + 1024)
    grid = Grid(shape=(9, 8, 7), spacing_mm=(2.5, 3.0, 2.0), origin_mm=(-8.0, -18.0, -28.0))
    small = np.random.default_rng(2).uniform(0, 70, grid.shape).astype(np.float32)
    write_image(Volume(array=small, grid=grid, quantity="Gy"), folder / "surrogate.nii.gz")
    (folder / "phrase").write_text("a phrase for tests\n")
    make_key(folder / "ada.pem", "a phrase for tests")
    person = [{"name": "Ada", "role": "physicist"}]
    (folder / "ada.reviewer.yaml").write_text(json.dumps(person))
    write_one_bundle(folder)
    (folder / "file").write_text("no folder\n")


def write_one_bundle(folder: Path) -> None:
    """Write a bundle of the record, signed by Ada."""
    stripped, study = prepare(folder / "record", None, small_below=5)
    files = pack(folder / "record", stripped, study, small_below=5)
    facts = facts_of(files, name="Ada", role="physicist", at="2026-01-01T00:00:00Z", comment="")
    signed = signed_with(facts, folder / "ada.pem", "a phrase for tests")
    write_bundle(folder / "one.qabundle", files, signed)


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes, whatever writes it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
