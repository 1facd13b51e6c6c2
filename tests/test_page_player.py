"""The player and the transport in a browser: what sounds when, what is said of it, and what is sent to Python.

Most tests give the player a sound system of their own, whose clock they turn by hand: nothing depends on the machine.
"""

import base64
import json
import re
import struct

import numpy as np
import pytest
from hypothesis import given

pytest.importorskip("streamlit", reason="the page needs Streamlit")
pytest.importorskip("playwright", reason="opening the page needs Playwright")

from browsing import PLAYER, ROOT, open_tab, settled, wait_for_sound
from visiting import ANYTHING, component, drawn, press, send, shown, visit

from page import session, transport
from page.loop import KIT, Loop
from rhythmgan.performance import Performance, Playback, accents
from rhythmgan.sound import CHOKE, KNEE, NEVER, render, sounding
from rhythmgan.synth import RATE, SOUNDS, one_shots

pytest_plugins = ["browsing"]

WEB = ROOT / "demo" / "page" / "web"
KICK, SNARE, CLOSED, OPEN, RIDE, BELL = 0, 1, 2, 3, 7, 11
SETTINGS = {
    "bpm": 120,
    "swing": 0.5,
    "feel": "own",
    "sounds": "acoustic",
    "metronome": False,
    "countIn": False,
}
BEGINS = 0.06
"""Seconds from the play button to the first bar line."""

_SOUND_SYSTEM = """
window.audio = { time: 0, started: [], ticks: new Map(), frames: [], hidden: false, stalls: false };
class Param {
  constructor(value) { this.value = value; this.events = []; }
  setTargetAtTime(value, time) { this.value = value; }
  setValueCurveAtTime(curve, time, seconds) {
    if (this.events.some((event) => time < event.time + event.seconds)) throw new Error("two curves at once");
    this.events.push({ curve: [...curve], time, seconds });
  }
  cancelScheduledValues(time) { this.events = this.events.filter((event) => event.time + event.seconds < time); }
}
class Place { connect(to) { this.to = to; return to; } disconnect() { this.to = null; } }
window.AudioContext = class extends EventTarget {
  constructor() { super(); this.state = "running"; audio.context = this; }
  get currentTime() { return audio.time; }
  resume() { this.state = "running"; this.dispatchEvent(new Event("statechange")); return Promise.resolve(); }
  getOutputTimestamp() { return { contextTime: audio.time, performanceTime: 5000 + 1000 * audio.time }; }
};
window.AudioBuffer = class {
  constructor({ length, sampleRate, numberOfChannels = 1 }) {
    Object.assign(this, { length, sampleRate, numberOfChannels, duration: length / sampleRate });
    this.channels = Array.from({ length: numberOfChannels }, () => new Float32Array(length));
  }
  getChannelData(side) { return this.channels[side]; }
};
window.GainNode = class extends Place { constructor(_, { gain = 1 } = {}) { super(); this.gain = new Param(gain); } };
window.WaveShaperNode = window.AnalyserNode = class extends Place { fftSize = 2048; };
window.AudioBufferSourceNode = class extends Place {
  constructor(_, { buffer }) { super(); this.buffer = buffer; }
  start(when) { this.when = when; audio.started.push(this); }
  stop() { this.stopped = true; }
};
window.setInterval = (work) => { audio.ticks.set(work, work); return work; };
window.clearInterval = (work) => audio.ticks.delete(work);
window.requestAnimationFrame = (work) => { audio.frames.push(work); return work; };
window.cancelAnimationFrame = (work) => { audio.frames = audio.frames.filter((each) => each !== work); };
Object.defineProperty(document, "hidden", { get: () => audio.hidden });
// turns the clock on, with what a browser does meanwhile
audio.advance = (seconds, tick = 0.025) => {
  const until = audio.time + seconds;
  while (audio.time < until - 1e-9) {
    audio.time = Math.min(audio.time + tick, until);
    for (const work of audio.ticks.values()) work();
    for (const work of audio.frames.splice(0)) work();
  }
};
// [part, when, gain, when it is silenced or null, sounds], of a click the part is -1 or -2
audio.heard = () => audio.started.filter((each) => !each.stopped).map(({ buffer, when, to }) => {
  if (buffer.numberOfChannels === 1) return [buffer.channels[0][15] < 0 ? -1 : -2, when, 1, null, ""];
  return [buffer.length % 1000, when, to.gain.value, to.gain.events[0]?.time ?? null, buffer.sampleRate];
}).sort((a, b) => a[1] - b[1] || a[0] - b[0]);
"""

_PORT = """
window.sent = [];
window.asked = 0;
window.outputs = new Map([["p1", { id: "p1", name: "Drums", send: (bytes, at) => sent.push([at ?? null, ...bytes]) }]]);
navigator.requestMIDIAccess = () => { asked += 1; return Promise.resolve({ outputs }); };
"""


def _kit(sounds="acoustic", rate=RATE):
    """A kit as the player takes it, of buffers that are told apart by their length."""
    lengths = [5000 + part for part in range(12)]
    lengths[OPEN] = 300_003  # longer than any gap in a test
    head = json.dumps(
        {"sounds": sounds, "rate": rate, "lengths": lengths, "knee": KNEE, "choke": CHOKE / RATE}
    ).encode()
    return struct.pack("<I", len(head)) + head + bytes(4 * sum(lengths))


def _load(page, data):
    page.evaluate(
        "text => player.load(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)))",
        base64.b64encode(data).decode(),
    )


@pytest.fixture
def bare(chrome):
    """Opens an empty page with the player and the transport's script, in no need of a server."""
    contexts = []
    wrong = []

    def open_page(*scripts, width=1280, kits=None):
        context = chrome.new_context(viewport={"width": width, "height": 844})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        for script in scripts:
            page.add_init_script(script)
        page.route(
            "**/*",
            lambda route: route.fulfill(
                content_type="text/html",
                body="<!doctype html><html lang=en><title>player</title><body><div id=at></div><input id=text>"
                "<button id=other>other</button><button id=cell role=gridcell>cell</button>",
            ),
        )
        page.goto("http://localhost/")
        code = "\n".join(
            (WEB / f"{name}.js").read_text(encoding="utf-8") for name in ("player", "drawing", "transport")
        )
        page.add_script_tag(content=code.replace("export default function", "window.mount = function"))
        for kit in [_kit()] if kits is None else kits:
            _load(page, kit)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def turned(bare):
    """The player with a sound system whose clock is turned by hand."""
    return bare(_SOUND_SYSTEM)


def _loop(*cells, steps=16, n_bars=1, name="loop"):
    """A loop of (bar, step, part) or (bar, step, part, velocity, offset), as it is sent."""
    bars = np.zeros((n_bars, steps, 12), bool)
    velocities = np.tile(accents(steps)[:, None], (n_bars, 1, 12)).astype(int)
    offsets = np.zeros(bars.shape)
    for bar, step, part, *own in cells:
        bars[bar, step, part] = True
        if own:
            velocities[bar, step, part], offsets[bar, step, part] = own
    return Loop.of(Performance.of(bars, KIT, velocities, offsets), name).sent


def _every(step, *parts, n_bars=1):
    cells = ((bar, at, part) for bar in range(n_bars) for at in range(0, 16, step) for part in parts)
    return _loop(*cells, n_bars=n_bars)


def _near(seconds):
    """These times, to a sample."""
    return pytest.approx(seconds, abs=2.5e-5)


def _wait(page, true):
    """Until an expression is true; the frames of a page may be turned by hand, so they are not waited for."""
    page.wait_for_function(true, polling=20)


def _play(page, loop, identity="hand", **settings):
    page.evaluate("settings => player.set(settings)", SETTINGS | settings)
    page.evaluate("([id, loop]) => player.play(id, loop)", [identity, loop])


def _call(page, name, loop, identity="hand"):
    page.evaluate(f"([id, loop]) => player.{name}(id, loop)", [identity, loop])


def _advance(page, seconds, tick=0.025):
    page.evaluate("([seconds, tick]) => audio.advance(seconds, tick)", [seconds, tick])


