"""Every verb that speaks to MLflow with a small command, and its exit status without a store."""

from __future__ import annotations

from pathlib import Path

from tests.record_factory import make_record
from tests.tiny_cohort import make_tiny_cohort

SOURCE, REFERENCE = (f"cohort/volumes/case4_{role}.nii.gz" for role in ("source", "reference"))
VERBS: dict[str, tuple[list[str], int]] = {
    "train": (["train", "intensity", "cohort", "--work", "work"], 0),
    "train --from": (["train", "--from", "models:/x/1", "--cohort", "cohort"], 2),
    "evaluate models:/": (["evaluate", "cohort", "models:/x/1"], 2),
    "evaluate oracle": (["evaluate", "cohort", "oracle:truth", "--families", "image"], 0),
    "judge": (["judge", "record", "--profile", "descriptive"], 3),
    "report": (["report", "record", "--profile", "descriptive"], 0),
    "translate": (["translate", "models:/x/1", "cohort", "out"], 2),
    "list models": (["list", "models"], 2),
    "list instruments": (["list", "instruments"], 2),
    "demo": (["demo", "--out", "demo"], 2),
    "sync": (["sync", "waiting"], 3),
    "checkup --inverse": (
        ["checkup", SOURCE, REFERENCE, "--against", "record", "--inverse", "models:/x/1"],
        2,
    ),
    "instrument": (["instrument", "extractor", "cohort", "--iterations", "1"], 0),
    "promote": (
        ["promote", "models:/x/1", "--evaluation", "record", "--profile", "descriptive"],
        2,
    ),
    "withdraw": (["withdraw", "models:/x/1", "--because", "x", "--evaluations", "."], 2),
    "lock": (
        ["lock", "cohort", "oracle:truth", "--profile", "descriptive", "--out", "locked-{what}"],
        0,
    ),
}


def make_home(folder: Path) -> None:
    """Write what the commands read."""
    make_tiny_cohort(folder / "cohort")
    make_record(folder / "record", patients_by_site={"A": 3, "B": 1}, keep=False)
    make_record(folder / "waiting" / "one", patients_by_site={"A": 3, "B": 1}, keep=False)
