"""The verb ``list``: what is registered, with every fact of each entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from qa_suite.cli import console


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("list")(list_)


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="metrics, families, segmenters, engines, plans, hluts, translators, models,"
            " instruments, criteria, hospitals or faults."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print every fact as JSON.")] = False,
) -> int:
    """List what is registered.

    Example: `qa-suite list metrics --json`
    """
    from qa_suite.errors import UnknownName
    from qa_suite.registry import unknown_name

    if kind not in KINDS:
        raise UnknownName(unknown_name("kind of entry", kind, list(KINDS)))
    rows = KINDS[kind]()
    if as_json:
        console.show_json(rows)
        return 0
    shown = _COLUMNS[kind]
    console.show_table(
        f"{len(rows)} {kind}", shown, [[_cell(row.get(c)) for c in shown] for row in rows]
    )
    return 0


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _facts(registry: Any) -> list[dict[str, Any]]:
    return [{"name": entry.name, **entry.facts.model_dump(mode="json")} for entry in registry]


def _metrics() -> list[dict[str, Any]]:
    from qa_suite.measures.run import METRICS

    return _facts(METRICS)


def _families() -> list[dict[str, Any]]:
    from qa_suite.measures.run import FAMILIES

    return _facts(FAMILIES)


def _segmenters() -> list[dict[str, Any]]:
    from qa_suite.segment.threshold import SEGMENTERS

    return _facts(SEGMENTERS)


def _engines() -> list[dict[str, Any]]:
    from qa_suite.dose.engines import ENGINES, load_engines

    load_engines()
    return _facts(ENGINES)


def _plans() -> list[dict[str, Any]]:
    from qa_suite.dose.template import load_template, shipped_templates

    found = [load_template(name) for name in shipped_templates()]
    return [
        template.model_dump(mode="json")
        | {
            "gantry_deg": [beam.gantry_deg for beam in template.beams],
            "dose_gy": template.prescribed.dose_gy,
            "fractions": template.prescribed.fractions,
        }
        for template in found
    ]


def _hluts() -> list[dict[str, Any]]:
    from qa_suite.dose.hlut import load_hlut, shipped_hluts

    return [load_hlut(name).model_dump(mode="json") for name in shipped_hluts()]


def _translators() -> list[dict[str, Any]]:
    from translators.spec import config_names, load_spec

    return [load_spec(name).model_dump(mode="json") for name in config_names()]


def _models() -> list[dict[str, Any]]:
    from qa_suite.tracking import registered_models

    return registered_models()


def _instruments() -> list[dict[str, Any]]:
    from qa_suite.instruments.registering import registered_instruments

    return registered_instruments()


def _criteria() -> list[dict[str, Any]]:
    from qa_suite.criteria import list_profiles

    return [profile.model_dump(mode="json") for profile in list_profiles()]


def _faults() -> list[dict[str, Any]]:
    from qa_suite.phantom.faults import FAULTS

    return _facts(FAULTS)


def _hospitals() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from qa_suite.phantom import HOSPITALS

    return [asdict(hospital) for hospital in HOSPITALS.values()]


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "metrics": _metrics,
    "families": _families,
    "segmenters": _segmenters,
    "engines": _engines,
    "plans": _plans,
    "hluts": _hluts,
    "translators": _translators,
    "models": _models,
    "instruments": _instruments,
    "criteria": _criteria,
    "hospitals": _hospitals,
    "faults": _faults,
}

_COLUMNS = {
    "metrics": ("name", "family", "unit", "direction", "range", "title"),
    "families": ("name", "title", "needs"),
    "segmenters": ("name", "title"),
    "engines": ("name", "modality", "hlut", "version", "believed_for"),
    "plans": ("name", "engine", "technique", "gantry_deg", "dose_gy", "fractions"),
    "hluts": ("name", "quantity", "source"),
    "translators": ("name", "family", "direction", "anatomy"),
    "instruments": ("uri", "kind", "structures", "training_sites", "aliases"),
    "models": ("uri", "direction", "anatomy", "training_sites", "aliases"),
    "criteria": ("name", "version", "direction", "anatomy", "intended_use"),
    "faults": ("name", "title", "severities", "unit", "clinical", "hits"),
    "hospitals": ("name", "mr_manufacturer", "mr_model", "ct_manufacturer", "ct_model"),
}
