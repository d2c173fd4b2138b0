"""The volumes that an evaluation keeps: named by their content, as many as were asked for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from qa_suite.core.cohort import Cohort
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_names import STRUCTURE, VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord, Measurement
from qa_suite.core.volume import Volume
from qa_suite.io.cases import load_case
from qa_suite.io.images import write_image

RANKED_BY = ("mae", "body")
"""This metric and region say which case is best, median and worst."""
LOWEST_BY = ("gamma_pass_rate", "body")
"""And these, which case of a site has the dose that differs most."""


def keep(volume: Volume, out: Path) -> str:
    """Write a volume below ``out/volumes``, named by its hash; return its file name."""
    folder = out / VOLUMES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"writing-{uuid.uuid4().hex}.nii.gz"  # others write here meanwhile
    write_image(volume, temporary)
    name = f"{sha256_of(temporary)[:24]}.nii.gz"
    temporary.replace(folder / name)
    return name


def ranks(row: Measurement) -> bool:
    """Whether a row says which cases are kept."""
    if (row.metric, row.region, row.variant) == (*RANKED_BY, "default"):
        return True
    return (row.metric, row.region) == LOWEST_BY


def settle(
    records: Sequence[CaseRecord],
    ranking: Sequence[Measurement],
    cohort: Cohort,
    folder: Path,
    out: Path,
    *,
    policy: Literal["worst", "all", "none"],
) -> list[CaseRecord]:
    """Keep images, mask, structures and what was measured of the chosen cases; drop the rest.

    Parameters
    ----------
    ranking
        The rows that :func:`ranks` of all cases.
    policy
        ``worst`` keeps the best, the median and the worst case, the worst one of each site, and
        of each site the one with the lowest gamma pass rate where dose was computed; ``all`` and
        ``none`` what they say.

    Returns
    -------
    list of CaseRecord
        With ``volumes`` naming exactly the files that were kept.
    """
    chosen = _chosen(records, ranking, policy)
    cases = {case.case: case for case in cohort.cases}
    settled = []
    for record in records:
        kept: dict[str, str] = {}
        if record.case in chosen and "synthetic" in record.volumes:
            loaded = load_case(cohort, cases[record.case], folder)
            kept = {**record.volumes, "source": keep(loaded.source, out)}
            if loaded.reference is not None:
                kept["reference"] = keep(loaded.reference, out)
            if loaded.mask is not None:
                mask = Volume(
                    array=loaded.mask.astype(np.uint8), grid=loaded.source.grid, quantity="label"
                )
                kept["mask"] = keep(mask, out)
            for name, inside in sorted(loaded.structures.items()):
                kept[f"{STRUCTURE}{name}"] = keep(
                    Volume(
                        array=inside.astype(np.uint8), grid=loaded.source.grid, quantity="label"
                    ),
                    out,
                )
        settled.append(record.model_copy(update={"volumes": kept}))
    wanted = {name for record in settled for name in record.volumes.values()}
    for path in sorted((out / VOLUMES_FOLDER).glob("*")):
        if path.name not in wanted:
            path.unlink()
    return settled


def _chosen(records: Sequence[CaseRecord], ranking: Sequence[Measurement], policy: str) -> set[str]:
    evaluated = [record.case for record in records if record.status == "evaluated"]
    if policy == "all":
        return set(evaluated)
    if policy == "none":
        return set()
    metric, region = RANKED_BY
    score = {
        m.case: m.value
        for m in ranking
        if (m.metric, m.region, m.variant) == (metric, region, "default") and m.value is not None
    }
    ranked = sorted(score, key=lambda case: (score[case], case))
    # What could not be measured is at least as interesting as what measured worst.
    chosen = {case for case in evaluated if case not in score}
    if ranked:
        chosen |= {ranked[0], ranked[len(ranked) // 2], ranked[-1]}
        site = {record.case: record.site for record in records}
        chosen |= set({site[case]: case for case in ranked}.values())
    return chosen | _lowest_gamma(ranking)


def _lowest_gamma(ranking: Sequence[Measurement]) -> set[str]:
    """Return the case of each site whose dose differs most: its lowest gamma pass rate."""
    lowest: dict[str, tuple[float, str]] = {}
    for m in ranking:
        if (m.metric, m.region) == LOWEST_BY and m.value is not None:
            this = (m.value, m.case)
            lowest[m.site] = min(lowest.get(m.site, this), this)
    return {case for _, case in lowest.values()}
