"""The way out of a refusal, as the verb that refuses takes it, for one dose or for several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.io.rt.dose.request import DoseRequest, NotAsked, spelled
from qa_suite.io.rt.dose.scale import prescription_doubt, scale_doubt

ANY_SCALE = "--any-scale"
MOST_FRACTIONS = 80
"""Hyperfractionated courses stay below; a higher ratio is no number of fractions."""

_FOR_WHICHEVER = ("relative_unit_gy", "plane_mm")  # one value serves the doses that are such


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one dose was asked for as, and whether it is DICOM, which says much itself."""

    request: DoseRequest
    dicom: bool


def require_one_type(asked: Sequence[Asked], *, signed: bool) -> None:
    """Refuse doses said to be of several types, and differences where doses are needed.

    Raises
    ------
    InputError
        In one sentence.
    """
    kinds = sorted({one.request.dose_type for one in asked})
    if len(kinds) > 1:
        raise InputError(f"Doses of the types {' and '.join(kinds)} cannot be used together.")
    if kinds == ["error"] and not signed:
        raise InputError(
            "A dose ERROR is a difference of doses, and no dose is judged by it; "
            "'qa-suite dvh DOSE STRUCTURES --dose-type error' shows what it holds."
        )


def require_units(asked: Sequence[Asked], spelling: str) -> None:
    """Refuse a unit that is said of DICOM alone, which says its own.

    Raises
    ------
    InputError
        In one sentence.
    """
    units = [one.request.dose_unit for one in asked]
    idle = [one for one in asked if one.dicom and one.request.dose_unit != "Gy"]
    if idle and (all(one.dicom for one in asked) or len(set(units)) > 1):
        said = spelled("dose_unit", joined(units), spelling)
        raise InputError(f"A dose in DICOM says its own unit; leave {said} away.")


def advised(
    asked: Sequence[Asked], refused: Mapping[int, NotAsked], *, signed: bool, spelling: str
) -> InputError:
    """Put together what doses must be asked for as, each option with all its values at once.

    Parameters
    ----------
    asked
        Of each dose.
    refused
        Number of a dose to its refusal.
    signed
        Whether differences of doses can be used.
    spelling
        How the verb spells a request.
    """
    wanted = {n: {need.option: need.value for need in e.needs} for n, e in refused.items()}
    kinds = {
        wanted.get(n, {}).get("dose_type", one.request.dose_type)
        for n, one in enumerate(asked)
        if one.dicom
    }
    what = "; ".join(f"{e.where} {', '.join(n.what for n in e.needs)}" for e in refused.values())
    if len(kinds) > 1:
        types = " and ".join(sorted(kinds)).upper()
        return InputError(f"{what}: doses {types} cannot be used together; export them alike.")
    if kinds == {"error"} and not signed:
        first = next(iter(refused.values())).where
        return InputError(
            f"{what}, and no dose is judged by it; "
            f"'qa-suite dvh {first} STRUCTURES --dose-type error' shows what it holds."
        )
    options = dict.fromkeys(option for needs in wanted.values() for option in needs)
    ways = [spelled(option, _value_of(option, asked, wanted), spelling) for option in options]
    return InputError(f"{what}; if that is meant, say so: {' '.join(ways)}.")


def _value_of(option: str, asked: Sequence[Asked], wanted: Mapping[int, Mapping[str, str]]) -> str:
    values = [needs[option] for needs in wanted.values() if option in needs]
    if option in (*_FOR_WHICHEVER, "dose_type"):
        return values[0]
    if option == "dose_unit" and any(one.dicom for one in asked):
        return values[0]
    return joined(
        [
            wanted.get(n, {}).get(option, str(getattr(one.request, option)))
            for n, one in enumerate(asked)
        ]
    )


def joined(values: Sequence[str]) -> str:
    """Write the values of several doses as an option takes them: one where all are equal."""
    return values[0] if len(set(values)) == 1 else ",".join(values)


def require_scale(
    asked: Sequence[Asked],
    doses: Mapping[str, Volume],
    prescription_gy: float | None,
    spelling: str,
    scale_option: str,
) -> None:
    """Refuse doses that look like cGy, or like the dose of a fraction beside that of a course.

    Raises
    ------
    InputError
        With the figures, and the option that brings them to one scale.
    """
    volumes, names = list(doses.values()), list(doses)
    for number, name in enumerate(names if prescription_gy is not None else ()):
        assert prescription_gy is not None
        doubt = prescription_doubt(volumes[number], prescription_gy)
        if doubt is not None:
            way = _other_unit(asked, [(number, doubt.low == 1)], spelling)
            raise InputError(f"{name}: {doubt.what}; {way}, or {scale_option} if not.")
    for number in range(1, len(volumes)):
        doubt = scale_doubt(volumes[0], volumes[number], (names[0], names[number]))
        if doubt is None:
            continue
        low, high = (0, number)[doubt.low], (0, number)[1 - doubt.low]
        if doubt.kind == "unit":
            way = _other_unit(asked, [(high, True), (low, False)], spelling)
            if doubt.fractions <= MOST_FRACTIONS:
                fractions = _fractions_of(asked, low, high, doubt.fractions, spelling)
                way += f", or, where it is that of one fraction, {fractions}"
        else:
            way = _fractions_of(asked, low, high, doubt.fractions, spelling)
        raise InputError(f"{doubt.what}; {way}, or {scale_option} if not.")


def _other_unit(asked: Sequence[Asked], tries: Sequence[tuple[int, bool]], spelling: str) -> str:
    """Say how to correct the unit of a dose that is a hundred times too high, or too low."""
    units = [str(one.request.dose_unit) for one in asked]
    for index, too_high in tries:
        unit = "cGy" if too_high else "Gy"
        if asked[index].dicom or units[index] == unit:
            continue
        if any(one.dicom for one in asked):
            said = unit  # DICOM says its own
        else:
            said = joined([unit if n == index else u for n, u in enumerate(units)])
        return f"say which ({spelled('dose_unit', said, spelling)})"
    return "export it again in Gy"


def _fractions_of(asked: Sequence[Asked], low: int, high: int, count: int, spelling: str) -> str:
    factors = [one.request.fractions for one in asked]
    if factors[high] % count == 0:
        factors[high] //= count
    else:
        factors[low] *= count
    said = spelled("fractions", joined([str(factor) for factor in factors]), spelling)
    return f"say how many fractions a dose is multiplied by ({said})"
