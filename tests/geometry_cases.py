"""What tests of geometric fidelity share: a patient, its clean twin, and the twin that moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.volume import Volume
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Pair
from qa_suite.metrics.geometry import geometry, images
from qa_suite.metrics.geometry.settings import GeometrySettings

SPACING = (6.0, 6.0, 8.0)
DEFAULT = GeometrySettings()
NO_SOURCE = GeometrySettings(source_alignment="off")
CONTOURS = ("contour_distance", "contour_distance_95", "contour_bias")
LOCAL = ("local_shift_median", "local_shift_95")


@pytest.fixture(scope="module")
def patient():
    return make_patient("A", 1, seed=1, spacing_mm=SPACING)


@pytest.fixture(scope="module")
def clean(patient):
    return oracle_translate(patient.ct_noise_free, seed=3)


@pytest.fixture(scope="module")
def clean_rows(patient, clean):
    return geometry(pair_of(patient, clean), DEFAULT)


def pair_of(patient, synthetic, **more) -> Pair:
    given = {"reference": patient.ct, "mask": patient.structures["Body"], "source": patient.mr}
    return Pair(synthetic=synthetic, **{**given, **more})


def one(rows, metric, variant="default", region="body"):
    (found,) = [r for r in rows if (r.metric, r.variant, r.region) == (metric, variant, region)]
    return found


def number(rows, metric, variant="default", region="body") -> float:
    found = one(rows, metric, variant, region)
    assert found.status == "ok", f"{metric} {variant} {region}: {found.why}"
    return found.value


_MOVED: dict = {}


def moved(patient, shift=(0.0, 0.0, 0.0), rotation=(0.0, 0.0, 0.0)) -> Volume:
    """The twin of a patient who lies elsewhere: sampled there, not interpolated."""
    key = (tuple(shift), tuple(rotation))
    if key not in _MOVED:
        grid, turn = patient.grid, rotation_matrix(np.radians(rotation))
        centre = grid.to_world(np.argwhere(patient.structures["Body"]).mean(axis=0))
        origin = turn.T @ (np.asarray(grid.origin_mm) - centre - shift) + centre
        axes = tuple((turn.T @ grid.axes).ravel())
        there = replace(grid, origin_mm=tuple(origin), direction=axes)
        truth = make_patient("A", 1, seed=1, grid=there).ct_noise_free
        _MOVED[key] = oracle_translate(replace(truth, grid=grid), seed=3)
    return _MOVED[key]


def averaged(array, grid, window=(-500.0, 700.0), resolution=3.0):
    box = tuple(slice(0, n) for n in grid.shape)
    return images.averaged(array, grid, resolution_mm=resolution, window=window, box=box)
