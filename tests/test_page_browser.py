"""The page in a real browser: what a visitor sees, hears and takes away."""

import importlib.util
import io
import re
import sqlite3
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.features import density, syncopation
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12
from rhythmgan.midi import midi_bytes
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import load_gan
from rhythmgan.performance import Performance, Playback

pytest.importorskip("streamlit", reason="the page needs Streamlit")
pytest.importorskip("playwright", reason="opening the page needs Playwright")

from page.bar import Bar

ROOT = Path(__file__).resolve().parent.parent
TABS = ("Sample", "Phrase", "Steer", "Morph", "Edit", "Blind test", "Data")
PLAYER = "window.rhythmganPlayer"


@pytest.fixture(scope="module")
def script():
    """benchmarks/page.py: how to serve and open the page."""
    spec = importlib.util.spec_from_file_location("benchmark_page", ROOT / "benchmarks" / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.chromium() is None:
        pytest.skip("there is no Chromium on this machine")
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def chrome(script):
    with script.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(script, folder):
    """The page of three songs, of which the first has most bars; their bars are the generator's."""
    words = bars_to_words(load_gan().sample(12, seed=900))
    song = np.repeat(np.arange(3), (7, 3, 2)).astype(np.int32)
    bar = np.concatenate([np.arange(7), np.arange(3), np.arange(2)]).astype(np.int32)
    # by the hash of their names the first and the last are among the songs that no model has seen
    names = ("song-6", "song-1", "song-8")
    save_corpus(folder / "bars.npz", Corpus.of(words, song, song, bar, names, ("a", "b", "c"), GM12))
    with script.served(str(folder / "bars.npz"), str(folder / "votes.sqlite")) as place:
        yield place


@pytest.fixture
def page(chrome, address):
    """A new visitor, whose page may not fail, nor ask anybody else for anything."""
    context = chrome.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(f"error {error}"))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("request", lambda asked: _outside(asked.url, address) and wrong.append(f"asked {asked.url}"))
    opened.set_default_timeout(20_000)
    yield opened
    context.close()
    assert wrong == []


def _outside(url, address):
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def _open(page, address, tab="Sample", **more):
    query = "&".join(f"{name}={value}" for name, value in {"tab": tab, **more}.items())
    page.goto(f"{address}/?{query}")
    page.get_by_role("tab", name=tab).wait_for()


def _settled(page):
    """Wait for the answer to what was just done, however busy the machine is."""
    page.wait_for_timeout(500)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(400)


def _download(page, name):
    with page.expect_download() as coming:
        page.get_by_role("button", name=name).first.click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def _bars_of(data, folder):
    path = folder / "read.mid"
    path.write_bytes(data)
    return quantise(read_midi(path), GM12).bars


def _tempo_of(data):
    """Beats a minute that a MIDI file says, by the bytes of its tempo event."""
    place = data.index(b"\xff\x51\x03") + 3
    return 60_000_000 / int.from_bytes(data[place : place + 3], "big")


def _is_heard(page):
    """Wait until there is sound: the root mean square of what leaves the player."""
    # a busy machine leaves out what it is late for, and may need several rounds of the loop
    page.wait_for_function(f"{PLAYER}.level() > 0.02", polling=30, timeout=60_000)


def test_the_first_screen_shows_and_plays_a_bar(page, address):
    page.goto(address)
    page.get_by_role("button", name="Play seed 1", exact=True).first.click()
    _is_heard(page)
    first = page.evaluate(f"{PLAYER}.place.time")
    page.wait_for_timeout(400)
    assert page.evaluate(f"{PLAYER}.place.time") > first
    page.get_by_role("button", name="Stop seed 1", exact=True).first.click()
    page.wait_for_timeout(300)
    assert max(page.evaluate(f"{PLAYER}.level()") for _ in range(20)) == 0


def test_the_pictures_are_of_the_seeds_bars(page, address):
    _open(page, address, seed=7, count=4)
    page.get_by_role("button", name="Play seed 10", exact=True).wait_for()
    said = page.locator("article.card svg").evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
    bars = load_gan().sample(4, seed=7)
    for label, bar in zip(said[1:5], bars, strict=True):  # the first is the bar in hand
        lines = [
            f"{name} on {' '.join(str(step + 1) for step in np.flatnonzero(bar[:, part]))}"
            for part, name in enumerate(GM12.names)
            if bar[:, part].any()
        ]
        assert label == "; ".join(lines)


