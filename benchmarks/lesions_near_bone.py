"""How often an invented lesion is told, by its distance from bone.

python -m benchmarks.lesions_near_bone --bound 60

A ball of 12 mm is put into the soft tissue of virtual patients, wherever it fits, and looked for
as the profile of the pelvis does: the largest unexplained contrast of a false lesion against the
bound. The nearer to bone, the better a border of bone that is displaced by 2 mm explains it.
"""

from __future__ import annotations

import argparse

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.lab.exam.scenes import SPACING_MM, virtual_person
from qa_suite.lab.exam.settings import TUNING_SEED
from qa_suite.lab.faults.anatomy import with_lesion
from qa_suite.lab.faults.base import Scene, depth_mm
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.search import find_components
from qa_suite.metrics.hallucination.settings import HallucinationSettings

RANGES_MM = ((0, 14), (14, 20), (20, 200))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=14, help="of each of three hospitals")
    parser.add_argument("--places", type=int, default=3, help="of each patient")
    parser.add_argument("--diameter-mm", type=float, default=12.0)
    parser.add_argument("--bound", type=float, default=60.0, help="HU")
    options = parser.parse_args()

    found: dict[tuple[str, tuple[int, int]], list[float]] = {}
    for hospital in "ABC":
        for index in range(1, options.patients + 1):
            person = virtual_person(hospital, index, seed=TUNING_SEED, spacing_mm=SPACING_MM)
            for candidate in ("twin", "realistic"):
                scene = person.scene(candidate, number=0, side=1)
                for place in range(options.places):
                    rng = np.random.default_rng([ord(hospital), index, place])
                    try:
                        distance, value = one_lesion(scene, options.diameter_mm, rng)
                    except InputError:
                        continue  # no room
                    within = next(r for r in RANGES_MM if r[0] <= distance < r[1])
                    found.setdefault((candidate, within), []).append(value)

    print("| centre to bone | candidate | lesions | told | least, HU |")
    print("|---|---|--:|--:|--:|")
    for within in RANGES_MM:
        for candidate in ("twin", "realistic"):
            values = np.array(found.get((candidate, within), []))
            if len(values):
                told = int(np.count_nonzero(values > options.bound))
                name = f"{within[0]} to {within[1]} mm" if within[1] < 200 else "20 mm and more"
                print(f"| {name} | {candidate} | {len(values)} | {told} | {values.min():.0f} |")


def one_lesion(scene: Scene, diameter_mm: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the lesion's distance from bone, and the largest contrast of a false lesion."""
    synthetic = with_lesion(scene, diameter_mm, rng, clear_of_bone_mm=0.0)[1]
    added = synthetic.array - scene.clean.array
    places = np.argwhere(added > 0)
    weights = added[added > 0]
    centre = np.round(np.average(places, axis=0, weights=weights)).astype(int)
    pair = Pair(
        reference=scene.reference,
        synthetic=synthetic,
        mask=scene.body,
        source=scene.source,
        structures=scene.structures,
    )
    components = find_components(pair, HallucinationSettings())
    contrasts = [c.unexplained_hu for c in components if c.kind == "lesion" and c.false]
    return float(depth_mm(~scene.bone, scene.grid)[tuple(centre)]), max(contrasts, default=0.0)


if __name__ == "__main__":
    main()
