"""What a plan is made robust against: errors of range and of set-up, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.volume import Triple, Volume
from qa_suite.dose.engines import DoseEngine
from qa_suite.dose.plan.plan import Plan


class Scenario(BaseModel):
    """One error at a time.

    Parameters
    ----------
    name
        As people call it: ``range +3 %``, ``x +3 mm``.
    range_pct
        Change of all densities.
    shift_mm
        How far the beams miss their place in the patient, LPS.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    range_pct: float = Field(default=0.0, gt=-100)
    shift_mm: Triple = (0.0, 0.0, 0.0)


def scenarios(*, range_pct: float = 3.0, shift_mm: float = 3.0) -> tuple[Scenario, ...]:
    """Return range too long and too short, and a shift either way along x, y and z.

    Parameters
    ----------
    range_pct, shift_mm
        Their size; a size of 0 leaves its scenarios out. 3 % and 3 mm by default (Liu W et al.
        2012, Med Phys 39:1079 use 3.5 % and 3 mm).
    """
    found = []
    if range_pct:
        found += [
            Scenario(name=f"range {sign}{range_pct:g} %", range_pct=float(f"{sign}{range_pct}"))
            for sign in "+-"
        ]
    if shift_mm:
        for axis, label in enumerate("xyz"):
            for sign in "+-":
                shift = [0.0, 0.0, 0.0]
                shift[axis] = float(f"{sign}{shift_mm}")
                found.append(Scenario(name=f"{label} {sign}{shift_mm:g} mm", shift_mm=tuple(shift)))
    return tuple(found)


def recalculate_scenarios(
    engine: DoseEngine,
    density: NDArray[np.float32],
    plan: Plan,
    chosen: Sequence[Scenario] | None = None,
) -> dict[str, Volume]:
    """Compute a frozen plan under each scenario.

    Parameters
    ----------
    engine
        That made the plan.
    density
        On the plan's grid.
    plan
        Frozen.
    chosen
        :func:`scenarios` by default.

    Returns
    -------
    dict
        Name of the scenario to its dose in Gy.
    """
    found = {}
    for scenario in scenarios() if chosen is None else chosen:
        x, y, z = np.asarray(plan.isocentre_mm) + np.asarray(scenario.shift_mm)
        moved = replace(plan, isocentre_mm=(float(x), float(y), float(z)))
        scaled = (density * np.float32(1 + scenario.range_pct / 100)).astype(np.float32)
        found[scenario.name] = engine.recalculate(scaled, moved)
    return found
