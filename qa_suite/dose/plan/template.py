"""What a plan is told before there is a patient: beams, prescription, target, objectives.

Templates are YAML for people; those that come with the suite lie in ``plans/``. They drive a
surrogate, never a treatment: no plan is ever exported.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import parse_yaml, read_yaml
from qa_suite.dose.dvh.goals import Goal

Modality = Literal["photons", "protons"]
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_FOLDER = "shipped"


class BeamTemplate(BaseModel):
    """One beam's angles, IEC 61217, in degrees."""

    model_config = _STRICT

    gantry_deg: float = Field(ge=0, lt=360)
    couch_deg: float = Field(default=0.0, ge=0, lt=360)
    collimator_deg: float = Field(default=0.0, ge=0, lt=360)
    name: str = ""

    @property
    def label(self) -> str:
        """Its name, or its gantry angle as people write it (``G090``)."""
        return self.name or f"G{self.gantry_deg:03.0f}"


class Prescription(BaseModel):
    """Dose of the whole course to the target, in Gy (for protons: physical dose, no RBE)."""

    model_config = _STRICT

    dose_gy: float = Field(gt=0)
    fractions: int = Field(ge=1)
    coverage_pct: float = Field(
        default=95.0, gt=0, le=100, description="share of the target that gets ..."
    )
    coverage_dose_pct: float = Field(default=95.0, gt=0, description="... this share of dose_gy")


class TargetRule(BaseModel):
    """Where the PTV comes from: the first structure that the case has, grown by a margin."""

    model_config = _STRICT

    structures: tuple[str, ...] = Field(min_length=1, description="in order of preference")
    margin_mm: float = Field(default=0.0, ge=0)
    unions: bool = Field(default=False, description="take all of them together, not the first")


class PlanTemplate(BaseModel):
    """One plan before there is a patient.

    Parameters
    ----------
    prescription
        Of a plan that is imported it may be missing: each case's RTPLAN brings its own.
    targets
        Rules in order of preference: a delineated PTV first, then a target with a margin.
    engine
        Name of the registered dose engine.
    machine
        Machine data of the engine.
    technique
        ``conformal`` (one weight a beam), ``imrt`` (beamlets) or ``spots``; ``imported`` where
        beams and monitor units are those of each case's RTPLAN, and the template has no beams.
    grid_mm
        Voxels of the dose grid.
    arc_step_deg
        Most that gantry, collimator or couch turn within one field of an arc of the clinic's; what
        that does to dose stands in :mod:`qa_suite.dose.clinic.arcs`.
    aperture_margin_mm
        From the target's outline in the beam's eye view to the field's edge.
    """

    model_config = _STRICT

    name: str = Field(min_length=1)
    modality: Modality
    anatomy: str
    engine: str
    machine: str
    technique: Literal["conformal", "imrt", "spots", "imported"]
    beams: tuple[BeamTemplate, ...] = ()
    prescription: Prescription | None = None
    targets: tuple[TargetRule, ...] = Field(min_length=1)
    grid_mm: float = Field(default=3.0, gt=0, le=10)
    aperture_margin_mm: float = Field(default=7.0, ge=0)
    arc_step_deg: float = Field(default=4.0, ge=1, le=10)
    beamlet_mm: float = Field(default=5.0, gt=0)
    goals: tuple[Goal, ...] = ()
    source: str = Field(min_length=1, description="where prescription and goals come from")

    @model_validator(mode="after")
    def _one_sense(self) -> PlanTemplate:
        photon = self.modality == "photons"
        imported = self.technique == "imported"
        if not imported and photon != (self.technique in ("conformal", "imrt")):
            raise ValueError(f"{self.modality} have no technique '{self.technique}'")
        if imported == bool(self.beams):
            raise ValueError(
                "an imported plan brings its own beams; give none"
                if imported
                else "a plan needs at least one beam"
            )
        if self.prescription is None and not imported:
            raise ValueError("a plan needs a prescription")
        labels = [beam.label for beam in self.beams]
        if len(set(labels)) != len(labels):
            raise ValueError(f"two beams have one name: {', '.join(labels)}")
        return self

    @property
    def prescribed(self) -> Prescription:
        """The prescription, of a template that has one.

        Raises
        ------
        InputError
            If it is imported, and no case's plan gave it its own.
        """
        if self.prescription is None:
            raise InputError(f"The plan {self.name} has the prescription of each case's RTPLAN.")
        return self.prescription


def shipped_templates() -> tuple[str, ...]:
    """Names of the plan templates that come with the suite."""
    files = resources.files("qa_suite.dose.plan").joinpath(_FOLDER).iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_template(name: str | Path) -> PlanTemplate:
    """Load a shipped template by its name, or one of your own from a YAML file.

    Raises
    ------
    InputError
        If there is no such file.
    UnknownName
        If no template of this name is shipped.
    Problems
        With everything that is wrong in it.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"There is no plan template at {path}.")
        data = read_yaml(path)
    elif str(name) in shipped_templates():
        shipped = resources.files("qa_suite.dose.plan").joinpath(_FOLDER, f"{name}.yaml")
        data = parse_yaml(shipped.read_text(), str(name))
    else:
        raise UnknownName(unknown_name("plan template", str(name), list(shipped_templates())))
    try:
        return _beside(path, PlanTemplate.model_validate(data))
    except ValidationError as error:
        raise Problems(f"The plan template {name}", describe_validation(error)) from None


def _beside(path: Path, template: PlanTemplate) -> PlanTemplate:
    """Find a machine's file beside the template that names it."""
    machine = path.parent / template.machine
    if Path(template.machine).suffix and machine.is_file():
        return template.model_copy(update={"machine": str(machine)})
    return template
