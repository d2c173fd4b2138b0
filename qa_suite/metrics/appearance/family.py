"""The family ``appearance``: what source, reference and synthetic image look like, each alone.

Errors say that two images differ; these rows say which of them is unlike those of other
hospitals. Reference and synthetic image are described alike, so that their levels can be
subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Box, Float32Array, Mask
from qa_suite.core.volume import Volume
from qa_suite.imaging.appearance import MOST, Told, Untold, noise, steepness, voxel_sizes
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.embedding import LOOKS, describe_looks
from qa_suite.imaging.robust import thinned
from qa_suite.metrics.appearance.facts import BONE_HU, FAMILY, FAT_HU, SOFT_HU
from qa_suite.metrics.appearance.levels import air_level, bone_level, soft_levels
from qa_suite.metrics.base import NoValue, Pair, Value, as_value, failed, undefined
from qa_suite.metrics.facts import FAMILIES, FamilyFacts

_TISSUES = ("air", "fat", "muscle", "bone")
_EDGES = {"fat": FAT_HU, "bone": BONE_HU}


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One image, cut to the box of the mask, and what is inside and outside of it."""

    image: str
    volume: Volume
    box: Box
    inside: Mask
    around: Mask

    @property
    def is_hu(self) -> bool:
        return self.volume.quantity == "HU"

    @cached_property
    def array(self) -> Float32Array:
        return np.ascontiguousarray(self.volume.array[self.box], dtype=np.float32)

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """Values inside, evenly picked."""
        return thinned(self.array[self.inside[self.box]], MOST)

    @cached_property
    def broken(self) -> str:
        """Why it cannot be described; empty where it can."""
        if np.isfinite(self.values).all():
            return ""
        return f"the {self.image} holds voxels that are not finite"


@FAMILIES.add(
    FAMILY,
    FamilyFacts(
        title="What source, reference and synthetic image look like, each alone",
        needs=("mask", "source for its own"),
    ),
)
def appearance(pair: Pair, settings: None) -> list[Value]:
    """Describe the three images of a case, each by itself.

    Parameters
    ----------
    pair
        Levels of tissues are told of what is in HU alone.
    settings
        There are none.

    Returns
    -------
    list of Value
        Of the source: ``source_level`` and its like in ``body``, ``source_shape`` and
        ``source_texture`` at some percentiles and distances, ``voxel_size`` in ``in_plane`` and
        ``slice``. As variants ``reference`` and ``synthetic``: ``tissue_hu``,
        ``image_noise`` and ``edge_steepness``; ``tissue_hu`` as ``source`` too where that is
        in HU.
    """
    known = np.True_ if pair.coverage is None else pair.coverage
    inside, around = pair.mask & known, ~pair.mask & known
    box = bounding_box(inside)

    def look(image: str, volume: Volume | None) -> _Look | None:
        if volume is None or box is None:
            return None
        return _Look(image=image, volume=volume, box=box, inside=inside, around=around)

    source = look("source", pair.source)
    found = list(_of_source(source))
    found += [as_value("voxel_size", at, mm) for at, mm in voxel_sizes(pair.grid).items()]
    found += _of_image("reference", look("reference", pair.reference))
    found += _of_image("synthetic", look("synthetic image", pair.synthetic))
    if source is not None and source.is_hu:
        found += _tissues("source", source)
    return found


def _of_source(look: _Look | None) -> Iterator[Value]:
    if look is None:
        why = "there is no source image, or nothing to measure in"
        yield from (undefined(metric, region, why) for metric, region in LOOKS)
    elif look.broken:
        yield from (failed(metric, region, look.broken) for metric, region in LOOKS)
    else:
        for (metric, region), answer in describe_looks(look.volume, look.inside).items():
            yield as_value(metric, region, _answer(answer))


def _of_image(variant: str, look: _Look | None) -> Iterator[Value]:
    keys = [("image_noise", "body"), *(("edge_steepness", edge) for edge in _EDGES)]
    if look is None or look.broken:
        tell = undefined if look is None else failed
        why = "the mask holds no voxel that was scanned" if look is None else look.broken
        for metric, region in [*(("tissue_hu", tissue) for tissue in _TISSUES), *keys]:
            yield tell(metric, region, why, variant=variant)
        return
    if look.is_hu:
        yield from _tissues(variant, look)
    inside, window = look.inside[look.box], SOFT_HU if look.is_hu else (-np.inf, np.inf)
    grain = noise(look.array, inside, window)
    yield as_value("image_noise", "body", _answer(grain), variant=variant)
    for edge, level in _EDGES.items() if look.is_hu else ():
        found = steepness(look.array, inside, level, look.volume.grid.spacing_mm)
        yield as_value("edge_steepness", edge, _answer(found), variant=variant)


def _tissues(variant: str, look: _Look) -> Iterator[Value]:
    if look.broken:
        yield from (failed("tissue_hu", t, look.broken, variant=variant) for t in _TISSUES)
        return
    found = {
        "air": air_level(thinned(look.volume.array[look.around], MOST)),
        **soft_levels(look.values),
        "bone": bone_level(look.values),
    }
    for tissue in _TISSUES:
        yield as_value("tissue_hu", tissue, found[tissue], variant=variant)


def _answer(told: Told) -> float | NoValue:
    return NoValue(why=told.why) if isinstance(told, Untold) else told
