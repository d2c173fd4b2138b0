"""What the record's settings say of a plan: beams, prescription, tables, gamma, who computed it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qa_suite.core.records import Evaluation
from qa_suite.core.wording import count, listing, stated

CLINIC: Final = "clinic"
"""Variant of the doses that the clinic's planning system computed."""
UNDEFINED: Final = "undefined: the record does not say"
QUANTITIES: Final[dict[str, str]] = {
    "relative_electron_density": "relative electron density",
    "relative_stopping_power": "relative stopping power",
    "mass_density_g_cm3": "mass density in g/cm³",
}
_OWN_CUTOFF: Final = {
    "trilinear": "10 %",
    "simplex": "10 %",
    "pymedphys": "20 %",
    "matrad": "the dose criterion",
}
_DIFFERENCE_CUTOFF_PCT: Final = 10.0
_CLOSEST_TO: Final = (2.0, 2.0)
"""The criterion whose map is kept, where it was computed; otherwise the strictest one."""


_GOAL: Final = ("structure", "metric", "direction", "bound", "unit", "source")


@dataclass(frozen=True, kw_only=True)
class GoalFacts:
    """One clinical goal: what of which structure is bounded, and who says so.

    ``prescribed`` says that it is what the prescription asks of a target; ``region`` is where its
    rows stand.
    """

    structure: str
    metric: str
    direction: str
    bound: float
    unit: str
    source: str
    region: str
    prescribed: bool = False

    @property
    def text(self) -> str:
        """The goal as people write it: ``V50Gy ≤ 50 %``."""
        sign = "≥" if self.direction == "at_least" else "≤"
        metric = self.metric.removesuffix("_cc")
        return f"{metric} {sign} {stated(self.bound, self.unit)}".replace(" ", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True, kw_only=True)
class BeamFacts:
    """One beam: its label and angles (IEC 61217)."""

    label: str
    gantry_deg: float
    couch_deg: float
    collimator_deg: float


@dataclass(frozen=True, kw_only=True)
class GammaFacts:
    """One gamma criterion and the variant its rows stand under."""

    variant: str
    title: str
    dose_pct: float
    distance_mm: float


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """One plan as it was asked for; ``lines`` are names and texts for people, in order.

    ``from_clinic`` says that the clinic's planning system computed both doses, ``by_case`` that
    each case may have a prescription of its own (that of its RTPLAN); ``prescribed_by`` then says
    where it comes from. Dose differences are of
    voxels that get at least ``difference_cutoff_pct`` of the prescription on the reference.
    """

    key: str
    modality: str
    prescription_gy: float
    coverage_pct: float
    coverage_dose_pct: float
    beams: tuple[BeamFacts, ...]
    goals: tuple[GoalFacts, ...]
    gammas: tuple[GammaFacts, ...]
    gamma_said: str
    max_gamma: float
    difference_cutoff_pct: float
    other_hluts: tuple[str, ...]
    believed_for: str
    from_clinic: bool
    by_case: bool
    lines: tuple[tuple[str, str], ...]
    prescribed_by: str = ""

    def coverage(self, structure: str, region: str) -> GoalFacts:
        """Return what is prescribed to a target as a goal: D95 of at least 95 % of its dose."""
        return GoalFacts(
            structure=structure,
            region=region,
            metric=f"D{self.coverage_pct:g}",
            direction="at_least",
            bound=self.coverage_dose_pct,
            unit="% of prescription",
            source="the prescription",
            prescribed=True,
        )

    @property
    def mapped(self) -> GammaFacts | None:
        """The criterion whose map is kept."""
        return next(
            (g for g in self.gammas if (g.dose_pct, g.distance_mm) == _CLOSEST_TO),
            min(self.gammas, key=lambda g: (g.dose_pct, g.distance_mm), default=None),
        )


def plans_of(evaluation: Evaluation) -> tuple[PlanFacts, ...]:
    """Return the plans that the evaluation was told to compute, and the clinic's own doses."""
    dose = _dose_settings(evaluation)
    plans = [
        _plan(str(choice["template"]["name"]), choice["template"], choice, dose, evaluation)
        for choice in dose.get("plans", ())
    ]
    if dose.get("clinic"):
        plans.append(_plan(CLINIC, dose["clinic"], {}, dose, evaluation))
    return tuple(plans)


