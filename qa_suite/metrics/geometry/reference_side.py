"""What the positioning test makes of the reference alone, kept for the next image compared with it.

A reference is compared with many images in turn: candidates, faults, samples. Its day and its
own registration, half of the test's work, are the same each time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Lock

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.metrics.geometry.cbct import Day, Scan, register_cbct, simulate_cbct
from qa_suite.metrics.geometry.drr import Radiographs, register_radiographs, simulate_radiographs
from qa_suite.metrics.geometry.images import Image
from qa_suite.metrics.geometry.rigid_match import Match
from qa_suite.metrics.geometry.settings import PositioningSettings

_MOST = 2  # both variants of the last reference
_kept: dict[bytes, Seen] = {}
_lock = Lock()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The images of the day, and their registration to the reference itself."""

    images: Scan | Radiographs
    match: Match

    def register(
        self, planning: Image, region: Mask, day: Day, settings: PositioningSettings
    ) -> Match:
        """Register the images of the day to a planning CT."""
        return _registered(self.images, planning, region, day, settings)


def reference_side(
    reference: Image, region: Mask, variant: str, day: Day, settings: PositioningSettings
) -> Seen:
    """Take the images of the day and register them to the reference, or recall both.

    Parameters
    ----------
    reference
        The planning CT, averaged.
    region
        Where it shows the patient and is known; of its grid's shape.
    variant
        ``cbct`` or ``drr``.
    day, settings
        Of the test.
    """
    key = _digest(reference, region, variant, day, settings)
    with _lock:
        found = _kept.get(key)
    if found is None:
        simulate = simulate_cbct if variant == "cbct" else simulate_radiographs
        images = simulate(reference, region, day, settings)
        match = _registered(images, reference, region, day, settings)
        found = Seen(images=images, match=match)
        with _lock:
            _kept[key] = found
            while len(_kept) > _MOST:
                del _kept[next(iter(_kept))]  # the oldest
    return found


def _registered(
    images: Scan | Radiographs,
    planning: Image,
    region: Mask,
    day: Day,
    settings: PositioningSettings,
) -> Match:
    if isinstance(images, Scan):
        return register_cbct(images, planning, day)
    return register_radiographs(images, planning, region, day, settings)


def _digest(
    reference: Image, region: Mask, variant: str, day: Day, settings: PositioningSettings
) -> bytes:
    """Digest everything that the answer depends on; an array that was changed is another one."""
    digest = hashlib.blake2b(digest_size=32)
    centre = np.asarray(day.centre_mm, dtype=np.float64).tolist()
    said = (variant, day.seed, centre, reference.grid, settings.model_dump_json())
    digest.update(repr(said).encode())
    digest.update(np.ascontiguousarray(reference.values).data)
    digest.update(np.ascontiguousarray(region).data)
    return digest.digest()
