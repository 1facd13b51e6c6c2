"""Tempo and swing of everything that plays on the page, and the kit that it plays with."""

from __future__ import annotations

import json
import struct

import numpy as np
import streamlit as st

from page import session
from page.bar import KIT, STEPS, TRIPLETS
from page.component import component
from rhythmgan.performance import accents
from rhythmgan.playback import MAX_SWING
from rhythmgan.sound import CHOKE, KNEE, velocity_to_gain
from rhythmgan.synth import RATE, one_shots

SLOWEST, FASTEST = 50, 200

_kit = component("kit", ["player", "kit"])
_tempo = component("tempo", ["player", "drawing", "tempo"], ["cards"])


@st.cache_data(show_spinner=False)
def _packed() -> bytes:
    """The one-shots for the player: the length of a head, the head as JSON, stereo samples in 16 bits."""
    shots = one_shots(KIT)
    head = {
        "rate": RATE,
        "lengths": [len(shot) for shot in shots],
        "gains": {steps: velocity_to_gain(accents(steps)).tolist() for steps in (STEPS, TRIPLETS)},
        "knee": KNEE,
        "open": KIT.names.index("open hat"),
        "closed": KIT.names.index("closed hat"),
        "choke": CHOKE / RATE,
    }
    text = json.dumps(head).encode()
    samples = np.rint(np.concatenate(shots).clip(-1, 1) * 32767).astype("<i2")
    return struct.pack("<I", len(text)) + text + samples.tobytes()


@st.fragment
def show() -> None:
    """Draw play and stop, tempo and swing."""
    visitor = session.visitor()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        button = st.container(width="content")
        if visitor.sets_tempo and visitor.own_bpm is not None:
            st.session_state.bpm = min(max(round(visitor.own_bpm), SLOWEST), FASTEST)
            visitor.sets_tempo = False
        bpm = st.slider("Tempo, bpm", SLOWEST, FASTEST, 120, key="bpm", bind="query-params")
        swing = st.slider(
            "Swing, %",
            50,
            round(100 * MAX_SWING),
            50,
            key="swing",
            bind="query-params",
            help="Where the second sixteenth of each eighth falls: 50 is straight, 67 a triplet shuffle. "
            "Bars of triplets have no sixteenths: they stay as they are.",
        )
        visitor.bpm, visitor.swing = bpm, swing / 100
        with button:
            _tempo(
                key="tempo",
                data={
                    "tempo": {
                        "bpm": visitor.exact_bpm,
                        "beats": {
                            steps: visitor.playback(steps).step_beats(steps).tolist() for steps in (STEPS, TRIPLETS)
                        },
                    },
                    "first": visitor.hand.sent,
                },
                width="content",
            )


def load_kit() -> None:
    """Hand the kit to the player; the last thing on the page, as it takes a moment to compute and to send."""
    with st.container(key="unseen-kit"):
        _kit(key="kit", data=_packed())
