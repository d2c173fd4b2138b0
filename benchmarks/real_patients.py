r"""The tables of docs/real-patients.md from two evaluations of the same held-out patients.

    python -m benchmarks.real_patients evaluations/sts-intensity evaluations/sts-regression \
        --write docs/real-patients.md

The page says how the two are made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.commission.tables import write_between

MEASURES = (  # metric, region, unit, digits
    ("mae", "body", "HU", 1),
    ("me", "body", "HU", 1),
    ("mae", "bone", "HU", 0),
    ("ncc", "body", "", 3),
    ("ms_ssim", "body", "", 3),
    ("high_frequency_ratio", "body", "dB", 1),
    ("noise_level", "soft", "HU", 2),
    ("shading", "body", "HU", 1),
    ("beam_depth_error", "body", "mm", 2),
    ("shared_noise", "body", "", 3),
    ("error_to_noise", "body", "", 2),
    ("dice", "seg:Bone", "", 3),
    ("contour_distance", "seg:Body", "mm", 2),
    ("source_contour_distance", "body", "mm", 2),
    ("source_shift", "body", "mm", 2),
    ("positioning_shift", "body", "mm", 2),
    ("false_components", "bone", "", 1),
    ("missed_components", "bone", "", 1),
    ("false_components", "lesion", "", 1),
    ("missed_components", "lesion", "", 1),
    ("mirror_evidence", "body", "", 3),
)
VARIANTS = {"positioning_shift": "cbct"}
Records = dict[str, pd.DataFrame]


def rows_of(records: Records, name: str, metric: str, region: str) -> pd.DataFrame:
    """Return the rows of one measure, of which there must be some."""
    table = records[name]
    variant = VARIANTS.get(metric, "default")
    rows = table[(table.metric == metric) & (table.region == region) & (table.variant == variant)]
    if rows.empty:
        raise SystemExit(f"{name} has no rows of {metric} in {region}.")
    return rows


def site_table(records: Records) -> str:
    """Mean absolute error in body and bone, by site."""
    names = list(records)
    head = " | ".join(f"{what}, HU: `{n}`" for what in ("body MAE", "bone MAE") for n in names)
    lines = [f"| Held-out site | {head} |", "|---" + "|--:" * 2 * len(names) + "|"]
    sites = sorted(rows_of(records, names[0], "mae", "body").site.unique())
    for site in [*sites, None]:
        cells, numbers = [], set[int]()
        for region, digits in (("body", 1), ("bone", 0)):
            for name in names:
                rows = rows_of(records, name, "mae", region)
                ok = rows[((rows.site == site) | (site is None)) & (rows.status == "ok")]
                cells.append(f"{ok.value.mean():.{digits}f}")
                numbers.add(ok.patient.nunique())
        if len(numbers) > 1:
            raise SystemExit(f"The means of {site or 'all sites'} are of unlike patients.")
        (n,) = numbers
        label = f"{site} (n = {n})" if site else f"**all (n = {n})**"
        shown = cells if site else [f"**{c}**" for c in cells]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    return "\n".join(lines)


def measure_table(records: Records) -> str:
    """Means over patients; a measure with a censored value has none."""
    heads = " | ".join(f"`{name}`: mean (n)" for name in records)
    lines = [f"| Measure | {heads} |", "|---" + "|--:" * len(records) + "|"]
    for metric, region, unit, digits in MEASURES:
        cells = []
        for name in records:
            rows = rows_of(records, name, metric, region)
            measured = rows[rows.status == "ok"]
            if (rows.status == "censored").any():
                cells.append(f"censored ({(rows.status == 'censored').sum()} of {len(rows)})")
            elif measured.empty:
                cells.append("none (0)")
            else:
                cells.append(f"{measured.value.mean():.{digits}f} ({len(measured)})")
        lines.append(f"| `{metric}` {region}{f', {unit}' if unit else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def better_sentence(records: Records) -> str:
    """In how many patients the second has the smaller error."""
    first, second = records
    said = []
    for region in ("body", "bone"):
        a, b = (
            rows_of(records, n, "mae", region).set_index("patient").value for n in (first, second)
        )
        both = pd.concat([a, b], axis=1, keys=["a", "b"]).dropna()
        drop = 100 * (1 - both.b.mean() / both.a.mean())
        said.append(
            f"{region}: {drop:.0f} % less in the mean, in {(both.b < both.a).sum()} of "
            f"{len(both)} patients"
        )
    return f"Error of `{second}` against `{first}`: {'; '.join(said)}."


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--write", type=Path, help="page whose marked tables are replaced")
    asked = parser.parse_args()
    records = {
        folder.name.rpartition("-")[2]: pd.read_parquet(folder / "measurements.parquet")
        for folder in (asked.first, asked.second)
    }
    sites = f"{site_table(records)}\n\n{better_sentence(records)}"
    measures = measure_table(records)
    print(sites, measures, sep="\n\n")
    if asked.write is not None:
        write_between(asked.write, "sites table", sites)
        write_between(asked.write, "measures table", measures)


if __name__ == "__main__":
    main()
