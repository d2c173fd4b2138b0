"""What every segmenter has in common: its facts and the registry.

A *segmenter* is a function ``(volume, domain, settings) -> {structure name: mask}``. It is
applied alike to the reference and to the synthetic image, and sees neither the other image
nor the translator.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from qa_suite.registry import Registry


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