def test_a_bar_comes_as_midi_at_the_tempo_and_swing_of_the_sliders(page, address, folder):
    _open(page, address, seed=5, bpm=93, swing=60)
    page.get_by_role("button", name="Play seed 6", exact=True).click()
    page.get_by_role("button", name="Stop seed 6", exact=True).first.click()
    _settled(page)
    name, data = _download(page, "MIDI")
    assert name == "seed-6.mid"
    bar = load_gan().sample(1, seed=6)
    assert (_bars_of(data, folder) == bar).all()
    assert data == midi_bytes(Performance.of(bar, GM12), Playback(93, 0.6))
    # a slider that moves changes what is downloaded next
    page.locator("input[aria-label='Tempo, bpm']").focus()
    page.keyboard.press("Home")
    _settled(page)
    assert _tempo_of(_download(page, "MIDI")[1]) == pytest.approx(50, rel=1e-3)


def test_every_step_of_trapgenerators_page_is_in_the_sample_tab(page, address, folder):
    """Theirs: generate, wait, a player with its position, 50 to 200 beats a minute, download, generate another."""
    _open(page, address)
    tempo = page.locator("input[aria-label='Tempo, bpm']")
    assert (tempo.get_attribute("min"), tempo.get_attribute("max")) == ("50", "200")
    before = page.locator("input[aria-label='Seed']").input_value()
    page.get_by_role("button", name="Surprise me").click()  # generate
    _settled(page)  # wait
    seed = page.locator("input[aria-label='Seed']").input_value()
    assert seed != before
    page.get_by_role("button", name=f"Play seed {seed}", exact=True).first.click()
    _is_heard(page)
    playing = page.locator("article.card.playing").first
    shown = playing.locator("svg").evaluate("drawing => drawing.innerHTML")
    page.wait_for_function(f"{PLAYER}.place.step > 8", polling=20, timeout=60_000)
    assert playing.locator("svg").evaluate("drawing => drawing.innerHTML") != shown  # the position has moved
    tempo.focus()
    page.keyboard.press("End")
    _settled(page)
    name, data = _download(page, "MIDI")
    assert name == f"seed-{seed}.mid"
    assert (_bars_of(data, folder) == load_gan().sample(1, seed=int(seed))).all()
    assert _tempo_of(data) == pytest.approx(200, rel=1e-3)
    page.get_by_role("button", name="More").first.click()  # generate another
    _settled(page)
    assert page.locator("input[aria-label='Seed']").input_value() == str(int(seed) + 12)
    assert page.get_by_role("button", name=f"Play seed {int(seed) + 12}", exact=True).count()


def test_a_bar_comes_as_sound(page, address):
    _open(page, address, bpm=150)
    page.locator("article.card").first.wait_for()
    name, data = _download(page, "WAV")
    assert name == "seed-1.wav"
    with wave.open(io.BytesIO(data)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, 44100)
        assert sound.getnframes() == round(4 * 60 / 150 * 44100)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    assert 3000 < np.abs(samples).max() < 32767


def test_a_gallery_comes_as_a_zip(page, address, folder):
    _open(page, address, seed=3, count=4)
    page.get_by_role("button", name="Play seed 6", exact=True).wait_for()
    name, data = _download(page, "All as ZIP")
    assert name == "seeds-3-to-6.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        files = [f"{i:02d}-seed-{seed}" for i, seed in enumerate(range(3, 7), 1)]
        assert names == [f"{file}.{kind}" for file in files for kind in ("mid", "wav")]
        assert (_bars_of(archive.read("03-seed-5.mid"), folder) == load_gan().sample(1, seed=5)).all()


def test_favourites_survive_a_reload_and_are_nobody_elses(page, address, chrome):
    _open(page, address)
    page.get_by_role("button", name="Keep seed 4", exact=True).click()
    page.get_by_text("Favourites (1)").wait_for()
    page.wait_for_function("localStorage.getItem('rhythmgan.favourites')?.includes('seed 4')")
    page.reload()
    page.get_by_text("Favourites (1)").wait_for()
    page.get_by_text("Favourites (1)").click()
    page.get_by_role("button", name="Do not keep seed 4", exact=True).first.wait_for()
    with chrome.new_context() as other:
        visitor = other.new_page()
        visitor.goto(address)
        visitor.get_by_text("Favourites (0)").wait_for()
        visitor.get_by_text("This session (1)").wait_for()
    page.get_by_role("button", name="Do not keep seed 4", exact=True).first.click()
    page.get_by_text("Favourites (0)").wait_for()
    page.wait_for_function("localStorage.getItem('rhythmgan.favourites') === '[]'")
    page.reload()
    page.get_by_text("Favourites (0)").wait_for()


