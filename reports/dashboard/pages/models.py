"""The registered models and what their tags say."""

from __future__ import annotations

from typing import Final

import streamlit as st

from reports.dashboard import parts, store

TAGS_SHOWN: Final = ("direction", "anatomy", "training_sites", "family")


def show() -> None:
    """List every version of every model, the newest first, and all tags of one."""
    st.header("Models")
    versions = store.model_versions()
    if not versions:
        st.info(
            "No model is registered yet. Train one with "
            "`qa-suite train regression cohorts/pelvis --name my-model`, "
            "or run `qa-suite demo`."
        )
        return
    aliases = store.aliases()
    rows = []
    for v in versions:
        tags = dict(v.tags)
        shown = [_tag(tags, name) for name in TAGS_SHOWN]
        moment = store.moment(v.created_ms)[:16].replace("T", " ")
        rows.append([v.name, v.version, aliases.get(v.uri, "none"), *shown, moment])
    heads = (
        "Model",
        "Version",
        "Alias",
        "Direction",
        "Anatomy",
        "Training sites",
        "Family",
        "Registered",
    )
    parts.show_table(heads, rows, "Models")
    uri = st.selectbox("All tags of", [v.uri for v in versions], key="model")
    chosen = next(v for v in versions if v.uri == uri)
    parts.show_table(
        ("Tag", "Value"), chosen.tags or [("none", "this version carries no tags")], "Tags"
    )


def _tag(tags: dict[str, str], name: str) -> str:
    """Return a tag under its own name or with the suite's prefix."""
    found = tags.get(name) or tags.get(f"qa.{name}") or "no such tag"
    return ", ".join(part.strip() for part in found.split(","))
