"""Settings of the family ``dose``: which plans, with which tables, judged by which gamma."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.dose.clinic.given import ClinicRequest
from qa_suite.dose.dvh.curve import HIGHEST_PRESCRIPTION_GY
from qa_suite.dose.gamma import GammaCriterion, GammaSettings
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.template import PlanTemplate

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PlanChoice(BaseModel):
    """One plan and the table that turns HU into what its engine needs; neither has a default.

    Parameters
    ----------
    template
        The whole template, so that the record says what was planned.
    hlut
        The table that both images are read with.
    other_hluts
        Tables that the reference's dose is computed with too, to show what the table decides.
    machine_stands_in
        Whether the template's machine computes the beams of the clinic's plans whatever their
        energy; otherwise each beam is computed by the machine of its energy.
    """

    model_config = _STRICT

    template: PlanTemplate
    hlut: Hlut
    other_hluts: tuple[Hlut, ...] = ()
    machine_stands_in: bool = False

    @model_validator(mode="after")
    def _tables_differ(self) -> PlanChoice:
        names = [hlut.name for hlut in (self.hlut, *self.other_hluts)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the HLUT {twice[0]} is given twice; name each one once")
        return self

    @property
    def key(self) -> str:
        """Short name of the variant: that of its template."""
        return self.template.name


class DoseSettings(BaseModel):
    """Settings of the family ``dose``.

    Parameters
    ----------
    plans
        Plans to compute; none by default, for the HLUT is an input and is never guessed.
    rtplans
        Whether the clinic's RTPLAN of each case gives beams, monitor units and prescription; the
        templates then say target, goals and engine only.
    prescription_gy, fractions
        Dose of the whole course to the target and its fractions, where the user states them
        instead of templates and plans.
    protons_per_mu
        Protons of one monitor unit, for RTPLANs of ions that count monitor units; None leaves it
        to the machine's file.
    clinic
        Template whose target, prescription and goals the doses of the clinic's planning system
        are judged by; None where there are none.
    clinic_request
        What the files of those doses are said to be, beyond physical doses of a plan in Gy.
    grid_mm
        Voxels of the dose grid instead of the templates'.
    gamma, gamma_settings
        Criteria and search of the gamma index.
    support_hu
        Structure (couch, immobilisation) to the HU that both images get there.
    causes
        Whether to tell the outline's, air's, soft tissue's and bone's share of the difference.
    bulk
        Whether to compute the bulk-density dose as an independent check.
    scenarios
        Whether to compute set-up and range scenarios of proton plans.
    most_samples
        Samples of a prediction that are computed as dose scenarios; the first ones.
    device
        Where photon doses are computed: ``cpu``, ``cuda`` or ``cuda:1``. A fact of the machine,
        not of what is measured: it is left out of what is written, so that records made on
        different machines stay comparable.
    """

    model_config = _STRICT

    plans: tuple[PlanChoice, ...] = ()
    rtplans: bool = False
    clinic: PlanTemplate | None = None
    prescription_gy: float | None = Field(default=None, gt=0, le=HIGHEST_PRESCRIPTION_GY)
    fractions: int | None = Field(default=None, ge=1)
    clinic_request: ClinicRequest = ClinicRequest()
    protons_per_mu: float | None = Field(default=None, gt=0)
    grid_mm: float | None = Field(default=None, gt=0, le=10)
    gamma: tuple[GammaCriterion, ...] = (
        GammaCriterion(dose_pct=3, distance_mm=3),
        GammaCriterion(dose_pct=2, distance_mm=2),
        GammaCriterion(dose_pct=1, distance_mm=1),
    )
    gamma_settings: GammaSettings = GammaSettings(normalisation="prescription", max_gamma=5.0)
    support_hu: dict[str, float] = Field(default_factory=dict)
    causes: bool = True
    bulk: bool = True
    scenarios: bool = True
    most_samples: int = Field(default=5, ge=0)
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", exclude=True)

    @model_validator(mode="after")
    def _plans_differ(self) -> DoseSettings:
        names = [choice.key for choice in self.plans]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the plan {twice[0]} is given twice; name each one once")
        idle = [c.key for c in self.plans if c.template.technique == "imported"]
        if idle and not self.rtplans:
            raise ValueError(f"the plan {idle[0]} has no beams of its own; it needs RTPLANs")
        taken = {"default"} | ({"clinic"} if self.clinic is not None else set())
        if taken & set(names):
            raise ValueError(f"a plan cannot be called {min(taken & set(names))}; rename it")
        return self
