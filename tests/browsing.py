"""The page in a real browser: fixtures of a served page and of a visitor, and what visitors do.

A module of tests takes the fixtures in by ``pytest_plugins = ["browsing"]``, and imports the functions.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12
from rhythmgan.midi_reader import read_midi

ROOT = Path(__file__).resolve().parent.parent
PLAYER = "window.rhythmganPlayer"

_LISTENED = """
window.heard = { sent: 0, received: 0 };
window.WebSocket = class extends WebSocket {
  constructor(...where) {
    super(...where);
    this.addEventListener("message", () => (window.heard.received = performance.now()));
  }
  send(message) {
    window.heard.sent = performance.now();
    super.send(message);
  }
};
"""
"""When the page last told its server something, and last heard of it."""

_IS_QUIET = """() => {
  const { sent, received } = window.heard;
  const { testScriptState } = document.querySelector("[data-testid=stApp]")?.dataset ?? {};
  return testScriptState === "notRunning" && received >= sent && performance.now() - received > 300;
}"""
"""The server has answered what it was told last, a moment ago: the page shows it."""


@pytest.fixture(scope="session")
def script():
    """benchmarks/page.py: how to serve and open the page."""
    pytest.importorskip("streamlit", reason="the page needs Streamlit")
    pytest.importorskip("playwright", reason="opening the page needs Playwright")
    spec = importlib.util.spec_from_file_location("benchmark_page", ROOT / "benchmarks" / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.chromium() is None:
        pytest.skip("there is no Chromium on this machine")
    return module


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where tests in a browser keep their files; the page's corpus and votes are there as well."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def chrome(script):
    """Headless Chromium."""
    with script.browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def address(script, folder):
    """The page of three songs, of which the first has most bars; their bars are the generator's.

    It is served once for all tests of a process.
    """
    from rhythmgan.models.gan import load_gan

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
    """A new visitor at a desktop, whose page may not fail, nor ask anybody else for anything."""
    yield from _visit(chrome, address, viewport={"width": 1280, "height": 1000})


@pytest.fixture
def phone(chrome, address):
    """The same with a phone in dark."""
    yield from _visit(chrome, address, viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")


def _visit(chrome, address, **device):
    context = chrome.new_context(accept_downloads=True, **device)
    opened = context.new_page()
    wrong = watched(opened, address)
    yield opened
    context.close()
    assert wrong == []


def watched(page, address):
    """A list that grows when the page fails, complains on its console or asks somebody else for something."""
    wrong = []
    page.add_init_script(_LISTENED)
    page.on("pageerror", lambda error: wrong.append(f"error {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(f"asked {asked.url}") if _outside(asked.url, address) else None)
    page.set_default_timeout(20_000)
    return wrong


def _outside(url, address):
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def open_tab(page, address, tab="Sample", **more):
    """Open the page on a tab; ``more`` is what else the address says."""
    query = "&".join(f"{name}={value}" for name, value in {"tab": tab, **more}.items())
    page.goto(f"{address}/?{query}")
    page.get_by_role("tab", name=tab).wait_for()


def settled(page):
    """Wait for the answer to what was just done, however busy the machine is."""
    page.evaluate(
        "new Promise(done => setTimeout(done, 400))"
    )  # what the page tells later than it happens, it has told
    page.wait_for_function(_IS_QUIET, polling=50)


def download(page, name):
    """Press the first button of a name; returns name and content of the file that comes."""
    with page.expect_download() as coming:
        page.get_by_role("button", name=name).first.click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def bars_of(data, folder):
    """The bars (n, steps, parts) of a MIDI file's content, on sixteenths."""
    path = folder / "read.mid"
    path.write_bytes(data)
    return quantise(read_midi(path), GM12).bars


def tempo_of(data):
    """Beats a minute that a MIDI file says, by the bytes of its tempo event."""
    place = data.index(b"\xff\x51\x03") + 3
    return 60_000_000 / int.from_bytes(data[place : place + 3], "big")


def wait_for_sound(page):
    """Wait until the root mean square of what leaves the player is no silence."""
    # a busy machine leaves out what it is late for, and may need several rounds of the loop
    page.wait_for_function(f"{PLAYER}.level() > 0.02", polling=30, timeout=60_000)
