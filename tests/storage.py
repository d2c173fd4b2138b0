"""One image in other storage: axes permuted and flipped, the affine following."""

from __future__ import annotations

import itertools
from dataclasses import replace

from qa_suite.core.orientation import Turn
from qa_suite.core.prediction import Prediction
from qa_suite.metrics.base import Pair

STORAGES = [
    Turn(order=order, flipped=flipped)  # type: ignore[arg-type]
    for order in itertools.permutations(range(3))
    for flipped in itertools.product((False, True), repeat=3)
]
"""All 48 ways to store an array of three axes; the first is the array as it is."""

SOME_STORAGES = [
    Turn(order=(1, 2, 0), flipped=(False, False, False)),
    Turn(order=(0, 1, 2), flipped=(True, True, False)),  # NIfTI's own, RAS
    Turn(order=(2, 0, 1), flipped=(True, False, True)),
    Turn(order=(1, 0, 2), flipped=(False, False, True)),  # left-handed twice over
    Turn(order=(2, 1, 0), flipped=(False, True, False)),
]
"""A handful of them for what takes long: every axis becomes the last one, and is flipped."""


def name_of(turn: Turn) -> str:
    """Write a storage for a test's name, such as ``+y-z+x``."""
    return "".join(
        ("-" if flip else "+") + "xyz"[axis]
        for axis, flip in zip(turn.order, turn.flipped, strict=True)
    )


def said(prediction: Prediction, turn: Turn) -> Prediction:
    """A translator's answer in other storage."""
    return replace(
        prediction,
        mean=prediction.mean.turned(turn),
        std=None if prediction.std is None else prediction.std.turned(turn),
        samples=tuple(sample.turned(turn) for sample in prediction.samples),
        half_width=None if prediction.half_width is None else prediction.half_width.turned(turn),
    )


def parts_of(pair: Pair, turn: Turn) -> dict[str, object]:
    """What a pair is made of, in other storage; ``Pair(**parts_of(...))`` makes it again."""
    return {
        "reference": pair.reference.turned(turn),
        "synthetic": pair.synthetic.turned(turn),
        "source": None if pair.source is None else pair.source.turned(turn),
        "mask": turn.apply(pair.mask),
        "coverage": None if pair.coverage is None else turn.apply(pair.coverage),
        "structures": {name: turn.apply(mask) for name, mask in pair.structures.items()},
        "prediction": None if pair.prediction is None else said(pair.prediction, turn),
        "instruments": pair.instruments,
        "clinic": pair.clinic,
    }