def _heard(page):
    """(part, seconds from the first bar line, gain, seconds at which it is silenced) of all that was scheduled."""
    rows = page.evaluate("audio.heard()")
    return [(part, when - BEGINS, gain, until and until - BEGINS) for part, when, gain, until, _ in rows]


def _times(page, *parts):
    return [when for part, when, *_ in _heard(page) if part in parts]


# -- the table -----------------------------------------------------------------------------------------


def _random_loop(random):
    steps = int(random.choice([12, 16]))
    bars = random.random((random.integers(1, 9), steps, 12)) < random.choice([0.05, 0.2, 0.5])
    bars[..., [CLOSED, OPEN]] = random.random((*bars.shape[:2], 2)) < 0.25
    velocities = random.integers(1, 128, bars.shape) if random.random() < 0.8 else None
    offsets = random.integers(-1000, 1001, bars.shape) / 2000 if random.random() < 0.7 else None
    return Loop.of(Performance.of(bars, KIT, velocities, offsets), "random")


def test_the_players_table_is_that_of_the_files(turned):
    """Of loops of 1 to 8 bars in both grids, with hats that silence each other, also across the loop's end."""
    random = np.random.default_rng(19)
    asked, expected = [], []
    for _ in range(60):
        loop = _random_loop(random)
        bpm, swing = float(np.round(random.uniform(50, 200), random.integers(0, 4))), random.integers(50, 71) / 100
        feel = random.choice(["own", "accents"])
        asked.append([loop.sent, {"bpm": bpm, "swing": swing, "feel": feel}])
        played = loop.performance if feel == "own" else Performance.of(loop.cells, KIT)
        rows = sounding(played, Playback(bpm, 0.5 if loop.steps == 12 else swing))
        expected.append(
            [
                {
                    "bar": bar,
                    "step": step,
                    "part": part,
                    "velocity": velocity,
                    "time": start / RATE,
                    "until": None if until == NEVER else until / RATE,
                }
                for bar, step, part, velocity, start, until in zip(*(each.tolist() for each in rows), strict=True)
            ]
        )
    found = turned.evaluate("all => all.map(([loop, settings]) => player.table(loop, settings))", asked)
    assert found == expected
    silenced = [row["until"] for rows in expected for row in rows if row["until"] is not None]
    assert len(silenced) > 100
    wrapped = [
        rows
        for rows, (loop, to) in zip(expected, asked, strict=True)
        if any(row["until"] is not None and row["until"] >= len(loop["bars"]) * 240 / to["bpm"] for row in rows)
    ]
    assert len(wrapped) > 10


def test_the_table_by_hand(turned):
    """At 60 a minute, swing .6: the second sixteenth of an eighth lies .3 s after the first, the third at .5."""
    loop = _loop((0, 1, OPEN, 100, 0.5), (0, 2, CLOSED, 50, -0.5), (1, 0, KICK, 127, -0.2), n_bars=2)
    rows = turned.evaluate("loop => player.table(loop, {bpm: 60, swing: .6, feel: 'own'})", loop)
    assert [(row["part"], row["velocity"], row["time"], row["until"]) for row in rows] == [
        (OPEN, 100, 0.4, 8.4),  # with the hat of this round, not later: silenced in the next
        (CLOSED, 50, 0.4, None),
        (KICK, 127, pytest.approx(4 - 0.2 * 0.2, abs=1e-9), None),
    ]
    rows = turned.evaluate("loop => player.table(loop, {bpm: 60, swing: .6, feel: 'accents'})", loop)
    assert [(row["part"], row["velocity"], row["time"]) for row in rows] == [(3, 76, 0.3), (2, 88, 0.5), (0, 112, 4)]


def test_a_cell_that_has_no_velocity_yet_has_an_accent(turned):
    loop = _loop((0, 4, SNARE, 33, 0))
    loop["bars"][0][6] |= 1 << 11  # a kick, drawn by hand
    rows = turned.evaluate("loop => player.table(loop, {bpm: 60, swing: .5, feel: 'own'})", loop)
    assert [(row["part"], row["velocity"]) for row in rows] == [(SNARE, 33), (KICK, 88)]


# -- what is heard -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_what_is_heard_is_the_table_round_after_round(turned, seed):
    random = np.random.default_rng(seed)
    loop = _random_loop(random).sent
    settings = {"bpm": float(random.integers(70, 190)), "swing": 0.5 + seed / 30, "feel": "own"}
    rows = turned.evaluate("([loop, settings]) => player.table(loop, settings)", [loop, settings])
    length = len(loop["bars"]) * 240 / settings["bpm"]
    _play(turned, loop, **settings)
    _advance(turned, 2.5 * length)
    until = turned.evaluate("audio.time") - BEGINS
    found = [row for row in _heard(turned) if row[1] < until]
    expected = []
    for later in (0, length, 2 * length):
        for row in rows:
            if row["time"] + later < until:
                silenced = None if row["until"] is None else row["until"] + later
                expected.append((row["part"], row["time"] + later, (row["velocity"] / 127) ** 1.5, silenced))
    assert len(found) == len(expected)
    for one, other in zip(sorted(found), sorted(expected), strict=True):
        assert one[0] == other[0]
        assert one[1] == pytest.approx(other[1], abs=1e-6)
        assert one[2] == pytest.approx(other[2], abs=1e-6)
        if one[3] is None:  # never, or by one that is not scheduled yet
            assert other[3] is None or other[3] > until
        else:
            assert one[3] == pytest.approx(other[3], abs=2e-5)


def test_a_silenced_hat_fades_as_in_the_files(turned):
    _play(turned, _loop((0, 0, OPEN, 127, 0), (0, 8, CLOSED, 127, 0)))
    _advance(turned, 1.5)
    (event,) = turned.evaluate("audio.started[0].to.gain.events")
    assert event["time"] == _near(BEGINS + 1)
    assert event["seconds"] == CHOKE / RATE
    np.testing.assert_allclose(event["curve"], np.cos(np.linspace(0, np.pi / 2, len(event["curve"]))) ** 2, atol=1e-6)


def test_bars_do_not_drift(turned):
    """300 bars at 133.7 a minute are 538.5 s, to the millionth."""
    _play(turned, _loop((0, 0, KICK)), bpm=133.7)
    _advance(turned, 300 * 240 / 133.7, tick=0.2)
    assert _times(turned, KICK)[:301][-1] == _near(300 * 240 / 133.7)


def test_after_a_break_nothing_is_played_late(turned):
    _play(turned, _every(1, RIDE))
    _advance(turned, 1)
    before = len(_heard(turned))
    turned.evaluate("audio.time += 0.9")
    _advance(turned, 0.025)
    late = [when for when in _times(turned, RIDE)[before:] if when + BEGINS < 1.9]
    assert late == []
    assert np.diff(_times(turned, RIDE)[before:]) == _near(1 / 8)
    assert _times(turned, RIDE)[-1] * 8 % 1 == _near(0)


def test_a_hidden_page_schedules_further_ahead(turned):
    _play(turned, _every(1, RIDE))
    _advance(turned, 1)
    assert _times(turned, RIDE)[-1] < 1.25
    turned.evaluate("audio.hidden = true; document.dispatchEvent(new Event('visibilitychange'))")
    assert _times(turned, RIDE)[-1] > 2.4
    _advance(turned, 2, tick=1)  # woken once a second
    assert np.diff(_times(turned, RIDE)) == _near(1 / 8)
    # and back: nothing is played twice
    turned.evaluate("audio.hidden = false")
    _advance(turned, 3)
    assert np.diff(_times(turned, RIDE)) == _near(1 / 8)


def test_the_place_is_that_which_is_heard(turned):
    _play(turned, _every(4, KICK, n_bars=2))
    _advance(turned, BEGINS + 2 + 0.63)  # the second bar's sixth sixteenth
    place = turned.evaluate("player.place")
    assert (place["bar"], place["step"]) == (1, 5)
    turned.evaluate("player.stop()")
    assert turned.evaluate("[player.place, player.id, player.loop]") == [None, None, None]


