"""Performances to stereo audio, as a kit of ``synth`` plays them: what sounds when, the mix, stems, and WAV files."""

from __future__ import annotations

import io
import math
import os
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rhythmgan.bars import BEATS
from rhythmgan.files import write_whole
from rhythmgan.kit import Kit
from rhythmgan.performance import PLAIN, Performance, Playback, as_performance, as_performances, events, one_loop
from rhythmgan.synth import RATE, one_shots
from rhythmgan.synth.waves import on_grid

KNEE = 0.85
"""From here on the wave is bent, so that it stays below 1, which is full scale."""

CHOKE = 256
"""Samples in which a closed hat silences the open one: 6 ms."""

NEVER = 1 << 62
"""What comes after any sample."""

MAX_LEVEL = 1.5
"""Of a part in a mix: 3.5 dB more than it has of its own."""

MAX_SECONDS = 20 * 60
"""Of the sound of one loop: a file of it has 210 MB, which are in memory until it is written."""

_BLOCK = 30 * RATE
"""Samples that are mixed at a time where the whole is not asked for."""

_CLOSED_HAT, _OPEN_HAT = 42, 46  # pitches


def velocity_to_gain(velocity: np.ndarray) -> np.ndarray:
    """Velocities 1-127 → what a one-shot is multiplied by, (velocity / 127)^1.5: half the velocity is 9 dB less."""
    share = np.asarray(velocity, np.float64) / 127
    return (share * np.sqrt(share)).astype(np.float32)  # a power is not the same on every processor


class Sounding(NamedTuple):
    """What sounds when: the one table that the files and the page's player go by. (onsets,) each, by ``start``.

    Times are whole samples of ``RATE`` from the start of the loop. Bar lines and what is within a bar are rounded
    apart, so that a bar is the same wherever it stands.

    Attributes:
        bar, step, part: the cell of each onset.
        velocity: uint8, 1-127.
        start: int64, when it begins.
        until: int64, when a closed hat silences it; ``NEVER`` where none does, as of all but open hats.
    """

    bar: np.ndarray
    step: np.ndarray
    part: np.ndarray
    velocity: np.ndarray
    start: np.ndarray
    until: np.ndarray


def sounding(performance: Performance, playback: Playback = PLAIN, loop: bool = True) -> Sounding:
    """When each onset of a loop sounds, and until when.

    An open hat sounds until the next closed hat that begins later. In a loop the closed hats of the next time round
    count too: ``until`` may lie past the end.

    Args:
        performance: of one loop.
        playback: tempo and swing.
        loop: whether it is repeated.

    Raises:
        ValueError: several loops, or a swing on a grid of triplets.
    """
    heard = events(one_loop(performance), playback)
    within = np.rint(heard.beat * 60 / playback.bpm * RATE).astype(np.int64)
    start = np.rint(heard.bar * _samples_per_bar(playback)).astype(np.int64) + within
    order = np.argsort(start, kind="stable")
    bar, step, part, velocity, start = (
        column[order] for column in (heard.bar, heard.step, heard.part, heard.velocity, start)
    )
    n_loop = _n_samples(performance, playback) if loop else None
    return Sounding(bar, step, part, velocity, start, _silenced(start, performance.kit.pitches[part], n_loop))


def _samples_per_bar(playback: Playback) -> float:
    return BEATS * 60 / playback.bpm * RATE


def _n_samples(performance: Performance, playback: Playback) -> int:
    return round(len(performance) * _samples_per_bar(playback))


def check_length(n_bars: int, playback: Playback) -> None:
    """Raise a ValueError where a loop of so many bars is more sound than is made at a time, see ``MAX_SECONDS``."""
    seconds = n_bars * _samples_per_bar(playback) / RATE
    if seconds > MAX_SECONDS:
        raise ValueError(
            f"a loop of {n_bars:,} bars at {playback.bpm:g} beats a minute is {math.ceil(seconds):,} seconds of sound: "
            f"a WAV has at most {MAX_SECONDS:,}"
        )


