"""The model card: what a registered translator is, whom it has seen, what it costs, its limits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from qa_suite.core.cohort import Cohort
from qa_suite.core.memory import peak_mib
from qa_suite.core.wording import count
from qa_suite.learning.summary import FitSummary
from translators.base import Translator
from translators.data import PreparedPair
from translators.spec import FAMILIES

CARD_FILE = "model_card.md"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What translating one volume cost where the model was registered.

    Parameters
    ----------
    voxels
        Shape of the volume in working voxels.
    seconds
        Wall clock.
    peak_memory_mb
        Of the GPU's allocator, or the largest resident set of the whole process so far.
    device
        Where it ran.
    evaluations
        Passes of windows through networks.
    """

    voxels: tuple[int, ...]
    seconds: float
    peak_memory_mb: float
    device: str
    evaluations: float | None


def measure_cost(translator: Translator, pair: PreparedPair) -> Cost:
    """Translate one prepared pair's source and note what it cost."""
    import torch

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    found = translator.infer(pair.prepared)
    seconds = time.monotonic() - started
    peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else peak_mib()
    return Cost(
        voxels=found.mean.shape,
        seconds=seconds,
        peak_memory_mb=peak,
        device=torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads",
        evaluations=found.cost.get("network_evaluations"),
    )


def model_card(
    translator: Translator,
    cohort: Cohort,
    facts: dict[str, Any],
    *,
    summary: FitSummary | None,
    cost: Cost | None,
) -> str:
    """Write the card of a translator about to be registered, as Markdown.

    Parameters
    ----------
    cohort
        That it was trained on.
    facts
        Its ``training.json``.
    summary
        Of its training; None where it was not trained here.
    cost
        Of one translation; None where no image was at hand.
    """
    spec = translator.spec
    family = FAMILIES[spec.family].facts
    lines = [
        f"# {spec.name}",
        "",
        spec.description or "No description.",
        "",
        "## Intended use",
        "",
        f"Translation {spec.direction} of the {spec.anatomy}; answers in "
        f"{_unit(spec.target.quantity)}. For examination by this suite. Not for patients unless "
        f"an evaluation at the clinic that uses it has passed and was signed there.",
        "",
        "## What it is",
        "",
        f"- Family `{spec.family}`: {family.title} ({family.reference})",
        f"- Trained {'with pairs' if family.paired else 'without pairs'}: {family.trained_by}",
        *_input(translator),
        f"- Weights SHA-256 `{facts['weights_sha256']}`, specification `{spec.digest[:12]}`",
        *_parent(facts),
        *_plugin(facts),
        "",
        "## Data",
        "",
        *_data(translator, cohort, facts),
        "",
        "## Uncertainty",
        "",
        *_uncertainty(translator),
        "",
        "## Training and cost",
        "",
        *_training(summary),
        *_cost(cost),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(translator, cohort)),
        "",
    ]
    return "\n".join(lines)


def _unit(quantity: str) -> str:
    return "arbitrary units" if quantity == "arbitrary" else quantity


def _input(translator: Translator) -> list[str]:
    spec = translator.spec
    spacing = spec.working_spacing_mm
    voxels = "as they come" if spacing is None else " × ".join(f"{s:g}" for s in spacing) + " mm"
    low, high = spec.target.low, spec.target.high
    return [
        f"- Takes {spec.source.modality} in {_unit(spec.source.quantity)}, normalised by "
        f"{spec.source.normalisation}; voxels {voxels}",
        f"- Cannot answer outside its window, {low:g} to {high:g} {_unit(spec.target.quantity)}",
    ]


def _parent(facts: dict[str, Any]) -> list[str]:
    parent = facts.get("parent")
    return [] if parent is None else [f"- Fine-tuned from `{parent['uri']}`"]


def _plugin(facts: dict[str, Any]) -> list[str]:
    plugin = facts.get("plugin")
    if plugin is None:
        return []
    return [
        f"- Its family is of the package `{plugin['package']}` {plugin['version']}, which is no "
        f"part of this suite (source `{plugin['digest']}`)"
    ]


