"""Which HLUT is for which site: ``--hlut NAME`` for all, ``--hlut SITE=NAME`` for one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.registry import unknown_name

if TYPE_CHECKING:
    from qa_suite.dose.hlut.tables import Hlut
    from qa_suite.dose.plan.template import PlanTemplate


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of one plan.

    Parameters
    ----------
    default
        For sites without one of their own; with ``only_sites`` there are none of those.
    others
        Further ones of its quantity, that show what the table decides.
    of_sites
        By site.
    """

    default: Hlut
    others: tuple[Hlut, ...] = ()
    of_sites: Mapping[str, Hlut] = field(default_factory=dict)
    only_sites: bool = False


def parted(words: Sequence[str], sites: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Part what ``--hlut`` was given into tables for all and those of sites.

    A file whose name holds an equals sign is a file.

    Raises
    ------
    InputError
        If a table is for a site, and what is computed has none.
    Problems
        With every site that there is not, each with those that there are.
    """
    for_all: list[str] = []
    of_sites: dict[str, list[str]] = {}
    problems = []
    for word in words:
        site, sign, table = word.partition("=")
        quantity, _, file = word.partition(":")
        is_file = Path(word).is_file() or ("=" not in quantity and Path(file).is_file())
        if not sign or "/" in site or is_file:
            for_all.append(word)
        elif not sites:
            raise InputError(
                f"--hlut {word} is for the site {site}, and one pair of images is of none; give "
                f"--hlut {table or 'TABLE'}."
            )
        elif not table:
            problems.append(f"{word} names no table; write {site}=TABLE")
        elif site not in sites:
            problems.append(f"{word}: {unknown_name('site', site, list(sites)).rstrip('.')}")
        elif table in of_sites.get(site, []):
            problems.append(f"{word} is there twice; once is enough")
        else:
            of_sites.setdefault(site, []).append(table)
    raise_problems("--hlut", problems)
    return for_all, of_sites


def tables_of(
    template: PlanTemplate,
    tables: Sequence[Hlut],
    site_tables: Mapping[str, Sequence[Hlut]],
    sites: Sequence[str],
) -> Tables:
    """Choose the tables of a plan.

    Raises
    ------
    InputError
        If a site has two tables for it, or a site, or all, have none.
    """
    from qa_suite.dose.engines import ENGINES, fitting_hluts, require_modality

    require_modality(template)
    fitting = fitting_hluts(template, tables)
    of_sites: dict[str, Hlut] = {}
    for site, named in site_tables.items():
        own = fitting_hluts(template, named)
        if len(own) > 1:
            raise InputError(
                f"The site {site} has the HLUTs {' and '.join(one.name for one in own)} for the "
                f"plan {template.name}; give it one."
            )
        if own:
            of_sites[site] = own[0]
    if fitting:
        return Tables(default=fitting[0], others=tuple(fitting[1:]), of_sites=of_sites)
    lacking = [site for site in sites if site not in of_sites]
    if of_sites and not lacking:
        return Tables(default=of_sites[min(of_sites)], of_sites=of_sites, only_sites=True)
    takes = ENGINES[template.engine].facts.hlut
    needs = f"The plan {template.name} needs an HLUT that gives {' or '.join(takes)}"
    shipped = f"one of {', '.join(_shipped(takes))}, or your own file"
    if of_sites:
        raise InputError(
            f"{needs} for {', '.join(lacking)} too: --hlut {lacking[0]}=TABLE, or --hlut TABLE for "
            f"all sites without one; TABLE is {shipped}."
        )
    raise InputError(f"{needs}: --hlut with {shipped}.")


def require_used(
    chosen: Sequence[Tables], tables: Sequence[Hlut], site_tables: Mapping[str, Sequence[Hlut]]
) -> None:
    """Refuse tables that no plan takes.

    Raises
    ------
    InputError
        With all of them.
    """
    used = {one.name for of_plan in chosen for one in (of_plan.default, *of_plan.others)}
    of_sites = {(site, one.name) for of_plan in chosen for site, one in of_plan.of_sites.items()}
    idle = [one.name for one in tables if one.name not in used]
    idle += [
        f"{one.name} of the site {site}"
        for site, named in site_tables.items()
        for one in named
        if (site, one.name) not in of_sites
    ]
    if idle:
        raise InputError(f"No plan takes the HLUT {', '.join(idle)}.")


def _shipped(quantities: Sequence[str]) -> list[str]:
    from qa_suite.dose.hlut.tables import load_hlut, shipped_hluts

    return [name for name in shipped_hluts() if load_hlut(name).quantity in quantities]
