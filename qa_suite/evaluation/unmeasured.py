"""Why a run cannot measure something, as far as settings, instruments and cohort decide it.

What only the images or the model decide (a body that is empty, a translator that gives no samples)
is not foretold. A rule that says too much is caught by the golden record, one that says too little
by what a run without plans measures (``tests/test_beforehand.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qa_suite.core.cohort import Case
from qa_suite.core.volume import Quantity
from qa_suite.core.wording import listing
from qa_suite.evaluation.case_run import EvaluationSettings
from qa_suite.judging.built_in_rules import TOO_GOOD_METRICS
from qa_suite.metrics.base import Instruments
from qa_suite.metrics.dose.computed import CLINIC
from qa_suite.metrics.facts import FAMILIES, MetricFacts
from qa_suite.metrics.hallucination.values import is_listed
from qa_suite.metrics.image.regions import shell_names
from qa_suite.metrics.meaning import left_out
from qa_suite.metrics.pet import LESIONS, is_lesion
from qa_suite.metrics.reference_free.checks import CHECKS
from qa_suite.metrics.run import variants_of

_THRESHOLD_STRUCTURES = ("seg:Body", "seg:Bone")
_OF_PROTONS = ("wepl_", "range_", "scenario_")
_NOT_OF_GIVEN_DOSES = (*_OF_PROTONS, "path_", "machine_", "hu_beyond_", "cause_", "bulk_", "hlut_")
_SWITCHES: Mapping[str, str] = {"cause_": "causes", "bulk_": "bulk", "scenario_": "scenarios"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run before it begins.

    Parameters
    ----------
    settings, instruments
        As they were asked for.
    cases
        Of the patient set that will be examined.
    quantity
        Of the real images.
    finished
        Whether the images are finished ones, which come without a std or an interval.
    """

    settings: EvaluationSettings
    instruments: Instruments
    cases: Sequence[Case]
    quantity: Quantity
    finished: bool = False

    @cached_property
    def structures(self) -> frozenset[str]:
        """Names that are delineated in one case at least."""
        return frozenset(name for case in self.cases for name in case.structures)

    @cached_property
    def variants(self) -> frozenset[str]:
        """Keys of every variant that is measured."""
        return frozenset(variants_of(self.settings.measures, self.instruments))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One measure that a profile bounds or describes."""

    metric: str
    region: str
    variant: str
    facts: MetricFacts

    @property
    def plan(self) -> str:
        """Name of the plan in a variant of dose."""
        return self.variant.partition(":")[0]


Rule = Callable[[Asked, Run], str | None]


def why_unmeasured(asked: Asked, run: Run) -> str | None:
    """Return the first reason why a run cannot measure something, with the way out, or None."""
    return next((said for rule in RULES if (said := rule(asked, run))), None)


def _left_out(asked: Asked, run: Run) -> str | None:
    for one in left_out(run.quantity, [asked.facts.family]):
        if asked.metric in one.metrics:
            return f"{asked.metric} is left out, since {one.why}"
    return None


def _family(asked: Asked, run: Run) -> str | None:
    chosen, family = run.settings.families, asked.facts.family
    if family not in FAMILIES or chosen is None or family in chosen:
        return None
    if asked.metric in TOO_GOOD_METRICS:
        return None  # every evaluation has them
    return f"the family {family} is not measured (--families {','.join((*chosen, family))} does)"


def _only(asked: Asked, run: Run) -> str | None:
    settings = getattr(run.settings.measures, asked.facts.family, None)
    only = getattr(settings, "only", None)
    if only is None or asked.metric in only:
        return None
    return f"the settings measure {listing(only)} alone of the family {asked.facts.family}"


def _variant(asked: Asked, run: Run) -> str | None:
    if asked.variant in run.variants:
        return None
    family, name = asked.facts.family, asked.plan
    if family == "segmentation" and not asked.variant.startswith("tol"):
        return f"no segmenter {name} takes part (--segmenter names one)"
    if family != "dose":
        return f"these settings measure nothing as {asked.variant}"
    plans = [choice.key for choice in run.settings.measures.dose.plans]
    if name == CLINIC and run.settings.measures.dose.clinic is None:
        return "no doses of the clinic are given (--clinic FOLDER --clinic-goals TEMPLATE)"
    if name not in (*plans, CLINIC):
        return f"no plan {name} is computed (--plan {name} --hlut TABLE)"
    what = asked.variant.partition(":")[2]
    return f"the plan {name} has no gamma criterion, goal or further HLUT {what}"


def _of_dose(asked: Asked, run: Run) -> str | None:
    if asked.facts.family != "dose":
        return None
    settings, metric = run.settings.measures.dose, asked.metric
    template = settings.clinic
    for prefix, switch in _SWITCHES.items():
        if metric.startswith(prefix) and not getattr(settings, switch):
            return f"the settings of dose switch {switch} off"
    if asked.plan == CLINIC and metric.startswith(_NOT_OF_GIVEN_DOSES):
        return f"{metric} is told of computed plans alone, not of the clinic's doses"
    for choice in settings.plans:
        template = choice.template if choice.key == asked.plan else template
    if template is None:
        return None
    if metric.startswith(_OF_PROTONS) and template.modality != "protons":
        return f"the plan {asked.plan} is one of {template.modality}, without a range"
    beams = {f"beam:{beam.label}" for beam in template.beams}
    if asked.region.startswith("beam:") and not settings.rtplans and asked.region not in beams:
        return f"the plan {asked.plan} has no {asked.region}, but {listing(sorted(beams))}"
    targets = [name for rule in template.targets for name in rule.structures]
    if not run.structures & set(targets):
        wanted = ", ".join(dict.fromkeys(targets))
        return f"no case has a target for the plan {asked.plan} ({wanted}; or --target NAME)"
    return None


def _switched_off(asked: Asked, run: Run) -> str | None:
    geometry = run.settings.measures.geometry
    off = {
        "positioning_": asked.variant in ("cbct", "drr")
        and not getattr(geometry.positioning, asked.variant),
        "local_": not geometry.local_shift,
        "structure_shift": not geometry.structure_shift,
    }
    for prefix, is_off in off.items():
        if is_off and asked.facts.family == "geometry" and asked.metric.startswith(prefix):
            return f"the settings of geometry switch {asked.metric} off"
    return None


def _delineated(asked: Asked, run: Run) -> str | None:
    kind, _, name = asked.region.partition(":")
    if kind == "structure" and name not in run.structures:
        return f"nobody delineated {name} in a case of the set '{run.settings.split}'"
    if asked.region == "structures" and not run.structures:
        return f"nobody delineated any structure in a case of the set '{run.settings.split}'"
    pet = run.settings.measures.pet
    if asked.region == LESIONS and not any(is_lesion(one, pet) for one in run.structures):
        wanted = " or ".join(f"{prefix}…" for prefix in pet.lesion_prefixes)
        return f"nobody delineated a lesion ({wanted}) in a case of the set '{run.settings.split}'"
    hallucination = run.settings.measures.hallucination
    if asked.metric == "lesion_contrast_change" and not is_listed(name, hallucination):
        return f"{name} is none of the lesions that the settings of hallucination name"
    return None


def _segmented(asked: Asked, run: Run) -> str | None:
    if asked.facts.family != "segmentation" or asked.region in _THRESHOLD_STRUCTURES:
        return None
    found = {f"seg:{name}" for one in run.instruments.segmenters for name in one.structures}
    if asked.region in found:
        return None
    return f"no segmenter that takes part finds {asked.region.removeprefix('seg:')} (--segmenter)"


def _in_image(asked: Asked, run: Run) -> str | None:
    measures, family = run.settings.measures, asked.facts.family
    kind = asked.region.partition(":")[0]
    if family not in ("image", "uncertainty") or asked.region == "body":
        return None
    if kind == "structure":
        off = family == "image" and not measures.image.structures
        return "the settings of image measure nothing in structures" if off else None
    if kind == "shell":
        shells = shell_names(measures.image.shells_mm) if measures.image.shells_mm else []
        return None if asked.region in shells else f"the settings of image have no {asked.region}"
    settings = measures.image if family == "image" else measures.uncertainty
    bands = [band.name for band in settings.bands.get(run.quantity, ())]
    if asked.region in bands:
        return None
    return f"the settings of {family} have no tissue band {asked.region} for {run.quantity}"


def _brought_along(asked: Asked, run: Run) -> str | None:
    check, instruments = CHECKS.get(asked.metric), run.instruments
    if check is None:
        needs_std = asked.facts.family == "uncertainty"
    else:
        if "norms" in check.needs and instruments.norms is None:
            why = instruments.without.get("norms", "there are none").rstrip(".")
            return f"it needs norms of a training cohort, and {why[:1].lower()}{why[1:]}"
        if "inverse" in check.needs and instruments.inverse is None:
            return "no translator of the way back is given (--inverse MODEL)"
        needs_std = "spread" in check.needs
    return "finished images have neither std nor interval" if needs_std and run.finished else None


RULES: tuple[Rule, ...] = (
    _left_out,
    _family,
    _only,
    _variant,
    _switched_off,
    _of_dose,
    _delineated,
    _segmented,
    _in_image,
    _brought_along,
)
