"""How far each fault lies from the clean images, measure by measure: what bounds are chosen on.

For every fault at its clinical severity, and every measure that may name it: the range over
clean patients, and over the same patients with the fault. Run on the tuning seed, never on the
reported one.

    python benchmarks/exam_margins.py --patients 4 --faults hu_bias,shift
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.lab.exam.scenes import SPACING_MM, virtual_scene
from qa_suite.lab.exam.settings import TUNING_SEED
from qa_suite.lab.faults import FAULTS, plant
from qa_suite.metrics.base import Pair
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

Values = dict[tuple[str, str, str], float]
HOSPITALS = ("A", "B", "C")


def values_of(scene, reference, synthetic, source) -> Values:
    pair = Pair(
        reference=reference,
        synthetic=synthetic,
        mask=scene.body,
        source=source,
        structures=scene.structures,
    )
    rows = measure_pair(
        pair, families=None, settings=MeasureSettings(), case="c", patient="p", site="s"
    ).rows
    return {(r.metric, r.region, r.variant): r.value for r in rows if r.value is not None}


def one(task) -> dict[str, Values]:
    hospital, index, faults, every = task
    scene = virtual_scene(hospital, index, seed=TUNING_SEED)
    found = {"": values_of(scene, scene.reference, scene.clean, scene.source)}
    for name in faults:
        facts = FAULTS[name].facts
        for severity in facts.severities if every else (facts.clinical,):
            rng = np.random.default_rng([index, *name.encode()])
            try:
                made = plant(scene, name, severity, rng)
            except InputError as error:
                print(f"{scene.case}: {error}")
                continue
            found[f"{name} {severity:g}"] = values_of(
                scene, made.reference, made.synthetic, made.source
            )
            if made.clean is not scene.clean:
                clean = values_of(scene, made.reference, made.clean, made.source)
                found[f"{name} {severity:g}, its clean image"] = clean
    return found


def spread(values: list[float]) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"{low:.3g} {middle:.3g} {high:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=4, help="of each hospital")
    parser.add_argument("--faults", default="", help="default: all")
    parser.add_argument("--metrics", default="", help="show these for every fault")
    parser.add_argument("--every", action="store_true", help="every severity")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = [n for n in options.faults.split(",") if n] or [e.name for e in FAULTS]
    tasks = [
        (h, i, names, options.every) for h in HOSPITALS for i in range(1, options.patients + 1)
    ]
    gathered: dict[str, dict[tuple[str, str, str], list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(one, tasks):
            for what, values in found.items():
                for key, value in values.items():
                    gathered[what][key].append(value)
    shown = [m for m in options.metrics.split(",") if m]
    print(f"{len(tasks)} patients on {SPACING_MM} mm; lowest, median, highest")
    print("| fault | measure | clean | faulted |")
    print("|---|---|--:|--:|")
    for what in gathered:
        if not what:
            continue
        facts = FAULTS[what.split()[0]].facts
        for key in gathered[what]:
            metric, region, variant = key
            if (
                (metric, region) in facts.answers
                or metric in facts.answers_alone
                or metric in shown
            ):
                name = f"{metric} {region}" + ("" if variant == "default" else f" {variant}")
                clean = gathered[""].get(key)
                print(
                    f"| {what} | {name} | {spread(clean) if clean else '–'} "
                    f"| {spread(gathered[what][key])} |"
                )


if __name__ == "__main__":
    main()
