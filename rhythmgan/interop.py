"""Bars as the objects of other libraries, for whoever works with those."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.kit import GM9, Kit
from rhythmgan.midi import midi_bytes
from rhythmgan.performance import Performance, Playback, accents

if TYPE_CHECKING:
    import pretty_midi
    import pypianoroll


def bars_to_pretty_midi(bars: np.ndarray, kit: Kit = GM9, *, bpm: float = 120.0) -> pretty_midi.PrettyMIDI:
    """A bar (steps, parts), or a loop (n, steps, parts), as a ``pretty_midi.PrettyMIDI``; see ``midi_bytes``."""
    import pretty_midi

    return pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(Performance.of(bars, kit), Playback(bpm))))


def bars_to_multitrack(bars: np.ndarray, kit: Kit = GM9, *, bpm: float = 120.0) -> pypianoroll.Multitrack:
    """A bar (steps, parts), or a loop (n, steps, parts), as a ``pypianoroll.Multitrack`` in LPD's form.

    One drum track at 24 ticks a beat with onsets of one tick, so that its ``save`` writes what
    ``rhythmgan prepare`` reads.
    """
    import pypianoroll

    resolution = 24
    bars = np.asarray(bars, bool)
    steps = bars.shape[-2]
    cells = bars.reshape(-1, kit.n_parts)
    step, part = np.nonzero(cells)
    n_ticks = len(cells) * BEATS * resolution // steps
    pianoroll = np.zeros((n_ticks, 128), np.uint8)
    pianoroll[step * BEATS * resolution // steps, kit.pitches[part]] = accents(steps)[step % steps]
    downbeat = np.zeros(n_ticks, bool)
    downbeat[:: BEATS * resolution] = True
    track = pypianoroll.StandardTrack(name="Drums", program=0, is_drum=True, pianoroll=pianoroll)
    return pypianoroll.Multitrack(
        name="rhythmgan", resolution=resolution, tempo=np.full(n_ticks, bpm), downbeat=downbeat, tracks=[track]
    )
