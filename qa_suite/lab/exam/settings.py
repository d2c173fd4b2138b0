"""What the exam is told: which patients, candidates and faults, how many clean cohorts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.volume import Triple
from qa_suite.lab.exam.scenes import SPACING_MM
from qa_suite.lab.faults import FAULTS
from qa_suite.lab.phantom.candidates import BULK, CANDIDATES, REALISTIC, TWIN

TUNING_SEED = 1
"""The bounds of the profiles were chosen on patients of this seed, and on no other."""
REPORTED_SEED = 7


class ExamSettings(BaseModel):
    """Settings of one exam.

    Parameters
    ----------
    profile
        Name or path of the criteria that are examined.
    candidates
        Whose clean images the faults are planted into, each on its own.
    clean_only
        Candidates of whom one clean cohort is judged and nothing more.
    patients
        Virtual patients of each hospital in a cohort.
    spacing_mm
        Their voxels.
    seed
        Of the patients; see :data:`TUNING_SEED`.
    clean_cohorts
        Cohorts without a fault, each of other patients, for the false-alarm rate; the first
        of them is the one that the faults are planted into.
    faults
        Names of the faults; None is all.
    clinical_only
        Whether to plant each fault at its clinical severity alone.
    trials
        Different patients that a fault of one patient is planted into, one at a time.
    alone
        Whether to look without a reference too.
    alone_images
        Images of a fault of many patients that are looked at without a reference.
    hluts
        Tables for the plans that a profile judges by dose; each takes the first that fits.
    dose_grid_mm
        Voxels of their dose grid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    profile: str = "mr-to-ct-pelvis"
    candidates: tuple[str, ...] = Field(default=(TWIN, REALISTIC), min_length=1)
    clean_only: tuple[str, ...] = (BULK,)
    patients: dict[str, int] = Field(default={"A": 24, "B": 24, "C": 12}, min_length=1)
    spacing_mm: Triple = SPACING_MM
    seed: int = Field(default=REPORTED_SEED, ge=0)
    clean_cohorts: int = Field(default=59, ge=1)
    faults: tuple[str, ...] | None = None
    clinical_only: bool = False
    trials: int = Field(default=5, ge=1)
    alone: bool = True
    alone_images: int = Field(default=12, ge=1)
    hluts: tuple[str, ...] = ("thomas-1999", "stoichiometric-schneider")
    dose_grid_mm: float = Field(default=6.0, gt=0, le=10)

    @model_validator(mode="after")
    def _names_exist(self) -> ExamSettings:
        for name in self.faults or ():
            FAULTS[name]
        for name in (*self.candidates, *self.clean_only):
            CANDIDATES[name]
        if len(set(self.candidates)) < len(self.candidates):
            raise ValueError(f"a candidate stands twice: {', '.join(self.candidates)}")
        if self.alone and self.clean_cohorts < 2:
            raise ValueError(
                "looking without a reference learns its limits from a second clean cohort: take "
                "--clean-cohorts 2 or more, or --no-alone"
            )
        return self

    @property
    def fault_names(self) -> tuple[str, ...]:
        """The faults to plant, in alphabetical order."""
        return self.faults if self.faults is not None else tuple(e.name for e in FAULTS)

    @property
    def checked(self) -> tuple[str, ...]:
        """The candidates of whom one clean cohort is judged and nothing more."""
        return tuple(name for name in self.clean_only if name not in self.candidates)

    def severities(self, fault: str) -> tuple[float, ...]:
        """Return the severities at which a fault is planted."""
        facts = FAULTS[fault].facts
        return (facts.clinical,) if self.clinical_only else facts.severities
