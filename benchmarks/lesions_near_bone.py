"""How often an invented lesion is told, by its distance from bone, and what clean images show.

python -m benchmarks.lesions_near_bone --clean 600

A ball of 12 mm is put into the soft tissue of virtual patients, wherever it fits, and looked for
as the profile of the pelvis does: the largest unexplained contrast of a false lesion against the
bound, which is another near bone. The nearer to bone, the better a border of bone that is displaced
by 2 mm explains it, and the more a translator errs. With --clean, the largest contrasts in so many
clean images of the realistic candidate are told too.
"""

from __future__ import annotations

import argparse

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.lab.exam.scenes import SPACING_MM, virtual_person
from qa_suite.lab.exam.settings import TUNING_SEED
from qa_suite.lab.faults.anatomy import with_lesion
from qa_suite.lab.faults.base import Scene, depth_mm
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.search import find_components
from qa_suite.metrics.hallucination.settings import HallucinationSettings

LESIONS = ("lesion", "lesion_near_bone")
RANGES_MM = ((0, 14), (14, 20), (20, 200))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=14, help="of each of three hospitals")
    parser.add_argument("--places", type=int, default=3, help="of each patient")
    parser.add_argument("--diameter-mm", type=float, default=12.0)
    parser.add_argument("--bound", type=float, default=55.0, help="HU, clear of bone")
    parser.add_argument("--bound-near-bone", type=float, default=80.0, help="HU")
    parser.add_argument("--clean", type=int, default=0, help="clean images to look at too")
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
                        distance, shown = one_lesion(scene, options.diameter_mm, rng)
                    except InputError:
                        continue  # no room
                    within = next(r for r in RANGES_MM if r[0] <= distance < r[1])
                    near, far = shown["lesion_near_bone"], shown["lesion"]
                    share = max(far / options.bound, near / options.bound_near_bone)
                    found.setdefault((candidate, within), []).append(share)

    print("| centre to bone | candidate | lesions | told | least, of the bound |")
    print("|---|---|--:|--:|--:|")
    for within in RANGES_MM:
        for candidate in ("twin", "realistic"):
            values = np.array(found.get((candidate, within), []))
            if len(values):
                told = int(np.count_nonzero(values > 1))
                name = f"{within[0]} to {within[1]} mm" if within[1] < 200 else "20 mm and more"
                print(f"| {name} | {candidate} | {len(values)} | {told} | {values.min():.2f} |")
    if options.clean:
        clean_images(options.clean)


def clean_images(count: int) -> None:
    """Print the largest contrasts of lesions in clean images of other patients."""
    largest: dict[str, list[float]] = {kind: [] for kind in LESIONS}
    for number in range(count):
        hospital, index = "ABC"[number % 3], 7001 + number // 3
        person = virtual_person(hospital, index, seed=TUNING_SEED, spacing_mm=SPACING_MM)
        scene = person.scene("realistic", number=0, side=1)
        for false in (True, False):
            for kind, value in contrasts(scene, scene.clean, false=false).items():
                largest[kind].append(value)
    for kind, values in largest.items():
        most = ", ".join(f"{value:.0f}" for value in sorted(values)[-5:])
        print(f"Largest contrasts of {count} clean images, {kind}: {most} HU")


def one_lesion(
    scene: Scene, diameter_mm: float, rng: np.random.Generator
) -> tuple[float, dict[str, float]]:
    """Return the lesion's distance from bone, and the contrasts of false lesions."""
    synthetic = with_lesion(scene, diameter_mm, rng, clear_of_bone_mm=0.0)[1]
    added = synthetic.array - scene.clean.array
    places = np.argwhere(added > 0)
    weights = added[added > 0]
    centre = np.round(np.average(places, axis=0, weights=weights)).astype(int)
    distance = float(depth_mm(~scene.bone, scene.grid)[tuple(centre)])
    return distance, contrasts(scene, synthetic, false=True)


def contrasts(scene: Scene, synthetic: Volume, *, false: bool) -> dict[str, float]:
    """Return the largest unexplained contrast of each kind of lesion in soft tissue, in HU."""
    pair = Pair(
        reference=scene.reference,
        synthetic=synthetic,
        mask=scene.body,
        source=scene.source,
        structures=scene.structures,
    )
    found = [c for c in find_components(pair, HallucinationSettings()) if c.false == false]
    return {
        kind: max((c.unexplained_hu for c in found if c.kind == kind), default=0.0)
        for kind in LESIONS
    }


if __name__ == "__main__":
    main()
