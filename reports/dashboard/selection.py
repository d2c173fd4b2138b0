"""What is looked at, kept in the address of the page, so that it can be sent to a colleague."""

from __future__ import annotations

import streamlit as st

from reports.dashboard.catalogue import Catalogue, Known, catalogue
from reports.dashboard.hands import hands

_SHORT = 12


@st.cache_data(ttl=5.0, show_spinner=False)
def _catalogue(folders: tuple[str, ...], store: str) -> Catalogue:
    from pathlib import Path

    return catalogue(Path(folder) for folder in folders)


def everything() -> Catalogue:
    """Return what can be opened, looked for at most every five seconds."""
    from qa_suite.core.store import tracking_uri

    return _catalogue(tuple(map(str, hands().options.folders)), tracking_uri())


def asked(name: str) -> str:
    """Return what the address, or else the page before, says of a name."""
    said = st.query_params.get(name, "")
    if said:
        st.session_state[f"asked-{name}"] = said
    return str(said or st.session_state.get(f"asked-{name}", ""))


def put(name: str, value: str) -> None:
    """Keep a name in the address and for the next page."""
    st.session_state[f"asked-{name}"] = value
    if st.query_params.get(name, "") != value:
        st.query_params[name] = value


def evaluation() -> Known | None:
    """Let the user choose an evaluation, and return it; None where it is said why there is none."""
    found = everything()
    if not found.known:
        nothing_yet(found)
        return None
    wanted = asked("evaluation")
    chosen = found.find(wanted) if wanted else found.known[0]
    if isinstance(chosen, str):
        st.error(chosen)
    names = [one.evaluation for one in found.known]
    titles = {one.evaluation: one.title for one in found.known}
    start = None if isinstance(chosen, str) else names.index(chosen.evaluation)
    name = st.sidebar.selectbox(
        "Evaluation",
        names,
        index=start,
        format_func=lambda one: titles[one],
        key=f"evaluation-{start}",
        placeholder="Choose an evaluation",
    )
    if name is None:
        return None
    put("evaluation", name[:_SHORT])
    return next(one for one in found.known if one.evaluation == name)


def nothing_yet(found: Catalogue) -> None:
    """Say that there is no evaluation, and how to make one."""
    for problem in found.problems:
        st.warning(problem)
    st.info(
        "No evaluation is known yet. Make one with "
        "`qa-suite evaluate COHORT models:/NAME/VERSION --profile mr-to-ct-pelvis`, "
        "or run `qa-suite demo`."
    )
