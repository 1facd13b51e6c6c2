"""Which notes of a MIDI file are drums."""

import struct

import pytest

from rhythmgan.grid import NoBars
from rhythmgan.midi_reader import parse_midi

XG_ON = b"\x43\x10\x4c\x00\x00\x7e\x00\xf7"
GS_RESET = b"\x41\x10\x42\x12\x40\x00\x7f\x00\x41\xf7"
GM2_ON = b"\x7e\x7f\x09\x03\xf7"
GM_ON = b"\x7e\x7f\x09\x01\xf7"


def _track(*events, name=None):
    """Events are (tick, bytes); they end with their track."""
    track, now = b"", 0
    if name is not None:
        name = name if isinstance(name, bytes) else name.encode()
        track += b"\x00\xff\x03" + bytes([len(name)]) + name
    for tick, event in sorted(events, key=lambda event: event[0]):
        delta = tick - now
        track += bytes([delta >> 7 | 0x80, delta & 0x7F]) + event
        now = tick
    return track + b"\x00\xff\x2f\x00"


def _file(*tracks, format_=1):
    header = b"MThd" + struct.pack(">IHHH", 6, format_, len(tracks), 96)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def _on(tick, pitch, channel=0):
    return tick, bytes([0x90 | channel, pitch, 90])


def _beat(channel=0, at=0, pitches=(36, 42, 38, 42)):
    return [_on(at + 48 * i, pitch, channel) for i, pitch in enumerate(pitches)]


def _bank(value, channel, tick=0):
    return tick, bytes([0xB0 | channel, 0, value])


def _program(value, channel=0, tick=0):
    return tick, bytes([0xC0 | channel, value])


def _exclusive(content, tick=0):
    return tick, b"\xf0" + bytes([len(content)]) + content


def _drums(*tracks, name="song.mid", format_=1):
    """(tick, pitch) of the drums; None where there are none."""
    try:
        onsets = parse_midi(_file(*tracks, format_=format_), name)
    except NoBars as why:
        if why.reason != "no drums":
            raise
        return None
    return list(zip((onsets.beat * 96).round().astype(int).tolist(), onsets.pitch.tolist(), strict=True))


BEAT = [(0, 36), (48, 42), (96, 38), (144, 42)]
MELODY = (48, 50, 52, 53, 55)

# -- channels ------------------------------------------------------------------------------------


def test_all_of_channel_ten_in_whatever_track():
    found = _drums(
        _track(*_beat(9), name="Drums"), _track(_on(10, 54, 9), name="Perc"), _track(_on(20, 60, 0), _on(30, 49, 9))
    )
    assert found == [(0, 36), (10, 54), (30, 49), *BEAT[1:]]


@pytest.mark.parametrize("channel", [0, 8, 10, 15])
def test_xg_drums_on_any_channel(channel):
    setup = [_exclusive(XG_ON), _bank(127, channel), (0, bytes([0xB0 | channel, 32, 0])), _program(0, channel)]
    assert _drums(_track(*setup, *_beat(channel), *_beat(3, pitches=MELODY))) == BEAT
    # the set-up may be in another track
    assert _drums(_track(*setup), _track(*_beat(channel))) == BEAT
    # together with channel 10
    assert _drums(_track(*setup), _track(*_beat(channel)), _track(_on(10, 49, 9))) == [BEAT[0], (10, 49), *BEAT[1:]]


def test_the_bank_is_that_of_the_moment():
    events = [
        *_beat(10),
        _bank(127, 10, 200),
        _program(0, 10, 200),
        *_beat(10, 200),
        _bank(0, 10, 400),
        *_beat(10, 400),
    ]
    assert _drums(_track(_exclusive(XG_ON), *events)) == [(200 + tick, pitch) for tick, pitch in BEAT]


