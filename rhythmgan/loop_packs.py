"""Loop packs: folders of MIDI files with one part each, named by it ("Kick_01", "Hi_Hat_01", "Snares/07").

Samplers and loop packs put a kick on whatever channel and pitch they like. Here such a file becomes standard drum MIDI:
channel 10, and the pitch that General MIDI has for its part.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from rhythmgan.calls import UNFINISHED
from rhythmgan.files import make_folder, sweep_parts, write_whole
from rhythmgan.grid import NoBars, Onsets, quantise_by_grid
from rhythmgan.grid_choice import TOLERANCE
from rhythmgan.kit import GM12, Kit
from rhythmgan.locks import locked_folder
from rhythmgan.midi_drums import DRUM_CHANNEL, pitches_named_by
from rhythmgan.midi_events import TEMPO, TIME_SIGNATURE, MidiEvents, midi_events
from rhythmgan.midi_reader import SUFFIXES, parse_midi, read_midi_bytes
from rhythmgan.performance import Performance, onsets_to_performance
from rhythmgan.songs.members import without_controls

REPORT = "standardise.json"
"""In every folder of standardised files: what became of each file of the pack."""

MAX_LAYERS = 12
"""Pitches of a file that is one part, at most: hats are tuned to play rolls, but what has more is a melody."""

PERCUSSION = frozenset((*range(27, 88), *np.flatnonzero(GM12.part_of_pitch >= 0).tolist()))
"""Pitches of General MIDI 2's percussion, and those of Roland's pads that kits know: 22 and 26, edges of the hats."""

_KICK = 36
"""General MIDI's pitch for the part that packs call an 808."""

_KICK_808 = re.compile(r"(?<!\d)808s?(?![^\W_])", re.IGNORECASE)
_WHOLE_808 = re.compile(r"loop|beat|kit|drum|pack|bass|sub|machine|tr[\W_]?808", re.IGNORECASE)
"""Names of all that the drum machine plays, or of what is a bass line."""

_FAR_OFF = 0.25
"""How far from its step, in steps, an onset lies that a bar on no grid is told of for: less is a laid-back snare."""

_KEPT_SUFFIXES = (".mid", ".midi", ".kar")
"""Endings that fit a plain MIDI file; what was wrapped in RIFF gets one more."""


@dataclass(frozen=True)
class Standard:
    """A file as standard drum MIDI.

    Attributes:
        data: its bytes.
        part: the part that it is named by; empty of a beat that was standard and is named by none.
        is_new: whether it was something else before.
    """

    data: bytes
    part: str
    is_new: bool


@dataclass(frozen=True)
class PackFile:
    """What became of a file of a pack.

    Attributes:
        name: its path below the folder of the pack.
        part: the part that it is named by, or empty.
        result: "written" where it is standard now, "kept" where it was, "left out" where it cannot be.
        why: what is against it, or empty.
    """

    name: str
    part: str
    result: str
    why: str = ""

    @property
    def line(self) -> str:
        """What is to be said of a file that is left out, in one line whatever it is called."""
        return without_controls(f"{self.name}: {self.why}")


@dataclass(frozen=True)
class Pattern:
    """What a file of a pack plays.

    Attributes:
        name: its path below the folder of the pack.
        performance: its bars (n, steps, parts), the silent ones before and after what sounds included. One part plays.
        bpm: its tempo.
        n_lost: onsets that have no cell: they share one with a louder onset, or lie in another time signature.
        own_grid: the steps that most of its bars are on; 0 where these are on no grid. All onsets on the beats are on
            16 and 12 at once: that is 16.
        is_on_beats: whether no onset is off the quarter notes, so that it fits any grid.
    """

    name: str
    performance: Performance
    bpm: float
    n_lost: int
    own_grid: int = 16
    is_on_beats: bool = False

    @property
    def misfit(self) -> str:
        """What the grid that it is read on does to it, in a few words; empty where its onsets fit."""
        steps = self.performance.bars.shape[1]
        found = []
        if self.own_grid and steps % self.own_grid and not self.is_on_beats:
            found.append(f"most of its bars are on {self.own_grid} steps, but are read on the {steps} of the loops")
        elif not self.own_grid and np.abs(self.performance.offsets).max() > _FAR_OFF:
            found.append(f"most of its bars are on no grid, but are read on the {steps} steps of the loops")
        if self.n_lost:
            found.append(
                f"it loses {self.n_lost} of its onsets to louder ones of the same cell of {steps} steps, or because "
                "they lie in another time signature"
            )
        return "; ".join(found)


# --- One file ----------------------------------------------------------------------------------------


