"""How often the audit of shift names what moved: simulated hospitals with planted shifts.

``python -m benchmarks.shift_rates --write docs/appendix/shift.md`` draws the cohorts of
:mod:`benchmarks.shift_cohorts` (four hospitals, the model trained at two of them; in the images of
the fourth is what was planted) and counts the answers. ``--seconds`` says what the measures take
for one virtual patient.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.shift_cohorts import Planted, sizes, tables
from qa_suite.judging.shift import moves_of
from qa_suite.judging.shift.whose import answer_of

SITES, TRAINING, MOVED = "ABCD", ("A", "B"), "D"
PATIENTS = (5, 10, 20)
SHIFTS_SD = (1.5, 2.0)
KINDS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "source": ("intensity: level and contrast", {"source_level": 1, "source_span": 1}),
    "reference": ("tube voltage: fat down, bone up", {"tissue_hu@fat": -1, "tissue_hu@bone": 1}),
    "synthetic": ("bias: fat, muscle and bone up", {
        "tissue_hu@fat": 1, "tissue_hu@muscle": 1, "tissue_hu@bone": 1,
    }),
}  # fmt: skip


def planted_in(kind: str, shift_sd: float) -> Planted:
    """Return what is planted at the fourth hospital."""
    if kind == "nothing":
        return {}
    return {(MOVED, kind): {f: sign * shift_sd for f, sign in KINDS[kind][1].items()}}  # type: ignore[dict-item]


def answers(kind: str, shift_sd: float, patients: int, cohorts: int, seed: int) -> Counter[str]:
    """Count the answers for the fourth hospital, and the cohorts with a false name."""
    rng = np.random.default_rng([seed, patients, round(10 * shift_sd), len(kind)])
    found: Counter[str] = Counter()
    for _ in range(cohorts):
        planted = planted_in(kind, shift_sd)
        drawn = tables(sizes(SITES, patients), rng, planted)
        moves = moves_of(drawn, SITES, training_sites=TRAINING)
        moved = [m.image for m in moves if m.site == MOVED and m.moved]
        found[answer_of(moved, [])] += 1
        found["false name"] += bool({(m.site, m.image) for m in moves if m.moved} - set(planted))
        source = {"source": drawn["source"]}
        alone = moves_of(source, SITES, training_sites=TRAINING)
        found["source alone"] += any(m.moved for m in alone if m.site == MOVED)
    return found


def page(cohorts: int, seed: int) -> str:
    """Return the page: one row a kind, shift and number of patients."""
    lines = [
        "# How often a shift is named",
        "",
        "Written by `python -m benchmarks.shift_rates --write docs/appendix/shift.md`:",
        f"{cohorts} cohorts a row, four hospitals of so many patients each, the model trained at",
        "two. In the images of the fourth, whose error differs, is what was planted, in standard",
        "deviations between patients. *Right* is the answer of",
        "[whose shift](../shift.md#whose-shift-is-it); *false name* is any image of any hospital",
        "named though nothing was planted there (promised: at most 5 %); *source alone* is the",
        "fourth's source named where nothing but sources is asked for.",
        "",
        "| Planted | SD | Patients a site | Right | None shown | Wrong or several | False name | "
        "Source alone |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, shift in [("nothing", 0.0), *((k, s) for k in KINDS for s in SHIFTS_SD)]:
        for patients in PATIENTS:
            found = answers(kind, shift, patients, cohorts, seed)
            right = found["none shown" if kind == "nothing" else kind]
            none = found["none shown"]
            wrong = cohorts - right - (0 if kind == "nothing" else none)
            alone = found["source alone"] if kind in ("nothing", "source") else None
            what = kind if kind == "nothing" else f"{kind}, {KINDS[kind][0]}"
            share = [
                "–" if n is None else f"{100 * n / cohorts:.0f} %"
                for n in (right, none, wrong, found["false name"], alone)
            ]
            lines.append(f"| {what} | {shift:g} | {patients} | {' | '.join(share)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def seconds() -> str:
    """Say what the family takes for one virtual patient, beside those that see no dose."""
    from qa_suite.lab.phantom import make_patient
    from qa_suite.metrics.base import Pair
    from qa_suite.metrics.run import FAMILIES, measure_pair
    from qa_suite.metrics.settings import MeasureSettings

    patient = make_patient("A", 1, seed=1, spacing_mm=(3, 3, 3))
    pair = Pair(
        source=patient.mr, reference=patient.ct, synthetic=patient.ct_noise_free, mask=patient.body
    )
    who = {"case": "c", "patient": "p", "site": "s"}
    taken = {}
    for name in [entry.name for entry in FAMILIES if entry.name != "dose"]:
        for _ in range(2):  # the first call compiles
            started = time.process_time()
            measure_pair(pair, families=[name], settings=MeasureSettings(), **who)
            taken[name] = time.process_time() - started
    whole = sum(taken.values())
    own = taken["appearance"]
    return (
        f"appearance: {own:.2f} s of {whole:.1f} s of processor time for {pair.grid.shape} voxels "
        f"({100 * own / whole:.1f} %)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--seconds", action="store_true")
    asked = parser.parse_args()
    if asked.seconds:
        print(seconds())
    else:
        text = page(asked.cohorts, asked.seed)
        if asked.write is not None:
            asked.write.write_text(text)