def _silenced(start: np.ndarray, pitch: np.ndarray, n_loop: int | None) -> np.ndarray:
    """(onsets,) when the closed hat begins that silences each onset, ``NEVER`` where none does; see ``sounding``."""
    until = np.full(len(start), NEVER)
    closed = np.sort(start[pitch == _CLOSED_HAT])
    if n_loop is not None:
        closed = np.append(closed, closed[:1] + n_loop)
    is_open = np.flatnonzero(pitch == _OPEN_HAT)
    following = np.searchsorted(closed, start[is_open], side="right")  # one on the same step is not later
    heard = following < len(closed)
    until[is_open[heard]] = closed[following[heard]]
    return until


def render(
    performance: Performance,
    playback: Playback = PLAIN,
    loop: bool = True,
    *,
    sounds: str = "acoustic",
    levels: np.ndarray | None = None,
) -> np.ndarray:
    """A loop as a kit plays it.

    An open hat sounds until a later closed one. Soft bars stay soft, as nothing is scaled by what else is in the bar;
    where many loud onsets meet, the wave is bent smoothly to stay within full scale.

    Args:
        performance: of one loop.
        playback: tempo and swing.
        loop: what sounds past the end goes on at the start, so that repeating the sound leaves no seam. Otherwise it
            follows the end, and the sound is longer by that.
        sounds: one of ``synth.SOUNDS``.
        levels: (parts,) 0 … ``MAX_LEVEL``, what each part is multiplied by; 1 by default. A closed hat at 0 still
            silences the open one.

    Returns:
        (n_samples, 2) float32 in -1 … 1, left and right; of a loop n · 4 · 60 / bpm · ``RATE``, rounded.

    Raises:
        ValueError: several loops, a loop of more than ``MAX_SECONDS``, a swing on a grid of triplets, no such sounds, a
            part that has no sound, or levels of another shape or range.
    """
    rows = sounding(performance, playback, loop)
    return _limit(_added_up(rows, performance, playback, loop, sounds, _checked(levels, performance)))


def render_wav(
    performance: Performance,
    playback: Playback = PLAIN,
    loop: bool = True,
    *,
    sounds: str = "acoustic",
    levels: np.ndarray | None = None,
) -> bytes:
    """The WAV file of a loop: ``wav_bytes(render(…))``, in half the memory.

    Args:
        performance, playback, loop, sounds, levels: see ``render``.

    Raises:
        ValueError: see ``render``.
    """
    rows = sounding(performance, playback, loop)
    mix = _mix(rows, performance, playback, sounds, _checked(levels, performance))
    return _wav_file(map(_limit, mix.blocks(loop)), n_channels=2, rate=RATE)


