"""What ``dose`` prints: target and organs first, then goals, gamma and what casts doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qa_suite.cli import console
from qa_suite.core.wording import by_machine, far_from_prescription, some

if TYPE_CHECKING:
    from qa_suite.core.records import Measurement
    from qa_suite.metrics.dose.settings import DoseSettings

_TARGET = "target"
_OF_ORGANS = ("Dmean", "D2")
_PARTS = {
    "path_unseen": "of the beams' path to the target was not seen by the source image; there the "
    "doses cannot differ",
    "path_beyond_table": "of the beams' rays to the target meet voxels beyond the HLUT's ends; the "
    "dose behind them rests on a value that nobody stated",
    "path_cut": "of the rays to the target enter through the image's edge; the tissue before it "
    "is missing",
}


class _Rows:
    """The rows of one plan by metric and region."""

    def __init__(self, rows: Sequence[Measurement], key: str) -> None:
        self.key = key
        self._found = {(r.metric, r.region, r.variant): r for r in rows}

    def of(self, metric: str, region: str, more: str = "") -> Measurement | None:
        """Return the row of a metric, or None where there is none."""
        return self._found.get((metric, region, self.key + more))

    def text(self, metric: str, region: str, form: str, more: str = "") -> str:
        """Write a value; what has none says what it is instead."""
        row = self.of(metric, region, more)
        if row is None:
            return "not measured"
        return form.format(row.value) if row.value is not None else row.status

    def regions(self, metric: str, start: str) -> list[str]:
        """Return the regions of a kind that a metric was measured in, in the rows' order."""
        return [
            region
            for name, region, variant in self._found
            if name == metric and variant == self.key and region.startswith(start)
        ]


def show_dose(measured: Sequence[Measurement], settings: DoseSettings, *, compared: bool) -> None:
    """Print the doses of target and organs, goals, gamma, and what casts doubt on them.

    Parameters
    ----------
    measured
        All rows of the family ``dose``.
    settings
        What was asked for.
    compared
        Whether there was a synthetic image; without one only the plan's own dose is shown.
    """
    for choice in settings.plans:
        rows = _Rows(measured, choice.key)
        asked = rows.of("prescribed_dose", _TARGET)
        if asked is None or asked.value is None:
            continue
        title = f"{choice.key}: {asked.value:g} Gy prescribed to the target ({asked.why})"
        _show_table(title, rows, compared=compared)
        for line in by_machine(_computed_by(rows)):
            console.show(f"Beams: {line}")
        for line in (*(_compared_lines(rows, settings) if compared else ()), *_doubts(rows)):
            console.show(line)
    console.say(f"{len(measured)} measurements in all; --all prints them, --json as JSON.")


def _computed_by(rows: _Rows) -> Iterator[tuple[str, str]]:
    """Yield each beam of the clinic and what computed it."""
    for region in rows.regions("machine_energy", "beam:"):
        if (row := rows.of("machine_energy", region)) is not None:
            yield region.removeprefix("beam:"), row.why


def _show_table(title: str, rows: _Rows, *, compared: bool) -> None:
    from qa_suite.metrics.dose.facts import DVH_METRICS

    lines = []
    for region in (_TARGET, *rows.regions("dmean_reference", "structure:")):
        for metric, name in DVH_METRICS.items():
            if region != _TARGET and name not in _OF_ORGANS:
                continue
            lines.append(
                [
                    region.removeprefix("structure:"),
                    name,
                    rows.text(f"{metric}_reference", region, "{:.2f}"),
                    rows.text(f"{metric}_synthetic", region, "{:.2f}"),
                    rows.text(f"{metric}_difference", region, "{:+.2f}"),
                    rows.text(f"{metric}_difference_pct", region, "{:+.2f}"),
                ]
            )
    heads = [
        "structure",
        "metric",
        "reference (Gy)",
        "synthetic (Gy)",
        "difference (Gy)",
        "of prescription (%)",
    ]
    kept = len(heads) if compared else 3
    console.show_table(title, heads[:kept], [line[:kept] for line in lines])


def _compared_lines(rows: _Rows, settings: DoseSettings) -> Iterator[str]:
    """Yield what the comparison of both doses says beside the DVHs."""
    counts = [
        f"{rows.text(f'goals_{what}', 'all', '{:.0f}')} {what}"
        for what in ("lost", "gained", "undecided")
    ]
    yield f"Goals on the synthetic image: {', '.join(counts)}"
    for criterion in settings.gamma:
        rates = [
            f"{region} {rows.text('gamma_pass_rate', region, '{:.1f} %', f':{criterion.key}')}"
            for region in ("body", _TARGET)
        ]
        yield f"γ {criterion.title}: {', '.join(rates)}"
    for region in rows.regions("wepl_difference_mean", "beam:"):
        beam = region.removeprefix("beam:")
        shift = rows.text("wepl_difference_mean", region, "{:+.1f} mm")
        yield f"Beam {beam}: water-equivalent path to the target's far side {shift}"


def _doubts(rows: _Rows) -> Iterator[str]:
    """Yield what casts doubt on the doses."""
    mean, asked = rows.of("dmean_reference", _TARGET), rows.of("prescribed_dose", _TARGET)
    values = [row.value for row in (mean, asked) if row is not None and row.value is not None]
    if len(values) == 2 and (said := far_from_prescription(*values)):
        yield f"! On the reference CT {said}."
    for metric, name in (
        ("hu_beyond_reference", "reference CT"),
        ("hu_beyond_synthetic", "synthetic image"),
    ):
        if (row := rows.of(metric, "body")) is not None and row.value:
            yield f"! In the {name} {row.why}."
    for metric, words in _PARTS.items():
        shares = [
            f"{region.removeprefix('beam:')} {row.value:.1f} %"
            for region in rows.regions(metric, "beam:")
            if (row := rows.of(metric, region)) is not None and row.value
        ]
        if shares:
            yield f"! Part {words} ({'; '.join(some(shares))})."
