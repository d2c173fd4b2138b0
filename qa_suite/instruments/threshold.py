"""Segmenters without learning: body and dense bone by a HU threshold, with their facts.

A *segmenter* is a function ``(volume, domain, settings) -> {structure name: mask}``. It is
applied alike to the reference and to the synthetic image, and sees neither the other image
nor the translator.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from qa_suite.core.arrays import Mask
from qa_suite.core.registry import Registry
from qa_suite.core.volume import Volume
from qa_suite.imaging.threshold import ThresholdSettings, segment_threshold


class SegmenterFacts(BaseModel):
    """The facts of one segmenter, as ``qa-suite list segmenters`` shows them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    structures: tuple[str, ...]
    quantity: str
    method: str
    empty: str
    reference: str
    settings: dict[str, str | float | int | bool] = {}


SEGMENTERS: Registry[SegmenterFacts] = Registry("segmenter")


@SEGMENTERS.add(
    "threshold_body",
    SegmenterFacts(
        title="Body by HU threshold",
        structures=("Body",),
        quantity="HU",
        method=(
            "HU >= threshold inside the domain; parts (26 neighbours) of at least the given share "
            "of the largest part; holes of each slice across the patient's long axis filled"
        ),
        empty="no voxel reaches the threshold: an empty mask",
        reference=(
            "Half way between air (-1000 HU) and soft tissue (about 0 HU): where an edge blurred "
            "by a symmetric point spread function truly lies; also the default of matRad "
            "(Wieser et al. 2017, Med Phys 44:2556)"
        ),
        settings=ThresholdSettings.for_body().model_dump(),
    ),
)
def threshold_body(volume: Volume, domain: Mask, settings: ThresholdSettings) -> dict[str, Mask]:
    """Segment the body; see :func:`~qa_suite.imaging.threshold.segment_threshold`."""
    return {"Body": segment_threshold(volume, domain, settings)}


@SEGMENTERS.add(
    "threshold_bone",
    SegmenterFacts(
        title="Dense bone by HU threshold",
        structures=("Bone",),
        quantity="HU",
        method="HU >= threshold inside the domain; parts (26 neighbours) below 0.1 cm³ removed",
        empty="no voxel reaches the threshold, or specks only: an empty mask",
        reference=(
            "Decision of this suite: above soft tissue with its noise (skeletal tissue begins at "
            "about 100 HU: Schneider, Bortfeld, Schlegel 2000, Phys Med Biol 45:459), so cortical "
            "and dense spongy bone, not fatty marrow. Iodine, calcifications and metal count too"
        ),
        settings=ThresholdSettings.for_bone().model_dump(),
    ),
)
def threshold_bone(volume: Volume, domain: Mask, settings: ThresholdSettings) -> dict[str, Mask]:
    """Segment dense bone; see :func:`~qa_suite.imaging.threshold.segment_threshold`."""
    return {"Bone": segment_threshold(volume, domain, settings)}
