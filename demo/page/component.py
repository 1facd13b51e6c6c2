"""Elements of our own on the page, made of the scripts and styles in ``web``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

WEB = Path(__file__).parent / "web"


def component(name: str, scripts: Sequence[str], styles: Sequence[str] = ()) -> ComponentRenderer:
    """An element that Streamlit can mount: an empty ``<div>`` of class ``name`` with scripts and styles.

    Args:
        name: of the element.
        scripts: files of ``web`` without their suffix, put one after the other as one module; the last exports the
            function that Streamlit calls.
        styles: files of ``web`` without their suffix.
    """
    return st.components.v2.component(
        f"rhythmgan.{name}",
        html=f'<div class="{name}">\n</div>',  # with a line break it is no path
        js=_joined(scripts, ".js"),
        css=_joined(styles, ".css") or None,
    )


def _joined(names: Sequence[str], suffix: str) -> str:
    return "\n".join((WEB / f"{name}{suffix}").read_text(encoding="utf-8") for name in names)
