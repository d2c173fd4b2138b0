"""Tables of what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.controls import control_table
from benchmarks.families.run import Result

HU_COLUMNS = (
    ("MAE body, HU", "mae", "body", 1),
    ("MAE bone, HU", "mae", "bone", 0),
    ("ME body, HU", "me", "body", 1),
    ("Dice bone", "dice", "seg:Bone", 3),
    ("MS-SSIM", "ms_ssim", "body", 3),
    ("fine detail, dB", "high_frequency_ratio", "body", 1),
    ("false bone pieces", "false_components", "bone", 1),
    ("missed bone pieces", "missed_components", "bone", 1),
)
MR_COLUMNS = (
    ("MAE body", "mae", "body", 1),
    ("MS-SSIM", "ms_ssim", "body", 3),
    ("NCC", "ncc", "body", 3),
    ("fine detail, dB", "high_frequency_ratio", "body", 1),
)
PET_COLUMNS = (
    ("MAE body, SUVbw", "mae", "body", 3),
    ("ME body, SUVbw", "me", "body", 3),
    ("lesion SUVmean, real", "suv_mean_reference", "lesions", 2),
    ("synthetic", "suv_mean_synthetic", "lesions", 2),
    ("lesion SUVmean difference, %", "suv_mean_difference_pct", "lesions", 0),
    ("lesion SUVmax difference, %", "suv_max_difference_pct", "lesions", 0),
    ("lesion SUVpeak difference, %", "suv_peak_difference_pct", "lesions", 0),
    ("lesion TLG (41 %) difference, %", "tlg_difference_pct@41pct", "lesions", 0),
)
WIDTH_DIGITS = {"HU": 0, "SUVbw": 2}


def quality_table(results: Sequence[Result]) -> str:
    """Image quality, structures and invented pieces of each translator of one direction."""
    quantity = results[0].spec.target.quantity
    columns = {"HU": HU_COLUMNS, "SUVbw": PET_COLUMNS}.get(quantity, MR_COLUMNS)
    return _table(results, columns)


def uncertainty_table(results: Sequence[Result]) -> str:
    """What each translator's uncertainty is worth; who states none has no line."""
    lines = [
        "| translator | rank of σ and error | in ±1.96 σ | interval, mean width | voxels inside "
        "| patients kept | promised to |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        quantity = r.spec.target.quantity
        width = _value(r, "interval_width", "body", WIDTH_DIGITS.get(quantity, 0))
        unit = f" {quantity}" if quantity in WIDTH_DIGITS else ""
        cells = (
            _value(r, "error_std_rank", "body", 2),
            _value(r, "coverage_95", "body", 2),
            width and f"{width}{unit}",
            _value(r, "interval_coverage", "body", 3),
            _value(r, "interval_kept", "body", 2),
            _value(r, "interval_level", "body", 2),
        )
        if any(cells):
            lines.append(f"| {r.label} | " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def cost_table(results: Sequence[Result]) -> str:
    """What training and translating cost."""
    lines = [
        "| translator | specification | iterations | learning, s | with calibration, s | "
        "processor time, s | a volume, s | passes |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        seconds = _value(r, "translation_seconds", "all", 2)
        passes = _value(r, "network_evaluations", "all", 0)
        lines.append(
            f"| {r.label} | `{r.spec.name}` | {r.iterations} | {r.learning_s:.0f} | "
            f"{r.training_s:.0f} | {r.training_cpu_s:.0f} | {seconds or '–'} | {passes or '–'} |"
        )
    return "\n".join(lines) + "\n"


def controls_section(results: Sequence[Result]) -> str:
    """The table of all that were held against controls."""
    return control_table({r.label: r.controls for r in results if r.controls})


def _table(results: Sequence[Result], columns: Sequence[tuple[str, str, str, int]]) -> str:
    lines = [
        "| translator | " + " | ".join(title for title, *_ in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for r in results:
        cells = [_value(r, metric, region, digits) or "–" for _, metric, region, digits in columns]
        lines.append(f"| {r.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _value(result: Result, metric: str, region: str, digits: int) -> str | None:
    """Write one mean; behind it how many patients it is of, where others could not be measured."""
    found = result.measured.get((metric, region))
    if found is None:
        return None
    value, patients = found
    everyone = max(count for _, count in result.measured.values())
    return f"{value:.{digits}f}" + (f" ({patients})" if patients < everyone else "")
