"""What a training tells while it goes on, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iteration, iterations, figures by name) as training goes on."""


@dataclass(frozen=True, kw_only=True)
class FitSummary:
    """What came of a training."""

    iterations: int
    seconds: float
    best_iteration: int
    best_validation: float | None
    stopped_early: bool
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
