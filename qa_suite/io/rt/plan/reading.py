"""Collecting what is wrong with a plan, and reading numbers that every control point needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from qa_suite.core.tolerances import LENGTH_MM, WEIGHT
from qa_suite.core.volume import Triple
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import number_of, texts_of
from qa_suite.io.dicom.opening import text_of


class Findings:
    """Problems, unsupported things and remarks, told of the plan or of one beam.

    Parameters
    ----------
    subject
        What the sentences begin with; empty for the plan itself.
    """

    def __init__(self, subject: str = "", parent: Findings | None = None) -> None:
        self._subject = subject
        self.problems: list[str] = [] if parent is None else parent.problems
        self.unsupported: list[str] = [] if parent is None else parent.unsupported
        self._remarks: dict[str, list[str]] = {} if parent is None else parent._remarks

    def about(self, subject: str) -> Findings:
        """Return findings of a part, collected with these."""
        return Findings(subject, self)

    def problem(self, what: str) -> None:
        """Add what keeps the plan from being read."""
        self.problems.append(self._told(what))

    def cannot(self, what: str) -> None:
        """Add what the surrogate cannot represent."""
        self.unsupported.append(self._told(what))

    def remark(self, what: str) -> None:
        """Add what must be known of the plan, though it may be used."""
        subjects = self._remarks.setdefault(what, [])
        if self._subject and self._subject not in subjects:
            subjects.append(self._subject)

    @property
    def remarks(self) -> tuple[str, ...]:
        """All remarks, one of several beams once: ``beams 1, 2: ...``."""
        return tuple(_of(subjects, what) for what, subjects in self._remarks.items())

    def _told(self, what: str) -> str:
        return f"{self._subject}: {what}" if self._subject else what


def _of(subjects: Sequence[str], what: str) -> str:
    if len(subjects) < 2:
        return f"{subjects[0]}: {what}" if subjects else what
    return f"beams {', '.join(one.removeprefix('beam ') for one in subjects)}: {what}"


class Carried:
    """Values that hold from control point to control point until they are given anew."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def number(self, item: Any, keyword: str) -> float | None:
        """Return the number of a control point, or the last one given."""
        value = number_of(item, keyword)
        if value is not None:
            self._held[keyword] = value
        return cast("float | None", self._held.get(keyword))

    def text(self, item: Any, keyword: str) -> str:
        """Return the text of a control point, or the last one given."""
        values = texts_of(item, keyword)
        if values and values[0]:
            self._held[keyword] = values[0].upper()
        return str(self._held.get(keyword, ""))

    def position(self, item: Any, keyword: str) -> Triple | None:
        """Return the three mm of a control point, or the last ones given."""
        values = numbers(item, keyword)
        if len(values) == 3:
            self._held[keyword] = (values[0], values[1], values[2])
        return cast("Triple | None", self._held.get(keyword))


def name_of(beam: Any) -> str:
    """Return what people call a beam: its name, or its number."""
    return text_of(beam, "BeamName") or f"number {text_of(beam, 'BeamNumber') or '?'}"


def numbers(item: Any, keyword: str) -> list[float]:
    """Return all values of an element as finite numbers; none where one of them is not."""
    try:
        values = [float(text) for text in texts_of(item, keyword)]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []


def shares_of(items: Sequence[Any], beam: Any, about: Findings) -> tuple[float, ...]:
    """Return the control points' cumulative weights as shares of the final one.

    None where they cannot be told. They must run from 0 to the final weight and never fall, but
    for what the tolerance of weights allows; what is returned does so exactly.
    """
    if len(items) < 2:
        about.problem(f"{count_of(len(items), 'control point')}, and at least two make a beam")
        return ()
    final = final_weight(items, beam)
    weights = [number_of(item, "CumulativeMetersetWeight") for item in items]
    if final is None or final <= 0:
        about.problem("no final cumulative meterset weight")
        return ()
    ends = (0.0, final)  # by the standard, whether they are written or not (C.8.8.14.1)
    weights[0], weights[-1] = (
        end if weight is None else weight
        for weight, end in zip((weights[0], weights[-1]), ends, strict=True)
    )
    if any(weight is None for weight in weights):
        about.problem("a control point without a cumulative meterset weight")
        return ()
    values = np.array(weights, dtype=float) / final
    ends_off = max(abs(values[0]), abs(values[-1] - 1))
    if (np.diff(values) < -WEIGHT).any() or ends_off > WEIGHT:
        about.problem(
            f"cumulative meterset weights from {values[0] * final:g} to "
            f"{values[-1] * final:g}, which do not rise from 0 to the final {final:g}"
        )
        return ()
    rising = np.maximum.accumulate(values)
    return tuple(float(v) for v in (rising - rising[0]) / (rising[-1] - rising[0]))


def final_weight(items: Sequence[Any], beam: Any) -> float | None:
    """Return the final cumulative meterset weight: as it is said, or that of the last point."""
    said = number_of(beam, "FinalCumulativeMetersetWeight")
    return number_of(items[-1], "CumulativeMetersetWeight") if said is None and items else said


def check_points(beam: Any, points: Sequence[Any], about: Findings) -> None:
    """Say where control points are missing or out of order."""
    said = number_of(beam, "NumberOfControlPoints")
    if said is not None and int(said) != len(points):
        about.remark(f"{count_of(len(points), 'control point')}, and it speaks of {int(said)}")
    indices = [number_of(point, "ControlPointIndex") for point in points]
    known = [index for index in indices if index is not None]
    if any(second <= first for first, second in pairwise(known)):
        about.problem("control points out of order (ControlPointIndex)")


def check_isocentre(places: Sequence[Triple], about: Findings) -> None:
    """Say where the isocentre moves while the beam is on."""
    spread = float(np.ptp(np.array(places), axis=0).max()) if places else 0.0
    if spread > LENGTH_MM:
        about.cannot(f"an isocentre that moves by {spread:.1f} mm during the beam")
