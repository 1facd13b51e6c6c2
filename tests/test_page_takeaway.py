"""Taking loops away: MIDI, sound, zips, links, and a file to drag into a DAW."""

import base64
import io
import json
import re
import wave
import zipfile
from urllib.parse import parse_qs

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from browsing import bars_of, download, open_tab, settled, watched
from streamlit.testing.v1 import AppTest
from visiting import drawn, shown

from page import takeaway
from page.loop import KIT, Loop
from page.session import ACCENTS, Visitor
from rhythmgan.export import FORMATS, FilePerLoop
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12
from rhythmgan.midi import midi_bytes
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance, Playback
from rhythmgan.sound import KNEE, render, wav_bytes

pytest_plugins = ["browsing", "visiting"]

KICK, SNARE, CLOSED, OPEN = (KIT.names.index(name) for name in ("kick", "snare", "closed hat", "open hat"))


@pytest.fixture(scope="module")
def quiet():
    """Two bars by hand, softly played: kick and hats, and in the second an open hat that a closed one silences."""
    cells = np.zeros((2, 16, 12), bool)
    cells[:, [0, 10], KICK] = cells[:, [2, 8, 14], CLOSED] = cells[1, 6, OPEN] = True
    return Loop.of(Performance.of(cells, KIT, np.full(cells.shape, 45), cells * 0.125), "Quiet: 1")


def _visitor(loop, **more):
    """Somebody with a loop in hand, who plays it straight at 120."""
    return Visitor(loop, **{"bpm": 120, "swing": 0.5} | more)


