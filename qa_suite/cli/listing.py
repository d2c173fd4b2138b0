"""The verb ``list``: what is registered, with every fact of each entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from qa_suite.cli import console, listing_dose


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    app.command("list")(list_)


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="metrics, families, segmenters, engines, plans, machines, hluts, translators,"
            " models, instruments, criteria, hospitals or faults."
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
    from qa_suite.evaluation.tracking import registered_models

    return registered_models()


def _instruments() -> list[dict[str, Any]]:
    from qa_suite.instruments.registering import registered_instruments

    return registered_instruments()


def _criteria() -> list[dict[str, Any]]:
    from qa_suite.judging.criteria import list_profiles

    return [profile.model_dump(mode="json") for profile in list_profiles()]


def _faults() -> list[dict[str, Any]]:
    from qa_suite.lab.faults import FAULTS

    return _facts(FAULTS)


def _hospitals() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from qa_suite.lab.phantom import HOSPITALS

    return [asdict(hospital) for hospital in HOSPITALS.values()]


KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "metrics": _metrics,
    "families": _families,
    "segmenters": _segmenters,
    "engines": listing_dose.engines,
    "plans": listing_dose.plans,
    "machines": listing_dose.machines,
    "hluts": listing_dose.hluts,
    "translators": _translators,
    "models": _models,
    "instruments": _instruments,
    "criteria": _criteria,
    "hospitals": _hospitals,
    "faults": _faults,
}

_BELOW = {"plans": "target", "machines": "source", "hluts": "source"}
"""What is too long for a column, and stands under the table."""
_COLUMNS = {
    "metrics": ("name", "family", "unit", "direction", "range", "title"),
    "families": ("name", "title", "needs"),
    "segmenters": ("name", "title"),
    "engines": ("name", "modality", "hlut", "version", "believed_for"),
    "plans": ("name", "machine", "technique", "gantry", "dose / fractions"),
    "machines": ("name", "energy", "TPR20,10", "SAD", "1 MU"),
    "hluts": ("name", "gives", "HU", *listing_dose.LANDMARK_COLUMNS),
    "translators": ("name", "family", "direction", "anatomy"),
    "instruments": ("uri", "kind", "structures", "training_sites", "aliases"),
    "models": ("uri", "direction", "anatomy", "training_sites", "aliases"),
    "criteria": ("name", "version", "direction", "anatomy", "intended_use"),
    "faults": ("name", "title", "severities", "unit", "clinical", "hits"),
    "hospitals": ("name", "mr_manufacturer", "mr_model", "ct_manufacturer", "ct_model"),
}