def stems(
    performance: Performance,
    playback: Playback = PLAIN,
    loop: bool = True,
    *,
    sounds: str = "acoustic",
    levels: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The parts of a loop apart, as they sound in the mix: an open hat is silenced by the closed one of another stem.

    Nothing is bent: together the stems are the mix of ``render`` before its limiter, and the mix itself where that
    stays below ``KNEE``. A stem alone may pass full scale where many loud onsets of its part overlap.

    Args:
        performance, playback, loop, sounds, levels: see ``render``.

    Returns:
        Name of each part that has onsets and a level over 0 → (n_samples, 2) float32, all of one length.

    Raises:
        ValueError: see ``render``.
    """
    rows = sounding(performance, playback, loop)
    gains = _checked(levels, performance)
    apart = {
        name: _added_up(rows, performance, playback, loop, sounds, np.where(np.arange(len(gains)) == part, gains, 0))
        for part, name in enumerate(performance.kit.names)
        if gains[part] and (rows.part == part).any()
    }
    n_samples = max(map(len, apart.values()), default=0)
    return {name: np.pad(sound, ((0, n_samples - len(sound)), (0, 0))) for name, sound in apart.items()}


def _checked(levels: np.ndarray | None, performance: Performance) -> np.ndarray:
    """(parts,) float32 levels.

    Raises:
        ValueError: another shape or range.
    """
    n_parts = performance.kit.n_parts
    if levels is None:
        return np.ones(n_parts, np.float32)
    levels = np.asarray(levels, np.float32)
    if levels.shape != (n_parts,) or not ((levels >= 0) & (levels <= MAX_LEVEL)).all():
        raise ValueError(f"expected levels ({n_parts},) of 0 … {MAX_LEVEL}, one for each part; got {levels}")
    return levels


def _added_up(
    rows: Sounding, performance: Performance, playback: Playback, loop: bool, sounds: str, levels: np.ndarray
) -> np.ndarray:
    """The sum (n_samples, 2) of all onsets at ``levels`` (parts,), before the limiter."""
    mix = _mix(rows, performance, playback, sounds, levels)
    sound = mix.between(0, mix.end)
    return _wrapped(sound, mix.n_samples) if loop else sound


def _mix(rows: Sounding, performance: Performance, playback: Playback, sounds: str, levels: np.ndarray) -> _Mix:
    """All onsets at ``levels`` (parts,), to be added up.

    Raises:
        ValueError: a loop of more than ``MAX_SECONDS``, no such sounds, or a part that has no sound.
    """
    check_length(len(performance), playback)
    shots = one_shots(performance.kit, sounds)
    gains = velocity_to_gain(rows.velocity) * levels[rows.part]
    heard = np.flatnonzero(levels[rows.part] > 0)
    stop = rows.start + np.minimum(np.array([len(shot) for shot in shots])[rows.part], rows.until - rows.start + CHOKE)
    order = heard[np.lexsort((gains[heard], rows.part[heard]))]  # so that a one-shot is scaled once for one velocity
    part, gain, start, stop, until = (column[order] for column in (rows.part, gains, rows.start, stop, rows.until))
    return _Mix(shots, part, gain, start, stop, until, _n_samples(performance, playback))


@dataclass(frozen=True)
class _Mix:
    """What sounds, in the order in which it is added up.

    Attributes:
        shots: the sound of each part.
        part, gain, start, stop, until: of each onset; ``stop`` is where its sound ends, for the others see
            ``Sounding``.
        n_samples: of the loop, without what sounds past its end.
    """

    shots: Sequence[np.ndarray]
    part: np.ndarray
    gain: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    until: np.ndarray
    n_samples: int

    @property
    def end(self) -> int:
        """Where the loop has ended, and all sounds."""
        return max(self.n_samples, int(self.stop.max(initial=0)))

    def between(self, first: int, last: int) -> np.ndarray:
        """The sum (last - first, 2) of all that sounds there. A sample is the same in any stretch that it is in."""
        sound = np.zeros((last - first, 2), np.float32)
        here = np.flatnonzero((self.start < last) & (self.stop > first))
        scaled_last = None
        for part, gain, begin, stop, until in zip(
            *(column[here].tolist() for column in (self.part, self.gain, self.start, self.stop, self.until)),
            strict=True,
        ):
            if (part, gain) != scaled_last:
                scaled_last, scaled = (part, gain), self.shots[part] * np.float32(gain)
            whole = stop - begin == len(scaled)
            shot = scaled if whole else _faded(scaled[: stop - begin], until - begin)
            cut = shot[max(first - begin, 0) : last - begin]
            place = max(begin - first, 0)
            sound[place : place + len(cut)] += cut
        return sound

    def blocks(self, loop: bool) -> Iterator[np.ndarray]:
        """The sum of all, ``_BLOCK`` samples at a time; in a loop the first one has what sounds past the end."""
        end = self.n_samples if loop else self.end
        tail = self.between(end, self.end)
        if len(tail) > min(_BLOCK, end):  # a loop so short that its tail goes round it
            yield _wrapped(self.between(0, self.end), end)
            return
        for first in range(0, end, _BLOCK):
            sound = self.between(first, min(first + _BLOCK, end))
            if not first:
                sound[: len(tail)] += tail
            yield sound


def _faded(shot: np.ndarray, place: int) -> np.ndarray:
    """A copy of a sound that goes to zero within ``CHOKE`` samples of ``place``."""
    shot = shot.copy()
    fade = on_grid(np.cos(np.linspace(0, np.pi / 2, CHOKE)) ** 2)
    shot[place:] *= fade[: len(shot) - place, None]
    return shot


def _wrapped(sound: np.ndarray, n_samples: int) -> np.ndarray:
    """What lies past ``n_samples`` added from the start on, as often as it takes."""
    for begin in range(n_samples, len(sound), n_samples):
        tail = sound[begin : begin + n_samples]
        sound[: len(tail)] += tail
    return sound[:n_samples]


def _limit(sound: np.ndarray) -> np.ndarray:
    """Bend what is over ``KNEE`` towards 1, in place: y = k + (1 - k) tanh((x - k) / (1 - k)), smooth at k.

    It looks at each sample alone, with no memory that a loop's seam could break.
    """
    if max(sound.max(initial=0), -sound.min(initial=0)) > KNEE:
        loud = np.abs(sound) > KNEE
        over = sound[loud]
        bent = KNEE + (1 - KNEE) * _tanh((np.abs(over) - KNEE) / (1 - KNEE))
        sound[loud] = np.copysign(bent, over)
    return sound


def _tanh(x: np.ndarray) -> np.ndarray:
    """tanh of x from 0 on, float64, by Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + …))).

    ``np.tanh`` is not the same on every processor; what all round alike are sums, products and quotients.
    """
    x = np.minimum(x.astype(np.float64), 20)  # where it is 1
    square = x * x
    below = np.zeros_like(x)
    for odd in range(_LAMBERT, 1, -2):
        below = square / (odd + below)
    return x / (1 + below)


_LAMBERT = 101
"""The last of the odd numbers: up to 20 the fraction is then exact to 1e-15."""


def wav_bytes(sound: np.ndarray, rate: int = RATE) -> bytes:
    """Sound (n_samples, channels) floats in -1 … 1 as a WAV file of 16-bit PCM; what is louder is clipped.

    Raises:
        ValueError: another number of axes, no channel, or a value that is not finite.
    """
    sound = np.asarray(sound)
    if sound.ndim != 2 or not sound.shape[1]:
        raise ValueError(f"expected sound (n_samples, channels); got {sound.shape}")
    blocks = (sound[first : first + _BLOCK] for first in range(0, len(sound), _BLOCK))
    return _wav_file(blocks, sound.shape[1], rate)


def _wav_file(blocks: Iterable[np.ndarray], n_channels: int, rate: int) -> bytes:
    """See ``wav_bytes``, of sound that comes a block at a time."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(n_channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframesraw(b"")  # an empty sound has a header too
        for block in blocks:
            if not np.isfinite(block).all():
                raise ValueError("the sound has values that are not finite")
            writer.writeframesraw(np.rint(np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def write_wav(
    path: str | os.PathLike[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
    loop: bool = True,
) -> None:
    """Write a bar or a loop of bars as a stereo WAV file; see ``render``.

    Args:
        path: the file; replaced where it is there.
        bars: (steps, parts) or (n, steps, parts) bool, which get metrical accents, or the performance of a loop.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute, 4 to 1000.
        swing: .5 (straight) to .7, see ``Playback``.
        loop: whether the sound is to be repeated; see ``render``.

    Raises:
        ValueError: the shape does not fit the kit or a grid, or the tempo or the swing is out of range.
        OSError: the file cannot be written.
    """
    write_whole(path, render_wav(as_performance(bars, kit), Playback(bpm, swing), loop))


def write_wav_files(
    folder: str | os.PathLike[str],
    names: Sequence[str],
    bars: np.ndarray | Performance,
    kit: Kit | None = None,
    *,
    bpm: float = Playback.bpm,
    swing: float = Playback.swing,
) -> None:
    """Write one file per bar, or per loop, that can be repeated: ``bars[i]`` as ``folder / names[i]``.

    Args:
        folder: an existing folder.
        names: n file names.
        bars: (n, steps, parts) bool for a bar a file, or (n, loop, steps, parts); or their performance.
        kit: what the parts of bare bars are; by default the kit of as many parts.
        bpm: quarter notes a minute.
        swing: .5 (straight) to .7, see ``Playback``.
    """
    performances, playback = as_performances(bars, len(names), kit), Playback(bpm, swing)
    for place, name in enumerate(names):
        write_whole(os.path.join(folder, name), render_wav(performances[place], playback))
