"""Rows of the two doses of a plan: DVH, goals, differences, gamma, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.executors.share import cores
from qa_suite.core.volume import Volume
from qa_suite.dose.dvh.conformity import conformity_of
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.dvh.goals import GoalResult, constraint_flips, evaluate_goals
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.gamma import GammaResult, GammaSettings, RegionGamma, gamma
from qa_suite.dose.scene.scene import CAUSES, bulk_image, with_cause
from qa_suite.metrics.base import Censored, Curve, NoValue, Value, as_value, ok, undefined
from qa_suite.metrics.dose.computed import AIM, TARGET, ComputedPlan, DosePair
from qa_suite.metrics.dose.facts import DVH_METRICS
from qa_suite.metrics.dose.settings import DoseSettings

_CURVE_STEP_GY = 0.5
_LEAST_CURVE_STEPS = 100  # up to the prescription
_BINS_PER_PCT = 10  # of the prescription, in the histograms of the dose difference
_CUTOFF_PCT = 10.0  # of the prescription, where the settings of gamma name none
Dvhs = Mapping[str, Dvh]


def region_of(name: str) -> str:
    """Return the region of a structure's rows."""
    return TARGET if name == AIM else f"structure:{name}"


def curve_step_gy(prescription_gy: float) -> float:
    """Return the distance of the points of every recorded DVH, for a prescription in Gy."""
    return min(_CURVE_STEP_GY, prescription_gy / _LEAST_CURVE_STEPS)


def dvh_rows(done: DosePair, reference: Dvhs, synthetic: Dvhs) -> Iterator[Value | Curve]:
    """Yield DVH metrics of both doses, their differences, the target's indices and the curves."""
    key, dose_gy = done.key, done.prescription_gy
    for name in reference:
        region, empty = region_of(name), _is_empty(done, name)
        for metric, dvh_name in DVH_METRICS.items():
            one = read_metric(reference[name], dvh_name, prescription_gy=dose_gy)
            two = read_metric(synthetic[name], dvh_name, prescription_gy=dose_gy)
            why = one.why or two.why
            yield from _both(metric, region, key, one.value, two.value, why, empty=empty)
            change = f"{metric}_difference_pct"
            if one.value is None or two.value is None:
                yield undefined(change, region, why, variant=key, absent_in_reference=empty)
            else:
                share = 100 * (two.value - one.value) / dose_gy
                yield ok(change, region, share, variant=key)
        for side, dvh in (("reference", reference[name]), ("synthetic", synthetic[name])):
            if dvh.why_undefined:
                continue
            x, y = dvh.curve(curve_step_gy(dose_gy))
            yield Curve(
                curve=f"dvh_{side}", region=region, x=x, y=y, x_unit="Gy", y_unit="%", variant=key
            )
    yield from _index_rows(done, reference, synthetic)


def _both(
    metric: str,
    region: str,
    key: str,
    one: float | None,
    two: float | None,
    why: str,
    *,
    empty: bool = False,
) -> Iterator[Value]:
    """Yield a number of both images and its difference; ``empty`` where the structure is."""
    more: dict[str, Any] = {"variant": key, "absent_in_reference": empty}
    for side, value in (("reference", one), ("synthetic", two)):
        name = f"{metric}_{side}"
        yield (
            undefined(name, region, why, **more)
            if value is None
            else ok(name, region, value, variant=key)
        )
    name = f"{metric}_difference"
    if one is None or two is None:
        yield undefined(name, region, why, **more)
    else:
        yield ok(name, region, two - one, variant=key)


def _is_empty(done: DosePair, name: str) -> bool:
    """Whether the case has no such structure, or one without a voxel."""
    return name != AIM and not np.any(done.scene.structures.get(name, False))


