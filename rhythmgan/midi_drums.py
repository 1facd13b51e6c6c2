"""Which notes of a MIDI file are drums: by channel, by the names of its tracks, or by the name of the file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rhythmgan.grid import NoBars
from rhythmgan.kit import GM9, GM12, KITS
from rhythmgan.midi_events import INSTRUMENT, TEXT, Event, MidiEvents

DRUM_CHANNEL = 9
"""MIDI's channel 10, counted from 0."""

_TRACK, _TICK, _CHANNEL, _PITCH, _VELOCITY = range(5)
"""Columns of ``MidiEvents.notes``."""


def drum_notes(events: MidiEvents, file_name: str) -> np.ndarray:
    """The rows of ``events.notes`` that are drums, with other pitches where a name says which part they are.

    In this order:

    1. all of a file that plays one pitch only: tracks that are named after several parts ("Kick", "Snare"), or else all
       of it where the file is named after one part ("Kick_01");
    2. the notes on drum channels: channel 10, those that XG, GS or GM2 make one, without those that they make melodic;
       but not a click of a few pitches where other tracks are named like drums;
    3. tracks that are named like drums, or after one part ("Kick", "Snare"), on channels without a pitched program; the
       number of a kit is none where the pitches are those of drums;
    4. all of a file that is named like drums and plays pitches of drums, on one channel.

    Args:
        events: at least one note.
        file_name: without its ending.

    Raises:
        NoBars: none of these.
    """
    notes = events.notes
    if (notes[:, _PITCH] == notes[0, _PITCH]).all():
        if (parts := _Names(events).parts(notes, at_least=2)) is not None:
            return parts
        if (pitch := _pitch_named_by(file_name)) is not None:
            return _with_pitch(notes, pitch)
    on_drums = _on_drum_channels(events)
    drums = notes if on_drums.all() else notes[on_drums]
    sounds = np.flatnonzero(np.bincount(drums[:, _PITCH])).tolist()
    if len(sounds) > _MAX_CLICK_SOUNDS:
        return drums
    names = _Names(events)
    if len(sounds) == 1 and (parts := names.parts(drums, at_least=2)) is not None:
        return parts
    outside_kit = len(sounds) <= 2 and all(GM9.part_of_pitch[sound] < 0 for sound in sounds)
    if not sounds or outside_kit or names.say_click(drums):
        named = names.drums(drums)
        if named is not None:
            return named
    if len(drums):
        return drums
    words = _folded(file_name)
    if (_says_drums(words) or _may_say_drums([words], notes)) and _all_plausible(events):
        return notes
    raise NoBars("no drums", "nothing on channel 10, no track or file named like drums")


# -- channels ------------------------------------------------------------------------------------


class _Change(NamedTuple):
    """What a message makes of one channel, or of all where that is None."""

    tick: int
    channel: int | None
    kind: str
    value: int


_GM_ON, _GM2_ON = b"\x09\x01", b"\x09\x03"
_XG_ON = b"\x4c\x00\x00\x7e\x00"
_GS_RESET = b"\x42\x12\x40\x00\x7f\x00"


def _exclusive(event: Event) -> _Change | None:
    """A system exclusive message that switches a standard on, or makes a part rhythm or melody.

    Sources: General MIDI 1 and 2; Roland, SC-88 (address 40 1x 15, "use for rhythm part"); Yamaha, XG (08 nn 07, "part
    mode").
    """
    content = event.content
    if content[:1] == b"\x7e" and content[2:4] in (_GM_ON, _GM2_ON):
        return _Change(event.tick, None, "gm", 0)
    if content[:1] == b"\x43":
        if content[2:7] == _XG_ON:
            return _Change(event.tick, None, "xg", 0)
        if content[2:4] == b"\x4c\x08" and len(content) > 6 and content[4] < 16 and content[5] == 0x07:
            return _Change(event.tick, content[4], "rhythm", content[6])
    if content[:1] == b"\x41":
        if content[2:8] == _GS_RESET:
            return _Change(event.tick, None, "gs", 0)
        if content[2:5] == b"\x42\x12\x40" and len(content) > 7 and content[5] >> 4 == 1 and content[6] == 0x15:
            part = content[5] & 0x0F  # part 10 is block 0, and 1 to 9 come before it
            channel = DRUM_CHANNEL if part == 0 else part - (part <= DRUM_CHANNEL)
            return _Change(event.tick, channel, "rhythm", content[7])
    return None