def test_bank_127_without_xg_says_drums_only_of_what_may_be_drums():
    """Files for the MT-32 and the SC-55 use it for its sounds."""
    assert _drums(_track(_bank(127, 10), _program(0, 10), *_beat(10))) == BEAT
    assert _drums(_track(_bank(127, 10), _program(0, 10), *_beat(10, pitches=(60, 62, 64, 65)))) is None
    assert _drums(_track(_exclusive(GS_RESET), _bank(127, 10), _program(0, 10), *_beat(10))) is None


def test_xg_sound_effects_are_no_drums():
    assert _drums(_track(_exclusive(XG_ON), _bank(126, 10), _program(0, 10), *_beat(10))) is None
    assert _drums(_track(_exclusive(XG_ON), _bank(64, 10), _program(0, 10), *_beat(10))) is None


@pytest.mark.parametrize(("mode", "drums"), [(0, False), (1, True), (2, True), (3, True)])
def test_the_part_mode_of_xg(mode, drums):
    setup = _exclusive(XG_ON), _exclusive(bytes([0x43, 0x10, 0x4C, 0x08, 0x0A, 0x07, mode, 0xF7]))
    assert _drums(_track(*setup, *_beat(10))) == (BEAT if drums else None)


@pytest.mark.parametrize(("block", "channel"), [(0x1, 0), (0x9, 8), (0xA, 10), (0xB, 11), (0xF, 15)])
def test_rhythm_parts_of_gs(block, channel):
    def setup(value):
        return _exclusive(bytes([0x41, 0x10, 0x42, 0x12, 0x40, 0x10 | block, 0x15, value, 0x00, 0xF7]))

    for value in (1, 2):
        assert _drums(_track(_exclusive(GS_RESET), setup(value), *_beat(channel))) == BEAT
    assert _drums(_track(_exclusive(GS_RESET), setup(2), setup(0), *_beat(channel))) is None
    # a reset makes it melodic again
    assert _drums(_track(setup(2), _exclusive(GS_RESET, 10), *_beat(channel, 20))) is None


def test_block_b_of_gs_where_only_channel_eleven_sounds():
    """Some writers take the blocks after the ninth for parts 10, 11 and so on."""
    setup = _exclusive(GS_RESET), _exclusive(b"\x41\x10\x42\x12\x40\x1b\x15\x02\x0e\xf7")
    assert _drums(_track(*setup, *_beat(10))) == BEAT
    assert _drums(_track(*setup, *_beat(10), *_beat(11, 10))) == [(10 + tick, pitch) for tick, pitch in BEAT]
    assert _drums(_track(*setup, *_beat(10, pitches=(70, 72, 74, 76)))) is None


def test_channel_ten_may_be_made_melodic():
    assert _drums(_track(_exclusive(GM2_ON), _bank(121, 9), _program(0, 9, 1), *_beat(9, 2))) is None
    assert _drums(_track(_exclusive(b"\x41\x10\x42\x12\x40\x10\x15\x00\x1b\xf7"), *_beat(9))) is None
    assert _drums(_track(_exclusive(b"\x43\x10\x4c\x08\x09\x07\x00\xf7"), *_beat(9))) is None
    # and drums again
    again = [_bank(121, 9), _bank(120, 9, 100), *_beat(9, 100)]
    assert _drums(_track(_exclusive(GM2_ON), *again)) == [(100 + tick, pitch) for tick, pitch in BEAT]
    # banks of 0 are of everybody, and mean nothing
    assert _drums(_track(_exclusive(GM_ON), _bank(0, 9), _program(0, 9), *_beat(9))) == BEAT


