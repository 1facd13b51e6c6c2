"""The page in a real browser, from one tab to the next: what a visitor sees, hears and takes away."""

import base64

import numpy as np
import pytest
from browsing import PLAYER, ROOT, bars_of, download, open_tab, settled, tempo_of, wait_for_sound
from visiting import TABS

from rhythmgan.kit import GM12
from rhythmgan.midi import midi_bytes
from rhythmgan.performance import Performance, Playback

pytest.importorskip("streamlit", reason="the page needs Streamlit")
pytest.importorskip("playwright", reason="opening the page needs Playwright")

from page import models, songs

pytest_plugins = ["browsing"]

HELD = f"({PLAYER}.coming ?? {PLAYER}.loop ?? {PLAYER}.last?.loop)"


def _play(page):
    page.get_by_role("button", name="Play", exact=True).click()
    wait_for_sound(page)


def _dial(page, name):
    return page.get_by_role("slider", name=name)


def _stage_says(page):
    """What a screen reader hears of the bars of the loop in hand, from the first to the last."""
    page.locator(".stage .strip svg[role=img]").first.wait_for(state="attached")
    return page.locator(".stage .strip svg[role=img]").evaluate_all("all => all.map(each => each.ariaLabel)")


def test_the_first_screen_swings(page, address):
    page.goto(address)
    _play(page)
    (loop,) = models.sampled((33,))
    assert page.evaluate(f"{HELD}.bars") == loop.words
    first = page.evaluate(f"{PLAYER}.place.step")
    page.wait_for_function(f"{PLAYER}.place.step !== {first}", polling=20)
    page.locator("body").press("Space")
    page.wait_for_function(f"{PLAYER}.id === null && {PLAYER}.level() < 1e-3", polling=20)


def test_a_slider_that_moves_changes_the_loop_at_the_next_bar_line(page, address):
    open_tab(page, address, "Steer", seed=33, bpm=200)
    _play(page)
    before = page.evaluate(f"{PLAYER}.loop.bars")
    page.evaluate(
        f"""() => {{
        window.steps = [];
        let loop = {PLAYER}.loop.code;
        {PLAYER}.listen(() => {{
            if ({PLAYER}.loop && {PLAYER}.loop.code !== loop) {{
                loop = {PLAYER}.loop.code;
                window.steps.push({PLAYER}.place?.step);
            }}
        }});
    }}"""
    )
    for _ in range(3):
        _dial(page, "Density, onsets a bar").press("ArrowRight")
    page.get_by_text("As you asked").wait_for()
    settled(page)
    page.wait_for_function(f"{PLAYER}.coming === null && JSON.stringify({PLAYER}.loop.bars) !== '{_json(before)}'")
    after = page.evaluate(f"{PLAYER}.loop.bars")
    onsets = [np.mean([[int(word).bit_count() for word in bar] for bar in bars]) * 16 for bars in (before, after)]
    assert onsets[1] == pytest.approx(onsets[0] + 3, abs=1.01)
    assert page.get_by_text("added", exact=True).first.is_visible()
    # it came in where a bar ends: the step that is heard then is among the last, or the first
    assert set(page.evaluate("window.steps")) <= {14, 15, 0, 1, 2}


def test_dials_tell_one_move_at_a_time_and_the_latest_as_soon_as_it_is_answered(chrome):
    """The script alone, answered by hand: of quick moves the first is told, then the last of each dial."""
    blank = chrome.new_page()
    script = (ROOT / "demo/page/web/dials.js").read_text(encoding="utf-8")
    blank.set_content("<div class=dials></div>")
    blank.add_script_tag(content=script.replace("export default function", "window.mount = function"))
    blank.evaluate("""() => {
        window.said = [];
        const usual = { low: 0, high: 20, step: 1, said: "", ends: ["", ""], help: "" };
        window.give = (answered, values) => window.mount({
            data: {
                answered,
                dials: Object.entries(values).map(([name, value]) => ({ ...usual, name, label: name, value })),
            },
            parentElement: document.body,
            setTriggerValue: (event, value) => window.said.push(value),
        });
        window.seen = () => [...document.querySelectorAll("input")].map((each) => Number(each.value));
        window.move = (name, value) => {
            const input = document.getElementById(`dial-${name}`);
            input.value = value;
            input.dispatchEvent(new Event("input"));
        };
        give(0, { density: 5, closeness: 2 });
    }""")
    for name, value in (("density", 6), ("density", 7), ("closeness", 3), ("density", 8)):
        blank.evaluate("([name, value]) => move(name, value)", [name, value])
    assert blank.evaluate("said") == [{"number": 1, "values": {"density": 6}}]
    blank.evaluate("give(0, { density: 5, closeness: 2 })")  # an answer to something else
    assert (len(blank.evaluate("said")), blank.evaluate("seen()")) == (1, [8, 3])
    blank.evaluate("give(1, { density: 6, closeness: 2 })")
    assert blank.evaluate("said.slice(1)") == [{"number": 2, "values": {"density": 8, "closeness": 3}}]
    assert blank.evaluate("seen()") == [8, 3]
    blank.evaluate("give(2, { density: 8, closeness: 4 })")  # what Python says is what is seen now
    assert (len(blank.evaluate("said")), blank.evaluate("seen()")) == (2, [8, 4])
    blank.close()


