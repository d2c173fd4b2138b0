"""The measured rows as markdown tables, and the page that they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.dose_real.run import TARGET, Planned, Row
from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.curve import Dvh, dvhs_of
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.scene.scene import CAUSES
from qa_suite.dose.structures.samples import MaskStructure
from qa_suite.dose.structures.structures import sample_structures

DOSE_BOUND_PCT = 2.0
GAMMA_BOUND_PCT = 95.0
RANGE_BOUND_MM = 2.0
CLINICAL = (
    ("PTV_7000", "D95"),
    ("PTV_7000", "Dmean"),
    ("SpinalCord", "D2"),
    ("Brainstem", "D2"),
    ("Parotid_L", "Dmean"),
    ("Parotid_R", "Dmean"),
    ("Bone_Mandible", "D2"),
)


def plan_line(planned: Planned, cut: Mapping[str, float]) -> str:
    """Say of a plan on the CT what a reader needs before its table."""
    read = {m: read_metric(planned.dvhs[TARGET], m).value for m in ("D98", "D95", "Dmean", "D2")}
    doses = ", ".join(f"{name} {number(value, 1)} Gy" for name, value in read.items())
    shape = "×".join(str(n) for n in planned.scene.grid.shape)
    edge = ", ".join(f"{name} {share:.0f} %" for name, share in cut.items() if share >= 0.5)
    grid = f"{planned.scene.grid.spacing_mm[0]:g} mm"
    template = planned.template
    return (
        f"`{template.name}`: {template.prescribed.dose_gy:g} Gy in "
        f"{template.prescribed.fractions} fractions, HLUT `{planned.hlut.name}`, dose grid "
        f"{shape} at {grid}. On the CT: target {doses}. "
        f"Rays that enter through the image's edge (`path_cut`): {edge or 'none'}."
    )


UNCHANGED = {"0", "0 / 0.0", "0 / 0", "100.0"}
"""What stands in the line of a CT that is held against itself."""


def twin_table(rows: Sequence[Row]) -> str:
    """One line a twin that differs from its CT; beyond a bound in bold."""
    beams = list(rows[0].ranges)
    causes = [c for c in CAUSES if rows[0].causes]
    head = ["twin", "ΔDmean, %", "ΔD95, %", "γ 2/2, %", "γ 1/1, %"]
    head += [f"range {beam}: mean / 95 %, mm" for beam in beams]
    head += ["goals lost / gained", *causes]
    lines = [_line(head), _line(["---", *["--:"] * (len(head) - 1)])]
    for row in rows:
        cells = [
            row.twin,
            _marked(row.dmean_pct, 2, DOSE_BOUND_PCT),
            _marked(row.d95_pct, 2, DOSE_BOUND_PCT),
            _below(row.gamma_pct["2pct2mm"], GAMMA_BOUND_PCT),
            number(row.gamma_pct["1pct1mm"], 1),
        ]
        for beam in beams:
            found = row.ranges[beam]
            mean = _marked(found.mean_mm, 1, RANGE_BOUND_MM)
            cells.append(f"{mean} / {found.p95_abs_mm:.1f}")
        cells.append(f"{len(row.lost)} / {len(row.gained)}")
        cells += [signed(row.causes[cause], 2) for cause in causes]
        if not set(cells[1:]) <= UNCHANGED:
            lines.append(_line(cells))
    flips = [f"{row.twin}, {word}" for row in rows for word in _flips(row)]
    text = "\n".join(lines) + "\n"
    return text + (f"\nGoals that flip. {'; '.join(flips)}.\n" if flips else "")


def clinical_table(plans: Sequence[Planned]) -> str:
    """The surrogates' doses beside the one that the data set ships: context, no claim."""
    case = plans[0].case
    if case.clinical is None:
        raise InputError(f"{case.title} comes without a clinical dose.")
    samples = sample_structures(
        [
            MaskStructure(name=n, mask=case.structures[n], grid=case.ct.grid)
            for n in dict.fromkeys(name for name, _ in CLINICAL)
        ],
        case.clinical.grid,
    )
    shipped = dvhs_of(case.clinical, samples.values())
    columns: list[Mapping[str, Dvh]] = [shipped, *(p.dvhs for p in plans)]
    head = ["", "data set's dose", *(f"`{p.template.name}`" for p in plans)]
    lines = [_line(head), _line(["---", *["--:"] * (len(head) - 1)])]
    for name, metric in CLINICAL:
        values = [read_metric(dvhs[name], metric).value for dvhs in columns]
        lines.append(_line([f"{name} {metric}, Gy", *(number(v, 1) for v in values)]))
    return "\n".join(lines) + "\n"


def number(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int) -> str:
    if value is None:
        return "undefined"
    rounded = round(value, digits) + 0.0
    return "0" if rounded == 0 else f"{rounded:+.{digits}f}"


def _marked(value: float | None, digits: int, bound: float) -> str:
    text = signed(value, digits)
    return f"**{text}**" if value is not None and abs(value) > bound else text


def _below(value: float | None, bound: float) -> str:
    text = number(value, 1)
    return f"**{text}**" if value is not None and value < bound else text


def _flips(row: Row) -> list[str]:
    lost = [f"met on the CT only: {goal}" for goal in row.lost]
    return lost + [f"met on the twin only: {goal}" for goal in row.gained]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
