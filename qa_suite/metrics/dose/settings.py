"""Settings of the family ``dose``: which plans, with which tables, judged by which gamma."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from qa_suite.core.errors import InputError
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
    site_hluts
        Site to the table that its cases are computed with instead of ``hlut``.
    only_sites
        Whether no case of another site may be computed; ``hlut`` is then one of the sites'.
    machine_stands_in
        Whether the template's machine computes the beams of the clinic's plans whatever their
        energy; otherwise each beam is computed by the machine of its energy.
    """

    model_config = _STRICT

    template: PlanTemplate
    hlut: Hlut
    other_hluts: tuple[Hlut, ...] = ()
    site_hluts: dict[str, Hlut] = Field(default_factory=dict)
    only_sites: bool = False
    machine_stands_in: bool = False

    @model_validator(mode="after")
    def _tables_differ(self) -> PlanChoice:
        names = [hlut.name for hlut in (self.hlut, *self.other_hluts)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the HLUT {twice[0]} is given twice; name each one once")
        return self

    @model_serializer(mode="wrap")
    def _sites_where_there_are_any(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a record without tables of sites as it was before there were any."""
        said = as_usual(self)
        if not self.site_hluts:
            said.pop("site_hluts", None)
            said.pop("only_sites", None)
        return said

    @property
    def key(self) -> str:
        """Short name of the variant: that of its template."""
        return self.template.name

    def at(self, site: str) -> PlanChoice:
        """Return the choice for the cases of one site, with the one table that holds there.

        Raises
        ------
        InputError
            If the site has no table of its own and there is none for the others.
        """
        own = self.site_hluts.get(site)
        if own is None and self.only_sites:
            raise InputError(
                f"The plan {self.key} has no HLUT for the site {site}: it has those of "
                f"{', '.join(sorted(self.site_hluts))} and none for all others."
            )
        table = own or self.hlut
        others = tuple(other for other in self.other_hluts if other.name != table.name)
        return self.model_copy(
            update={"hlut": table, "other_hluts": others, "site_hluts": {}, "only_sites": False}
        )


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

    def at(self, site: str) -> DoseSettings:
        """Return the settings for the cases of one site; see :meth:`PlanChoice.at`."""
        if not any(choice.site_hluts for choice in self.plans):
            return self
        return self.model_copy(update={"plans": tuple(choice.at(site) for choice in self.plans)})

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