def _json(value):
    return str(value).replace(" ", "")


def test_undo_and_redo_work_on_every_tab(page, address):
    open_tab(page, address, "Edit", seed=7)
    page.get_by_role("button", name="Vary").wait_for()
    first = _stage_says(page)
    page.get_by_role("button", name="Vary").click()
    settled(page)
    varied = _stage_says(page)
    assert varied != first
    for tab in ("Steer", "Sample"):
        page.get_by_role("tab", name=tab).click()
        settled(page)
        page.locator("body").press("Control+z")
        settled(page)
        assert _stage_says(page) == first
        page.locator("body").press("Control+Shift+z")
        settled(page)
        assert _stage_says(page) == varied


def test_a_link_leads_to_its_loop_and_an_old_one_to_its_bar(page, address, chrome):
    open_tab(page, address, seed=8)
    page.get_by_role("button", name="Play seed 9", exact=True).click()
    page.wait_for_url("**loop=2.**")
    settled(page)
    nine = np.zeros((16, 9), bool)
    nine[[0, 8], 0] = nine[[4, 12], 1] = True
    old = base64.urlsafe_b64encode(np.packbits(nine)).decode()
    with chrome.new_context() as other:
        visitor = other.new_page()
        visitor.goto(page.url)
        visitor.get_by_text("a shared loop").first.wait_for()
        assert _stage_says(visitor) == _stage_says(page)
        visitor.goto(f"{address}/?bar={old}")
        visitor.get_by_text("a shared loop").first.wait_for()
        (said,) = _stage_says(visitor)
        assert "kick on 1 9" in said
        assert "snare on 5 13" in said


def test_every_step_of_trapgenerators_page_is_in_the_sample_tab(page, address, folder):
    """Theirs: generate, wait, a player with its position, 50 to 200 beats a minute, download, generate another."""
    open_tab(page, address)
    page.get_by_role("button", name="Surprise me").click()  # generate
    page.wait_for_function("document.querySelector('input[aria-label=Seed]').value !== '33'")  # wait
    settled(page)
    seed = page.locator("input[aria-label='Seed']").input_value()
    _play(page)
    for step in (3, 9):
        page.wait_for_function(f"{PLAYER}.place?.step === {step}", polling=5, timeout=60_000)
        page.locator(".stage .cell.heard").first.wait_for(state="attached")  # the position
    for typed, bpm in (("10", 30), ("500", 300)):
        tempo = page.get_by_role("spinbutton", name="Tempo")
        tempo.fill(typed)
        tempo.press("Enter")
        settled(page)
        name, data = download(page, "MIDI")
        assert tempo_of(data) == pytest.approx(bpm, rel=1e-3)
    assert name == f"seed-{seed}.mid"
    np.testing.assert_array_equal(bars_of(data, folder), models.sampled((int(seed),))[0].cells)
    page.get_by_role("button", name="More").first.click()  # generate another
    settled(page)
    assert page.locator("input[aria-label='Seed']").input_value() == str(int(seed) + 7)


def test_a_file_of_several_bars_plays_in_its_order_before_and_after(page, address, tmp_path):
    bars = models.generator().sample(4, seed=41)
    played = Performance.of(bars, GM12, np.where(bars, 64, 0), np.where(bars, 0.125, 0))
    path = tmp_path / "My Loop.mid"
    path.write_bytes(midi_bytes(played, Playback(113)))
    open_tab(page, address, begin="Your file")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("4 bars in hand").wait_for()
    settled(page)
    _play(page)
    words = page.evaluate(f"{PLAYER}.loop.bars")
    powers = 1 << np.arange(11, -1, -1)
    assert words == (bars @ powers).tolist()
    assert set(np.ravel(page.evaluate(f"{PLAYER}.loop.velocities"))) == {0, 64}
    for bar in (1, 2, 3, 0):
        page.wait_for_function(f"{PLAYER}.place?.bar === {bar}", polling=20, timeout=60_000)
    name, data = download(page, "MIDI")
    assert (name, data) == ("my-loop.mid", midi_bytes(played, Playback(113)))
    page.get_by_role("tab", name="Edit").click()
    page.get_by_role("button", name="Vary").click()
    page.wait_for_function(f"JSON.stringify({HELD}.bars) !== '{_json(words)}'", timeout=60_000)
    after = page.evaluate(f"{HELD}")
    assert len(after["bars"]) == 4
    cells = (np.array(after["bars"])[..., None] & powers) > 0
    velocities = np.array(after["velocities"]).reshape(cells.shape)
    assert (velocities[cells & bars] == 64).all()