def _where_they_sound(changes: list[_Change], notes: np.ndarray) -> list[_Change]:
    """The changes, each on the channel before where its own is silent and that one plays drums.

    GS counts blocks B … F as parts 12 … 16; some writers take them for parts 11 … 15.
    """
    beyond = {each.channel for each in changes if each.kind == "rhythm" and (each.channel or 0) > DRUM_CHANNEL + 1}
    if not beyond:
        return changes
    sounding = frozenset(np.unique(notes[:, _CHANNEL]).tolist())
    moved = {
        channel
        for channel in beyond - sounding
        if channel is not None and _plausible(notes[notes[:, _CHANNEL] == channel - 1])
    }
    return [
        each._replace(channel=each.channel - 1)
        if each.kind == "rhythm" and each.channel is not None and each.channel in moved
        else each
        for each in changes
    ]


_XG_DRUMS, _GM2_DRUMS, _GM2_MELODY = 127, 120, 121
"""Bank selects (MSB) that make a channel play drums or a melody. XG's 126, a kit of sound effects, does neither.
In GS 127 is the sounds of the MT-32."""


def _on_drum_channels(events: MidiEvents) -> np.ndarray:
    """(notes,) bool: each note by what its channel is when it sounds."""
    channel = events.notes[:, _CHANNEL]
    on_drums = channel == DRUM_CHANNEL
    changes = [change for event in events.others if event.status == 0xF0 and (change := _exclusive(event))]
    banks = events.banks[events.banks[:, 3] >= _GM2_DRUMS]
    if not len(banks) and not any(change.kind == "rhythm" for change in changes):
        return on_drums
    kinds = {change.kind for change in changes}
    if "gs" not in kinds or "xg" in kinds:
        selects = events.banks.tolist()
        changes += [_Change(tick, each, "bank", value) for _, tick, each, value in selects]
    changes = _where_they_sound(changes, events.notes)
    changes.sort(key=lambda change: change.tick)
    for each in range(16):
        mine = [change for change in changes if change.channel in (each, None)]
        if all(change.channel is None for change in mine):
            continue
        rows = np.flatnonzero(channel == each)
        if each != DRUM_CHANNEL and "xg" not in kinds and not _plausible(events.notes[rows]):
            # without XG there are files that mean other sounds by bank 127
            mine = [change for change in mine if change.value != _XG_DRUMS]
        ticks, is_drums = [], []
        bank, rhythm = 0, each == DRUM_CHANNEL
        for change in mine:
            if change.channel is None:
                bank, rhythm = 0, each == DRUM_CHANNEL
            elif change.kind == "bank":
                bank = change.value
            else:
                rhythm = change.value > 0
            ticks.append(change.tick)
            is_drums.append(bank in (_XG_DRUMS, _GM2_DRUMS) or (rhythm and bank != _GM2_MELODY))
        after = np.searchsorted(ticks, events.notes[rows, _TICK], side="right")
        on_drums[rows] = np.array([each == DRUM_CHANNEL, *is_drums])[after]
    return on_drums


def _plausible(notes: np.ndarray, share: float = 0.5) -> bool:
    """Whether notes of unknown purpose may be drums: a share on pitches of GM9, some on kick, snare or hats."""
    part = GM9.part_of_pitch[notes[:, _PITCH]]
    return len(part) > 0 and (part >= 0).mean() >= share and bool(((part >= 0) & (part < 4)).any())


def _all_plausible(events: MidiEvents) -> bool:
    """Whether all notes of a file may be drums: those of each channel, none of which has a pitched program."""
    channels = np.unique(events.notes[:, _CHANNEL]).tolist()
    share = 0.5 if len(channels) == 1 else 0.9
    return all(
        _plausible(events.notes[events.notes[:, _CHANNEL] == each], share) and not _pitched(events, each)
        for each in channels
    )


_KIT_PROGRAMS = frozenset((0, 8, 16, 24, 25, 32, 40, 48, 56))
"""Programs, from 0, that are kits on a drum channel of GS and GM2."""

