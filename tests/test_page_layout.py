"""Where things stand on the page: what stays in sight, what lies over what, what can be read."""

import numpy as np
import pytest
from browsing import open_tab, settled

from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM12

pytest.importorskip("streamlit", reason="the page needs Streamlit")
pytest.importorskip("playwright", reason="opening the page needs Playwright")

pytest_plugins = ["browsing"]


@pytest.fixture(scope="module")
def address(script, folder):
    """The page of one song of 80 different bars."""
    words = np.random.default_rng(0).integers(1, 1 << GM12.n_parts, (80, 16))
    song, bar = np.zeros(80, np.int32), np.arange(80, dtype=np.int32)
    save_corpus(folder / "bars.npz", Corpus.of(words, song, song, bar, ("a song",), ("a",), GM12))
    with script.served(str(folder / "bars.npz"), str(folder / "votes.sqlite")) as place:
        yield place


def _scroll(page, to):
    page.evaluate(f"document.querySelector('.stMain').scrollTo(0, {to})")
    page.wait_for_timeout(200)
    return page.evaluate("document.querySelector('.stMain').scrollTop")


def _box(page, selector):
    """Left, top, right and bottom of an element in the window."""
    side = page.locator(selector).first.evaluate(
        "e => (({left, top, right, bottom}) => [left, top, right, bottom])(e.getBoundingClientRect())"
    )
    return [round(each) for each in side]


_FOCUSED = """() => {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  const { top, bottom } = found.getBoundingClientRect();
  const room = document.activeElement.closest(".st-key-stage, .st-key-transport, .st-key-panel, .st-key-takeaway-row");
  return [room?.className.match(/st-key-([a-z-]+)/)[1] ?? "", top, bottom];
}"""
"""In which part of the page the element that has the focus is, and its top and bottom."""


@pytest.mark.parametrize(("device", "tab"), [("page", "Sample"), ("phone", "Sample"), ("phone", "Steer")])
def test_the_grid_is_in_sight_wherever_a_panel_is_scrolled(device, tab, request, address):
    page = request.getfixturevalue(device)
    page.set_viewport_size({**page.viewport_size, "height": 844})
    open_tab(page, address, tab)
    settled(page)
    assert _scroll(page, 300) > 100
    cells = page.get_by_role("gridcell")
    for cell in (cells.first, cells.last):
        # at the middle of the cell lies the cell, nothing else
        assert cell.evaluate(
            """cell => {
            const { x, y, width, height } = cell.getBoundingClientRect();
            let found = document.elementFromPoint(x + width / 2, y + height / 2);
            while (found?.shadowRoot) found = found.shadowRoot.elementFromPoint(x + width / 2, y + height / 2);
            return found === cell;
        }"""
        )
    box = cells.first.bounding_box()
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if device == "phone":
        page.touchscreen.tap(*place)
    else:
        page.mouse.click(*place)
    settled(page)
    page.keyboard.press("ArrowRight")
    assert cells.first.get_attribute("aria-selected") == "true"
    assert page.evaluate("document.querySelector('.stMain').scrollTop") > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_shines_through_the_stage_of_a_phone(scheme, phone, address):
    phone.emulate_media(color_scheme=scheme)
    open_tab(phone, address, "Steer")
    settled(phone)
    colours = phone.evaluate(
        "['.stApp', '.st-key-stage'].map(each => getComputedStyle(document.querySelector(each)).backgroundColor)"
    )
    assert colours[0] == colours[1] == {"light": "rgb(251, 250, 247)", "dark": "rgb(21, 23, 27)"}[scheme]


def test_the_panel_lies_above_the_transport_when_the_keyboard_leads_to_it(phone, address):
    """And below the stage."""
    open_tab(phone, address, "Edit")
    settled(phone)
    phone.get_by_role("tab", name="Edit").focus()
    rooms = []
    for key in ["Tab"] * 26 + ["Shift+Tab"] * 18:
        phone.keyboard.press(key)
        phone.wait_for_timeout(60)
        room, top, bottom = phone.evaluate(_FOCUSED)
        rooms.append(room)
        if room in ("panel", "takeaway-row"):
            assert _box(phone, ".st-key-stage")[3] <= top
            assert bottom <= _box(phone, ".st-key-transport")[1]
    assert {"panel", "takeaway-row", "transport"} <= set(rooms)
    assert rooms[-1] in ("panel", "takeaway-row")


@pytest.mark.parametrize(("width", "height"), [(844, 390), (640, 450), (390, 560)])
def test_a_low_window_is_not_filled_by_the_stage(width, height, phone, address):
    phone.set_viewport_size({"width": width, "height": height})
    open_tab(phone, address, "Steer")
    settled(phone)
    before = _box(phone, ".st-key-stage")[1]
    assert _scroll(phone, 250) == 250
    assert _box(phone, ".st-key-stage")[1] == before - 250


