"""Photon Monte Carlo with pyRadMC; imported by ``worker.py`` in the reference environment.

Every voxel is *water of some density*, the relative electron density of the job: the same
world that pencil-beam engines assume, so that what differs is the transport alone. Photons
start in a point source with the published spectrum of a linac (Ali and Rogers 2012, Phys. Med.
Biol. 57:31) and pass the fluence map of their beam in the isocentre plane. There is no head
scatter beyond what the map holds and no contamination by electrons.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BATCHES = 10
LEAST_DENSITY = 0.0012  # the engine knows no vacuum; this is air
PHOTONS = 1e10  # a fluence of 1 is this many photons per mm² of the isocentre plane


def mc_doses(
    facts: dict[str, Any], arrays: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    """Compute every image with the same photons; dose and its standard deviation in Gy."""
    import pyradmc
    from pyradmc import GY_PER_MEV_PER_G, AnalyticCrossSections, VoxelGrid, WarpEngine

    spacing = np.asarray(facts["spacing_mm"], dtype=float) / 10
    corner = np.asarray(facts["origin_mm"], dtype=float) / 10 - spacing / 2
    source = _source(facts, arrays)
    histories = BATCHES * -(-int(facts["histories"]) // BATCHES)
    for name in facts["images"]:
        density = np.maximum(arrays[f"density_{name}"], LEAST_DENSITY).astype(np.float64)
        grid = VoxelGrid(
            shape=density.shape,
            spacing=tuple(spacing),
            origin=tuple(corner),
            density=density,
            material=np.zeros(density.shape, dtype=np.int32),
        )
        engine = WarpEngine(
            grid=grid,
            device=_device(),
            cross_sections=AnalyticCrossSections(geometry_densities=grid.max_density_by_material()),
        )
        run = engine.run(source, n_histories=histories, n_batches=BATCHES, seed=facts["seed"])
        scale = GY_PER_MEV_PER_G * source.photons
        answer[f"dose_{name}"] = (run.dose * scale).astype(np.float32)
        answer[f"sigma_{name}"] = (run.dose_sigma * scale).astype(np.float32)
    return {"pyRadMC": pyradmc.__version__, "histories": histories, "device": _device()}


def _device() -> str:
    import warp

    return "cuda:0" if warp.is_cuda_available() else "cpu"


def _source(facts: dict[str, Any], arrays: dict[str, Any]) -> Any:
    from pyradmc.geometry.source import Source
    from pyradmc.geometry.spectrum import ali_rogers_mv

    spectrum = ali_rogers_mv(facts["machine"])

    class FluenceSource(Source):
        """Photons through the pixels of all beams, each pixel as often as its fluence says."""

        def __init__(self) -> None:
            parts = [_pixels(facts, arrays, n) for n in range(len(facts["beams"]))]
            self.beam = np.concatenate([np.full(len(p[0]), n) for n, p in enumerate(parts)])
            self.place = np.concatenate([p[0] for p in parts])
            share = np.concatenate([p[1] for p in parts])
            self.photons = float(share.sum()) * PHOTONS
            self.cumulated = np.cumsum(share) / share.sum()
            self.turns = np.stack([_turn(beam) for beam in facts["beams"]])
            self.pixel = np.array([beam["pixel_mm"] for beam in facts["beams"]])
            self.collimator = np.deg2rad([beam["collimator_deg"] for beam in facts["beams"]])
            self.sad = np.array([beam["sad_mm"] for beam in facts["beams"]])

        @property
        def max_energy(self) -> float:
            return spectrum.max_energy

        def emit(self, rng_state: Any) -> Any:
            raise NotImplementedError("photons are made in batches")

        def sample_batch(self, seed: int, history_offset: int, n: int) -> dict[str, Any]:
            # an own stream for every history, so that chunks do not matter
            bits = np.random.PCG64(seed)
            bits.advance(5 * history_offset)
            u = np.random.Generator(bits).random((n, 5))
            pixel = np.searchsorted(self.cumulated, u[:, 0], side="right")
            pixel = np.minimum(pixel, self.cumulated.size - 1)
            beam = self.beam[pixel]
            at = self.place[pixel] + (u[:, 1:3] - 0.5) * self.pixel[beam, None]
            cos, sin = np.cos(self.collimator[beam]), np.sin(self.collimator[beam])
            x, y = at[:, 0] * cos - at[:, 1] * sin, at[:, 0] * sin + at[:, 1] * cos
            seen = np.column_stack([x, self.sad[beam], y])  # from the source, beam's eye view
            seen /= np.linalg.norm(seen, axis=1, keepdims=True)
            ways = np.einsum("nij,nj->ni", self.turns[beam], seen)
            back = np.zeros_like(seen)
            back[:, 1] = -self.sad[beam]
            start = np.einsum("nij,nj->ni", self.turns[beam], back)
            start = (start + np.asarray(facts["isocentre_mm"])) / 10
            columns = {
                "energy": spectrum.sample_energies(u[:, 3], u[:, 4]),
                "x": start[:, 0],
                "y": start[:, 1],
                "z": start[:, 2],
                "ux": ways[:, 0],
                "uy": ways[:, 1],
                "uz": ways[:, 2],
                "weight": np.ones(n),
            }
            made = {name: np.asarray(v, dtype=np.float32) for name, v in columns.items()}
            return {"particle_type": np.ones(n, dtype=np.int32), **made}

    return FluenceSource()


def _pixels(facts: dict[str, Any], arrays: dict[str, Any], number: int) -> tuple[Any, Any]:
    """Return centres (x, y) of the open pixels of one beam, and photons through each."""
    about = facts["beams"][number]
    fluence = np.asarray(arrays[f"fluence_{number}"], dtype=float)
    y, x = ((np.arange(n) - (n - 1) / 2) * about["pixel_mm"] for n in fluence.shape)
    places = np.stack(np.meshgrid(x, y), axis=-1)
    share = fluence * about["weight"] * about["pixel_mm"] ** 2
    open_ = share > 0
    return places[open_], share[open_]


def _turn(beam: dict[str, Any]) -> Any:
    """Matrix from the beam's eye view (x, along the beam, y) to LPS."""
    gantry, couch = np.deg2rad([beam["gantry_deg"], beam["couch_deg"]])
    cos, sin = np.cos(gantry), np.sin(gantry)
    gantry_turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = np.cos(couch), np.sin(couch)
    couch_turn = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return couch_turn @ gantry_turn