def _files(data):
    """The names of a zip's files and what they hold."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def _notes(data):
    """How often each pitch is struck in a MIDI file."""
    struck = [each.note for each in mido.MidiFile(file=io.BytesIO(data)).tracks[0] if each.type == "note_on"]
    return {pitch: struck.count(pitch) for pitch in sorted(set(struck))}


def _sound(data):
    """The samples (n, 2) of a WAV file, in 16 bits."""
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 44100, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(int)


def _bars_of(data, folder, steps=16):
    (folder / "read.mid").write_bytes(data)
    return quantise(read_midi(folder / "read.mid"), GM12, steps).bars


# -- names of files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *(("seeds 1 to 12", "seeds-1-to-12"), ("../../X.mid", "x-mid"), ("", "loop"), ("♥", "loop")),
        *(("A\0b/c", "a-b-c"), ("Con", "con-loop"), ("com1", "com1-loop"), ("com10", "com10"), ("\udce9t\udce9", "t")),
        *(("Baião: triangle hats", "baiao-triangle-hats"), ("café♥bar", "cafe-bar")),
    ],
)
def test_names_of_files_by_hand(name, file):
    assert takeaway.file_name(name) == file


@given(st.text())
def test_every_name_is_one_that_every_system_takes(name):
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", takeaway.file_name(name))


# -- one loop -------------------------------------------------------------------------------------


def test_the_zip_of_a_loop_holds_it_whole_by_bars_by_parts_and_by_stems(quiet):
    files = _files(takeaway._everything(quiet, _visitor(quiet, bpm=97, swing=0.62), "https://x/y"))
    assert list(files) == [
        *("quiet-1.mid", "quiet-1.wav"),
        *(f"bars/quiet-1-bar-{bar}.{kind}" for bar in ("01", "02") for kind in ("mid", "wav")),
        *(f"parts/quiet-1-{part}.mid" for part in ("kick", "closed-hat", "open-hat")),
        *(f"stems/quiet-1-{part}.wav" for part in ("kick", "closed-hat", "open-hat")),
        "README.txt",
    ]
    playback = Playback(97, 0.62)
    assert files["quiet-1.mid"] == midi_bytes(quiet.performance, playback)
    assert files["quiet-1.wav"] == wav_bytes(render(quiet.performance, playback))
    assert files["bars/quiet-1-bar-02.mid"] == midi_bytes(quiet.performance[1:], playback)
    counted = {name: _notes(data) for name, data in files.items() if name.endswith(".mid")}
    assert counted == {
        "quiet-1.mid": {36: 4, 42: 6, 46: 1},
        "bars/quiet-1-bar-01.mid": {36: 2, 42: 3},
        "bars/quiet-1-bar-02.mid": {36: 2, 42: 3, 46: 1},
        "parts/quiet-1-kick.mid": {36: 4},
        "parts/quiet-1-closed-hat.mid": {42: 6},
        "parts/quiet-1-open-hat.mid": {46: 1},
    }
    for name, n_bars in (("quiet-1", 2), ("bars/quiet-1-bar-01", 1), ("stems/quiet-1-open-hat", 2)):
        assert len(_sound(files[f"{name}.wav"])) == round(n_bars * 4 * 60 / 97 * 44100)


@pytest.mark.parametrize("sounds", ["acoustic", "808", "lo-fi"])
def test_stems_add_up_to_the_whole_and_an_open_hat_is_silenced_by_the_closed_one_of_another_stem(quiet, sounds):
    mine = _visitor(quiet, sounds=sounds)
    mine.mix.level[CLOSED], mine.mix.level[KICK] = 0.5, 1.25
    files = _files(takeaway._everything(quiet, mine, ""))
    whole = _sound(files["quiet-1.wav"])
    assert 1000 < np.abs(whole).max() < 32767 * KNEE  # nothing is bent
    stems = [_sound(data) for name, data in files.items() if name.startswith("stems/")]
    assert len(stems) == 3
    assert np.abs(sum(stems) - whole).max() <= 2  # each is rounded by itself
    # at 120 a sixteenth lasts 5512.5 samples: the open hat on step 23 sounds until the closed one on step 25
    hat = _sound(files["stems/quiet-1-open-hat.wav"])
    assert np.abs(hat[int(22.2 * 5512.5) : int(24 * 5512.5)]).max() > 100
    assert np.abs(hat[int(24.125 * 5512.5) + 300 :]).max() == 0


def test_bars_and_parts_together_are_the_loop(quiet, tmp_path):
    files = _files(takeaway._everything(quiet, _visitor(quiet), ""))
    bars = [_bars_of(files[f"bars/quiet-1-bar-0{bar}.mid"], tmp_path)[0] for bar in (1, 2)]
    assert (np.stack(bars) == quiet.cells).all()
    parts = [_bars_of(data, tmp_path) for name, data in files.items() if name.startswith("parts/")]
    assert sum(int(part.sum()) for part in parts) == quiet.cells.sum() == 11


def test_muted_parts_are_silent_in_sound_and_play_in_midi(quiet):
    mine = _visitor(quiet)
    mine.mix.mute[CLOSED] = True
    files = _files(takeaway._everything(quiet, mine, ""))
    assert _notes(files["quiet-1.mid"]) == {36: 4, 42: 6, 46: 1}
    assert "parts/quiet-1-closed-hat.mid" in files
    assert "stems/quiet-1-closed-hat.wav" not in files
    stems = [_sound(data) for name, data in files.items() if name.startswith("stems/")]
    assert np.abs(sum(stems) - _sound(files["quiet-1.wav"])).max() <= 2
    assert b"Muted: closed hat; in the MIDI files they play\r\n" in files["README.txt"]
    mine.mix.solo[CLOSED] = True  # who is muted stays silent, and so are all others
    assert not _sound(_files(takeaway._everything(quiet, mine, ""))["quiet-1.wav"]).any()


def test_files_have_the_feel_of_that_moment(quiet):
    mine = _visitor(quiet)
    assert {each.velocity for each in _messages(takeaway._encoded(FORMATS["midi"], quiet, mine))} == {45}
    mine.feel = ACCENTS
    midi = takeaway._encoded(FORMATS["midi"], quiet, mine)
    assert midi == midi_bytes(Performance.of(quiet.cells, KIT))
    assert {each.velocity for each in _messages(midi)} == {112, 100, 88}
    mine.bpm = 150.5
    data = takeaway._encoded(FORMATS["midi"], quiet, mine)
    (tempo,) = (each for each in mido.MidiFile(file=io.BytesIO(data)).tracks[0] if each.type == "set_tempo")
    assert mido.tempo2bpm(tempo.tempo) == pytest.approx(150.5, abs=1e-3)


def _messages(data):
    return [each for each in mido.MidiFile(file=io.BytesIO(data)).tracks[0] if each.type == "note_on"]


def test_every_part_is_played_as_in_the_loop(tmp_path):
    """A late soft kick and an early loud hat: each file of a part has its own."""
    cells, velocities, offsets = np.zeros((1, 16, 12), bool), np.ones((1, 16, 12), int), np.zeros((1, 16, 12))
    for step, part, velocity, offset in ((4, KICK, 33, 0.25), (10, CLOSED, 91, -0.125)):
        cells[0, step, part], velocities[0, step, part], offsets[0, step, part] = True, velocity, offset
    loop = Loop.of(Performance.of(cells, KIT, velocities, offsets), "own")
    files = _files(takeaway._everything(loop, _visitor(loop), ""))
    for part, velocity, beat in (("kick", 33, 1.0625), ("closed-hat", 91, 2.46875)):
        data = files[f"parts/own-{part}.mid"]
        assert [each.velocity for each in _messages(data) if each.velocity] == [velocity]
        (tmp_path / "x.mid").write_bytes(data)
        assert read_midi(tmp_path / "x.mid").beat == pytest.approx([beat], abs=1 / 480)


def test_zips_and_the_file_to_drag_have_the_feel_of_that_moment(quiet):
    bare, mine = Performance.of(quiet.cells, KIT), _visitor(quiet, feel=ACCENTS)
    everything = _files(takeaway._everything(quiet, mine, ""))
    several = _files(takeaway._several([quiet], mine))
    assert everything["quiet-1.mid"] == several["01-quiet-1.mid"] == midi_bytes(bare)
    assert everything["bars/quiet-1-bar-02.mid"] == several["01-quiet-1-bar-02.mid"] == midi_bytes(bare[1:])
    assert everything["quiet-1.wav"] == several["01-quiet-1.wav"] == wav_bytes(render(bare))
    assert b"Feel: accents on the grid\r\n" in everything["README.txt"]
    app = _open(quiet)
    app.session_state.visitor.feel, mine.bpm, mine.swing = ACCENTS, 96.0, 0.56
    app.session_state.visitor.bpm, app.session_state.visitor.swing = 96.0, 0.56
    sent = shown(drawn(app.run()), "takeaway")
    assert base64.b64decode(sent["content"]) == midi_bytes(bare, Playback(96, 0.56))


@pytest.mark.parametrize("several", [False, True])
def test_a_zip_is_of_one_moment_whatever_the_visitor_changes_meanwhile(quiet, monkeypatch, several):
    mine, made = _visitor(quiet, bpm=97), takeaway._file

    def changed(*args):
        mine.bpm = 190
        return made(*args)

    monkeypatch.setattr(takeaway, "_file", changed)
    files = _files(takeaway._several([quiet], mine) if several else takeaway._everything(quiet, mine, ""))
    for name, data in files.items():
        if name.endswith(".mid"):
            (tempo,) = (each for each in mido.MidiFile(file=io.BytesIO(data)).tracks[0] if each.type == "set_tempo")
            assert mido.tempo2bpm(tempo.tempo) == pytest.approx(97, abs=1e-3)


def test_the_readme_says_what_the_files_are_played_with(quiet):
    mine = _visitor(quiet, bpm=92.5, swing=0.58, sounds="808")
    mine.mix.level[KICK] = 0.8
    told = _files(takeaway._everything(quiet, mine, "https://x/y"))["README.txt"].decode().split("\r\n")
    assert told == [
        "Quiet: 1",
        "Loop: 2 bars of 4/4, 16 steps each",
        "Tempo: 92.5 bpm",
        "Swing: 58 %",
        "Feel: own velocities and timing",
        "Sounds: 808",
        "Levels: kick 80 %",
        "Muted: nothing",
        f"Link: https://x/y/?loop={quiet.code}&bpm=92.5&swing=58",
        "",
    ]


@pytest.mark.parametrize("name", ["\udce9t\udce9", "a\nb", "", "x" * 300, "♥ / \\ : *"])
def test_a_loop_of_any_name_is_taken_away(groove, name):
    loop = Loop.of(groove, name)
    files = _files(takeaway._everything(loop, _visitor(loop), ""))
    assert len(files) == 2 + 3 + 3 + 1  # one bar has no bars beside it
    assert all(re.fullmatch(r"((parts|stems)/)?[a-z0-9-]+\.(mid|wav)|README.txt", file) for file in files)
    assert len(files["README.txt"].decode().split("\r\n")) == 10


def test_an_empty_loop_is_taken_away(groove):
    loop = Loop.of(np.zeros((2, 16, 12), bool), "silence")
    files = _files(takeaway._everything(loop, _visitor(loop), ""))
    assert [name for name in files if "/" not in name] == ["silence.mid", "silence.wav", "README.txt"]
    assert not [name for name in files if name.startswith(("parts", "stems"))]
    assert not _sound(files["silence.wav"]).any()


# -- several loops --------------------------------------------------------------------------------


def test_a_zip_of_loops_holds_each_whole_and_its_bars_behind_it(quiet, groove, tmp_path):
    loops = [Loop.of(groove, "one: a groove"), quiet, Loop.of(groove, "../seed 4")]
    files = _files(takeaway._several(loops, _visitor(quiet, bpm=97)))
    stems = ["01-one-a-groove", "02-quiet-1", "02-quiet-1-bar-01", "02-quiet-1-bar-02", "03-seed-4"]
    assert list(files) == [f"{stem}.{kind}" for stem in stems for kind in ("mid", "wav")]
    assert files["02-quiet-1-bar-02.mid"] == midi_bytes(quiet.performance[1:], Playback(97))
    assert (_bars_of(files["03-seed-4.mid"], tmp_path) == groove).all()


def test_the_file_that_was_uploaded_goes_with_its_versions_as_it_is(groove):
    loop = Loop.of(groove, "x")
    files = _files(takeaway._several([loop], _visitor(loop), b"MThd anything"))
    assert list(files) == ["00-original.mid", "01-x.mid", "01-x.wav"]
    assert files["00-original.mid"] == b"MThd anything"


def test_loops_of_triplets_are_taken_away_straight(shuffle, groove, tmp_path):
    """There are no sixteenths to swing; the ride falls on a third of a beat, 320 ticks of 480 later."""
    loop = Loop.of(np.stack([shuffle, shuffle]), "x")
    mine = _visitor(loop, bpm=97, swing=0.62)
    files = _files(takeaway._several([loop, Loop.of(groove, "y")], mine))
    (tmp_path / "x.mid").write_bytes(files["01-x.mid"])
    read = read_midi(tmp_path / "x.mid")
    assert (quantise(read, GM12, 12).bars == shuffle).all()
    assert sorted({round(float(time) % 1, 3) for time in read.beat}) == [0, 0.667]
    assert files["02-y.mid"] == midi_bytes(Performance.of(groove, GM12), Playback(97, 0.62))


def test_a_format_of_the_table_is_downloaded(groove, monkeypatch):
    """One row, and the page has it too."""
    row = FilePerLoop("tally", "tally", "text/plain", lambda loops, _: (b"%d" % bars.sum() for bars in loops.bars))
    monkeypatch.setitem(FORMATS, "tally", row)
    loop = Loop.of(groove, "x")
    files = _files(takeaway._several([loop], _visitor(loop)))
    assert list(files) == ["01-x.mid", "01-x.wav", "01-x.tally"]
    assert int(files["01-x.tally"]) == groove.sum()


# -- the row --------------------------------------------------------------------------------------


def _script():
    """A page with nothing but the row."""
    import streamlit as st

    from page import session, takeaway
    from page.loop import Loop

    session.begin(Loop.read(st.query_params["first"], "mine"))
    takeaway.show()
    takeaway.many([], "nothing", "none", "None as ZIP")


def _open(loop):
    app = AppTest.from_function(_script, default_timeout=60)
    app.query_params["first"] = loop.code
    return drawn(app.run())


def test_the_file_to_drag_is_the_loop_in_hand_as_it_plays_now(quiet):
    app = _open(quiet)
    mine = app.session_state.visitor
    sent = shown(app, "takeaway")
    assert base64.b64decode(sent["content"]) == midi_bytes(quiet.performance, mine.playback(16))
    assert (sent["file"], sent["mime"]) == ("mine.mid", "audio/midi")
    assert len(json.dumps(sent)) < 2000
    mine.bpm, mine.swing = 93.0, 0.6
    sent = shown(drawn(app.run()), "takeaway")
    assert base64.b64decode(sent["content"]) == midi_bytes(quiet.performance, Playback(93, 0.6))
    assert parse_qs(sent["query"]) == {"loop": [quiet.code], "bpm": ["93"], "swing": ["60"]}


def test_the_row_has_every_format_a_zip_a_link_and_a_handle(quiet):
    app = _open(quiet)
    buttons = [button.label for button in app.get("download_button")]
    assert buttons == ["MIDI", "WAV", "All (ZIP)", "None as ZIP"]


# -- in a browser ---------------------------------------------------------------------------------


def _visit(page, address, loop):
    """The page with a loop in hand."""
    open_tab(page, address, "Morph", loop=loop.code, bpm=120, swing=50)
    page.get_by_role("button", name="Copy link").wait_for()
    settled(page)


def test_the_loop_in_hand_comes_as_midi_as_sound_and_with_all_that_it_is_made_of(page, address, quiet):
    _visit(page, address, quiet)
    name, data = download(page, "MIDI")
    assert (name, data) == ("a-shared-loop.mid", midi_bytes(quiet.performance))
    name, data = download(page, "WAV")
    assert name == "a-shared-loop.wav"
    assert len(_sound(data)) == 2 * 2 * 44100
    assert data == wav_bytes(render(quiet.performance))
    name, data = download(page, "All (ZIP)")
    assert name == "a-shared-loop.zip"
    files = _files(data)
    assert len(files) == 2 + 2 * 2 + 3 + 3 + 1
    assert _notes(files["parts/a-shared-loop-closed-hat.mid"]) == {42: 6}
    stems = [_sound(stem) for file, stem in files.items() if file.startswith("stems/")]
    assert np.abs(sum(stems) - _sound(files["a-shared-loop.wav"])).max() <= 2
    link = files["README.txt"].decode().split("Link: ")[1].strip()
    assert link.startswith(f"{address}/?loop={quiet.code}")


_HANDLE = "a.drag"

_HEARD = """
document.addEventListener("dragstart", (event) => {
  window.dragged = Object.fromEntries(event.dataTransfer.types.map((type) => [type, event.dataTransfer.getData(type)]));
});
"""


def test_a_file_is_dragged_out_of_the_page(page, address, quiet):
    """Chromium reads type, name and address of a file in the "DownloadURL" of what is dragged."""
    page.add_init_script(_HEARD)
    _visit(page, address, quiet)
    handle = page.locator(_HANDLE)
    assert "Drag MIDI" in handle.inner_text()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 90, steps=8)
    page.wait_for_function("window.dragged")
    page.mouse.up()
    dragged = page.evaluate("window.dragged")
    mime, name, link = dragged["downloadurl"].split(":", 2)
    assert (mime, name) == ("audio/midi", "a-shared-loop.mid")
    assert dragged["text/uri-list"] == link
    kind, _, content = link.partition(",")
    assert kind == "data:audio/midi;base64"
    assert base64.b64decode(content) == midi_bytes(quiet.performance)


def test_the_file_to_drag_has_tempo_and_swing_of_the_address_at_once_and_of_the_transport_later(page, address, quiet):
    open_tab(page, address, "Morph", loop=quiet.code, bpm=93, swing=58)
    handle = page.locator(_HANDLE)
    handle.wait_for()
    settled(page)

    def dragged():
        return base64.b64decode(handle.get_attribute("href").partition(",")[2])

    assert dragged() == midi_bytes(quiet.performance, Playback(93, 0.58))
    assert download(page, "MIDI")[1] == dragged()
    tempo = page.get_by_label("Tempo, bpm").first
    tempo.fill("140")
    tempo.press("Enter")
    settled(page)
    assert dragged() == midi_bytes(quiet.performance, Playback(140, 0.58))
    assert download(page, "MIDI")[1] == dragged()


def test_what_is_dragged_is_downloaded_by_a_click(page, address, quiet):
    _visit(page, address, quiet)
    with page.expect_download() as coming:
        page.locator(_HANDLE).click()
    assert coming.value.suggested_filename == "a-shared-loop.mid"
    assert coming.value.path().read_bytes() == midi_bytes(quiet.performance)


def test_where_a_browser_drags_no_files_out_the_handle_says_so_and_downloads(chrome, address, quiet):
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    with chrome.new_context(user_agent=agent) as context:
        page = context.new_page()
        wrong = watched(page, address)
        _visit(page, address, quiet)
        handle = page.locator(_HANDLE)
        assert handle.inner_text() == "Download MIDI"
        assert "cannot drag" in handle.get_attribute("title")
        assert handle.get_attribute("draggable") == "false"
        with page.expect_download() as coming:
            handle.click()
        assert coming.value.path().read_bytes() == midi_bytes(quiet.performance)
        assert wrong == []


def test_a_link_is_copied_by_one_button_and_leads_to_the_loop(page, address, chrome, quiet):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    _visit(page, address, quiet)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Link copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{address}/?loop={quiet.code}")
    assert page.get_by_role("textbox", name="Link to this loop").count() == 0
    with chrome.new_context(accept_downloads=True) as other:
        visitor = other.new_page()
        wrong = watched(visitor, address)
        visitor.goto(link)
        visitor.get_by_role("button", name="Copy link").wait_for()
        settled(visitor)
        assert download(visitor, "MIDI")[1] == midi_bytes(quiet.performance)
        assert wrong == []


def test_where_a_browser_copies_nothing_the_link_is_there_to_be_copied(page, address, quiet):
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', {get: () => undefined});")
    _visit(page, address, quiet)
    page.get_by_role("button", name="Copy link").click()
    link = page.get_by_role("textbox", name="Link to this loop")
    link.wait_for()
    assert link.input_value().startswith(f"{address}/?loop={quiet.code}")
    assert link.evaluate("field => field.selectionEnd - field.selectionStart === field.value.length")
    page.get_by_text("Copy it from here").wait_for()


def test_several_loops_come_as_a_zip(page, address, folder, quiet):
    open_tab(page, address, "Sample", loop=quiet.code)
    page.get_by_role("button", name="These as ZIP").wait_for()
    settled(page)
    name, data = download(page, "These as ZIP")
    assert re.fullmatch(r"seeds-\d+-to-\d+\.zip", name)
    files = _files(data)
    wholes = [file for file in files if re.fullmatch(r"\d\d-seed-\d+\.mid", file)]
    assert len(files) == 2 * 5 * len(wholes)  # of four bars each
    for whole in wholes:
        bars = [bars_of(files[whole.replace(".mid", f"-bar-0{bar}.mid")], folder)[0] for bar in (1, 2, 3, 4)]
        assert (np.stack(bars) == bars_of(files[whole], folder)).all()
