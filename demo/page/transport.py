"""Play, tempo, swing, feel, sounds, undo and redo at the foot of the page, and the kits that the player plays."""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from page import doors, session
from page.component import component
from page.loop import KIT
from page.session import ACCENTS, FASTEST, OWN, SLOWEST
from rhythmgan.playback import MAX_SWING, MIN_SWING, Playback
from rhythmgan.sound import CHOKE, KNEE
from rhythmgan.synth import RATE, SOUNDS, one_shots

_LABELS = {"acoustic": "Acoustic", "808": "808", "lo-fi": "Lo-fi"}

_MAX_MOVES = 100

_kit = component("kit", ["played", "kit"])
_transport = component("transport", ["player", "drawing", "transport"], ["transport"])


@dataclass
class _Told:
    """How far Python has heard of a browser that may be ahead.

    Attributes:
        epoch: of this session; what a page says that is of another one is too late.
        revision: how often the browser changed the settings.
        moved: undos and redos that it asked for.
    """

    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    revision: int = 0
    moved: int = 0


def begin() -> None:
    """Take over tempo and swing from the address, once for each visitor."""
    if "transport-told" in st.session_state:
        return
    st.session_state["transport-told"] = _Told()
    visitor = session.visitor()
    bpm = doors.said(st.query_params.get("bpm"), SLOWEST, FASTEST)
    swing = doors.said(st.query_params.get("swing"), round(100 * MIN_SWING), round(100 * MAX_SWING))
    if bpm is not None:
        visitor.bpm = bpm
    if swing is not None:
        visitor.swing = swing / 100


def show() -> None:
    """Draw the transport."""
    begin()
    visitor = session.visitor()
    told: _Told = st.session_state["transport-told"]

    def changed() -> None:
        _change(visitor, told, st.session_state.controls.changed)

    def moved() -> None:
        _move(visitor, told, st.session_state.controls.moved)

    _say_in_address("bpm", visitor.bpm, Playback.bpm)
    _say_in_address("swing", 100 * visitor.swing, 100 * Playback.swing)
    _transport(
        key="controls",
        data={
            "settings": {
                "bpm": visitor.bpm,
                "swing": visitor.swing,
                "feel": visitor.feel,
                "sounds": visitor.sounds,
            },
            "loop": visitor.hand.sent,
            "undo": bool(visitor.past),
            "redo": bool(visitor.future),
            "epoch": told.epoch,
            "revision": told.revision,
            "moved": told.moved,
            "slowest": SLOWEST,
            "fastest": FASTEST,
            "most_swing": round(100 * MAX_SWING),
            "sounds": [[name, _LABELS[name]] for name in SOUNDS],
        },
        on_changed_change=changed,
        on_moved_change=moved,
        on_went_change=session.follow_address,
    )


def _change(visitor: session.Visitor, told: _Told, sent: Any) -> None:
    """Take over the settings that a browser sent, which may be anything."""
    said = doors.entries(sent)
    revision = doors.whole(said.get("revision"), told.revision + 1)
    bpm = doors.number(said.get("bpm"), SLOWEST, FASTEST)
    swing = doors.number(said.get("swing"), MIN_SWING, MAX_SWING)
    feel, sounds = said.get("feel"), said.get("sounds")
    if said.get("epoch") != told.epoch or revision is None or bpm is None or swing is None:
        return
    if feel in (OWN, ACCENTS) and sounds in SOUNDS:
        told.revision = revision
        visitor.bpm, visitor.swing, visitor.feel, visitor.sounds = bpm, swing, feel, sounds


def _move(visitor: session.Visitor, told: _Told, sent: Any) -> None:
    """Undo and redo as a browser asks, which says all that it has no answer to yet: pairs of a number and a word."""
    said = doors.entries(sent)
    if said.get("epoch") != told.epoch:
        return
    for move in doors.items(said.get("moves"), _MAX_MOVES):
        sent_number, word = doors.pair(move) or (None, "")
        number = doors.whole(sent_number, told.moved + 1)
        if number is None:
            continue
        told.moved = number
        if word == "undo":
            visitor.undo()
        elif word == "redo":
            visitor.redo()


def _say_in_address(name: str, value: float, default: float) -> None:
    """Keep a number in the address, but for its default."""
    text = f"{round(value, 2):g}"
    if value == default:
        if name in st.query_params:
            del st.query_params[name]
    elif st.query_params.get(name) != text:
        st.query_params[name] = text


@st.cache_resource(show_spinner=False)
def _packed(sounds: str) -> bytes:
    """The one-shots for the player: the length of a head, the head as JSON, stereo samples in 16 bits."""
    shots = one_shots(KIT, sounds)
    head = {
        "sounds": sounds,
        "rate": RATE,
        "lengths": [len(shot) for shot in shots],
        "knee": KNEE,
        "choke": CHOKE / RATE,
    }
    text = json.dumps(head).encode()
    samples = np.rint(np.concatenate(shots).clip(-1, 1) * 32767).astype("<i2")
    return struct.pack("<I", len(text)) + text + samples.tobytes()


def load_kit() -> None:
    """Hand the player the kit of the visitor's sounds, each once; last on the page, as it takes a moment to send."""
    visitor = session.visitor()
    loaded: set[str] = st.session_state.setdefault("kits-loaded", set())

    def came() -> None:
        loaded.update(name for name in SOUNDS if name == st.session_state.kit.loaded)

    with st.container(key="unseen-kit"):
        _kit(key="kit", data=None if visitor.sounds in loaded else _packed(visitor.sounds), on_loaded_change=came)
