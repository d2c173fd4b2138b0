"""What tests of image measures share: small pairs of images, and their values by key."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.settings import ImageSettings

SHAPE = (16, 14, 12)
SPACING = (1.0, 1.0, 2.0)


@pytest.fixture
def rng():
    return np.random.default_rng(20261)


def volume(array, quantity="HU", spacing=SPACING):
    array = np.asarray(array, dtype=np.float32)
    return Volume(array=array, grid=Grid(shape=array.shape, spacing_mm=spacing), quantity=quantity)


def pair_of(reference, synthetic, mask=None, *, quantity="HU", structures=None, spacing=SPACING):
    reference = np.asarray(reference, dtype=np.float32)
    if mask is None:
        mask = np.ones(reference.shape, dtype=bool)
    return Pair(
        reference=volume(reference, quantity, spacing),
        synthetic=volume(synthetic, quantity, spacing),
        mask=mask,
        structures=structures or {},
    )


def anatomy(rng, shape=SHAPE):
    """Air, soft tissue and bone in blocks, with noise."""
    array = np.full(shape, 20.0)
    array[: shape[0] // 4] = -900.0
    array[-shape[0] // 4 :] = 800.0
    return array + rng.normal(0, 15, shape)


def by_key(values: list[Value]) -> dict[tuple[str, str], Value]:
    return {(v.metric, v.region): v for v in values if v.variant == "default"}


def measured(pair, **changes):
    return by_key(image(pair, ImageSettings(**changes)))