def test_what_takes_away_is_named_in_one_row_on_a_phone(phone, address):
    phone.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_tab(phone, address, "Edit")
    settled(phone)
    labels = [
        phone.locator(".st-key-takeaway-row").get_by_text(each, exact=True) for each in ("MIDI", "WAV", "All (ZIP)")
    ]
    link = phone.get_by_role("button", name="Copy link")

    def middles():
        boxes = [label.bounding_box() for label in (*labels, link)]
        assert min(box["width"] for box in boxes) > 20
        return [round(box["y"] + box["height"] / 2) for box in boxes]

    before = middles()
    assert max(before) - min(before) <= 2
    link.tap()
    phone.get_by_text("Link copied").wait_for()
    assert middles() == before


@pytest.mark.parametrize(("tab", "name"), [("Sample", "MIDI"), ("Sample", "WAV"), ("Morph", "Take the path as a loop")])
def test_no_tooltip_covers_what_is_near_a_button(tab, name, page, address):
    open_tab(page, address, tab)
    settled(page)
    page.get_by_role("button", name=name).first.hover()
    page.wait_for_timeout(800)
    assert page.get_by_role("tooltip").count() == 0


@pytest.mark.parametrize("tab", ["Sample", "Blind test", "Data"])
def test_the_ring_of_a_tab_that_has_the_focus_is_whole(tab, page, address):
    open_tab(page, address, tab)
    settled(page)
    page.get_by_role("tab", name=tab).click()
    page.keyboard.press("Shift")
    ring = page.get_by_role("tab", name=tab).evaluate("tab => getComputedStyle(tab).boxShadow")
    assert ring.endswith("0px 0px 0px 2px inset")  # within the tab, where nothing cuts it off


def test_the_page_itself_has_no_frame_and_its_title_no_link(page, address):
    open_tab(page, address, "Blind test")
    settled(page)
    page.mouse.click(1200, 600)
    page.keyboard.press("x")
    assert page.evaluate("document.activeElement.matches('.stMain:focus-visible')")
    for part in ("", "::before", "::after"):
        style = page.evaluate(
            f"(({{display, outlineStyle, boxShadow}}) => [display, outlineStyle, boxShadow])"
            f"(getComputedStyle(document.activeElement, {part!r}))"
        )
        assert "none" in style[:1] or style[1:] == ["none", "none"]
    title = page.get_by_role("heading", name="rhythmgan")
    assert title.count() == 1
    assert title.get_by_role("link").count() == 0


@pytest.mark.parametrize("device", ["page", "phone"])
def test_controls_of_a_row_stand_on_one_line(device, request, address):
    page = request.getfixturevalue(device)
    open_tab(page, address)
    settled(page)
    beside = ".st-key-bars" if device == "page" else ".st-key-grid"
    style, choice = (page.locator(each).bounding_box() for each in (".st-key-style", beside))
    assert style["y"] == pytest.approx(choice["y"], abs=1)
    assert style["height"] == pytest.approx(choice["height"], abs=1)
    labels = [page.locator(f"{each} label").first.bounding_box()["y"] for each in (".st-key-style", beside)]
    assert labels[0] == pytest.approx(labels[1], abs=1)


def test_the_panel_of_a_phone_begins_where_the_stage_does(phone, address):
    open_tab(phone, address, "Steer")
    settled(phone)
    panel = phone.locator(".st-key-panel [role=radiogroup]").first.bounding_box()
    assert panel["x"] == pytest.approx(phone.locator(".stage .strip").bounding_box()["x"], abs=1)


@pytest.mark.parametrize("width", [900, 390])
def test_the_number_of_a_seed_is_read_on_its_card(width, page, address):
    page.set_viewport_size({"width": width, "height": 844})
    open_tab(page, address, seed=567123456)
    settled(page)
    name = page.get_by_role("article").first.locator(".name")
    assert name.inner_text() == "seed 567123457"
    assert name.evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")


@pytest.mark.parametrize(("n_bars", "n_loops"), [("1 bar", 24), ("2 bars", 12), ("4 bars", 8), ("8 bars", 8)])
def test_cards_of_long_loops_fill_no_more_of_the_page_than_short_ones(n_bars, n_loops, page, address):
    open_tab(page, address, "Data")
    settled(page)
    page.get_by_role("radio", name=n_bars, exact=True).click()
    settled(page)
    cards = page.get_by_role("article")
    assert cards.count() == n_loops
    assert cards.first.bounding_box()["height"] < 1000 / 3
