"""HLUTs as two columns of text, as scanners, planning systems and spreadsheets write them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import read_bytes
from qa_suite.core.wording import count as count_of

TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".dat", ".hlut")
_MOST_BYTES = 4 << 20
_SHOWN = 5  # of many bad lines; the others are counted

Point = tuple[float, float]


def read_points(path: Path) -> tuple[Point, ...]:
    """Read lines of HU and value.

    Columns are parted by semicolon, tab, comma or white space; what follows ``#`` is a remark; a
    first line without any number holds the columns' titles. Decimal commas are refused, since a
    comma may part columns too.

    Parameters
    ----------
    path
        A text file; UTF-8, though only its remarks may need it.

    Returns
    -------
    tuple of (HU, value)
        In the order of the lines.

    Raises
    ------
    InputError
        If there is no such file, it is no text, or lines are not HU and value: all of them are
        told together.
    """
    if not path.is_file():
        raise InputError(f"There is no HLUT at {path}.")
    data = read_bytes(path, most_bytes=_MOST_BYTES)
    if b"\0" in data:
        raise InputError(f"{path} is no text file; save the table as CSV (UTF-8).")
    points: list[Point] = []
    problems: list[str] = []
    titles_may_come = True
    # a remark in another encoding must not cost the table; a number never holds such a letter
    for number, line in enumerate(data.decode("utf-8-sig", errors="replace").splitlines(), 1):
        cells = _cells(line)
        if not cells:
            continue
        if titles_may_come and not any(_is_number(cell) for cell in cells):
            problem = _titles_problem(cells)
        else:
            problem = _line_problem(line, cells)
            if problem is None:
                points.append((float(cells[0]), float(cells[1])))
        titles_may_come = False
        if problem is not None:
            problems.append(f"line {number}: {problem}")
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        said = "; ".join([*problems[:_SHOWN], *more])
        raise InputError(f"{path} has {count_of(len(problems), 'bad line')}: {said}.")
    return tuple(points)


def _cells(line: str) -> list[str]:
    """Return a line's cells; none of a remark or an empty line."""
    text = line.split("#")[0]
    parts = re.split(r"[;\t]", text) if re.search(r"[;\t]", text.strip()) else text.split(",")
    if len(parts) == 1:
        parts = text.split()
    cells = [part.strip().strip('"').strip() for part in parts]
    while cells and not cells[-1]:  # a spreadsheet fills its lines up with empty cells
        cells.pop()
    return cells


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _titles_problem(cells: list[str]) -> str | None:
    named = [bool(re.search(r"\b(hu|hounsfield)\b", cell.lower())) for cell in cells]
    if any(named[1:]) and not named[0]:
        return f"its titles are {', '.join(cells)}; HU must come first"
    return None


def _line_problem(line: str, cells: list[str]) -> str | None:
    shown = repr(line.strip())
    if any("," in cell for cell in cells) and all(map(_is_number, cells)):
        return f"{shown} has a decimal comma; write decimal points"
    if len(cells) != 2 or not all(map(_is_number, cells)):
        return f"{shown} is not HU and value"
    if not all(math.isfinite(float(cell)) for cell in cells):
        return f"{shown} holds no finite number"
    return None
