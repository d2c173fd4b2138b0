"""One patient's images: linked slices, doses, what was said of a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from qa_suite.core.errors import QAError
from qa_suite.core.review_queue import Event, Place, add_event, items_of, new_event, read_queue
from qa_suite.core.volume import Grid
from qa_suite.core.wording import listing
from reports.dashboard import dose as doses
from reports.dashboard import parts, selection
from reports.dashboard.catalogue import Known
from reports.dashboard.hands import hands
from reports.dashboard.opening import measurements_of, open_known
from reports.dashboard.pages.sites import standing_verdict
from reports.dashboard.store import Record
from reports.dashboard.viewer import component
from reports.dashboard.viewer.display import display_of, files_of
from reports.dashboard.viewer.volumes import StoredCase, stored_case
from reports.facts.pictures import RANKED_BY, SCALED_BY
from reports.facts.slices import worst_slice
from reports.figures import dose_curves


def show() -> None:
    """Show the chosen case; without kept volumes it says which command keeps them."""
    st.header("Case viewer")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    kept = [case.case for case in record.cases if "synthetic" in case.volumes]
    if not kept:
        st.info(
            "The volumes of no case were kept. Evaluate again with `--keep-volumes worst`, or "
            "`--keep-volumes all`, to look at images."
        )
        return
    case = _choose(kept)
    if case is None:
        return
    _case(known, record, case, kept)


def _choose(kept: list[str]) -> str | None:
    wanted = selection.asked("case")
    if wanted and wanted not in kept:
        st.error(
            parts.plain(
                f"No volumes of a case {wanted!r} were kept; those that were are "
                f"{listing(kept[:12])}{' …' if len(kept) > 12 else ''}. "
                f"'--keep-volumes all' keeps every one."
            )
        )
        return None
    start = kept.index(wanted) if wanted else 0
    case = st.sidebar.selectbox("Case", kept, index=start, key=f"case-{start}")
    selection.put("case", case)
    return str(case)


@st.fragment
def _case(known: Known, record: Record, name: str, kept: list[str]) -> None:
    """Show one case; while slices are turned only this part runs again."""
    case = next(one for one in record.cases if one.case == name)
    table = measurements_of(record, (RANKED_BY[0], *SCALED_BY))
    report = doses.gathered(record, standing_verdict(record)) if _dosed(case.volumes) else None
    plans = {} if report is None else {plan.facts.key: plan for plan in report.plans}
    with_dose = [key for key in plans if f"dose_reference@{key}" in case.volumes]
    key = st.selectbox("Plan", with_dose, key=f"plan-{name}") if len(with_dose) > 1 else ""
    key = key or next(iter(with_dose), "")
    files = files_of(record, case, table, key)
    try:
        found = stored_case(files)
    except (QAError, OSError) as error:
        st.error(parts.plain(str(error)))
        return
    st.caption(parts.plain(f"{name}, site {case.site}. {case.grid} {'; '.join(case.history)}"))
    prescribed = plans[key].facts.prescription_gy if key else None
    said = [
        event for item in items_of(read_queue(record.folder).lines) if item.case == name
        for event in item.comments
    ]  # fmt: skip
    places = [_voxel(found.grid, e.place.xyz_mm) for e in said if e.place is not None]
    point = _start(found)
    answer = component()(
        data=display_of(
            files, found, name=name, point=point, places=places, prescription_gy=prescribed,
            session=_session(),
        ),
        key=f"viewer-{record.evaluation.evaluation[:12]}-{name}",
        default={"point": point},
        on_point_change=lambda: None,
        on_turn_change=lambda: None,
    )  # fmt: skip
    place = [int(n) for n in (answer.point or point)]
    text = ",".join(map(str, place))
    if place != point and st.query_params.get("voxel", "") != text:
        st.query_params["voxel"] = text
    if answer.turn:
        step = kept.index(name) + (1 if answer.turn > 0 else -1)
        st.query_params.pop("voxel", None)
        selection.put("case", kept[step % len(kept)])
        st.rerun()
    _comments(known, record, name, found.grid, place, said)
    if key and report is not None:
        _dvh(plans[key], name)


def _session() -> str:
    context = get_script_run_ctx()
    return "" if context is None else str(context.session_id)


def _dosed(volumes: dict[str, str]) -> bool:
    return any(role.startswith("dose_reference") for role in volumes)


def _start(found: StoredCase) -> list[int]:
    """Return the voxel that the address names, or where the error is largest."""
    shape = found.grid.shape
    said = st.query_params.get("voxel", "")
    try:
        asked = [int(part) for part in said.split(",")]
    except ValueError:
        asked = []
    if len(asked) == 3 and all(0 <= n < size for n, size in zip(asked, shape, strict=True)):
        return asked
    return _worst_voxel(found)


def _worst_voxel(found: StoredCase) -> list[int]:
    """Return the middle of the worst axial slice's error, so that something is to be seen."""
    images = found.images
    error = np.where(images.mask, np.abs(np.nan_to_num(images.difference)), 0.0)
    k = worst_slice(images, "axial")
    weights = error[:, :, k]
    if not weights.any():
        return [n // 2 for n in images.mask.shape]
    i = int(np.average(np.arange(weights.shape[0]), weights=weights.sum(axis=1)))
    j = int(np.average(np.arange(weights.shape[1]), weights=weights.sum(axis=0)))
    return [i, j, k]


def _voxel(grid: Grid, xyz_mm: tuple[float, float, float]) -> list[float]:
    return [float(v) for v in (np.linalg.inv(grid.affine) @ [*xyz_mm, 1.0])[:3]]


def _comments(
    known: Known, record: Record, name: str, grid: Grid, place: list[int], said: list[Event]
) -> None:
    """List what was said of the case, and let the reviewer say more of the place shown."""
    st.subheader("Comments")
    if said:
        parts.show_table(
            ("When", "Who", "What", "Place (LPS, mm)"),
            (_said(record, name, grid, event) for event in said),
            "Comments",
        )
    who = hands().options.local_reviewer
    if not who or known.folder is None:
        st.caption(why_read_only(known))
        return
    xyz = tuple(round(float(v), 2) for v in (grid.affine @ [*place, 1.0])[:3])
    with st.form(f"comment-{name}", clear_on_submit=True):
        text = st.text_area(f"Comment at {', '.join(f'{v:.1f}' for v in xyz)} mm (LPS)")
        if st.form_submit_button("Keep the comment"):
            if not text.strip():
                st.error("A comment has a text.")
                return
            frame = grid.frame_of_reference or ""
            event = new_event(
                f"{who} (unauthenticated)", "commented", record.evaluation.evaluation, case=name,
                comment=text.strip(), role=hands().options.local_role,
                place=Place(xyz_mm=xyz, frame_of_reference=frame, image="synthetic"),
            )  # fmt: skip
            add_event(record.folder, event)
            st.rerun()


def _said(record: Record, name: str, grid: Grid, event: Event) -> tuple[object, ...]:
    """Return the cells of a comment; its place leads there."""
    place: object = ""
    if event.place is not None:
        voxel = ",".join(str(round(v)) for v in _voxel(grid, event.place.xyz_mm))
        text = ", ".join(f"{v:.1f}" for v in event.place.xyz_mm)
        evaluation = record.evaluation.evaluation[:12]
        place = parts.link("case", text, evaluation=evaluation, case=name, voxel=voxel)
    return event.at[:16].replace("T", " "), event.who, event.comment, place


def why_read_only(known: Known) -> str:
    """Say why nothing can be written of an evaluation, and what would let it."""
    if known.folder is None:
        return (
            "This evaluation is known from the MLflow store alone; comments and signatures are "
            "kept in its folder: start the dashboard with `--evaluations FOLDER`."
        )
    return "Reading only; `qa-suite dashboard --local-reviewer NAME` lets one person write."


def _dvh(plan: Any, name: str) -> None:
    case = next((one for one in plan.case_views if one.case == name), None)
    if case is None:
        return
    st.subheader("Dose-volume histograms")
    title = f"DVH of {name}, reference solid, synthetic dashed"
    st.html(parts.drawing(dose_curves.dvh_plot(case), "dvh", title))