# what was told: [steps of what sounds, bar and step of the place]
_FOLLOWED = """() => {
  window.told = [];
  player.listen(() => told.push([player.loop?.steps ?? null, player.place?.bar ?? null, player.place?.step ?? null]));
}"""


@pytest.mark.parametrize("way", ["queue", "play", "replace"])
def test_the_place_that_is_told_is_one_of_the_loop_that_is_told(turned, way):
    """Sixteenths and triplets in turn, of two bars and of one, changed at any moment."""
    loops = [_every(1, RIDE, n_bars=2), _loop(*((0, step, BELL) for step in range(12)), steps=12)]
    _play(turned, loops[0])
    turned.evaluate(_FOLLOWED)
    for change in range(1, 9):
        _advance(turned, 1.93, 0.03)
        _call(turned, way, loops[change % 2])
    _advance(turned, 2.5)
    told = turned.evaluate("told")
    assert {steps for steps, *_ in told} == {16, 12}
    assert {step for steps, _, step in told if steps == 16} == set(range(16))
    assert [each for each in told if each[0] == 12 and (each[1] or 0, each[2] or 0) > (0, 11)] == []
    assert turned.evaluate("player.place.step") in range(12 if told[-1][0] == 12 else 16)


def test_a_listener_that_fails_stops_neither_the_player_nor_other_listeners(turned):
    _play(turned, _every(1, RIDE))
    turned.evaluate(
        """() => {
            window.failed = [];
            console.error = (error) => failed.push(error.message);
            player.listen(() => { throw new Error("a bad listener"); });
        }"""
    )
    turned.evaluate(_FOLLOWED)
    _advance(turned, 1.5)
    assert [step for _, _, step in turned.evaluate("told")][-3:] == [9, 10, 11]
    assert turned.evaluate("player.place.step") == 11
    assert set(turned.evaluate("failed")) == {"a bad listener"}


def test_a_listener_may_stop_the_player(turned):
    _play(turned, _every(1, RIDE))
    turned.evaluate("() => { player.listen(() => player.place?.step === 3 && player.stop()) }")
    _advance(turned, 2)
    assert turned.evaluate("[player.id, player.place, audio.frames.length, audio.ticks.size]") == [None, None, 0, 0]


def test_stop_and_play_again(turned):
    _play(turned, _every(1, RIDE))
    _advance(turned, 1)
    turned.evaluate("player.stop()")
    n = len(_heard(turned))
    _advance(turned, 3)
    assert len(_heard(turned)) == n
    # what was scheduled goes to a gain that falls to nothing; what comes does not
    assert turned.evaluate("audio.started.at(-1).to.to.to.gain.value") == 0
    turned.evaluate("player.toggle('hand', player.last.loop)")
    _advance(turned, 1)
    assert turned.evaluate("audio.started.at(-1).to.to.to.gain.value") == 1
    times = _times(turned, RIDE)[n:]
    assert times[0] == _near(4)
    assert np.diff(times) == _near(1 / 8)
    turned.evaluate("player.toggle('hand', player.last.loop)")
    assert turned.evaluate("player.id") is None


_RECORDED = """
window.ticks = new Set();
window.setInterval = (work) => { ticks.add(work); return work; };
window.clearInterval = (work) => ticks.delete(work);
window.AudioContext = class extends OfflineAudioContext {
  constructor() { super(2, 4 * 44100, 44100); window.recorder = this; }
  goOn() { super.resume(); }
  resume() { return Promise.resolve(); } // it stands still while the player works
};
// four seconds of what the player sends out, left and right, with its scheduler called twenty times a second
window.record = async (meanwhile) => {
  for (let i = 1; i < 80; i++) {
    recorder.suspend(i / 20).then(() => { for (const work of ticks) work(); meanwhile(); recorder.goOn(); });
  }
  const sound = await recorder.startRendering();
  const bytes = new Uint8Array(new Float32Array([...sound.getChannelData(0), ...sound.getChannelData(1)]).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
};
"""


@pytest.mark.parametrize(
    ("sounds", "swing", "meanwhile"),
    [
        ("acoustic", 0.62, ""),
        ("808", 0.5, ""),
        # all that has not begun is taken back and planned anew, twenty times a second
        ("acoustic", 0.5, "player.replace('hand', structuredClone(player.loop))"),
        (
            "lo-fi",
            0.58,
            "player.play('hand', structuredClone(player.loop))",
        ),
    ],
)
def test_what_leaves_the_player_is_the_files_sound(bare, sounds, swing, meanwhile):
    """The second round of a bar of 2 s, sample for sample: choke, levels, the limiter, and what rings over the end."""
    page = bare(_RECORDED, kits=[transport._packed(sounds)])
    random = np.random.default_rng(7)
    bars = random.random((1, 16, 12)) < 0.4
    bars[0, [2, 9, 15], OPEN] = bars[0, [0, 6], CLOSED] = True
    played = Performance.of(bars, KIT, random.integers(60, 128, bars.shape), random.integers(-9, 10, bars.shape) / 20)
    level = [1.0] * 12
    level[KICK], level[RIDE] = 1.5, 0.5
    mute = [part == BELL for part in range(12)]
    page.evaluate("mix => player.setMix(mix)", {"mute": mute, "solo": [False] * 12, "level": level})
    _play(page, Loop.of(played, "bar").sent, swing=swing, sounds=sounds)
    sound = np.frombuffer(base64.b64decode(page.evaluate(f"record(() => {{ {meanwhile} }})")), "<f4").reshape(2, -1).T
    begin = round((BEGINS + 2) * RATE)
    expected = render(
        played, Playback(120, swing), sounds=sounds, levels=session.Mix(mute, [False] * 12, level).levels()
    )
    found = sound[begin : begin + 80_000]
    assert np.abs(expected).max() > KNEE
    np.testing.assert_allclose(found, expected[:80_000], atol=2e-3)
    assert np.sqrt(((found - expected[:80_000]) ** 2).mean()) < 2e-4


# -- the bar line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [0.3, 1.2, 1.9, 1.96])
def test_a_queued_loop_comes_at_the_bar_line_and_not_before(turned, when):
    """Also where it is queued after what follows the bar line was scheduled."""
    before, after = _every(2, KICK, n_bars=4), _every(2, SNARE, n_bars=4)
    _play(turned, before)
    _advance(turned, BEGINS + when)
    _call(turned, "queue", after)
    assert turned.evaluate("player.coming.bars") == after["bars"]
    assert turned.evaluate("player.loop.bars") == before["bars"]
    _advance(turned, 1.98 - when)
    assert turned.evaluate("[player.coming !== null, player.loop.bars]") == [True, before["bars"]]
    _advance(turned, 1)
    assert turned.evaluate("[player.coming, player.loop.bars]") == [None, after["bars"]]
    assert _times(turned, KICK) == _near(np.arange(0, 2, 0.25))
    assert _times(turned, SNARE)[:3] == _near([2, 2.25, 2.5])
    # it goes on in the bar that is due
    assert turned.evaluate("player.place.bar") == 1


def test_of_several_queued_loops_the_last_comes(turned):
    _play(turned, _every(2, KICK))
    for part in (SNARE, RIDE, BELL):
        _advance(turned, 0.4)
        _call(turned, "queue", _every(2, part))
    _advance(turned, 2)
    assert {part for part, *_ in _heard(turned)} == {KICK, BELL}
    assert min(_times(turned, BELL)) == _near(2)


def test_what_does_not_play_is_only_remembered(turned):
    _play(turned, _every(2, KICK), "A")
    _call(turned, "queue", _every(2, SNARE), "hand")
    _advance(turned, 4)
    assert _times(turned, SNARE) == []
    turned.evaluate("player.stop()")
    _call(turned, "queue", _every(2, SNARE), "hand")
    assert turned.evaluate("[player.id, player.last.id]") == [None, "hand"]


