"""The bones of one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qa_suite.lab.phantom import skeleton
from qa_suite.lab.phantom.placing import Placer
from qa_suite.lab.phantom.shapes import Ellipsoid, Mesh


def _by_name(lines: Sequence[str], names: Sequence[str]) -> list[tuple[int, ...]]:
    index = {name: i for i, name in enumerate(names)}
    return [tuple(index[word] for word in line.split()) for line in lines]


def build_bones(place: Placer) -> dict[str, Any]:
    """Build hips, femurs, sacrum, lumbar vertebra and the cartilage between them."""
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
            reach_mm=5.0,
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
        "sacrum": _midline(
            place,
            skeleton.SACRUM,
            skeleton.SACRUM_FACES,
            skeleton.SACRUM_EDGES,
            skeleton.SACRUM_BRIDGES,
        ),
        "lumbar": _midline(
            place,
            skeleton.LUMBAR,
            skeleton.LUMBAR_FACES,
            skeleton.LUMBAR_EDGES,
            skeleton.LUMBAR_BRIDGES,
        ),
        "canal": _canal(place),
        "symphysis": Ellipsoid(centre_mm=middle, radii_mm=np.array([6.0, 11.0, 19.0])),
        "disc": Ellipsoid(
            centre_mm=place.points(np.array([[0.0, 27.0, 107.0]]))[0],
            radii_mm=np.array([25.0, 17.0, 10.0]),
        ),
    }


def _femur(place: Placer, side: int, turn_deg: float) -> tuple[Mesh, Ellipsoid, Ellipsoid]:
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
        reach_mm=6.0,
        edges=_by_name(skeleton.FEMUR_EDGES, names),  # type: ignore[arg-type]
        faces=_by_name(skeleton.FEMUR_FACES, names),  # type: ignore[arg-type]
    )
    ball = Ellipsoid(centre_mm=centre, radii_mm=radius)
    return mesh, ball, ball.grown(gap)


def _midline(
    place: Placer,
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


def _canal(place: Placer) -> Mesh:
    """Join the sacral canal and the foramina, which are hollow."""
    nodes = [place.rows(skeleton.CANAL, jitter_mm=0.5, spread=0.05)]
    edges = [(i, i + 1) for i in range(len(skeleton.CANAL) - 1)]
    for side in (1, -1):
        for pair in skeleton.FORAMINA:
            start = sum(len(n) for n in nodes)
            nodes.append(place.rows(pair, side=side, jitter_mm=1.0, spread=0.08))
            edges.append((start, start + 1))
    return Mesh(nodes=np.vstack(nodes), edges=edges)
