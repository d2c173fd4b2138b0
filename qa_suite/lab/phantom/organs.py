"""The soft organs of one patient: prostate, bladder, rectum and bowel."""

from __future__ import annotations

from typing import Any

import numpy as np

from qa_suite.lab.phantom import softparts
from qa_suite.lab.phantom.placing import Placer, place_part
from qa_suite.lab.phantom.shapes import Ellipsoid, Mesh


def build_organs(place: Placer) -> dict[str, Any]:
    """Build the organs; the prostate stands on its apex, the bladder on the prostate."""
    rng, traits = place.rng, place.traits
    shift = rng.normal(0, 1.5, size=2)
    size = (traits.prostate_ml * 1000 / (4 / 3 * np.pi * 1.30 * 0.88)) ** (1 / 3)
    radii = np.array([1.30, 0.88, 1.0]) * size
    apex, front = -45.0, -22.0
    centre = np.array([shift[0], front + radii[1], apex + radii[2]])
    prostate = Ellipsoid(centre_mm=place.points(centre[None])[0], radii_mm=radii)
    top = centre[2] + radii[2]
    bladder = _bladder(place, top - 2.0, float(shift[1]))
    vesicles = []
    for side in (1, -1):
        base = np.array([side * 6.0, centre[1] + 0.75 * radii[1] + 3, top - 3])
        rows = [
            (*base, 4.5),
            (*(base + np.array([side * 11, 3, 4])), 6.0),
            (*(base + np.array([side * 24, 6, 9])), 4.5),
        ]
        vesicles.append(place_part(place, softparts.chain(*rows), 1, 1.0, 1.0))
    depth = rng.uniform(0.55, 0.68)
    where = np.array([traits.lesion_side * 0.55, depth, rng.uniform(-0.35, 0.35)])
    lesion = Ellipsoid(
        centre_mm=prostate.centre_mm + where * radii * np.array([1, 0.8, 1]),
        radii_mm=np.array([1.2, 0.85, 1.2]) * rng.uniform(6.0, 9.0),
    )
    rectum = softparts.chain(*softparts.RECTUM)
    tube = place_part(place, rectum, 1, traits.rectum, 1.8)
    sigmoid = place_part(place, softparts.chain(*softparts.SIGMOID), 1, 1.0, 3.0)
    loops, loop_gas = _bowel(place, sigmoid)
    return {
        "prostate": prostate,
        "bladder": bladder,
        "bladder_wall_mm": float(np.clip(5.2 - traits.bladder_ml / 110, 2.4, 5.0)),
        "vesicles": vesicles,
        "lesion": lesion,
        "anus": place_part(place, softparts.chain(*softparts.ANUS), 1, 1.0, 0.8),
        "rectum": tube,
        "rectal_gas": _gas(place, tube, traits.gas),
        "sigmoid": sigmoid,
        "loops": loops,
        "loop_gas": loop_gas,
    }


def _bladder(place: Placer, bottom: float, shift: float) -> tuple[Ellipsoid, Ellipsoid]:
    """Two overlapping ellipsoids: the base on the prostate, the dome bulging to one side."""
    size = (place.traits.bladder_ml * 1000 / (4 / 3 * np.pi * 1.15 * 0.95)) ** (1 / 3)
    wide, deep = min(1.15 * size, 43.0), min(size, 41.0)
    high = place.traits.bladder_ml * 1000 / (4 / 3 * np.pi * wide * deep)
    centre = np.array([shift, -50 + 0.95 * deep, bottom + high])
    lean = place.rng.normal(0, 1, size=3) * np.array([0.12, 0.06, 0.04])
    dome = centre + np.array([wide, deep, high]) * (lean + np.array([0, -0.12, 0.14]))
    placed = place.points(np.stack([centre, dome]))
    radii = np.array([wide, deep, high])
    return (
        Ellipsoid(centre_mm=placed[0], radii_mm=radii * 0.97),
        Ellipsoid(centre_mm=placed[1], radii_mm=radii * np.array([0.98, 0.92, 0.84])),
    )


def _gas(place: Placer, tube: Mesh, amount: float) -> list[Mesh]:
    """Gas rises to the front of the lumen of a patient who lies on his back."""
    pockets = []
    for first, last in tube.edges:
        if place.rng.uniform() > 0.25 + 0.65 * amount:
            continue
        rows = tube.nodes[[first, last]].copy()
        rows[:, 1] -= 0.32 * rows[:, 3]
        rows[:, 3] *= 0.35 + 0.35 * amount * place.rng.uniform(0.6, 1.0)
        ends = place.rng.uniform(0.05, 0.3, size=2)
        a, b = rows[0].copy(), rows[1].copy()
        rows[0], rows[1] = a + ends[0] * (b - a), b - ends[1] * (b - a)
        pockets.append(Mesh(nodes=rows, edges=[(0, 1)]))
    return pockets


def _bowel(place: Placer, sigmoid: Mesh) -> tuple[list[Mesh], list[Mesh]]:
    rng = place.rng
    loops: list[Mesh] = []
    gas = _gas(place, sigmoid, 0.4)
    for _ in range(11):
        start = np.array([rng.uniform(-62, 62), rng.uniform(-72, -18), rng.uniform(52, 118)])
        steps = rng.normal(0, 1, size=(3, 3)) * np.array([17.0, 13.0, 9.0])
        path = start + np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])
        path = np.clip(path, [-68, -76, 48], [68, -8, 125])
        path[:, 1] -= place.traits.visceral_mm * 0.6
        rows = [(*p, rng.uniform(10.0, 14.0)) for p in path]
        mesh = place_part(place, softparts.chain(*rows), 1, 1.0, 0.5)
        loops.append(mesh)
        if rng.uniform() < 0.3:
            gas += _gas(place, Mesh(nodes=mesh.nodes, edges=mesh.edges[:1]), 0.6)
    return loops, gas