def test_another_loop_is_played_from_its_first_bar_at_the_bar_line(turned):
    first = _every(4, KICK, n_bars=4)
    second = _loop((0, 0, SNARE), (1, 0, RIDE), (2, 0, BELL), (3, 0, CLOSED), n_bars=4)
    _play(turned, first)
    _advance(turned, 2.7)
    _call(turned, "play", second, "other")
    assert turned.evaluate("[player.id, player.comingId]") == ["hand", "other"]
    # an answer for what is coming is coming
    second["bars"][0][4] |= 1 << 11
    _call(turned, "queue", second, "other")
    _advance(turned, 1.5)
    assert turned.evaluate("[player.id, player.comingId]") == ["other", None]
    _advance(turned, 5)
    later = [(part, round(when, 6)) for part, when, *_ in _heard(turned) if when > 3.9]
    assert later[:4] == [(SNARE, 4), (KICK, 4.5), (RIDE, 6), (BELL, 8)]


def test_an_edit_is_heard_at_once(turned):
    loop = _every(2, KICK)
    _play(turned, loop)
    _advance(turned, BEGINS + 0.55)
    edited = _loop(*((0, step, KICK) for step in (0, 2, 4, 8, 10, 12, 14)), (0, 5, SNARE), (0, 6, BELL))
    _call(turned, "replace", edited)
    assert turned.evaluate("player.loop.bars") == edited["bars"]
    _advance(turned, 1.3)
    assert _times(turned, KICK)[:5] == _near([0, 0.25, 0.5, 1, 1.25])  # that of .75 is taken back
    assert _times(turned, SNARE)[0] == _near(0.625)  # a twelfth of a second after
    assert _times(turned, BELL)[0] == _near(0.75)


def test_a_closed_hat_that_is_taken_back_lets_the_open_one_ring(turned):
    _play(turned, _loop((0, 0, OPEN, 127, 0), (0, 2, CLOSED, 127, 0)))
    _advance(turned, BEGINS + 0.1)
    assert _heard(turned)[0][3] == _near(0.25)
    _call(turned, "replace", _loop((0, 0, OPEN, 127, 0), (0, 6, CLOSED, 127, 0)))
    assert _heard(turned)[0][3] is None
    _advance(turned, 0.6)
    assert _heard(turned)[0][3] == _near(0.75)


def test_tempo_and_swing_come_at_the_next_bar_line(turned):
    _play(turned, _every(1, RIDE))
    _advance(turned, BEGINS + 1.95)
    turned.evaluate("player.set({bpm: 60, swing: 0.6})")
    _advance(turned, 3)
    times = np.array(_times(turned, RIDE))
    assert times[:17] == _near(np.arange(17) / 8)
    assert times[17:21] == _near([2.3, 2.5, 2.8, 3])


def test_the_feel_comes_at_the_next_bar_line(turned):
    _play(turned, _loop((0, 0, RIDE, 20, 0), (0, 8, RIDE, 20, 0.5)))
    turned.evaluate("player.set({feel: 'accents'})")
    _advance(turned, 4)
    found = [(when, gain) for _, when, gain, _ in _heard(turned)]
    expected = [(0, 20), (1 + 1 / 16, 20), (2, 112), (3, 100)]
    assert [when for when, _ in found][:4] == _near([when for when, _ in expected])
    assert [gain for _, gain in found][:4] == pytest.approx([(v / 127) ** 1.5 for _, v in expected], abs=1e-6)


def test_what_is_early_on_the_one_is_neither_lost_nor_doubled_where_loops_change(turned):
    early = _loop((0, 4, BELL), (0, 0, KICK, 100, 0), (1, 0, KICK, 100, -0.4), (2, 0, KICK, 100, -0.4), n_bars=3)
    plain = _loop(*((bar, 0, KICK, 90, 0) for bar in range(3)), n_bars=3)
    _play(turned, early)
    _advance(turned, BEGINS + 1)
    _call(turned, "queue", plain)  # of which the kick at 2 s was heard early
    _advance(turned, 2)
    _call(turned, "queue", early)  # of which the kick at 4 s is not early, as the bar before was another's
    _advance(turned, 2)
    assert _times(turned, KICK)[:3] == _near([0, 2 - 0.4 / 8, 4])
    assert len([when for when in _times(turned, KICK) if when < 5]) == 3


def test_a_loop_of_another_grid_comes_in_in_time(turned):
    _play(turned, _every(1, RIDE), swing=0.6)
    _advance(turned, 1)
    _call(turned, "queue", _loop(*((0, step, BELL) for step in range(12)), steps=12))
    _advance(turned, 3.2)
    assert _times(turned, BELL)[:13] == _near(2 + np.arange(13) / 6)
    _call(turned, "replace", _every(4, KICK))
    _advance(turned, 2)
    assert {round(when % 0.5, 6) for when in _times(turned, KICK)} <= {0, 0.5}


def test_whatever_is_changed_nothing_is_doubled_or_lost(turned):
    """Settings and the mix are turned at any moment: the rides go on, every eighth of a second."""
    _play(turned, _every(1, RIDE, n_bars=2))
    random = np.random.default_rng(4)
    for _ in range(120):
        _advance(turned, float(random.uniform(0, 0.2)), 0.01)
        turned.evaluate(
            random.choice(
                [
                    "player.set({metronome: !player.settings.metronome})",
                    "player.set({countIn: !player.settings.countIn})",
                    "player.set({sounds: '808'})",
                    "player.replace('hand', structuredClone(player.loop))",
                    "player.queue('hand', structuredClone(player.loop))",
                    "player.play('hand', structuredClone(player.loop))",
                    "player.setMix(player.mix())",
                ]
            )
        )
    times = _times(turned, RIDE)
    assert times == _near(np.arange(len(times)) / 8)
    clicks = sorted(set(_times(turned, -1, -2)))
    assert len(clicks) == len(_times(turned, -1, -2)) > 10
    assert np.abs(np.array(clicks) * 2 - np.rint(np.array(clicks) * 2)).max() < 1e-6


# -- metronome, count-in, sounds, mixer ----------------------------------------------------------------


def test_the_metronome_clicks_on_beats_and_otherwise_on_the_one(turned):
    _play(turned, _loop(), metronome=True)
    _advance(turned, 2.6)
    assert [(part, round(when, 6)) for part, when, *_ in _heard(turned)][:6] == [
        (-1, 0),
        (-2, 0.5),
        (-2, 1),
        (-2, 1.5),
        (-1, 2),
        (-2, 2.5),
    ]
    turned.evaluate("player.set({metronome: false})")
    n = len(_heard(turned))
    _advance(turned, 2)
    assert len(_heard(turned)) == n


def test_the_count_in_is_a_bar_of_clicks(turned):
    _play(turned, _every(4, KICK), bpm=100, countIn=True)
    _advance(turned, 1)
    assert turned.evaluate("[player.id, player.place]") == ["hand", None]
    _advance(turned, 3)
    assert _times(turned, -1, -2) == _near([0, 0.6, 1.2, 1.8])
    assert _times(turned, KICK)[:2] == _near([2.4, 3.0])


def test_other_sounds_are_heard_at_once_where_they_have_come(bare):
    page = bare(_SOUND_SYSTEM)
    _play(page, _every(1, RIDE))
    _advance(page, BEGINS + 0.5)
    page.evaluate("player.set({sounds: '808'})")
    _advance(page, 0.5)
    assert {rate for *_, rate in page.evaluate("audio.heard()")} == {RATE}  # its kit has not come
    _load(page, _kit("808", 22050))
    _advance(page, 0.5)
    rates = [rate for *_, rate in page.evaluate("audio.heard()")]
    assert rates == sorted(rates, reverse=True)
    assert rates.index(22050) == 9  # from the second beat on
    assert page.evaluate("audio.heard().length") == len({when for _, when, *_ in page.evaluate("audio.heard()")})


def test_a_loop_waits_for_its_kit(bare):
    page = bare(_SOUND_SYSTEM, kits=[])
    _play(page, _every(4, KICK))
    _advance(page, 1)
    assert page.evaluate("[player.id, audio.started.length]") == ["hand", 0]
    _call(page, "queue", _every(4, SNARE))
    _load(page, _kit())
    _advance(page, 1)
    assert [part for part, *_ in _heard(page)][:2] == [SNARE, SNARE]