def test_gm2_drums_on_channel_eleven():
    assert _drums(_track(_exclusive(GM2_ON), _bank(120, 10), _program(0, 10, 1), *_beat(10, 2))) == [
        (2 + tick, pitch) for tick, pitch in BEAT
    ]


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Drumset",
            "drum set",
            "Synth Drums",
            "Drum Loop",
            "DrumTrack",
            "DRUMKIT",
            "drum_machine",
            "E-Drums 2",
            "Drum & Bass drums",
        ),
        *("Percussions", "Latin Percussion", "perc", "Kit", "Bass Drum and Drums"),
        *("Batería", "BATERIA", "Percusión", "Percussão", "Batterie", "Batteria", "Batterij", "Percussie", "Perkusja"),
        *("Schlagzeug", "Trommeln", "Барабаны", "ударные", "Ударные инструменты", "Rummut", "Trummor", "ντραμς"),
        *("ドラム", "ドラムス", "ﾄﾞﾗﾑ", "Ｄｒｕｍｓ", "パーカッション", "鼓", "架子鼓", "드럼", "드럼 1"),
    ],
)
def test_tracks_named_like_drums(name):
    assert _drums(_track(*_beat(2), name=name), _track(*_beat(3, pitches=MELODY), name="Piano")) == BEAT
    # a program of 0 is what is written where there is none
    assert _drums(_track(_program(0, 2), *_beat(2), name=name)) == BEAT


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Batería", "latin-1"),
        ("Percussão", "latin-1"),
        ("ドラム", "cp932"),
        ("ﾄﾞﾗﾑ", "cp932"),
        ("Барабаны", "cp1251"),
        ("드럼", "cp949"),
        ("架子鼓", "gb18030"),
    ],
)
def test_names_in_whatever_encoding(name, encoding):
    assert _drums(_track(*_beat(2), name=name.encode(encoding))) == BEAT
    other = {"Batería": "Guitarra eléctrica", "Percussão": "Violão"}.get(
        name, "ピアノ" if "cp9" in encoding else "Гитара"
    )
    assert _drums(_track(*_beat(2), name=other.encode("utf-8"))) is None


@pytest.mark.parametrize(
    ("name", "program"),
    [
        *(("Steel Drums", 114), ("Taiko Drum", 116), ("Melodic Tom Drum", 117), ("Synth Drum", 118)),
        *(("Reverse Cymbal drum", 119), ("Woodblock percussion", 115), ("Percussive Organ", 17)),
        *(("Drum Song bass", 34), ("Drum Song", 56), ("Percussion", 12), ("Steel Drums", 0), ("Drum Song bass", None)),
        *(("Little Drummer Boy", 0), ("Conundrum", None), ("Kitty", None), ("Drumstick", None), ("Schlagzeuger", None)),
    ],
)
def test_melodies_that_are_named_a_little_like_drums(name, program):
    setup = [] if program is None else [_program(program)]
    assert _drums(_track(*setup, *_beat(0, pitches=(36, 38, 40, 41)), name=name)) is None
    # beside real drums they change nothing
    assert _drums(_track(*setup, *_beat(0, 7), name=name), _track(*_beat(9))) == BEAT


def test_of_a_named_track_the_channels_without_a_pitched_program():
    assert _drums(_track(*_beat(1), _program(33, 2), *_beat(2, 7), name="Drums"), format_=0) == BEAT


def test_the_name_of_an_instrument_counts_where_the_track_has_none():
    instrument = (0, b"\xff\x04\x04Drum")
    assert _drums(_track(instrument, *_beat(2))) == BEAT
    assert _drums(_track(instrument, *_beat(2), name="Piano")) is None


@pytest.mark.parametrize("name", ["drums.mid", "Funk Drums.mid", "drum_loop_90bpm.MIDI", "Batería 3.mid", "DrumTrack"])
def test_a_loop_in_a_file_named_like_drums(name):
    assert _drums(_track(*_beat(0)), name=name) == BEAT
    assert _drums(_track(*_beat(0), name="Track 1"), name=name) == BEAT
    # pitches that are no drums, or a program that is none
    assert _drums(_track(*_beat(0, pitches=(60, 62, 64, 65))), name=name) is None
    assert _drums(_track(_program(33), *_beat(0)), name=name) is None
    # not where another channel plays a melody
    assert _drums(_track(*_beat(0)), _track(*_beat(1, pitches=(60, 62, 64, 65))), name=name) is None


