"""Beams that are alike in all that they deliver: one of them may be a copy by mistake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qa_suite.io.rt.plan.reading import Findings
from qa_suite.io.rt.plan.types import IonBeam, PhotonBeam

_DIGITS = 2  # of a degree, a mm, an MeV


def tell_copies(beams: Sequence[PhotonBeam | IonBeam], found: Findings) -> None:
    """Remark on beams with the same angles, openings or spots, and the same meterset."""
    alike: dict[bytes, list[str]] = {}
    for beam in beams:
        alike.setdefault(_delivery(beam), []).append(beam.name)
    for names in alike.values():
        if len(names) > 1:
            found.remark(f"beams {', '.join(names)} deliver the same; one of them may be a copy")


def _delivery(beam: PhotonBeam | IonBeam) -> bytes:
    """Return all that a beam delivers, rounded, as bytes."""
    parts: list[Any]
    if isinstance(beam, PhotonBeam):
        parts = [[beam.meterset_mu]]
        for point in beam.control_points:
            angles = (point.gantry_deg, point.collimator_deg, point.couch_deg)
            parts.append([100 * point.weight, *angles, *point.isocentre_mm])
            parts += [point.positions_mm[kind].ravel() for kind in sorted(point.positions_mm)]
    else:
        angles = (beam.gantry_deg, beam.collimator_deg, beam.couch_deg)
        parts = [[beam.meterset, *angles, *beam.isocentre_mm]]
        for layer in beam.layers:
            parts += [[layer.energy_mev], layer.spots_mm.ravel(), layer.spot_weights]
    values = np.concatenate([np.asarray(part, dtype=float) for part in parts])
    return (np.round(values, _DIGITS) + 0.0).tobytes()