def _gains(page):
    """Of the parts' own gains, as the last of each that sounded goes to it."""
    return page.evaluate(
        "Object.fromEntries(audio.started.filter(each => each.buffer.numberOfChannels === 2)"
        ".map(({ buffer, to }) => [buffer.length % 1000, to.to.gain.value]))"
    )


def test_mute_solo_and_level_of_parts(turned):
    _play(turned, _every(4, KICK, SNARE, RIDE))
    _advance(turned, 1)
    mix = {"mute": [False] * 12, "solo": [False] * 12, "level": [1.0] * 12}

    def mixed(**more):
        turned.evaluate("mix => player.setMix(mix)", mix | more)
        return _gains(turned)

    one = {part: [place == part for place in range(12)] for part in (KICK, SNARE)}
    level = [1.0] * 12
    level[RIDE] = 1.5
    assert mixed() == {"0": 1, "1": 1, "7": 1}
    assert mixed(mute=one[SNARE], level=level) == {"0": 1, "1": 0, "7": 1.5}
    assert mixed(solo=one[KICK]) == {"0": 1, "1": 0, "7": 0}
    assert mixed(solo=one[KICK], mute=one[KICK]) == {"0": 0, "1": 0, "7": 0}
    levels = session.Mix(one[SNARE], one[KICK], level).levels()
    found = mixed(mute=one[SNARE], solo=one[KICK], level=level)
    assert [found[str(part)] for part in (KICK, SNARE, RIDE)] == [levels[part] for part in (KICK, SNARE, RIDE)]
    # it holds for what is played after a stop as well
    turned.evaluate("player.stop(); player.play('hand', player.last.loop)")
    _advance(turned, 1)
    assert _gains(turned) == found
    assert turned.evaluate("player.mix().level[7]") == 1.5


def test_mute_solo_and_the_metronome_by_the_meter(bare):
    page = bare(kits=[transport._packed("acoustic")])
    mute = [True] + [False] * 11
    page.mouse.click(600, 600)  # a browser lets a page sound that was touched
    _play(page, _every(2, KICK))
    wait_for_sound(page)
    page.evaluate("mute => player.setMix({...player.mix(), mute})", mute)
    page.wait_for_function(f"{PLAYER}.level() === 0", polling=20)
    page.evaluate("solo => player.setMix({...player.mix(), solo})", [False, True] + [False] * 10)
    page.evaluate("mute => player.setMix({...player.mix(), mute})", [False] * 12)
    page.wait_for_function(f"{PLAYER}.level() === 0", polling=20)
    page.evaluate("solo => player.setMix({...player.mix(), solo})", mute)
    wait_for_sound(page)
    _call(page, "replace", _loop())
    page.wait_for_function(f"{PLAYER}.level() < 1e-4", polling=20)
    page.evaluate("player.set({metronome: true})")
    wait_for_sound(page)


@pytest.mark.parametrize("sounds", SOUNDS)
def test_every_kit_is_loaded_and_heard(bare, sounds):
    page = bare(kits=[transport._packed(sounds)])
    page.mouse.click(600, 600)
    _play(page, _every(2, KICK, CLOSED), sounds=sounds)
    wait_for_sound(page)


# -- MIDI ----------------------------------------------------------------------------------------------


def test_a_port_gets_notes_and_24_clocks_a_beat(bare):
    page = bare(_SOUND_SYSTEM, _PORT)
    assert page.evaluate("player.midi.outputs()") == [{"id": "p1", "name": "Drums"}]
    page.evaluate("player.midi.choose('p1')")
    mix = {"mute": [part == SNARE for part in range(12)], "solo": [False] * 12, "level": [1.0] * 11 + [0.125]}
    page.evaluate("mix => player.setMix(mix)", mix)
    loop = _loop((0, 0, KICK, 101, 0), (0, 4, SNARE, 90, 0), (1, 2, OPEN, 64, 0.25), (1, 8, BELL, 100, 0), n_bars=2)
    _play(page, loop, bpm=100)
    _advance(page, 9)
    page.evaluate("player.stop()")
    sent = page.evaluate("sent")
    begin = 5000 + 1000 * BEGINS  # on the clock of the page
    assert [row[1] for row in sent if row[1] in (0xFA, 0xFC)] == [0xFA, 0xFC]
    (start,) = (row[0] for row in sent if row[1] == 0xFA)
    assert start == pytest.approx(begin)
    clocks = np.array([row[0] for row in sent if row[1] == 0xF8])
    assert len(clocks) > 14 * 24
    np.testing.assert_allclose(clocks, begin + np.arange(len(clocks)) * 600 / 24, atol=1e-6)
    notes = [(row[2], row[3], (row[0] - begin) / 600) for row in sent if row[1] == 0x99]
    # a muted part is silent here as well; an eighth of the level is a quarter of the velocity
    assert notes[:4] == [
        (36, 101, pytest.approx(0, abs=1e-4)),
        (46, 64, pytest.approx(4.5625, abs=1e-4)),
        (56, 25, pytest.approx(6, abs=1e-4)),
        (36, 101, pytest.approx(8, abs=1e-4)),
    ]
    ends = [row for row in sent if row[1] == 0x89]
    assert [row[2] for row in ends] == [pitch for pitch, *_ in notes]


def test_notes_are_the_kits_pitches(bare):
    page = bare(_SOUND_SYSTEM, _PORT)
    page.evaluate("player.midi.outputs()")
    page.evaluate("player.midi.choose('p1')")
    _play(page, _loop(*((0, part, part) for part in range(12))))
    _advance(page, 1.7)
    assert [row[2] for row in page.evaluate("sent") if row[1] == 0x99] == KIT.pitches.tolist()


def test_a_port_follows_the_tempo_from_the_next_bar_line(bare):
    page = bare(_SOUND_SYSTEM, _PORT)
    page.evaluate("player.midi.outputs()")
    page.evaluate("player.midi.choose('p1')")
    _play(page, _every(4, KICK))
    _advance(page, 1)
    page.evaluate("player.set({bpm: 60})")
    _advance(page, 3.5)
    clocks = np.array([row[0] for row in page.evaluate("sent") if row[1] == 0xF8]) - 5060
    assert np.diff(clocks[:97]) == pytest.approx(500 / 24)
    assert np.diff(clocks[96:]) == pytest.approx(1000 / 24)
    page.evaluate("player.midi.choose(null)")
    n = page.evaluate("sent.length")
    assert page.evaluate("sent.at(-1)") == [None, 0xFC]
    _advance(page, 1)
    assert page.evaluate("sent.length") == n


# -- the transport -------------------------------------------------------------------------------------


@pytest.fixture
def mounted(bare):
    """Opens the transport on a page of its own, as Streamlit would mount it; what it says is in window.said."""

    def open_page(*scripts, width=1280, settings=None, **more):
        page = bare(*(scripts or (_SOUND_SYSTEM,)), width=width)
        page.add_style_tag(content=(WEB / "transport.css").read_text(encoding="utf-8"))
        page.add_style_tag(content="body { margin: 0 } #at { position: fixed; bottom: 0; left: 0; right: 0 }")
        page.evaluate("at.innerHTML = '<div class=transport></div>'; window.said = []")
        data = {
            "settings": {name: SETTINGS[name] for name in ("bpm", "swing", "feel", "sounds")} | (settings or {}),
            "loop": _every(4, KICK),
            "undo": True,
            "redo": False,
            "epoch": "e",
            "revision": 0,
            "moved": 0,
            "slowest": 50,
            "fastest": 200,
            "most_swing": 70,
            "sounds": [["acoustic", "Acoustic"], ["808", "808"], ["lo-fi", "Lo-fi"]],
        } | more
        page.evaluate("data => { window.data = data }", data)
        _answer(page)
        return page

    return open_page


