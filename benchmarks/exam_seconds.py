"""What a patient of the exam costs: processor seconds to make him and to measure each candidate.

python benchmarks/exam_seconds.py --patients 8
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

from qa_suite.evaluation.profiles import load_profile
from qa_suite.lab.exam.scenes import virtual_person
from qa_suite.lab.exam.settings import TUNING_SEED, ExamSettings
from qa_suite.lab.exam.taken import families_of, settings_for
from qa_suite.metrics.base import Pair
from qa_suite.metrics.run import measure_pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=8)
    patients = parser.parse_args().patients
    exam = ExamSettings()
    profile = load_profile(exam.profile)
    settings = settings_for(profile, alone=False)
    spent: dict[str, float] = defaultdict(float)
    for index in range(patients + 1):  # the first warms the compiled loops up
        if index == 1:
            spent.clear()
        started = time.process_time()
        person = virtual_person("A", 100 + index, seed=TUNING_SEED)
        spent["make"] += time.process_time() - started
        for candidate in exam.candidates:
            started = time.process_time()
            scene = person.scene(candidate)
            pair = Pair(
                reference=scene.reference,
                synthetic=scene.clean,
                mask=scene.body,
                source=scene.source,
                structures=scene.structures,
            )
            spent[f"{candidate}: translate"] += time.process_time() - started
            for family in families_of(profile, alone=False):
                started = time.process_time()
                measure_pair(
                    pair, families=[family], settings=settings, case="c", patient="p", site="s"
                )
                spent[f"{candidate}: {family}"] += time.process_time() - started
    for what, seconds in spent.items():
        print(f"{what:32s} {seconds / patients:.3f} s")
    print(f"{'in all':32s} {sum(spent.values()) / patients:.3f} s")


if __name__ == "__main__":
    main()
