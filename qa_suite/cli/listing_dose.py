"""What ``list`` says of dose: plan templates, machines and tables, by what chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qa_suite.dose.machines.by_name import Machine
    from qa_suite.dose.plan.template import PlanTemplate

LANDMARKS_HU = (-700, 0, 1000, 2000)
"""Where tables are compared: lung, water, cortical bone, enamel."""
LANDMARK_COLUMNS = tuple(f"at {hu}" for hu in LANDMARKS_HU)
QUANTITIES = {
    "relative_electron_density": "electron density",
    "relative_stopping_power": "stopping power",
    "mass_density_g_cm3": "mass density",
}


def engines() -> list[dict[str, Any]]:
    """List the dose engines."""
    from qa_suite.dose.engines import ENGINES, load_engines

    load_engines()
    return [{"name": entry.name, **entry.facts.model_dump(mode="json")} for entry in ENGINES]


def plans() -> list[dict[str, Any]]:
    """List the plan templates: what is planned, on which machine, with which dose and target."""
    from qa_suite.dose.plan.template import load_template, shipped_templates

    return [_plan(load_template(name)) for name in shipped_templates()]


def machines() -> list[dict[str, Any]]:
    """List the machines: energy, beam quality, distance, calibration, source."""
    from qa_suite.dose.machines.by_name import all_machines

    return [_machine(machine) for machine in all_machines()]


def hluts() -> list[dict[str, Any]]:
    """List the HLUTs: quantity, reach, and values where tables differ."""
    from qa_suite.dose.hlut.tables import load_hlut, shipped_hluts

    rows = []
    for name in shipped_hluts():
        table = load_hlut(name)
        low, high = table.points[0][0], table.points[-1][0]
        values = {
            column: f"{table.at(hu):.3f}"
            for column, hu in zip(LANDMARK_COLUMNS, LANDMARKS_HU, strict=True)
        }
        gives = {"gives": QUANTITIES[table.quantity], "HU": f"{low:g}…{high:g}"}
        rows.append(table.model_dump(mode="json") | gives | values)
    return rows


def _plan(template: PlanTemplate) -> dict[str, Any]:
    rx = template.prescription
    dose = "" if rx is None else f"{rx.dose_gy:g} Gy / {rx.fractions}"
    return template.model_dump(mode="json") | {
        "gantry_deg": [beam.gantry_deg for beam in template.beams],
        "gantry": " ".join(f"{beam.gantry_deg:g}°" for beam in template.beams),
        "dose_gy": None if rx is None else rx.dose_gy,
        "fractions": None if rx is None else rx.fractions,
        "dose / fractions": dose,
        "target": "; ".join(_rule(rule.structures, rule.margin_mm) for rule in template.targets),
    }


def _rule(structures: Sequence[str], margin_mm: float) -> str:
    return " or ".join(structures) + (f" + {margin_mm:g} mm" if margin_mm else "")


def _machine(machine: Machine) -> dict[str, Any]:
    from qa_suite.dose.machines.photon import PhotonMachine

    facts = machine.model_dump(mode="json")
    sad = "parallel" if machine.sad_mm is None else f"{machine.sad_mm:g} mm"
    if isinstance(machine, PhotonMachine):
        more = {
            "energy": machine.quality,
            "TPR20,10": f"{machine.tpr_20_10:.4g}",
            "1 MU": machine.calibration.words,
        }
    else:
        energies = f"{machine.lowest_mev:g} to {machine.highest_mev:g} MeV"
        more = {"energy": energies, "TPR20,10": "–", "1 MU": "–"}
    return facts | {"SAD": sad} | more