@pytest.mark.parametrize("name", ["song.mid", "Steel Drums.mid", "Drum Song bass.mid", "conundrum.mid"])
def test_a_loop_in_a_file_of_another_name(name):
    assert _drums(_track(*_beat(0)), name=name) is None


@pytest.mark.parametrize("channel", [0, 9])
@pytest.mark.parametrize("pitch", [60, 36, 38, 0, 127])
@pytest.mark.parametrize("name", ["drums.mid", "song.mid"])
def test_tracks_of_one_part_each_that_play_one_pitch(name, channel, pitch):
    tracks = [
        _track(_on(0, pitch, channel), _on(96, pitch, channel), name="Kick"),
        _track(_on(48, pitch, channel), name="Snare 1"),
        _track(_on(24, pitch, channel), name="Hi-Hat"),
        _track(_on(72, pitch, channel), name="OpenHat"),
    ]
    assert _drums(*tracks, name=name) == [(0, 36), (24, 42), (48, 38), (72, 46), (96, 36)]


def test_tracks_of_one_part_each_beside_other_tracks():
    kick, snare, clap = _on(0, 24), _on(48, 40, 1), _on(72, 60, 2)
    piano = _track(*_beat(3, pitches=MELODY), name="Piano")
    assert _drums(_track(kick, name="Kick"), _track(snare, name="Snare"), piano) == [(0, 36), (48, 40)]
    assert _drums(_track(kick, name="Kick"), piano) is None
    assert _drums(_track(*_beat(0), name="Drums"), _track(clap, name="Clap"), piano) == [*BEAT[:2], (72, 38), *BEAT[2:]]
    # a part's name on a melody
    assert (
        _drums(_track(*_beat(0, pitches=MELODY), name="Kick"), _track(*_beat(1, pitches=MELODY), name="Snare")) is None
    )


@pytest.mark.parametrize("clicks", [(33,), (34, 33), (37,), (75,), (76, 77), (60, 61)])
def test_a_click_on_channel_ten_beside_drums_elsewhere(clicks):
    click = _track(*(_on(96 * i, pitch, 9) for i, pitch in enumerate(clicks)), name="Track 2")
    assert _drums(_track(*_beat(0), name="Drums"), click) == BEAT
    # without drums elsewhere, or beside a melody, it is all there is
    alone = [(96 * i, pitch) for i, pitch in enumerate(clicks)]
    assert _drums(click) == alone
    assert _drums(_track(*_beat(0, pitches=MELODY), name="Steel Drums"), click) == alone


def test_a_track_named_click_on_channel_ten():
    click = [_on(0, 38, 9), _on(96, 42, 9)]
    for name in ("Click", "METRONOME", "Metronom"):
        assert _drums(_track(*_beat(0), name="Drums"), _track(*click, name=name)) == BEAT
    # under another name one or two drums are drums
    assert _drums(_track(*_beat(0), name="Drums"), _track(*click, name="Rock")) == [(0, 38), (96, 42)]


def test_tracks_of_parts_go_before_the_name_of_the_file():
    tracks = [
        _track(_on(0, 60), _on(96, 60), name="Kick"),
        _track(_on(48, 60), name="Snare"),
        _track(_on(24, 60), name="Hi-Hat"),
    ]
    for name in ("Ride.mid", "Clap your hands.mid", "hat trick.mid", "Kick it.mid", "bd_loop.mid"):
        assert _drums(*tracks, name=name) == [(0, 36), (24, 42), (48, 38), (96, 36)]
    # one track, or several of one name, say no more than the file
    assert _drums(_track(_on(0, 60), name="Track 1"), name="Ride.mid") == [(0, 51)]
    assert _drums(_track(_on(0, 60), name="Snare"), _track(_on(9, 60), name="Snare"), name="Ride.mid") == [
        (0, 51),
        (9, 51),
    ]


