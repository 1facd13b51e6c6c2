"""Files of visitors: read as they are played, whatever they are called, or refused in a line."""

import os
import re
import subprocess
import sys
import tracemalloc
from threading import Event, Thread

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from visiting import APP, TABS, drawn, go, press, visit

from page import reading, upload
from page.loop import KIT, Loop
from page.turns import turn
from rhythmgan.kit import GM12
from rhythmgan.midi import midi_bytes
from rhythmgan.performance import Performance

pytest_plugins = ["visiting"]
pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def two_bars():
    """Two bars by hand, and the MIDI file of them."""
    bars = np.zeros((2, 16, 12), bool)
    bars[:, [0, 6, 8], 0] = bars[:, [4, 12], 1] = bars[:, ::2, 2] = True
    bars[1, 10:, 4] = True
    return bars, midi_bytes(Performance.of(bars, GM12))


def test_an_upload_is_read_in_its_order_at_its_tempo(two_bars):
    bars, file = two_bars
    found = upload.read("My Loop.mid", file)
    assert (found.name, found.bpm, found.content) == ("My Loop", 120, file)
    np.testing.assert_array_equal(found.played.bars, bars)


def test_an_upload_keeps_how_it_is_played(two_bars):
    bars, _ = two_bars
    played = Performance.of(bars, GM12, np.random.default_rng(2).integers(1, 128, bars.shape), np.array(0.25))
    content = midi_bytes(played)
    loop = Loop.of(upload.read("x.mid", content).played, "x")
    assert loop.performance.kit == KIT
    assert midi_bytes(loop.performance) == content


EVIL = {
    "a way up": "../../x.mid",
    "a root": "/etc/passwd",
    "Windows": "C:\\Windows\\x.mid",
    "Windows, up": "..\\..\\x.mid",
    "dots": "..",
    "a dot": ".",
    "nothing": "",
    "a suffix": ".mid",
    "a folder": "x/",
    "NUL": "a\0b.mid",
    "300 letters": "x" * 300 + ".mid",
    "200 letters of two bytes": "é" * 200 + ".mid",
    "two lines": "a\nb.mid",
    "another suffix": "x.npz",
    "a text": "x.txt",
    "drums": "🥁.MIDI",
    "no UTF-8": "caf\udce9.mid",
    "blanks": "   .mid",
}


@pytest.mark.parametrize("name", EVIL.values(), ids=EVIL)
def test_whatever_a_file_is_called_its_bars_are_read(two_bars, name):
    bars, file = two_bars
    found = upload.read(name, file)
    np.testing.assert_array_equal(found.played.bars, bars)
    assert found.name.encode("utf-8")
    assert not set("/\\\0\n") & set(found.name)


@pytest.mark.parametrize("name", EVIL.values(), ids=EVIL)
def test_whatever_a_broken_file_is_called_one_line_says_what_is_wrong(two_bars, name):
    with pytest.raises(ValueError, match=r"\S") as refused:
        upload.read(name, two_bars[1][:30])
    said = str(refused.value)
    assert "\n" not in said
    assert "embedded" not in said
    assert "codec" not in said
    assert not re.search(r"/tmp|tmp\w{6,}", said)  # it is nobody's business where
    assert len(said) < 500


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mid", b""),
        ("text.mid", b"I am a drum loop.\n"),
        ("picture.mid", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("head.mid", b"MThd\0\0\0\6\0\1\0\1\1\xe0"),
        ("long.mid", b"MThd\xff\xff\xff\xff" + b"\xff" * 100),
        ("zip.mid", b"PK\3\4" + bytes(50)),
        ("words.npz", b"PK\3\4" + bytes(50)),
    ],
)
def test_an_upload_that_is_no_midi_is_refused_in_words(name, content):
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        upload.read(name, content)


def test_a_file_of_eight_megabytes_is_refused_before_it_is_read(two_bars):
    with pytest.raises(ValueError, match=r"^loop\.mid has 8 MB: a loop has less than 4$"):
        upload.read("loop.mid", two_bars[1] + bytes(8_000_000))


def _chunk(name, content):
    return name + len(content).to_bytes(4, "big") + content


def _midi(*tracks):
    return _chunk(b"MThd", (1).to_bytes(2, "big") + len(tracks).to_bytes(2, "big") + (4).to_bytes(2, "big")) + b"".join(
        _chunk(b"MTrk", track + b"\0\xff\x2f\0") for track in tracks
    )


_KICK = b"\0\x99\x24\x5a"  # on the beat; the next ones are short: time, pitch, velocity


