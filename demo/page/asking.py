"""What the models are asked for: role, style and grid, in a visitor's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from page.loop import STEPS, TRIPLETS
from rhythmgan.conditions import ANY, DEFAULT_ROLE, Condition
from rhythmgan.roles import ROLES

_GRIDS = {STEPS: "Sixteenths", TRIPLETS: "Triplets"}

_STYLES = {"afrocuban": "Afro-Cuban", "hiphop": "Hip-hop", "neworleans": "New Orleans", "rnb": "R&B", ANY: "Any style"}
"""Styles whose names are not spelt as people spell them."""


def style_name(style: str) -> str:
    """A style as people spell it."""
    return _STYLES.get(style, style.replace("_", " ").capitalize())


def role(key: str, changed: Callable[[], None] | None = None) -> str:
    """A choice between the roles of bars; returns the role."""
    chosen = st.segmented_control(
        "Role",
        [*ROLES, ANY],
        default=DEFAULT_ROLE,
        required=True,
        key=key,
        bind="query-params",
        format_func=str.capitalize,
        on_change=changed,
        help="A groove is what songs play most of the time, a variation is a groove with changes, a fill leads over to "
        "the next bars. Any: whatever songs play, rare bars as often as common ones.",
    )
    return chosen or DEFAULT_ROLE  # an address may say nothing


def style(
    key: str,
    known: Sequence[str],
    changed: Callable[[], None] | None = None,
    label_visibility: Literal["visible", "collapsed"] = "visible",
) -> str:
    """A choice between the styles that a model knows; returns the style."""
    styles = [ANY, *sorted(known, key=style_name)]
    return (
        st.selectbox(
            "Style",
            styles,
            key=key,
            bind="query-params",
            format_func=style_name,
            width=160,
            on_change=changed,
            label_visibility=label_visibility,
        )
        or ANY
    )


def grid(key: str, changed: Callable[[], None] | None = None) -> int:
    """A choice between the grids that models play; returns the steps of a bar."""
    chosen = st.segmented_control(
        "Grid",
        list(_GRIDS),
        default=STEPS,
        required=True,
        key=key,
        bind="query-params",
        format_func=_GRIDS.__getitem__,
        on_change=changed,
        help="Sixteenths are four steps a beat. Triplets are three, as in shuffles and slow blues.",
    )
    return chosen or STEPS


def told(condition: Condition, steps: int) -> str:
    """What stands behind a seed in a bar's name; nothing where it is a groove of sixteenths in any style."""
    style = "" if condition.style == ANY else style_name(condition.style)
    role = (
        "" if condition.role == DEFAULT_ROLE and not style else "any role" if condition.role == ANY else condition.role
    )
    words = [f"{style} {role}".strip(), "triplets" if steps == TRIPLETS else ""]
    return "".join(f", {word}" for word in words if word)


def real(condition: Condition) -> str:
    """What real bars are called among which a bar stands that a model made so."""
    return f"real {'bar' if condition.role == ANY else condition.role}s"