def _answer(page, **more):
    """What Python says next."""
    page.evaluate(
        "more => { Object.assign(data, more); window.gone = mount({ data: structuredClone(data), parentElement: at,"
        " setTriggerValue: (name, value) => said.push([name, structuredClone(value)]) }) }",
        more,
    )


def _told(page, name="changed"):
    """The last that was told, once it is."""
    _wait(page, f"said.some(([each]) => each === '{name}')")
    return page.evaluate("name => said.findLast(([each]) => each === name)[1]", name)


def _tempo(page):
    return page.get_by_role("spinbutton", name="Tempo, bpm")


@pytest.mark.parametrize(("typed", "bpm"), [("93", 93), ("93,75", 93.75), ("96.5 bpm", 96.5), ("1000", 200), ("7", 50)])
def test_the_tempo_is_typed(mounted, typed, bpm):
    page = mounted()
    _tempo(page).fill(typed)
    page.keyboard.press("Enter")
    said = _told(page)
    assert (said["bpm"], said["epoch"], said["revision"]) == (bpm, "e", 1)
    assert page.evaluate("player.settings.bpm") == bpm
    assert _tempo(page).input_value() == f"{bpm:g}"


def test_what_is_no_tempo_is_put_back(mounted):
    page = mounted()
    for typed in ("fast", ""):
        _tempo(page).fill(typed)
        page.keyboard.press("Enter")
        assert _tempo(page).input_value() == "120"
    _tempo(page).fill("80")
    page.keyboard.press("Escape")
    assert _tempo(page).input_value() == "120"
    page.keyboard.press("Enter")
    assert page.evaluate("[player.settings.bpm, said.length]") == [120, 0]


def test_the_tempo_goes_up_and_down(mounted):
    page = mounted(settings={"bpm": 93.7})
    page.get_by_role("button", name="Faster").click()
    assert _tempo(page).input_value() == "94"
    _answer(page, settings=data_settings(bpm=93.7), revision=9)
    page.get_by_role("button", name="Slower").click()
    assert _tempo(page).input_value() == "93"
    _tempo(page).focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "PageUp"):
        page.keyboard.press(key)
    assert _tempo(page).input_value() == "104"
    assert page.evaluate("player.settings.bpm") == 104
    _wait(page, "said.at(-1)?.[1].bpm === 104")
    page.get_by_role("button", name="Slower").focus()
    page.keyboard.press("Enter")
    assert _tempo(page).input_value() == "103"


def data_settings(**more):
    return {name: SETTINGS[name] for name in ("bpm", "swing", "feel", "sounds")} | more


def test_a_button_that_is_held_goes_on(mounted):
    page = mounted()
    box = page.get_by_role("button", name="Faster").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    _wait(page, "player.settings.bpm >= 124")
    page.mouse.up()
    bpm = page.evaluate("player.settings.bpm")
    _wait(page, "said.length > 0")
    page.wait_for_timeout(300)
    assert page.evaluate("player.settings.bpm") == bpm
    assert _told(page)["bpm"] == bpm


def _tap(page, *times):
    for time in times:
        page.evaluate(
            "time => { const event = new KeyboardEvent('keydown', { key: 't', bubbles: true, composed: true });"
            " Object.defineProperty(event, 'timeStamp', { value: time }); document.body.dispatchEvent(event); }",
            time,
        )


def test_the_tempo_is_tapped(mounted):
    """Beats of 500, 480, 520 and 540 ms are of 510: 118 a minute. After a pause it begins anew."""
    page = mounted()
    _tap(page, 1000)
    assert page.evaluate("player.settings.bpm") == 120
    _tap(page, 1500, 1980, 2500, 3040)
    assert page.evaluate("player.settings.bpm") == round(60000 / 510)
    _tap(page, 9000)
    assert page.evaluate("player.settings.bpm") == round(60000 / 510)
    _tap(page, 9400, 9800)
    assert page.evaluate("player.settings.bpm") == 150
    _tap(page, 9810, 9820)  # too fast for any tempo
    assert page.evaluate("player.settings.bpm") <= 200
    _wait(page, "said.at(-1)?.[1].bpm === player.settings.bpm")


def test_the_tap_button_is_a_tap(mounted):
    page = mounted()
    for time in (1000, 1400, 1800):
        page.get_by_role("button", name="Tap the tempo").evaluate(
            "(button, time) => { const event = new PointerEvent('pointerdown', { bubbles: true });"
            " Object.defineProperty(event, 'timeStamp', { value: time }); button.dispatchEvent(event); }",
            time,
        )
    assert page.evaluate("player.settings.bpm") == 150


def test_swing_feel_and_sounds_are_told_and_heard(mounted):
    page = mounted()
    page.get_by_role("slider", name="Swing, %").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.get_by_text("53 %").is_visible()
    page.get_by_role("combobox", name="Feel").select_option("Straight accents")
    page.get_by_role("combobox", name="Sounds").select_option("Lo-fi")
    _wait(page, "said.at(-1)?.[1].sounds === 'lo-fi'")
    said = _told(page)
    assert {name: said[name] for name in ("bpm", "swing", "feel", "sounds")} == {
        "bpm": 120,
        "swing": 0.53,
        "feel": "accents",
        "sounds": "lo-fi",
    }
    settings = page.evaluate("player.settings")
    assert (settings["swing"], settings["feel"], settings["sounds"]) == (0.53, "accents", "lo-fi")
    page.get_by_role("button", name="Metronome").click()
    page.get_by_role("button", name="Count-in").click()
    assert page.get_by_role("button", name="Metronome").get_attribute("aria-pressed") == "true"
    assert page.evaluate("[player.settings.metronome, player.settings.countIn]") == [True, True]


def test_an_older_answer_does_not_take_back_what_was_set_since(mounted):
    page = mounted()
    page.get_by_role("combobox", name="Feel").select_option("Straight accents")
    _wait(page, "said.length === 1")
    page.get_by_role("combobox", name="Sounds").select_option("808")
    _wait(page, "said.length === 2")
    _answer(page, revision=1, settings=data_settings(feel="accents"))
    assert page.evaluate("player.settings.sounds") == "808"
    _answer(page, revision=2, settings=data_settings(feel="accents", sounds="808", bpm=77))  # an upload's tempo
    assert page.evaluate("player.settings.bpm") == 77
    assert _tempo(page).input_value() == "77"
    _answer(page, epoch="another", revision=0, settings=data_settings(bpm=66))
    assert page.evaluate("player.settings.bpm") == 66


def test_space_plays_and_stops(mounted):
    page = mounted()

    def plays():
        return page.evaluate("player.id") == "hand"

    page.locator("body").press(" ")
    assert plays()
    assert page.get_by_role("button", name="Stop", exact=True).is_visible()
    # not while something is typed
    page.locator("#text").press(" ")
    page.locator("#text").press("t")
    assert plays()
    assert page.locator("#text").input_value() == " t"
    # but a number has no blank in it: what was typed is the tempo that plays on
    _tempo(page).fill("97")
    _tempo(page).press(" ")
    assert (_tempo(page).input_value(), page.evaluate("player.settings.bpm"), plays()) == ("97", 97, False)
    _tempo(page).press(" ")
    assert plays()
    # nor where the keyboard is on a button, which is pressed by it
    page.evaluate("() => { window.clicks = 0; other.onclick = cell.onclick = () => { clicks += 1 } }")
    page.locator("#text").focus()
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert plays()
    assert page.evaluate("clicks") == 1
    # but on a cell of the grid, and on a button that was clicked by the mouse
    page.keyboard.press("Tab")
    page.keyboard.press(" ")
    assert not plays()
    assert page.evaluate("clicks") == 1
    page.locator("#other").click()
    page.keyboard.press(" ")
    page.keyboard.press(" ")
    page.keyboard.press(" ")
    assert plays()
    assert page.evaluate("clicks") == 2
    page.get_by_role("slider", name="Swing, %").focus()
    page.keyboard.press(" ")
    assert not plays()