def _index_rows(done: DosePair, reference: Dvhs, synthetic: Dvhs) -> Iterator[Value]:
    """Yield homogeneity and conformity of the target, at the dose that its coverage speaks of."""
    level = done.prescription_gy * done.template.prescribed.coverage_dose_pct / 100
    fits = [
        conformity_of(dose, done.samples[AIM], level) for dose in (done.reference, done.synthetic)
    ]
    homogeneity = [read_metric(dvhs[AIM], "HI") for dvhs in (reference, synthetic)]
    found = {
        "homogeneity": [(reading.value, reading.why) for reading in homogeneity],
        "conformity_paddick": [(fit.paddick, fit.why) for fit in fits],
        "conformity_rtog": [(fit.rtog, fit.why) for fit in fits],
    }
    for metric, ((one, why_one), (two, why_two)) in found.items():
        yield from _both(metric, TARGET, done.key, one, two, why_one or why_two)


def goal_rows(done: DosePair, reference: Dvhs, synthetic: Dvhs) -> Iterator[Value]:
    """Yield the goals that flip, the targets' coverage, and the change of goals about a volume.

    What is prescribed is a goal of each target, and counted with those of the organs.
    """
    key, goals = done.key, (*done.coverage_goals, *done.template.goals)
    one = evaluate_goals(reference, goals, prescription_gy=done.prescription_gy)
    two = evaluate_goals(synthetic, goals, prescription_gy=done.prescription_gy)
    flips = constraint_flips(one, two)
    open_ones = [r for r, s in zip(one, two, strict=True) if r.met is None or s.met is None]
    yield ok("goals_lost", "all", sum(f.kind == "lost" for f in flips), variant=key)
    yield ok("goals_gained", "all", sum(f.kind == "gained" for f in flips), variant=key)
    yield ok("goals_judged", "all", len(goals) - len(open_ones), variant=key)
    yield ok("goals_undecided", "all", len(open_ones), variant=key)
    for first, second in zip(one, two, strict=True):
        if first.goal in done.coverage_goals:
            yield from _coverage_rows(done, first, second)
    told = set()
    for first, second in zip(one, two, strict=True):
        metric = first.goal.parsed
        if metric.is_dose or metric.unit != "%" or (first.goal.structure, metric) in told:
            continue  # two goals may bound one volume
        told.add((first.goal.structure, metric))
        region = region_of(first.goal.structure)
        variant = f"{key}:{metric.name}"
        if first.value is None or second.value is None:
            why = first.why or second.why
            empty = _is_empty(done, first.goal.structure)
            more: dict[str, Any] = {"variant": variant, "absent_in_reference": empty}
            yield undefined("goal_volume_difference", region, why, **more)
        else:
            change = second.value - first.value
            yield ok("goal_volume_difference", region, change, variant=variant)


def _coverage_rows(done: DosePair, one: GoalResult, two: GoalResult) -> Iterator[Value]:
    """Yield what share of its dose covers a target on both images, and whether that is enough."""
    goal, key = one.goal, done.key
    region = region_of(goal.structure)
    dose_gy, said_by = done.further_targets.get(
        goal.structure, (done.prescription_gy, done.prescribed_by)
    )
    if goal.structure != AIM:
        yield ok("prescribed_dose", region, dose_gy, variant=key, why=said_by)
    share = done.template.prescribed.coverage_dose_pct
    asked = f"{goal.metric} at least {share:g} % of the prescribed dose"
    for side, result in (("reference", one), ("synthetic", two)):
        if result.value is None or result.met is None:
            yield undefined(f"coverage_dose_{side}", region, result.why, variant=key)
            yield undefined(f"coverage_met_{side}", region, result.why, variant=key)
        else:
            covered = 100 * result.value / dose_gy
            yield ok(f"coverage_dose_{side}", region, covered, variant=key)
            yield ok(f"coverage_met_{side}", region, int(result.met), variant=key, why=asked)
    name = "coverage_dose_difference"
    if one.value is None or two.value is None:
        yield undefined(name, region, one.why or two.why, variant=key)
    else:
        yield ok(name, region, 100 * (two.value - one.value) / dose_gy, variant=key)


