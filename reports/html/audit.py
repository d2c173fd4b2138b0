"""The page of an audit: one self-contained HTML file, from the record of the audit alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from markupsafe import Markup

from qa_suite.core.records import Audit
from qa_suite.core.wording import listing
from reports.facts import audit as facts
from reports.figures import numbers
from reports.figures.forest import forest
from reports.figures.shift import distance_plot, follow_plot
from reports.html.page import filled, write_page

OUTCOMES: Final = {
    "named": ("fail", "▲", "Named"),
    "none_named": ("pass", "✓", "None named"),
    "undecided": ("inconclusive", "?", "Undecided"),
    "described": ("inconclusive", "≡", "Described"),
}
"""Look, symbol and word of each outcome."""


def write_audit_page(audit: Audit, out: Path) -> Path:
    """Write the page of an audit (all at once or not at all); return its path."""
    return write_page(render_audit(audit), out)


def render_audit(audit: Audit) -> str:
    """Return the page; the same record gives the same bytes."""
    panels = facts.panels(audit)
    return filled(
        "audit.html.j2",
        {
            "listed": listing,
            "forest": lambda plot: Markup(forest(plot)),
            "distance_plot": lambda far: Markup(distance_plot(far, audit.training_sites)),
            "distance_numbers": numbers.distance_numbers,
            "follow_numbers": numbers.follow_numbers,
            "follow_plot": lambda plot: Markup(follow_plot(plot, audit.training_sites)),
        },
        audit=audit,
        look=OUTCOMES[audit.outcome],
        primary=[panel for panel in panels if panel.measure.primary],
        described=[panel for panel in panels if not panel.measure.primary],
        small=[cell for cell in audit.cells if cell.small],
        patients=sum(cell.patients for cell in audit.cells if cell.dimension == facts.SITE),
    )
