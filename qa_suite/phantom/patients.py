"""Who the virtual patients are: how one differs from the next, and the shapes that follow.

Everything random is drawn from one generator in a fixed order, so that a patient depends on
his own seed alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.phantom import skeleton, softparts
from qa_suite.phantom.outline import Outline, make_outline
from qa_suite.phantom.shapes import Ellipsoid, Mesh


@dataclass(frozen=True, kw_only=True)
class CaseMix:
    """Whom a hospital sees: mean and spread of what differs between patients.

    Parameters
    ----------
    age_years, fat_mm
        Mean and standard deviation; ``fat_mm`` is the lateral subcutaneous fat.
    bladder_ml, prostate_ml
        Median and geometric spread.
    """

    age_years: tuple[float, float] = (68.0, 7.0)
    fat_mm: tuple[float, float] = (20.0, 7.0)
    bladder_ml: tuple[float, float] = (170.0, 1.45)
    prostate_ml: tuple[float, float] = (42.0, 1.35)


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One patient in numbers; lengths in mm, angles in degrees."""

    age_years: float
    size: tuple[float, float, float]
    fat_mm: float
    visceral_mm: float
    muscle: float
    tilt_deg: float
    femur_rotation_deg: tuple[float, float]
    bladder_ml: float
    prostate_ml: float
    rectum: float
    gas: float
    bone_density: float
    lesion_side: int


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The shapes of one patient, ready to be sampled on any grid."""

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


def draw_traits(rng: np.random.Generator, mix: CaseMix) -> Traits:
    """Draw one patient's numbers from a hospital's case mix."""

    def normal(mean: float, spread: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, spread), low, high))

    age = normal(*mix.age_years, 45, 88)
    stature = normal(1.0, 0.03, 0.93, 1.07)
    fat = normal(*mix.fat_mm, 9, 48)
    return Traits(
        age_years=age,
        size=(
            stature * normal(1.0, 0.02, 0.95, 1.05),
            stature * normal(1.0, 0.025, 0.94, 1.06),
            stature * normal(1.0, 0.02, 0.95, 1.05),
        ),
        fat_mm=fat,
        visceral_mm=normal(6 + 0.5 * (fat - 15), 6, 0, 32),
        muscle=normal(1.0 - 0.004 * (age - 68), 0.05, 0.85, 1.12),
        tilt_deg=normal(0, 4, -8, 8),
        femur_rotation_deg=(normal(0, 7, -15, 15), normal(0, 7, -15, 15)),
        bladder_ml=float(
            np.clip(mix.bladder_ml[0] * mix.bladder_ml[1] ** rng.standard_normal(), 60, 420)
        ),
        prostate_ml=float(
            np.clip(mix.prostate_ml[0] * mix.prostate_ml[1] ** rng.standard_normal(), 22, 95)
        ),
        rectum=normal(1.0, 0.12, 0.78, 1.25),
        gas=float(rng.uniform(0.25, 1.0)),
        bone_density=normal(1.0 - 0.008 * (age - 68), 0.10, 0.7, 1.35),
        lesion_side=int(rng.choice([-1, 1])),
    )


def make_anatomy(rng: np.random.Generator, mix: CaseMix) -> Anatomy:
    """Build the shapes of one patient, drawn from a hospital's case mix."""
    traits = draw_traits(rng, mix)
    place = _Placer(rng=rng, traits=traits)
    bones = _bones(place)
    organs = _organs(place)
    return Anatomy(
        traits=traits,
        outline=make_outline(rng, size=traits.size, fat_mm=traits.fat_mm,
                             visceral_mm=traits.visceral_mm),
        muscles=_muscles(place),
        **_tubes(place),
        **bones,
        **organs,
        waves=_waves(rng),
    )  # fmt: skip


def _waves(rng: np.random.Generator) -> NDArray[np.float64]:
    """Plane waves of a smooth deformation: wave vector, phase, displacement; (n, 7)."""
    rows = []
    for wavelength, amplitude in ((230, 2.6), (170, 2.0), (120, 1.2), (85, 0.7), (60, 0.4)):
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