def test_quick_hearts_in_two_open_pages_are_all_kept(page, address):
    _open(page, address)
    other = page.context.new_page()
    _open(other, address)
    other.get_by_role("button", name="Keep seed 9", exact=True).wait_for()
    for seed in (4, 6):
        page.get_by_role("button", name=f"Keep seed {seed}", exact=True).click()
    page.get_by_text("Favourites (2)").wait_for()
    other.get_by_text("Favourites (2)").wait_for()
    other.get_by_role("button", name="Keep seed 9", exact=True).click()
    page.get_by_text("Favourites (3)").wait_for()
    page.get_by_role("button", name="Do not keep seed 6", exact=True).first.click()
    other.get_by_text("Favourites (2)").wait_for()
    other.close()


def test_after_a_break_nothing_is_played_late(page, address):
    """A page that was busy leaves out what is overdue, and goes on in time."""
    _open(page, address)
    page.get_by_role("button", name="Play seed 2", exact=True).click()
    _is_heard(page)
    page.evaluate(
        """() => {
            window.late = [];
            const start = AudioBufferSourceNode.prototype.start;
            AudioBufferSourceNode.prototype.start = function (time, ...more) {
                window.late.push(this.context.currentTime - time);
                return start.call(this, time, ...more);
            };
            const until = performance.now() + 900;
            while (performance.now() < until);
        }"""
    )
    _settled(page)
    late = page.evaluate("window.late")
    assert len(late) > 5
    assert max(late) < 0.05


def test_a_link_leads_to_its_bar(page, address, chrome):
    _open(page, address)
    page.get_by_role("button", name="Play seed 9", exact=True).click()
    page.wait_for_url("**bar=**")
    with chrome.new_context() as other:
        visitor = other.new_page()
        visitor.goto(page.url)
        visitor.get_by_role("button", name="Play a shared bar").first.wait_for()
        labels = [each.locator("article.card svg").first.get_attribute("aria-label") for each in (page, visitor)]
    assert labels[0] == labels[1]