_BY_KIND = {pitch: kind for kind, pitches in enumerate(((35, 36), (38, 40), (42, 44, 46))) for pitch in pitches}
"""Pitches of kick, snare and hats → which of the three they are."""


def _pitched(events: MidiEvents, channel: int) -> bool:
    """Whether a channel is given a program that is not the first, which is also what is written for none.

    The number of a kit is no such program where hats and a kick or a snare are played, and nothing but drums.
    """
    programs = {event.content[0] for event in events.others if event.status == 0xC0 | channel} - {0}
    if not programs or not programs <= _KIT_PROGRAMS:
        return bool(programs)
    return not _as_a_kit(events.notes[events.notes[:, _CHANNEL] == channel])


def _as_a_kit(notes: np.ndarray) -> bool:
    """Whether all pitches are percussion of General MIDI, hats and a kick or a snare among them."""
    pitches = set(np.flatnonzero(np.bincount(notes[:, _PITCH])).tolist())
    kinds = {_BY_KIND[pitch] for pitch in pitches if pitch in _BY_KIND}
    return bool(pitches) and min(pitches) >= 35 and max(pitches) <= 81 and 2 in kinds and len(kinds) > 1


# -- names ---------------------------------------------------------------------------------------


def _folded(name: str) -> str:
    """A name in lower-case words, without accents, digits and signs: "DrumTrack_1" is "drum track"."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    name = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return re.sub(r"[\W_\d]+", " ", name).casefold().strip()


_DRUM_NAMES = re.compile(
    r"\b(?:kits?|drums?|dr(?:um|m|u)z|drms?|drum(?:sets?|kits?|loops?|tracks?|beats?|lines?|machines?|parts?|patterns?|grooves?)"
    r"|percs?|percus|per[ck]uss?[aeiouj]\w*|batter[iy]\w{0,3}|bateri[aj]\w{0,2}|schlagzeuge?|schlagwerk|slagwerk|slagverk"
    r"|drumstel|trommeln?|trommer|trummor|trumset|rummut|dobok|bubny|bici|tambor(?:es)?|davul"
    r"|барабан\w*|ударн\w*|бубњеви|ντραμσ|τυμπανα)\b"
)
"""Drums in the languages of Europe, as ``_folded`` leaves them."""

_DRUM_SIGNS = re.compile(
    "|".join(map(_folded, ("ドラム", "パーカッション", "打楽器", "打击", "打擊", "鼓", "드럼", "타악기")))
)
"""Drums in writing without spaces between words."""

_MELODIC_NAMES = re.compile(
    r"steel|taiko|melodic|reverse|wood ?blocks?|percussive|organ|piano|guitar|strings?\b|melody|vocal|voice|brass"
    r"|\bsax|flute|trumpet|choir|(?<!and )(?<!n )bass(?! ?drum)|\b(?:log|hang|tongue|slit) ?drum"
    r"|\bhand ?pan|\bdrum synth|\b(?:leads?|chords?|keys|arp\w*|tuned|pitched|chromatic|mallets?)\b"
    r"|marimba|vibraphon|xylophon|glockenspiel|kalimba"
)
"""Other instruments, and the pitched ones of General MIDI that are called drums or the like."""

_GENRE = re.compile(r"\bdrums? ?(?:(?:n|and|und|y|e|et) ?)?bass\b")
"""Drums and bass: a genre, and a track of either."""

_PARTS = [(part.pitch, part.file_names) for part in GM12.parts] + [
    (36, "bombos?|bumbos?|gran ?cassa|cassa|grosses? caisses?|gro(?:ss|ß)e trommel|бочка"),
    (38, "cajas?|caixas?|rullant[ei]|caisses? claires?|snare ?drums?|kleine trommel"),
    (42, "charles|charleston|chimba[lu]s?|contratempos?"),
    (49, "becken|piatt[io]|platillos?|pratos?|cymbales?"),
]
"""Pitches of parts, and what they are called: by the kit, and in Spanish, Portuguese, Italian, French and German."""

_PART_NAMES = [(pitch, re.compile(rf"\b(?:{names})\b")) for pitch, names in _PARTS]

_MAX_CLICK_SOUNDS = 4
"""Pitches of a click, at most."""

_MAX_LAYERS = 4
"""Pitches of a track that is one part, none of which is that part: more are a melody."""

_CLICKS = (33, 34, 37, 75, 76, 77)
"""Metronome, side stick, claves and wood blocks: what sequencers count in with."""

_CLICK_NAMES = re.compile(r"\b(?:cli(?:ck|c)s?|klick|metronom\w*|count ?in|метроном)\b|クリック|メトロノーム")

_ENCODINGS = ("utf-8", "latin-1", "mac-roman", "cp932", "cp1251", "cp949", "gb18030")
"""What names are written in; a file does not say."""

_MAX_NAMES, _MAX_NAME, _MAX_OF_NAMES = 1 << 11, 250, 1 << 15
"""Names of a file that are looked at, bytes of each, and of all of them: a byte of a name takes hundreds of times as
long as one of a note. Real files have up to 30 names in a track, of up to 115 bytes, and 1,339 bytes altogether."""


def _readings(name: bytes) -> Iterator[str]:
    """A name in words, by each way of writing that its bytes may be."""
    name = name[:_MAX_NAME]
    if encoding := _utf_16(name):
        yield _folded(name.decode(encoding, "ignore"))
        return
    if name.isascii():
        yield _folded(name.decode("ascii"))
        return
    for encoding in _ENCODINGS:
        try:
            yield _folded(name.decode(encoding))
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":  # hardly anything else is valid UTF-8 by chance
            return


def _utf_16(name: bytes) -> str | None:
    """The encoding of a name of two bytes a letter: it has a mark of their order, or every second byte is 0."""
    if name[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in name and len(name) > 3:
        if not any(name[1::2]):
            return "utf-16-le"
        if not any(name[::2]):
            return "utf-16-be"
    return None


def _says_drums(words: str) -> bool:
    """Whether a folded name says drums, and no other instrument."""
    return bool(_DRUM_NAMES.search(words) or _DRUM_SIGNS.search(words)) and not _MELODIC_NAMES.search(words)


def _may_say_drums(names: Sequence[str], notes: np.ndarray) -> bool:
    """Whether a folded name says drums of notes that may be: it is a genre's, or says several parts ("Kick+Snare").

    The notes are looked at once, however many names there are.
    """
    if any(map(_says_a_genre, names)) and _as_a_kit(notes):
        return True
    return any(map(_says_several_parts, names)) and _plausible(notes, 0.9)


def _says_a_genre(words: str) -> bool:
    """Whether a folded name says drums if drums and bass are drums."""
    return bool(_GENRE.search(words)) and _says_drums(_GENRE.sub("drums", words))


def _says_several_parts(words: str) -> bool:
    """Whether a folded name says several parts, and no genre and no other instrument."""
    if _GENRE.search(words) or _MELODIC_NAMES.search(words):
        return False
    return len(_parts_named_by(words)) > 1


def _parts_named_by(words: str) -> set[int]:
    """The pitches of the parts that a folded name says."""
    words = re.sub(r"\bride cymbals?\b", "ride", words)
    return {pitch for pitch, pattern in _PART_NAMES if pattern.search(words)}


def pitches_named_by(name: str) -> set[int]:
    """The pitches of the parts that a name says: one of "Kick_01", two of "Kick and Snare", none of "Loop_01"."""
    pitches = _parts_named_by(_folded(name))
    if not pitches:
        found = ((kit, kit.part_named_by(name)) for kit in KITS.values())
        pitches = set([int(kit.pitches[part]) for kit, part in found if part is not None][:1])
    return pitches


def _pitch_named_by(name: str) -> int | None:
    """The pitch of the part that a name says; None where it says none, or several."""
    pitches = pitches_named_by(name)
    return pitches.pop() if len(pitches) == 1 else None


_FAMILIES = {part: family for family, parts in enumerate(((2, 3), (4, 5, 6), (7, 8))) for part in parts}
"""Parts of ``GM9`` that are played together: hats, toms and cymbals."""


def _family(pitch: int) -> int:
    """A number for the family that a pitch belongs to, or for the part where it has none; -1 outside of ``GM12``."""
    part = int(GM12.part_of_pitch[pitch])
    return 100 + _FAMILIES[part] if part in _FAMILIES else part


def _with_pitch(notes: np.ndarray, pitch: int) -> np.ndarray:
    notes = notes.copy()
    notes[:, _PITCH] = pitch
    return notes


class _Names:
    """The tracks of a file by what their names say."""

    def __init__(self, events: MidiEvents) -> None:
        self._events = events
        names: dict[int, list[bytes]] = {}
        n_names = n_bytes = 0
        for kind in (TEXT, INSTRUMENT):
            for event in events.others:
                if event.status == 0xFF and event.kind == kind and (kind == TEXT or event.track not in names):
                    n_names += 1
                    n_bytes += min(len(event.content), _MAX_NAME)
                    if n_names <= _MAX_NAMES and n_bytes <= _MAX_OF_NAMES:
                        names.setdefault(event.track, []).append(event.content)
        self._names = {track: [each for name in found for each in _readings(name)] for track, found in names.items()}

    def say_click(self, drums: np.ndarray) -> bool:
        """Whether these notes sound as a click does, or are in tracks that are called so."""
        if np.isin(drums[:, _PITCH], _CLICKS).all():
            return True
        tracks = np.unique(drums[:, _TRACK]).tolist()
        return all(any(map(_CLICK_NAMES.search, self._names.get(track, ()))) for track in tracks)

    def drums(self, on_channels: np.ndarray) -> np.ndarray | None:
        """The notes of tracks whose names say that they are drums.

        Args:
            on_channels: notes on drum channels, which may be a click: tracks on other channels are looked at.
        """
        notes = self._events.notes
        notes = notes[~np.isin(notes[:, _CHANNEL], on_channels[:, _CHANNEL])]
        melodic = [each for each in np.unique(notes[:, _CHANNEL]).tolist() if _pitched(self._events, each)]
        notes = notes[~np.isin(notes[:, _CHANNEL], [*melodic, DRUM_CHANNEL])]
        tracks, starts = np.unique(notes[:, _TRACK], return_index=True)
        kits = [
            track
            for track, mine in zip(tracks.tolist(), np.split(notes, starts[1:]), strict=False)
            if any(map(_says_drums, names := self._names.get(track, ()))) or _may_say_drums(names, mine)
        ]
        of_kits = notes[np.isin(notes[:, _TRACK], kits)]
        others = notes[~np.isin(notes[:, _TRACK], kits)]
        of_parts = self.parts(others, at_least=1 if len(of_kits) else 2)
        if of_parts is None:
            return of_kits if len(of_kits) else None
        found = np.concatenate([of_kits, of_parts])
        return found[np.argsort(found[:, _TRACK], kind="stable")]

    def parts(self, notes: np.ndarray, at_least: int) -> np.ndarray | None:
        """The notes of tracks that are named after one part.

        Of one pitch, they get the pitch of that part. Of several, they keep those that are drums where some of them
        are the part or its like (hats, toms, cymbals). Others are the part where they are few, and other tracks are
        parts too.

        Args:
            notes: in the order of tracks.
            at_least: how many parts there must be.
        """
        found, others = {}, []
        tracks, starts = np.unique(notes[:, _TRACK], return_index=True)
        for track, mine in zip(tracks.tolist(), np.split(notes, starts[1:]), strict=False):
            named = (pitch for name in self._names.get(track, ()) if (pitch := _pitch_named_by(name)) is not None)
            pitch = next(named, None)
            if pitch is None:
                continue
            played = np.unique(mine[:, _PITCH]).tolist()
            if len(played) == 1:
                same_part = GM9.part_of_pitch[played[0]] == GM9.part_of_pitch[pitch] >= 0
                found[pitch, track] = mine if same_part else _with_pitch(mine, pitch)
            elif any(_family(each) == _family(pitch) for each in played):
                outside = GM12.part_of_pitch[mine[:, _PITCH]] < 0
                mine = mine.copy()
                mine[outside, _PITCH] = pitch
                found[pitch, track] = mine
            elif len(played) <= _MAX_LAYERS:
                others.append(_with_pitch(mine, pitch))
        if len({pitch for pitch, _ in found}) < at_least:
            return None
        rows = np.concatenate([*found.values(), *others])
        return rows[np.argsort(rows[:, _TRACK], kind="stable")]
