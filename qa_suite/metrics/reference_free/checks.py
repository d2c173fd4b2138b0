"""How a check without a reference is written down: its facts, its regions and its needs.

The facts of a check are declared together with its function: there is no other place to touch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from qa_suite.core.errors import QAError
from qa_suite.core.measure_kinds import Kind
from qa_suite.core.plugins import load_plugins
from qa_suite.core.volume import Quantity
from qa_suite.metrics.base import Censored, NoValue, Value, as_value, failed, undefined
from qa_suite.metrics.facts import METRICS, PLUGIN_GROUP, MetricFacts
from qa_suite.metrics.meaning import has_meaning
from qa_suite.metrics.reference_free.patient import Patient, Scene
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

FAMILY = "reference_free"

Need = Literal["finite", "hu", "outlined", "body", "source", "bodies", "norms", "inverse", "spread"]
Answer = float | Censored | NoValue
Function = Callable[[Scene, str], Answer]

_EMPTY: dict[Need, str] = {
    "finite": "a voxel of the synthetic image that is not finite is an error",
    "hu": "left out where the synthetic image is not in HU",
    "outlined": "left out where the synthetic image is neither in HU nor in arbitrary units",
    "body": "undefined where the synthetic image shows no body",
    "source": "undefined without a source; a voxel of it that is not finite is an error",
    "bodies": "undefined where an image shows no body",
    "norms": "undefined without norms of a training cohort",
    "inverse": "undefined without an inverse translator",
    "spread": "undefined where the translator gives neither a std nor two samples",
}
_QUANTITIES: dict[Need, tuple[Quantity, ...]] = {
    "hu": ("HU",),
    "norms": ("HU",),
    "outlined": ("HU", "arbitrary"),
}
_BECAUSE: dict[Need, str] = {
    "hu": "defined by HU",
    "norms": "norms are learnt of real images in HU",
    "outlined": "the body's outline is told in CT and MR alone",
}
SUITE = "Definition of this suite"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One registered check."""

    metric: str
    regions: tuple[str, ...]
    needs: tuple[Need, ...]
    function: Function


CHECKS: dict[str, Check] = {}


def check(
    name: str,
    *,
    title: str,
    unit: str,
    formula: str,
    direction: Literal["lower", "higher", "zero", "none"] = "none",
    value_range: str = "(-inf, inf)",
    kind: Kind = "signed",
    regions: tuple[str, ...] = ("body",),
    needs: tuple[Need, ...] = ("finite", "hu", "body"),
    reference: str = SUITE,
    empty: str = "",
    censored: str = "",
    ends: tuple[float, ...] = (),
) -> Callable[[Function], Function]:
    """Register a check: a function from a scene and a region to a number, or why there is none.

    Parameters
    ----------
    regions
        It has a row for each of them in every patient.
    needs
        What must be there before the function is called, asked in this order.
    empty
        When the function itself answers that there is no value.
    censored, ends
        When it answers with a bound only, and of which window.
    """
    rules = [_EMPTY[need] for need in needs] + ([empty] if empty else [])
    narrow = next((need for need in ("hu", "norms", "outlined") if need in needs), None)
    facts = MetricFacts(
        family=FAMILY,
        title=title,
        unit=unit,
        direction=direction,
        range=value_range,
        kind=kind,
        formula=formula,
        empty="; ".join(rules) or "always has a value",
        censored=censored,
        ends=ends,
        reference=reference,
        quantities=() if narrow is None else _QUANTITIES[narrow],
        because="" if narrow is None else _BECAUSE[narrow],
    )

    def register(function: Function) -> Function:
        METRICS.declare(name, facts)
        CHECKS[name] = Check(metric=name, regions=regions, needs=needs, function=function)
        return function

    return register


def examine(
    patient: Patient, settings: ReferenceFreeSettings, *, only: Sequence[str] | None = None
) -> list[Value]:
    """Run the checks on a patient.

    Parameters
    ----------
    patient
        Without a reference.
    settings
        Of the family.
    only
        Metrics to measure; None measures all.

    Returns
    -------
    list of Value
        One for each metric and region, whether it has a number or not; metrics without a
        meaning for the synthetic image's quantity are left out.
    """
    load_plugins(PLUGIN_GROUP)  # a check-up imports no other family, and may have further checks
    scene = Scene(patient=patient, settings=settings)
    values = []
    for entry in CHECKS.values():
        if not has_meaning(entry.metric, patient.synthetic.quantity):
            continue
        if only is None or entry.metric in only:
            values += [_value(entry, scene, region) for region in entry.regions]
    return values


def _value(entry: Check, scene: Scene, region: str) -> Value:
    for need in entry.needs:
        missing = _missing(need, scene)
        if missing is not None:
            status, why = missing
            make = failed if status == "error" else undefined
            return make(entry.metric, region, why)
    try:
        answer = entry.function(scene, region)
    except QAError as error:  # what was brought along failed; the other checks go on
        return failed(entry.metric, region, str(error).rstrip("."))
    return as_value(entry.metric, region, answer)


def _missing(need: Need, scene: Scene) -> tuple[str, str] | None:
    patient = scene.patient
    if need == "finite" and scene.nonfinite:
        return "error", f"{scene.nonfinite} voxels of the synthetic image are not finite"
    if need in ("body", "bodies") and not scene.body.any():
        return "undefined", "the synthetic image shows no body"
    if need == "source":
        if patient.source is None:
            return "undefined", "there is no source image"
        if scene.nonfinite_source:
            return "error", f"{scene.nonfinite_source} voxels of the source are not finite"
    if need == "bodies" and not scene.source_body.any():
        return "undefined", "the source shows no body"
    if need == "norms" and patient.norms is None:
        return "undefined", patient.without.get("norms", "no norms of a training cohort were given")
    if need == "inverse" and patient.inverse is None:
        return "undefined", patient.without.get("inverse", "no inverse translator was given")
    if need == "spread" and not _has_spread(patient):
        return "undefined", "the translator gives neither a std nor two samples"
    return None


def _has_spread(patient: Patient) -> bool:
    answer = patient.prediction
    return answer is not None and (answer.std is not None or len(answer.samples) >= 2)
