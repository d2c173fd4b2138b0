"""A sheet as Markdown, such as MLflow shows with a model version."""

from __future__ import annotations

from reports.facts.model_card import bullets, cell, plain
from reports.facts.sheets.records import Sheet, Table


def sheet_card(sheet: Sheet) -> str:
    """Return the sheet as Markdown in which nothing that was said is markup."""
    parts = [
        f"# {plain(sheet.title)}",
        f"**{sheet.symbol} {plain(sheet.headline)}**. {plain(sheet.sentence)}",
        *[f"> ⚠ {plain(words)}" for words in sheet.warnings],
        bullets(sheet.facts),
    ]
    for table in sheet.tables:
        parts += [f"## {plain(table.title)}", *_table(table)]
    for one in sheet.points:
        if one.said:
            parts += [f"## {plain(one.title)}", "\n".join(f"- {plain(x)}" for x in one.said)]
    parts.append(
        f"{sheet.kind.capitalize()} {plain(sheet.identifier)}, evaluation {sheet.evaluation}, "
        f"qa-suite {sheet.written_by}."
    )
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> list[str]:
    if not table.rows:
        return [plain(table.note)] if table.note else []
    rule = ["--:" if numeric else "---" for numeric in table.numeric]
    rows = [[cell(name) for name in table.columns], rule]
    rows += [[cell(one.text) for one in row] for row in table.rows]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return [text, plain(table.note)] if table.note else [text]