def difference_rows(done: DosePair, settings: DoseSettings) -> Iterator[Value | Curve]:
    """Yield dose differences above the cut-off, by region, and SynthRAD's dose error.

    Body and target have their histogram too, over the same voxels.
    """
    key, dose_gy = done.key, done.prescription_gy
    one = done.reference.array.astype(np.float64)
    change = 100 * (done.synthetic.array - one) / dose_gy
    share = settings.gamma_settings.cutoff_pct
    cutoff = (_CUTOFF_PCT if share is None else share) / 100 * dose_gy
    high = done.body & (one >= cutoff)
    regions = {"body": high, **{region_of(n): m & high for n, m in done.masks.items()}}
    dark = _out_of_the_beams(done)
    for region, where in regions.items():
        if not where.any():
            none = NoValue(
                why=f"no voxel of the region gets {cutoff:.3g} Gy",
                absent_in_reference=region in dark,
            )
            yield as_value("dose_difference_mean", region, none, variant=key)
            yield as_value("dose_difference_95", region, none, variant=key)
            continue
        values = change[where]
        yield ok("dose_difference_mean", region, values.mean(), variant=key)
        yield ok("dose_difference_95", region, np.percentile(np.abs(values), 95), variant=key)
        if region in ("body", TARGET):
            yield difference_histogram(values, region, key)
    near = one > 0.9 * dose_gy
    if near.any():
        yield ok("synthrad_dose_mae", "all", np.abs(change[near]).mean() / 100, variant=key)
    else:
        why = "no voxel exceeds 90 % of the prescription"
        yield undefined("synthrad_dose_mae", "all", why, variant=key)


def _out_of_the_beams(done: DosePair) -> frozenset[str]:
    """Regions of organs of which too little dose on the reference is the reference's own doing.

    One that has voxels and none on the dose grid is there, and was not looked at.
    """
    return frozenset(
        region_of(name)
        for name, mask in done.masks.items()
        if name != AIM and (mask.any() or _is_empty(done, name))
    )


def difference_histogram(change_pct: NDArray[np.float64], region: str, key: str) -> Curve:
    """Return how many % of some voxels have which dose difference, in % of the prescription.

    The bins are centred on the multiples of their width, 0 among them, and reach to both sides as
    far as the farthest voxel, so that none is left out. A voxel on an edge falls to the even bin,
    to either side alike.
    """
    place = np.rint(change_pct * _BINS_PER_PCT).astype(np.int64)
    last = max(int(np.abs(place).max()), 1)  # from three points on, the width is seen
    counts = np.bincount(place + last, minlength=2 * last + 1)
    return Curve(
        curve="dose_difference_histogram",
        region=region,
        variant=key,
        x=np.arange(-last, last + 1, dtype=np.float64) / _BINS_PER_PCT,
        x_unit="% of the prescription",
        y=100 * counts / place.size,
        y_unit=f"% of voxels per {1 / _BINS_PER_PCT:g} %",
    )


def synthrad_row(done: DosePair, reference: Dvhs, synthetic: Dvhs) -> Value:
    """Add up relative differences of the target's D98 and V95%, the organs' D2 and Dmean."""
    key, dose_gy = done.key, done.prescription_gy

    def relative(name: str, metric: str) -> float | None:
        one = read_metric(reference[name], metric, prescription_gy=dose_gy).value
        two = read_metric(synthetic[name], metric, prescription_gy=dose_gy).value
        return None if not one or two is None else abs(two - one) / one

    parts = [relative(AIM, "D98"), relative(AIM, "V95%")]
    if any(part is None for part in parts):
        why = "the target's D98 or V95% is undefined or 0 on the reference"
        return undefined("synthrad_dvh_error", "all", why, variant=key)
    organs = sorted({goal.structure for goal in done.template.goals} & set(reference))
    found = [relative(organ, metric) for organ in organs for metric in ("D2", "Dmean")]
    known = [value for value in found if value is not None]
    total = sum(part for part in parts if part is not None)
    if known:
        total += 2 * float(np.mean(known))  # D2 and Dmean, each the mean over the organs
    coverage = len(known) / len(found) if found else 1.0
    return ok("synthrad_dvh_error", "all", total, variant=key, coverage=coverage)