def standard_midi(data: bytes, name: str) -> Standard:
    """A file of a pack as standard drum MIDI; one that is standard already as it is.

    Onsets keep their time, to the tick, and their velocity; time signatures and all tempi stay. A note lasts an eighth
    of a beat, or until the next one begins. Of several notes of one tick the loudest is kept. Whatever else the file
    says (controllers, texts, lengths of notes) is left out.

    A file is standard that plays on channel 10 only, and nothing there but ``PERCUSSION``; of the kit's parts no other
    than its own where its name says one. Nothing of it may be missing: what breaks off is written anew as far as it
    can be read.

    Args:
        data: the whole file.
        name: its path below the folder of the pack. It is named by the part in its own name, or else in that of the
            nearest folder that has one.

    Raises:
        NoBars: it is no MIDI file, plays nothing, is not standard and named by no part or by two, plays more than
            one part may, or is damaged and named by no part.
    """
    if not data:
        raise NoBars("empty", "no bytes")
    events = midi_events(data)
    if not len(events.notes):
        raise NoBars("empty", "no notes")
    named = _pitches_of_path(name)
    channels, pitches = np.unique(events.notes[:, 2]).tolist(), np.unique(events.notes[:, 3]).tolist()
    is_percussion = channels == [DRUM_CHANNEL] and PERCUSSION.issuperset(pitches)
    is_whole = not events.broken and _has_all_tracks(data)
    if len(named) != 1:
        if is_percussion and not is_whole:
            raise NoBars("damaged", "it breaks off, or holds bytes that mean nothing")
        if is_percussion:
            return Standard(data, "", False)
        if not named:
            raise NoBars("no part", "neither its name nor a folder's says which part it is")
        raise NoBars("several parts", f"its name says {' and '.join(sorted(map(_part_name, named)))}")
    pitch = named.pop()
    playing = [part for part in np.unique(GM12.part_of_pitch[pitches]).tolist() if part >= 0]
    if is_percussion and len(playing) > 1:
        raise NoBars("several parts", f"it plays {' and '.join(GM12.names[part] for part in playing)}")
    if is_percussion and is_whole and GM12.part_of_pitch[pitch] in playing:
        return Standard(data, _part_name(pitch), False)
    if len(channels) > 1 or len(pitches) > MAX_LAYERS:
        raise NoBars("not one part", f"it plays {len(pitches)} pitches on {len(channels)} channels")
    if events.format == 2:
        raise NoBars("several songs", "a MIDI file of format 2")
    return Standard(_as_drums(events, pitch), _part_name(pitch), True)


def _has_all_tracks(data: bytes) -> bool:
    """Whether a MIDI file, maybe in a RIFF wrapper, has all bytes and all tracks that its headers count."""
    start = data.find(b"MThd") if data[:4] == b"RIFF" else 0
    if data[start : start + 4] != b"MThd" or len(data) < start + 14:
        return False
    length, _, n_tracks = struct.unpack_from(">IHH", data, start + 4)
    place, n_found = start + 8 + length, 0
    while n_found < n_tracks and place + 8 <= len(data):
        kind, length = struct.unpack_from(">4sI", data, place)
        place += 8 + length
        n_found += kind == b"MTrk"
    return bool(n_found == n_tracks and place <= len(data))


def _pitches_of_path(name: str) -> set[int]:
    """The pitches of the parts that a file is named by: of its own name, or of the nearest folder that says one.

    Where none does, an 808 is its kick.
    """
    path = PurePath(name)
    names = (path.stem, *reversed(path.parent.parts))
    said = (pitches_named_by(each) for each in names)
    named = next((pitches for pitches in said if pitches), set())
    if not named and any(_KICK_808.search(each) and not _WHOLE_808.search(each) for each in names):
        return {_KICK}
    return named


def _part_name(pitch: int) -> str:
    return GM12.parts[GM12.part_of_pitch[pitch]].name


