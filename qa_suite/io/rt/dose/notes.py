"""What a reader must know of doses that were taken as a user asked for them."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.wording import count as count_of
from qa_suite.io.rt.dose.given import GivenDose
from qa_suite.io.rt.dose.read import DoseFile
from qa_suite.io.rt.dose.request import SUMMABLE

LOW_LEVEL = 1.9
"""A dose whose maximum is this many times below the prescription is no whole course."""


def notes_of(doses: Sequence[GivenDose]) -> list[str]:
    """Say what a reader must know of doses that were taken as asked for, one sentence each."""
    notes = [sentence for dose in doses if (sentence := dose.sentence())]
    for dose in doses:
        if dose.left_out:
            notes.append(
                f"{dose.path} holds {count_of(dose.left_out, 'RTDOSE file')} of other sums, left "
                f"out."
            )
    sources = [dose.source for dose in doses if dose.source is not None]
    if sources and len(sources) < len(doses):
        silent = ", ".join(str(dose.path) for dose in doses if dose.source is None)
        notes.append(f"Taken on trust: {silent} does not say whose dose it is.")
    for what, values in (
        ("summation", [one.summation for one in sources]),
        ("parts of their plans", ["; ".join(sorted(one.parts)) or "all" for one in sources]),
    ):
        if len(set(values)) > 1:
            notes.append(f"The doses differ in {what}: {' against '.join(values)}.")
    for dose in doses:
        if dose.source is not None and dose.plan is None and _may_lack_parts(dose.source):
            notes.append(
                f"Whether {dose.path} holds every part of its plan is not known, since no plan "
                f"was given to hold it against."
            )
    return list(dict.fromkeys(notes))


def note_of_level(dose: GivenDose, prescription_gy: float | None) -> list[str]:
    """Say that a dose lies far below its prescription: that of a fraction, or of a beam."""
    highest = float(dose.volume.array.max())
    if prescription_gy is None or not 0 < highest < prescription_gy / LOW_LEVEL:
        return []
    return [
        f"The dose goes up to {highest:.4g} Gy, a {prescription_gy / highest:.3g}th of the "
        f"prescription of {prescription_gy:g} Gy; if it is that of one fraction, --fractions N "
        f"multiplies it to a course."
    ]


def _may_lack_parts(source: DoseFile) -> bool:
    return source.summation.lower() in SUMMABLE