def test_a_file_of_many_tracks_is_refused_before_it_is_read():
    assert len(upload.read("x.mid", _midi(_KICK, *[b""] * 255)).played) == 1
    with pytest.raises(ValueError, match=r"^x\.mid has 257 tracks: a loop has at most 256$"):
        upload.read("x.mid", _midi(_KICK, *[b""] * 256))


def test_a_file_of_many_bars_or_onsets_is_refused():
    a_bar = b"\x10\x24\x5a"  # four beats of four ticks
    assert len(upload.read("x.mid", _midi(_KICK + a_bar * 4095)).played) == 4096
    with pytest.raises(ValueError, match=r"^x\.mid: too long: 4,097 bars, 4,096 at most$"):
        upload.read("x.mid", _midi(_KICK + a_bar * 4096))
    together = b"\x01\x24\x5a" + b"".join(bytes([0, pitch, 90]) for pitch in (38, 42, 45, 49, 51))
    with pytest.raises(ValueError, match=r"^x\.mid has 100,003 onsets: a loop is of a file of at most 100,000$"):
        upload.read("x.mid", _midi(_KICK[:4] + together * 16_667))


def test_of_files_that_were_uploaded_the_last_are_kept(two_bars):
    """So many that they have a number of bytes together."""
    tracemalloc.start()
    for number in range(6):
        upload.read(f"{number}.mid", two_bars[1] + _chunk(b"JUNK", bytes([number]) * 3_900_000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 3_900_000 < kept < 17_000_000


def test_a_server_without_room_says_so_and_not_where(two_bars, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "/srv/tmp/x")

    monkeypatch.setattr(reading.Path, "write_bytes", full)
    with pytest.raises(ValueError, match=r"^new\.mid cannot be read now: No space left on device$"):
        upload.read("new.mid", two_bars[1])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", r"^x\.mid takes more than 1 seconds to read$"),
        ("import os; os.abort()", r"^x\.mid cannot be read: it asks for too much$"),
        ("bytes(4 << 30)", r"^x\.mid cannot be read: it asks for too much$"),
    ],
)
def test_a_file_may_cost_its_reader_no_more_than_is_said(code, said, tmp_path, monkeypatch):
    """A reader that loops, dies or asks for gigabytes stands in for the one of the page."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "__init__.py").touch()
    limits = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
    (tmp_path / "page" / "reading.py").write_text((limits if "<<" in code else "") + code, encoding="utf-8")
    monkeypatch.setattr(reading.sys, "path", [str(tmp_path), *sys.path])
    if "True" in code:
        monkeypatch.setattr(reading, "MAX_WAIT", 1)
    with pytest.raises(ValueError, match=said):
        reading.read_apart("x", b"MThd", 16)


def test_the_process_that_reads_has_bounded_memory_and_work_and_lets_others_go_first():
    pytest.importorskip("resource", reason="this system bounds no process")
    code = (
        "import os, resource as r, sys; from page import reading\n"
        "found = lambda: f'{r.getrlimit(r.RLIMIT_AS)[0]} {r.getrlimit(r.RLIMIT_CPU)[0]} {os.nice(0)}'\n"
        "reading.read = lambda *_: sys.exit(found())\n"
        "reading._main('x', '16')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, timeout=60, capture_output=True, text=True, check=False)
    politeness = min(os.nice(0) + 5, 19)
    assert done.stderr.split() == [str(reading.MAX_MEMORY), str(reading.MAX_SECONDS), str(politeness)]


def test_the_process_that_reads_takes_no_module_of_the_folder_it_is_in(two_bars, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit(7)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found, bpm = reading.read_apart("x", two_bars[1], 16)
    assert (len(found), bpm) == (2, 120)


def test_the_process_that_reads_has_one_thread(tmp_path, monkeypatch):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "__init__.py").touch()
    code = "import os, sys; sys.stdout.write(os.environ['OPENBLAS_NUM_THREADS'] + ' thread'); sys.exit(3)"
    (tmp_path / "page" / "reading.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(reading.sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    with pytest.raises(ValueError, match=r"^1 thread$"):
        reading.read_apart("x", b"MThd", 16)


def test_four_files_are_read_at_once_and_wait_for_no_network(monkeypatch):
    """Eight visitors, while somebody else has the turn of the networks."""
    working, full, go_on = [], Event(), Event()

    def slow(name, content, steps):
        working.append(name)
        if len(working) == 4:
            full.set()
        assert go_on.wait(20)
        return None, 120.0

    monkeypatch.setattr(reading, "read_apart", slow)
    visitors = [Thread(target=upload.read, args=(f"{i}.mid", b"eight %d" % i), daemon=True) for i in range(8)]
    with turn:
        for visitor in visitors:
            visitor.start()
        assert full.wait(20)
        Event().wait(0.05)  # others get their chance
        assert len(working) == 4
        go_on.set()
        for visitor in visitors:
            visitor.join(20)
    assert len(working) == 8


@pytest.mark.parametrize("name", ["_.mid", "....mid", "\u202e.mid", "\n.mid", "\U0001f941.mid"])
def test_a_name_without_a_letter_is_that_of_a_loop(two_bars, name):
    assert upload.read(name, two_bars[1]).name == "loop"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("CON.mid", "loop"),
        ("nul.fill.mid", "loop"),
        ("com1.mid", "loop"),
        ("contra.mid", "contra"),
        ("a.con.mid", "a.con"),
    ],
)
def test_a_device_of_windows_is_no_name(two_bars, name, kept):
    assert upload.read(name, two_bars[1]).name == kept


@pytest.mark.parametrize(
    "name", ["a\nb.mid", "x\0.mid", "\u202egnp.mid", "x" * 10_000 + ".mid", "....mid", "x.exe", ""]
)
def test_with_a_file_of_any_name_all_tabs_go_on(two_bars, name):
    app = visit(begin="Your file")
    (field,) = app.get("file_uploader")
    app = drawn(field.set_value((name, two_bars[1], "audio/midi")).run())
    for tab in TABS:
        app = go(app, tab)
    app = press(go(app, "Steer"), "Busier")
    assert not app.warning


def test_a_name_is_shown_as_it_is_written(two_bars):
    """Not in italics, as Markdown has what stands between two of these marks."""
    app = visit(begin="Your file")
    (field,) = app.get("file_uploader")
    app = drawn(field.set_value(("_kick_ 1.mid", two_bars[1], "audio/midi")).run())
    assert any(r"**\_kick\_ 1** at" in caption.value for caption in app.caption)


def _note(tick, pitch, channel):
    return (tick, mido.Message("note_on", note=pitch, velocity=90, channel=channel))


def test_an_upload_without_drums_is_refused_in_words(save_midi):
    piano = save_midi("piano.mid", [_note(tick, 60, 0) for tick in (0, 480, 960)]).read_bytes()
    with pytest.raises(ValueError, match="drum"):
        upload.read("piano.mid", piano)
    other = save_midi("whistles.mid", [_note(tick, 71, 9) for tick in (0, 480, 960)]).read_bytes()
    with pytest.raises(ValueError, match=r"piano|whistles"):
        upload.read("whistles.mid", other)  # drums, but none that the kit has


def test_an_upload_of_hand_percussion_is_read(save_midi):
    bongos = save_midi("bongos.mid", [_note(tick, 60, 9) for tick in (0, 480, 960)]).read_bytes()
    found = upload.read("bongos.mid", bongos).played.bars
    assert np.argwhere(found[0]).tolist() == [[0, 10], [4, 10], [8, 10]]


def test_a_shuffle_is_read_on_the_grid_of_triplets(save_midi):
    ride = save_midi("ride.mid", [_note(tick, 51, 9) for tick in (0, 320, 480, 800, 960)]).read_bytes()
    found = upload.read("ride.mid", ride, 12).played.bars
    assert np.argwhere(found[0, :, 7]).ravel().tolist() == [0, 2, 3, 5, 6]


def test_a_file_named_after_a_part_is_that_part_wherever_it_lies(save_midi):
    """A melody's file that says it is a hat is one, in the folders of a visitor as well."""
    melody = save_midi("x.mid", [_note(tick, 60, 0) for tick in (0, 240, 720)]).read_bytes()
    with pytest.raises(ValueError, match=r"\w"):
        upload.read("melody.mid", melody)
    for name in ("Hi_Hat_01.mid", "../samples/Hi_Hat_01.mid", "C:\\drums\\Hi_Hat_01.MID"):
        found = upload.read(name, melody)
        assert np.argwhere(found.played.bars[0]).tolist() == [[0, 2], [2, 2], [6, 2]]
        assert found.name == "Hi_Hat_01"


@settings(max_examples=20)
@given(cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6)), max_size=4), end=st.integers(0, 400))
def test_a_damaged_upload_is_read_or_refused(two_bars, cuts, end):
    content = bytearray(two_bars[1])
    for place, instead in cuts:
        content[place : place + len(instead)] = instead
    try:
        found = upload.read.__wrapped__("loop.mid", bytes(content[:end]))
    except ValueError:  # the page says it, and asks for another file
        return
    assert found.played.bars.shape[1:] == (16, 12)


def test_uploads_are_small():
    config = (APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    (limit,) = re.findall(r"(?m)^maxUploadSize *= *(\d+)", config)
    assert 1 <= int(limit) <= 10
