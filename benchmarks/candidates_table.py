"""The exam's clean candidates beside what was published, into docs/exam/candidates.md.

    python -m benchmarks.candidates_table --write docs/exam/candidates.md
    python -m benchmarks.candidates_table --patients 1 --dose-patients 0     # a quick look

Run on the tuning seed: the bounds of the profiles were chosen beside these numbers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qa_suite.evaluation.profiles import load_profile
from qa_suite.judging.outcomes import meets
from qa_suite.lab.exam.scenes import virtual_person
from qa_suite.lab.exam.settings import TUNING_SEED, ExamSettings
from qa_suite.lab.exam.taken import dose_of
from qa_suite.lab.phantom.candidates import CANDIDATES
from qa_suite.metrics.base import Pair
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

BEGIN, END = "<!-- candidates: begin -->", "<!-- candidates: end -->"
HOSPITALS = ("A", "B", "C")
DOSE = "mr-to-ct-pelvis-dose"
IMAGE = "mr-to-ct-pelvis"
IMAGE_FAMILIES = ("geometry", "hallucination", "image", "reference_free", "segmentation")
ROWS = (  # name, metric, region, variant
    ("MAE of the body, HU", "mae", "body", "default"),
    ("MAE of bone, HU", "mae", "bone", "default"),
    ("MAE of soft tissue, HU", "mae", "soft", "default"),
    ("ME of the body, HU", "me", "body", "default"),
    ("ME of bone, HU", "me", "bone", "default"),
    ("HU slope, % off", "slope_error", "body", "default"),
    ("Dice of bone", "dice", "seg:Bone", "default"),
    ("sharpness, dB", "high_frequency_ratio", "body", "default"),
    ("false and missed bone, pieces", "*components", "bone", "default"),
    ("false and missed air, pieces", "*components", "air", "default"),
    ("false and missed lesions of soft tissue", "*components", "lesion", "default"),
    ("false and missed lesions of bone", "*components", "bone_lesion", "default"),
    ("photons: target's mean dose, %", "dmean_difference_pct", "target", "photon-pelvis"),
    ("photons: gamma 2 %/2 mm, %", "gamma_pass_rate", "body", "photon-pelvis:2pct2mm"),
    ("protons: depth from the left, mm", "wepl_difference_mean", "beam:G090", "proton-pelvis"),
    ("protons: depth from the right, mm", "wepl_difference_mean", "beam:G270", "proton-pelvis"),
    ("protons: rays beyond margin, %", "range_beyond_margin", "beam:G090", "proton-pelvis"),
)
Values = dict[tuple[str, ...], list[float]]
"""Metric, region and variant to the patients' values; of what has none, its status before them."""


def measured(candidate: str, patients: int, dose_patients: int) -> Values:
    """Measure a candidate's clean images of the first patients of every hospital."""
    dose = dose_of(load_profile(DOSE), ExamSettings(profile=DOSE))
    values: Values = defaultdict(list)
    for hospital in HOSPITALS:
        for index in range(1, patients + 1):
            scene = virtual_person(hospital, index, seed=TUNING_SEED).scene(candidate)
            pair = Pair(
                reference=scene.reference,
                synthetic=scene.clean,
                mask=scene.body,
                source=scene.source,
                structures=scene.structures,
            )
            with_dose = index <= dose_patients
            found = measure_pair(
                pair,
                families=[*IMAGE_FAMILIES, *(["dose"] if with_dose else [])],
                settings=MeasureSettings(dose=dose) if with_dose else MeasureSettings(),
                case=scene.case,
                patient=scene.case,
                site=hospital,
            )
            counts: dict[tuple[str, ...], float] = defaultdict(float)
            for row in found.rows:
                key = (row.metric, row.region, row.variant)
                if row.value is None:
                    values[row.status, *key].append(np.nan)
                    continue
                if row.metric in ("false_components", "missed_components"):
                    counts["*components", row.region, row.variant] += row.value
                else:
                    values[key].append(row.value)
            for key, value in counts.items():
                values[key].append(value)
    return values


def misses(found: Values) -> list[str]:
    """Say each criterion of the image profile that a candidate's patients miss, and by what."""
    lines = []
    for c in load_profile(IMAGE).criteria:
        known = found.get((c.metric, c.region, c.variant), [])
        censored = len(found.get(("censored", c.metric, c.region, c.variant), []))
        each = c.scope == "worst_patient" or c.statistic in ("max", "min")
        asked = known if each else [float(np.mean(known))] if known else []
        missed = [value for value in asked if not meets(c, value, c.bound)]
        if missed:
            worst = max(missed, key=lambda value: abs(abs(value) - c.bound))
            many = f" in {len(missed)} of {len(known) + censored}" if each else " in the mean"
            said = f"{worst:.3g} {c.unit.replace('1', '')}".strip()
            lines.append(f"{c.name}: {said}{many} (bound {c.bound:g})")
        elif censored:
            lines.append(f"{c.name}: censored in {censored} of {len(known) + censored}")
    return lines


def table(found: dict[str, Values]) -> str:
    lines = [
        "| mean (least to most) | " + " | ".join(CANDIDATES[n].facts.title for n in found) + " |",
        "|---|" + "--:|" * len(found),
    ]
    for name, *key in ROWS:
        cells = [_cell(values.get((key[0], key[1], key[2]), [])) for values in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=8, help="of each hospital")
    parser.add_argument("--dose-patients", type=int, default=3, help="of them, for doses")
    parser.add_argument("--candidates", default=",".join(e.name for e in CANDIDATES))
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    options = parser.parse_args()
    found = {
        name: measured(name, options.patients, options.dose_patients)
        for name in options.candidates.split(",")
    }
    text = table(found)
    text += (
        f"\n\n{len(HOSPITALS) * options.patients} virtual patients of seed {TUNING_SEED} on voxels "
        f"of 6 mm; doses of {len(HOSPITALS) * options.dose_patients} of them. Missed under "
        f"`{IMAGE}`:\n"
    )
    for name, values in found.items():
        text += f"\n- {CANDIDATES[name].facts.title}: {'; '.join(misses(values)) or 'nothing'}."
    print(text)
    if options.write:
        page = options.write.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        options.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
