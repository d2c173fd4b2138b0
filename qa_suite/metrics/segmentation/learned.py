"""Structures by learned segmenters, applied alike to both images.

Where the two images differ by less than the segmenter differs from the truth on real CTs (its
noise floor), the difference says nothing about the translator; ``noise_floor_gap`` tells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.failures import is_of_the_run
from qa_suite.core.volume import Volume
from qa_suite.instruments.base import Segmenter
from qa_suite.metrics.base import NoValue, Pair, Value, as_value, failed
from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.segmentation.settings import SegmentationSettings
from qa_suite.metrics.segmentation.structures import (
    compare_masks,
    structure_keys,
    tolerance_variant,
)
from qa_suite.metrics.segmentation.synthrad import mode_keys, mode_values

log = logging.getLogger(__name__)


GAP = "noise_floor_gap"


METRICS.declare(
    GAP,
    MetricFacts(
        family="segmentation",
        title="Dice above the segmenter's noise floor",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        kind="signed",
        formula=(
            "D - F; D: Dice of the learned segmenter's structure in the two images; F: its noise "
            "floor, the Dice against the true labels on real CTs that it was not trained on; "
            "from 0 on the images differ by no more than the segmenter errs"
        ),
        empty="undefined where the segmenter has no noise floor for the structure, or no Dice",
        reference="Definition of this suite",
    ),
)


def noise_floor_gap(
    dice: float | None, floor: float | None, *, absent_in_reference: bool = False
) -> float | NoValue:
    """Dice of this case minus the segmenter's own noise floor for the structure."""
    if floor is None:
        return NoValue(why="the segmenter has no noise floor for this structure")
    if dice is None:
        return NoValue(
            why="the structure has no Dice in this case", absent_in_reference=absent_in_reference
        )
    return dice - floor


def learned_structures(pair: Pair, settings: SegmentationSettings) -> list[Value]:
    """Compare the structures that every learned segmenter finds in the two images.

    Parameters
    ----------
    pair
        With its instruments; both images in HU, finite in the mask.
    settings
        Tolerances of the surface Dice.

    Returns
    -------
    list of Value
        Regions ``seg:NAME``, with the segmenter's name as variant. A segmenter that raises
        leaves its rows as errors, and the others go on.

    Raises
    ------
    InputError
        If the name of a segmenter cannot stand as a variant, or two have the same.
    """
    _require_names([segmenter.facts.name for segmenter in pair.instruments.segmenters])
    return [
        value
        for segmenter in pair.instruments.segmenters
        for value in _by(segmenter, pair, settings)
    ]


def learned_keys(
    segmenters: Iterable[Segmenter], settings: SegmentationSettings
) -> list[tuple[str, str, str]]:
    """Return every (metric, region, variant) that :func:`learned_structures` gives."""
    segmenters = tuple(segmenters)
    by_structure = [
        (metric, f"seg:{name}", variant)
        for segmenter in segmenters
        for name in segmenter.structures
        for metric, variant in (
            *structure_keys(settings.surface_tolerances_mm, segmenter.facts.name),
            (GAP, segmenter.facts.name),
        )
    ]
    return by_structure + mode_keys(segmenters, settings.synthrad_region)


def learned_variants(
    segmenters: Iterable[Segmenter], tolerances_mm: tuple[float, ...]
) -> dict[str, dict[str, object]]:
    """Describe every variant key of the learned segmenters."""
    described: dict[str, dict[str, object]] = {}
    for segmenter in segmenters:
        facts = segmenter.facts
        who = {"segmenter": facts.name, "weights_sha256": facts.weights_sha256}
        described[facts.name] = dict(who)
        for tolerance in tolerances_mm:
            key = tolerance_variant(tolerance, facts.name)
            described[key] = {**who, "tolerance_mm": tolerance}
    return described


def _require_names(names: list[str]) -> None:
    """Refuse names that would let two measurements fall together in the record."""
    for name in names:
        if name in ("", "default") or ":" in name or names.count(name) > 1:
            raise InputError(
                f"The segmenter name {name!r} cannot tell measurements apart; names must be "
                f"different, without ':' and not 'default'."
            )


def _by(segmenter: Segmenter, pair: Pair, settings: SegmentationSettings) -> list[Value]:
    try:
        reference = _found(segmenter, pair.reference, pair.mask)
        synthetic = _found(segmenter, pair.synthetic, pair.mask)
    except Exception as error:  # one broken segmenter must not take the others along
        if is_of_the_run(error):
            raise
        if not isinstance(error, QAError):
            log.exception("segmenter %s", segmenter.facts.name)
        text = " ".join(str(error).split()) or "no message"
        why = text if isinstance(error, QAError) else f"{type(error).__name__}: {text}"
        why = f"the segmenter {segmenter.facts.name} failed: {why}"
        return [failed(m, r, why, variant=v) for m, r, v in learned_keys([segmenter], settings)]
    values: list[Value] = []
    for name in segmenter.structures:
        rows = compare_masks(
            reference[name],
            synthetic[name],
            pair.grid,
            region=f"seg:{name}",
            domain=pair.mask,
            tolerances_mm=settings.surface_tolerances_mm,
            variant=segmenter.facts.name,
        )
        values += [*rows, _gap(segmenter, name, rows)]
    if settings.synthrad_region is not None:
        spacing, region = pair.grid.spacing_mm, settings.synthrad_region
        values += mode_values(segmenter.facts.name, reference, synthetic, spacing, region)
    return values


def _gap(segmenter: Segmenter, name: str, rows: list[Value]) -> Value:
    (dice,) = (row for row in rows if row.metric == "dice")
    floor = segmenter.facts.noise_floor.get(name)
    found = noise_floor_gap(dice.value, floor, absent_in_reference=dice.absent_in_reference)
    return as_value(GAP, f"seg:{name}", found, variant=segmenter.facts.name)


def _found(segmenter: Segmenter, volume: Volume, domain: Mask) -> Mapping[str, Mask]:
    """Segment one image, and hold the answer against what the segmenter promises."""
    found = segmenter.segment(volume, domain)
    for name in segmenter.structures:
        if name not in found:
            raise InputError(f"it gave no mask of {name}")
        mask = found[name]
        if mask.dtype != np.bool_ or mask.shape != volume.grid.shape:
            raise InputError(
                f"its mask of {name} is {mask.dtype} of shape {mask.shape}, not bool of shape "
                f"{volume.grid.shape}"
            )
    return found