def _drawn_cells(card):
    """Of the picture of a card the cells that are drawn as kept, added and removed: kind → {(step, part)}."""
    found = {"kept": set(), "added": set(), "removed": set()}
    marks = "all => all.map(each => [each.getAttribute('class'), each.getAttribute('transform')])"
    for kind, place in card.locator(".drawn svg path").evaluate_all(marks):
        x, y = (int(number) for number in re.findall(r"-?\d+", place))
        found[kind].add((x // 10, 11 - y // 10))
    return found


def _differences(before, after):
    """The same of two bars (steps, parts) bool."""
    kinds = {"kept": before & after, "added": after & ~before, "removed": before & ~after}
    return {kind: {(int(step), int(part)) for step, part in np.argwhere(cells)} for kind, cells in kinds.items()}


def test_steering_reaches_what_is_asked_for_and_draws_what_changed(page, address, folder):
    _open(page, address, "Steer", density=14, syncopation=5)
    page.get_by_role("button", name="Play seed 1, version 1", exact=True).wait_for()
    name, data = _download(page, "All as ZIP")
    assert name == "seed-1-steered.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        bars = [_bars_of(archive.read(name), folder)[0] for name in archive.namelist() if ".mid" in name]
    before, *versions = bars
    assert (before == load_gan().sample(1, seed=1)[0]).all()
    cards = page.locator("article.card")
    assert cards.count() == len(bars) > 1
    for version, card in zip(versions, cards.all()[1:], strict=True):
        assert _drawn_cells(card) == _differences(before, version)
    versions = np.stack(versions)
    if page.get_by_text("all have").count():
        assert (np.abs(density(versions, GM12).numpy() - 14) <= 1).all()
        assert (np.abs(syncopation(versions, GM12).numpy() - 5) <= 1).all()
    assert not any(_drawn_cells(cards.first).values())  # the start is drawn as ever
    assert page.get_by_label("How changes are drawn").inner_text().split() == ["kept", "added", "removed"]


_CHANGED = """([script, bar]) => {
    const kit = {names: ["kick", "snare", "hat"], hues: ["#000", "#000", "#000"], shades: {4: [1, 1, 1, 1]}};
    return new Function("bar", "kit", script + "; return drawing(bar, kit)")(bar, kit).outerHTML;
}"""


def test_kept_added_and_removed_cells_are_drawn_and_said_as_such(page):
    """By hand, in a kit of three: of kick 4, snare 2 and hat 1 a step."""
    script = (ROOT / "demo" / "page" / "web" / "drawing.js").read_text(encoding="utf-8")

    def drawn(**bar):
        return page.evaluate(_CHANGED, [script, bar])

    picture = drawn(words=[4, 6, 1, 0], before=[5, 4, 3, 2])
    marks = re.findall(r'transform="translate\((\d+) (\d+)\)" class="(\w+)"', picture)
    # columns are steps, the kick is the lowest of three lines
    assert sorted((kind, int(x), int(y)) for x, y, kind in marks) == [
        ("added", 10, 10),
        *[("kept", 0, 20), ("kept", 10, 20), ("kept", 20, 0)],
        *[("removed", 0, 0), ("removed", 20, 10), ("removed", 30, 10)],
    ]
    shapes = dict(re.findall(r' d="([^"]+)"[^>]*class="(\w+)"', picture))
    assert len(shapes) == len(set(shapes.values())) == 3  # each its own
    assert (
        'aria-label="kick on 1 2; snare on 2; hat on 3. added: snare on 2. removed: snare on 3 4; hat on 1"' in picture
    )
    assert "nothing changed" in drawn(words=[4, 0, 0, 0], before=[4, 0, 0, 0])
    assert not re.search("kept|added|removed|changed", drawn(words=[4, 6, 1, 0]))


def test_playing_a_result_keeps_the_start_and_the_others(page, address):
    _open(page, address, "Steer", density=14)
    pictures = page.locator("article.card svg")
    second = page.get_by_role("button", name="Play seed 1, version 2", exact=True)
    second.wait_for()
    _settled(page)

    def labels():
        return pictures.evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")

    before = labels()
    second.click()
    _is_heard(page)
    page.get_by_role("button", name="Start from the bar in hand: seed 1, version 2").wait_for()
    _settled(page)
    assert labels() == before
    page.get_by_role("tab", name="Sample").click()
    page.get_by_role("button", name="Play seed 5", exact=True).click()
    _settled(page)
    page.get_by_role("tab", name="Steer").click()
    page.get_by_role("button", name="Start from the bar in hand: seed 5").wait_for()
    _settled(page)
    assert labels() == before
    # with the keyboard alone
    begin = page.get_by_role("button", name="Start from version 1", exact=True)
    begin.focus()
    page.keyboard.press("Enter")
    page.get_by_text("The start is seed 1, version 1.").wait_for()
    page.get_by_role("img", name=before[1].split(". ")[0], exact=True).wait_for()


def test_words_and_sliders_ask_for_more_within_what_goes_together(page, address):
    _open(page, address, "Steer", density=20, syncopation=6)
    page.get_by_role("button", name=re.compile("^Busier")).click()
    page.get_by_text("→ 24").first.wait_for()
    page.wait_for_url("**density=24**")
    page.get_by_role("button", name=re.compile("^Straighter")).click()
    page.get_by_role("button", name=re.compile(r"^Straighter 3 → 0")).wait_for()
    slider, number = (
        page.get_by_role("slider", name="Syncopation, by note-rest LHL"),
        re.compile("Bars of this density"),
    )
    slider.focus()
    page.keyboard.press("End")
    _settled(page)
    most = int(slider.get_attribute("aria-valuemax") or slider.get_attribute("max"))
    assert f"to {most}." in page.get_by_text(number).inner_text()
    page.get_by_role("slider", name="Density, onsets a bar").focus()
    page.keyboard.press("End")
    _settled(page)
    fewer = int(slider.get_attribute("aria-valuemax") or slider.get_attribute("max"))
    assert fewer < most
    said = page.get_by_text(number).inner_text()
    assert f"to {fewer}. You asked for {most}, which does not go together with the rest." in said
    assert int(slider.get_attribute("aria-valuenow") or slider.input_value()) == fewer


def test_a_loop_is_heard_in_its_order_and_taken_away(page, address, folder):
    """A B A A at 150, and versions of it: played from the first bar on, as a loop, and taken away whole and in bars."""
    seeds = load_gan().sample(2, seed=60)
    loop = seeds[[0, 1, 0, 0]]
    (folder / "abaa.mid").write_bytes(midi_bytes(Performance.of(loop, GM12), Playback(150)))
    _open(page, address, "Steer")
    page.get_by_role("radio", name="MIDI loop").click()
    page.locator("input[type=file]").set_input_files(folder / "abaa.mid")
    page.get_by_role("button", name="Play abaa", exact=True).wait_for()
    _settled(page)
    page.get_by_role("button", name=re.compile("^Busier")).click()
    page.get_by_role("button", name="Play version 1", exact=True).click()
    _is_heard(page)
    words = page.evaluate(f"{PLAYER}.last.bars.map(bar => bar.words)")
    page.wait_for_function(f"{PLAYER}.place?.bar === 2")
    assert page.locator("article.card .head").evaluate_all("all => all.map(each => each.style.display)").count("") == 1
    page.get_by_role("button", name="Stop version 1", exact=True).click()
    assert page.evaluate(f"{PLAYER}.id") is None
    name, data = _download(page, "All as ZIP")
    assert name == "abaa-steered.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("00-original.mid") == (folder / "abaa.mid").read_bytes()
        assert (_bars_of(archive.read("01-abaa.mid"), folder) == loop).all()
        version = _bars_of(archive.read("02-version-1.mid"), folder)
        bars = [_bars_of(archive.read(f"02-version-1-bar-0{i}.mid"), folder) for i in (1, 2, 3, 4)]
        assert _tempo_of(archive.read("02-version-1.mid")) == pytest.approx(150, rel=1e-3)
    assert (np.concatenate(bars) == version).all()
    assert bars_to_words(version).tolist() == words
    assert (version[[2, 3]] == version[0]).all()
    assert (version != loop).any()
    # what is asked for stays where a lock gives the sliders other bounds, and on the way over another tab
    density, wanted = page.get_by_role("slider", name="Density, onsets a bar"), round(loop.sum() / 4) + 4
    page.get_by_role("button", name="2", exact=True).click()
    for _ in range(2):
        _settled(page)
        assert density.input_value() == str(wanted)
        page.get_by_role("tab", name="Data").click()
        _settled(page)
        page.get_by_role("tab", name="Steer").click()
        page.get_by_role("button", name="Play version 1", exact=True).click()
        page.get_by_role("button", name=re.compile("^Play abaa 2, version 1")).click()  # a run of the tab
    assert page.get_by_text(f"→ {wanted} on average").count() == 1


def test_a_loop_is_uploaded_and_a_wrong_file_gets_a_line(page, address, folder):
    loop = load_gan().sample(2, seed=60)
    (folder / "my loop.mid").write_bytes(midi_bytes(Performance.of(loop, GM12)))
    (folder / "broken.mid").write_bytes(b"MThd" + bytes(range(40)))
    (folder / "large.mid").write_bytes(bytes(6 << 20))
    _open(page, address, "Steer")
    page.get_by_role("radio", name="MIDI loop").click()
    chooser = page.locator("input[type=file]")
    chooser.set_input_files(folder / "my loop.mid")
    page.get_by_role("button", name="Play my loop 2", exact=True).wait_for()
    chooser.set_input_files(folder / "broken.mid")
    line = page.locator("[data-testid=stAlert]").filter(has_text="broken.mid")
    line.wait_for()
    assert str(folder) not in line.inner_text()
    assert "/tmp" not in line.inner_text()
    chooser.set_input_files(folder / "large.mid")
    page.get_by_text(re.compile("5.*MB or smaller|exceeds|too large|must be")).first.wait_for()


_RECORDED = """
window.heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when) {
  window.heard.push([this, when]);
  return start.call(this, when);
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  this.to = to;
  return connect.call(this, to, ...more);
};
"""


def test_an_uploaded_loop_is_heard_and_taken_away_as_it_was_played(page, address, folder):
    """Kicks on the beats, the second an eighth of a beat late, the third early, of four velocities."""
    bar = np.zeros((16, 12), bool)
    bar[::4, 0] = True
    velocities, offsets = np.zeros((16, 12), int), np.zeros((16, 12))
    velocities[::4, 0], offsets[::4, 0] = (30, 60, 90, 120), (0, 0.5, -0.25, 0)
    played = Performance.of(bar, GM12, velocities, offsets)
    (folder / "played.mid").write_bytes(midi_bytes(played))
    page.add_init_script(_RECORDED)
    _open(page, address, "Steer")
    page.get_by_role("radio", name="MIDI loop").click()
    page.locator("input[type=file]").set_input_files(folder / "played.mid")
    page.get_by_role("button", name="Play played 1", exact=True).click()
    page.wait_for_function("window.heard.length > 8")
    heard = page.evaluate("window.heard.map(([source, when]) => [when, source.to.gain.value])")
    times, gains = np.array(heard[:9]).T
    # at 120 a minute half a second a beat; a tick before half a step, as no file holds more
    expected = [0.5614583, 0.4072917, 0.53125, 0.5] * 2
    np.testing.assert_allclose(np.diff(times), expected, atol=1e-3)
    np.testing.assert_allclose(gains, [(v / 127) ** 1.5 for v in (30, 60, 90, 120, 30, 60, 90, 120, 30)], atol=1e-4)
    _settled(page)
    page.get_by_role("tab", name="Sample").click()
    name, data = _download(page, "MIDI")
    assert name == "played-1.mid"
    assert data == (folder / "played.mid").read_bytes()


def test_a_path_over_the_pad_is_heard_and_taken_away(page, address, folder):
    _open(page, address, "Morph")
    field = page.locator("svg.field")
    field.wait_for()
    corner = page.locator(".heard svg").first
    field.focus()
    assert "9" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()
    at_end = corner.get_attribute("aria-label")
    box = field.bounding_box()

    def at(x, y):
        return box["x"] + box["width"] * (x + 0.5) / 9, box["y"] + box["height"] * (y + 0.5) / 9

    page.mouse.move(*at(0, 0))
    page.mouse.down()
    for x in range(1, 4):
        page.mouse.move(*at(x, 0))
    page.mouse.up()
    _is_heard(page)
    _settled(page)
    assert "4 bars" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()
    first, *_, last = _bars_of(_download(page, "MIDI")[1], folder)
    assert (first == load_gan().sample(1, seed=1)[0]).all()
    assert last.shape == (16, 12)
    field.focus()
    page.keyboard.press("ArrowDown")
    _settled(page)
    assert "5 bars" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()
    assert corner.get_attribute("aria-label") != at_end
    page.keyboard.press("ArrowRight")  # the answer to the first has not taken the focus away
    _settled(page)
    assert "6 bars" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()
    page.keyboard.press("Enter")
    _settled(page)
    assert "1 bar)" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()
    assert len(_bars_of(_download(page, "MIDI")[1], folder)) == 1


def test_a_pad_outlives_its_bar_being_taken_in_hand(page, address):
    _open(page, address, "Morph")
    page.locator("svg.field").wait_for()
    page.locator(".heard .name").click()
    _settled(page)
    assert page.locator("svg.field").count() == 1
    assert page.locator("[data-testid=stAlert]").count() == 0
    assert "9 bars" in page.get_by_role("button", name=re.compile("Play the path")).inner_text()


def test_a_click_on_the_map_gives_a_bar(page, address):
    _open(page, address, "Morph", way="Map")
    plot = page.locator("[data-testid=stVegaLiteChart]")
    plot.wait_for()
    _settled(page)
    box = plot.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5)
    page.get_by_role("button", name=re.compile(r"Play seed \d+")).first.wait_for()


def test_cells_are_edited_by_mouse_and_keyboard(page, address, folder):
    _open(page, address, "Edit")
    bar = load_gan().sample(1, seed=1)[0]
    assert not bar[2, 8]
    assert not bar[3, 8]
    page.get_by_role("gridcell", name="crash, step 3", exact=True).click()
    _settled(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    _settled(page)
    assert page.locator("[data-testid=stMetricValue]").first.inner_text() == str(int(bar.sum()) + 2)
    expected = bar.copy()
    expected[2:4, 8] = True
    assert (_bars_of(_download(page, "MIDI")[1], folder)[0] == expected).all()
    page.get_by_role("button", name="Undo").click()
    _settled(page)
    assert page.locator("[data-testid=stMetricValue]").first.inner_text() == str(int(bar.sum()) + 1)


def test_a_quick_stroke_paints_every_cell_and_is_undone_at_once(page, address):
    _open(page, address, "Edit")
    bar = load_gan().sample(1, seed=1)[0]
    assert not bar[:, 6].any()
    value = page.locator("[data-testid=stMetricValue]").first
    value.wait_for()
    page.wait_for_timeout(500)
    first, last = (page.get_by_role("gridcell", name=f"high tom, step {step}", exact=True) for step in (1, 16))
    first.hover()
    page.mouse.down()
    box = last.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    _settled(page)
    assert value.inner_text() == str(int(bar.sum()) + 16)
    page.get_by_role("button", name="Undo").click()
    _settled(page)
    assert value.inner_text() == str(int(bar.sum()))


def test_locked_parts_stay_when_the_rest_is_filled_and_varied(page, address, folder):
    _open(page, address, "Edit")
    bar = load_gan().sample(1, seed=1)[0]
    page.get_by_role("button", name="Lock kick").click()
    page.get_by_role("button", name="Lock snare").click()
    _settled(page)
    for button in ("Fill the rest", "Vary"):
        page.get_by_role("button", name=button, exact=True).click()
        _settled(page)
        made = _bars_of(_download(page, "MIDI")[1], folder)[0]
        assert (made[:, :2] == bar[:, :2]).all()
        assert (made != bar).any()


def test_a_variation_is_small_and_every_part_has_a_lock(page, address, folder):
    _open(page, address, "Edit")
    page.get_by_role("button", name="Lock kick").wait_for()
    assert page.get_by_role("button", name=re.compile("^Lock ")).count() == 12
    bar = load_gan().sample(1, seed=1)[0]
    page.get_by_role("button", name="Vary", exact=True).click()
    _settled(page)
    made = _bars_of(_download(page, "MIDI")[1], folder)[0]
    assert (made != bar).sum() == max(1, round(0.1 * bar.sum()))


def test_a_bar_is_answered_continued_and_taken_away(page, address, folder):
    _open(page, address, "Edit")
    bar = load_gan().sample(1, seed=1)[0]
    page.get_by_role("button", name="Answer the kick").click()
    _settled(page)
    made = _bars_of(_download(page, "MIDI")[1], folder)[0]
    assert (np.delete(made, 1, 1) == np.delete(bar, 1, 1)).all()
    page.get_by_text("Continue: the bar after this one").click()
    page.get_by_role("button", name="Play tuned 1", exact=True).click()
    _is_heard(page)
    page.wait_for_function(f"{PLAYER}.place?.bar === 1")
    page.get_by_role("button", name="Stop tuned 1", exact=True).click()
    page.get_by_role("button", name="Start from tuned 2", exact=True).click()
    _settled(page)
    name, data = _download(page, "MIDI")
    assert "tuned-2" in name
    assert (_bars_of(data, folder)[0] != made).any()


def test_loops_of_others_are_heard_and_compared(page, address, folder):
    _open(page, address, "Blind test")
    page.get_by_role("radio", name="Ravula & Cao, 2019").click()
    page.get_by_text("Two loops of 2 bars").wait_for()
    page.get_by_role("button", name="Play A", exact=True).click()
    _is_heard(page)
    page.wait_for_function(f"{PLAYER}.place?.bar === 1")
    page.get_by_role("button", name="Play B", exact=True).click()
    _settled(page)
    page.get_by_role("button", name="A is better").click()
    page.get_by_text("1 chosen so far").wait_for()


def test_bars_are_asked_for_by_role_style_and_grid(page, address, folder):
    _open(page, address, count=4)
    page.get_by_role("radio", name="Fill", exact=True).click()
    page.get_by_role("button", name="Play seed 4, fill", exact=True).wait_for()
    page.get_by_role("combobox", name="Style").click()
    page.get_by_role("option", name="Funk", exact=True).click()
    page.get_by_role("button", name="Play seed 4, Funk fill", exact=True).click()
    _settled(page)
    name, data = _download(page, "MIDI")
    assert name == "seed-4-funk-fill.mid"
    assert (_bars_of(data, folder) == load_gan().with_condition("fill", "funk").sample(1, seed=4)).all()
    page.get_by_text("of real fills").wait_for()


_TIMED = """
window.heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when) {
  window.heard.push(when);
  return start.call(this, when);
};
"""


def _phases(page, period, base=0.0):
    """Where in a period, seconds from ``base`` on, most of what is heard from now on begins.

    A busy machine leaves out what is overdue, and plays what is nearly so a little late: both are few.
    """
    page.evaluate("window.heard.length = 0")
    page.wait_for_function("window.heard.length > 30")
    times = np.array(page.evaluate("window.heard"))
    phases = (times - base + 1e-3) % period - 1e-3
    place, count = np.unique(np.rint(phases * 500), return_counts=True)
    return [np.median(phases[np.rint(phases * 500) == each]) for each in place[count > len(times) / 6]]


def test_triplets_are_heard_three_a_beat_however_far_sixteenths_swing(page, address):
    """A shuffle: the ride on the first and last of each three, at 120 a minute half a second from beat to beat."""
    cells = np.zeros((12, 12), bool)
    cells[::3, 7] = cells[2::3, 7] = True
    page.add_init_script(_TIMED)
    _open(page, address, bar=Bar.of(cells, "").code, swing=66)
    page.get_by_role("button", name="Play a shared bar").first.click()
    first, second = _phases(page, 0.5)
    assert min(second - first, 0.5 - (second - first)) == pytest.approx(1 / 6, abs=1e-3)


def test_a_bar_of_triplets_comes_in_in_time_where_sixteenths_play(page, address):
    """Beats stay where they are, in seconds: sixteenths come every eighth of one, triplets every sixth."""
    sixteenths, triplets = np.zeros((16, 12), bool), np.zeros((12, 12), bool)
    sixteenths[:, 7] = triplets[:, 7] = True

    def play(name, cells):
        words = [int(word) for word in bars_to_words(cells[None])[0]]
        page.evaluate(f"{PLAYER}.play('{name}', [{{words: {words}}}])")
        page.wait_for_timeout(300)  # what was scheduled before

    page.add_init_script(_TIMED)
    _open(page, address)
    page.get_by_role("button", name="Play seed 1", exact=True).first.click()
    _is_heard(page)
    play("sixteenths", sixteenths)
    (base,) = _phases(page, 1 / 8)
    play("triplets", triplets)
    assert len(_phases(page, 1 / 6)) == 1
    # of three triplets the first is on the beat, and so on a sixteenth
    assert _phases(page, 1 / 8, base) == pytest.approx([0, 1 / 24, 1 / 12], abs=1e-3)
    play("sixteenths again", sixteenths)
    assert _phases(page, 1 / 8, base) == pytest.approx([0], abs=1e-3)


def test_a_bar_of_triplets_is_drawn_edited_and_taken_away(page, address, folder):
    _open(page, address, "Sample", grid="Triplets", count=4)
    page.get_by_role("button", name="Play seed 3, triplets", exact=True).click()
    _settled(page)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_role("gridcell", name="crash, step 12", exact=True).wait_for()
    assert page.get_by_role("gridcell").count() == 12 * 12
    bar = load_gan(grid=12).sample(1, seed=3)[0]
    page.get_by_role("gridcell", name="crash, step 12", exact=True).click()
    _settled(page)
    path = folder / "triplets.mid"
    path.write_bytes(_download(page, "MIDI")[1])
    bar[11, 8] ^= True
    assert (quantise(read_midi(path), GM12, 12).bars[0] == bar).all()
    # and a bar of sixteenths again
    page.get_by_role("tab", name="Sample").click()
    page.get_by_text("Sixteenths", exact=True).click()
    page.get_by_role("button", name="Play seed 2", exact=True).click()
    _settled(page)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_role("gridcell", name="crash, step 16", exact=True).wait_for()
    assert page.get_by_role("gridcell").count() == 16 * 12


def test_a_phrase_plays_as_one_and_is_taken_away(page, address, folder):
    _open(page, address, "Phrase", bpm=200)
    page.get_by_role("button", name="Play all 4 bars").click()
    _is_heard(page)
    page.wait_for_function(f"{PLAYER}.place?.bar === 2")
    assert page.locator("article.card .head").evaluate_all("all => all.map(each => each.style.display)").count("") == 1
    page.get_by_role("button", name="■ Stop").click()
    name, data = _download(page, "MIDI")
    assert name == "phrase-1.mid"
    bars = _bars_of(data, folder)
    assert len(bars) == 4
    assert (bars[0] == load_gan().sample(1, seed=1)[0]).all()


def test_a_choice_is_made_after_listening_and_kept(page, address, folder):
    _open(page, address, "Blind test")
    better = page.get_by_role("button", name="B is better")
    better.wait_for()
    assert better.is_disabled()
    assert page.locator("article.card svg").count() == 0
    page.get_by_role("button", name="Play A", exact=True).click()
    _settled(page)
    assert better.is_disabled()
    page.get_by_role("button", name="Play B", exact=True).click()
    _settled(page)
    better.click()
    page.get_by_text("1 chosen so far").wait_for()
    with sqlite3.connect(folder / "votes.sqlite") as base:
        asked = "SELECT first, second, first_won, bpm FROM votes WHERE instr(first_bar, ' ') = 0"  # loops of one bar
        ((first, second, won, bpm),) = base.execute(asked).fetchall()
    base.close()
    assert {first, second} < {"real", "GAN", "prior", "steered"}
    assert (won, bpm) == (0, 120)
    page.get_by_text("Results", exact=True).click()
    page.get_by_text(re.compile(r"χ²\(1\) = 1.0")).wait_for()


def test_the_songs_are_browsed_and_compared(page, address):
    _open(page, address, "Data")
    page.get_by_role("button", name="Play bar 7, song-6").wait_for()
    page.get_by_text("Features", exact=True).click()
    page.locator("[data-testid=stVegaLiteChart]").nth(3).wait_for()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_fits_a_phone(page, address, tab):
    page.set_viewport_size({"width": 360, "height": 740})
    _open(page, address, tab)
    _settled(page)
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 360
    assert page.locator("[data-testid=stException]").count() == 0