@dataclass(frozen=True, kw_only=True)
class _Placer:
    """Puts template rows into the patient: mirrors, jitters, tilts and scales them."""

    rng: np.random.Generator
    traits: Traits

    def points(self, xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tilt and scale anatomical positions, shape (n, 3)."""
        angle = np.deg2rad(self.traits.tilt_deg)
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        return np.asarray(xyz @ turn.T * np.asarray(self.traits.size))

    def rows(
        self, rows: Iterable[skeleton.Row], *, side: int = 1, jitter_mm: float, spread: float
    ) -> NDArray[np.float64]:
        """Return rows of one side with their own small differences."""
        table = np.array(list(rows), dtype=float)
        middle = table[:, 0] == 0
        table[:, :3] += self.rng.normal(0, jitter_mm, size=(len(table), 3))
        table[:, 3] *= np.clip(self.rng.normal(1, spread, size=len(table)), 0.75, 1.25)
        table[middle, 0] *= 0.3  # what stands in the middle stays near it
        table[:, 0] *= side
        table[:, :3] = self.points(table[:, :3])
        return table


def _by_name(lines: Sequence[str], names: Sequence[str]) -> list[tuple[int, ...]]:
    index = {name: i for i, name in enumerate(names)}
    return [tuple(index[word] for word in line.split()) for line in lines]


def _bones(place: _Placer) -> dict[str, Any]:
    femurs, heads, sockets, hips = {}, {}, {}, {}
    names = list(skeleton.HIP)
    for letter, side, turn in (
        ("L", 1, place.traits.femur_rotation_deg[0]),
        ("R", -1, place.traits.femur_rotation_deg[1]),
    ):
        rows = place.rows(skeleton.HIP.values(), side=side, jitter_mm=1.1, spread=0.05)
        hips[letter] = Mesh(
            nodes=rows[:, :4],
            shell_mm=rows[:, 4],
            edges=_by_name(skeleton.HIP_EDGES, names),  # type: ignore[arg-type]
            faces=_by_name(skeleton.HIP_FACES, names),  # type: ignore[arg-type]
        )
        femurs[letter], heads[letter], sockets[letter] = _femur(place, side, turn)
    pubis = [hips[side].nodes[names.index("pubis_high")] for side in "LR"]
    middle = np.mean([node[:3] for node in pubis], axis=0) + np.array([0, 1.5, -11])
    return {
        "femurs": femurs,
        "heads": heads,
        "sockets": sockets,
        "hips": hips,
        "sacrum": _midline(place, skeleton.SACRUM, skeleton.SACRUM_FACES, skeleton.SACRUM_EDGES,
                           skeleton.SACRUM_BRIDGES),
        "lumbar": _midline(place, skeleton.LUMBAR, skeleton.LUMBAR_FACES, skeleton.LUMBAR_EDGES,
                           skeleton.LUMBAR_BRIDGES),
        "canal": _canal(place),
        "symphysis": Ellipsoid(centre_mm=middle, radii_mm=np.array([6.0, 11.0, 19.0])),
        "disc": Ellipsoid(
            centre_mm=place.points(np.array([[0.0, 27.0, 107.0]]))[0],
            radii_mm=np.array([25.0, 17.0, 10.0]),
        ),
    }  # fmt: skip


def _femur(place: _Placer, side: int, turn_deg: float) -> tuple[Mesh, Ellipsoid, Ellipsoid]:
    table = np.array(list(skeleton.FEMUR.values()), dtype=float)
    head = np.array(skeleton.HEAD_CENTRE_MM)
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    table[:, :3] = (table[:, :3] - head) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + head
    rows = place.rows([tuple(r) for r in table], side=side, jitter_mm=0.8, spread=0.04)
    centre = place.points(np.array([[side * head[0], head[1], head[2]]]))[0]
    rows[0, :3] = centre
    radius = np.full(3, skeleton.HEAD_RADIUS_MM * float(np.mean(place.traits.size)))
    gap = skeleton.SOCKET_RADIUS_MM - skeleton.HEAD_RADIUS_MM
    names = list(skeleton.FEMUR)
    mesh = Mesh(
        nodes=rows[:, :4],
        shell_mm=rows[:, 4],
        edges=_by_name(skeleton.FEMUR_EDGES, names),  # type: ignore[arg-type]
        faces=_by_name(skeleton.FEMUR_FACES, names),  # type: ignore[arg-type]
    )
    ball = Ellipsoid(centre_mm=centre, radii_mm=radius)
    return mesh, ball, ball.grown(gap)


def _midline(
    place: _Placer,
    table: Mapping[str, skeleton.Row],
    face_lines: Sequence[str],
    edge_lines: Sequence[str],
    bridges: Sequence[str],
) -> Mesh:
    """Build a bone that crosses the middle from the rows of its left half."""
    names = list(table)
    left = place.rows(table.values(), side=1, jitter_mm=1.0, spread=0.05)
    right = place.rows(table.values(), side=-1, jitter_mm=1.0, spread=0.05)
    middle = np.array([row[0] == 0 for row in table.values()])
    right[middle] = left[middle]
    count = len(names)
    faces = _by_name(face_lines, names)
    edges = _by_name(edge_lines, names)
    both = [*faces, *[tuple(i + count for i in face) for face in faces]]
    for line in _by_name(bridges, names):
        a, b, c = line
        both += [(a, b, c + count), (a, b + count, c + count), (a, a + count, c)]
        both += [(a, a + count, b), (b, b + count, c)]
    both = [face for face in both if len(set(face)) == 3]
    nodes = np.vstack([left, right])
    joined = [*edges, *[tuple(i + count for i in edge) for edge in edges]]
    return Mesh(
        nodes=nodes[:, :4],
        shell_mm=nodes[:, 4],
        edges=joined,  # type: ignore[arg-type]
        faces=both,  # type: ignore[arg-type]
    )


def _canal(place: _Placer) -> Mesh:
    """Join the sacral canal and the foramina, which are hollow."""
    nodes = [place.rows(skeleton.CANAL, jitter_mm=0.5, spread=0.05)]
    edges = [(i, i + 1) for i in range(len(skeleton.CANAL) - 1)]
    for side in (1, -1):
        for pair in skeleton.FORAMINA:
            start = sum(len(n) for n in nodes)
            nodes.append(place.rows(pair, side=side, jitter_mm=1.0, spread=0.08))
            edges.append((start, start + 1))
    return Mesh(nodes=np.vstack(nodes), edges=edges)


def _mesh(place: _Placer, part: softparts.Part, side: int, scale: float, jitter: float) -> Mesh:
    rows = place.rows(part.rows, side=side, jitter_mm=jitter, spread=0.06)
    rows[:, 3] *= scale
    return Mesh(nodes=rows, edges=part.edges, faces=part.faces)


def _muscles(place: _Placer) -> list[Mesh]:
    thickness = place.traits.muscle
    meshes = []
    for side in (1, -1):
        for name, part in softparts.MUSCLES.items():
            if name in softparts.ONCE and side < 0:
                continue
            meshes.append(_mesh(place, part, side, thickness, 1.6))
        for part in softparts.ABDOMINAL_WALL.values():
            mesh = _mesh(place, part, side, thickness, 1.6)
            nodes = mesh.nodes.copy()
            high = np.clip((nodes[:, 2] - 10) / 70, 0, 1)
            nodes[:, 1] -= place.traits.visceral_mm * high**2 * (3 - 2 * high)
            meshes.append(dataclasses.replace(mesh, nodes=nodes))
    return meshes


def _tubes(place: _Placer) -> dict[str, Any]:
    vessels, nerves = [], []
    for side in (1, -1):
        for line in (softparts.ARTERY, softparts.VEIN, softparts.INTERNAL_ILIAC):
            vessels.append(_mesh(place, softparts.chain(*line), side, 1.0, 1.6))
        nerves.append(_mesh(place, softparts.chain(*softparts.SCIATIC_NERVE), side, 1.0, 1.2))
    return {"vessels": vessels, "nerves": nerves}


def _organs(place: _Placer) -> dict[str, Any]:
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
        vesicles.append(_mesh(place, softparts.chain(*rows), 1, 1.0, 1.0))
    depth = rng.uniform(0.55, 0.68)
    where = np.array([traits.lesion_side * 0.55, depth, rng.uniform(-0.35, 0.35)])
    lesion = Ellipsoid(
        centre_mm=prostate.centre_mm + where * radii * np.array([1, 0.8, 1]),
        radii_mm=np.array([1.2, 0.85, 1.2]) * rng.uniform(6.0, 9.0),
    )
    rectum = softparts.chain(*softparts.RECTUM)
    tube = _mesh(place, rectum, 1, traits.rectum, 1.8)
    sigmoid = _mesh(place, softparts.chain(*softparts.SIGMOID), 1, 1.0, 3.0)
    loops, loop_gas = _bowel(place, sigmoid)
    return {
        "prostate": prostate,
        "bladder": bladder,
        "bladder_wall_mm": float(np.clip(5.2 - traits.bladder_ml / 110, 2.4, 5.0)),
        "vesicles": vesicles,
        "lesion": lesion,
        "anus": _mesh(place, softparts.chain(*softparts.ANUS), 1, 1.0, 0.8),
        "rectum": tube,
        "rectal_gas": _gas(place, tube, traits.gas),
        "sigmoid": sigmoid,
        "loops": loops,
        "loop_gas": loop_gas,
    }


def _bladder(place: _Placer, bottom: float, shift: float) -> tuple[Ellipsoid, Ellipsoid]:
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


def _gas(place: _Placer, tube: Mesh, amount: float) -> list[Mesh]:
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


def _bowel(place: _Placer, sigmoid: Mesh) -> tuple[list[Mesh], list[Mesh]]:
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
        mesh = _mesh(place, softparts.chain(*rows), 1, 1.0, 0.5)
        loops.append(mesh)
        if rng.uniform() < 0.3:
            gas += _gas(place, Mesh(nodes=mesh.nodes, edges=mesh.edges[:1]), 0.6)
    return loops, gas
