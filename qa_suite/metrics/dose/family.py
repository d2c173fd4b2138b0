"""The family: every plan of the settings, computed on both images and compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qa_suite.core.errors import QAError
from qa_suite.core.volume import Volume
from qa_suite.dose.engines import ENGINES, load_engines
from qa_suite.dose.machines.by_name import all_machines, machine_of
from qa_suite.dose.machines.photon import PhotonMachine
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.metrics.base import Curve, Kept, Pair, Remark, Value, failed, ok
from qa_suite.metrics.dose.bands import band_rows
from qa_suite.metrics.dose.computed import (
    CLINIC,
    TARGET,
    ComputedPlan,
    DosePair,
    clinic_doses,
    compute_plan,
)
from qa_suite.metrics.dose.facts import DVH_METRICS
from qa_suite.metrics.dose.paths import (
    beam_region,
    path_rows,
    range_rows,
    scenario_rows,
    table_rows,
)
from qa_suite.metrics.dose.rows import (
    bulk_rows,
    cause_rows,
    difference_rows,
    dvh_rows,
    gamma_results,
    gamma_rows,
    goal_rows,
    hlut_rows,
    synthrad_row,
)
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.facts import FAMILIES, FamilyFacts

__all__ = ["dose", "dose_variants"]

AS_EXPORTED = "physical, of the plan, in Gy"
"""What the clinic's doses are where nothing else was said of them."""
Found = Value | Curve | Kept | Remark
DOSE_MAP_ROLES = ("dose_reference", "dose_synthetic", "gamma", "target")
"""Roles of the volumes that are kept of a plan, each followed by ``@`` and the plan."""


@FAMILIES.add(
    "dose",
    FamilyFacts(
        title="The same plan computed on both images: DVH, goals, gamma, range",
        needs=("reference in HU", "a plan and its HLUT in the settings", "a target structure"),
        quantities=("HU",),
        because="dose is computed from HU",
    ),
)
def dose(pair: Pair, settings: DoseSettings) -> list[Found]:
    """Compute every plan of the settings on the reference and on the synthetic image.

    The plan is made and optimised on the reference, then frozen; neither dose is normalised
    afterwards. All differences are synthetic - reference.

    Parameters
    ----------
    pair
        Reference and synthetic image in HU; the target among the structures.
    settings
        Plans with their tables. Without a plan nothing is measured.

    Returns
    -------
    list
        Values of ``target``, ``structure:...``, ``body``, ``beam:...`` and ``cause:...``, the
        DVHs, their bands over the samples and the histograms of the dose difference as curves,
        and the doses as volumes. A plan that cannot be computed leaves its main metrics with
        the status error and the reason.
    """
    found: list[Found] = []
    for choice in settings.plans:
        try:
            # a list first: a plan that fails halfway must not leave both values and errors
            found += list(_one_plan(compute_plan(pair, choice, settings), pair, settings))
        except QAError as error:
            found += _not_computed(choice.key, choice.template, settings, one_line(error))
    if settings.clinic is not None:
        try:
            found += list(_compared(clinic_doses(pair, settings.clinic, settings), settings))
        except QAError as error:
            found += _not_computed(CLINIC, settings.clinic, settings, one_line(error))
    return found


def one_line(error: Exception) -> str:
    """Write an error on one line."""
    return " ".join(str(error).split())


def _compared(done: DosePair, settings: DoseSettings) -> Iterator[Found]:
    """Yield what two doses say, wherever they come from."""
    reference, synthetic = done.dvhs(done.reference), done.dvhs(done.synthetic)
    results = gamma_results(done, done.synthetic, settings)
    yield ok(
        "prescribed_dose", TARGET, done.prescription_gy, variant=done.key, why=done.prescribed_by
    )
    yield from dvh_rows(done, reference, synthetic)
    yield from goal_rows(done, reference, synthetic)
    yield from difference_rows(done, settings)
    yield synthrad_row(done, reference, synthetic)
    yield from gamma_rows(done, results)
    strictest = min(results, key=lambda r: (r.criterion.dose_pct, r.criterion.distance_mm))
    named = next((r for r in results if r.criterion.key == "2pct2mm"), strictest)
    yield from _kept(done, named.volume())


def _one_plan(done: ComputedPlan, pair: Pair, settings: DoseSettings) -> Iterator[Found]:
    """Yield what a plan of the surrogate says: its doses, and those of further images."""
    yield from (Remark(text=f"{done.key}: {remark}") for remark in done.remarks)
    yield from _compared(done, settings)
    for by in done.plan.machines:
        value, region = by.machine.nominal_mv, f"beam:{by.beam}"
        yield ok("machine_energy", region, value, variant=done.key, why=by.why)
    reference = done.target_dvh(done.reference)
    yield from path_rows(done)
    yield from table_rows(done)
    if done.template.modality == "protons":
        yield from range_rows(done)
        if settings.scenarios:
            yield from scenario_rows(done, done.target_dvh(done.synthetic))
    if settings.causes:
        yield from cause_rows(done, reference)
    if settings.bulk:
        yield from bulk_rows(done, reference, settings)
    yield from hlut_rows(done, reference)
    yield from band_rows(done, pair, reference, settings.most_samples)


