"""What the verbs ask about dose: plans, tables, targets, goals, prescription, device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_suite.cli.options import Options, option
from qa_suite.core.errors import InputError, Problems

if TYPE_CHECKING:
    from qa_suite.dose.clinic.given import ClinicRequest
    from qa_suite.dose.plan.template import Modality, PlanTemplate
    from qa_suite.metrics.dose.settings import DoseSettings

HLUT_HELP = (
    "HU to density: a shipped table, a YAML file, or two columns of HU and value as red:FILE "
    "(electron density), rsp:FILE (stopping power) or density:FILE; the first that fits a plan."
)
SITE_HLUT_HELP = f"{HLUT_HELP} SITE=TABLE for the cases of one site alone."


class DoseOptions(Options):
    """What verbs that compute dose are asked about it."""

    plans: tuple[str, ...] = option(
        (), "Plan template to compute dose with; may be repeated, needs --hlut.", "plan"
    )
    hluts: tuple[str, ...] = option((), HLUT_HELP, "hlut")
    targets: tuple[str, ...] = option(
        (),
        "Structure that plans aim at, as drawn; may be repeated: the first that is there. "
        "Default: by the rules of --plan.",
        "target",
    )
    goals: str | None = option(
        None, "Clinical goals: a YAML list, or the template to take them from."
    )
    machines: tuple[str, ...] = option(
        (),
        "Machine, or YAML file, that computes every beam, whatever its energy; default: that "
        "of each beam's energy, or the template's.",
        "machine",
    )
    prescription_gy: float | None = option(
        None, "Dose of the course to the target in Gy; default: the plan's for it."
    )
    fractions: int | None = option(None, "Fractions of the course; default: the plan's.")
    protons_per_mu: float | None = option(
        None, "Protons of one monitor unit, for an ion RTPLAN that counts monitor units."
    )
    arc_step_deg: float | None = option(
        None, "Most that one field of an RTPLAN's arc turns, 1 to 10 degrees; default 4."
    )
    grid_mm: float | None = option(
        None, "Voxels of the dose grid; default: the template's.", "dose_grid_mm"
    )
    device: str = option("auto", "Where photon dose is computed: auto, cpu, cuda, cuda:1 ...")


@dataclass(frozen=True, kw_only=True)
class ClinicDoses:
    """What the clinic's planning system gives of the cases.

    Parameters
    ----------
    rtplans
        Modality of each of its plans that drive the surrogate, by its path; None where none do.
    goals
        Template that judges its doses; None where there are none.
    request
        What those doses are said to be.
    """

    rtplans: Mapping[Path, Modality] | None = None
    goals: str | None = None
    request: ClinicRequest | None = None


def dose_settings(
    asked: DoseOptions,
    clinic: ClinicDoses | None = None,
    others: Mapping[str, Any] | None = None,
    *,
    sites: Sequence[str] = (),
) -> DoseSettings | None:
    """Match plans with their tables; None without a plan and without doses of the clinic.

    Each plan takes the first table of a quantity that its engine takes; further tables of that
    quantity show what the table decides. Without a template, the clinic's plans are computed by
    one of their own that has no goals but those that were asked for. ``others`` are the settings
    that no option reaches, ``sites`` those whose cases are computed: each may have tables of its
    own.

    Raises
    ------
    InputError
        If a plan finds no table, a table fits no plan, or an option lacks its other half.
    Problems
        With every table that is for a site which there is not.
    """
    from pydantic import ValidationError

    from qa_suite.cli.site_hluts import parted, require_used, tables_of
    from qa_suite.core.validation import describe_validation
    from qa_suite.dose.clinic.given import ClinicRequest
    from qa_suite.dose.hlut.tables import load_hlut
    from qa_suite.dose.machines.by_name import find_machine
    from qa_suite.dose.plan.template import load_template
    from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice

    clinic = clinic or ClinicDoses()
    planned = bool(asked.plans) or clinic.rtplans is not None
    _require_halves(asked, clinic, planned)
    if not planned and clinic.goals is None:
        return None
    for word, given in (("--plan", asked.plans), ("--hlut", asked.hluts)):
        twice = sorted({name for name in given if list(given).count(name) > 1})
        if twice:
            raise InputError(f"{word} names {', '.join(twice)} twice; once is enough.")
    words, of_sites = parted(asked.hluts, sites)
    tables = [load_hlut(name) for name in words]
    site_tables = {site: [load_hlut(name) for name in named] for site, named in of_sites.items()}
    templates = [load_template(name) for name in asked.plans]
    if not templates:
        templates = [_template_of_the_clinic(asked, clinic.rtplans or {})] if planned else []
    driven = _driven_by(templates, asked.machines)
    stated = {find_machine(name).modality for name in asked.machines}
    choices = [(one, tables_of(one, tables, site_tables, sites)) for one in driven]
    require_used([fitting for _, fitting in choices], tables, site_tables)
    place = _device(templates, asked.device)
    judged = None if clinic.goals is None else load_template(clinic.goals)
    try:
        return DoseSettings(
            plans=tuple(
                PlanChoice(
                    template=_aimed(template, asked),
                    hlut=fitting.default,
                    other_hluts=fitting.others,
                    site_hluts=fitting.of_sites,
                    only_sites=fitting.only_sites,
                    machine_stands_in=template.modality in stated,
                )
                for template, fitting in choices
            ),
            grid_mm=asked.grid_mm,
            rtplans=clinic.rtplans is not None,
            device=place,
            prescription_gy=asked.prescription_gy,
            fractions=asked.fractions,
            protons_per_mu=asked.protons_per_mu,
            clinic=None if judged is None else _aimed(judged, asked),
            clinic_request=clinic.request or ClinicRequest(),
            **(others or {}),
        )
    except ValidationError as error:
        raise Problems("The dose settings", describe_validation(error)) from None


def _require_halves(asked: DoseOptions, clinic: ClinicDoses, planned: bool) -> None:
    """Refuse options that say something about a plan where there is none."""
    if asked.hluts and not planned:
        raise InputError("--hlut needs a --plan or an RTPLAN that it is for.")
    if asked.device not in ("auto", "cpu") and not planned:
        raise InputError(f"--device {asked.device} needs a --plan or an RTPLAN to compute there.")
    if asked.protons_per_mu is not None and "protons" not in (clinic.rtplans or {}).values():
        raise InputError("--protons-per-mu needs an RTPLAN of ions that it is for.")
    if asked.arc_step_deg is not None and "photons" not in (clinic.rtplans or {}).values():
        raise InputError("--arc-step-deg needs an RTPLAN of photons that it is for.")
    if asked.arc_step_deg is not None and not 1 <= asked.arc_step_deg <= 10:
        raise InputError(f"--arc-step-deg is 1 to 10 degrees, not {asked.arc_step_deg:g}.")
    if planned or clinic.goals is not None:
        return
    given = {
        "--target": asked.targets,
        "--goals": asked.goals,
        "--fractions": asked.fractions,
        "--prescription-gy": asked.prescription_gy,
        "--machine": asked.machines,
    }
    if idle := [word for word, value in given.items() if value]:
        raise InputError(
            f"{' and '.join(idle)} need a plan to speak of: --plan, an RTPLAN, or in "
            f"'qa-suite evaluate COHORT MODEL --clinic FOLDER --clinic-goals TEMPLATE' doses."
        )


def _driven_by(templates: Sequence[PlanTemplate], names: Sequence[str]) -> list[PlanTemplate]:
    """Give each template the machine of its modality that was asked for.

    Raises
    ------
    InputError
        If a machine is unknown or fits no plan, or two fit one.
    """
    from qa_suite.dose.machines.by_name import find_machine, machine_of, with_machine

    modalities = {template.modality for template in templates}
    for name in names:
        does = find_machine(name).modality
        if does not in modalities:
            raise InputError(f"--machine {name} is one of {does}, and no plan is.")
    driven = [with_machine(template, names) or template for template in templates]
    for template in driven:
        machine_of(template)  # an unknown one is refused before anything is computed
    return driven


def _template_of_the_clinic(asked: DoseOptions, plans: Mapping[Path, Modality]) -> PlanTemplate:
    """Return the template of RTPLANs that are computed without one of the suite's.

    Raises
    ------
    InputError
        If there is no plan, they are of two modalities, or no target is named.
    """
    from qa_suite.dose.clinic.template import imported_template

    if not plans:
        raise InputError("No case has an RTPLAN (plan.dcm) to be computed.")
    kinds = sorted(set(plans.values()))
    if len(kinds) > 1:
        one = [next(path for path, what in plans.items() if what == kind) for kind in kinds]
        raise InputError(
            f"{one[0]} is a plan of {kinds[0]} and {one[1]} one of {kinds[1]}; evaluate them apart."
        )
    if not asked.targets:
        raise InputError(
            "An RTPLAN does not say which structure is judged as its target: name it with "
            "--target, or give a --plan with its rules."
        )
    return imported_template(kinds[0], targets=asked.targets)


def _aimed(template: PlanTemplate, asked: DoseOptions) -> PlanTemplate:
    """Give a template the targets and goals that were asked for."""
    from qa_suite.dose.clinic.template import goals_of
    from qa_suite.dose.plan.template import TargetRule

    change: dict[str, object] = {}
    if asked.targets:
        change["targets"] = tuple(TargetRule(structures=(name,)) for name in asked.targets)
    if asked.arc_step_deg is not None:
        change["arc_step_deg"] = asked.arc_step_deg
    if asked.goals is not None:
        change["goals"] = goals_of(asked.goals)
    return template.model_copy(update=change)


def _device(templates: Sequence[PlanTemplate], asked: str) -> str:
    """Return the device to compute plans on; ``auto`` takes a GPU where there is one and a use.

    Raises
    ------
    InputError
        If the device is unknown, absent, or no plan can be computed there.
    """
    from qa_suite.dose.engines import can_compute_on
    from qa_suite.learning.devices import pick_device

    if asked == "auto" and not any(can_compute_on(template, "cuda") for template in templates):
        return "cpu"
    found = str(pick_device(asked))
    if not any(can_compute_on(template, found) for template in templates):
        names = ", ".join(template.name for template in templates)
        raise InputError(f"--device {asked} has no use: {names} can be computed on the CPU only.")
    return found
