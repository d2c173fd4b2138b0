"""Who is in each cell, and whether a cell can be named at all: from the cases alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qa_suite.core.dimensions import DIMENSIONS, SITE, Cell, Dimension, Scan, cells_of, dimension
from qa_suite.core.records import AuditCell
from qa_suite.core.wording import listing

DEFAULT_DIMENSIONS = tuple(DIMENSIONS)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A cell with what is known of it before any value is looked at."""

    cell: Cell
    facts: AuditCell

    @property
    def is_site(self) -> bool:
        """Whether the cell is a hospital."""
        return self.cell.dimension.key == SITE

    @property
    def name(self) -> str:
        """The cell as in a sentence: ``site C``, ``age 60–69 years``."""
        return self.facts.name


def groups_of(
    scans: Sequence[Scan],
    *,
    divided_by: Sequence[str],
    training_sites: Sequence[str],
    small_below: int,
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Divide the scans and say of every cell who is in it and why it cannot be named.

    A dimension that does not divide them (all alike, or nothing recorded) makes no cell and is
    told in a sentence; sites are always there.

    Parameters
    ----------
    scans
        The judged cases.
    divided_by
        Keys of dimensions; empty takes all of them. Sites are always among them.
    training_sites
        Where the model was trained.
    small_below
        Patients below which a cell is not interpreted.
    """
    keys = dict.fromkeys((SITE, *(divided_by or DEFAULT_DIMENSIONS)))
    cells, told = _dividing(scans, [dimension(key) for key in keys])
    by_case = {scan.case.case: scan for scan in scans}
    first: dict[frozenset[str], str] = {}
    same: dict[frozenset[str], list[str]] = {}
    for cell in cells:
        if cell.recorded:
            same.setdefault(cell.cases, []).append(cell.name)
            first.setdefault(cell.cases, same[cell.cases][0])
    groups = []
    for cell in cells:
        mine = [by_case[name].case for name in cell.cases]
        patients = len({case.patient for case in mine})
        sites = tuple(sorted({case.site for case in mine}))
        facts = AuditCell(
            dimension=cell.dimension.key,
            title=cell.dimension.title,
            cell=cell.label,
            name=cell.name,
            patients=patients,
            cases=len(mine),
            sites=sites,
            in_training=cell.dimension.key == SITE and cell.label in training_sites,
            small=patients < small_below,
            untested=_untested(cell, first, by_case, small=patients < small_below),
            same_as=tuple(one for one in same.get(cell.cases, ()) if one != cell.name)
            if cell.recorded
            else (),
        )
        groups.append(Group(cell=cell, facts=facts))
    return tuple(groups), told


def _dividing(
    scans: Sequence[Scan], dimensions: Sequence[Dimension]
) -> tuple[list[Cell], tuple[str, ...]]:
    cells: list[Cell] = []
    unknown, alike = [], []
    for one in dimensions:
        found = cells_of(scans, [one])
        if len(found) > 1 or one.key == SITE:
            cells += found
        elif found[0].recorded:
            alike.append(found[0].name)
        else:
            unknown.append(one.title)
    told = []
    if alike:
        told.append(f"All patients are alike in this: {listing(alike)}.")
    if unknown:
        told.append(f"Recorded for no patient, and so not looked at: {listing(unknown)}.")
    return cells, tuple(told)


def _untested(
    cell: Cell, first: dict[frozenset[str], str], by_case: dict[str, Scan], *, small: bool
) -> str:
    if not cell.recorded:
        return "not recorded"
    if len(cell.cases) == len(by_case):
        return "everybody"
    if small:
        return "too few patients"
    if first[cell.cases] != cell.name:
        return f"the same cases as {first[cell.cases]}"
    sites = {by_case[case].case.site for case in cell.cases}
    others = {scan.case.site for scan in by_case.values() if scan.case.case not in cell.cases}
    if cell.dimension.key != SITE and not sites & others:
        return f"whole hospitals ({listing(sorted(sites))}), whose gaps are told by site"
    return ""