def _data(translator: Translator, cohort: Cohort, facts: dict[str, Any]) -> list[str]:
    if not translator.learns:
        return [
            "Not trained here: on whom it was trained only its maker knows, so no examiner can "
            "refuse patients that it has seen. Ask for the list."
        ]
    lines = [f"Cohort `{cohort.name}` ({cohort.digest[:12]}), {cohort.direction}.", ""]
    lines += ["| set | patients | cases | sites |", "|---|--:|--:|---|"]
    for split in ("train", "validation", "calibration"):
        cases = cohort.in_split(split)
        patients = {case.patient for case in cases}
        sites = ", ".join(sorted({case.site for case in cases})) or "none"
        lines.append(f"| {split} | {len(patients)} | {len(cases)} | {sites} |")
    lines += [
        "",
        f"An examiner refuses the {count(len(facts['patients']), 'patient')} that it has seen, "
        "a parent's "
        f"included.",
    ]
    if facts["loss_networks"]:
        hashes = ", ".join(f"`{value[:12]}`" for value in facts["loss_networks"])
        lines.append(f"Frozen networks in its loss: {hashes}.")
    return lines


def _uncertainty(translator: Translator) -> list[str]:
    settings, found = translator.spec.uncertainty, translator.calibration
    lines = {
        "none": "No standard deviation.",
        "ensemble": f"Standard deviation of {count(settings.members, 'network')}.",
        "flips": f"Standard deviation over flips along {', '.join(settings.flip_axes)}.",
        "dropout": f"Standard deviation of {settings.members} passes with dropout.",
        "samples": f"Standard deviation of {count(settings.members, 'sample')}.",
    }
    if found is None:
        return [lines[settings.method], "No calibration patients: no interval is promised."]
    width = f"{found.factor:.3g} " + (
        "σ" if found.scaled_by == "std" else _unit(translator.spec.target.quantity)
    )
    short = "" if found.level >= found.wanted_level else f" ({found.wanted_level:.0%} was wanted)"
    return [
        lines[settings.method],
        f"Interval: mean ± {width} holds {found.voxel_share:.0%} of a further patient's voxels "
        f"with probability {found.level:.1%}{short}, calibrated on "
        f"{count(found.patients, 'patient')}; for "
        f"patients and scanners like theirs.",
    ]


def _training(summary: FitSummary | None) -> list[str]:
    if summary is None:
        return ["- Not trained here"]
    lines = [f"- {count(summary.iterations, 'iteration')} in {summary.seconds:.0f} s"]
    if summary.best_validation is not None:
        lines.append(
            f"- Least validation error {summary.best_validation:.4g} at iteration "
            f"{summary.best_iteration} (it chose the weights; it measures nothing)"
        )
    return lines


def _cost(cost: Cost | None) -> list[str]:
    if cost is None:
        return []
    passes = "" if cost.evaluations is None else f", {cost.evaluations:.0f} passes of windows"
    shape = " × ".join(str(n) for n in cost.voxels)
    return [
        f"- Translating {shape} voxels: {cost.seconds:.2f} s, {cost.peak_memory_mb:.0f} MB at most"
        f"{passes} ({cost.device})"
    ]


def _limits(translator: Translator, cohort: Cohort) -> list[str]:
    spec = translator.spec
    sites = sorted({case.site for case in cohort.in_split("train")})
    limits = [
        f"Has learnt the contrast of {', '.join(sites)}; any other site must be evaluated."
        if translator.learns
        else "Every site must be evaluated.",
        "Finds the body in the source image as what is brighter than air.",
    ]
    target = spec.target
    if target.scale == "absolute":
        limits.append(
            f"Answers from {target.low:g} to {target.high:g} {target.quantity}; what lies beyond "
            f"was clipped in training and cannot be answered."
        )
    limits += FAMILIES[spec.family].facts.limits
    if not FAMILIES[spec.family].facts.paired:
        limits.append("Was never shown a pair: nothing in its training forbids false anatomy.")
    if spec.uncertainty.method == "none":
        limits.append("Gives no uncertainty of its own.")
    return limits