def test_a_track_of_one_part_with_several_pitches():
    kick, snare = _track(_on(0, 36), _on(96, 36), name="Kick"), _track(_on(48, 38), name="Snare")
    hats = [_on(tick, pitch) for tick, pitch in ((0, 42), (24, 46), (72, 42))]
    rest = [(0, 36), (48, 38), (96, 36)]
    for name in ("Hats", "Hi-Hat", "HH"):
        assert _drums(kick, snare, _track(*hats, name=name)) == sorted([*rest, (0, 42), (24, 46), (72, 42)])
    toms = _track(_on(10, 45), _on(20, 50), _on(30, 41), name="Toms")
    assert _drums(kick, snare, toms) == sorted([*rest, (10, 45), (20, 50), (30, 41)])
    # a pitch that is no drum of the kit is that part; so are all where none of a few is the part
    assert _drums(kick, snare, _track(_on(0, 42), _on(9, 98), name="Hats")) == sorted([*rest, (0, 42), (9, 42)])
    assert _drums(kick, snare, _track(_on(0, 60), _on(9, 61), name="Hats")) == sorted([*rest, (0, 42), (9, 42)])
    # several pitches of kick and of snare alone
    layers = _track(_on(0, 35), _on(9, 36), name="Kick"), _track(_on(48, 38), _on(72, 40), name="Snare")
    assert _drums(*layers) == [(0, 35), (9, 36), (48, 38), (72, 40)]
    # not a melody in a track of that name
    melody = _track(*_beat(3, pitches=(60, 62, 64, 65, 67)), name="Clap your hands")
    assert _drums(kick, snare, melody) == rest


@pytest.mark.parametrize("pitches", [(75, 76, 77), (60, 61, 62), (36, 38, 42), (33, 34, 75, 76)])
@pytest.mark.parametrize("name", ["Metronome", "Click", "Click Track", "Metrónomo", "Count-In", "メトロノーム"])
def test_a_click_of_several_pitches(name, pitches):
    click = _track(*_beat(9, 5, pitches), name=name)
    assert _drums(_track(*_beat(0), name="Drums"), click) == BEAT
    assert _drums(_track(*_beat(0, pitches=MELODY), name="Piano"), click) == [
        (5 + 48 * i, pitch) for i, pitch in enumerate(pitches)
    ]


def test_wood_blocks_and_claves_are_a_click_beside_drums_and_a_kit_is_none():
    assert _drums(_track(*_beat(0), name="Drums"), _track(*_beat(9, 5, (75, 76, 77)), name="Track 2")) == BEAT
    kit = _track(*_beat(9, 5), name="Track 2")
    assert _drums(_track(*_beat(0), name="Drums"), kit) == [(5 + tick, pitch) for tick, pitch in BEAT]


@pytest.mark.parametrize("program", [0, 8, 16, 24, 25, 32, 40, 48, 56])
def test_the_number_of_a_kit_is_no_pitched_program_where_drums_are_played(program):
    assert _drums(_track(_program(program), *_beat(0), name="Drums")) == BEAT
    assert _drums(_track(_program(program), *_beat(0)), name="Drums.mid") == BEAT
    # neither is it drums without hats, or with other pitches among them
    for pitches in ((36, 38, 40, 41), (36, 38, 42, 30), (36, 38, 42, 84), (52, 55, 57, 59)):
        if program:
            assert _drums(_track(_program(program), *_beat(0, pitches=pitches), name="Drums")) is None
    # another program is an instrument
    assert _drums(_track(_program(program), _program(33, tick=9), *_beat(0), name="Drums")) is None
    assert _drums(_track(_program(program), *_beat(0), name="Piano")) is None


@pytest.mark.parametrize(
    "name",
    [
        *("Log Drum", "LogDrum", "Log Drums", "Hang drum", "HangDrum", "Tongue Drum", "Slit drum", "Handpan (drum)"),
        *(
            "Drum synth lead",
            "Lead Drums",
            "Drum Synth",
            "Tuned percussion",
            "Chromatic Percussion",
            "Mallet percussion",
        ),
    ],
)
def test_melodies_called_drums_without_a_program(name):
    assert _drums(_track(*_beat(0, pitches=MELODY), name=name)) is None
    assert _drums(_track(_program(0), *_beat(0, pitches=MELODY), name=name)) is None
    assert _drums(_track(*_beat(0)), name=f"{name}.mid") is None