def _kept(done: DosePair, gamma_map: Volume) -> Iterator[Kept]:
    target = Volume(
        array=done.scene.target_on_grid.astype(np.uint8), grid=done.scene.grid, quantity="label"
    )
    volumes = (done.reference, done.synthetic, gamma_map, target)
    for role, volume in zip(DOSE_MAP_ROLES, volumes, strict=True):
        yield Kept(role=f"{role}@{done.key}", volume=volume)


def _not_computed(
    key: str, template: PlanTemplate, settings: DoseSettings, why: str
) -> Iterator[Value]:
    """Yield the main metrics as errors, so that a verdict finds its plan was not computed."""
    for metric in DVH_METRICS:
        yield failed(f"{metric}_difference_pct", TARGET, why, variant=key)
    for metric in ("coverage_dose_difference", "coverage_met_reference", "coverage_met_synthetic"):
        yield failed(metric, TARGET, why, variant=key)
    for metric in ("goals_lost", "goals_gained", "synthrad_dose_mae", "synthrad_dvh_error"):
        yield failed(metric, "all", why, variant=key)
    for criterion in settings.gamma:
        for region in ("body", TARGET):
            yield failed("gamma_pass_rate", region, why, variant=f"{key}:{criterion.key}")
    if template.modality == "protons" and key != CLINIC:
        for beam in template.beams:
            yield failed("wepl_difference_mean", beam_region(beam), why, variant=key)


def dose_variants(settings: DoseSettings) -> dict[str, dict[str, Any]]:
    """Describe every variant key that the family writes with these settings."""
    variants: dict[str, dict[str, Any]] = {}
    for choice in settings.plans:
        template = choice.template
        load_engines(template.engine)
        engine = ENGINES[template.engine].facts
        facts = {
            "plan": template.name,
            "engine": template.engine,
            **_machine_facts(choice, settings),
            "engine_title": engine.title,
            "engine_version": engine.version,
            "method": engine.method,
            "believed_for": engine.believed_for,
            "engine_reference": engine.reference,
            **_table_facts(choice),
            "beams": "RTPLAN of the case" if settings.rtplans else "template",
        }
        variants |= _variants_of(choice.key, template, facts, settings)
        for hlut in choice.other_hluts:
            variants[f"{choice.key}:{hlut.name}"] = facts | {"other_hlut": hlut.name}
    if settings.clinic is not None:
        facts = {
            "plan": settings.clinic.name,
            "engine": "the clinic's planning system",
            "doses": settings.clinic_request.asked() or AS_EXPORTED,
        }
        variants |= _variants_of(CLINIC, settings.clinic, facts, settings)
    return variants


def _table_facts(choice: PlanChoice) -> dict[str, Any]:
    """Say which table turns HU into densities, and at which site another one does."""
    facts: dict[str, Any] = {"hlut": choice.hlut.name, "hlut_sha256": choice.hlut.digest}
    if choice.only_sites:
        facts = {"hlut": "of each site"}
    if choice.site_hluts:
        facts["hlut_by_site"] = {
            site: {"hlut": table.name, "hlut_sha256": table.digest}
            for site, table in sorted(choice.site_hluts.items())
        }
    return facts


def _machine_facts(choice: PlanChoice, settings: DoseSettings) -> dict[str, Any]:
    """Say what computes a plan: its machine, or those that the energies of RTPLANs choose from."""
    own = machine_of(choice.template)
    chosen = settings.rtplans and own.modality == "photons" and not choice.machine_stands_in
    caveat = own.caveat if isinstance(own, PhotonMachine) else ""
    machines = [own, *(m for m in all_machines() if chosen and m.modality == "photons")]
    return {
        "machine": "by the energy of each beam" if chosen else own.name,
        "machines": {machine.name: machine.digest for machine in machines},
        "machine_source": "" if chosen else f"{own.source} {caveat}".strip(),
    }


def _variants_of(
    key: str, template: PlanTemplate, facts: dict[str, Any], settings: DoseSettings
) -> dict[str, dict[str, Any]]:
    """Describe the keys of one plan: its own, those of gamma, those of goals about a volume."""
    variants = {key: facts}
    for criterion in settings.gamma:
        more = {"gamma": criterion.title, **settings.gamma_settings.model_dump(mode="json")}
        variants[f"{key}:{criterion.key}"] = facts | more
    for goal in template.goals:
        if not goal.parsed.is_dose and goal.parsed.unit == "%":
            variants[f"{key}:{goal.parsed.name}"] = facts | {"volume": goal.parsed.name}
    return variants