def _as_drums(events: MidiEvents, pitch: int) -> bytes:
    """All notes of a file as a MIDI file of one track, on the drum channel and on one pitch.

    Raises:
        NoBars: it is silent for longer than a MIDI file can say.
    """
    tick, velocity = events.notes[:, 1], events.notes[:, 4]
    order = np.lexsort((-velocity, tick))
    first = np.unique(tick[order], return_index=True)[1]
    tick, velocity = tick[order][first], velocity[order][first]
    gate = np.minimum(max(events.ticks_per_beat // 8, 1), np.diff(tick, append=tick[-1] + (1 << 28)))
    end = max(*events.ends, int(tick[-1] + gate[-1]))
    said = [
        (event.tick, _meta(event.kind, event.content[:length]))
        for event in events.others
        if event.status == 0xFF and (length := _LENGTHS.get(event.kind, 0)) and len(event.content) >= length
    ]
    # of what stands on one tick: what holds from here on, notes that end, notes that begin
    at = np.concatenate([np.array([each for each, _ in said], np.int64), tick + gate, tick])
    kind = np.repeat(np.arange(3, dtype=np.uint8), [len(said), len(tick), len(tick)])
    order = np.lexsort((kind, at))
    after = np.diff(at[order], prepend=0)
    first_on = len(said) + len(tick)
    body = bytearray(b"\0" + _meta(0x03, b"Drums"))
    for start in range(0, len(order), _AT_ONCE):
        piece = slice(start, start + _AT_ONCE)
        for place, delta in zip(order[piece].tolist(), after[piece].tolist(), strict=True):
            body += _number(delta)
            if place < len(said):
                body += said[place][1]
            elif place < first_on:
                body += bytes((0x80 | DRUM_CHANNEL, pitch, 0))
            else:
                body += bytes((0x90 | DRUM_CHANNEL, pitch, velocity[place - first_on]))
    body += _number(end - int(at[order[-1]])) + _meta(0x2F, b"")
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, events.ticks_per_beat)
    return header + struct.pack(">4sI", b"MTrk", len(body)) + bytes(body)


_AT_ONCE = 1 << 12
"""Events that are written at a time: as Python's numbers they take many times the memory of an array."""

_LENGTHS = {TEMPO: 3, TIME_SIGNATURE: 4}
"""Meta events that are kept, and how many bytes they have."""


def _meta(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind, len(content))) + content


def _number(value: int) -> bytes:
    """A delta time in as many bytes as it needs.

    Raises:
        NoBars: more than four.
    """
    if value >> 28:
        raise NoBars("too long", f"{value:,} ticks of silence")
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


# --- A pack ------------------------------------------------------------------------------------------