def _dose_settings(evaluation: Evaluation) -> Mapping[str, Any]:
    measures = evaluation.settings.get("measures", {})
    found = measures.get("dose", {}) if isinstance(measures, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _plan(
    key: str,
    template: Mapping[str, Any],
    choice: Mapping[str, Any],
    dose: Mapping[str, Any],
    evaluation: Evaluation,
) -> PlanFacts:
    asked, settings = _asked(template, dose), dose.get("gamma_settings", {})
    said: Mapping[str, Any] = evaluation.variants.get(key, {})
    clinic, imported = key == CLINIC, bool(dose.get("rtplans"))
    return PlanFacts(
        key=key,
        modality=str(template["modality"]),
        prescription_gy=float(asked["dose_gy"]),
        coverage_pct=float(asked["coverage_pct"]),
        coverage_dose_pct=float(asked["coverage_dose_pct"]),
        beams=() if clinic or imported else tuple(_beam(beam) for beam in template["beams"]),
        goals=tuple(
            GoalFacts(
                **{name: goal[name] for name in _GOAL}, region=f"structure:{goal['structure']}"
            )
            for goal in template.get("goals", ())
        ),
        gammas=tuple(_gamma(key, criterion) for criterion in dose.get("gamma", ())),
        gamma_said=_gamma_said(settings),
        max_gamma=float(settings.get("max_gamma") or 5.0),
        difference_cutoff_pct=_cutoff_pct(settings),
        other_hluts=tuple(str(other["name"]) for other in choice.get("other_hluts", ())),
        believed_for=str(said.get("believed_for", "")),
        from_clinic=clinic,
        by_case=clinic or imported,
        lines=_clinic_lines(template, dose, said)
        if clinic
        else _lines(template, choice, dose, said, imported=imported),
    )


def _lines(
    template: Mapping[str, Any],
    choice: Mapping[str, Any],
    dose: Mapping[str, Any],
    said: Mapping[str, Any],
    *,
    imported: bool,
) -> tuple[tuple[str, str], ...]:
    prescription = _said_prescription(template, dose, imported=imported)
    made = "the clinic's" if imported else "made and optimised on the reference CT, then frozen"
    beams = "beams, monitor units and isocentre of each case's RTPLAN"
    return (
        ("Plan", f"{_title(template)}; {made}"),
        ("Engine", _engine(template, said)),
        ("Prescription", prescription),
        ("Beams", beams if imported else _beams(template)),
        ("Target", _targets(template["targets"])),
        ("HLUT", _hluts(choice)),
        ("Dose grid", f"{dose.get('grid_mm') or template['grid_mm']:g} mm"),
        ("Where it comes from", str(template["source"])),
    )


def _clinic_lines(
    template: Mapping[str, Any], dose: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    own = _said_prescription(template, dose, imported=False)
    return (
        ("Plan", f"the clinic's own, judged by the goals of {template['name']}"),
        ("Engine", "the clinic's planning system: both doses are its own, read from files"),
        ("Doses", str(said.get("doses", "physical, of the plan, in Gy"))),
        (
            "Same plan",
            "for the clinic to see to: equal beams and monitor units, no renormalisation",
        ),
        (
            "Prescription",
            own if dose.get("prescription_gy") else f"of each case's RTPLAN; without one, {own}",
        ),
        ("Target", _targets(template["targets"])),
        ("Where the goals come from", str(template["source"])),
    )


def _title(template: Mapping[str, Any]) -> str:
    if template["technique"] == "imported":
        return f"{template['name']}: {template['modality']}"
    return (
        f"{template['name']}: {template['modality']}, {template['technique']}, "
        f"{template['anatomy']}"
    )


def _engine(template: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    machine = said.get("machine") or template["machine"]
    words = [f"{template['engine']}, machine {machine}"]
    for name in ("machine_source", "engine_title", "method", "engine_reference"):
        if said.get(name):
            words.append(str(said[name]))
    return ". ".join(word.rstrip(".") for word in words)


def _asked(template: Mapping[str, Any], dose: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prescription: the template's own, but for what the user stated.

    An imported plan's template has none; each case brings its own, in its rows.
    """
    asked = {"dose_gy": math.nan, "fractions": None, "coverage_pct": 95, "coverage_dose_pct": 95}
    asked |= template.get("prescription") or {}
    stated = {"dose_gy": dose.get("prescription_gy"), "fractions": dose.get("fractions")}
    return asked | {name: value for name, value in stated.items() if value}


def _said_prescription(
    template: Mapping[str, Any], dose: Mapping[str, Any], *, imported: bool
) -> str:
    asked, stated = _asked(template, dose), bool(dose.get("prescription_gy"))
    if imported and not stated:
        stated_as = dose.get("fractions")
        fractions = f", in {count(stated_as, 'fraction')} as stated" if stated_as else ""
        return f"of each case's RTPLAN, to the target that is judged{fractions}"
    if imported and not dose.get("fractions"):
        return f"{asked['dose_gy']:g} Gy as stated, in the fractions of each case's RTPLAN"
    return _prescription(asked, template) + (", as stated" if stated else "")


def _prescription(asked: Mapping[str, Any], template: Mapping[str, Any]) -> str:
    kind = ", physical dose without RBE" if template["modality"] == "protons" else ""
    level = asked["dose_gy"] * asked["coverage_dose_pct"] / 100
    return (
        f"{asked['dose_gy']:g} Gy in {count(asked['fractions'], 'fraction')}{kind}; "
        f"{asked['coverage_pct']:g} % of the target is to get {asked['coverage_dose_pct']:g} % "
        f"of it ({level:.3g} Gy)"
    )


def _beam(beam: Mapping[str, Any]) -> BeamFacts:
    return BeamFacts(
        label=str(beam.get("name") or f"G{beam['gantry_deg']:03.0f}"),
        gantry_deg=float(beam["gantry_deg"]),
        couch_deg=float(beam.get("couch_deg", 0.0)),
        collimator_deg=float(beam.get("collimator_deg", 0.0)),
    )


def _beams(template: Mapping[str, Any]) -> str:
    beams = [_beam(beam) for beam in template["beams"]]
    angles = listing(f"{beam.gantry_deg:g}°" for beam in beams)
    said = [f"{count(len(beams), 'beam')}, gantry {angles}"]
    for name in ("couch", "collimator"):
        turned = [getattr(beam, f"{name}_deg") for beam in beams]
        if any(turned):
            said.append(f"{name} {listing(f'{angle:g}°' for angle in turned)}")
    straight = "" if len(said) > 1 else ", couch and collimator 0°"
    return f"{'; '.join(said)}{straight} (IEC 61217)"


def _targets(rules: Sequence[Mapping[str, Any]]) -> str:
    said = []
    for rule in rules:
        word = " and " if rule.get("unions") else " or "
        margin = f" + {rule['margin_mm']:g} mm" if rule.get("margin_mm") else ""
        said.append(word.join(rule["structures"]) + margin)
    return f"the first that the case has: {'; '.join(said)}" if len(said) > 1 else said[0]


def _hluts(choice: Mapping[str, Any]) -> str:
    """Say the table of a plan, and those of sites that have one of their own."""
    of_sites = choice.get("site_hluts") or {}
    told = [f"{site}: {_hlut(of_sites[site])}" for site in sorted(of_sites)]
    if not choice.get("only_sites"):
        told.append(f"all other sites: {_hlut(choice['hlut'])}" if told else _hlut(choice["hlut"]))
    return "; ".join(told)


def _hlut(hlut: Mapping[str, Any]) -> str:
    quantity = QUANTITIES.get(str(hlut["quantity"]), str(hlut["quantity"]))
    note = f" {hlut['note']}" if hlut.get("note") else ""
    return f"{hlut['name']}, HU to {quantity}. {hlut['source']}{note}"


def _gamma(key: str, criterion: Mapping[str, Any]) -> GammaFacts:
    dose, distance = float(criterion["dose_pct"]), float(criterion["distance_mm"])
    kind = "local" if criterion.get("local") else "global"
    short = f"{dose:g}pct{distance:g}mm{'_local' if kind == 'local' else ''}"
    return GammaFacts(
        variant=f"{key}:{short}",
        title=f"{dose:g} %/{distance:g} mm, {kind}",
        dose_pct=dose,
        distance_mm=distance,
    )


def _cutoff_pct(settings: Mapping[str, Any]) -> float:
    """Return the cut-off of dose differences: that of gamma, 10 % where none was set."""
    cutoff = settings.get("cutoff_pct")
    return _DIFFERENCE_CUTOFF_PCT if cutoff is None else float(cutoff)


def _gamma_said(settings: Mapping[str, Any]) -> str:
    """Say what the percentages of gamma are percentages of, and who was judged."""
    if not settings:
        return UNDEFINED
    words = {"max": "the reference dose's maximum", "prescription": "the prescription"}
    base = settings.get("normalisation")
    of = words.get(str(base), f"{base} Gy")
    cutoff = settings.get("cutoff_pct")
    mode = str(settings.get("mode"))
    low = _OWN_CUTOFF.get(mode, "the mode's own cut-off") if cutoff is None else f"{cutoff:g} %"
    return (
        f"Global percentages are of {of}; voxels below {low} of "
        f"{words.get(str(settings.get('cutoff_of')), 'the maximum')} are not judged; "
        f"search: {mode}; passed is γ ≤ 1 + {settings.get('tolerance'):g}"
    )
