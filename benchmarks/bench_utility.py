"""Downstream utility of a good and of a blurred translator, on virtual patients.

    python benchmarks/bench_utility.py --write docs/utility.md     # about 20 minutes on a core
    python benchmarks/bench_utility.py --patients 2 --iterations 30 --seeds 1     # a look

Both know the truth. The twin adds 12 HU of noise, 1.5 mm of blur and a ±10 HU field; the other
one blurs by 14 mm first, as a regression that averages over what it cannot see.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Cohort, assign_splits
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination
from qa_suite.instruments.settings import SegmenterSettings
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.lab.oracles import oracle
from qa_suite.lab.phantom import make_phantom_cohort, oracle_translate
from qa_suite.lab.utility import UtilityExperiment, UtilityResult, UtilitySettings, measure_utility
from qa_suite.preflight import PreflightSettings

BEGIN, END = "<!-- utility: begin -->", "<!-- utility: end -->"
SPACING_MM = (6.0, 6.0, 6.0)
BLUR_MM = 14.0


def blurred(loaded: LoadedCase) -> Prediction:
    truth = loaded.truth["noise_free_reference"]
    seed = sum(map(ord, loaded.case.case))
    return Prediction(mean=oracle_translate(truth, seed=seed, blur_mm=BLUR_MM))


def translators() -> dict[str, tuple[ModelFacts, Translate]]:
    facts = ModelFacts(uri="oracle:blurred", name="oracle-blurred", family="oracle")
    return {"clean twin": oracle("oracle:twin"), f"blurred by {BLUR_MM:g} mm": (facts, blurred)}


def cohort(folder: Path, patients: int) -> Cohort:
    made = make_phantom_cohort(
        folder,
        hospitals=("A", "B", "C"),
        patients_per_hospital=patients,
        spacing_mm=SPACING_MM,
        seed=21,
    )
    return assign_splits(made, fractions={"test": 1.0}, seed=0)


def experiments(patients: int, iterations: int, seeds: int) -> dict[str, UtilityResult]:
    found = {}
    with tempfile.TemporaryDirectory() as place:
        material = cohort(Path(place) / "cohort", patients)
        for name, (facts, translate) in translators().items():
            experiment = UtilityExperiment(
                examination=Examination(
                    cohort=material,
                    folder=Path(place) / "cohort",
                    model=facts,
                    translate=translate,
                    settings=EvaluationSettings(
                        preflight=PreflightSettings(estimate_alignment=False)
                    ),
                ),
                settings=UtilitySettings(
                    folds=3,
                    seeds=seeds,
                    segmenter=SegmenterSettings(
                        working_spacing_mm=SPACING_MM, iterations=iterations
                    ),
                ),
            )
            found[name] = measure_utility(experiment, Path(place) / facts.name, progress=_say)
    return found


def _say(done: int, total: int, what: str) -> None:
    print(f"{done}/{total} {what}", flush=True)


def table(found: dict[str, UtilityResult]) -> str:
    columns = (
        "Translator",
        "structure",
        "real",
        "synthetic",
        "both",
        "synthetic − real",
        "both − real",
    )
    lines = ["| " + " | ".join(columns) + " |", "|---|---|--:|--:|--:|--:|--:|"]
    unlearnt: dict[str, None] = {}
    for name, result in found.items():
        for s in result.structures:
            if not any(s.dice.values()):
                unlearnt.setdefault(s.structure)
                continue
            dice = [f"{s.dice[arm]:.3f}" for arm in ("real", "synthetic", "both")]
            steps = [f"{d.estimate:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for d in s.differences]
            lines.append("| " + " | ".join([name, s.structure, *dice, *steps]) + " |")
    first = next(iter(found.values()))
    fits = sum(len(r.scores) for r in found.values())
    each = np.mean([s.seconds for r in found.values() for s in r.scores])
    settings = first.settings
    lines += [
        "",
        *([f"Dice 0 in every arm: {', '.join(unlearnt)}.", ""] if unlearnt else []),
        (
            f"{first.patients} virtual patients at {SPACING_MM[0]:g} mm, {settings.folds} folds, "
            f"{settings.seeds} repetitions, {settings.segmenter.iterations} steps: {fits} "
            f"segmenters of {each:.0f} s on one core of a busy machine, "
            f"{fits * each / 60:.0f} minutes."
        ),
    ]
    return "\n".join(lines)


def rows() -> list[dict[str, object]]:
    """Time one segmenter of the experiment; there is no peer to set beside it."""
    started = time.perf_counter()
    found = experiments(patients=2, iterations=20, seeds=1)
    each = np.mean([s.seconds for r in found.values() for s in r.scores])
    whole = time.perf_counter() - started
    return [
        {
            "task": "utility: one segmenter, 20 steps",
            "sizes": "6 patients at 6 mm",
            "peer": "–",
            "ours_s": float(each),
            "peer_s": None,
            "ratio": None,
            "agreement": f"whole experiment {whole:.0f} s",
        }
    ]


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=4, help="per hospital, of three")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="page whose marked part is replaced")
    options = parser.parse_args()
    text = table(experiments(options.patients, options.iterations, options.seeds))
    print(text)
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