def test_play_plays_what_is_in_hand(mounted):
    page = mounted()
    page.get_by_role("button", name="Play", exact=True).click()
    assert page.evaluate("[player.id, player.loop.code === data.loop.code]") == ["hand", True]
    page.get_by_role("button", name="Stop", exact=True).click()
    _answer(page, loop=_every(2, SNARE))
    page.get_by_role("button", name="Play", exact=True).click()
    assert page.evaluate("player.loop.code === data.loop.code")
    page.evaluate("player.stop()")
    _call(page, "replace", _every(2, BELL))  # drawn by hand, and not known to Python yet
    page.get_by_role("button", name="Play", exact=True).click()
    assert page.evaluate("player.loop.code !== data.loop.code")


def test_undo_and_redo_by_keys_and_buttons(mounted):
    page = mounted()
    page.locator("body").press("Control+z")
    page.locator("body").press("Control+Shift+Z")
    page.locator("body").press("Meta+z")
    assert _told(page, "moved") == {"epoch": "e", "moves": [[1, "undo"], [2, "redo"], [3, "undo"]]}
    _answer(page, moved=2, redo=True)
    page.get_by_role("button", name="Redo").click()
    assert _told(page, "moved")["moves"] == [[3, "undo"], [4, "redo"]]
    _answer(page, moved=4, undo=False)
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.locator("body").press("Control+y")
    assert _told(page, "moved")["moves"] == [[5, "redo"]]
    n = page.evaluate("said.length")
    page.locator("#text").fill("x")
    page.locator("#text").press("Control+z")  # is the field's
    page.locator("body").press("Control+t")
    assert page.evaluate("said.length") == n


def test_back_and_forward_are_told_as_long_as_the_transport_is_there(mounted):
    page = mounted()
    page.evaluate("() => { history.pushState({}, '', '?loop=a'); history.pushState({}, '', '?loop=b') }")
    assert page.evaluate("said") == []
    for n, way in enumerate(["back", "forward", "back"], start=1):
        page.evaluate(f"history.{way}()")
        _wait(page, f"said.length === {n}")
    assert page.evaluate("said") == [["went", 1], ["went", 2], ["went", 3]]
    _answer(page)  # is no second listener
    page.evaluate("history.forward()")
    _wait(page, "said.length > 3")
    page.evaluate("gone()")
    page.evaluate("history.back()")
    _wait(page, "!location.search.includes('b')")
    page.wait_for_timeout(100)
    assert page.evaluate("said.slice(3)") == [["went", 4]]


def test_the_keys_are_shown(mounted):
    page = mounted()
    page.evaluate(
        "player.keys.push(['Drag ↕, wheel', 'Velocity', 'In the grid'], [',  .', 'Rotate', 'In the grid'],"
        " ['1 – 8', 'Show a bar', 'In the grid'], ['A B', 'Play A, play B'], ['Space', 'Play, stop'])"
    )
    page.locator("body").press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    lines = dialog.evaluate("dialog => [...dialog.querySelectorAll('dt, dd')].map((each) => each.innerText.trim())")
    assert lines[:2] == ["Space", "Play, stop"]
    assert lines.count("Play, stop") == 1
    assert lines[-2:] == ["1 – 8", "Show a bar"]
    assert dialog.get_by_role("heading").all_inner_texts() == ["Keys", "Everywhere", "In the grid"]
    lists = dialog.locator("dl").evaluate_all("all => all.map((each) => each.children.length / 2)")
    assert lists == [6, 3]
    caps = dialog.locator("dl").last.locator("kbd").all_inner_texts()
    assert caps == ["Drag", "↕", "wheel", ",", ".", "1", "8"]
    assert dialog.locator("dt").nth(6).inner_text() == "Drag ↕, wheel"
    # what is behind it hears no keys
    page.evaluate("() => { window.keys = []; document.documentElement.onkeydown = (event) => keys.push(event.key) }")
    page.keyboard.press("m")
    assert page.evaluate("keys") == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Keys").click()
    dialog.wait_for()
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")


def test_a_narrow_page_has_the_rest_in_a_sheet(mounted):
    page = mounted(width=360)
    sheet = page.locator(".sheet")
    assert sheet.is_hidden()
    for place in page.locator(".bar > :visible").all():
        box = place.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 22
    for way in ("Slower", "Faster"):
        assert page.get_by_role("button", name=way).bounding_box()["width"] >= 32
    more = page.get_by_role("button", name="More")
    more.click()
    page.get_by_role("combobox", name="Sounds").select_option("808")
    assert _told(page)["sounds"] == "808"
    box = sheet.bounding_box()
    assert (box["x"] >= 0, box["x"] + box["width"] <= 360, box["y"] > 0) == (True, True, True)
    assert more.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert sheet.is_hidden()
    more.click()
    page.mouse.click(100, 100)
    assert sheet.is_hidden()


def test_a_suspended_sound_is_said_and_resumed_by_a_touch(mounted):
    """With the browser's own sound: as when a call comes in, or a phone is locked."""
    page = mounted(
        "const Made = AudioContext; window.AudioContext = class extends Made {"
        " constructor(options) { super(options); window.context = this; } };"
    )
    paused = page.get_by_role("button", name="Sound is paused by the browser: touch to go on")
    page.get_by_role("button", name="Play", exact=True).click()
    _wait(page, "player.place !== null")
    assert page.evaluate("player.state") == "running"
    assert paused.is_hidden()
    for touch in (paused.click, lambda: page.mouse.click(300, 300), lambda: page.locator("body").press("x")):
        page.evaluate("context.suspend()")
        paused.wait_for()
        assert page.evaluate("player.state") == "suspended"
        touch()
        paused.wait_for(state="hidden")
        _wait(page, "context.state === 'running'")
    page.evaluate("context.suspend()")
    paused.wait_for()
    page.evaluate("player.stop()")  # who does not play need not hear of it
    paused.wait_for(state="hidden")


def test_a_port_is_asked_for_only_when_the_visitor_chooses_midi(mounted):
    page = mounted(_SOUND_SYSTEM, _PORT)
    page.get_by_role("button", name="Play", exact=True).click()
    assert page.evaluate("asked") == 0
    page.get_by_role("button", name="MIDI out").click()
    ports = page.get_by_role("combobox", name="MIDI out")
    ports.wait_for()
    assert page.evaluate("asked") == 1
    assert ports.locator("option").all_inner_texts() == ["MIDI out: off", "Drums"]
    ports.select_option("Drums")
    _advance(page, 2.5)
    assert {row[1] for row in page.evaluate("sent")} == {0xFA, 0xF8, 0x99, 0x89}
    ports.select_option("MIDI out: off")
    assert page.evaluate("player.midi.chosen") is None


@pytest.mark.parametrize(
    ("ports", "says"),
    [
        ("delete Navigator.prototype.requestMIDIAccess;", "This browser has no MIDI out"),
        ("navigator.requestMIDIAccess = () => Promise.reject(new Error('no'));", "does not allow MIDI"),
        ("navigator.requestMIDIAccess = () => Promise.resolve({ outputs: new Map() });", "No MIDI port is open"),
    ],
)
def test_a_browser_without_ports_says_so(mounted, ports, says):
    page = mounted(_SOUND_SYSTEM, ports)
    page.get_by_role("button", name="MIDI out").click()
    page.get_by_role("status").get_by_text(re.compile(says)).wait_for()


# -- Python's side -------------------------------------------------------------------------------------


@given(ANYTHING)
def test_whatever_a_browser_says_the_settings_stay_right(said):
    visitor, told = session.Visitor(Loop.read(_every(4, KICK)["code"], "x")), transport._Told("e")
    valid = {"epoch": "e", "revision": 1, "bpm": 100, "swing": 0.6, "feel": "own", "sounds": "808"}
    for sent in (said, *({**valid, name: said} for name in valid)):
        transport._change(visitor, told, sent)
        transport._move(visitor, told, sent)
        transport._move(visitor, told, {"epoch": "e", "moves": said})
        transport._move(visitor, told, {"epoch": "e", "moves": [said, [said, "undo"], [1, said]]})
        assert 30 <= visitor.bpm <= 300
        assert 0.5 <= visitor.swing <= 0.7
        assert visitor.feel in ("own", "accents")
        assert visitor.sounds in SOUNDS


