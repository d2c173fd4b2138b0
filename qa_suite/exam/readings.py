"""What one virtual patient gives: the measurements of his clean twin and of his faulted images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qa_suite.cohort import Case, Cohort
from qa_suite.errors import InputError
from qa_suite.exam.scenes import cohort_scene, virtual_scene
from qa_suite.measures.base import Instruments, Pair
from qa_suite.measures.dose_settings import DoseSettings
from qa_suite.measures.run import METRICS, measure_pair
from qa_suite.measures.settings import MeasureSettings
from qa_suite.phantom.faults import Planted, Scene, plant
from qa_suite.records import Measurement, Profile
from qa_suite.samples import FAMILY_METRIC
from qa_suite.volume import Triple

CLEAN = ""
"""Name of no fault."""
ALONE = "reference_free"
"""The family that looks without a reference."""
ALONE_TOO = ("source_shift", "source_rotation")
"""Measures of other families that need no reference either."""


@dataclass(frozen=True, kw_only=True)
class Someone:
    """Who is examined: a virtual patient to be made, or one of a cohort.

    Parameters
    ----------
    case, site
        His names in the tables.
    hospital, index, seed, spacing_mm
        How to make him.
    cohort, folder, member
        Where to find him instead.
    twin
        Number of his clean twin.
    """

    case: str
    site: str
    hospital: str = ""
    index: int = 0
    seed: int = 0
    spacing_mm: Triple = (6.0, 6.0, 6.0)
    cohort: Cohort | None = field(default=None, repr=False)
    folder: Path | None = None
    member: Case | None = field(default=None, repr=False)
    twin: int = 0

    def scene(self) -> Scene:
        """Make or read him."""
        if self.cohort is not None and self.folder is not None and self.member is not None:
            return cohort_scene(self.cohort, self.folder, self.member, twin=self.twin)
        return virtual_scene(
            self.hospital, self.index, seed=self.seed, spacing_mm=self.spacing_mm, twin=self.twin
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """One patient and what is to be planted into him.

    Parameters
    ----------
    someone
        The patient.
    faults
        (fault, severity) in turn; the clean twin comes first by itself.
    profile
        Whose measures are taken.
    alone
        Whether to look without a reference too.
    dose
        Plans that the profile judges.
    """

    someone: Someone
    faults: tuple[tuple[str, float], ...]
    profile: Profile
    alone: bool
    dose: DoseSettings = field(default_factory=DoseSettings, repr=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The measurements of one image of one patient.

    ``twin_of`` holds a fault and its severity where the image is the clean twin of the anatomy
    that this fault needed.
    """

    case: str
    site: str
    fault: str
    severity: float
    rows: tuple[Measurement, ...]
    twin_of: tuple[str, float] | None = None


def examine(task: Task, instruments: Instruments | None = None) -> tuple[list[Reading], list[str]]:
    """Measure one patient's clean twin and each of his faulted images.

    Returns
    -------
    readings, and one sentence for each fault that this patient has no place for.
    """
    scene = task.someone.scene()
    clean = Planted(
        synthetic=scene.twin, reference=scene.reference, twin=scene.twin, source=scene.source
    )
    readings = [_read(task, scene, clean, instruments)]
    impossible = []
    for fault, severity in task.faults:
        rng = np.random.default_rng([*scene.case.encode(), *fault.encode(), int(10 * severity)])
        try:
            made = plant(scene, fault, severity, rng)
        except InputError as error:
            impossible.append(f"{scene.case}: {error}")
            continue
        readings.append(_read(task, scene, made, instruments, fault, severity))
        if made.twin is not scene.twin:
            twin = dataclasses.replace(made, synthetic=made.twin)
            readings.append(_read(task, scene, twin, instruments, twin_of=(fault, severity)))
    return readings, impossible


def _read(
    task: Task,
    scene: Scene,
    made: Planted,
    instruments: Instruments | None,
    fault: str = CLEAN,
    severity: float = 0.0,
    twin_of: tuple[str, float] | None = None,
) -> Reading:
    pair = Pair(
        reference=made.reference,
        synthetic=made.synthetic,
        mask=scene.body,
        source=made.source,
        structures=scene.structures,
        instruments=instruments or Instruments(),
    )
    who = task.someone
    measured = measure_pair(
        pair,
        families=families_of(task.profile, alone=task.alone),
        settings=settings_for(task.profile, alone=task.alone, dose=task.dose),
        case=who.case,
        patient=who.case,
        site=who.site,
    )
    return Reading(
        case=who.case, site=who.site, fault=fault, severity=severity, twin_of=twin_of,
        rows=tuple(wanted(measured.rows, task.profile, alone=task.alone)),
    )  # fmt: skip


def families_of(profile: Profile, *, alone: bool) -> list[str]:
    """Return the families that a profile's criteria need, in alphabetical order."""
    found = {METRICS[criterion.metric].facts.family for criterion in profile.criteria}
    if alone:
        found |= {ALONE} | {METRICS[metric].facts.family for metric in ALONE_TOO}
    return sorted(found)


def settings_for(
    profile: Profile, *, alone: bool, dose: DoseSettings | None = None
) -> MeasureSettings:
    """Return the default settings without what the profile does not judge.

    What is measured has the default settings of an evaluation; the parts that are left out
    only save time.
    """
    defaults = MeasureSettings()
    regions = [criterion.region for criterion in profile.criteria]
    metrics = {criterion.metric for criterion in profile.criteria}
    positioning = {c.variant for c in profile.criteria if c.metric.startswith("positioning")}
    source = alone or any(m.startswith(("source_", "excess_")) for m in metrics)
    image = defaults.image.model_copy(
        update={
            "structures": any(region.startswith("structure:") for region in regions),
            "shells_mm": defaults.image.shells_mm
            if any(region.startswith("shell:") for region in regions)
            else (),
        }
    )
    geometry = defaults.geometry.model_copy(
        update={
            "source_alignment": defaults.geometry.source_alignment if source else "off",
            "local_shift": any(m.startswith("local_shift") for m in metrics),
            "positioning": defaults.geometry.positioning.model_copy(
                update={"cbct": "cbct" in positioning, "drr": "drr" in positioning}
            ),
        }
    )
    return defaults.model_copy(
        update={"image": image, "geometry": geometry, "dose": dose or defaults.dose}
    )


def is_alone(row: Measurement) -> bool:
    """Whether a measurement needed no reference."""
    return row.family == ALONE or row.metric in ALONE_TOO


def wanted(rows: Iterable[Measurement], profile: Profile, *, alone: bool) -> list[Measurement]:
    """Keep what a verdict needs: the measured criteria, what tells a miss, and failures."""
    keys = {(c.metric, c.region, c.variant) for c in profile.criteria}
    missable = {region for _, region, _ in keys}
    return [
        row
        for row in rows
        if (row.metric, row.region, row.variant) in keys
        or row.metric == FAMILY_METRIC
        or (row.metric in ("missed", "dice") and row.region in missable)
        or (alone and is_alone(row))
    ]
