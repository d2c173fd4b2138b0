"""The studies: which specifications are trained, registered and examined on whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.families.apart import examine_apart
from benchmarks.families.material import real_cohort, virtual_cohort
from benchmarks.families.run import Controls, Result, examine_family, use_store
from benchmarks.families.store import read_result, write_result
from benchmarks.families.table import controls_section, cost_table, quality_table, uncertainty_table
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.executors.share import cores
from translators.spec import load_spec


@dataclass(frozen=True, kw_only=True)
class Study:
    """Some specifications, trained and examined on patients of one kind.

    Parameters
    ----------
    entries
        Label and specification.
    prefix
        Of the markers in the page.
    alone
        Specifications that need the whole machine to learn in their minutes: none runs beside them.
    """

    prefix: str
    entries: tuple[tuple[str, str], ...]
    alone: tuple[str, ...] = ("contourdiff-demo", "mri2pet-demo")


STUDIES = {
    "virtual": Study(
        prefix="",
        entries=(
            ("intensity", "intensity"),
            ("regression", "regression-demo"),
            ("regression, features, ensemble", "regression-features-demo"),
            ("pix2pix", "pix2pix-demo"),
            ("cyclegan", "cyclegan-demo"),
            ("diffusion", "diffusion-demo"),
            ("bridge", "bridge-demo"),
            ("contourdiff", "contourdiff-demo"),
            ("contourdiff, CT→MR", "contourdiff-ct-mr-demo"),
            ("mri2pet", "mri2pet-demo"),
        ),
    ),
    # the same people, but shifted and turned as patients are: what the mean image makes of them
    "placed": Study(
        prefix="placed ",
        entries=(("cyclegan", "cyclegan-demo"), ("contourdiff", "contourdiff-demo")),
    ),
    "real": Study(
        prefix="real ",
        entries=(
            ("intensity", "intensity"),
            ("regression", "regression-sts"),
            ("pix2pix", "pix2pix-sts"),
            ("bridge", "bridge-sts"),
            ("diffusion", "diffusion-sts"),
            ("mri2pet", "mri2pet-sts"),
        ),
    ),
}
TITLES = {"MR->CT": "mr-to-ct", "CT->MR": "ct-to-mr", "MR->PT": "mr-to-pet"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which study, where its work is kept, and whether results that lie there are taken."""

    study: str
    work: Path
    data: Path | None
    patients: int
    keep: bool

    @property
    def place(self) -> Path:
        """Where the work of this study is kept."""
        return self.work / self.study


Entry = tuple[str, str]
"""Label and name of a specification."""


def examine_study(asked: Asked, only: Sequence[str] | None, *, at_a_time: int) -> list[Result]:
    """Examine the specifications of a study, several beside each other where that is asked.

    Raises
    ------
    InputError
        If real patients are asked for and nobody says where they are.
    Problems
        What the specifications that failed said; the others are finished first.
    """
    if asked.study == "real" and asked.data is None:
        raise InputError("The real patients need --data, the folder that holds sts/nifti.")
    study = STUDIES[asked.study]
    entries = [entry for entry in study.entries if not only or entry[1] in only]
    for direction in {load_spec(name).direction for _, name in entries}:
        _cohort(direction, asked)  # made before processes share it, as is the store
    use_store(asked.place)
    beside = [entry for entry in entries if entry[1] not in study.alone]
    alone = [entry for entry in entries if entry[1] in study.alone]
    found = examine_apart(asked, examine_one, beside, at_a_time=at_a_time)
    found |= examine_apart(asked, examine_one, alone, at_a_time=1)
    return [found[name] for _, name in entries]


def examine_one(asked: Asked, entry: Entry) -> Result:
    """Train and examine one specification, or take what is there already of it."""
    label, name = entry
    torch.set_num_threads(cores())
    use_store(asked.place)
    known = read_result(asked.place / "results", name) if asked.keep else None
    result = known or _examined(label, name, asked)
    write_result(asked.place / "results", result)
    return result


def _cohort(direction: str, asked: Asked) -> tuple[Cohort, Path]:
    cohorts = asked.place / "cohorts"
    if asked.data is not None and asked.study == "real":
        return real_cohort(cohorts, asked.data, direction)
    return virtual_cohort(cohorts, direction, asked.patients, as_placed=asked.study == "placed")


def _examined(label: str, name: str, asked: Asked) -> Result:
    spec = load_spec(name)
    cohort, folder = _cohort(spec.direction, asked)
    controls: Controls = "nulls" if asked.study == "real" else "all"
    if asked.study != "real" and name == "intensity":
        controls = "none"
    return examine_family(label, spec, cohort, folder, asked.place, controls=controls)


def parts(results: Sequence[Result]) -> dict[str, str]:
    """Return the Markdown of each part of the page."""
    found = {}
    for direction, title in TITLES.items():
        some = [r for r in results if r.spec.direction == direction]
        if some:
            found[f"quality {title}"] = quality_table(some)
    found["uncertainty"] = uncertainty_table(results)
    found["cost"] = cost_table(results)
    if any(r.controls for r in results):
        found["controls"] = controls_section(results)
    return found
