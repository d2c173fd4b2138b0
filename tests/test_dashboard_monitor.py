"""The check-ups of new patients on the dashboard."""

from __future__ import annotations

from pathlib import Path

from tests.dashboard_pages import everything, page, started, unescaped
from tests.test_checkup_over_time import STEADY, log_of


def test_the_check_ups_are_shown_over_time_with_the_rule_that_fired(
    own_store: Path, tmp_path: Path
) -> None:
    log = tmp_path / "check-ups.csv"
    rows = [*log_of(STEADY, model="old 1"), *log_of([*STEADY, 60.0], model="new 2")]
    columns = ["time", "case", "evaluation", "metric", "region", "variant", "unit", "value"]
    lines = [",".join([*columns, "outside", "model"])]
    for row in rows:
        lines.append(",".join([*(str(getattr(row, c)) for c in columns), "False", row.model]))
    log.write_text("\n".join(lines) + "\n")
    with started(check_ups=log):
        app = page("monitor")
        assert not app.exception
        assert app.selectbox(key="watched").options == ["new 2", "old 1"]
        said = unescaped(everything(app))
        assert "✕ Out of control" in said and "a_measure" in said
        app.selectbox(key="watched").set_value(1).run()
        assert "✓ In control" in unescaped(everything(app))