def gamma_results(done: DosePair, evaluated: Volume, settings: DoseSettings) -> list[GammaResult]:
    """Return gamma of a dose against the reference's, all criteria at once."""
    return gamma(
        done.reference,
        evaluated,
        settings.gamma,
        settings.gamma_settings,
        prescription_gy=done.prescription_gy,
        threads=cores(),
    )


def gamma_rows(done: DosePair, results: list[GammaResult]) -> Iterator[Value]:
    """Yield pass rate, mean gamma and what they rest on, in body, target and structures."""
    regions = {"body": done.body, **{region_of(n): m for n, m in done.masks.items()}}
    dark = _out_of_the_beams(done)
    for result in results:
        variant = f"{done.key}:{result.criterion.key}"
        for region, mask in regions.items():
            said = result.region(region, mask)
            yield ok("gamma_voxels", region, said.judged, variant=variant)
            if said.pass_pct is None:
                gone = not said.above_cutoff and region in dark
                none = NoValue(why=said.why, absent_in_reference=gone)
                yield as_value("gamma_pass_rate", region, none, variant=variant)
                yield as_value("gamma_mean", region, none, variant=variant)
                continue
            more = {"variant": variant, "coverage": said.coverage}
            yield ok("gamma_pass_rate", region, said.pass_pct, **more)
            yield as_value("gamma_mean", region, mean_gamma(said, result.settings), **more)


def mean_gamma(said: RegionGamma, settings: GammaSettings) -> float | Censored | NoValue:
    """Return the mean of a judged region; at least that where the search ended in a voxel."""
    if said.mean is None:
        return NoValue(why="gamma of a voxel without reference dose is infinite")
    if not said.capped:
        return said.mean
    why = f"gamma of {said.capped} of {said.judged} voxels is at least {settings.max_gamma:g}"
    return Censored(at_least=said.mean, why=why)


def cause_rows(done: ComputedPlan, reference: Dvh) -> Iterator[Value]:
    """Yield what each kind of tissue does to the target's mean dose, one at a time."""
    for cause in CAUSES:
        dose = done.dose_on(with_cause(done.scene, cause))
        region = f"cause:{cause}"
        yield _dmean_change(done, reference, dose, "cause_dmean", region, done.key)


def bulk_rows(done: ComputedPlan, reference: Dvh, settings: DoseSettings) -> Iterator[Value]:
    """Yield how far the bulk-density image lies from the reference, as a third dose."""
    dose = done.dose_on(bulk_image(done.scene.reference))
    yield _dmean_change(done, reference, dose, "bulk_dmean", TARGET, done.key)
    for result in gamma_results(done, dose, settings):
        variant = f"{done.key}:{result.criterion.key}"
        said = result.region("body", done.body)
        yield (
            undefined("bulk_gamma_pass_rate", "body", said.why, variant=variant)
            if said.pass_pct is None
            else ok("bulk_gamma_pass_rate", "body", said.pass_pct, variant=variant)
        )


def hlut_rows(done: ComputedPlan, reference: Dvh) -> Iterator[Value]:
    """Yield what another table does to the reference's dose."""
    for hlut in done.choice.other_hluts:
        dose = done.dose_on(done.scene.reference, hlut)
        variant = f"{done.key}:{hlut.name}"
        yield _dmean_change(done, reference, dose, "hlut_dmean", TARGET, variant)


def _dmean_change(
    done: ComputedPlan, reference: Dvh, dose: Volume, metric: str, region: str, variant: str
) -> Value:
    one = read_metric(reference, "Dmean")
    two = read_metric(done.target_dvh(dose), "Dmean")
    if one.value is None or two.value is None:
        return undefined(metric, region, one.why or two.why, variant=variant)
    change = 100 * (two.value - one.value) / done.prescription_gy
    return ok(metric, region, change, variant=variant)