def test_a_file_that_cannot_be_read_gets_a_line(page, address, tmp_path):
    open_tab(page, address, begin="Your file")
    (tmp_path / "broken.mid").write_bytes(b"nonsense")
    page.locator("input[type=file]").set_input_files(tmp_path / "broken.mid")
    page.get_by_text("Another file?").wait_for()


def test_a_textbook_pattern_plays_at_a_touch(page, address):
    open_tab(page, address, begin="Textbook")
    name, cells = next(iter(next(iter(songs.presets().values())).items()))
    page.get_by_role("button", name=f"Play {name}", exact=True).click()
    wait_for_sound(page)
    assert page.evaluate(f"{PLAYER}.loop.bars[0]") == (cells @ (1 << np.arange(11, -1, -1))).tolist()


def test_favourites_survive_a_reload_and_are_nobody_elses(page, address, chrome):
    open_tab(page, address, seed=3)
    page.get_by_role("button", name="Keep seed 5", exact=True).click()
    page.get_by_text("Favourites (1)").wait_for()
    page.reload()
    page.get_by_text("Favourites (1)").click()
    page.get_by_role("button", name="Do not keep seed 5", exact=True).last.wait_for()
    with chrome.new_context() as other:
        visitor = other.new_page()
        visitor.goto(address)
        visitor.get_by_text("Favourites (0)").wait_for()


def test_what_plays_goes_on_from_tab_to_tab(page, address):
    open_tab(page, address, "Morph", seed=3)
    _play(page)
    code = page.evaluate(f"{PLAYER}.loop.code")
    for tab in ("Edit", "Sample", "Steer"):
        page.get_by_role("tab", name=tab).click()
        settled(page)
        assert page.evaluate(f"[{PLAYER}.id, {PLAYER}.loop.code]") == ["hand", code]


def test_the_songs_are_browsed_and_compared(page, address):
    open_tab(page, address, "Data")
    page.get_by_text("song-6").first.wait_for()
    page.get_by_text("Features", exact=True).click()
    page.locator("[data-testid=stVegaLiteChart]").nth(3).wait_for()


RESULTS = {"Blind test": ".blind", "Data": ".cards"} | dict.fromkeys(
    ("Sample", "Steer", "Morph", "Edit"), ".stage .grid"
)


@pytest.mark.parametrize("tab", TABS)
def test_a_phone_shows_the_result_of_every_tab_and_the_transport_without_scrolling(phone, address, tab):
    open_tab(phone, address, tab)
    result = phone.locator(RESULTS[tab]).first
    result.wait_for()
    settled(phone)
    seen = result.bounding_box()
    transport = phone.locator(".st-key-transport").bounding_box()
    assert transport["y"] + transport["height"] <= 845
    if tab in ("Blind test", "Data"):
        assert seen["y"] < 0.5 * transport["y"]
    else:
        assert seen["y"] >= 0
        assert seen["y"] + seen["height"] <= transport["y"]
    wide = phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 390
    assert phone.locator("[data-testid=stException]").count() == 0


def test_the_controls_of_steer_are_seen_beside_its_result_on_a_phone(phone, address):
    open_tab(phone, address, "Steer")
    density = _dial(phone, "Density, onsets a bar")
    density.wait_for()
    settled(phone)
    transport = phone.locator(".st-key-transport").bounding_box()
    box = density.bounding_box()
    assert box["y"] + box["height"] <= transport["y"]


def _swipe(page, start, way):
    """A finger that goes from a place by (x, y), in ten steps."""
    cdp = page.context.new_cdp_session(page)
    at = [{"x": start[0], "y": start[1]}]
    cdp.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
    for step in range(1, 11):
        at = [{"x": start[0] + way[0] * step / 10, "y": start[1] + way[1] * step / 10}]
        cdp.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at})
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_scrolls_over_a_slider_and_moves_it_sideways(phone, address):
    open_tab(phone, address, "Steer")
    density = _dial(phone, "Density, onsets a bar")
    density.wait_for()
    settled(phone)
    before = density.input_value()
    box = density.bounding_box()
    right = (box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    _swipe(phone, right, (0, -250))
    phone.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 50")
    settled(phone)
    assert density.input_value() == before
    phone.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")  # from below the stage
    settled(phone)
    box = density.bounding_box()
    _swipe(phone, (box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2), (0.35 * box["width"], 0))
    phone.get_by_text("added").first.wait_for()
    assert int(density.input_value()) > int(before)


def test_back_in_the_browser_takes_back_what_was_in_hand(page, address):
    open_tab(page, address, "Edit", seed=7)
    page.get_by_role("button", name="Vary").click()
    settled(page)
    once = _stage_says(page)
    page.get_by_role("button", name="Vary").click()
    settled(page)
    assert _stage_says(page) != once
    page.go_back()
    settled(page)
    assert _stage_says(page) == once
