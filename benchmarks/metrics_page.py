"""Write docs/metrics.md from the registry: ``python -m benchmarks.metrics_page``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qa_suite.metrics.run import METRICS

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
BETTER = {"lower": "lower", "higher": "higher", "zero": "near 0", "none": "–"}
HEAD = """# Every metric

Written from the registry (`python -m benchmarks.metrics_page`, or its test): do not edit. Empty
cases, sources and settings stand in `qa-suite list metrics --json`; what the entries share, and
why, in [measures](measures.md).
"""


def page() -> str:
    """Return the page: a table for each family, its metrics by name."""
    families = sorted({entry.facts.family for entry in METRICS})
    return "\n".join([HEAD, *(line for family in families for line in _table(family))])


def _table(family: str) -> Iterator[str]:
    yield f"## {family}\n"
    yield "| Metric | | Unit | Better | Range | Kind | Formula |"
    yield "|---|---|---|---|---|---|---|"
    for entry in METRICS:
        facts = entry.facts
        if facts.family == family:
            better = BETTER[facts.direction]
            cells = (facts.title, facts.unit, better, facts.range, facts.kind, facts.formula)
            yield f"| `{entry.name}` | " + " | ".join(map(_cell, cells)) + " |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
