"""Who the virtual patients are: how one differs from the next, and the shapes that follow.

Everything random is drawn from one generator in a fixed order, so that a patient depends on
his own seed alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.lab.phantom import softparts
from qa_suite.lab.phantom.bones import build_bones
from qa_suite.lab.phantom.organs import build_organs
from qa_suite.lab.phantom.outline import Outline, make_outline
from qa_suite.lab.phantom.placing import Placer, place_part
from qa_suite.lab.phantom.setup import STRAIGHT, Pose
from qa_suite.lab.phantom.shapes import Ellipsoid, Mesh
from qa_suite.lab.phantom.traits import CaseMix, Traits, draw_traits


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The shapes of one patient, ready to be sampled on any grid, and how he lies."""

    traits: Traits
    outline: Outline
    femurs: Mapping[str, Mesh]
    heads: Mapping[str, Ellipsoid]
    sockets: Mapping[str, Ellipsoid]
    hips: Mapping[str, Mesh]
    sacrum: Mesh
    canal: Mesh
    lumbar: Mesh
    symphysis: Ellipsoid
    disc: Ellipsoid
    muscles: Sequence[Mesh]
    vessels: Sequence[Mesh]
    nerves: Sequence[Mesh]
    anus: Mesh
    rectum: Mesh
    rectal_gas: Sequence[Mesh]
    sigmoid: Mesh
    loops: Sequence[Mesh]
    loop_gas: Sequence[Mesh]
    bladder: tuple[Ellipsoid, Ellipsoid]
    bladder_wall_mm: float
    prostate: Ellipsoid
    vesicles: Sequence[Mesh]
    lesion: Ellipsoid
    waves: NDArray[np.float64] = field(repr=False)
    marbling: NDArray[np.float64] = field(repr=False)
    pose: Pose = STRAIGHT


def make_anatomy(rng: np.random.Generator, mix: CaseMix, *, pose: Pose = STRAIGHT) -> Anatomy:
    """Build the shapes of one patient, drawn from a hospital's case mix."""
    traits = draw_traits(rng, mix)
    place = Placer(rng=rng, traits=traits)
    bones = build_bones(place)
    organs = build_organs(place)
    return Anatomy(
        traits=traits,
        outline=make_outline(
            rng, size=traits.size, fat_mm=traits.fat_mm, visceral_mm=traits.visceral_mm
        ),
        muscles=_muscles(place),
        **_tubes(place),
        **bones,
        **organs,
        waves=_waves(rng),
        marbling=_marbling(rng),
        pose=pose,
    )


def _waves(rng: np.random.Generator) -> NDArray[np.float64]:
    """Plane waves of a smooth deformation: wave vector, phase, displacement; (n, 7)."""
    rows = []
    for wavelength, amplitude in (
        (230, 2.6),
        (170, 2.0),
        (120, 1.2),
        (85, 0.8),
        (60, 0.6),
        (42, 0.4),
    ):
        direction = rng.standard_normal(3)
        along = rng.standard_normal(3)
        rows.append(
            [
                *(direction / np.linalg.norm(direction) * 2 * np.pi / wavelength),
                rng.uniform(0, 2 * np.pi),
                *(along / np.linalg.norm(along) * amplitude),
            ]
        )
    return np.array(rows)


def _marbling(rng: np.random.Generator) -> NDArray[np.float64]:
    """Waves of the fat within muscles, long along the fibres: wave vector and phase; (2, 4)."""
    rows = []
    for wavelength in (11.0, 27.0):
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle), rng.normal(0, 0.15)])
        rows.append([*(direction * 2 * np.pi / wavelength), rng.uniform(0, 2 * np.pi)])
    return np.array(rows)


def _muscles(place: Placer) -> list[Mesh]:
    thickness = place.traits.muscle
    meshes = []
    for side in (1, -1):
        for name, part in softparts.MUSCLES.items():
            if name in softparts.ONCE and side < 0:
                continue
            growth = softparts.GROWTH_MM.get(name, softparts.BULGE_MM)
            meshes.append(place_part(place, part, side, thickness, 1.6, growth))
        for part in softparts.ABDOMINAL_WALL.values():
            mesh = place_part(place, part, side, thickness, 1.6)
            nodes = mesh.nodes.copy()
            high = np.clip((nodes[:, 2] - 10) / 70, 0, 1)
            nodes[:, 1] -= place.traits.visceral_mm * high**2 * (3 - 2 * high)
            meshes.append(dataclasses.replace(mesh, nodes=nodes))
    return meshes


def _tubes(place: Placer) -> dict[str, Any]:
    vessels, nerves = [], []
    for side in (1, -1):
        for line in (softparts.ARTERY, softparts.VEIN, softparts.INTERNAL_ILIAC):
            vessels.append(place_part(place, softparts.chain(*line), side, 1.0, 1.6))
        nerves.append(place_part(place, softparts.chain(*softparts.SCIATIC_NERVE), side, 1.0, 1.2))
    return {"vessels": vessels, "nerves": nerves}