def find_pack(folder: str | os.PathLike[str]) -> tuple[list[str], list[PackFile]]:
    """The MIDI files in a folder and in those below it.

    Returns:
        Their paths below it, sorted, and the folders that cannot be read.

    Raises:
        ValueError: it is a file, or holds no MIDI file.
        OSError: it is not there or cannot be read.
    """
    folder = os.fspath(folder)
    if Path(folder).is_file():
        raise ValueError(f"{folder}: a loop pack is a folder, not a file")
    os.scandir(folder).close()
    names: list[str] = []
    closed: list[PackFile] = []
    # a stack, since folders may lie in each other deeper than functions may
    places = [""]
    while places:
        place = places.pop()
        try:
            with os.scandir(os.path.join(folder, place)) as entries:
                for entry in entries:
                    name = os.path.join(place, entry.name)
                    if _is_folder(entry):
                        if not entry.is_symlink() and entry.name not in UNFINISHED:
                            places.append(name)
                    elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                        names.append(name)
        except OSError as error:
            closed.append(PackFile(place or ".", "", "left out", error.strerror or str(error)))
    if not names:
        raise ValueError(f"{folder}: holds no MIDI file")
    return sorted(names), sorted(closed, key=lambda each: each.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or leads to one; a link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def standardise(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    progress: Callable[[int, int], None] | None = None,
) -> list[PackFile]:
    """Write every file of a loop pack as standard drum MIDI, each under its own path; see ``standard_midi``.

    What cannot be read or is named by no part is left out, and the rest goes on. ``standardise.json`` in the output
    folder says what became of each file, once all are written: until then, and after a kill, it lists none.

    Args:
        folder: the pack.
        out: a folder outside of it, created if missing.
        progress: called with (files done, in all) after every file.

    Returns:
        Every MIDI file of the pack.

    Raises:
        ValueError: no MIDI file in it, or an output folder that lies in it, holds files that no earlier call wrote, or
            is written into by another call.
        OSError: it cannot be read, the output folder cannot be written, or the disk is full.
    """
    names, done = find_pack(folder)
    check_outside(folder, out)
    _check_free(Path(folder), Path(out), names)
    target = make_folder(out)
    with locked_folder(target, "another call is writing here"):
        _write_report(target, [])  # the folder is this call's from now on, also if it is killed
        for place in {(target / name).parent for name in names}:
            sweep_parts(place)
        for number, name in enumerate(names, 1):
            try:
                found = standard_midi(read_midi_bytes(os.path.join(folder, name)), name)
            except (NoBars, OSError) as error:
                done.append(PackFile(name, "", "left out", _reason(error)))
            else:
                path = target / (_name_out(name) if found.is_new else name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, found.data)
                done.append(PackFile(name, found.part, "written" if found.is_new else "kept"))
            if progress is not None:
                progress(number, len(names))
        _write_report(target, done)
    return done


def _write_report(folder: Path, files: Sequence[PackFile]) -> None:
    """What became of each file; nothing as long as they are written."""
    rows = [{"file": each.name, "part": each.part, "result": each.result, "why": each.why} for each in files]
    write_whole(folder / REPORT, json.dumps({"files": rows}, indent=1).encode(), durable=True)


def _name_out(name: str) -> str:
    return name if os.path.splitext(name)[1].lower() in _KEPT_SUFFIXES else f"{name}.mid"


def check_outside(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Raise a ValueError where an output folder lies in a pack, or is the pack."""
    pack, target = Path(folder).resolve(), Path(out).resolve()
    if target == pack or pack in target.parents:
        raise ValueError(f"{out} lies in the folder that is read: choose another --out")


def _check_free(folder: Path, out: Path, names: list[str]) -> None:
    """Raise a ValueError where files of the pack, or of somebody else, would be written over."""
    pack, target = folder.resolve(), out.resolve()
    paths = [target / each for name in names for each in {name, _name_out(name)}]
    of_pack = {pack / name for name in names}
    theirs = [path for path in paths if path in of_pack or (path.exists() and not (target / REPORT).exists())]
    if theirs:
        raise ValueError(f"{out} holds {theirs[0].name}, but no {REPORT} of an earlier call: choose another --out")


def _reason(error: NoBars | OSError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


@dataclass(frozen=True)
class Heard:
    """What a file of a pack says, on no grid yet.

    Attributes:
        name: its path below the folder of the pack.
        onsets: of its part.
        kit: what the parts are.
    """

    name: str
    onsets: Onsets
    kit: Kit

    @cached_property
    def own_grid(self) -> int:
        """The grid that most of its bars are on, 0 for none."""
        found = quantise_by_grid(self.onsets, self.kit)
        by_grid = {steps: len(of.bars) for steps, of in found.by_grid.items()} | {0: found.n_off_grid}
        return max(by_grid, key=lambda steps: by_grid[steps])

    @property
    def is_on_beats(self) -> bool:
        """Whether all onsets are on quarter notes."""
        beat = self.onsets.beat
        return bool(np.all(np.abs(beat - np.round(beat)) <= TOLERANCE))

    def on_grid(self, steps: int, max_bars: int) -> Pattern:
        """The pattern that it plays on a grid.

        Raises:
            NoBars: it plays several parts, or nothing on this grid, or has more bars.
        """
        performance, playback = onsets_to_performance(self.onsets, self.kit, steps, whole=True, max_bars=max_bars)
        playing = np.flatnonzero(performance.bars.any((0, 1)))
        if len(playing) > 1:
            raise NoBars("several parts", f"it plays {' and '.join(self.kit.names[part] for part in playing)}")
        n_lost = len(np.unique(self.onsets.beat)) - int(performance.bars.sum())
        return Pattern(self.name, performance, playback.bpm, n_lost, self.own_grid, self.is_on_beats)


def read_pack(folder: str | os.PathLike[str], kit: Kit = GM12) -> list[Heard | PackFile]:
    """What the files of a loop pack say, each file one part, standardised or not; and those that cannot be read.

    Args:
        folder: the pack.
        kit: what the parts are.

    Raises:
        ValueError: no MIDI file in it.
        OSError: it cannot be read.
    """
    names, closed = find_pack(folder)
    found: list[Heard | PackFile] = [*closed]
    for name in names:
        try:
            data = standard_midi(read_midi_bytes(os.path.join(folder, name)), name).data
            found.append(Heard(name, parse_midi(data, os.path.basename(name)), kit))
        except (NoBars, OSError) as error:
            found.append(PackFile(name, "", "left out", _reason(error)))
    return found


def patterns_on_grid(
    pack: Sequence[Heard | PackFile], steps: int, max_bars: int = 256
) -> tuple[list[Pattern], list[PackFile]]:
    """What the files of a loop pack play on a grid.

    Args:
        pack: as ``read_pack`` gives it.
        steps: the grid. What is played beside it keeps its offset.
        max_bars: of a pattern.

    Returns:
        The patterns, and the files that are none: with several parts, on no grid, or that cannot be read.
    """
    patterns: list[Pattern] = []
    left_out: list[PackFile] = []
    for each in pack:
        if isinstance(each, PackFile):
            left_out.append(each)
            continue
        try:
            patterns.append(each.on_grid(steps, max_bars))
        except NoBars as error:
            left_out.append(PackFile(each.name, "", "left out", _reason(error)))
    return patterns, left_out


def grid_of_most(patterns: Sequence[Pattern]) -> int:
    """12 where more patterns are on triplets (12 or 24 steps) than on 16 or 32, otherwise 16.

    Patterns on beats alone, and those on no grid, fit one as well as the other: they are not counted.
    """
    own = [pattern.own_grid for pattern in patterns if pattern.own_grid and not pattern.is_on_beats]
    n_triple = sum(steps % 3 == 0 for steps in own)
    return 12 if 2 * n_triple > len(own) else 16
