"""The page of an audit: one self-contained HTML file, from the record of the audit alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from markupsafe import Markup

from qa_suite.core.records import Audit
from qa_suite.core.wording import count, listing
from reports.facts import audit as facts
from reports.facts import wording
from reports.figures.forest import forest
from reports.html.report import TEMPLATES

OUTCOMES: Final = {
    "named": ("fail", "▲", "Named"),
    "none_named": ("pass", "✓", "None named"),
    "undecided": ("inconclusive", "?", "Undecided"),
    "described": ("inconclusive", "≡", "Described"),
}
"""Look, symbol and word of each outcome."""


def write_audit_page(audit: Audit, out: Path) -> Path:
    """Write the page of an audit (all at once or not at all); return its path."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    temporary.write_text(render_audit(audit), encoding="utf-8")
    temporary.replace(out)
    return out


def render_audit(audit: Audit) -> str:
    """Return the page; the same record gives the same bytes."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        {
            "say": wording,
            "symbols": wording.OUTCOME_SYMBOLS,
            "counted": count,
            "listed": listing,
            "test_words": facts.test_words,
            "forest": lambda plot: Markup(forest(plot)),
        }
    )
    panels = facts.panels(audit)
    return environment.get_template("audit.html.j2").render(
        audit=audit,
        look=OUTCOMES[audit.outcome],
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        primary=[panel for panel in panels if panel.measure.primary],
        described=[panel for panel in panels if not panel.measure.primary],
        small=[cell for cell in audit.cells if cell.small],
        patients=sum(cell.patients for cell in audit.cells if cell.dimension == facts.SITE),
    )
