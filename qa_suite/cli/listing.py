"""The verb ``list``: what is registered, with every fact of each entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa_suite.cli import console

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


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("list")(list_)


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="metrics, families, segmenters, engines, plans, machines, hluts, translators,"
            " models, instruments, evaluations, profiles, hospitals or faults."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print every fact as JSON.")] = False,
) -> int:
    """List what is registered.

    Example: `qa-suite list metrics --json`
    """
    from qa_suite.core.errors import UnknownName
    from qa_suite.core.registry import unknown_name

    if kind not in KINDS:
        raise UnknownName(unknown_name("kind of entry", kind, list(KINDS)))
    rows = KINDS[kind]()
    if as_json:
        console.show_json(rows)
        return 0
    shown = _COLUMNS[kind]
    console.show_table(
        f"{len(rows)} {kind}",
        shown,
        [[_cell(row.get(c)) for c in shown] for row in rows],
        whole=("name",),
    )
    if below := _BELOW.get(kind):
        for row in rows:
            console.show(f"{row['name']}: {row[below]}")
    return 0


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _facts(registry: Any) -> list[dict[str, Any]]:
    return [{"name": entry.name, **entry.facts.model_dump(mode="json")} for entry in registry]


def _metrics() -> list[dict[str, Any]]:
    from qa_suite.metrics.run import METRICS

    return _facts(METRICS)


def _families() -> list[dict[str, Any]]:
    from qa_suite.metrics.run import FAMILIES

    return _facts(FAMILIES)


def _segmenters() -> list[dict[str, Any]]:
    from qa_suite.instruments.threshold import SEGMENTERS

    return _facts(SEGMENTERS)


def _translators() -> list[dict[str, Any]]:
    from translators.spec import config_names, load_spec

    return [load_spec(name).model_dump(mode="json") for name in config_names()]


def _models() -> list[dict[str, Any]]:
    from qa_suite.evaluation.registered import registered_models

    return registered_models()


def _evaluations() -> list[dict[str, Any]]:
    """Return the evaluations that lie where 'evaluate' puts them, each with what it comes to."""
    from pathlib import Path

    from qa_suite.core.errors import QAError
    from qa_suite.core.record_files import read_evaluation
    from qa_suite.core.record_names import EVALUATION_FILE
    from qa_suite.core.verdict_files import overall

    rows: list[dict[str, Any]] = []
    for path in sorted(Path("evaluations").glob(f"*/{EVALUATION_FILE}")):
        try:
            record, judged = read_evaluation(path.parent), overall(path.parent)
        except QAError as error:
            rows.append({"name": path.parent.name, "outcome": f"cannot be used: {error}"})
            continue
        last = judged.written[-1].verdict.evidence if judged.written else None
        rows.append(
            {
                "name": path.parent.name,
                "evaluation": record.evaluation,
                "model": record.model.uri,
                "cohort": record.cohort.name,
                "outcome": judged.outcome,
                "verdicts": len(judged.written),
                "standing": [one.title for one in judged.standing],
                "profiles tried": sum(one.bounds > 0 for one in judged.tried),
                "protocol": "unknown" if last is None else last.protocol.state,
            }
        )
    return rows


def _instruments() -> list[dict[str, Any]]:
    from qa_suite.instruments.registering import registered_instruments

    return registered_instruments()


def _profiles() -> list[dict[str, Any]]:
    from qa_suite.judging.criteria import list_profiles
    from qa_suite.judging.criteria.asked import question_of

    rows = []
    for profile in list_profiles():
        asks = {question_of(c.metric, c.region) for c in profile.criteria}
        use = "clinical" if profile.clinical else "no clinical decision"
        exam = profile.examined
        more = {
            "use": use,
            "asks": sorted(asks),
            "exam": "not said" if exam is None else f"{exam.on} {exam.version}".strip(),
            "told": f"{profile.intended_use} Examined: {profile.exam}.",
        }
        rows.append(profile.model_dump(mode="json") | more)
    return rows


def _faults() -> list[dict[str, Any]]:
    from qa_suite.lab.faults import FAULTS

    return _facts(FAULTS)


def _hospitals() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from qa_suite.lab.phantom import HOSPITALS

    return [asdict(hospital) for hospital in HOSPITALS.values()]


def _engines() -> list[dict[str, Any]]:
    from qa_suite.dose.engines import ENGINES, load_engines

    load_engines()
    return [{"name": entry.name, **entry.facts.model_dump(mode="json")} for entry in ENGINES]


def _plans() -> list[dict[str, Any]]:
    from qa_suite.dose.plan.template import load_template, shipped_templates

    return [_plan(load_template(name)) for name in shipped_templates()]


def _machines() -> list[dict[str, Any]]:
    from qa_suite.dose.machines.by_name import all_machines

    return [_machine(machine) for machine in all_machines()]


def _hluts() -> list[dict[str, Any]]:
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


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "metrics": _metrics,
    "families": _families,
    "segmenters": _segmenters,
    "engines": _engines,
    "plans": _plans,
    "machines": _machines,
    "hluts": _hluts,
    "translators": _translators,
    "models": _models,
    "instruments": _instruments,
    "evaluations": _evaluations,
    "profiles": _profiles,
    "criteria": _profiles,  # as they were called
    "hospitals": _hospitals,
    "faults": _faults,
}

_PROFILE = ("name", "version", "direction", "anatomy", "use", "exam", "asks")
_BELOW = {
    "profiles": "told",
    "criteria": "told",
    "plans": "target",
    "machines": "source",
    "hluts": "source",
}
"""What is too long for a column, and stands under the table."""
_COLUMNS = {
    "metrics": ("name", "family", "unit", "direction", "range", "kind", "title"),
    "families": ("name", "title", "needs"),
    "segmenters": ("name", "title"),
    "engines": ("name", "modality", "hlut", "version", "believed_for"),
    "plans": ("name", "machine", "technique", "gantry", "dose / fractions"),
    "machines": ("name", "energy", "TPR20,10", "SAD", "1 MU"),
    "hluts": ("name", "gives", "HU", *LANDMARK_COLUMNS),
    "translators": ("name", "family", "direction", "anatomy"),
    "instruments": ("uri", "kind", "structures", "training_sites", "aliases"),
    "models": ("uri", "direction", "anatomy", "training_sites", "aliases"),
    "evaluations": ("name", "model", "cohort", "outcome", "verdicts", "profiles tried", "protocol"),
    "profiles": _PROFILE,
    "criteria": _PROFILE,
    "faults": ("name", "title", "severities", "unit", "clinical", "hits"),
    "hospitals": ("name", "mr_manufacturer", "mr_model", "ct_manufacturer", "ct_model"),
}