@pytest.mark.parametrize(
    "name",
    [
        *("Drumz", "Drms", "DRUMZ 2", "Tambor", "Tambores", "打击乐", "打擊樂", "Drums\0"),
        *(
            "Drums & Bass",
            "DrumNBass",
            "Drum'n'Bass",
            "drum+bass",
            "Drum and Bass",
            "Kick+Snare",
            "Kick & Snare & Hats",
        ),
        *("Bombo y caja", "Grosse caisse + charleston", "BD SD HH"),
    ],
)
def test_more_names_of_drums(name):
    assert _drums(_track(*_beat(2), name=name), _track(*_beat(3, pitches=MELODY), name="Piano")) == BEAT
    assert _drums(_track(*_beat(2)), name=f"{name}.mid") == BEAT


@pytest.mark.parametrize("name", ["Drums & Bass", "DrumNBass", "Kick and Snare", "Clap for the bells"])
def test_names_that_say_drums_only_of_what_may_be_drums(name):
    assert _drums(_track(*_beat(2, pitches=(48, 55, 60, 67)), name=name)) is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Batería".encode("mac-roman"), id="Mac Roman"),
        pytest.param("Percussão".encode("mac-roman"), id="Mac Roman, Portuguese"),
        pytest.param("Drums".encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xfe\xff" + "Drums".encode("utf-16-be"), id="UTF-16, big-endian"),
        pytest.param("Drums".encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param("Drums".encode("utf-16-be"), id="UTF-16 without a mark, big-endian"),
        pytest.param("ドラム".encode("utf-16"), id="UTF-16, Japanese"),
        pytest.param("Drums".encode("utf-8-sig"), id="UTF-8 with a mark"),
    ],
)
def test_names_in_old_and_wide_encodings(name):
    assert _drums(_track(*_beat(2), name=name)) == BEAT


@pytest.mark.parametrize(
    ("kick", "snare", "hat", "cymbal"),
    [
        ("Bombo", "Caja", "Charles", "Platillos"),
        ("Grosse caisse", "Caisse claire", "Charleston", "Cymbale"),
        ("Bassdrum", "Snaredrum", "Hi-Hat", "Becken"),
        ("Große Trommel", "Kleine Trommel", "Hihat", "Becken"),
        ("Cassa", "Rullante", "Charleston", "Piatti"),
        ("Gran cassa", "rullante", "Hi Hat", "Piatto"),
        ("Bumbo", "Caixa", "Chimbal", "Pratos"),
    ],
)
def test_parts_in_other_languages(kick, snare, hat, cymbal):
    tracks = [_track(_on(24 * i, 60), name=name) for i, name in enumerate((kick, snare, hat, cymbal))]
    assert _drums(*tracks) == [(0, 36), (24, 38), (48, 42), (72, 49)]
    assert _drums(_track(_on(0, 60)), name=f"{kick}.mid") == [(0, 36)]


def test_a_ride_cymbal_is_a_ride():
    assert _drums(_track(_on(0, 60), name="Ride Cymbal"), _track(_on(9, 60), name="Crash Cymbal")) == [(0, 51), (9, 49)]


def test_names_are_looked_at_to_some_length_and_number():
    assert _drums(_track((0, b"\xff\x03\x84\x00" + b"Drums".ljust(512)), *_beat(2))) == BEAT
    many = [(0, b"\xff\x03\x01x")] * 5000
    assert _drums(_track(*_beat(2), name="Drums"), _track(*many)) == BEAT


def test_sequences_of_format_2_follow_one_another_by_the_thousand():
    onsets = parse_midi(_file(*[_track(_on(0, 36, 9), (384, b"\xff\x01\x00"))] * 3000, format_=2), "song")
    assert onsets.beat.tolist() == [4 * i for i in range(3000)]
    assert len(onsets.time_signatures) == 3000