def test_settings_are_taken_once_and_in_order():
    visitor, told = session.Visitor(Loop.read(_every(4, KICK)["code"], "x")), transport._Told("e")
    sent = {"epoch": "e", "revision": 2, "bpm": 100.5, "swing": 0.62, "feel": "accents", "sounds": "lo-fi"}
    transport._change(visitor, told, sent)
    assert (visitor.bpm, visitor.swing, visitor.feel, visitor.sounds) == (100.5, 0.62, "accents", "lo-fi")
    for other in (
        *({"revision": 1}, {"revision": 2}, {"epoch": "f", "revision": 3}, {"revision": 3, "bpm": 301}),
        *({"revision": 3} | wrong for wrong in ({"bpm": 29.9}, {"swing": 0.49}, {"swing": 0.71}, {"sounds": "707"})),
        {"revision": 3, "feel": "mine"},
    ):
        transport._change(visitor, told, sent | {"bpm": 60} | other)
    assert (visitor.bpm, told.revision) == (100.5, 2)


def test_the_address_sets_tempo_and_swing_and_follows_them():
    app = visit(bpm="93.5", swing="60")
    settings = shown(app, "controls")["settings"]
    assert (settings["bpm"], settings["swing"]) == (93.5, 0.6)
    assert "bpm=93.5&swing=60" in shown(app, "takeaway")["query"]  # which is drawn before the transport
    told = {"epoch": shown(app, "controls")["epoch"], "revision": 1}
    send(app, "controls", "changed", settings | told | {"bpm": session.Visitor.bpm, "swing": 0.57})
    assert "bpm" not in app.query_params  # which is where the page begins
    assert app.query_params["swing"] == "57"
    assert shown(app, "controls")["revision"] == 1


def test_a_tempo_is_in_the_address_to_two_places():
    app = visit()
    told = {"epoch": shown(app, "controls")["epoch"], "revision": 1, "bpm": 93.754, "swing": 0.5}
    app = send(app, "controls", "changed", shown(app, "controls")["settings"] | told)
    assert app.query_params["bpm"] in ("93.75", ["93.75"])
    assert "swing" not in app.query_params
    assert app.session_state.visitor.bpm == 93.754


def test_moves_are_taken_once_in_order_and_of_this_session_only():
    visitor, told = session.Visitor(Loop.read(_every(4, KICK)["code"], "x")), transport._Told("e")
    visitor.past = [Loop.read(_every(step, KICK)["code"], f"{step}") for step in (1, 2, 8)]
    transport._move(visitor, told, {"epoch": "f", "moves": [[1, "undo"]]})
    assert (visitor.hand.name, told.moved) == ("x", 0)
    transport._move(visitor, told, {"epoch": "e", "moves": [[1, "undo"], [2, "undo"]]})
    assert visitor.hand.name == "2"
    transport._move(visitor, told, {"epoch": "e", "moves": [[1, "undo"], [2, "undo"], [3, "redo"]]})
    assert (visitor.hand.name, told.moved) == ("8", 3)


@pytest.mark.parametrize("value", ["fast", "nan", "1e400", "-5", "29", "301", ""])
def test_a_tempo_in_the_address_that_is_none_is_left_out(value):
    app = visit(bpm=value, swing=value)
    settings = shown(app, "controls")["settings"]
    assert (settings["bpm"], settings["swing"]) == (session.Visitor.bpm, session.Visitor.swing)


def test_undo_and_redo_are_answered():
    app = visit()
    press(app, "Surprise me")
    told = shown(app, "controls")
    assert (told["undo"], told["redo"], told["moved"]) == (True, False, 0)
    hand = told["loop"]["code"]
    send(app, "controls", "moved", {"epoch": told["epoch"], "moves": [[1, "undo"]]})
    told = shown(app, "controls")
    assert (told["undo"], told["redo"], told["moved"]) == (False, True, 1)
    assert told["loop"]["code"] != hand
    send(
        app,
        "controls",
        "moved",
        {"epoch": told["epoch"], "moves": [[1, "undo"], [2, "redo"], [3, "undo"], [4, "redo"]]},
    )
    assert shown(app, "controls")["loop"]["code"] == hand


def test_a_kit_is_sent_once():
    app = visit()
    assert component(app, "kit").proto.bytes == transport._packed("acoustic")
    app = send(app, "kit", "loaded", "acoustic")
    assert not component(app, "kit").proto.bytes
    app.session_state.visitor.sounds = "808"
    app = drawn(app.run())
    assert component(app, "kit").proto.bytes == transport._packed("808")
    app = send(app, "kit", "loaded", "808")
    for sounds in ("acoustic", "808"):
        app.session_state.visitor.sounds = sounds
        app = drawn(app.run())
        assert not component(app, "kit").proto.bytes


def test_a_packed_kit_holds_the_one_shots_of_the_files():
    data = transport._packed("808")
    (length,) = struct.unpack("<I", data[:4])
    shots = one_shots(KIT, "808")
    assert json.loads(data[4 : 4 + length]) == {
        "sounds": "808",
        "rate": 44100,
        "lengths": [len(shot) for shot in shots],
        "knee": 0.85,
        "choke": pytest.approx(256 / 44100),
    }
    samples = np.frombuffer(data[4 + length :], "<i2").reshape(-1, 2)
    np.testing.assert_allclose(samples / 32767, np.concatenate(shots), atol=0.5001 / 32767)


# -- all together, on the page -------------------------------------------------------------------------


def test_the_transport_on_the_page(page, address):
    """Tempo and swing are kept in the address, sounds are sent once each, and a step is taken back by a key."""
    kits = []
    page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda data: kits.append(1) if len(data) > 5e5 else 0)
    )
    open_tab(page, address, swing=61)
    _tempo(page).fill("97.5")
    page.keyboard.press("Enter")
    page.wait_for_url("**bpm=97.5**")
    page.locator("body").press(" ")
    wait_for_sound(page)
    settled(page)
    assert len(kits) == 1
    page.get_by_role("combobox", name="Sounds").select_option("808")
    settled(page)
    page.get_by_role("combobox", name="Sounds").select_option("Acoustic")
    settled(page)
    assert len(kits) == 2
    before = page.evaluate(f"{PLAYER}.loop.code")
    page.get_by_role("button", name="Surprise me").click()
    page.wait_for_function(f"{PLAYER}.loop.code !== '{before}'")
    page.locator("body").press("Control+z")
    page.wait_for_function(f"{PLAYER}.loop.code === '{before}'")
    page.reload()
    _tempo(page).wait_for()
    assert (_tempo(page).input_value(), page.get_by_text("61 %").is_visible()) == ("97.5", True)
    settings = page.evaluate(f"{PLAYER}.settings")
    assert (settings["bpm"], settings["swing"]) == (97.5, 0.61)


@pytest.mark.parametrize("width", [1920, 1350, 1000])
def test_the_transport_is_in_line_with_the_page(page, address, width):
    page.set_viewport_size({"width": width, "height": 900})
    open_tab(page, address)
    page.get_by_role("button", name="Play", exact=True).wait_for()
    settled(page)
    content = page.locator(".stMainBlockContainer [data-testid=stVerticalBlock]").first.bounding_box()
    play, last = (page.locator(f".transport .bar > {each}").bounding_box() for each in (".play", ".history"))
    near = 4  # half a scroll bar, which narrows the page and not the transport
    assert play["x"] == pytest.approx(content["x"], abs=near)
    if width > 1100:
        assert last["x"] + last["width"] == pytest.approx(content["x"] + content["width"], abs=2 * near)


def test_the_transport_stays_in_sight_on_a_phone(phone, address):
    open_tab(phone, address)
    play = phone.get_by_role("button", name="Play", exact=True)
    play.wait_for()
    for _ in range(2):
        box = play.bounding_box()
        assert box["y"] + box["height"] <= 844
        assert box["height"] >= 44
        phone.mouse.wheel(0, 2000)
    play.tap()
    wait_for_sound(phone)
