"""Trainings that follow each other in one budget, each with its own schedule and checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from qa_suite.learning.summary import FitSummary, Progress

TrainPhase = Callable[[str, int, Progress | None], FitSummary]
"""Trains the named phase for so many iterations and tells of each."""


def train_in_turn(
    phases: Mapping[str, int], train: TrainPhase, progress: Progress | None
) -> FitSummary:
    """Train one phase after the other and join what they tell.

    Iterations are counted through. The last phase is the one that counts: its figures keep
    their names, those of a phase before it are called ``phase_...``.

    Parameters
    ----------
    phases
        Iterations of each phase by its name, in their order.
    train
        Trains one of them.
    progress
        Told of every iteration of all.
    """
    budget, last, before = sum(phases.values()), [*phases][-1], 0
    joined: FitSummary | None = None
    for phase, count in phases.items():
        prefix = "" if phase == last else f"{phase}_"
        told = None if progress is None else _counting(progress, prefix, before, budget)
        joined = _after(joined, _named(train(phase, count, told), prefix), before)
        before += count
    assert joined is not None
    return joined


def _counting(progress: Progress, prefix: str, before: int, budget: int) -> Progress:
    def told(done: int, total: int, figures: dict[str, float]) -> None:
        progress(before + done, budget, {prefix + name: v for name, v in figures.items()})

    return told


def _named(summary: FitSummary, prefix: str) -> FitSummary:
    return replace(summary, curves={prefix + name: v for name, v in summary.curves.items()})


def _after(first: FitSummary | None, second: FitSummary, planned: int) -> FitSummary:
    """Join two summaries; the second began after the iterations planned for the first."""
    if first is None:
        return second
    curves = dict(first.curves)
    for name, points in second.curves.items():
        curves[name] = [(planned + step, value) for step, value in points]
    return replace(
        second,
        iterations=first.iterations + second.iterations,
        seconds=first.seconds + second.seconds,
        best_iteration=planned + second.best_iteration,
        curves=curves,
    )


def counting_members(progress: Progress | None, member: int, members: int) -> Progress | None:
    """Count the iterations of all members through."""
    if progress is None or members == 1:
        return progress
    report: Callable[[int, int, dict[str, float]], None] = progress

    def note(done: int, total: int, figures: dict[str, float]) -> None:
        report(member * total + done, members * total, figures)

    return note


def joined_members(summaries: list[FitSummary]) -> FitSummary:
    """Return the summary of one training, or of all members' one after the other."""
    if len(summaries) == 1:
        return summaries[0]
    curves: dict[str, list[tuple[int, float]]] = {}
    before = 0
    for summary in summaries:
        for name, points in summary.curves.items():
            curves.setdefault(name, []).extend((before + step, value) for step, value in points)
        before += summary.iterations
    validations = [s.best_validation for s in summaries if s.best_validation is not None]
    return FitSummary(
        iterations=sum(s.iterations for s in summaries),
        seconds=sum(s.seconds for s in summaries),
        best_iteration=summaries[-1].best_iteration,
        best_validation=float(np.mean(validations)) if validations else None,
        stopped_early=all(s.stopped_early for s in summaries),
        curves=curves,
    )
