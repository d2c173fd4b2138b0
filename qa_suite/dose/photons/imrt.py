"""Modulated fields: beamlets optimised through the dose engine itself.

PyDoseRT is written in torch, so the dose of a fluence map has a gradient. No influence matrix
is built: each step computes all fields once and goes back through them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.photons.fluence import PIXEL_MM
from qa_suite.dose.plan.plan import Mask, PhotonField, Plan, field_of, with_weights
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.plan.weights import ORGAN_SHARE, TAIL_SHARE, coverage_factor, planning_voxels

_STEPS = 40
_SMOOTH_SHARE = 0.01
_RATE = 0.15
_FIRST_SHARE = 0.73  # of the open field: every beamlet starts at the logistic function of 1


class _Engine(Protocol):
    def irradiation(
        self,
        density: NDArray[np.float32],
        grid: Grid,
        isocentre_mm: Triple,
        beams: Sequence[BeamTemplate],
    ) -> Callable[[Any], Any]: ...

    def recalculate(self, density: NDArray[np.float32], plan: Plan) -> Volume: ...


def with_modulated_fields(
    engine: _Engine, density: NDArray[np.float32], plan: Plan, avoid: Mapping[str, Mask]
) -> Plan:
    """Return a plan whose open fields have become maps of beamlets.

    Every beamlet scales the open field's fluence between 0 and 1; the scale of all of them, in
    monitor units, comes last, from the prescribed coverage on this image.

    Parameters
    ----------
    engine
        Computes the dose.
    density
        On the plan's grid.
    plan
        With open fields, as shaped to the target.
    avoid
        Organs with goals, on the plan's grid.
    """
    import torch

    template = plan.template
    block = max(1, round(template.beamlet_mm / PIXEL_MM))
    open_fields = torch.from_numpy(np.stack([field_of(b).fluence for b in plan.beams]))
    raw = torch.zeros(_blocks(open_fields, block).shape, requires_grad=True)
    raw.data.fill_(1.0)
    geometry = [beam.geometry for beam in plan.beams]
    voxels, organs = planning_voxels(plan.target_mask, avoid, density > 0)
    aim = _Aim(template, voxels.target, organs, voxels.flat)
    dose_through = engine.irradiation(density, plan.grid, plan.isocentre_mm, geometry)
    with torch.no_grad():
        start = dose_through(open_fields)
        scale = aim.wanted / float(start.reshape(-1)[aim.flat][aim.target].mean()) / _FIRST_SHARE
    optimiser = torch.optim.Adam([raw], lr=_RATE)
    for _ in range(_STEPS):
        optimiser.zero_grad()
        share = torch.sigmoid(raw)
        fluence = open_fields * _pixels(share, block, open_fields.shape)
        dose = dose_through(fluence * scale)
        loss = aim.loss(dose.reshape(-1)[aim.flat]) + _SMOOTH_SHARE * _roughness(share)
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        maps = (open_fields * _pixels(torch.sigmoid(raw), block, open_fields.shape)).numpy()
    beams = tuple(
        replace(beam, delivery=PhotonField(fluence=maps[i], pixel_mm=PIXEL_MM))
        for i, beam in enumerate(plan.beams)
    )
    modulated = with_weights(replace(plan, beams=beams), [scale] * len(beams))
    dose_gy = engine.recalculate(density, modulated).array[plan.target_mask]
    factor = coverage_factor(dose_gy, template.prescribed)
    return with_weights(modulated, [scale * factor] * len(beams))


class _Aim:
    """The objective of :mod:`qa_suite.dose.plan.weights`, in torch."""

    def __init__(
        self,
        template: Any,
        target: NDArray[np.intp],
        organs: Mapping[str, NDArray[np.intp]],
        flat: NDArray[np.intp],
    ) -> None:
        import torch

        self.wanted = template.prescribed.dose_gy
        self.flat = torch.from_numpy(flat)
        self.target = torch.from_numpy(target)
        self.rest = torch.from_numpy(np.setdiff1d(np.arange(flat.size), target))
        self.limits = []
        for goal in template.goals:
            limit = goal.upper_dose_gy(self.wanted)
            rows = organs.get(goal.structure)
            if limit is not None and rows is not None and rows.size:
                self.limits.append((torch.from_numpy(rows), limit))

    def loss(self, dose: Any) -> Any:
        relative = dose / self.wanted
        value = (relative[self.target] - 1).square().mean()
        for rows, limit in self.limits:
            excess = (relative[rows] - limit / self.wanted).clamp(min=0)
            value = value + ORGAN_SHARE / len(self.limits) * excess.square().mean()
        if self.rest.numel():
            value = value + TAIL_SHARE * relative[self.rest].square().mean()
        return value


def _blocks(fields: Any, block: int) -> Any:
    """Return one value a beamlet for maps of shape (beams, rows, columns)."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(fields, block, ceil_mode=True)


def _pixels(shares: Any, block: int, shape: Any) -> Any:
    rows, columns = shape[-2:]
    wide = shares.repeat_interleave(block, dim=-2).repeat_interleave(block, dim=-1)
    return wide[..., :rows, :columns]


def _roughness(shares: Any) -> Any:
    across = (shares[..., 1:] - shares[..., :-1]).square().mean()
    along = (shares[..., 1:, :] - shares[..., :-1, :]).square().mean()
    return across + along
