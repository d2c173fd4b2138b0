"""What one virtual patient gives: measurements of each candidate's clean and faulted images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.records import Measurement, Profile
from qa_suite.core.volume import Triple
from qa_suite.lab.exam.scenes import Person, cohort_person, virtual_person
from qa_suite.lab.exam.taken import families_of, settings_for, wanted
from qa_suite.lab.faults import FAULTS, ONE_PATIENT, Planted, Scene, plant
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.run import measure_pair

CLEAN = ""
"""Name of no fault."""
AGAIN = 500_000
"""Number of the image of a second examination, beyond those of any clean cohort."""


@dataclass(frozen=True, kw_only=True)
class Someone:
    """Who is examined: a virtual patient to be made, or one of a cohort.

    Parameters
    ----------
    case, site
        His names in the tables.
    side
        +1 or −1, which way a fault that cancels between two sites spoils him; 0 is neither.
    hospital, index, seed, spacing_mm
        How to make him.
    cohort, folder, member
        Where to find him instead.
    number
        Of his clean image.
    """

    case: str
    site: str
    side: int = 0
    hospital: str = ""
    index: int = 0
    seed: int = 0
    spacing_mm: Triple = (6.0, 6.0, 6.0)
    cohort: Cohort | None = field(default=None, repr=False)
    folder: Path | None = None
    member: Case | None = field(default=None, repr=False)
    number: int = 0

    def person(self) -> Person:
        """Make or read him."""
        if self.cohort is not None and self.folder is not None and self.member is not None:
            return cohort_person(self.cohort, self.folder, self.member)
        return virtual_person(self.hospital, self.index, seed=self.seed, spacing_mm=self.spacing_mm)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One patient, who makes an image of him, and what is to be planted into it.

    Parameters
    ----------
    someone
        The patient.
    candidates
        Whose images are examined.
    plain
        Those of them of whom the clean image alone is measured.
    faults
        (fault, severity) in turn; the clean image comes first by itself.
    profile
        Whose measures are taken.
    alone, alone_many
        Whether to look without a reference too: at clean images and at faults of one patient, and
        at faults of many.
    dose
        Plans that the profile judges.
    """

    someone: Someone
    candidates: tuple[str, ...]
    faults: tuple[tuple[str, float], ...]
    profile: Profile
    plain: tuple[str, ...] = ()
    alone: bool = False
    alone_many: bool = False
    dose: DoseSettings = field(default_factory=DoseSettings, repr=False)


class ImageReading(BaseModel):
    """The measurements of one image of one patient.

    ``clean_of`` holds a fault and its severity where the image is the clean one of the anatomy
    or of the second examination that this fault needed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    case: str
    patient: str
    site: str
    candidate: str
    fault: str = CLEAN
    severity: float = 0.0
    clean_of: tuple[str, float] | None = None
    rows: tuple[Measurement, ...]


class Answers(BaseModel):
    """Everything that one candidate's images of one patient gave.

    ``impossible`` holds one sentence for each fault that this patient has no place for;
    ``cpu_seconds`` the processor's time, his making shared out among the candidates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    case: str
    candidate: str
    readings: tuple[ImageReading, ...]
    impossible: tuple[str, ...] = ()
    cpu_seconds: float


def examine(task: Task, instruments: Instruments | None = None) -> list[Answers]:
    """Measure one patient's clean images and each of the faulted ones, candidate by candidate."""
    started = time.process_time()
    person = task.someone.person()
    shared = (time.process_time() - started) / max(len(task.candidates), 1)
    found = []
    for candidate in task.candidates:
        started = time.process_time()
        readings, impossible = _candidate(task, person, candidate, instruments or Instruments())
        found.append(
            Answers(
                case=task.someone.case,
                candidate=candidate,
                readings=tuple(readings),
                impossible=tuple(impossible),
                cpu_seconds=round(shared + time.process_time() - started, 3),
            )
        )
    return found


def _candidate(
    task: Task, person: Person, candidate: str, instruments: Instruments
) -> tuple[list[ImageReading], list[str]]:
    scene = person.scene(candidate, number=task.someone.number, side=task.someone.side or 1)
    reader = _Reader(task=task, candidate=candidate, instruments=instruments)
    plain = candidate in task.plain
    readings = [reader.read(scene, _as_it_is(scene), alone=task.alone and not plain)]
    impossible = []
    for fault, severity in () if plain else task.faults:
        try:
            readings += list(_faulted(reader, person, scene, fault, severity))
        except InputError as error:
            impossible.append(f"{candidate}, {scene.case}: {error}")
    return readings, impossible


def _faulted(
    reader: _Reader, person: Person, scene: Scene, fault: str, severity: float
) -> Iterator[ImageReading]:
    """Plant one fault into a patient: one image, or those of his two examinations."""
    hits = FAULTS[fault].facts.hits
    alone = reader.task.alone if hits in ONE_PATIENT else reader.task.alone_many
    if hits != "examinations":
        made = planted_into(scene, fault, severity)
        yield reader.read(scene, made, alone=alone, fault=fault, severity=severity)
        if made.clean is not scene.clean:
            clean = replace(made, synthetic=made.clean)
            yield reader.read(scene, clean, clean_of=(fault, severity))
        return
    number = reader.task.someone.number + AGAIN
    again = person.scene(reader.candidate, number=number, side=-1)
    for one, suffix in ((replace(scene, side=1), ""), (again, "-again")):
        made = planted_into(one, fault, severity)
        yield reader.read(one, made, alone=alone, fault=fault, severity=severity, suffix=suffix)
    yield reader.read(again, _as_it_is(again), clean_of=(fault, severity), suffix="-again")


def _as_it_is(scene: Scene) -> Planted:
    return Planted(
        synthetic=scene.clean, reference=scene.reference, clean=scene.clean, source=scene.source
    )


def planted_into(scene: Scene, fault: str, severity: float) -> Planted:
    """Plant it where it would be planted for any candidate: the place is drawn by the patient."""
    rng = np.random.default_rng([*scene.case.encode(), *fault.encode(), int(10 * abs(severity))])
    return plant(scene, fault, severity, rng)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    task: Task
    candidate: str
    instruments: Instruments

    def read(
        self,
        scene: Scene,
        made: Planted,
        *,
        alone: bool = False,
        fault: str = CLEAN,
        severity: float = 0.0,
        clean_of: tuple[str, float] | None = None,
        suffix: str = "",
    ) -> ImageReading:
        pair = Pair(
            reference=made.reference,
            synthetic=made.synthetic,
            mask=scene.body,
            source=made.source,
            structures=scene.structures,
            instruments=self.instruments,
        )
        who, profile = self.task.someone, self.task.profile
        measured = measure_pair(
            pair,
            families=families_of(profile, alone=alone),
            settings=settings_for(profile, alone=alone, dose=self.task.dose),
            case=who.case + suffix,
            patient=who.case,
            site=who.site,
        )
        return ImageReading(
            case=who.case + suffix,
            patient=who.case,
            site=who.site,
            candidate=self.candidate,
            fault=fault,
            severity=severity,
            clean_of=clean_of,
            rows=tuple(wanted(measured.rows, profile, alone=alone)),
        )
