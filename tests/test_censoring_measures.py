"""Every registered metric under faults that grow: the end of a window is no measured value.

Two ways to find one. A metric that declares a window (``MetricFacts.ends``) has no value at its
end or beyond, and the battery drives it there. A metric that declares none must not stand still
while a fault grows tenfold: a number that is the same for the second, third and fourth step and
another for the first is a cap, unless it is an end of the metric's range or a whole number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.measures.base import Pair, Value
from qa_suite.measures.geometry_settings import GeometrySettings, PositioningSettings
from qa_suite.measures.run import measure_pair
from qa_suite.measures.settings import MeasureSettings
from qa_suite.phantom import make_patient, oracle_translate

FAMILIES = ("geometry", "hallucination", "image", "reference_free", "segmentation")
SETTINGS = MeasureSettings(
    geometry=GeometrySettings(positioning=PositioningSettings(cbct=False, drr=False))
)
Array = np.ndarray


@dataclass(frozen=True)
class Scene:
    """A small virtual patient: the true images, and what a translator makes of them."""

    patient: object
    clean: object

    def pair(self, array: Array) -> Pair:
        p = self.patient
        image = self.clean.with_array(np.ascontiguousarray(array, dtype=np.float32))
        return Pair(reference=p.ct, synthetic=image, mask=p.structures["Body"], source=p.mr)


@pytest.fixture(scope="module")
def scene() -> Scene:
    patient = make_patient("A", 1, seed=1, spacing_mm=(7.0, 7.0, 9.0))
    return Scene(patient, oracle_translate(patient.ct_noise_free, seed=3))


def shifted(scene: Scene, mm: float) -> Array:
    return np.roll(scene.clean.array, round(mm / 7.0), axis=1)


def noisy(scene: Scene, hu: float) -> Array:
    noise = np.random.default_rng(5).standard_normal(scene.clean.array.shape)
    return scene.clean.array + hu * noise


def brighter(scene: Scene, hu: float) -> Array:
    return scene.clean.array + np.where(scene.patient.structures["Body"], hu, 0)


def one_slice(scene: Scene, hu: float) -> Array:
    array = scene.clean.array.copy()
    array[:, :, array.shape[2] // 2] += hu
    return array


def blurred(scene: Scene, mm: float) -> Array:
    return ndimage.gaussian_filter(scene.clean.array, [mm / s for s in (7.0, 7.0, 9.0)])


def denser_bone(scene: Scene, hu: float) -> Array:
    array = scene.clean.array
    return array + np.where(array > 150, hu, 0)


def grown(scene: Scene, mm: float) -> Array:
    body = scene.patient.structures["Body"]
    reach = ndimage.distance_transform_edt(~body, sampling=(7.0, 7.0, 9.0))
    return np.where(~body & (reach <= mm), 0, scene.clean.array)


def thinner(scene: Scene, mm: float) -> Array:
    body = scene.patient.structures["Body"]
    depth = ndimage.distance_transform_edt(body, sampling=(7.0, 7.0, 9.0))
    return np.where(depth <= mm, -1000, scene.clean.array)


SERIES = {
    "shifted": (shifted, (7, 28, 56, 98)),
    "noisy": (noisy, (10, 300, 1e3, 3e4)),
    "brighter": (brighter, (20, 270, 2000, 1e5)),
    "dimmer": (brighter, (-20, -290, -330, -360)),
    "one slice": (one_slice, (20, 300, 3000, 1e5)),
    "blurred": (blurred, (3, 20, 30, 40)),
    "denser bone": (denser_bone, (-60, 400, 600, 2000)),
    "fainter bone": (denser_bone, (20, -170, -180, -190)),
    "grown": (grown, (6, 30, 45, 60)),
    "thinner": (thinner, (6, 30, 45, 60)),
}
Key = tuple[str, str, str]


def measured(scene: Scene, array: Array) -> dict[Key, Value]:
    found = measure_pair(
        scene.pair(array), families=FAMILIES, settings=SETTINGS, case="c", patient="p", site="s"
    )
    return {(row.metric, row.region, row.variant): row for row in found.rows}


@pytest.fixture(scope="module")
def steps(scene: Scene) -> dict[str, list[dict[Key, Value]]]:
    return {
        name: [measured(scene, make(scene, size)) for size in sizes]
        for name, (make, sizes) in SERIES.items()
    }
