"""docs/metrics.md is written from the registry: a metric's entry is all there is to write."""

from __future__ import annotations

from benchmarks.metrics_page import PAGE, page
from qa_suite.metrics.facts import METRICS


def test_the_page_is_that_of_the_registry():
    """Written anew where it is not: whoever adds or changes an entry finds it in his diff."""
    wanted = page()
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != wanted:
        PAGE.write_text(wanted, encoding="utf-8")
    for entry in METRICS:
        assert wanted.count(f"| `{entry.name}` |") == 1, entry.name
    rows = [line for line in wanted.splitlines() if line.startswith("| `")]
    assert len(rows) == len(METRICS)
    assert all(line.replace("\\|", "").count("|") == 8 for line in rows)
